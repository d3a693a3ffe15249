//! Two invocations of one step at the same time end in the same state as one.

use crate::scene::Scene;
use relatch_integration::{cloud::Standing, rotation::Step};

#[tokio::test]
async fn two_invocations_of_each_step_are_as_good_as_one() {
    for promote in ["at-finish", "after-verify"] {
        let scene = Scene::single_user_with(&[("RELATCH_PROMOTE", promote)], |options| options).await;
        twice_each(&scene).await;
        let scene = Scene::alternating_users(&[("RELATCH_PROMOTE", promote)]).await;
        twice_each(&scene).await;
    }
}

#[tokio::test]
async fn a_rotation_waits_for_the_lock_and_then_says_that_it_is_busy() {
    let scene = Scene::single_user_with(&[("RELATCH_TIMEOUT_MS", "300")], |options| options).await;
    let token = scene.staged().await;
    let admin = scene.cloud.postgres.admin("app").await.unwrap();
    let key = lock_key(&scene).await;
    admin.execute("SELECT pg_advisory_lock($1)", &[&key]).await.unwrap();
    let run = scene.step(Step::SetSecret, &token).await;
    insta::assert_snapshot!(crate::scene::said(&run), @"setSecret Rotation.NotYet: not yet: another rotation or repair of this secret is at work");
    assert_eq!(scene.standing().await, Standing::Fine);
    drop(admin);
    scene.patiently().rotates().await;
}

async fn twice_each(scene: &Scene) {
    let token = scene.staged().await;
    for step in Step::ALL {
        let (one, two) = tokio::join!(scene.step(step, &token), scene.step(step, &token));
        assert!(one.outcome.is_ok() && two.outcome.is_ok(), "{one:?} {two:?}");
    }
    assert_eq!(scene.current().id, token);
    assert_eq!(scene.standing().await, Standing::Fine);
}

/// The key of the secret's advisory lock, as documented: the first eight bytes of SHA-256 over `relatch:` and the ARN.
async fn lock_key(scene: &Scene) -> i64 {
    let query =
        format!("SELECT ('x' || left(encode(sha256('relatch:{}'), 'hex'), 16))::bit(64)::bigint::text", scene.secret);
    scene.value(&query).await.parse().unwrap()
}
