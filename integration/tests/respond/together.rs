//! Rotate, respond, a second copy of either, and a person, at the same time.

use crate::scene::Scene;
use relatch_integration::{
    aws::Fault,
    cloud::{FIRST_PASSWORD, Standing},
    condition::eventually,
    rotation::Step,
    trail,
    wire::{self, Victim},
};
use std::{pin::pin, sync::Arc, time::Duration};
use uuid::Uuid;

#[tokio::test]
async fn two_responders_heal_once() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    let event = || scene.respond.invoke(trail::rotation_failed(&scene.secret, &token));
    let (one, other) = tokio::join!(event(), event());
    assert!(one.unwrap().is_ok() && other.unwrap().is_ok());
    assert_eq!(scene.standing().await, Standing::Fine);
    assert_eq!(scene.told().len(), 1, "people are told once: {:?}", scene.told());
}

#[tokio::test]
async fn a_retry_and_a_responder_at_the_same_time_leave_the_secret_sound() {
    for _ in 0..5 {
        let scene = Scene::single_user().await;
        let token = scene.dies_after_the_change().await;
        let retry = scene.rotation().run();
        let (retried, responded) =
            tokio::join!(retry, scene.respond.invoke(trail::rotation_failed(&scene.secret, &token)));
        let (retried, responded) = (retried.unwrap(), responded.unwrap());
        assert_eq!(scene.standing().await, Standing::Fine, "{retried:#?} {responded:#?}");
        if !retried.succeeded() {
            scene.rotates().await;
        }
    }
}

#[tokio::test]
async fn a_login_that_was_under_way_while_a_repair_set_the_password_promotes_nothing() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    // finishSecret's last message of SCRAM: the server has looked AWSPENDING's password up, and answers by that.
    let (wire, held) = (&scene.cloud.wire, 4);
    wire.count_from_here();
    wire.inject(held..=held, wire::Fault::FreezeBefore(Victim::By(Arc::new(|| {}))));
    let finish = scene.rotation();
    let finish = finish.step(Step::FinishSecret, &token);
    let waits = || wire.operations().iter().filter(|operation| operation.what.contains("pg_locks")).count() > 1;
    let repair = async {
        eventually("finishSecret at its last message of SCRAM", async || wire.operations().len() as u64 >= held).await;
        let mut repair = pin!(scene.respond.invoke(trail::rotation_failed(&scene.secret, &token)));
        // It has set the password, and waits for that login; or, if it does not, it comes to its end.
        let ended = tokio::select! {
            ended = &mut repair => Some(ended),
            () = eventually("the repair waits, or ends", async || waits()) => None,
        };
        wire.clear();
        match ended {
            Some(ended) => ended,
            None => repair.await,
        }
    };
    let (finished, repaired) = tokio::join!(finish, repair);
    assert_eq!(wire.operations()[3].what, "SASLResponse");
    assert!(waits(), "the repair has looked for that login until it had come to its end");
    let finished = finished.unwrap();
    assert!(!finished.outcome.is_ok(), "{finished:#?}");
    assert!(repaired.unwrap().is_ok());
    assert_eq!(scene.standing().await, Standing::Fine);
    scene.rotates().await;
}

#[tokio::test]
async fn a_person_who_writes_a_value_in_the_middle_is_not_overwritten() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    // The labels are read again under the lock, right before the password would be set.
    let reads = || scene.cloud.aws.calls().iter().filter(|call| call.action == "DescribeSecret").count();
    let before = reads();
    scene.cloud.aws.fault_on("secretsmanager:DescribeSecret", 3, Some(1), Fault::Delay(Duration::from_millis(300)));
    let person = async {
        eventually("the labels are read under the lock", async || reads() >= before + 3).await;
        scene.sql("ALTER ROLE app PASSWORD 'MARKED-by-a-person'").await;
        let current = scene.labelled("AWSCURRENT").unwrap();
        let value = current.text().unwrap().replace(FIRST_PASSWORD, "MARKED-by-a-person");
        let id = Uuid::new_v4().to_string();
        scene.cloud.aws.store().put(&scene.secret, &id, &value, &["AWSCURRENT"]).unwrap();
        id
    };
    let (outcome, id) = tokio::join!(scene.respond.invoke(trail::rotation_failed(&scene.secret, &token)), person);
    assert!(outcome.unwrap().is_ok());
    assert_eq!(scene.labelled("AWSCURRENT").unwrap().id, id, "the person's version is current");
    assert_eq!(scene.standing().await, Standing::Fine, "and opens the database, as the person left it");
}

#[tokio::test]
async fn pending_is_not_taken_off_under_a_rotation_that_has_just_changed_the_password() {
    let scene = Scene::single_user().await;
    let token = Uuid::new_v4().to_string();
    scene.cloud.aws.store().begin_rotation(&scene.secret, &token).unwrap();
    let rotation = scene.rotation();
    rotation.step(Step::CreateSecret, &token).await.unwrap();
    scene.ages(&token, 61);
    // The sweep has seen AWSCURRENT open the database, and then looks at the versions for a while; meanwhile setSecret
    // changes the password.
    scene.cloud.aws.fault_on(
        "secretsmanager:ListSecretVersionIds",
        1,
        Some(1),
        Fault::Delay(Duration::from_millis(700)),
    );
    let set = async {
        let looks = || scene.cloud.aws.calls().iter().any(|call| call.action == "ListSecretVersionIds");
        eventually("the sweep looks at the versions", async || looks()).await;
        rotation.step(Step::SetSecret, &token).await.unwrap()
    };
    let (outcome, set) = tokio::join!(scene.respond.invoke(trail::scheduled()), set);
    assert!(outcome.unwrap().is_ok() && set.outcome.is_ok());
    assert_ne!(scene.standing().await, Standing::Stranded);
    assert_ne!(scene.standing().await, Standing::LockedOut);
}
