//! `relatch history`.

use super::{SHOWN, question, subject};
use crate::{
    Outside, Problem, Status, Terminal,
    arguments::{Form, History},
    json,
    outside::THE_TABLE,
    screen::history as screen,
};
use relatch::{
    audit::{
        chain::Record,
        ledger::{Past, Question},
    },
    ports::Ledger as _,
};

pub(crate) async fn show(asked: &History, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let table = outside.table("nothing was written down")?;
    let subject = subject(&asked.secret, outside).await?;
    let clock = outside.clock();
    let usual = (terminal.form() == Form::Screen).then_some(SHOWN);
    let limit = asked.period.limit.or(usual).map_or(u64::MAX, u64::from);
    let first = question(&subject, &asked.period, limit, outside);
    let (mut told, mut broken, mut are_more, mut next) = (0_u64, 0_u64, false, None::<String>);
    loop {
        let page = table.history(Question { after: next.as_deref(), ..first }).await;
        let mut page = outside.told(THE_TABLE, page).await?;
        let room = usize::try_from(limit - told).unwrap_or(usize::MAX);
        are_more |= page.found.len() > room;
        page.found.truncate(room);
        let is_first = told == 0;
        told += page.found.len() as u64;
        broken += page.found.iter().filter(|past| !is_whole(past)).count() as u64;
        let is_read = terminal.part(
            || screen::history(&page.found, is_first, &clock),
            || page.found.iter().map(|past| json::past(&subject, past)).collect(),
        );
        next = page.next;
        if next.is_none() || are_more || !is_read {
            break;
        }
    }
    terminal.part(|| screen::end(told, broken, are_more, &subject, first.environment), Vec::new);
    Ok(if broken > 0 { Status::Found } else { Status::Fine })
}

/// Whether the chain has that record, and it is what was written by its digest.
pub(crate) fn is_whole(past: &Past) -> bool {
    past.record.as_ref().is_some_and(Record::is_whole)
}
