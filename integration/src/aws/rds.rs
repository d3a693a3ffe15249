//! The part of RDS that tells where a database is and how it is, over a state that the test scripts.
//!
//! Served as awsQuery: DescribeDBInstances, DescribeDBClusters, DescribeDBProxies, DescribeDBProxyTargets; and of
//! ModifyDBInstance and ModifyDBCluster what sets the master user's password
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/>).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{ACCOUNT, AwsError, REGION, page};

/// The databases of the local cloud. A clone is the same set.
#[derive(Clone, Default)]
pub struct Rds(Arc<State>);

#[derive(Default)]
struct State {
    databases: Mutex<Databases>,
    /// Who applies what was accepted.
    resets: Mutex<Option<UnboundedSender<Reset>>>,
}

/// What RDS knows. A test changes it through [`Rds::edit`].
#[derive(Clone, Debug, Default)]
pub struct Databases {
    /// Instances, also those that are members of clusters.
    pub instances: Vec<Instance>,
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Proxies.
    pub proxies: Vec<Proxy>,
    /// ARNs of the instances and clusters whose PendingModifiedValues hold a master password.
    pub pending: BTreeSet<String>,
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// DBInstanceIdentifier.
    pub identifier: String,
    /// DbiResourceId, which no other instance ever has.
    pub resource_id: String,
    /// DBInstanceStatus, such as `available`, `stopped`, `modifying`.
    pub status: String,
    /// Engine: `postgres` or `aurora-postgresql`.
    pub engine: String,
    /// Address and port; `None` while the instance is being created.
    pub endpoint: Option<(String, u16)>,
    /// DBClusterIdentifier of a cluster's member.
    pub cluster: Option<String>,
    /// ReadReplicaSourceDBInstanceIdentifier of a replica.
    pub replica_of: Option<String>,
    /// MasterUsername.
    pub master_username: String,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// DBClusterIdentifier.
    pub identifier: String,
    /// DbClusterResourceId, which no other cluster ever has.
    pub resource_id: String,
    /// Status, such as `available`, `failing-over`, `stopped`.
    pub status: String,
    /// Engine.
    pub engine: String,
    /// Address of the writer.
    pub endpoint: String,
    /// Address of the readers.
    pub reader_endpoint: Option<String>,
    /// Custom endpoints.
    pub custom_endpoints: Vec<String>,
    /// Port of all of them.
    pub port: u16,
    /// The members, by instance identifier.
    pub members: Vec<Member>,
    /// MasterUsername.
    pub master_username: String,
}

/// An instance in a cluster.
#[derive(Clone, Debug)]
pub struct Member {
    /// DBInstanceIdentifier.
    pub instance: String,
    /// IsClusterWriter.
    pub writer: bool,
}

/// A proxy and what stands behind it.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// DBProxyName.
    pub name: String,
    /// Status, such as `available`.
    pub status: String,
    /// Its address.
    pub endpoint: String,
    /// The secrets against which it checks logins.
    pub secret_arns: Vec<String>,
    /// The targets of its default group.
    pub targets: Vec<Target>,
}

/// A database behind a proxy.
#[derive(Clone, Debug)]
pub struct Target {
    /// `RDS_INSTANCE` or `TRACKED_CLUSTER`.
    pub kind: String,
    /// RdsResourceId: the identifier of the instance or cluster.
    pub id: String,
    /// TrackedClusterId of an instance that is there because of its cluster.
    pub tracked_cluster: Option<String>,
    /// Address and port; a tracked cluster has none.
    pub endpoint: Option<(String, u16)>,
    /// Role: `READ_WRITE`, `READ_ONLY`, `UNKNOWN`.
    pub role: String,
    /// TargetHealth's state, such as `AVAILABLE`, `UNAVAILABLE`.
    pub health: String,
}

/// A master user's password that RDS has accepted and not set yet.
pub struct Reset {
    /// MasterUsername.
    pub username: String,
    /// MasterUserPassword.
    pub password: String,
    arn: String,
    rds: Rds,
}

impl Reset {
    /// RDS has set it: the instance or cluster is `available` again.
    pub fn done(self) {
        self.rds.edit(|databases| {
            databases.pending.remove(&self.arn);
            let instances = databases.instances.iter_mut().map(|i| (arn("db", &i.identifier), &mut i.status));
            let clusters = databases.clusters.iter_mut().map(|c| (arn("cluster", &c.identifier), &mut c.status));
            for (_, status) in instances.chain(clusters).filter(|(arn, _)| *arn == self.arn) {
                *status = AVAILABLE.to_owned();
            }
        });
    }
}

const AVAILABLE: &str = "available";
const RESETTING: &str = "resetting-master-credentials";

impl Rds {
    /// Changes what RDS knows.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Databases) -> T) -> T {
        change(&mut lock(&self.0.databases))
    }

    /// The master passwords that are accepted from now on, for whoever sets them in the database in place of RDS, when
    /// it likes. Where nobody does, RDS never comes to it.
    pub fn resets(&self) -> UnboundedReceiver<Reset> {
        let (sender, receiver) = unbounded_channel();
        *lock(&self.0.resets) = Some(sender);
        receiver
    }

    pub(super) fn call(&self, action: &str, parameters: Value) -> Result<String, AwsError> {
        let query = Query::new(parameters);
        let result = match action {
            "ModifyDBInstance" => self.modify_instance(query)?,
            "ModifyDBCluster" => self.modify_cluster(query)?,
            _ => self.describe(action, query)?,
        };
        let body = element(&format!("{action}Result"), result) + &metadata();
        Ok(format!("<{action}Response {NAMESPACE}>{body}</{action}Response>"))
    }

    fn describe(&self, action: &str, mut query: Query) -> Result<String, AwsError> {
        let databases = self.edit(|databases| databases.clone());
        let (list, entries) = match action {
            "DescribeDBInstances" => ("DBInstances", instances(&databases, &mut query)?),
            "DescribeDBClusters" => ("DBClusters", clusters(&databases, &mut query)?),
            "DescribeDBProxies" => ("DBProxies", proxies(&databases, &mut query)?),
            "DescribeDBProxyTargets" => ("Targets", targets(&databases, &mut query)?),
            _ => {
                return Err(AwsError::new("InvalidAction", format!("{action} is not simulated")));
            }
        };
        let size = query.take("MaxRecords").map_or(Ok(100), |size| size.parse());
        let size =
            size.ok().filter(|size| (20..=100).contains(size)).ok_or_else(|| invalid("MaxRecords must be 20-100"))?;
        let marker = query.take("Marker");
        query.finish()?;
        let (entries, next) = page(entries, size, marker.as_deref()).ok_or_else(|| invalid("not a Marker"))?;
        Ok(element(list, entries.concat()) + &optional("Marker", next.as_deref()))
    }

    /// An instance's master password is set as soon as possible, whatever ApplyImmediately says.
    fn modify_instance(&self, mut query: Query) -> Result<String, AwsError> {
        let id = query.need("DBInstanceIdentifier")?;
        let password = query.need("MasterUserPassword")?;
        query.take_flag("ApplyImmediately")?;
        query.finish()?;
        check_password(&password, INSTANCE_PASSWORD_LENGTHS)?;
        self.edit(|databases| {
            let found = databases.instances.iter_mut().find(|i| identifies(&id, &i.identifier, "db"));
            let instance = found.ok_or_else(|| no_instance(&id))?;
            if instance.cluster.is_some() {
                return Err(AwsError::new("InvalidParameterCombination", OF_THE_CLUSTER));
            }
            if instance.replica_of.is_some() {
                return Err(AwsError::new("InvalidParameterCombination", OF_THE_SOURCE));
            }
            if instance.status != AVAILABLE {
                return Err(AwsError::new("InvalidDBInstanceState", "Database instance is not in available state."));
            }
            instance.status = RESETTING.to_owned();
            let instance = instance.clone();
            let arn = arn("db", &instance.identifier);
            databases.pending.insert(arn.clone());
            self.accept(arn, instance.master_username.clone(), password);
            Ok(instance_document(databases, &instance))
        })
    }

    /// A cluster's waits for the maintenance window, which never comes here, unless ApplyImmediately is set.
    fn modify_cluster(&self, mut query: Query) -> Result<String, AwsError> {
        let id = query.need("DBClusterIdentifier")?;
        let password = query.need("MasterUserPassword")?;
        let now = query.take_flag("ApplyImmediately")?;
        query.finish()?;
        check_password(&password, CLUSTER_PASSWORD_LENGTHS)?;
        self.edit(|databases| {
            let found = databases.clusters.iter_mut().find(|c| identifies(&id, &c.identifier, "cluster"));
            let cluster = found.ok_or_else(|| no_cluster(&id))?;
            if cluster.status != AVAILABLE {
                return Err(AwsError::new("InvalidDBClusterStateFault", "DB cluster is not in available state."));
            }
            if now {
                cluster.status = RESETTING.to_owned();
            }
            let cluster = cluster.clone();
            let arn = arn("cluster", &cluster.identifier);
            databases.pending.insert(arn.clone());
            if now {
                self.accept(arn, cluster.master_username.clone(), password);
            }
            Ok(cluster_document(databases, &cluster))
        })
    }

    fn accept(&self, arn: String, username: String, password: String) {
        if let Some(resets) = &*lock(&self.0.resets) {
            // Nobody may be there any more; then it stays as it is.
            let _ = resets.send(Reset { username, password, arn, rds: self.clone() });
        }
    }
}

/// Of PostgreSQL, by ModifyDBInstance's reference.
const INSTANCE_PASSWORD_LENGTHS: RangeInclusive<usize> = 8..=128;
/// By ModifyDBCluster's reference. For Aurora PostgreSQL the user guide allows more; what is not sure is refused.
const CLUSTER_PASSWORD_LENGTHS: RangeInclusive<usize> = 8..=41;

const OF_THE_CLUSTER: &str = "The specified DB Instance is a member of a cluster. Modify the master user password for \
                              the DB Cluster using the ModifyDbCluster API";
const OF_THE_SOURCE: &str = "Cannot change master user password on an RDS postgres Read Replica because it uses \
                             physical replication and therefore cannot differ from its parent.";

fn check_password(password: &str, lengths: RangeInclusive<usize>) -> Result<(), AwsError> {
    const INVALID: &str = "The parameter MasterUserPassword is not a valid password";
    if !password.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '@' | '"')) {
        let rule = "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.";
        return Err(invalid(&format!("{INVALID}. {rule}")));
    }
    if password.len() < *lengths.start() {
        return Err(invalid(&format!("{INVALID} because it is shorter than {} characters.", lengths.start())));
    }
    if password.len() > *lengths.end() {
        return Err(invalid(&format!("{INVALID} because it is longer than {} characters.", lengths.end())));
    }
    Ok(())
}

const NAMESPACE: &str = "xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"";

pub(super) fn error_document(error: &AwsError) -> String {
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let fields = text("Type", kind) + &text("Code", error.code) + &text("Message", &error.message);
    let id = text("RequestId", &uuid::Uuid::new_v4().to_string());
    format!("<ErrorResponse {NAMESPACE}>{}{id}</ErrorResponse>", element("Error", fields))
}

fn metadata() -> String {
    element("ResponseMetadata", text("RequestId", &uuid::Uuid::new_v4().to_string()))
}

fn instances(databases: &Databases, query: &mut Query) -> Result<Vec<String>, AwsError> {
    let wanted = query.take("DBInstanceIdentifier");
    let filters = query.filters(&["db-instance-id", "db-cluster-id", "dbi-resource-id", "engine"])?;
    let found: Vec<&Instance> = databases
        .instances
        .iter()
        .filter(|i| wanted.as_ref().is_none_or(|id| identifies(id, &i.identifier, "db")))
        .filter(|i| {
            filters.iter().all(|(name, values)| match name.as_str() {
                "db-instance-id" => values.iter().any(|id| identifies(id, &i.identifier, "db")),
                "db-cluster-id" => {
                    i.cluster.as_ref().is_some_and(|cluster| values.iter().any(|id| identifies(id, cluster, "cluster")))
                }
                "dbi-resource-id" => values.contains(&i.resource_id),
                _ => values.contains(&i.engine),
            })
        })
        .collect();
    if let (Some(id), true) = (wanted, found.is_empty()) {
        return Err(no_instance(&id));
    }
    Ok(found.into_iter().map(|i| instance_document(databases, i)).collect())
}

fn instance_document(databases: &Databases, instance: &Instance) -> String {
    let replicas = databases.instances.iter().filter(|other| other.replica_of.as_ref() == Some(&instance.identifier));
    let replicas = replicas.map(|replica| text("ReadReplicaDBInstanceIdentifier", &replica.identifier)).collect();
    let endpoint = instance.endpoint.as_ref().map_or(String::new(), |(address, port)| {
        element("Endpoint", text("Address", address) + &text("Port", &port.to_string()))
    });
    let fields = [
        text("DBInstanceIdentifier", &instance.identifier),
        text("DBInstanceArn", &arn("db", &instance.identifier)),
        text("DbiResourceId", &instance.resource_id),
        text("DBInstanceStatus", &instance.status),
        text("Engine", &instance.engine),
        text("MasterUsername", &instance.master_username),
        endpoint,
        optional("DBClusterIdentifier", instance.cluster.as_deref()),
        optional("ReadReplicaSourceDBInstanceIdentifier", instance.replica_of.as_deref()),
        element("ReadReplicaDBInstanceIdentifiers", replicas),
        pending(databases, &arn("db", &instance.identifier)),
    ];
    element("DBInstance", fields.concat())
}

fn clusters(databases: &Databases, query: &mut Query) -> Result<Vec<String>, AwsError> {
    let wanted = query.take("DBClusterIdentifier");
    let filters = query.filters(&["db-cluster-id", "db-cluster-resource-id", "engine"])?;
    let found: Vec<&Cluster> = databases
        .clusters
        .iter()
        .filter(|c| wanted.as_ref().is_none_or(|id| identifies(id, &c.identifier, "cluster")))
        .filter(|c| {
            filters.iter().all(|(name, values)| match name.as_str() {
                "db-cluster-id" => values.iter().any(|id| identifies(id, &c.identifier, "cluster")),
                "db-cluster-resource-id" => values.contains(&c.resource_id),
                _ => values.contains(&c.engine),
            })
        })
        .collect();
    if let (Some(id), true) = (wanted, found.is_empty()) {
        return Err(no_cluster(&id));
    }
    Ok(found.into_iter().map(|c| cluster_document(databases, c)).collect())
}

fn cluster_document(databases: &Databases, cluster: &Cluster) -> String {
    let member = |member: &Member| {
        let id = text("DBInstanceIdentifier", &member.instance);
        element("DBClusterMember", id + &text("IsClusterWriter", &member.writer.to_string()))
    };
    let custom = cluster.custom_endpoints.iter().map(|endpoint| text("member", endpoint)).collect();
    let fields = [
        text("DBClusterIdentifier", &cluster.identifier),
        text("DBClusterArn", &arn("cluster", &cluster.identifier)),
        text("DbClusterResourceId", &cluster.resource_id),
        text("Status", &cluster.status),
        text("Engine", &cluster.engine),
        text("MasterUsername", &cluster.master_username),
        text("Endpoint", &cluster.endpoint),
        optional("ReaderEndpoint", cluster.reader_endpoint.as_deref()),
        element("CustomEndpoints", custom),
        text("Port", &cluster.port.to_string()),
        element("DBClusterMembers", cluster.members.iter().map(member).collect()),
        pending(databases, &arn("cluster", &cluster.identifier)),
    ];
    element("DBCluster", fields.concat())
}

fn pending(databases: &Databases, arn: &str) -> String {
    let password = databases.pending.contains(arn).then_some("****");
    element("PendingModifiedValues", optional("MasterUserPassword", password))
}

fn proxies(databases: &Databases, query: &mut Query) -> Result<Vec<String>, AwsError> {
    let wanted = query.take("DBProxyName");
    let found: Vec<&Proxy> =
        databases.proxies.iter().filter(|p| wanted.as_ref().is_none_or(|name| *name == p.name)).collect();
    if let (Some(name), true) = (&wanted, found.is_empty()) {
        return Err(no_proxy(name));
    }
    Ok(found.into_iter().map(proxy_document).collect())
}

fn proxy_document(proxy: &Proxy) -> String {
    let auth = |secret: &String| element("member", text("AuthScheme", "SECRETS") + &text("SecretArn", secret));
    let fields = [
        text("DBProxyName", &proxy.name),
        text("DBProxyArn", &arn("db-proxy", &proxy.name)),
        text("Status", &proxy.status),
        text("EngineFamily", "POSTGRESQL"),
        text("Endpoint", &proxy.endpoint),
        text("RequireTLS", "true"),
        element("Auth", proxy.secret_arns.iter().map(auth).collect()),
    ];
    element("member", fields.concat())
}

fn targets(databases: &Databases, query: &mut Query) -> Result<Vec<String>, AwsError> {
    let name = query.need("DBProxyName")?;
    let proxy = databases.proxies.iter().find(|proxy| proxy.name == name).ok_or_else(|| no_proxy(&name))?;
    match query.take("TargetGroupName") {
        Some(group) if group != "default" => {
            Err(missing("DBProxyTargetGroupNotFoundFault", format!("DBProxyTargetGroup {group} not found.")))
        }
        _ => Ok(proxy.targets.iter().map(target_document).collect()),
    }
}

fn target_document(target: &Target) -> String {
    let (address, port) = target.endpoint.clone().unzip();
    let fields = [
        text("Type", &target.kind),
        text("RdsResourceId", &target.id),
        optional("TrackedClusterId", target.tracked_cluster.as_deref()),
        optional("Endpoint", address.as_deref()),
        optional("Port", port.map(|port| port.to_string()).as_deref()),
        text("Role", &target.role),
        element("TargetHealth", text("State", &target.health)),
    ];
    element("member", fields.concat())
}

/// The parameters of a call; one that nobody took is an error.
struct Query(BTreeMap<String, String>);

impl Query {
    fn new(parameters: Value) -> Self {
        let Value::Object(fields) = parameters else {
            return Self(BTreeMap::new());
        };
        Self(fields.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn need(&mut self, name: &'static str) -> Result<String, AwsError> {
        self.take(name).ok_or_else(|| invalid(&format!("{name} must be given")))
    }

    fn take_flag(&mut self, name: &str) -> Result<bool, AwsError> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(&format!("{name} must be true or false"))),
        }
    }

    fn filters(&mut self, known: &[&str]) -> Result<Vec<(String, Vec<String>)>, AwsError> {
        let mut filters = Vec::new();
        while let Some(name) = self.take(&format!("Filters.Filter.{}.Name", filters.len() + 1)) {
            if !known.contains(&name.as_str()) {
                return Err(invalid(&format!("Unrecognized filter name: {name}")));
            }
            let prefix = format!("Filters.Filter.{}.Values.Value", filters.len() + 1);
            let values: Vec<String> = (1..).map_while(|n| self.take(&format!("{prefix}.{n}"))).collect();
            if values.is_empty() {
                return Err(invalid(&format!("The filter {name} has no values")));
            }
            filters.push((name, values));
        }
        Ok(filters)
    }

    fn finish(self) -> Result<(), AwsError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid(&format!("The parameter {name} is not simulated"))),
        }
    }
}

/// Identifiers are compared without regard to case, and may be given as an ARN.
fn identifies(given: &str, identifier: &str, kind: &str) -> bool {
    given.eq_ignore_ascii_case(identifier) || given == arn(kind, identifier)
}

fn arn(kind: &str, name: &str) -> String {
    format!("arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{name}")
}

fn no_instance(id: &str) -> AwsError {
    missing("DBInstanceNotFound", format!("DBInstance {id} not found."))
}

fn no_cluster(id: &str) -> AwsError {
    missing("DBClusterNotFoundFault", format!("DBCluster {id} not found."))
}

fn no_proxy(name: &str) -> AwsError {
    missing("DBProxyNotFoundFault", format!("DBProxy {name} not found."))
}

fn missing(code: &'static str, message: String) -> AwsError {
    AwsError::new(code, message).with_status(404)
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidParameterValue", message)
}

fn element(name: &str, content: String) -> String {
    format!("<{name}>{content}</{name}>")
}

fn text(name: &str, content: &str) -> String {
    element(name, content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

fn optional(name: &str, content: Option<&str>) -> String {
    content.map_or(String::new(), |content| text(name, content))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
