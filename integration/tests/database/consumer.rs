use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::bail;
use relatch_integration::condition::eventually;
use relatch_integration::consumer::{Consumer, Credentials, Target};
use relatch_integration::wire::Fault;

use crate::shop::Shop;

#[tokio::test]
async fn a_consumer_with_the_right_password_never_fails() {
    let shop = Shop::open().await;
    let consumer = Consumer::start(target(&shop, shop.postgres.port()), knowing("secret"));
    eventually("ten connections", async || consumer.so_far().connections >= 10).await;
    let report = consumer.stop().await;
    assert_eq!(report.failed, 0, "{report:?}");
    assert!(report.windows.is_empty());
}

#[tokio::test]
async fn a_consumer_reports_the_window_in_which_its_password_was_wrong() {
    let shop = Shop::open().await;
    let consumer = Consumer::start(target(&shop, shop.postgres.port()), knowing("secret"));
    eventually("a success", async || consumer.so_far().connections >= 1).await;
    for _ in 0..2 {
        let failed_before = consumer.so_far().failed;
        let before = Instant::now();
        shop.postgres.sql("ALTER ROLE app PASSWORD 'changed'").await.unwrap();
        eventually("some failures", async || consumer.so_far().failed >= failed_before + 3).await;
        shop.postgres.sql("ALTER ROLE app PASSWORD 'secret'").await.unwrap();
        eventually("a success again", async || consumer.so_far().windows.last().unwrap().length().is_some()).await;
        let window = *consumer.so_far().windows.last().unwrap();
        assert!(before < window.first_failure && window.next_success.unwrap() < Instant::now());
        assert!(window.length().unwrap() >= Duration::from_millis(10), "three failures, 5 ms apart: {window:?}");
    }
    let report = consumer.stop().await;
    assert_eq!(report.windows.len(), 2);
    assert_eq!(report.failures.keys().collect::<Vec<_>>(), ["28P01"]);
    assert_eq!(report.failures["28P01"], report.failed);
    assert!(report.connections > report.failed);
}

#[tokio::test]
async fn a_consumer_asks_for_its_credentials_each_time() {
    let shop = Shop::open().await;
    let current = Arc::new(Mutex::new("secret"));
    let shared = Arc::clone(&current);
    let consumer = Consumer::start(target(&shop, shop.postgres.port()), move || {
        let password = *shared.lock().unwrap();
        async move { Ok(credentials(password)) }
    });
    eventually("a success", async || consumer.so_far().connections >= 1).await;
    shop.postgres.sql("ALTER ROLE app PASSWORD 'changed'").await.unwrap();
    *current.lock().unwrap() = "changed";
    let seen = consumer.so_far().connections;
    eventually("more connections", async || consumer.so_far().connections > seen + 10).await;
    let report = consumer.stop().await;
    assert!(report.windows.iter().all(|window| window.length().is_some()), "it is over: {report:?}");
}

#[tokio::test]
async fn other_failures_have_names_of_their_own() {
    let shop = Shop::open().await;
    let wire = shop.wire();
    let without = Consumer::start(target(&shop, wire.port()), || async { bail!("there is no current version") });
    eventually("a failure", async || without.so_far().failed >= 1).await;
    assert_eq!(without.stop().await.failures.keys().collect::<Vec<_>>(), ["credentials"]);

    wire.inject(.., Fault::Refuse);
    let refused = Consumer::start(target(&shop, wire.port()), knowing("secret"));
    eventually("a failure", async || refused.so_far().failed >= 1).await;
    assert_eq!(refused.stop().await.failures.keys().collect::<Vec<_>>(), ["connection"]);

    wire.clear();
    wire.inject(.., Fault::SilenceBefore);
    let impatient = Target { patience: Duration::from_millis(50), ..target(&shop, wire.port()) };
    let waiting = Consumer::start(impatient, knowing("secret"));
    eventually("a failure", async || waiting.so_far().failed >= 1).await;
    assert_eq!(waiting.stop().await.failures.keys().collect::<Vec<_>>(), ["timeout"]);
}

fn target(shop: &Shop, port: u16) -> Target {
    Target::new(port, "shop", shop.authority.client_config().unwrap())
}

fn knowing(password: &'static str) -> impl Fn() -> std::future::Ready<anyhow::Result<Credentials>> {
    move || std::future::ready(Ok(credentials(password)))
}

fn credentials(password: &str) -> Credentials {
    Credentials { username: "app".to_owned(), password: password.to_owned() }
}
