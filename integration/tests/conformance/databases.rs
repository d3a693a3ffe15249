//! What RDS tells of databases, and how it sets a master user's password.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::Filter;
use relatch_integration::aws::rds::{Cluster, Databases, Instance, Member, Proxy, Target};
use relatch_integration::aws::{Endpoint, WITHHELD};

use crate::{Refused, once, refusal};

const PASSWORD: &str = "MARKED-master-password";

fn instance(identifier: &str) -> Instance {
    Instance {
        identifier: identifier.into(),
        resource_id: format!("db-{}", identifier.to_uppercase()),
        status: "available".into(),
        engine: "aurora-postgresql".into(),
        endpoint: Some((format!("{identifier}.example.internal"), 5432)),
        cluster: Some("app-cluster".into()),
        replica_of: None,
        master_username: "postgres".into(),
    }
}

/// A cluster of two behind a proxy, and an instance by itself with a replica.
async fn databases() -> (Endpoint, Client) {
    let endpoint = Endpoint::start().await.unwrap();
    let cluster = Cluster {
        identifier: "app-cluster".into(),
        resource_id: "cluster-ABC".into(),
        status: "available".into(),
        engine: "aurora-postgresql".into(),
        endpoint: "app-cluster.example.internal".into(),
        reader_endpoint: Some("app-cluster-ro.example.internal".into()),
        custom_endpoints: vec!["custom.example.internal".into()],
        port: 5432,
        members: vec![
            Member { instance: "one".into(), writer: true },
            Member { instance: "two".into(), writer: false },
        ],
        master_username: "postgres & <co>".into(),
    };
    let target = |kind: &str, id: &str, role: &str| Target {
        kind: kind.into(),
        id: id.into(),
        tracked_cluster: (kind == "RDS_INSTANCE").then(|| "app-cluster".into()),
        endpoint: (kind == "RDS_INSTANCE").then(|| (format!("{id}.example.internal"), 5432)),
        role: role.into(),
        health: "AVAILABLE".into(),
    };
    let proxy = Proxy {
        name: "app-proxy".into(),
        status: "available".into(),
        endpoint: "app-proxy.example.internal".into(),
        secret_arns: vec!["arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf".into()],
        targets: vec![target("TRACKED_CLUSTER", "app-cluster", "UNKNOWN"), target("RDS_INSTANCE", "one", "READ_WRITE")],
    };
    let alone = Instance { engine: "postgres".into(), cluster: None, ..instance("alone") };
    let replica =
        Instance { replica_of: Some("alone".into()), ..Instance { identifier: "replica".into(), ..alone.clone() } };
    endpoint.rds().edit(|rds| {
        *rds = Databases {
            instances: vec![instance("one"), instance("two"), alone, replica],
            clusters: vec![cluster],
            proxies: vec![proxy],
            ..Databases::default()
        };
    });
    let client = Client::new(&once(endpoint.sdk()));
    (endpoint, client)
}

#[tokio::test]
async fn a_cluster_tells_its_endpoints_its_status_and_its_writer() {
    let (endpoint, client) = databases().await;
    let describe = || client.describe_db_clusters().db_cluster_identifier("APP-cluster").send();
    let answer = describe().await.unwrap();
    let cluster = &answer.db_clusters()[0];
    assert_eq!(cluster.db_cluster_resource_id(), Some("cluster-ABC"));
    assert_eq!(cluster.endpoint(), Some("app-cluster.example.internal"));
    assert_eq!(cluster.reader_endpoint(), Some("app-cluster-ro.example.internal"));
    assert_eq!(cluster.custom_endpoints(), ["custom.example.internal"]);
    assert_eq!(cluster.port(), Some(5432));
    assert_eq!(cluster.master_username(), Some("postgres & <co>"));
    let members: Vec<_> = cluster
        .db_cluster_members()
        .iter()
        .map(|m| (m.db_instance_identifier().unwrap(), m.is_cluster_writer()))
        .collect();
    assert_eq!(members, [("one", Some(true)), ("two", Some(false))]);
    endpoint.rds().edit(|rds| rds.clusters[0].status = "failing-over".into());
    assert_eq!(describe().await.unwrap().db_clusters()[0].status(), Some("failing-over"));
}

#[tokio::test]
async fn an_instance_tells_its_address_its_cluster_and_its_replicas() {
    let (_endpoint, client) = databases().await;
    let one = client.describe_db_instances().db_instance_identifier("one").send().await.unwrap();
    let one = &one.db_instances()[0];
    assert_eq!(one.endpoint().unwrap().address(), Some("one.example.internal"));
    assert_eq!(one.endpoint().unwrap().port(), Some(5432));
    assert_eq!(one.db_cluster_identifier(), Some("app-cluster"));
    assert_eq!(one.dbi_resource_id(), Some("db-ONE"));
    let alone = client.describe_db_instances().db_instance_identifier("alone").send().await.unwrap();
    assert_eq!(alone.db_instances()[0].read_replica_db_instance_identifiers(), ["replica"]);
    assert_eq!(alone.db_instances()[0].db_cluster_identifier(), None);
    let replica = client.describe_db_instances().db_instance_identifier("replica").send().await.unwrap();
    assert_eq!(replica.db_instances()[0].read_replica_source_db_instance_identifier(), Some("alone"));
}

#[tokio::test]
async fn instances_are_filtered_and_an_unknown_filter_is_refused() {
    let (_endpoint, client) = databases().await;
    let filtered = async |name: &str, value: &str| {
        let filter = Filter::builder().name(name).values(value).build();
        let answer = client.describe_db_instances().filters(filter).send().await.map_err(refusal)?;
        Ok(answer.db_instances().len())
    };
    assert_eq!(filtered("db-cluster-id", "app-cluster").await.unwrap(), 2);
    assert_eq!(filtered("dbi-resource-id", "db-ONE").await.unwrap(), 1);
    assert_eq!(filtered("engine", "mysql").await.unwrap(), 0);
    assert_eq!(filtered("status", "available").await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn a_proxy_tells_its_secrets_and_its_targets() {
    let (_endpoint, client) = databases().await;
    let proxies = client.describe_db_proxies().send().await.unwrap();
    let proxy = &proxies.db_proxies()[0];
    assert_eq!(proxy.endpoint(), Some("app-proxy.example.internal"));
    assert!(proxy.auth()[0].secret_arn().unwrap().ends_with("app-AbCdEf"));
    let targets = client.describe_db_proxy_targets().db_proxy_name("app-proxy").send().await.unwrap();
    let [cluster, writer] = targets.targets() else { panic!("two targets") };
    assert_eq!(cluster.r#type().unwrap().as_str(), "TRACKED_CLUSTER");
    assert_eq!(cluster.endpoint(), None);
    assert_eq!(writer.role().unwrap().as_str(), "READ_WRITE");
    assert_eq!(writer.endpoint(), Some("one.example.internal"));
    assert_eq!(writer.target_health().unwrap().state().unwrap().as_str(), "AVAILABLE");
}

#[tokio::test]
async fn what_is_not_there_is_a_fault_of_its_own_kind() {
    let (endpoint, client) = databases().await;
    let instance = client.describe_db_instances().db_instance_identifier("absent").send().await;
    assert!(instance.unwrap_err().into_service_error().is_db_instance_not_found_fault());
    let cluster = client.describe_db_clusters().db_cluster_identifier("absent").send().await;
    assert!(cluster.unwrap_err().into_service_error().is_db_cluster_not_found_fault());
    let proxy = client.describe_db_proxies().db_proxy_name("absent").send().await;
    assert!(proxy.unwrap_err().into_service_error().is_db_proxy_not_found_fault());
    let targets = client.describe_db_proxy_targets().db_proxy_name("absent").send().await;
    assert!(targets.unwrap_err().into_service_error().is_db_proxy_not_found_fault());
    let call = endpoint.calls().remove(0);
    assert_eq!((call.service, call.action.as_str(), call.status), ("rds", "DescribeDBInstances", Some(404)));
}

#[tokio::test]
async fn an_instances_master_password_is_set_some_time_after_the_answer() {
    let (endpoint, client) = databases().await;
    let mut resets = endpoint.rds().resets();
    let modify = client.modify_db_instance().db_instance_identifier("ALONE").master_user_password(PASSWORD);
    let answer = modify.send().await.unwrap();
    let describe = || client.describe_db_instances().db_instance_identifier("alone").send();
    let described = describe().await.unwrap();
    for instance in [answer.db_instance().unwrap(), &described.db_instances()[0]] {
        assert_eq!(instance.db_instance_status(), Some("resetting-master-credentials"));
        assert_eq!(instance.pending_modified_values().unwrap().master_user_password(), Some("****"));
    }
    let reset = resets.recv().await.unwrap();
    assert_eq!((reset.username.as_str(), reset.password.as_str()), ("postgres", PASSWORD));
    reset.done();
    let described = describe().await.unwrap();
    assert_eq!(described.db_instances()[0].db_instance_status(), Some("available"));
    assert_eq!(described.db_instances()[0].pending_modified_values().unwrap().master_user_password(), None);
}

#[tokio::test]
async fn a_clusters_master_password_is_set_some_time_after_the_answer() {
    let (endpoint, client) = databases().await;
    let mut resets = endpoint.rds().resets();
    let modify = client.modify_db_cluster().db_cluster_identifier("app-cluster").master_user_password(PASSWORD);
    let answer = modify.apply_immediately(true).send().await.unwrap();
    let describe = || client.describe_db_clusters().db_cluster_identifier("app-cluster").send();
    let described = describe().await.unwrap();
    for cluster in [answer.db_cluster().unwrap(), &described.db_clusters()[0]] {
        assert_eq!(cluster.status(), Some("resetting-master-credentials"));
        assert_eq!(cluster.pending_modified_values().unwrap().master_user_password(), Some("****"));
    }
    let reset = resets.recv().await.unwrap();
    assert_eq!((reset.username.as_str(), reset.password.as_str()), ("postgres & <co>", PASSWORD));
    reset.done();
    let described = describe().await.unwrap();
    assert_eq!(described.db_clusters()[0].status(), Some("available"));
    assert_eq!(described.db_clusters()[0].pending_modified_values().unwrap().master_user_password(), None);
}

#[tokio::test]
async fn a_clusters_master_password_waits_for_the_window_where_nobody_says_immediately() {
    let (endpoint, client) = databases().await;
    let mut resets = endpoint.rds().resets();
    let modify = client.modify_db_cluster().db_cluster_identifier("app-cluster").master_user_password(PASSWORD);
    let answer = modify.send().await.unwrap();
    let cluster = answer.db_cluster().unwrap();
    assert_eq!(cluster.status(), Some("available"));
    assert_eq!(cluster.pending_modified_values().unwrap().master_user_password(), Some("****"));
    assert!(resets.try_recv().is_err());
}

#[tokio::test]
async fn the_password_of_a_member_is_the_clusters_and_that_of_a_replica_its_sources() {
    let (_endpoint, client) = databases().await;
    for identifier in ["one", "replica"] {
        let modify = client.modify_db_instance().db_instance_identifier(identifier).master_user_password(PASSWORD);
        assert_eq!(modify.send().await.map_err(refusal).code(), "InvalidParameterCombination");
    }
}

#[tokio::test]
async fn a_master_password_is_8_to_128_printable_characters_and_a_clusters_at_most_41() {
    let (_endpoint, client) = databases().await;
    let instance = async |password: &str| {
        let modify = client.modify_db_instance().db_instance_identifier("absent").master_user_password(password);
        modify.send().await.map_err(refusal)
    };
    let cluster = async |password: &str| {
        let modify = client.modify_db_cluster().db_cluster_identifier("absent").master_user_password(password);
        modify.send().await.map_err(refusal)
    };
    let marked = |c: char| format!("MARKED{c}password");
    let wrong = ['/', '"', '@', ' ', '\t', '\u{7f}', 'é'].map(marked).into_iter();
    for password in wrong.chain(["x".repeat(7), "x".repeat(129)]) {
        for problem in [instance(&password).await.unwrap_err(), cluster(&password).await.unwrap_err()] {
            assert_eq!(problem.code, "InvalidParameterValue", "{password:?}");
            assert!(!problem.message.contains("MARKED"), "{}", problem.message);
        }
    }
    // What is taken gets as far as the identifier.
    for password in ["x".repeat(8), "x".repeat(41), "!#$%&'()*+,-.:;<=>?[\\]^_`{|}~".to_owned()] {
        assert_eq!(instance(&password).await.code(), "DBInstanceNotFound");
        assert_eq!(cluster(&password).await.code(), "DBClusterNotFoundFault");
    }
    assert_eq!(instance(&"x".repeat(128)).await.code(), "DBInstanceNotFound");
    assert_eq!(cluster(&"x".repeat(42)).await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn a_master_password_is_set_only_where_the_database_is_available() {
    let (_endpoint, client) = databases().await;
    let instance = client.modify_db_instance().db_instance_identifier("alone").master_user_password(PASSWORD);
    instance.clone().send().await.unwrap();
    let again = instance.send().await.map_err(|error| error.into_service_error());
    assert!(again.unwrap_err().is_invalid_db_instance_state_fault());
    let cluster = client.modify_db_cluster().db_cluster_identifier("app-cluster").master_user_password(PASSWORD);
    let cluster = cluster.apply_immediately(true);
    cluster.clone().send().await.unwrap();
    let again = cluster.send().await.map_err(|error| error.into_service_error());
    assert!(again.unwrap_err().is_invalid_db_cluster_state_fault());
}

#[tokio::test]
async fn a_master_password_is_not_recorded() {
    let (endpoint, client) = databases().await;
    let modify = client.modify_db_instance().db_instance_identifier("alone").master_user_password(PASSWORD);
    modify.send().await.unwrap();
    let call = endpoint.calls().remove(0);
    assert_eq!(call.parameters["MasterUserPassword"], WITHHELD);
    assert_eq!(call.parameters["DBInstanceIdentifier"], "alone");
    assert!(!format!("{call:?}").contains(PASSWORD));
}

#[tokio::test]
async fn any_other_change_of_a_database_is_refused() {
    let (_endpoint, client) = databases().await;
    let reboot = client.reboot_db_instance().db_instance_identifier("one").send().await.map_err(refusal);
    assert_eq!(reboot.code(), "InvalidAction");
    let modify = client.modify_db_instance().db_instance_identifier("alone").master_user_password(PASSWORD);
    let port = modify.db_port_number(5433).send().await.map_err(refusal);
    assert_eq!(port.code(), "InvalidParameterValue");
}
