//! What RDS says of the server is listened to.

use crate::scene::Scene;
use relatch_integration::aws::{
    fault::Fault,
    rds::{Cluster, Instance, Member, Proxy, Target},
};
use serde_json::json;

const READER: &str = "app.cluster-ro-c1a2b3.eu-central-1.rds.amazonaws.com";

#[tokio::test]
async fn a_cluster_that_is_not_available_is_waited_for() {
    let scene = clustered("available").await;
    scene.rotates().await;
    let mut table = Vec::new();
    for status in ["failing-over", "stopped", "upgrading"] {
        scene.cloud.aws.rds().edit(|databases| databases.clusters[0].status = status.into());
        table.push(format!("{status}: {}", scene.fails_and_stays_open().await));
    }
    scene.cloud.aws.rds().edit(|databases| databases.clusters.clear());
    table.push(format!("gone: {}", scene.fails_and_stays_open().await));
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn a_reader_endpoint_is_refused_without_a_connection() {
    let scene = Scene::single_user().await;
    scene.tamper("AWSCURRENT", |value| value["host"] = json!(READER));
    insta::assert_snapshot!(scene.fails().await, @"setSecret Rotation.Refused: refused: the secret's host is a reader endpoint or a replica: use the writer's");
    assert_eq!(scene.cloud.wire.tally().connections, 0);
}

#[tokio::test]
async fn a_clone_is_not_taken_for_the_original() {
    let scene = clustered("available").await;
    let pin = |id: &str| {
        let id = id.to_owned();
        scene
            .cloud
            .aws
            .store()
            .edit(&scene.secret, |secret| secret.tags.insert("relatch:resource-id".into(), id))
            .unwrap();
    };
    pin("cluster-ORIGINAL");
    scene.rotates().await;
    scene.cloud.aws.rds().edit(|databases| databases.clusters[0].resource_id = "cluster-RESTORED".into());
    insta::assert_snapshot!(scene.fails_and_stays_open().await, @"setSecret Rotation.Refused: refused: RDS does not confirm the resource id in the tag `relatch:resource-id`: a clone or a restored snapshot, or RDS could not be asked");
}

#[tokio::test]
async fn without_the_permission_for_rds_the_database_itself_is_the_guard() {
    let scene = clustered("failing-over").await;
    scene.cloud.aws.fault_always("rds:*", Fault::Deny);
    scene.rotates().await;
    assert!(scene.function.output().contains("RDS could not be asked about the server"));
}

#[tokio::test]
async fn rds_is_not_asked_where_it_is_switched_off() {
    let scene = Scene::single_user_with(&[("RELATCH_RDS", "off")], |options| options).await;
    scene.tamper("AWSCURRENT", |value| value["dbClusterIdentifier"] = json!("nowhere"));
    let outcome = scene.rotates().await;
    assert!(outcome.calls().all(|call| call.service != "rds"));
}

#[tokio::test]
async fn behind_a_proxy_the_writer_itself_is_worked_on() {
    const PROXY: &str = "front.proxy-c1a2b3.eu-central-1.rds.amazonaws.com";
    for (kind, tracked_cluster) in [("TRACKED_CLUSTER", None), ("RDS_INSTANCE", Some("app".to_owned()))] {
        let scene = clustered("available").await;
        let id = if tracked_cluster.is_some() { "app-1" } else { "app" };
        let (kind, id, role, health) = (kind.into(), id.into(), "READ_WRITE".into(), "AVAILABLE".into());
        let target = Target { kind, id, tracked_cluster, endpoint: None, role, health };
        scene.cloud.aws.rds().edit(|databases| {
            databases.proxies.push(Proxy {
                name: "front".into(),
                status: "available".into(),
                endpoint: PROXY.into(),
                secret_arns: Vec::new(),
                targets: vec![target],
            });
        });
        // The proxy's name leads nowhere from here: what succeeds has gone to the cluster's own endpoint.
        scene.tamper("AWSCURRENT", |value| value["host"] = json!(PROXY));
        scene.rotates().await;
        assert_eq!(scene.cloud.wire.tally().connections, 4);
        scene.cloud.aws.rds().edit(|databases| databases.clusters[0].status = "failing-over".into());
        assert!(scene.fails_and_stays_open().await.contains("failing over"));
    }
}

#[tokio::test]
async fn a_further_endpoint_of_a_proxy_is_refused_without_a_connection() {
    let scene = Scene::single_user().await;
    let host = "more.endpoint.proxy-c1a2b3.eu-central-1.rds.amazonaws.com";
    scene.tamper("AWSCURRENT", |value| value["host"] = json!(host));
    assert!(scene.fails().await.contains("an additional endpoint of an RDS Proxy"));
    assert_eq!(scene.cloud.wire.tally().connections, 0);
}

/// A scene whose secret names an Aurora cluster of this status.
async fn clustered(status: &str) -> Scene {
    let scene = Scene::single_user().await;
    let port = scene.cloud.wire.port();
    scene.cloud.aws.rds().edit(|databases| {
        databases.instances.push(Instance {
            identifier: "app-1".into(),
            resource_id: "db-ONE".into(),
            status: "available".into(),
            engine: "aurora-postgresql".into(),
            endpoint: Some(("app-1.c1a2b3.eu-central-1.rds.amazonaws.com".into(), port)),
            cluster: Some("app".into()),
            replica_of: None,
            master_username: "postgres".into(),
        });
        databases.clusters.push(Cluster {
            identifier: "app".into(),
            resource_id: "cluster-ORIGINAL".into(),
            status: status.into(),
            engine: "aurora-postgresql".into(),
            endpoint: "localhost".into(),
            reader_endpoint: Some(READER.into()),
            custom_endpoints: Vec::new(),
            port,
            members: vec![Member { instance: "app-1".into(), writer: true }],
            master_username: "postgres".into(),
        });
    });
    scene.tamper("AWSCURRENT", |value| value["dbClusterIdentifier"] = json!("app"));
    scene
}
