//! The local cloud as a whole: a database, the AWS stand-in, and the real handler binary between them.

use crate::{
    aws::{
        ACCOUNT, Endpoint, REGION, emulator,
        store::{Schedule, Version},
    },
    certificates::{Authority, Leaf},
    cli::Operator,
    consumer::{self, Consumer},
    lambda::Function,
    postgres::{Login, Options, Postgres},
    wire::Wire,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The password that roles begin with. Marked, so that it can be searched for where it must not be.
pub const FIRST_PASSWORD: &str = "MARKED-first-password";

/// The password of the admin role.
pub const ADMIN_PASSWORD: &str = "MARKED-admin-password";

/// A database behind a [`Wire`], the AWS stand-in, and what joins them.
pub struct Cloud {
    /// Whom everybody trusts.
    pub authority: Arc<Authority>,
    /// The database itself.
    pub postgres: Arc<Postgres>,
    /// The way to it, for handlers and applications.
    pub wire: Wire,
    /// Secrets Manager and RDS.
    pub aws: Endpoint,
    /// What was started, in this order, and how long each took.
    pub started: Vec<(&'static str, Duration)>,
    leaf: Leaf,
    files: Arc<TempDir>,
}

/// How a secret stands: who is let in with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// AWSCURRENT opens the database.
    Fine,
    /// AWSCURRENT does not, and another labelled version does.
    CurrentShut,
    /// Only a version that has lost its labels opens the database.
    Stranded,
    /// No version opens the database.
    LockedOut,
}

impl Cloud {
    /// Starts a cloud with an ordinary database.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or anything does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(|options| options).await
    }

    /// Starts a cloud with a database of these options.
    ///
    /// # Errors
    /// As [`Cloud::start`].
    pub async fn start_with(options: impl FnOnce(Options) -> Options) -> Result<Self> {
        let (mut started, mut begun) = (Vec::new(), Instant::now());
        let mut done = |what| {
            started.push((what, begun.elapsed()));
            begun = Instant::now();
        };
        let authority = Arc::new(Authority::new()?);
        let leaf = authority.leaf(&["localhost"])?;
        let files = Arc::new(tempfile::tempdir()?);
        fs::write(files.path().join("ca.pem"), authority.pem())?;
        done("certificates");
        let postgres = Arc::new(Postgres::start(options(Options::with_tls(leaf.clone()))).await?);
        done("PostgreSQL");
        let wire = Wire::start(postgres.address(), Some(&leaf))?;
        done("wire");
        let aws = Endpoint::start().await?;
        done("AWS");
        Ok(Self { authority, postgres, wire, aws, started, leaf, files })
    }

    /// Another cloud on the same database: with a wire and an AWS stand-in of its own, whose numbers and faults are
    /// nobody else's.
    ///
    /// # Errors
    /// When anything does not start.
    pub async fn beside(&self) -> Result<Self> {
        Ok(Self {
            authority: Arc::clone(&self.authority),
            postgres: Arc::clone(&self.postgres),
            wire: Wire::start(self.postgres.address(), Some(&self.leaf))?,
            aws: self.aws.beside().await?,
            started: Vec::new(),
            leaf: self.leaf.clone(),
            files: Arc::clone(&self.files),
        })
    }

    /// The `rotate` handler, patient enough for a busy machine and no more.
    ///
    /// # Errors
    /// When the binary has not been built.
    pub fn rotate(&self) -> Result<Function> {
        self.rotate_with(&[])
    }

    /// The `rotate` handler with settings of its own.
    ///
    /// # Errors
    /// As [`Cloud::rotate`].
    pub fn rotate_with(&self, settings: &[(&str, &str)]) -> Result<Function> {
        self.function("rotate", settings)
    }

    /// The `respond` handler.
    ///
    /// # Errors
    /// As [`Cloud::rotate`].
    pub fn respond_with(&self, settings: &[(&str, &str)]) -> Result<Function> {
        self.function("respond", settings)
    }

    /// The `notify` handler.
    ///
    /// # Errors
    /// As [`Cloud::rotate`].
    pub fn notify_with(&self, settings: &[(&str, &str)]) -> Result<Function> {
        notify(&self.aws, settings)
    }

    /// The `relatch` command, in the hands of somebody who may do everything here.
    ///
    /// # Errors
    /// When the binary has not been built.
    pub fn operator(&self) -> Result<Operator> {
        let operator = Operator::new(handler("relatch")?)?;
        let authorities = self.files.path().join("ca.pem");
        Ok(operator
            .setting("AWS_ENDPOINT_URL", self.aws.url())
            .setting("RELATCH_CA_FILE", authorities.to_str().context("the temporary folder's name is not text")?)
            .setting("RELATCH_ADMIN_SECRETS", &self.admins()))
    }

    /// The settings that give a handler the table and the topic.
    pub fn memory() -> [(&'static str, String); 2] {
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", emulator::TOPIC);
        [("RELATCH_TABLE", emulator::TABLE.to_owned()), ("RELATCH_TOPIC_ARN", topic)]
    }

    /// What has been published so far, as a program reads it.
    ///
    /// # Errors
    /// When a message is not what it has to be.
    pub fn published(&self) -> Result<Vec<Value>> {
        published(&self.aws)
    }

    /// What a deployment names as admin secrets: those that have been made for it so far.
    fn admins(&self) -> String {
        self.aws.store().named("admin").join(",")
    }

    fn function(&self, name: &str, settings: &[(&str, &str)]) -> Result<Function> {
        let authorities = self.files.path().join("ca.pem");
        let admins = self.admins();
        let common = [
            ("AWS_ENDPOINT_URL", self.aws.url()),
            ("RELATCH_ENVIRONMENT", "dev"),
            ("RELATCH_CA_FILE", authorities.to_str().context("the temporary folder's name is not text")?),
            ("RELATCH_TIMEOUT_MS", "2000"),
            ("RELATCH_ADMIN_SECRETS", &admins),
        ];
        let env = common.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(Function::new(handler(name)?, env))
    }

    /// A role with a database and data of its own, and a secret that opens it; returns the secret's ARN.
    ///
    /// # Errors
    /// When the database refuses, or the name is taken.
    pub async fn database_secret(&self, name: &str) -> Result<String> {
        self.postgres.create_role(name, FIRST_PASSWORD).await?;
        self.postgres.create_database(name, name).await?;
        self.secret(name, json!({}))
    }

    /// The same, and an admin secret beside it, for alternating users.
    ///
    /// # Errors
    /// As [`Cloud::database_secret`].
    pub async fn database_secret_with_admin(&self, name: &str) -> Result<String> {
        let admin = format!("{name}_admin");
        self.postgres.create_role(name, FIRST_PASSWORD).await?;
        self.postgres.create_database(name, name).await?;
        self.postgres.create_role(&admin, ADMIN_PASSWORD).await?;
        self.postgres.sql(&format!("ALTER ROLE \"{admin}\" CREATEROLE")).await?;
        let admin = json!({
            "engine": "postgres", "host": "localhost", "port": self.wire.port(),
            "username": admin, "password": ADMIN_PASSWORD,
        });
        let masterarn = self.aws.store().create(&format!("{name}-admin"), &admin.to_string())?;
        self.secret(name, json!({ "masterarn": masterarn }))
    }

    /// A secret for a role that is there, with more fields, or other ones; its rotation is switched on, and a tag says
    /// whose it is.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn secret(&self, name: &str, fields: Value) -> Result<String> {
        let mut value = json!({
            "engine": "postgres", "host": "localhost", "port": self.wire.port(), "dbname": name,
            "username": name, "password": FIRST_PASSWORD,
        });
        for (field, content) in fields.as_object().into_iter().flatten() {
            value[field] = content.clone();
        }
        let arn = self.aws.store().create(name, &value.to_string())?;
        let lambda_arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate");
        let rules = json!({ "AutomaticallyAfterDays": 30, "Duration": "2h" });
        let schedule = Schedule { enabled: true, lambda_arn, rules };
        let tag = ("relatch:user".to_owned(), name.to_owned());
        self.aws.store().edit(&arn, |secret| {
            secret.rotation = Some(schedule);
            secret.tags.extend([tag]);
        })?;
        Ok(arn)
    }

    /// Who is let in, by real logins that pass the wire by.
    ///
    /// # Errors
    /// When there is no such secret, or a login told neither yes nor no.
    pub async fn standing(&self, secret: &str) -> Result<Standing> {
        let (mut labelled, mut unlabelled) = (false, false);
        for version in self.aws.store().versions(secret)? {
            let opens = self.opens(&version).await?;
            if opens && version.has("AWSCURRENT") {
                return Ok(Standing::Fine);
            }
            labelled |= opens && !version.labels.is_empty();
            unlabelled |= opens;
        }
        Ok(match (labelled, unlabelled) {
            (true, _) => Standing::CurrentShut,
            (false, true) => Standing::Stranded,
            (false, false) => Standing::LockedOut,
        })
    }

    /// Whether a version opens the database.
    ///
    /// # Errors
    /// When its value is not that of a database secret, or the login told neither yes nor no.
    pub async fn opens(&self, version: &Version) -> Result<bool> {
        let Some(text) = version.text() else { return Ok(false) };
        let value: Value = serde_json::from_str(text).context("a version that is not JSON")?;
        let field = |name: &str| value[name].as_str().unwrap_or_default();
        match self.postgres.logs_in(field("username"), field("password"), field("dbname")).await {
            Login::Accepted => Ok(true),
            Login::Rejected => Ok(false),
            Login::Other(problem) => anyhow::bail!("a login told neither yes nor no: {problem}"),
        }
    }

    /// An application that reads AWSCURRENT anew for each of its connections, and opens one after the other.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn application(&self, secret: &str, dbname: &str, interval: Duration) -> Result<Consumer> {
        let mut target = consumer::Target::new(self.postgres.port(), dbname, self.authority.client_config()?);
        target.interval = interval;
        let (store, secret) = (self.aws.store().clone(), Arc::new(secret.to_owned()));
        Ok(Consumer::start(target, move || {
            let (store, secret) = (store.clone(), Arc::clone(&secret));
            async move {
                let current = store.labelled(&secret, "AWSCURRENT")?.context("nothing is current")?;
                let value: Value = serde_json::from_str(current.text().context("no text")?)?;
                let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                Ok(consumer::Credentials { username: field("username"), password: field("password") })
            }
        }))
    }
}

/// The `notify` handler, which needs no database: it is in no network of ours.
///
/// # Errors
/// When the binary has not been built.
pub fn notify(aws: &Endpoint, settings: &[(&str, &str)]) -> Result<Function> {
    without_database("notify", aws, settings)
}

/// The `audit` handler with the table and the topic, which needs no database either.
///
/// # Errors
/// When the binary has not been built.
pub fn audit(aws: &Endpoint, settings: &[(&str, &str)]) -> Result<Function> {
    let memory = Cloud::memory();
    let memory: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
    without_database("audit", aws, &[&memory, settings].concat())
}

/// What has been published so far, as a program reads it.
///
/// # Errors
/// When a message is not what it has to be.
pub fn published(aws: &Endpoint) -> Result<Vec<Value>> {
    let publications = aws.calls().into_iter().filter(|call| call.action == "Publish");
    let accepted = publications.filter(|call| call.status == Some(200));
    accepted
        .map(|call| {
            let text = call.parameters["Message"].as_str().context("a publication without a message")?;
            let bodies: Value = serde_json::from_str(text)?;
            Ok(serde_json::from_str(bodies["lambda"].as_str().context("no body for functions")?)?)
        })
        .collect()
}

fn without_database(name: &str, aws: &Endpoint, settings: &[(&str, &str)]) -> Result<Function> {
    let common = [("AWS_ENDPOINT_URL", aws.url()), ("RELATCH_ENVIRONMENT", "dev"), ("RELATCH_TIMEOUT_MS", "2000")];
    let env = common.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Ok(Function::new(handler(name)?, env))
}

/// A handler's binary: built into the same folder as the program that asks.
///
/// # Errors
/// When it has not been built.
pub fn handler(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().context("this program is in no folder")?;
    let found = [folder.join(name), folder.join("..").join(name)].into_iter().find(|path| path.is_file());
    let path = found.with_context(|| format!("the handler `{name}` is not built: run `cargo build --bins`"))?;
    ensure!(path.is_file(), "{} is not a file", path.display());
    Ok(path)
}
