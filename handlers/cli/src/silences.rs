//! `relatch silence`, `relatch silences` and `relatch unsilence`.

use crate::{
    Outside, Problem, Status, Terminal,
    arguments::{self, Manner, Place},
    json,
    outside::THE_TABLE,
    screen::{control, silence as screen},
};
use jiff::Timestamp;
use relatch::{alert::policy::Silence, ports::Register as _};
use relatch_events::secret::SecretId;
use uuid::Uuid;

/// As many characters of a random number as a person copies gladly.
const ID: usize = 8;

pub(crate) async fn begin(
    asked: &arguments::Silence,
    outside: &Outside,
    place: &Place,
    terminal: &Terminal,
) -> Result<Status, Problem> {
    let arguments::Silence { what, environment, lasts, cause, manner } = asked;
    let table = outside.table("nothing can be silenced")?;
    let subject = match &what.secret {
        Some(secret) => Some(outside.arn(secret).await?),
        None => what.subject.clone(),
    };
    let silence = Silence {
        id: String::new(),
        condition: what.condition,
        subject,
        environment: *environment,
        author: cause.author(),
        reason: cause.reason.clone(),
        until: Timestamp::now().saturating_add(*lasts).unwrap_or(Timestamp::MAX),
    };
    let would = || json::silence("would-silence", Some(&silence));
    let not = || json::silence("not-silenced", Some(&silence));
    if let Some(end) = terminal.ends_here(*manner, || screen::intended(&silence), would, not) {
        return Ok(end);
    }
    let id: String = Uuid::new_v4().simple().to_string().chars().take(ID).collect();
    let silence = Silence { id, ..silence };
    let about = what.secret.as_ref().map_or(THE_TABLE, SecretId::as_str);
    outside.told(about, table.silence(&silence).await).await?;
    terminal.show(|| screen::begun(&silence, place), || json::silence("silenced", Some(&silence)));
    Ok(Status::Fine)
}

pub(crate) async fn list(outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let table = outside.table("nothing is silenced")?;
    let now = Timestamp::now();
    let mut silences = outside.told(THE_TABLE, table.silences().await).await?;
    silences.retain(|silence| now < silence.until);
    silences.sort_by_key(|silence| silence.until);
    terminal.show(|| screen::list(&silences), || json::silences(&silences));
    Ok(Status::Fine)
}

pub(crate) async fn end(id: &str, manner: Manner, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let table = outside.table("nothing is silenced")?;
    let silences = outside.told(THE_TABLE, table.silences().await).await?;
    let silence = silences.iter().find(|silence| silence.id == id);
    let json = |outcome| json::silence(outcome, silence);
    // Whether it is a slip of the pen cannot be seen: it is not "done".
    let absent = || {
        terminal.show(|| screen::absent(id), || json("was-not-silenced"));
        Ok(Status::Found)
    };
    let Some(present) = silence else { return absent() };
    let (would, not) = (|| json("would-unsilence"), || json("not-unsilenced"));
    if let Some(end) = terminal.ends_here(manner, || screen::ending(present), would, not) {
        return Ok(end);
    }
    if !outside.told(THE_TABLE, table.unsilence(id).await).await? {
        return absent();
    }
    terminal.show(|| control::done(&format!("Ended the silence {id}.")), || json("unsilenced"));
    Ok(Status::Fine)
}
