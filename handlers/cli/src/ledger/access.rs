//! `relatch access`.

use super::{SHOWN, question, subject};
use crate::{
    Outside, Problem, Status, Terminal,
    arguments::{AccessLog, Form},
    json,
    outside::THE_TABLE,
    screen::access as screen,
};
use relatch::{
    audit::ledger::{Ended, Entry, Question},
    ports::Ledger as _,
};
use relatch_events::{cloudtrail::identity::Nature, moment::Moment};
use std::collections::BTreeSet;

/// What one principal did, in the time that is asked for.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// The last of it.
    pub(crate) last: Entry,
    pub(crate) first: Option<Moment>,
    pub(crate) done: u64,
    pub(crate) denied: u64,
    pub(crate) failed: u64,
    pub(crate) is_person: bool,
    pub(crate) origins: BTreeSet<String>,
}

pub(crate) async fn show(asked: &AccessLog, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let table = outside.table("nothing was written down")?;
    let subject = subject(&asked.secret, outside).await?;
    let clock = outside.clock();
    let usual = if terminal.form() == Form::Screen && !asked.by_principal { Some(SHOWN) } else { None };
    let limit = asked.period.limit.or(usual).map_or(u64::MAX, u64::from);
    let first = question(&subject, &asked.period, limit, outside);
    let (mut told, mut are_more, mut next) = (0_u64, false, None::<String>);
    let mut visitors: Vec<Visitor> = Vec::new();
    loop {
        let page = table.accesses(Question { after: next.as_deref(), ..first }).await;
        let page = outside.told(THE_TABLE, page).await?;
        let fits = |entry: &Entry| asked.principal.as_deref().is_none_or(|text| is_by(entry, text));
        let mut found: Vec<Entry> = page.found.into_iter().filter(fits).collect();
        let room = usize::try_from(limit - told).unwrap_or(usize::MAX);
        are_more |= found.len() > room;
        found.truncate(room);
        if asked.by_principal {
            found.into_iter().for_each(|entry| meet(&mut visitors, entry, &mut told));
        } else {
            let is_first = told == 0;
            told += found.len() as u64;
            let is_read = terminal.part(
                || screen::accesses(&found, is_first, &clock),
                || found.iter().map(|entry| json::access(&subject, entry)).collect(),
            );
            if !is_read {
                return Ok(Status::Fine);
            }
        }
        next = page.next;
        if next.is_none() || are_more {
            break;
        }
    }
    let environment = first.environment;
    if asked.by_principal {
        terminal.part(
            || screen::visitors(&visitors, &clock),
            || visitors.iter().map(|visitor| json::visitor(&subject, visitor)).collect(),
        );
    }
    terminal.part(|| screen::end(told, are_more, &subject, environment), Vec::new);
    Ok(Status::Fine)
}

fn is_by(entry: &Entry, text: &str) -> bool {
    entry.principal.contains(text) || entry.session.as_deref().is_some_and(|session| session.contains(text))
}

/// Takes note of an access, of which the later ones are known. As many principals are told as there is room for.
fn meet(visitors: &mut Vec<Visitor>, entry: Entry, told: &mut u64) {
    let known = visitors.iter().position(|visitor| visitor.last.principal == entry.principal);
    let index = known.unwrap_or(visitors.len());
    if known.is_none() {
        visitors.push(Visitor {
            first: entry.at,
            done: 0,
            denied: 0,
            failed: 0,
            is_person: false,
            origins: BTreeSet::new(),
            last: entry.clone(),
        });
    }
    *told += 1;
    let visitor = &mut visitors[index];
    visitor.first = entry.at;
    visitor.is_person |= entry.nature == Some(Nature::Human);
    visitor.origins.extend(entry.origin);
    match entry.ended {
        Ended::Done => visitor.done += 1,
        Ended::Denied(_) => visitor.denied += 1,
        Ended::Failed(_) => visitor.failed += 1,
    }
}
