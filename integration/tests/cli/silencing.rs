//! `silence`, `silences` and `unsilence`, what they keep people from being told, and `alerts`, which shows it.

use crate::scene::Scene;
use jiff::Timestamp;
use relatch_integration::{
    aws::Fault,
    cloud::{Cloud, FIRST_PASSWORD},
    lambda::Function,
    trail,
};
use serde_json::{Value, json};

/// A scene with `respond`, which tells people.
struct Watch {
    scene: Scene,
    respond: Function,
}

impl Watch {
    /// Whoever waits for others waits for so many seconds.
    async fn grouping(seconds: &str) -> Self {
        let scene = Scene::remembering(&[]).await.operated(|operator| operator.setting("RELATCH_ENVIRONMENT", "dev"));
        // A busy machine takes longer to start it than a handler waits for an answer.
        scene.cloud.aws.emulate().await.unwrap();
        let memory = Cloud::memory();
        let mut settings: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.extend([("RELATCH_GROUP_WAIT_SECONDS", seconds), ("RELATCH_GROUP_INTERVAL_SECONDS", "0")]);
        let respond = scene.cloud.respond_with(&settings).unwrap();
        Self { scene, respond }
    }

    /// What a command shows, with neither ids nor times.
    async fn sees(&self, arguments: &[&str]) -> String {
        let ids = self.ids().await;
        let told = self.scene.sees(arguments).await;
        self.settled(told, ids).await
    }

    async fn types(&self, arguments: &[&str], typed: &str) -> String {
        let ids = self.ids().await;
        let told = self.scene.types(arguments, typed).await;
        self.settled(told, ids).await
    }

    /// The ids of the silences there are, that which is over first.
    async fn ids(&self) -> Vec<String> {
        let silences = self.answers(&["silences", "--json"]).await["silences"].clone();
        silences.as_array().unwrap().iter().map(|silence| silence["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn answers(&self, arguments: &[&str]) -> Value {
        let answer = self.scene.operator.runs(arguments).await.unwrap();
        serde_json::from_str(&answer.stdout).expect(&answer.stderr)
    }

    async fn settled(&self, text: String, before: Vec<String>) -> String {
        let ids = before.into_iter().chain(self.ids().await);
        let text = ids.fold(text, |text, id| text.replace(&id, "5i1ence0"));
        let mut parts: Vec<String> = text.split(" UTC").map(str::to_owned).collect();
        let last = parts.len() - 1;
        for part in &mut parts[..last] {
            part.replace_range(part.len() - 19.., "2026-01-01 00:00:00");
        }
        parts.join(" UTC")
    }

    /// What people are told when `respond` has looked after every secret.
    async fn sweeps(&self) -> Vec<String> {
        self.responds(trail::scheduled()).await
    }

    /// What they are told when it is time to tell what was held back.
    async fn flushes(&self) -> Vec<String> {
        self.responds(trail::flush()).await
    }

    async fn responds(&self, event: Value) -> Vec<String> {
        let before = self.scene.cloud.published().unwrap().len();
        let outcome = self.respond.invoke(event).await.unwrap();
        assert!(outcome.is_ok(), "respond failed: {outcome:?}");
        let told = self.scene.cloud.published().unwrap().split_off(before);
        let word = |alert: &Value, field: &str| alert[field].as_str().unwrap().to_owned();
        told.iter().map(|alert| format!("{} {}", word(alert, "status"), word(alert, "condition"))).collect()
    }

    async fn locks_out(&self) {
        self.scene.sql("ALTER ROLE app PASSWORD 'MARKED by hand'").await;
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_is_silenced_until_the_silence_is_ended() {
    let watch = Watch::grouping("0").await;
    let silence = ["silence", "--secret", "app", "--for", "2h", "--reason", "migration of the orders"];
    insta::assert_snapshot!("silence_dry_run", watch.sees(&[&silence[..], &["--dry-run"]].concat()).await);
    insta::assert_snapshot!("silence_unasked", watch.sees(&silence).await);
    insta::assert_snapshot!("silence_refused", watch.types(&silence, "n\n").await);
    insta::assert_snapshot!("no_silences", watch.sees(&["silences"]).await);
    insta::assert_snapshot!("silence_agreed", watch.types(&silence, "y\n").await);
    insta::assert_snapshot!("silences", watch.sees(&["silences"]).await);
    watch.locks_out().await;
    assert_eq!(watch.sweeps().await, [""; 0]);
    assert_eq!(watch.flushes().await, [""; 0]);
    insta::assert_snapshot!("silenced_alerts", watch.sees(&["alerts"]).await);
    let id = watch.ids().await.remove(0);
    insta::assert_snapshot!("unsilence_dry_run", watch.sees(&["unsilence", &id, "--dry-run"]).await);
    insta::assert_snapshot!("unsilence_refused", watch.types(&["unsilence", &id], "\n").await);
    assert_eq!(watch.flushes().await, [""; 0]);
    insta::assert_snapshot!("unsilence_agreed", watch.types(&["unsilence", &id], "y\n").await);
    assert_eq!(watch.flushes().await, ["firing locked-out"]);
    insta::assert_snapshot!("told_alerts", watch.sees(&["alerts"]).await);
    let again = watch.sees(&["unsilence", &id, "--yes"]).await.replace(&id, "5i1ence0");
    insta::assert_snapshot!("unsilence_again", again);
}

#[tokio::test]
async fn a_silence_ends_by_itself() {
    let watch = Watch::grouping("0").await;
    let silence = ["silence", "--condition", "locked-out", "--for", "5s", "--reason", "a test", "--yes", "--json"];
    let answer = watch.answers(&silence).await;
    let until: Timestamp = answer["silence"]["until"].as_str().unwrap().parse().unwrap();
    watch.locks_out().await;
    let mut told = watch.sweeps().await;
    while told.is_empty() {
        told = watch.flushes().await;
    }
    assert!(Timestamp::now() >= until, "told before its end: {answer:#}");
    assert_eq!(told, ["firing locked-out"]);
    assert_eq!(watch.ids().await, [""; 0], "what is over is not shown");
}

#[tokio::test]
async fn a_silence_of_something_else_silences_nothing() {
    let watch = Watch::grouping("0").await;
    for what in [
        vec!["--condition", "pending-stuck"],
        vec!["--subject", "ap"],
        vec!["--secret", "app", "--environment", "prod"],
        vec!["--secret", "app", "--condition", "rotation-failed"],
    ] {
        let answer = watch.answers(&[&["silence"], &what[..], &OTHERWISE].concat()).await;
        assert_eq!(answer["outcome"], "silenced", "{answer:#}");
    }
    watch.locks_out().await;
    assert_eq!(watch.sweeps().await, ["firing locked-out"]);
}

#[tokio::test]
async fn silences_say_whom_they_cover() {
    let watch = Watch::grouping("0").await;
    let arns = watch.scene.secret.rsplit_once(':').unwrap().0.to_owned() + ":ap*";
    for (what, lasts) in [
        (vec!["--everything", "--environment", "staging"], "--for=4h"),
        (vec!["--condition", "pending-stuck", "--secret", "app", "--environment", "dev"], "--for=2h"),
        (vec!["--condition", "alarm-firing", "--subject", "rotate-*"], "--for=3h"),
        (vec!["--subject", &arns], "--for=1h"),
        (vec!["--condition", "rotation-overdue"], "--for=30d"),
    ] {
        let answer =
            watch.answers(&[&["silence"], &what[..], &OTHERWISE[..OTHERWISE.len() - 1], &[lasts]].concat()).await;
        assert_eq!(answer["outcome"], "silenced", "{answer:#}");
    }
    insta::assert_snapshot!("silences_of_each_kind", watch.sees(&["silences"]).await);
    let (answer, status) = watch.scene.reads(&["silences", "--json"]).await;
    assert_eq!(status, 0);
    let text = watch.ids().await.iter().fold(format!("{answer:#}"), |text, id| text.replace(id, "5i1ence0"));
    insta::assert_snapshot!("json_silences", text);
    watch.locks_out().await;
    assert_eq!(watch.sweeps().await, [""; 0], "the beginning of its ARN is silenced");
}

#[tokio::test]
async fn what_is_firing_is_shown_and_what_people_know_of_it() {
    let watch = Watch::grouping("3600").await;
    let Watch { scene, .. } = &watch;
    insta::assert_snapshot!("no_alerts", watch.sees(&["alerts"]).await);
    for role in ["shop/orders", "shop/till"] {
        scene.cloud.postgres.create_role(role, FIRST_PASSWORD).await.unwrap();
        // A value that cannot be used.
        scene.cloud.secret(role, json!({ "dbname": "app", "engine": "mysql" })).unwrap();
    }
    watch.locks_out().await;
    watch.answers(&[&["silence", "--secret", "shop/till"], &OTHERWISE[..]].concat()).await;
    assert_eq!(watch.sweeps().await, ["firing locked-out"]);
    insta::assert_snapshot!("alerts", watch.sees(&["alerts"]).await);
    let (answer, status) = scene.reads(&["alerts", "--json"]).await;
    assert_eq!((status, &answer["environment"]), (1, &json!("dev")));
    insta::assert_snapshot!("json_alert", format!("{:#}", answer["alerts"][0]));
    insta::assert_snapshot!("alerts_of_prod", watch.sees(&["alerts", "--environment", "prod"]).await);
}

#[tokio::test]
async fn the_end_of_what_people_know_is_shown_until_they_are_told() {
    let watch = Watch::grouping("0").await;
    let Watch { scene, .. } = &watch;
    watch.locks_out().await;
    assert_eq!(watch.sweeps().await, ["firing locked-out"]);
    scene.sql(&format!("ALTER ROLE app PASSWORD '{FIRST_PASSWORD}'")).await;
    scene.cloud.aws.fault_always("sns:Publish", Fault::Refuse);
    assert!(!watch.respond.invoke(trail::scheduled()).await.unwrap().is_ok());
    scene.cloud.aws.clear_faults();
    insta::assert_snapshot!("over_alerts", watch.sees(&["alerts"]).await);
    assert_eq!(watch.flushes().await, ["resolved locked-out", "firing sweep-unfinished"]);
    assert_eq!(watch.sweeps().await, ["resolved sweep-unfinished"]);
    assert!(watch.sees(&["alerts"]).await.ends_with("Nothing is firing in dev.\nstatus: 0"));
}

#[tokio::test]
async fn a_silence_that_is_not_understood_is_refused_with_a_word_of_what_is() {
    let scene = Scene::remembering(&[]).await;
    let mut table = Vec::new();
    for wrong in [
        vec![],
        vec!["--environment", "prod"],
        vec!["--subject", "*"],
        vec!["--subject", ""],
        vec!["--secret", "app", "--subject", "app"],
        vec!["--everything", "--secret", "app"],
        vec!["--condition", "locked-uot"],
        vec!["--everything", "--environment", "production"],
    ] {
        table.push(
            refused(&scene, &[&["silence"], &wrong[..], &["--for", "1h", "--reason", "x", "--yes"]].concat()).await,
        );
    }
    for wrong in ["tomorrow", "0s", "-1h", "31d"] {
        let lasting = format!("--for={wrong}");
        table.push(refused(&scene, &["silence", "--everything", &lasting, "--reason", "x", "--yes"]).await);
    }
    table.push(refused(&scene, &["silence", "--everything", "--for", "1h", "--yes"]).await);
    table.push(refused(&scene, &["silence", "--everything", "--reason", "x", "--yes"]).await);
    table.push(refused(&scene, &["unsilence"]).await);
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn silences_that_cannot_be_seen_or_made() {
    let scene = Scene::remembering(&[]).await;
    let silence = ["silence", "--everything", "--for", "1h", "--reason", "x", "--yes"];
    let commands = [&silence[..], &["silences"], &["unsilence", "5i1ence0", "--yes"], &["alerts"]];
    let mut table = Vec::new();
    scene.cloud.aws.fault_always("dynamodb:*", Fault::Deny);
    for command in commands {
        table.push(scene.sees(command).await);
    }
    table.push(scene.sees(&["silence", "--secret", "app", "--for", "1h", "--reason", "x", "--yes"]).await);
    scene.cloud.aws.clear_faults();
    table.push(scene.sees(&["silence", "--secret", "nobody", "--for", "1h", "--reason", "x", "--yes"]).await);
    let scene = scene.operated(|operator| operator.without("RELATCH_TABLE"));
    for command in commands {
        table.push(scene.sees(command).await);
    }
    insta::assert_snapshot!(table.join("\n"));
}

/// What every silence has beside what it is of. The duration is last.
const OTHERWISE: [&str; 7] = ["--reason", "a test", "--by", "the exercise", "--yes", "--json", "--for=1h"];

/// What is said to wrong use, in one line.
async fn refused(scene: &Scene, arguments: &[&str]) -> String {
    let answer = scene.operator.runs(arguments).await.unwrap();
    assert_eq!((answer.status, answer.stdout.as_str()), (2, ""), "{arguments:?}: {answer:?}");
    let said = answer.stderr.split("\n\nUsage").next().unwrap().split("\n\nFor more").next().unwrap();
    format!("$ relatch {}\n{said}\n", arguments.join(" "))
}
