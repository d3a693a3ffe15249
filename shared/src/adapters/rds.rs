//! RDS, through the AWS SDK: is the server fit to be worked on, and where is its writer?
//!
//! A host of RDS's own tells what it is: `NAME.cluster-…` is an Aurora cluster's writer, `NAME.cluster-ro-…` its readers,
//! `NAME.proxy-…` an RDS Proxy, `NAME.` and a bare id an instance. Of any other the secret's identifiers tell. A proxy checks passwords against its own copy of the secret,
//! so a login through it proves nothing of the database; changes and proofs go to the writer behind it.
//!
//! RDS can also set the password of the user that it created together with the server.

use super::{aws::call_error, late::Late};
use crate::{
    config::RdsLookup,
    ports::{CallError, CallErrorKind, Door, Master, MasterOf, Masters, Server, ServerState, Servers},
    secret::DatabaseCredentials,
};
use aws_config::SdkConfig;
use aws_sdk_rds::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{DbCluster, DbInstance, DbProxyTarget, TargetType},
};
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;

/// RDS.
#[derive(Debug, Clone)]
pub struct Rds {
    /// Needed only where the host is one of RDS's.
    client: Late<Client>,
    lookup: RdsLookup,
}

/// What a secret's host and identifiers name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Cluster(String),
    Readers,
    Proxy(String),
    ProxyEndpoint,
    Instance(String),
    /// Not RDS.
    Foreign,
}

impl Rds {
    /// A client by the SDK's settings.
    pub fn new(sdk: &SdkConfig, lookup: RdsLookup) -> Self {
        Self { client: Late::new(sdk, Client::new), lookup }
    }

    async fn cluster(&self, name: &str, credentials: &DatabaseCredentials) -> Result<Server, CallError> {
        let answer = self.client.describe_db_clusters().db_cluster_identifier(name).send().await;
        let answer = answer.map_err(|error| call_error("rds:DescribeDBClusters", &error))?;
        Ok(answer.db_clusters().first().map_or_else(missing, |cluster| read_cluster(cluster, &credentials.host)))
    }

    async fn instance(&self, name: &str, credentials: &DatabaseCredentials) -> Result<Server, CallError> {
        let answer = self.client.describe_db_instances().db_instance_identifier(name).send().await;
        let answer = answer.map_err(|error| call_error("rds:DescribeDBInstances", &error))?;
        let Some(instance) = answer.db_instances().first() else { return Ok(missing()) };
        match instance.db_cluster_identifier() {
            // The cluster knows which of its instances writes.
            Some(cluster) => {
                let server = self.cluster(cluster, credentials).await?;
                Ok(Server { door: Door::default(), ..server })
            }
            None => Ok(read_instance(instance)),
        }
    }

    async fn proxy(&self, name: &str, credentials: &DatabaseCredentials) -> Result<Server, CallError> {
        let answer = self.client.describe_db_proxy_targets().db_proxy_name(name).send().await;
        let answer = answer.map_err(|error| call_error("rds:DescribeDBProxyTargets", &error))?;
        let targets = answer.targets();
        // A cluster stands there by itself, and each of its instances names it.
        let is_cluster = |target: &&DbProxyTarget| target.r#type() == Some(&TargetType::TrackedCluster);
        let itself = targets.iter().find(is_cluster).and_then(DbProxyTarget::rds_resource_id);
        let cluster = itself.or_else(|| targets.iter().find_map(DbProxyTarget::tracked_cluster_id));
        match (cluster, targets.iter().find_map(DbProxyTarget::rds_resource_id)) {
            (Some(cluster), _) => {
                let answer = self.client.describe_db_clusters().db_cluster_identifier(cluster).send().await;
                let answer = answer.map_err(|error| call_error("rds:DescribeDBClusters", &error))?;
                Ok(answer.db_clusters().first().map_or_else(missing, |cluster| Server {
                    door: door(cluster.endpoint(), cluster.port(), credentials),
                    ..read_cluster(cluster, cluster.endpoint().unwrap_or_default())
                }))
            }
            (None, Some(instance)) => {
                let answer = self.client.describe_db_instances().db_instance_identifier(instance).send().await;
                let answer = answer.map_err(|error| call_error("rds:DescribeDBInstances", &error))?;
                Ok(answer.db_instances().first().map_or_else(missing, |instance| {
                    let endpoint = instance.endpoint();
                    let address = endpoint.and_then(|endpoint| endpoint.address());
                    let port = endpoint.and_then(|endpoint| endpoint.port());
                    Server { door: door(address, port, credentials), ..read_instance(instance) }
                }))
            }
            (None, None) => Ok(missing()),
        }
    }
}

impl Servers for Rds {
    async fn find(&self, credentials: &DatabaseCredentials) -> Result<Server, CallError> {
        let unlisted = Server::default();
        let found = match (self.lookup, name(credentials)) {
            (RdsLookup::Off, _) | (RdsLookup::Auto, Name::Foreign) => return Ok(unlisted),
            (RdsLookup::Auto, Name::Readers) => return Ok(Server { state: ServerState::Reader, ..unlisted }),
            (RdsLookup::Auto, Name::ProxyEndpoint) => {
                return Ok(Server { state: ServerState::ProxyEndpoint, ..unlisted });
            }
            (RdsLookup::Auto, Name::Cluster(name)) => self.cluster(&name, credentials).await,
            (RdsLookup::Auto, Name::Instance(name)) => self.instance(&name, credentials).await,
            (RdsLookup::Auto, Name::Proxy(name)) => self.proxy(&name, credentials).await,
        };
        match found {
            // A role made for AWS's functions has no permission for RDS. The database's own answers still guard the
            // rotation, except behind a proxy, whose answers are not the database's.
            Err(error) if error.kind == CallErrorKind::Denied && !matches!(name(credentials), Name::Proxy(_)) => {
                warn!(
                    aws.operation = error.operation,
                    error = error.message,
                    "RDS could not be asked about the server; going on without"
                );
                Ok(unlisted)
            }
            Err(error) if error.kind == CallErrorKind::NotFound => Ok(missing()),
            found => found,
        }
    }
}

impl Masters for Rds {
    async fn set_master_password(&self, of: &MasterOf, password: &SecretString) -> Result<(), CallError> {
        let password = password.expose_secret();
        match of {
            MasterOf::Cluster(name) => {
                let call = self.client.modify_db_cluster().db_cluster_identifier(name);
                let answer = call.master_user_password(password).apply_immediately(true).send().await;
                answer.map(drop).map_err(|error| reset_error("rds:ModifyDBCluster", &error))
            }
            MasterOf::Instance(name) => {
                let call = self.client.modify_db_instance().db_instance_identifier(name);
                let answer = call.master_user_password(password).apply_immediately(true).send().await;
                answer.map(drop).map_err(|error| reset_error("rds:ModifyDBInstance", &error))
            }
        }
    }
}

/// While RDS sets a password, it takes no other. So this may be the answer to a repetition by the SDK, and the first
/// answer, which was lost, a yes.
fn reset_error<E: ProvideErrorMetadata, R>(operation: &'static str, error: &SdkError<E, R>) -> CallError {
    let problem = call_error(operation, error);
    match error.code() {
        Some("InvalidDBInstanceState" | "InvalidDBClusterStateFault") => {
            CallError { kind: CallErrorKind::NoAnswer, ..problem }
        }
        _ => problem,
    }
}

/// What a secret's host names, and where that says nothing, its identifiers.
fn name(credentials: &DatabaseCredentials) -> Name {
    match of_rds(&credentials.host) {
        Some(name) => name,
        None => match (&credentials.cluster, &credentials.instance) {
            (Some(cluster), _) => Name::Cluster(cluster.clone()),
            (None, Some(instance)) => Name::Instance(instance.clone()),
            (None, None) => Name::Foreign,
        },
    }
}

/// The domains that RDS's names end in, in all partitions. Source: `RdsUtils` of AWS's own driver
/// (aws-advanced-jdbc-wrapper), and the partitions in botocore's `endpoints.json`.
const DOMAINS: [&str; 9] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "amazonaws.au",
    "amazonaws.uk",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// What a name of RDS's own names: `NAME.KIND-ID.REGION.rds.DOMAIN`, in China and in closed partitions
/// `NAME.KIND-ID.rds.REGION.DOMAIN`. `None` of any other: also of a kind that tells no cluster or instance, such as
/// Aurora's custom endpoints (`cluster-custom-`), the writer of a global database (`global-`), a shard group
/// (`shardgrp-`), and whatever RDS invents next.
fn of_rds(host: &str) -> Option<Name> {
    let name = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'))?;
    let mut labels: Vec<&str> = name.split('.').collect();
    let service = labels.iter().rposition(|label| matches!(*label, "rds" | "rds-fips"))?;
    if service + 2 < labels.len() {
        return None;
    }
    labels.remove(service);
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let of_kind = |label: &str, kind: &str| label.strip_prefix(kind).is_some_and(is_id);
    match labels.as_slice() {
        [_, "endpoint", kind, _region] if of_kind(kind, "proxy-") => Some(Name::ProxyEndpoint),
        [proxy, kind, _region] if of_kind(kind, "proxy-") => Some(Name::Proxy((*proxy).to_owned())),
        [_, kind, _region] if of_kind(kind, "cluster-ro-") => Some(Name::Readers),
        [cluster, kind, _region] if of_kind(kind, "cluster-") => Some(Name::Cluster((*cluster).to_owned())),
        [instance, id, _region] if is_id(id) => Some(Name::Instance((*instance).to_owned())),
        _ => None,
    }
}

fn read_cluster(cluster: &DbCluster, host: &str) -> Server {
    let member = host.split('.').next().unwrap_or_default();
    let reads = cluster.reader_endpoint() == Some(host)
        || cluster.db_cluster_members().iter().any(|instance| {
            instance.db_instance_identifier() == Some(member) && instance.is_cluster_writer() == Some(false)
        });
    Server {
        state: if reads { ServerState::Reader } else { state(cluster.status()) },
        door: Door::default(),
        resource_id: cluster.db_cluster_resource_id().map(str::to_owned),
        master: master(
            cluster.master_username().filter(|_| cluster.master_user_secret().is_none()),
            cluster.db_cluster_identifier().map(|name| MasterOf::Cluster(name.to_owned())),
        ),
    }
}

fn read_instance(instance: &DbInstance) -> Server {
    let replica = instance.read_replica_source_db_instance_identifier().is_some();
    Server {
        state: if replica { ServerState::Reader } else { state(instance.db_instance_status()) },
        door: Door::default(),
        resource_id: instance.dbi_resource_id().map(str::to_owned),
        master: master(
            instance.master_username().filter(|_| !replica && instance.master_user_secret().is_none()),
            instance.db_instance_identifier().map(|name| MasterOf::Instance(name.to_owned())),
        ),
    }
}

/// A master user whose password RDS manages itself (`MasterUserSecret`) is not ours to set, and RDS would refuse it.
fn master(username: Option<&str>, of: Option<MasterOf>) -> Option<Master> {
    Some(Master { username: username?.to_owned(), of: of? })
}

/// Statuses in which a database answers as usual. Source: the RDS user guide, "Viewing DB instance status".
fn state(status: Option<&str>) -> ServerState {
    match status.unwrap_or_default() {
        "available" | "backing-up" | "storage-optimization" | "storage-initialization" => ServerState::Available,
        status if status.starts_with("configuring-") => ServerState::Available,
        "stopped" | "stopping" => ServerState::Stopped,
        _ => ServerState::NotAvailable,
    }
}

fn door(host: Option<&str>, port: Option<i32>, credentials: &DatabaseCredentials) -> Door {
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).unwrap_or(credentials.port);
    Door { endpoint: host.map(|host| (host.to_owned(), port)) }
}

fn missing() -> Server {
    Server { state: ServerState::Missing, ..Server::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use aws_sdk_rds::types::MasterUserSecret;

    #[test]
    fn a_host_tells_what_it_is() {
        let table: Vec<String> = [
            ("app.cluster-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("app.cluster-ro-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("any.cluster-custom-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("any.cluster-custom-c1a2b3.eu-central-1.rds.amazonaws.com", r#","dbClusterIdentifier":"app""#),
            ("app.proxy-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("more.endpoint.proxy-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("app-1.c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("App.Cluster-C1A2B3.eu-central-1.RDS.amazonaws.com.", ""),
            ("shop.global-c1a2b3.global.rds.amazonaws.com", ""),
            ("shop.global-c1a2b3.global.rds.amazonaws.com", r#","dbClusterIdentifier":"shop""#),
            ("shop.shardgrp-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("shop.shardgrp-c1a2b3.eu-central-1.rds.amazonaws.com", r#","dbClusterIdentifier":"shop""#),
            ("shop.invented-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("shop.cluster-next-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("a.b.cluster-c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("rds.amazonaws.com", ""),
            ("eu-central-1.rds.amazonaws.com", ""),
            ("app-1.c1a2b3.rds.cn-north-1.amazonaws.com.cn", ""),
            ("app.cluster-c1a2b3.rds.cn-northwest-1.amazonaws.com.cn", ""),
            ("app.cluster-ro-c1a2b3.rds.cn-northwest-1.amazonaws.com.cn", ""),
            ("app.proxy-c1a2b3.rds.cn-northwest-1.amazonaws.com.cn", ""),
            ("more.endpoint.proxy-c1a2b3.rds.cn-northwest-1.amazonaws.com.cn", ""),
            ("app-1.c1a2b3.cn-north-1.rds.amazonaws.com.cn", ""),
            ("app.cluster-c1a2b3.us-gov-west-1.rds.amazonaws.com", ""),
            ("app.cluster-c1a2b3.rds.us-gov-east-1.amazonaws.com", ""),
            ("app.cluster-c1a2b3.rds.us-iso-east-1.c2s.ic.gov", ""),
            ("app-1.c1a2b3.rds.us-isob-east-1.sc2s.sgov.gov", ""),
            ("app.cluster-c1a2b3.eusc-de-east-1.rds.amazonaws.eu", ""),
            ("app-1.c1a2b3.us-east-1.rds-fips.amazonaws.com", ""),
            ("shop-green-ab12cd.c1a2b3.eu-central-1.rds.amazonaws.com", ""),
            ("app.cluster-c1a2b3.rds.eu-central-1.on.aws", ""),
            ("app-1.c1a2b3.eu-central-1.rds.amazonaws.com.example.com", ""),
            ("db.example.com", ""),
            ("db.example.com", r#","dbClusterIdentifier":"app-prod-cluster""#),
            ("db.example.com", r#","dbInstanceIdentifier":"app-1""#),
        ]
        .iter()
        .map(|(host, more)| {
            let text = format!(r#"{{"engine":"postgres","username":"u","password":"p","host":"{host}"{more}}}"#);
            let credentials = DatabaseCredentials::parse(text.into()).unwrap();
            format!("{host} {more} => {:?}", name(&credentials))
        })
        .collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn only_a_password_that_rds_can_set_has_a_master() {
        let secret = MasterUserSecret::builder().secret_arn("arn").build();
        let cluster = DbCluster::builder().db_cluster_identifier("app").master_username("root");
        let of = MasterOf::Cluster("app".to_owned());
        let found = read_cluster(&cluster.clone().build(), "").master;
        assert_eq!(found, Some(Master { username: "root".to_owned(), of }));
        assert_eq!(read_cluster(&cluster.master_user_secret(secret.clone()).build(), "").master, None);

        let instance = DbInstance::builder().db_instance_identifier("app-1").master_username("root");
        let of = MasterOf::Instance("app-1".to_owned());
        let found = read_instance(&instance.clone().build()).master;
        assert_eq!(found, Some(Master { username: "root".to_owned(), of }));
        let replica = instance.clone().read_replica_source_db_instance_identifier("app-0").build();
        assert_eq!(read_instance(&replica).master, None);
        assert_eq!(read_instance(&instance.master_user_secret(secret).build()).master, None);
    }

    #[test]
    fn only_known_good_statuses_are_available() {
        for (status, expected) in [
            ("available", ServerState::Available),
            ("backing-up", ServerState::Available),
            ("configuring-log-exports", ServerState::Available),
            ("failing-over", ServerState::NotAvailable),
            ("rebooting", ServerState::NotAvailable),
            ("modifying", ServerState::NotAvailable),
            ("stopped", ServerState::Stopped),
            ("something-new", ServerState::NotAvailable),
        ] {
            assert_eq!(state(Some(status)), expected, "{status}");
        }
    }
}
