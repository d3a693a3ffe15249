//! `recover` and `rollback`: what they would do, whether they may, and what they did.

use crate::scene::Scene;
use relatch_integration::{
    cli::Operator,
    cloud::{self, Standing},
    trail,
    wire::Fault,
};
use serde_json::json;

#[tokio::test]
async fn a_recovery_is_shown_first_asked_for_and_done() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    insta::assert_snapshot!("recover_dry_run", scene.sees(&["recover", "app", "--dry-run"]).await);
    insta::assert_snapshot!("recover_unasked", scene.sees(&["recover", "app"]).await);
    insta::assert_snapshot!("recover_refused", scene.types(&["recover", "app"], "\n").await);
    assert_eq!(scene.standing().await, Standing::CurrentShut);
    insta::assert_snapshot!("recover_agreed", scene.types(&["recover", "app"], "y\n").await);
    assert_eq!(scene.standing().await, Standing::Fine);
    assert_eq!(scene.holder("AWSPENDING"), None, "who asks for it wants the rotation ended");
    assert_ne!(scene.holder("AWSCURRENT"), Some(token));
    insta::assert_snapshot!("recover_sound", scene.sees(&["recover", "app", "--yes"]).await);
}

#[tokio::test]
async fn a_stranded_password_is_recovered_without_a_question_if_so_wished() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.takes_pending_off(&token);
    insta::assert_snapshot!("recover_stranded", scene.sees(&["recover", "app", "--yes"]).await);
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn where_a_role_may_not_change_its_own_password_the_admin_does() {
    let scene = Scene::single_user_with_admin().await;
    scene.dies_after_the_change().await;
    scene.sql("CREATE ROLE rds_password; GRANT rds_password TO app_admin").await;
    scene.sql("GRANT app TO app_admin WITH ADMIN OPTION").await;
    scene.sql("ALTER DATABASE app SET rds.restrict_password_commands = 'on'").await;
    insta::assert_snapshot!("restricted_doctor", scene.sees(&["doctor", "app"]).await);
    insta::assert_snapshot!("recover_restricted", scene.sees(&["recover", "app", "--yes"]).await);
    assert_eq!(scene.standing().await, Standing::Fine);
    insta::assert_snapshot!("restricted_check", scene.sees(&["check", "app"]).await);
}

#[tokio::test]
async fn what_cannot_be_recovered_says_what_a_person_can_do() {
    let scene = Scene::single_user().await;
    scene.sql("ALTER ROLE app PASSWORD 'MARKED by hand'").await;
    insta::assert_snapshot!("recover_exhausted", scene.sees(&["recover", "app", "--yes"]).await);
    scene.cloud.wire.inject(1.., Fault::Refuse);
    insta::assert_snapshot!("recover_down", scene.sees(&["recover", "app", "--yes"]).await);
}

#[tokio::test]
async fn the_version_before_comes_back() {
    let scene = Scene::single_user().await;
    insta::assert_snapshot!("rollback_without_previous", scene.sees(&["rollback", "app", "--yes"]).await);
    let first = scene.holder("AWSCURRENT");
    scene.rotates().await;
    insta::assert_snapshot!("rollback_dry_run", scene.sees(&["rollback", "app", "--dry-run"]).await);
    assert_ne!(scene.holder("AWSCURRENT"), first);
    insta::assert_snapshot!("rollback_agreed", scene.types(&["rollback", "app"], "yes\n").await);
    assert_eq!(scene.holder("AWSCURRENT"), first);
    assert_eq!(scene.standing().await, Standing::Fine);
}

/// CloudTrail tells the audit of a label that was moved outside of a rotation, in either case.
#[tokio::test]
async fn a_rollback_is_no_finding_and_the_same_by_a_stranger_with_the_same_role_is() {
    let scene = Scene::remembering(&[]).await;
    let aws = &scene.cloud.aws;
    let audit = cloud::audit(aws, &[("RELATCH_GROUP_WAIT_SECONDS", "0")]).unwrap();
    scene.rotates().await;
    let mark = aws.mark();
    assert!(scene.sees(&["rollback", "app", "--yes"]).await.contains("AWSCURRENT"));
    let moved: Vec<_> =
        aws.calls_since(mark).into_iter().filter(|call| call.action == "UpdateSecretVersionStage").collect();
    assert!(!moved.is_empty(), "{:#?}", aws.calls_since(mark));
    let told = async |access_key: &str| {
        for call in &moved {
            let mut event = trail::recorded(call, "Operator", "somebody", "aws-cli/2.17.0");
            event["detail"]["userIdentity"]["accessKeyId"] = json!(access_key);
            assert!(audit.invoke(event).await.unwrap().is_ok(), "{:#?}", audit.output().lines());
        }
        let told = scene.cloud.published().unwrap();
        told.iter().filter_map(|alert| alert["finding"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(told(Operator::ACCESS_KEY).await, [""; 0]);
    assert_eq!(told("ASIASTRANGER").await, ["label-moved-outside-rotation"]);
}

#[tokio::test]
async fn a_broken_value_is_rolled_back() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    // Somebody wrote nonsense after the rotation, as PutSecretValue does; the version before it is the good one.
    let good = scene.holder("AWSCURRENT").unwrap();
    let (store, broken) = (scene.cloud.aws.store(), "11111111-2222-3333-4444-555555555555");
    store.put(&scene.secret, broken, "MARKED{", &[]).unwrap();
    store.move_label(&scene.secret, "AWSCURRENT", Some(broken)).unwrap();
    store.move_label(&scene.secret, "AWSPREVIOUS", Some(&good)).unwrap();
    insta::assert_snapshot!("broken_then_doctor", scene.sees(&["doctor", "app"]).await);
    insta::assert_snapshot!("rollback_broken", scene.sees(&["rollback", "app", "--yes"]).await);
    assert_eq!(scene.holder("AWSCURRENT"), Some(good));
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_program_reads_what_was_done() {
    let scene = Scene::single_user().await;
    scene.dies_after_the_change().await;
    let (rehearsal, status) = scene.reads(&["recover", "app", "--dry-run", "--json"]).await;
    assert_eq!(status, 1);
    insta::assert_snapshot!("json_recover_dry_run", format!("{rehearsal:#}"));
    let (recovery, status) = scene.reads(&["recover", "app", "--yes", "--json"]).await;
    assert_eq!(status, 0);
    insta::assert_snapshot!("json_recover", format!("{recovery:#}"));
}
