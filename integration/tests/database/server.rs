use std::time::Duration;

use relatch_integration::certificates::{Authority, Leaf};
use relatch_integration::postgres::{Login, Options, Postgres, Version};
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::shop::{Shop, config};

#[tokio::test]
async fn a_client_that_verifies_everything_reads_the_data() {
    let shop = Shop::open().await;
    let answer = sum_over_tls(&shop.postgres, &shop.authority).await.unwrap();
    assert_eq!(answer, "50500");
}

#[tokio::test]
async fn a_leaf_for_another_host_is_refused_by_the_client() {
    assert_refused_by_the_client(|authority| authority.leaf(&["elsewhere.example"]).unwrap(), "NotValidForName").await;
}

#[tokio::test]
async fn an_expired_leaf_is_refused_by_the_client() {
    assert_refused_by_the_client(|authority| authority.expired_leaf(&["localhost"]).unwrap(), "Expired").await;
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_refuses_the_server() {
    let shop = Shop::open().await;
    let error = sum_over_tls(&shop.postgres, &Authority::new().unwrap()).await.unwrap_err();
    assert!(error.contains("BadSignature") || error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_says_no() {
    let postgres = Postgres::start(Options::without_tls()).await.unwrap();
    let error = sum_over_tls(&postgres, &Authority::new().unwrap()).await.unwrap_err();
    assert!(error.contains("server does not support TLS"), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_only_an_old_tls_is_refused_by_the_client() {
    let shop = Shop::open_with(|options| {
        options
            .setting("ssl_min_protocol_version", "TLSv1.1")
            .setting("ssl_max_protocol_version", "TLSv1.1")
            .setting("ssl_ciphers", "DEFAULT@SECLEVEL=0")
    })
    .await;
    let error = sum_over_tls(&shop.postgres, &shop.authority).await.unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
    assert!(shop.opens_with("secret").await);
}

#[tokio::test]
async fn a_login_is_accepted_rejected_or_something_else() {
    let shop = Shop::open().await;
    assert_eq!(shop.postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
    assert_eq!(shop.postgres.logs_in("app", "wrong", "shop").await, Login::Rejected);
    let missing = shop.postgres.logs_in("app", "secret", "nowhere").await;
    assert!(matches!(&missing, Login::Other(why) if why.starts_with("3D000")), "{missing:?}");
}

#[tokio::test]
async fn an_md5_server_keeps_and_asks_for_md5() {
    let shop = Shop::open_with(|options| options.setting("password_encryption", "md5")).await;
    let kept = shop.postgres.value("SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'app'").await;
    assert_eq!(kept.unwrap().as_deref(), Some("md5"));
    assert!(shop.opens_with("secret").await);
}

#[tokio::test]
async fn an_access_line_of_the_test_comes_first() {
    let shop = Shop::open_with(|options| options.access("host all app 127.0.0.1/32 reject")).await;
    let refused = shop.postgres.logs_in("app", "secret", "shop").await;
    assert!(matches!(&refused, Login::Other(why) if why.starts_with("28000")), "{refused:?}");
    assert!(shop.postgres.log().unwrap().contains("pg_hba.conf rejects connection"));
}

#[tokio::test]
async fn a_setting_that_the_server_refuses_shows_its_log() {
    let error = Postgres::start(Options::without_tls().setting("no_such_setting", "1")).await.unwrap_err();
    assert!(error.to_string().contains("unrecognized configuration parameter"), "{error}");
}

#[tokio::test]
async fn a_restarted_server_keeps_its_port_and_its_data() {
    let shop = Shop::open().await;
    shop.postgres.stop().await.unwrap();
    assert!(matches!(shop.postgres.logs_in("app", "secret", "shop").await, Login::Other(_)));
    shop.postgres.start_again().await.unwrap();
    assert!(shop.opens_with("secret").await);
    shop.postgres.crash().await.unwrap();
    shop.postgres.start_again().await.unwrap();
    assert!(shop.opens_with("secret").await);
}

#[tokio::test]
async fn a_frozen_server_keeps_its_connections_and_answers_after_the_thaw() {
    let shop = Shop::open().await;
    let session = shop.postgres.admin("postgres").await.unwrap();
    shop.postgres.freeze().unwrap();
    let query = session.batch_execute("SELECT 1");
    tokio::pin!(query);
    timeout(Duration::from_millis(300), &mut query).await.expect_err("a frozen server does not answer");
    shop.postgres.thaw().unwrap();
    query.await.unwrap();
    assert!(shop.opens_with("secret").await);
}

#[tokio::test]
async fn a_standby_follows_and_is_read_only() {
    let shop = Shop::open().await;
    let standby = shop.postgres.standby().await.unwrap();
    shop.postgres.sql("ALTER ROLE app PASSWORD 'changed'").await.unwrap();
    standby.caught_up_with(&shop.postgres).await.unwrap();
    assert_eq!(standby.logs_in("app", "changed", "shop").await, Login::Accepted);
    assert_eq!(standby.logs_in("app", "secret", "shop").await, Login::Rejected);
    let refused = standby.sql("ALTER ROLE app PASSWORD 'again'").await.unwrap_err();
    assert!(format!("{refused:?}").contains("read-only transaction"), "{refused:?}");
}

async fn assert_refused_by_the_client(leaf: impl FnOnce(&Authority) -> Leaf, reason: &str) {
    let shop = Shop::open_behind(leaf, |options| options).await;
    let error = sum_over_tls(&shop.postgres, &shop.authority).await.unwrap_err();
    assert!(error.contains(reason), "{error}");
}

async fn sum_over_tls(postgres: &Postgres, trusted: &Authority) -> Result<String, String> {
    let tls: ClientConfig = trusted.client_config().unwrap();
    let connecting = config(postgres.port(), "secret").connect(MakeRustlsConnect::new(tls)).await;
    let (client, connection) = connecting.map_err(|error| format!("{error:?}"))?;
    tokio::spawn(connection);
    let row = client.query_one("SELECT sum(amount)::text FROM orders", &[]).await.unwrap();
    Ok(row.get(0))
}

#[tokio::test]
async fn every_supported_version_has_a_server() {
    for version in Version::ALL {
        let postgres = Postgres::start(Options::without_tls().version(version)).await.unwrap();
        let says = postgres.value("SHOW server_version").await.unwrap().unwrap();
        assert!(says.starts_with(&format!("{version}.")), "{version}: {says}");
    }
}
