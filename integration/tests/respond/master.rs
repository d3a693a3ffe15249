//! A master user whose password nobody knows any more: RDS sets it.

use crate::scene::Scene;
use relatch_integration::{
    aws::{
        Call, Fault,
        rds::{Cluster, Instance, Reset},
        store::SecretValue,
    },
    cloud::{Cloud, FIRST_PASSWORD, Standing},
    condition::eventually,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::{Mutex, mpsc::UnboundedReceiver, oneshot},
    time::timeout,
};
use uuid::Uuid;

const RESOURCE_ID: &str = "db-ORIGINAL";

/// How long something may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_master_password_changed_by_hand_is_mended_by_rds() {
    let master = Master::instance().await;
    master.pin(RESOURCE_ID);
    let answer = master.healed_through_rds(master.scene.failed(&token())).await;
    assert_eq!(answer["reason"], "recovered", "{answer:#}");
    assert_eq!(answer["impactFound"], "LOCKED_OUT");
    assert_eq!(answer["impactLeft"], "SAFE");
    assert_eq!(answer["rungs"], json!([{ "rung": "through-rds", "effect": "done", "proof": "accepted" }]));
    assert_eq!(master.scene.standing().await, Standing::Fine);
    assert_eq!(master.scene.sweeps().await["sound"], 1);
    master.scene.respond.stop().await;
    let output = master.scene.respond.output();
    assert!(!output.contains("MARKED"), "{:#?}", output.lines());
}

#[tokio::test]
async fn the_master_password_of_a_cluster_is_mended_by_rds() {
    let master = Master::cluster().await;
    master.pin(RESOURCE_ID);
    let answer = master.healed_through_rds(master.scene.failed(&token())).await;
    assert_eq!(answer["rungs"], json!([{ "rung": "through-rds", "effect": "done", "proof": "accepted" }]));
    assert_eq!(master.modifications()[0].action, "ModifyDBCluster");
    assert_eq!(master.scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_sweep_has_rds_mend_it_under_the_lease_and_tells() {
    let master = Master::remembering().await;
    master.pin(RESOURCE_ID);
    let answer = master.healed_through_rds(master.scene.sweeps()).await;
    assert_eq!(answer["repaired"], json!([master.scene.secret]), "{answer:#}");
    assert_eq!(master.scene.standing().await, Standing::Fine);
    assert_eq!(master.scene.told(), ["firing current-rejected SAFE"]);
    let alert = &master.scene.cloud.published().unwrap()[0];
    let done = "AWSCURRENT's password was set by RDS, as the master user's; a login has proved it.";
    assert_eq!(alert["done"], json!([done]));
    let calls = master.scene.cloud.aws.calls();
    let at = |action: &str| calls.iter().position(|call| call.action == action && lease(call));
    let modified = calls.iter().position(|call| call.action == "ModifyDBInstance").unwrap();
    assert!(at("PutItem").unwrap() < modified, "the lease is taken before");
    assert!(modified < at("DeleteItem").unwrap(), "and given back afterwards");
}

#[tokio::test]
async fn a_responder_beside_another_does_not_have_it_set_a_second_time() {
    let master = Master::remembering().await;
    master.pin(RESOURCE_ID);
    let token = token();
    let other = async {
        let reset = timeout(PATIENCE, async { master.resets.lock().await.recv().await });
        let reset = reset.await.expect("respond does not call RDS").unwrap();
        // RDS's status follows its answer after a while. Until then only the lease tells that somebody is at work.
        master.scene.cloud.aws.rds().edit(|databases| databases.instances[0].status = "available".into());
        let other = master.scene.failed(&token).await;
        master.applies(reset).await;
        other
    };
    let (one, other) = tokio::join!(master.scene.failed(&token), other);
    assert_eq!(one["reason"], "recovered", "{one:#}");
    assert_eq!(other["reason"], "lock-busy", "{other:#}");
    assert_eq!(master.modifications().len(), 1);
    assert_eq!(master.scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn an_answer_of_rds_that_was_lost_may_have_been_a_yes() {
    let master = Master::instance().await;
    master.pin(RESOURCE_ID);
    master.scene.cloud.aws.fault_on("rds:ModifyDBInstance", 1, Some(1), Fault::DropReply);
    let answer = master.healed_through_rds(master.scene.failed(&token())).await;
    assert_eq!(answer["reason"], "recovered", "{answer:#}");
    assert_eq!(answer["rungs"][0]["proof"], "accepted", "{answer:#}");
    assert_eq!(master.scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_reset_that_takes_longer_than_the_visit_is_waited_for() {
    let master = Master::hurried().await;
    master.pin(RESOURCE_ID);
    let answer = master.scene.failed(&token()).await;
    assert_eq!(answer["reason"], "reset-under-way", "{answer:#}");
    assert_eq!(answer["impactLeft"], "LOCKED_OUT");
    assert_eq!(answer["rungs"], json!([{ "rung": "through-rds", "effect": "done", "proof": "rejected" }]));
    assert_eq!(answer["toDo"], json!(["Nothing yet: the next sweep tries again."]));
    assert_eq!(master.scene.failed(&token()).await["reason"], "server-not-available");
    let reset = master.resets.lock().await.try_recv().unwrap();
    master.applies(reset).await;
    assert_eq!(master.scene.sweeps().await["sound"], 1);
    assert_eq!(master.modifications().len(), 1);
}

#[tokio::test]
async fn a_secret_that_does_not_say_whose_it_is_has_no_master_password_set() {
    let master = Master::remembering().await;
    let answer = master.gives_up().await;
    assert!(to_do(&answer).contains("tag the secret `relatch:resource-id`"), "{answer:#}");
    master.scene.sweeps().await;
    let alerts = master.scene.cloud.published().unwrap();
    let locked_out = alerts.iter().find(|alert| alert["condition"] == "locked-out").unwrap();
    assert!(to_do(locked_out).contains("tag the secret `relatch:resource-id`"), "{locked_out:#}");
}

#[tokio::test]
async fn the_master_password_of_a_clone_is_not_set() {
    let master = Master::instance().await;
    master.pin("db-ANOTHER");
    let answer = master.scene.failed(&token()).await;
    assert_eq!(answer["reason"], "other-server", "{answer:#}");
    assert_eq!(answer["rungs"], json!([]));
    assert_eq!(master.modifications().len(), 0);
    assert_eq!(master.scene.standing().await, Standing::LockedOut);
}

#[tokio::test]
async fn the_password_of_another_user_than_the_master_is_not_set() {
    let master = Master::instance().await;
    master.pin(RESOURCE_ID);
    master.scene.cloud.aws.rds().edit(|databases| databases.instances[0].master_username = "root".into());
    let answer = master.gives_up().await;
    assert!(!to_do(&answer).contains("RDS"), "{answer:#}");
}

#[tokio::test]
async fn a_password_that_rds_does_not_take_is_not_sent_to_it() {
    let master = Master::instance().await;
    master.pin(RESOURCE_ID);
    let edited = master.scene.cloud.aws.store().edit(&master.scene.secret, |secret| {
        let version = secret.versions.iter_mut().find(|version| version.has("AWSCURRENT")).unwrap();
        let text = version.text().unwrap().replace(FIRST_PASSWORD, "MARKED@password");
        version.value = Some(SecretValue::Text(text));
    });
    edited.unwrap();
    let answer = master.gives_up().await;
    assert!(to_do(&answer).contains("RDS does not take AWSCURRENT's password for a master user."), "{answer:#}");
}

#[tokio::test]
async fn a_refusal_of_rds_is_a_rung_that_failed_and_no_failed_invocation() {
    let master = Master::instance().await;
    master.pin(RESOURCE_ID);
    master.scene.cloud.aws.fault_always("rds:ModifyDBInstance", Fault::Deny);
    let answer = master.scene.failed(&token()).await;
    assert_eq!(answer["reason"], "exhausted", "{answer:#}");
    assert_eq!(answer["rungs"], json!([{ "rung": "through-rds", "effect": "refused", "proof": null }]));
    assert!(answer["done"][0].as_str().unwrap().ends_with("was refused; the log says why."), "{answer:#}");
    assert_eq!(master.scene.standing().await, Standing::LockedOut);
    master.scene.respond.stop().await;
    assert!(master.scene.respond.output().contains("RDS does not set the master password"));
}

/// A secret of the master user of a database that RDS knows; somebody has changed the password by hand.
struct Master {
    scene: Scene,
    resets: Mutex<UnboundedReceiver<Reset>>,
}

impl Master {
    async fn instance() -> Self {
        Self::of(Scene::single_user().await, "dbInstanceIdentifier").await
    }

    /// With a responder whose visit ends before the reset does. It needs some 16 s to begin, and on a busy machine is late.
    async fn hurried() -> Self {
        let master = Self::instance().await;
        let respond = master.scene.respond.timeout(Duration::from_secs(24));
        Self { scene: Scene { respond, ..master.scene }, ..master }
    }

    async fn remembering() -> Self {
        Self::of(Scene::remembering().await, "dbInstanceIdentifier").await
    }

    async fn cluster() -> Self {
        Self::of(Scene::single_user().await, "dbClusterIdentifier").await
    }

    async fn of(scene: Scene, identifier: &str) -> Self {
        let Cloud { aws, wire, .. } = &scene.cloud;
        aws.rds().edit(|databases| {
            databases.instances.push(Instance {
                identifier: "server".into(),
                resource_id: RESOURCE_ID.into(),
                status: "available".into(),
                engine: "postgres".into(),
                endpoint: Some(("localhost".into(), wire.port())),
                cluster: None,
                replica_of: None,
                master_username: "app".into(),
            });
            databases.clusters.push(Cluster {
                identifier: "server".into(),
                resource_id: RESOURCE_ID.into(),
                status: "available".into(),
                engine: "aurora-postgresql".into(),
                endpoint: "localhost".into(),
                reader_endpoint: None,
                custom_endpoints: Vec::new(),
                port: wire.port(),
                members: Vec::new(),
                master_username: "app".into(),
            });
        });
        let edited = aws.store().edit(&scene.secret, |secret| {
            for version in &mut secret.versions {
                let mut value: Value = serde_json::from_str(version.text().unwrap()).unwrap();
                value[identifier] = json!("server");
                version.value = Some(SecretValue::Text(value.to_string()));
            }
        });
        edited.unwrap();
        scene.sql("ALTER ROLE app PASSWORD 'MARKED-by-hand'").await;
        assert_eq!(scene.standing().await, Standing::LockedOut);
        let resets = Mutex::new(aws.rds().resets());
        Self { scene, resets }
    }

    /// Says which server the secret belongs to.
    fn pin(&self, resource_id: &str) {
        let tag = ("relatch:resource-id".to_owned(), resource_id.to_owned());
        self.scene.cloud.aws.store().edit(&self.scene.secret, |secret| secret.tags.extend([tag])).unwrap();
    }

    /// What comes of an invocation while RDS sets the password in its own time: after it has been tried in vain.
    async fn healed_through_rds<T>(&self, invocation: impl Future<Output = T>) -> T {
        let (over, mut is_over) = oneshot::channel();
        let invocation = async {
            let answer = invocation.await;
            let _ = over.send(());
            answer
        };
        let rds = async {
            let mut resets = self.resets.lock().await;
            loop {
                let reset = tokio::select! {
                    biased;
                    Some(reset) = resets.recv() => reset,
                    _ = &mut is_over => return,
                };
                let rejected = self.rejected();
                eventually("respond tries the password", async || self.rejected() != rejected).await;
                self.applies(reset).await;
            }
        };
        tokio::join!(invocation, rds).0
    }

    async fn applies(&self, reset: Reset) {
        self.scene.sql(&format!("ALTER ROLE {} PASSWORD '{}'", reset.username, reset.password)).await;
        reset.done();
    }

    /// How many logins the database has rejected.
    fn rejected(&self) -> usize {
        self.scene.cloud.wire.tally().failed_logins.len()
    }

    /// What respond answers when nothing helps; RDS has not been called.
    async fn gives_up(&self) -> Value {
        let answer = self.scene.failed(&token()).await;
        assert_eq!(answer["reason"], "exhausted", "{answer:#}");
        assert_eq!(answer["rungs"], json!([]));
        assert_eq!(self.modifications().len(), 0);
        assert_eq!(self.scene.standing().await, Standing::LockedOut);
        answer
    }

    fn modifications(&self) -> Vec<Call> {
        let calls = self.scene.cloud.aws.calls().into_iter();
        calls.filter(|call| call.action.starts_with("ModifyDB")).collect()
    }
}

/// Whether a call is about the lease.
fn lease(call: &Call) -> bool {
    call.service == "dynamodb" && call.parameters.to_string().contains("lease")
}

fn to_do(told: &Value) -> String {
    told["toDo"].to_string()
}

fn token() -> String {
    Uuid::new_v4().to_string()
}
