//! Servers that are hostile, and what stands between a server and Relatch.

use crate::scene::Scene;
use relatch_integration::{
    cloud::{FIRST_PASSWORD, Standing},
    impostor::{Impostor, Part},
    lambda::Outcome,
    pooler::Pooler,
    trail,
};
use serde_json::json;
use tokio_postgres::{Client, NoTls};

/// Of what never ends a server could send no more than what the kernel holds on both sides beside the guard's 1 MiB.
const TAKEN: u64 = 16 << 20;

#[tokio::test]
async fn a_server_gets_no_password_that_the_settings_do_not_allow_it_and_proves_that_it_knows_it() {
    let scene = Scene::single_user().await;
    let leaf = scene.cloud.authority.leaf(&["localhost"]).unwrap();
    let mut table = Vec::new();
    for part in [
        Part::AsksInClear,
        Part::AsksForMd5,
        Part::AsksForNothing,
        Part::AsksForIterations(100_001),
        Part::KnowsNothing,
    ] {
        let server = Impostor::start(part, Some(&leaf)).await.unwrap();
        table.push(format!("{part:?}: {}", meets(&scene, &server).await));
        assert_eq!(server.answers(), 0, "{part:?}");
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn what_a_server_sends_without_end_ends_its_session_and_fills_no_memory() {
    let settings = [("RELATCH_WEAKEST_LOGIN", "password"), ("RELATCH_ALLOW_PLAINTEXT", "true")];
    let scene = Scene::single_user_with(&settings, |options| options).await;
    let leaf = scene.cloud.authority.leaf(&["localhost"]).unwrap();
    for leaf in [Some(&leaf), None] {
        scene.tamper("AWSCURRENT", |value| value["ssl"] = json!(leaf.is_some()));
        for part in [Part::EndlessMessage, Part::EndlessNotices, Part::EndlessSettings, Part::EndlessRows] {
            let server = Impostor::start(part, leaf).await.unwrap();
            let said = meets(&scene, &server).await;
            assert!(said.contains("more than 1 MiB in one session"), "{part:?}: {said}");
            assert!(server.sent() < TAKEN, "{part:?}: {}", server.sent());
        }
    }
}

#[tokio::test]
async fn where_channel_binding_is_required_nobody_in_between_is_talked_to() {
    let settings = [("RELATCH_CHANNEL_BINDING", "require")];
    let scene = Scene::single_user_with(&settings, |options| options).await;
    // The wire ends TLS, with a certificate that is trusted, and passes everything on: a man in the middle.
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the server offers no channel binding, which RELATCH_CHANNEL_BINDING requires");
    let port = scene.cloud.postgres.port();
    start_over(&scene);
    scene.tamper("AWSCURRENT", |value| value["port"] = json!(port));
    scene.rotates().await;
}

#[tokio::test]
async fn a_pooler_that_drops_the_options_is_noticed_before_anything_is_left_in_its_sessions() {
    for mode in ["transaction", "session", "statement"] {
        let scene = Scene::single_user().await;
        let leaf = scene.cloud.authority.leaf(&["localhost"]).unwrap();
        let pooler = Pooler::start(&scene.cloud.postgres, &leaf, mode, "app", FIRST_PASSWORD).unwrap();
        let application = connect(&pooler).await;
        let before = seen(&application).await;
        // In session mode a session is one client's own until it ends.
        let application = (mode != "session").then_some(application);
        scene.tamper("AWSCURRENT", |value| value["port"] = json!(pooler.port()));
        let said = scene.fails_and_stays_open().await;
        let expected = "setSecret Rotation.Refused: refused: a pooler answers in the database's place: name the server itself in `host` and `port`";
        assert_eq!(said, expected, "{mode}");
        let respond = scene.cloud.respond_with(&[]).unwrap();
        let swept = respond.invoke(trail::scheduled()).await.unwrap();
        assert!(matches!(swept, Outcome::Ok(_)), "{mode}: {swept:?}");
        match application {
            Some(application) => assert_eq!(seen(&application).await, before, "{mode}: the session is another"),
            None => assert_eq!(seen(&connect(&pooler).await).await[1..], before[1..], "{mode}"),
        }
        assert_eq!(scene.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await, "0", "{mode}");
        assert_eq!(scene.standing().await, Standing::Fine, "{mode}");
    }
}

async fn connect(pooler: &Pooler) -> Client {
    let config =
        format!("host=127.0.0.1 port={} user=app password={FIRST_PASSWORD} dbname=app sslmode=disable", pooler.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The session as the application finds it: its process, and what Relatch sets in its own ones.
async fn seen(application: &Client) -> Vec<String> {
    let query = "SELECT pg_backend_pid(), current_setting('idle_in_transaction_session_timeout'),
                        current_setting('statement_timeout'), current_setting('lock_timeout'),
                        current_setting('role'), current_setting('search_path')";
    let answer = application.simple_query(query).await.unwrap();
    let rows = answer.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        tokio_postgres::SimpleQueryMessage::CommandComplete(_)
        | tokio_postgres::SimpleQueryMessage::RowDescription(_)
        | _ => None,
    });
    rows.flat_map(|row| (0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned())).collect()
}

/// How a rotation ends that leads to this server.
async fn meets(scene: &Scene, server: &Impostor) -> String {
    scene.tamper("AWSCURRENT", |value| value["port"] = json!(server.port()));
    let said = scene.fails().await;
    start_over(scene);
    said
}

/// Only AWSCURRENT is left.
fn start_over(scene: &Scene) {
    scene.cloud.aws.store().edit(&scene.secret, |secret| secret.versions.truncate(1)).unwrap();
}
