use std::time::Duration;

use relatch_integration::certificates::{Authority, Leaf};
use relatch_integration::postgres::{Login, Options, Postgres};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

#[tokio::test]
async fn a_client_that_verifies_everything_reads_the_data() {
    let (authority, postgres) = with_application(|options| options).await;
    let answer = sum_over_tls(&postgres, authority.client_config().unwrap()).await.unwrap();
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
    let (_, postgres) = with_application(|options| options).await;
    let stranger = Authority::new().unwrap().client_config().unwrap();
    let error = sum_over_tls(&postgres, stranger).await.unwrap_err();
    assert!(error.contains("BadSignature") || error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_says_no() {
    let postgres = Postgres::start(Options::without_tls()).await.unwrap();
    let anyone = ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let error = sum_over_tls(&postgres, anyone).await.unwrap_err();
    assert!(error.contains("server does not support TLS"), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_only_an_old_tls_is_refused_by_the_client() {
    let (authority, postgres) = with_application(|options| {
        options
            .setting("ssl_min_protocol_version", "TLSv1.1")
            .setting("ssl_max_protocol_version", "TLSv1.1")
            .setting("ssl_ciphers", "DEFAULT@SECLEVEL=0")
    })
    .await;
    let error = sum_over_tls(&postgres, authority.client_config().unwrap()).await.unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
    assert_eq!(postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
}

#[tokio::test]
async fn a_login_is_accepted_rejected_or_something_else() {
    let (_, postgres) = with_application(|options| options).await;
    assert_eq!(postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
    assert_eq!(postgres.logs_in("app", "wrong", "shop").await, Login::Rejected);
    let missing = postgres.logs_in("app", "secret", "nowhere").await;
    assert!(matches!(&missing, Login::Other(why) if why.starts_with("3D000")), "{missing:?}");
}

#[tokio::test]
async fn an_md5_server_keeps_and_asks_for_md5() {
    let (_, postgres) = with_application(|options| options.setting("password_encryption", "md5")).await;
    let kept = postgres.value("SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'app'").await.unwrap();
    assert_eq!(kept.as_deref(), Some("md5"));
    assert_eq!(postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
}

#[tokio::test]
async fn an_access_line_of_the_test_comes_first() {
    let (_, postgres) = with_application(|options| options.access("host all app 127.0.0.1/32 reject")).await;
    let refused = postgres.logs_in("app", "secret", "shop").await;
    assert!(matches!(&refused, Login::Other(why) if why.starts_with("28000")), "{refused:?}");
    assert!(postgres.log().unwrap().contains("pg_hba.conf rejects connection"));
}

#[tokio::test]
async fn a_restarted_server_keeps_its_port_and_its_data() {
    let (_, postgres) = with_application(|options| options).await;
    postgres.stop().await.unwrap();
    assert!(matches!(postgres.logs_in("app", "secret", "shop").await, Login::Other(_)));
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
    postgres.crash().await.unwrap();
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
}

#[tokio::test]
async fn a_frozen_server_keeps_its_connections_and_answers_after_the_thaw() {
    let (_, postgres) = with_application(|options| options).await;
    let session = postgres.admin("postgres").await.unwrap();
    postgres.freeze().unwrap();
    let query = session.batch_execute("SELECT 1");
    tokio::pin!(query);
    timeout(Duration::from_millis(300), &mut query).await.expect_err("a frozen server does not answer");
    postgres.thaw().unwrap();
    query.await.unwrap();
    assert_eq!(postgres.logs_in("app", "secret", "shop").await, Login::Accepted);
}

#[tokio::test]
async fn a_standby_follows_and_is_read_only() {
    let (_, primary) = with_application(|options| options).await;
    let standby = primary.standby().await.unwrap();
    primary.sql("ALTER ROLE app PASSWORD 'changed'").await.unwrap();
    standby.caught_up_with(&primary).await.unwrap();
    assert_eq!(standby.logs_in("app", "changed", "shop").await, Login::Accepted);
    assert_eq!(standby.logs_in("app", "secret", "shop").await, Login::Rejected);
    let refused = standby.sql("ALTER ROLE app PASSWORD 'again'").await.unwrap_err();
    assert!(format!("{:?}", refused).contains("read-only transaction"), "{refused:?}");
}

async fn assert_refused_by_the_client(leaf: impl Fn(&Authority) -> Leaf, reason: &str) {
    let authority = Authority::new().unwrap();
    let postgres = Postgres::start(Options::with_tls(leaf(&authority))).await.unwrap();
    let error = sum_over_tls(&postgres, authority.client_config().unwrap()).await.unwrap_err();
    assert!(error.contains(reason), "{error}");
}

async fn with_application(options: impl Fn(Options) -> Options) -> (Authority, Postgres) {
    let authority = Authority::new().unwrap();
    let leaf = authority.leaf(&["localhost"]).unwrap();
    let postgres = Postgres::start(options(Options::with_tls(leaf))).await.unwrap();
    postgres.create_role("app", "secret").await.unwrap();
    postgres.create_database("shop", "app").await.unwrap();
    (authority, postgres)
}

async fn sum_over_tls(postgres: &Postgres, tls: ClientConfig) -> Result<String, String> {
    let mut config = Config::new();
    config.host("localhost").port(postgres.port()).ssl_mode(SslMode::Require);
    config.user("app").password("secret").dbname("shop");
    let (client, connection) =
        config.connect(MakeRustlsConnect::new(tls)).await.map_err(|error| format!("{error:?}"))?;
    tokio::spawn(connection);
    let row = client.query_one("SELECT sum(amount)::text FROM orders", &[]).await.unwrap();
    Ok(row.get(0))
}
