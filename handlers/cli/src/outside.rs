//! AWS and PostgreSQL, as this person reaches them.

use crate::{
    arguments::{Command, Place},
    ledger::Clock,
    problem::Problem,
};
use jiff::tz::TimeZone;
use relatch::{
    adapters::{
        self, Access, NoAccess, SdkConfig, postgres::Postgres, rds::Rds, secrets_manager::SecretsManager,
        table::DynamoTable,
    },
    config::{Config, Environment},
    ports::{CallError, CallErrorKind, Ports, Secrets as _},
    rollback::{Repair, RepairError, Settings},
};
use relatch_events::secret::SecretId;

/// AWS and PostgreSQL, as this person reaches them.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) ports: Ports<SecretsManager, Postgres, Rds, Option<DynamoTable>>,
    pub(crate) settings: Settings,
    /// Which environment this is, for all that is set.
    pub(crate) environment: Environment,
    time_zone: TimeZone,
    pub(crate) sdk: SdkConfig,
}

/// What is said of, where it is no secret but what is remembered.
pub(crate) const THE_TABLE: &str = "the table";

impl Outside {
    /// By the arguments, the environment, and the profile's files, in this order.
    pub(crate) async fn open(place: &Place, command: &Command) -> Result<Self, Problem> {
        let secret = command.secret();
        let config = Config::from_env().map_err(|error| {
            Problem::wrong_use("the environment", error.0.join(", "), "correct it: docs/CLI.md lists the settings")
        })?;
        let access = Access {
            profile: place.profile.clone(),
            // An alert names the secret by its ARN, and that is where it is, whatever the profile says.
            region: place.region.clone().or_else(|| region(secret?)),
            endpoint: place.endpoint_url.clone(),
        };
        let sdk = adapters::sdk_config_with(config.repair.patience, access).await;
        if sdk.region().is_none() {
            return Err(Problem::of_access(command.about(), NoAccess::Region));
        }
        let endpoint = config.secrets_endpoint.filter(|_| place.endpoint_url.is_none());
        let table = place.table.clone().or(config.people.table);
        let database = Postgres::new(config.database).map_err(|error| {
            Problem::wrong_use("RELATCH_CA_FILE", error.to_string(), "name a file of certificates in PEM")
        })?;
        let ports = Ports {
            secrets: SecretsManager::new(&sdk, endpoint.as_deref()),
            database,
            servers: Rds::new(&sdk, config.rds),
            table: table.map(|name| DynamoTable::new(&sdk, name)),
        };
        Ok(Self {
            ports,
            settings: config.repair,
            environment: config.metrics.environment,
            time_zone: config.audience.time_zone,
            sdk,
        })
    }

    /// What repairs secrets.
    pub(crate) fn repair(&self) -> Repair<SecretsManager, Postgres, Rds, Option<DynamoTable>> {
        Repair { ports: self.ports.clone(), settings: self.settings.clone() }
    }

    /// The table: what is asked of it is nothing without one.
    pub(crate) fn table(&self, so: &str) -> Result<&DynamoTable, Problem> {
        let missing = || {
            let why = format!("no table is named, so {so}");
            Problem::wrong_use(THE_TABLE, why, "set RELATCH_TABLE or --table")
        };
        self.ports.table.as_ref().ok_or_else(missing)
    }

    /// How times are told.
    pub(crate) fn clock(&self) -> Clock {
        Clock(self.time_zone.clone())
    }

    /// What was answered, or why it could not be seen.
    pub(crate) async fn told<T>(&self, about: &str, answer: Result<T, CallError>) -> Result<T, Problem> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.explain(about, &RepairError::Interrupted(error)).await),
        }
    }

    /// The full ARN of a secret, which is what the table goes by.
    pub(crate) async fn arn(&self, secret: &SecretId) -> Result<String, Problem> {
        let description = self.told(secret.as_str(), self.ports.secrets.describe(secret).await).await?;
        Ok(description.arn.unwrap_or_else(|| secret.to_string()))
    }

    /// Why something could not be seen. Whether there are credentials at all is asked only here: that may take a second.
    pub(crate) async fn explain(&self, about: &str, error: &RepairError) -> Problem {
        match error {
            RepairError::Interrupted(CallError { kind: CallErrorKind::NoAnswer | CallErrorKind::Refused, .. }) => {
                match adapters::access(&self.sdk).await {
                    Err(missing) => Problem::of_access(about, missing),
                    Ok(()) => Problem::of_repair(about, error),
                }
            }
            RepairError::Interrupted(_) | RepairError::OutOfTime | RepairError::Fault(_) => {
                Problem::of_repair(about, error)
            }
        }
    }
}

/// The region in an ARN: `arn:aws:secretsmanager:REGION:…`.
fn region(secret: &SecretId) -> Option<String> {
    let mut parts = secret.as_str().split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2).map(str::to_owned)).flatten().filter(|region| !region.is_empty())
}
