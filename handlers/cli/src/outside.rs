//! AWS and PostgreSQL, as this person reaches them.

use crate::{arguments::Place, problem::Problem};
use relatch::{
    adapters::{
        self, Access, NoAccess, SdkConfig, postgres::Postgres, rds::Rds, secrets_manager::SecretsManager,
        table::DynamoTable,
    },
    config::Config,
    ports::{CallError, CallErrorKind, Ports},
    rollback::{Repair, RepairError, Settings},
};
use relatch_events::secret::SecretId;

/// AWS and PostgreSQL, as this person reaches them.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) ports: Ports<SecretsManager, Postgres, Rds, Option<DynamoTable>>,
    pub(crate) settings: Settings,
    sdk: SdkConfig,
}

/// What is said of, where it is no secret.
const EVERYTHING: &str = "all secrets";

impl Outside {
    /// By the arguments, the environment, and the profile's files, in this order.
    pub(crate) async fn open(place: &Place, secret: Option<&SecretId>) -> Result<Self, Problem> {
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
            return Err(Problem::of_access(said(secret), NoAccess::Region));
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
        Ok(Self { ports, settings: config.repair, sdk })
    }

    /// What repairs secrets.
    pub(crate) fn repair(&self) -> Repair<SecretsManager, Postgres, Rds, Option<DynamoTable>> {
        Repair { ports: self.ports.clone(), settings: self.settings.clone() }
    }

    /// Why something could not be seen. Whether there are credentials at all is asked only here: that may take a second.
    pub(crate) async fn explain(&self, secret: Option<&SecretId>, error: &RepairError) -> Problem {
        match error {
            RepairError::Interrupted(CallError { kind: CallErrorKind::NoAnswer | CallErrorKind::Refused, .. }) => {
                match adapters::access(&self.sdk).await {
                    Err(missing) => Problem::of_access(said(secret), missing),
                    Ok(()) => Problem::of_repair(said(secret), error),
                }
            }
            RepairError::Interrupted(_) | RepairError::OutOfTime | RepairError::Fault(_) => {
                Problem::of_repair(said(secret), error)
            }
        }
    }
}

fn said(secret: Option<&SecretId>) -> &str {
    secret.map_or(EVERYTHING, SecretId::as_str)
}

/// The region in an ARN: `arn:aws:secretsmanager:REGION:…`.
fn region(secret: &SecretId) -> Option<String> {
    let mut parts = secret.as_str().split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2).map(str::to_owned)).flatten().filter(|region| !region.is_empty())
}
