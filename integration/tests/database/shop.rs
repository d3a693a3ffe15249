//! A server with the database `shop` and its role `app`, whose password is `secret`.

use relatch_integration::certificates::{Authority, Leaf};
use relatch_integration::postgres::{Login, Options, Postgres};
use relatch_integration::wire::{Operation, Wire};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) struct Shop {
    pub(crate) authority: Authority,
    pub(crate) postgres: Postgres,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(|options| options).await
    }

    pub(crate) async fn open_with(options: impl FnOnce(Options) -> Options) -> Self {
        Self::open_behind(|authority| authority.leaf(&["localhost"]).unwrap(), options).await
    }

    pub(crate) async fn open_behind(
        leaf: impl FnOnce(&Authority) -> Leaf,
        options: impl FnOnce(Options) -> Options,
    ) -> Self {
        let authority = Authority::new().unwrap();
        let postgres = Postgres::start(options(Options::with_tls(leaf(&authority)))).await.unwrap();
        postgres.create_role("app", "secret").await.unwrap();
        postgres.create_database("shop", "app").await.unwrap();
        Self { authority, postgres }
    }

    pub(crate) fn wire(&self) -> Wire {
        let leaf = self.authority.leaf(&["localhost"]).unwrap();
        Wire::start(self.postgres.address(), Some(&leaf)).unwrap()
    }

    /// A session that verifies the server in full, and the task that drives it.
    pub(crate) async fn connect(&self, port: u16, password: &str) -> Result<Session, tokio_postgres::Error> {
        let (client, connection) = config(port, password).connect(self.tls()).await?;
        Ok(Session { client, connection: tokio::spawn(connection) })
    }

    pub(crate) fn tls(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(self.authority.client_config().unwrap())
    }

    pub(crate) async fn opens_with(&self, password: &str) -> bool {
        self.postgres.logs_in("app", password, "shop").await == Login::Accepted
    }

    /// How many sessions of `app` the server has.
    pub(crate) async fn sessions(&self) -> u64 {
        let count = self.postgres.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'").await.unwrap();
        count.unwrap().parse().unwrap()
    }
}

/// A client that is closed properly: when `close` returns, its farewell has been sent.
pub(crate) struct Session {
    pub(crate) client: Client,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Session {
    pub(crate) async fn close(self) {
        drop(self.client);
        self.connection.await.unwrap().unwrap();
    }
}

pub(crate) fn config(port: u16, password: &str) -> Config {
    let mut config = Config::new();
    config.host("localhost").port(port).ssl_mode(SslMode::Require);
    config.user("app").password(password).dbname("shop");
    config
}

pub(crate) fn what(operations: &[Operation]) -> Vec<&str> {
    operations.iter().map(|operation| operation.what.as_str()).collect()
}
