//! The numbers at the end, and the search for passwords.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use relatch_integration::receiver::Keys;

use crate::intruder::Watch;
use crate::people::OnCall;
use crate::play::{Act, Functions, MOST_CALLS, MOST_CONNECTIONS, Play};
use crate::screen::{BAD, GOOD, QUIET, STRONG, Screen, painted};
use crate::stage::Stage;

/// Shows the numbers, and says whether everything was as told.
pub(crate) async fn show(
    screen: &mut Screen,
    stage: &Stage,
    functions: &Functions,
    watch: &Watch,
    on_call: &OnCall,
    play: &mut Play,
) -> Result<()> {
    screen.heading("In numbers")?;
    table(screen, &play.acts)?;
    precision(screen, &play.acts)?;
    let found = search(screen, stage, functions, watch, on_call, play).await?;
    play.expect(found == 0, "no password and no key is found in any output");
    let acts = &play.acts;
    let healed = acts.iter().filter(|act| act.attempts.len() > 1 && act.succeeded()).count();
    let calm = acts.first();
    let told = stage.cloud.published()?;
    let incidents = told.iter().filter(|alert| alert["condition"] == "audit").count() as u64;
    screen.line("")?;
    for (what, number, budget) in [
        ("rotations", acts.iter().filter(|act| !act.attempts.is_empty()).count() as u64, None),
        ("rolled back", acts.iter().filter(|act| act.rolled_back()).count() as u64, None),
        ("healed by a retry", healed as u64, None),
        ("healed by respond", acts.iter().filter(|act| act.responded.is_some()).count() as u64, None),
        ("incidents that the audit found", incidents, None),
        ("messages in Slack", on_call.receiver.messages().len() as u64, None),
        ("new connections of the application", acts.iter().map(|act| act.connections).sum(), None),
        ("of them failed", acts.iter().map(|act| act.failed).sum(), None),
        ("calls to Secrets Manager in a calm rotation", calm.map_or(0, Act::calls), Some(MOST_CALLS)),
        ("database connections in a calm rotation", calm.map_or(0, Act::database_connections), Some(MOST_CONNECTIONS)),
        ("failed logins by Relatch in a calm rotation", calm.map_or(0, Act::refused), Some(0)),
        ("passwords or keys found in any output", found, Some(0)),
    ] {
        let budget = budget.map(|most| painted(QUIET, &format!("   at most {most}"))).unwrap_or_default();
        screen.line(&format!("  {what:<44}{number:>8}{budget}"))?;
    }
    screen.line("")?;
    if play.wrong.is_empty() {
        screen.prose(0, GOOD, "Everything was as told. All processes end now, and nothing is left behind.")?;
    }
    for wrong in &play.wrong {
        screen.prose(0, BAD, wrong)?;
    }
    Ok(())
}

fn table(screen: &mut Screen, acts: &[Act]) -> Result<()> {
    let heads = format!(
        "  {:<16}{:>9}{:>13}{:>8}{:>16}{:>11}{:>22}",
        "act", "attempts", "connections", "failed", "longest window", "AWS calls", "database connections"
    );
    screen.line(&painted(STRONG, &heads))?;
    for (number, act) in (1..).zip(acts) {
        screen.line(&format!(
            "  {:<16}{:>9}{:>13}{:>8}{:>13} ms{:>11}{:>22}",
            format!("{number} {}", act.name),
            act.attempts.len(),
            act.connections,
            act.failed,
            act.window.as_millis(),
            act.calls(),
            act.database_connections(),
        ))?;
    }
    Ok(())
}

/// How finely windows are measured: the application notices nothing between two of its connections.
fn precision(screen: &mut Screen, acts: &[Act]) -> Result<()> {
    let took: Duration = acts.iter().map(|act| act.took).sum();
    let connections: u64 = acts.iter().map(|act| act.connections).sum();
    let each = took.as_millis() / u128::from(connections.max(1));
    let text = format!(
        "The connections and the windows are those of the application, which opened a new connection every {each} ms \
         on average: so finely windows are measured."
    );
    screen.line("")?;
    Ok(screen.prose(2, QUIET, &text)?)
}

/// Looks for every password that was ever in a version, in everything that anybody wrote.
async fn search(
    screen: &mut Screen,
    stage: &Stage,
    functions: &Functions,
    watch: &Watch,
    on_call: &OnCall,
    play: &mut Play,
) -> Result<u64> {
    let all = [&functions.at_finish, &functions.after_verify, &functions.respond, &on_call.notify, &watch.audit];
    for function in all {
        // Only of a process that has ended the output is complete.
        function.stop().await;
    }
    let handler: Vec<String> =
        all.iter().flat_map(|function| function.output().lines()).map(|line| line.text).collect();
    let database = stage.cloud.postgres.log()?;
    // Nothing is found where nothing was written.
    let told = handler.iter().any(|line| line.contains("SetPassword"));
    play.expect(told, "the function's log shows the change of the password");
    play.expect(database.contains("ALTER ROLE"), "PostgreSQL's log shows the change of the password");
    screen.line("")?;
    screen.prose(
        2,
        QUIET,
        &format!(
            "Searched for {} passwords and the three keys to the channels in {} lines of the functions' output, {} \
             lines of PostgreSQL's log (it logs every statement), {} calls to Slack and PagerDuty, and {} lines of \
             this text.",
            stage.passwords.len(),
            handler.len(),
            database.lines().count(),
            on_call.receiver.received().len(),
            screen.shown().lines().count(),
        ),
    )?;
    let received = format!("{:?}", on_call.receiver.received());
    let texts = [handler.join("\n"), database, received, screen.shown().to_owned()];
    let Keys { webhook, token, routing, .. } = on_call.receiver.keys();
    let secrets = stage.passwords.iter().cloned().chain([webhook, token, routing]).collect();
    Ok(count(&secrets, &texts))
}

fn count(passwords: &BTreeSet<String>, texts: &[String]) -> u64 {
    texts.iter().flat_map(|text| passwords.iter().map(|password| text.matches(password).count() as u64)).sum()
}
