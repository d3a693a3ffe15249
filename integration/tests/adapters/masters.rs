//! How RDS is had set a master user's password.

use relatch::{
    adapters::rds::Rds,
    config::RdsLookup,
    ports::{CallErrorKind, MasterOf, Masters, Servers},
    secret::DatabaseCredentials,
};
use relatch_integration::aws::{
    Endpoint,
    rds::{Cluster, Instance, Member, Proxy, Reset, Target},
};
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

const PASSWORD: &str = "MARKED-master-password";
const PROXY: &str = "front.proxy-c1a2b3.eu-central-1.rds.amazonaws.com";

#[tokio::test]
async fn the_password_of_an_instance_is_set() {
    let mut scene = Scene::start().await;
    scene.sets(&json!({ "dbInstanceIdentifier": "alone" }), &MasterOf::Instance("alone".to_owned())).await;
    assert_eq!(scene.called(), ["DescribeDBInstances", "ModifyDBInstance"]);
}

#[tokio::test]
async fn the_password_of_a_cluster_is_set_at_once_and_not_in_its_window() {
    let mut scene = Scene::start().await;
    scene.sets(&json!({ "dbClusterIdentifier": "app" }), &MasterOf::Cluster("app".to_owned())).await;
    assert_eq!(scene.called(), ["DescribeDBClusters", "ModifyDBCluster"]);
}

#[tokio::test]
async fn the_password_of_a_clusters_member_is_set_in_the_cluster() {
    let mut scene = Scene::start().await;
    scene.sets(&json!({ "dbInstanceIdentifier": "app-1" }), &MasterOf::Cluster("app".to_owned())).await;
}

#[tokio::test]
async fn behind_a_proxy_the_password_of_its_target_is_set() {
    for (kind, id, tracked, of) in [
        ("TRACKED_CLUSTER", "app", None, MasterOf::Cluster("app".to_owned())),
        ("RDS_INSTANCE", "app-1", Some("app"), MasterOf::Cluster("app".to_owned())),
        ("RDS_INSTANCE", "alone", None, MasterOf::Instance("alone".to_owned())),
    ] {
        let mut scene = Scene::start().await;
        let target = Target {
            kind: kind.into(),
            id: id.into(),
            tracked_cluster: tracked.map(str::to_owned),
            endpoint: None,
            role: "READ_WRITE".into(),
            health: "AVAILABLE".into(),
        };
        scene.aws.rds().edit(|databases| {
            databases.proxies.push(Proxy {
                name: "front".into(),
                status: "available".into(),
                endpoint: PROXY.into(),
                secret_arns: Vec::new(),
                targets: vec![target],
            });
        });
        scene.sets(&json!({ "host": PROXY }), &of).await;
    }
}

#[tokio::test]
async fn what_rds_refuses_is_said_without_the_password() {
    let scene = Scene::start().await;
    let refused = async |of: &MasterOf, password: &str| {
        scene.rds.set_master_password(of, &SecretString::from(password)).await.unwrap_err()
    };
    let alone = MasterOf::Instance("alone".to_owned());
    let problem = refused(&alone, "MARKED/password").await;
    assert_eq!((problem.operation, problem.kind), ("rds:ModifyDBInstance", CallErrorKind::Refused));
    assert!(problem.message.contains("not a valid password"), "{problem}");
    assert!(!format!("{problem:?}").contains("MARKED"));

    let problem = refused(&MasterOf::Instance("app-1".to_owned()), PASSWORD).await;
    assert!(problem.message.contains("ModifyDbCluster"), "{problem}");
    let problem = refused(&MasterOf::Cluster("absent".to_owned()), PASSWORD).await;
    assert_eq!((problem.operation, problem.kind), ("rds:ModifyDBCluster", CallErrorKind::NotFound));
}

/// An instance by itself and a cluster, and the adapter that is to set their passwords.
struct Scene {
    aws: Endpoint,
    rds: Rds,
    resets: UnboundedReceiver<Reset>,
}

impl Scene {
    async fn start() -> Self {
        let aws = Endpoint::start().await.unwrap();
        let (rds, resets) = (Rds::new(&aws.sdk(), RdsLookup::Auto), aws.rds().resets());
        let instance = |identifier: &str, cluster: Option<&str>| Instance {
            identifier: identifier.into(),
            resource_id: format!("db-{identifier}"),
            status: "available".into(),
            engine: "postgres".into(),
            endpoint: Some(("localhost".into(), 5432)),
            cluster: cluster.map(str::to_owned),
            replica_of: None,
            master_username: "root".into(),
        };
        aws.rds().edit(|databases| {
            databases.instances = vec![instance("alone", None), instance("app-1", Some("app"))];
            databases.clusters.push(Cluster {
                identifier: "app".into(),
                resource_id: "cluster-ABC".into(),
                status: "available".into(),
                engine: "aurora-postgresql".into(),
                endpoint: "localhost".into(),
                reader_endpoint: None,
                custom_endpoints: Vec::new(),
                port: 5432,
                members: vec![Member { instance: "app-1".into(), writer: true }],
                master_username: "root".into(),
            });
        });
        Self { aws, rds, resets }
    }

    /// Has the password set of the server that these fields of a secret lead to, and is sure that RDS has got it.
    async fn sets(&mut self, fields: &serde_json::Value, expected: &MasterOf) {
        let mut value = json!({ "engine": "postgres", "host": "localhost", "username": "root", "password": "old" });
        for (field, content) in fields.as_object().unwrap() {
            value[field] = content.clone();
        }
        let credentials = DatabaseCredentials::parse(value.to_string().into()).unwrap();
        let master = self.rds.find(&credentials).await.unwrap().master.unwrap();
        assert_eq!((master.username.as_str(), &master.of), ("root", expected));
        self.rds.set_master_password(&master.of, &SecretString::from(PASSWORD)).await.unwrap();
        let reset = self.resets.try_recv().unwrap();
        assert_eq!((reset.username.as_str(), reset.password.as_str()), ("root", PASSWORD));
    }

    fn called(&self) -> Vec<String> {
        self.aws.calls().into_iter().map(|call| call.action).collect()
    }
}
