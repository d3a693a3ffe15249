//! Two invocations of one step at the same time end in the same state as one.

use crate::scene::Scene;
use relatch_integration::{
    cloud::{FIRST_PASSWORD, Standing},
    condition::eventually,
    rotation::{Step, StepRun},
};

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

#[tokio::test]
async fn a_promotion_that_waited_for_the_lock_goes_on_if_the_password_still_opens() {
    let scene = Scene::single_user().await;
    let token = promotable(&scene).await;
    let run = promoting_while(&scene, &token, "SELECT").await;
    assert!(run.outcome.is_ok(), "{run:?}");
    assert_eq!(scene.current().id, token);
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_promotion_that_was_overtaken_while_it_waited_for_the_lock_moves_no_label() {
    let scene = Scene::single_user().await;
    let token = promotable(&scene).await;
    // It has logged in before this, and that proves nothing after it.
    let run = promoting_while(&scene, &token, &format!("ALTER ROLE app PASSWORD '{FIRST_PASSWORD}'")).await;
    insta::assert_snapshot!(crate::scene::said(&run), @"finishSecret Rotation.NotYet: not yet: another rotation or repair had the lock first, and the new password opens the database no longer; nothing was promoted, and the next attempt sets it again");
    assert_ne!(scene.current().id, token);
    assert_eq!(scene.standing().await, Standing::Fine);
    scene.rotates().await;
}

/// A rotation of which finishSecret is left.
async fn promotable(scene: &Scene) -> String {
    let token = scene.staged().await;
    for step in [Step::SetSecret, Step::TestSecret] {
        assert!(scene.step(step, &token).await.outcome.is_ok());
    }
    token
}

/// finishSecret finds the lock held, and while it waits, whoever holds it does something.
async fn promoting_while(scene: &Scene, token: &str, statement: &str) -> StepRun {
    let holder = scene.cloud.postgres.admin("app").await.unwrap();
    let key = lock_key(scene).await;
    holder.execute("SELECT pg_advisory_lock($1)", &[&key]).await.unwrap();
    let overtake = async {
        let waiting = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        eventually("finishSecret waits for the lock", async || scene.value(waiting).await == "1").await;
        holder.batch_execute(statement).await.unwrap();
        drop(holder);
    };
    tokio::join!(scene.step(Step::FinishSecret, token), overtake).0
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
