use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relatch_integration::certificates::Authority;
use relatch_integration::condition::eventually;
use relatch_integration::wire::{BlackHole, Fault, Operation, Outcome, Victim, Wire};
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;

use crate::processes::ClientProcess;
use crate::shop::{Session, Shop, config, what};

/// The operations of a login: the request for TLS, the startup message and two messages of SCRAM.
const LOGIN: u64 = 4;

/// The first statement after a login.
const STATEMENT: u64 = LOGIN + 1;

const CHANGE: &str = "ALTER ROLE app PASSWORD 'changed'";

/// Long enough for an answer that would come, if one came.
const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn the_same_client_sequence_is_numbered_the_same_each_time() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let mut runs = Vec::new();
    for _ in 0..3 {
        wire.count_from_here();
        for _ in 0..2 {
            visit(&shop, &wire).await;
        }
        wire.idle().await;
        runs.push(
            wire.operations().iter().map(|seen| (seen.number, seen.what.clone(), seen.outcome)).collect::<Vec<_>>(),
        );
    }
    let visit = [
        "SSLRequest",
        "Startup: app@shop",
        "SASLInitialResponse",
        "SASLResponse",
        "Query: SELECT '…'",
        "Parse: SELECT sum(amount)::text FROM orders WHERE id > $1",
        "Execute: SELECT sum(amount)::text FROM orders WHERE id > $1",
        "Sync",
        "Terminate",
    ];
    let expected: Vec<_> =
        (1..).zip([visit, visit].concat()).map(|(n, what)| (n, what.to_owned(), Outcome::Passed)).collect();
    assert_eq!(runs, [expected.clone(), expected.clone(), expected]);
    assert_eq!(wire.tally().connections, 2);
    assert_eq!(wire.tally().without_tls, 0);
}

#[tokio::test]
async fn nothing_secret_is_recorded() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = shop.connect(wire.port(), "secret").await.unwrap();
    session.client.batch_execute(CHANGE).await.unwrap();
    assert!(shop.connect(wire.port(), "secret").await.is_err());
    let recorded = format!("{:?} {:?}", wire.operations(), wire.tally());
    assert!(recorded.contains("Query: ALTER ROLE app PASSWORD …"), "{recorded}");
    assert!(!recorded.contains("secret") && !recorded.contains("changed"), "{recorded}");
}

#[tokio::test]
async fn failed_logins_are_tallied_by_sqlstate() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    shop.connect(wire.port(), "wrong").await.err().unwrap();
    config(wire.port(), "secret").dbname("nowhere").connect(shop.tls()).await.err().unwrap();
    let session = shop.connect(wire.port(), "secret").await.unwrap();
    session.client.batch_execute("SELECT no_such_column").await.unwrap_err();
    assert_eq!(wire.tally().failed_logins, ["28P01", "3D000"]);
    assert_eq!(wire.tally().connections, 3);
}

#[tokio::test]
async fn large_answers_copies_and_pipelines_pass_unchanged() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = shop.connect(wire.port(), "secret").await.unwrap();
    let client = &session.client;
    let rows = client.query("SELECT n, repeat(n::text, 100) FROM generate_series(1, 20000) n", &[]).await.unwrap();
    assert!(rows.iter().zip(1..).all(|(row, n): (_, i32)| {
        row.get::<_, i32>(0) == n && row.get::<_, String>(1) == n.to_string().repeat(100)
    }));
    assert_eq!(rows.len(), 20000);

    let sink = client.copy_in::<_, &'static [u8]>("COPY orders FROM STDIN").await.unwrap();
    let mut sink = pin!(sink);
    sink.send(b"1000\t5\n1001\t6\n".as_slice()).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    let copied = client.query_one("SELECT count(*) FROM orders WHERE id >= 1000", &[]).await.unwrap();
    assert_eq!(copied.get::<_, i64>(0), 2);

    let (one, two, three) = tokio::join!(
        client.query_one("SELECT 1", &[]),
        client.query_one("SELECT 2", &[]),
        client.query_one("SELECT 3", &[])
    );
    let answers = [one, two, three].map(|row| row.unwrap().get::<_, i32>(0));
    assert_eq!(answers, [1, 2, 3]);
}

#[tokio::test]
async fn a_query_can_be_cancelled_and_a_session_ended_by_the_server() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = shop.connect(wire.port(), "secret").await.unwrap();
    let cancel = session.client.cancel_token();
    let sleep = session.client.batch_execute("SELECT pg_sleep(60)");
    let cancelled = async {
        eventually("the query runs", async || what(&wire.operations()).contains(&"Query: SELECT pg_sleep(60)")).await;
        cancel.cancel_query(shop.tls()).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleep, cancelled);
    assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));

    shop.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'").await.unwrap();
    eventually("the client hears that its session is over", async || session.client.is_closed()).await;
}

#[tokio::test]
async fn each_operation_of_a_login_can_be_refused_once() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    for operation in 1..=LOGIN {
        wire.clear();
        wire.count_from_here();
        wire.inject(operation..=operation, Fault::Refuse);
        assert!(shop.connect(wire.port(), "secret").await.is_err(), "operation {operation}");
        comes_to(&wire, operation, Outcome::Refused).await;
        assert!(shop.connect(wire.port(), "secret").await.is_ok(), "once after operation {operation}");
    }
}

#[tokio::test]
async fn a_refused_change_does_not_happen() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = failing(&shop, &wire, Fault::Refuse).await;
    session.client.batch_execute(CHANGE).await.unwrap_err();
    assert!(shop.opens_with("secret").await);
}

#[tokio::test]
async fn a_change_whose_reply_is_dropped_did_happen() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = failing(&shop, &wire, Fault::DropReply).await;
    let error = session.client.batch_execute(CHANGE).await.unwrap_err();
    assert!(error.is_closed() || error.code().is_none(), "{error:?}");
    assert!(shop.opens_with("changed").await);
    comes_to(&wire, STATEMENT, Outcome::ReplyDropped).await;
}

#[tokio::test]
async fn silence_before_a_change_holds_it_off_and_the_session_open() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = failing(&shop, &wire, Fault::SilenceBefore).await;
    timeout(MOMENT, session.client.batch_execute(CHANGE)).await.expect_err("there is no answer");
    comes_to(&wire, STATEMENT, Outcome::Silenced).await;
    assert!(shop.opens_with("secret").await);
    drop(session);
    assert_eq!(shop.sessions().await, 1, "the server does not learn that its client is gone");
    wire.clear();
    eventually("the mute session ends", async || shop.sessions().await == 0).await;
    assert!(shop.opens_with("secret").await);
}

#[tokio::test]
async fn silence_after_a_change_hides_that_it_happened() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let session = failing(&shop, &wire, Fault::SilenceAfter).await;
    let change = session.client.batch_execute(CHANGE);
    tokio::pin!(change);
    timeout(MOMENT, &mut change).await.expect_err("there is no answer");
    comes_to(&wire, STATEMENT, Outcome::Silenced).await;
    assert!(shop.opens_with("changed").await);
    wire.clear();
    change.await.expect_err("clearing closes the connection");
}

#[tokio::test]
async fn a_fault_can_last_for_some_operations_or_until_it_is_cleared() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let connects = async || shop.connect(wire.port(), "secret").await.is_ok();
    wire.inject(1..3, Fault::Refuse);
    assert_eq!([connects().await, connects().await, connects().await], [false, false, true]);
    wire.inject(1.., Fault::Refuse);
    assert_eq!([connects().await, connects().await], [false, false]);
    wire.clear();
    assert!(connects().await);
}

#[tokio::test]
async fn a_client_killed_before_its_change_has_changed_nothing() {
    let (shop, wire, mut client) = Shop::with_client_process(CHANGE).await;
    wire.inject(STATEMENT..=STATEMENT, Fault::KillBefore(client.pid().into()));
    client.go();
    assert!(client.was_killed().await);
    assert!(shop.opens_with("secret").await);
    comes_to(&wire, STATEMENT, Outcome::Killed).await;
}

#[tokio::test]
async fn a_client_killed_after_its_change_has_changed_it() {
    let (shop, wire, mut client) = Shop::with_client_process(CHANGE).await;
    wire.inject(STATEMENT..=STATEMENT, Fault::KillAfter(client.pid().into()));
    client.go();
    assert!(client.was_killed().await);
    assert!(shop.opens_with("changed").await);
    comes_to(&wire, STATEMENT, Outcome::Killed).await;
}

#[tokio::test]
async fn a_client_frozen_before_its_change_makes_it_when_it_continues() {
    let (shop, wire, mut client) = Shop::with_client_process(CHANGE).await;
    wire.inject(STATEMENT..=STATEMENT, Fault::FreezeBefore(client.pid().into()));
    client.go();
    eventually("the client is frozen", async || client.is_stopped()).await;
    assert!(shop.opens_with("secret").await);
    client.resume();
    assert!(client.succeeded().await);
    assert!(shop.opens_with("changed").await);
}

#[tokio::test]
async fn a_client_frozen_after_its_change_finds_the_answer_when_it_continues() {
    let (shop, wire, mut client) = Shop::with_client_process(CHANGE).await;
    wire.inject(STATEMENT..=STATEMENT, Fault::FreezeAfter(client.pid().into()));
    client.go();
    eventually("the client is frozen", async || client.is_stopped()).await;
    eventually("the change is made", async || shop.opens_with("changed").await).await;
    assert!(client.is_stopped());
    client.resume();
    assert!(client.succeeded().await);
}

#[tokio::test]
async fn a_victim_may_be_found_by_a_function() {
    let (shop, wire, mut client) = Shop::with_client_process(CHANGE).await;
    let pid = Pid::from_raw(client.pid().cast_signed());
    let act = Arc::new(move || kill(pid, Signal::SIGKILL).unwrap());
    wire.inject(STATEMENT..=STATEMENT, Fault::KillAfter(Victim::By(act)));
    client.go();
    assert!(client.was_killed().await);
    assert!(shop.opens_with("changed").await);
}

#[tokio::test]
async fn a_victim_that_is_not_there_is_told() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let session = failing(&shop, &wire, Fault::KillBefore(ended.id().into())).await;
    session.client.batch_execute(CHANGE).await.unwrap_err();
    comes_to(&wire, STATEMENT, Outcome::VictimMissing).await;
}

#[tokio::test]
async fn a_wire_with_a_wrong_certificate_is_refused_by_the_client() {
    let shop = Shop::open().await;
    let stranger = Authority::new().unwrap().leaf(&["localhost"]).unwrap();
    for leaf in [stranger, shop.authority.leaf(&["elsewhere.example"]).unwrap()] {
        let wire = Wire::start(shop.postgres.address(), Some(&leaf)).unwrap();
        assert!(shop.connect(wire.port(), "secret").await.is_err());
        wire.idle().await;
        assert_eq!(what(&wire.operations()), ["SSLRequest"]);
    }
}

#[tokio::test]
async fn a_wire_without_a_certificate_says_no_to_tls_and_counts_those_who_do_without() {
    let shop = Shop::open().await;
    let wire = Wire::start(shop.postgres.address(), None).unwrap();
    let error = shop.connect(wire.port(), "secret").await.err().unwrap();
    assert!(format!("{error:?}").contains("server does not support TLS"), "{error:?}");
    assert_eq!(wire.tally().without_tls, 0);
    let mut plain = config(wire.port(), "secret");
    let _connected = plain.ssl_mode(SslMode::Disable).connect(NoTls).await.unwrap();
    assert_eq!(wire.tally().without_tls, 1);
}

#[tokio::test]
async fn a_stopped_server_refuses_and_a_restarted_one_is_found_again() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    shop.postgres.stop().await.unwrap();
    assert!(shop.connect(wire.port(), "secret").await.is_err());
    assert_eq!(wire.tally().failed_logins, Vec::<String>::new());
    shop.postgres.start_again().await.unwrap();
    assert!(shop.connect(wire.port(), "secret").await.is_ok());
}

#[tokio::test]
async fn a_black_hole_takes_connections_and_says_nothing() {
    let hole = BlackHole::open().unwrap();
    let mut config = config(hole.address().unwrap().port(), "secret");
    let connecting = config.ssl_mode(SslMode::Disable).connect(NoTls);
    timeout(MOMENT, connecting).await.err().expect("there is no answer");
}

/// A simple query and a prepared one on a connection of its own.
async fn visit(shop: &Shop, wire: &Wire) {
    let session = shop.connect(wire.port(), "secret").await.unwrap();
    session.client.batch_execute("SELECT 'a literal'").await.unwrap();
    let question = "SELECT sum(amount)::text FROM orders WHERE id > $1";
    let sum: String = session.client.query_one(question, &[&99]).await.unwrap().get(0);
    assert_eq!(sum, "1000");
    session.close().await;
}

/// A session whose first statement is struck by this fault.
async fn failing(shop: &Shop, wire: &Wire, fault: Fault) -> Session {
    wire.inject(STATEMENT..=STATEMENT, fault);
    shop.connect(wire.port(), "secret").await.unwrap()
}

/// Waits until an operation has come to this; a client may know of its fate a moment earlier.
async fn comes_to(wire: &Wire, number: u64, outcome: Outcome) {
    let reached = |seen: &Operation| seen.number == number && seen.outcome == outcome;
    eventually("the outcome", async || wire.operations().iter().any(reached)).await;
}

impl Shop {
    async fn with_client_process(statement: &str) -> (Shop, Wire, ClientProcess) {
        let shop = Shop::open().await;
        let wire = shop.wire();
        let client = ClientProcess::new(&shop, &wire, statement);
        (shop, wire, client)
    }
}
