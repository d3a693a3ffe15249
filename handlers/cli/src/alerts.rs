//! `relatch alerts`.

use crate::{Outside, Problem, Status, Terminal, json, outside::THE_TABLE, screen};
use jiff::Timestamp;
use relatch::{
    alert::policy::{Entry, Group, Key, Member, Reason, Silence},
    config::Environment,
    ports::Register as _,
};
use std::cmp::Reverse;

pub(crate) async fn show(
    environment: Option<Environment>,
    outside: &Outside,
    terminal: &Terminal,
) -> Result<Status, Problem> {
    let (environment, now) = (environment.unwrap_or(outside.environment), Timestamp::now());
    let table = outside.table("nothing is known of alerts")?;
    let entries = outside.told(THE_TABLE, table.entries(environment, None).await).await?;
    let silences = outside.told(THE_TABLE, table.silences().await).await?;
    let members = members(&entries, &silences, now);
    terminal.show(|| screen::alerts::alerts(environment, &members, now), || json::alerts(environment, &members, now));
    let firing = members.iter().any(|member| member.entry.is_firing());
    Ok(if firing { Status::Found } else { Status::Fine })
}

/// Whether people know how it is, and if they do not, why: `told`, `held`, or the reason for which they are not told.
/// The end of what they know of is never kept from them.
pub(crate) fn people(member: &Member) -> &'static str {
    let mute = member.mute.filter(|_| member.entry.is_firing()).map(Reason::name);
    mute.unwrap_or(if member.entry.is_news() { "held" } else { "told" })
}

/// All that is firing, or that people take to be firing; what is worst first.
fn members(entries: &[Entry], silences: &[Silence], now: Timestamp) -> Vec<Member> {
    let keys = Key::of_each(entries.iter().map(|entry| &entry.alert));
    // When the group was told does not change what is told of it.
    let groups = keys.into_iter().map(|key| Group::gather(key, None, entries, silences, now));
    let mut members: Vec<Member> = groups.flat_map(|group| group.members).collect();
    members.sort_by_key(|Member { entry, .. }| (Reverse(entry.to_tell()), entry.alert.condition));
    members
}
