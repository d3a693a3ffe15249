//! `check` and `doctor` against real breakages. Neither changes anything.

use crate::scene::Scene;
use relatch_integration::{
    cloud::{FIRST_PASSWORD, Standing},
    wire::Fault,
};
use serde_json::json;

#[tokio::test]
async fn a_healthy_secret() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    scene.cloud.wire.count_from_here();
    let mark = scene.cloud.aws.mark();
    insta::assert_snapshot!("healthy_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("healthy_doctor", scene.sees(&["doctor", "app"]).await);
    assert!(scene.cloud.wire.tally().failed_logins.is_empty(), "looking at a healthy secret provokes no failed login");
    let writes = ["PutSecretValue", "UpdateSecretVersionStage"];
    assert!(scene.cloud.aws.calls_since(mark).iter().all(|call| !writes.contains(&call.action.as_str())));
}

#[tokio::test]
async fn a_healthy_secret_of_alternating_users() {
    let scene = Scene::with_admin().await;
    insta::assert_snapshot!("alternating_check", scene.sees(&["check", "app"]).await);
    scene.rotates().await;
    scene.sql("ALTER ROLE app_admin NOCREATEROLE").await;
    insta::assert_snapshot!("alternating_check_without_the_right", scene.sees(&["check", "app"]).await);
    scene.sql("ALTER ROLE app_admin PASSWORD 'other'").await;
    insta::assert_snapshot!("alternating_check_without_the_admin", scene.sees(&["check", "app"]).await);
}

#[tokio::test]
async fn a_password_that_was_changed_by_hand() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    scene.sql("ALTER ROLE app PASSWORD 'MARKED by hand'").await;
    assert_eq!(scene.standing().await, Standing::LockedOut);
    insta::assert_snapshot!("by_hand_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("by_hand_doctor", scene.sees(&["doctor", "app"]).await);
    scene.sql(&format!("ALTER ROLE app PASSWORD '{FIRST_PASSWORD}'")).await;
    insta::assert_snapshot!("set_back_by_hand_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_password_that_was_changed_by_hand_where_an_admin_can_set_it() {
    let scene = Scene::with_admin().await;
    scene.sql("ALTER ROLE app PASSWORD 'MARKED by hand'").await;
    insta::assert_snapshot!("by_hand_with_admin_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_stranded_password() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.takes_pending_off(&token);
    assert_eq!(scene.standing().await, Standing::Stranded);
    insta::assert_snapshot!("stranded_doctor", scene.sees(&["doctor", "app"]).await);
    assert_eq!(scene.standing().await, Standing::Stranded, "it only looks");
}

#[tokio::test]
async fn a_rotation_that_died_after_the_change() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    insta::assert_snapshot!("died_doctor", scene.sees(&["doctor", "app"]).await);
    scene.ages(&token, 16);
    insta::assert_snapshot!("died_long_ago_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_rotation_that_died_before_the_change() {
    let scene = Scene::single_user().await;
    let token = scene.dies_before_the_change().await;
    insta::assert_snapshot!("under_way_doctor", scene.sees(&["doctor", "app"]).await);
    scene.ages(&token, 120);
    insta::assert_snapshot!("stuck_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("stuck_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_role_that_may_not_log_in() {
    let scene = Scene::single_user().await;
    scene.sql("ALTER ROLE app NOLOGIN").await;
    insta::assert_snapshot!("nologin_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("nologin_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_database_that_is_down() {
    let scene = Scene::single_user().await;
    scene.cloud.wire.inject(1.., Fault::Refuse);
    insta::assert_snapshot!("down_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("down_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_certificate_of_nobody_who_is_trusted() {
    let scene = Scene::single_user().await;
    let scene = scene.operated(|operator| operator.without("RELATCH_CA_FILE"));
    insta::assert_snapshot!("wrong_authority_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_database_that_rds_says_is_stopped() {
    let scene = Scene::clustered("stopped").await;
    insta::assert_snapshot!("stopped_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_master_user_whose_password_rds_could_set() {
    let scene = Scene::clustered("available").await;
    insta::assert_snapshot!("cluster_check", scene.sees(&["check", "app"]).await);
    scene.sql("ALTER ROLE app PASSWORD 'MARKED by hand'").await;
    insta::assert_snapshot!("master_not_pinned_doctor", scene.sees(&["doctor", "app"]).await);
    let pin = |secret: &mut relatch_integration::aws::store::Secret| {
        secret.tags.insert("relatch:resource-id".into(), "cluster-ORIGINAL".into())
    };
    scene.cloud.aws.store().edit(&scene.secret, pin).unwrap();
    insta::assert_snapshot!("master_pinned_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_secret_that_is_scheduled_for_deletion() {
    let scene = Scene::single_user().await;
    scene.cloud.aws.store().edit(&scene.secret, |secret| secret.deletion = Some(jiff::Timestamp::now())).unwrap();
    insta::assert_snapshot!("deleted_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("deleted_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_secret_that_another_service_manages() {
    let scene = Scene::single_user().await;
    scene.cloud.aws.store().edit(&scene.secret, |secret| secret.owning_service = Some("rds".into())).unwrap();
    insta::assert_snapshot!("managed_check", scene.sees(&["check", "app"]).await);
}

#[tokio::test]
async fn a_value_that_is_broken() {
    let scene = Scene::single_user().await;
    scene.rewrites("MARKED{");
    insta::assert_snapshot!("broken_without_previous_doctor", scene.sees(&["doctor", "app"]).await);
    let scene = Scene::single_user().await;
    scene.rotates().await;
    scene.rewrites("MARKED{");
    insta::assert_snapshot!("broken_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("broken_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_rotation_that_is_switched_off_or_overdue() {
    let scene = Scene::single_user().await;
    let edit = |change: &dyn Fn(&mut relatch_integration::aws::store::Secret)| {
        scene.cloud.aws.store().edit(&scene.secret, |secret| change(secret)).unwrap();
    };
    edit(&|secret| secret.rotated = Some(secret.created - jiff::SignedDuration::from_hours(24 * 40)));
    insta::assert_snapshot!("overdue_doctor", scene.sees(&["doctor", "app"]).await);
    edit(&|secret| secret.rotation.as_mut().unwrap().enabled = false);
    insta::assert_snapshot!("switched_off_check", scene.sees(&["check", "app"]).await);
}

#[tokio::test]
async fn other_peoples_words_move_no_cursor_and_are_quoted_for_a_shell() {
    let scene = Scene::single_user().await;
    scene.sql("CREATE ROLE \"a';b\x1b[2J\" NOLOGIN PASSWORD 'MARKED-first-password'").await;
    scene.tamper(|value| value["username"] = json!("a';b\x1b[2J"));
    insta::assert_snapshot!("quoted_doctor", scene.sees(&["doctor", "app"]).await);
}

#[tokio::test]
async fn a_program_reads_the_same() {
    let scene = Scene::single_user().await;
    insta::assert_snapshot!("json_check", pretty(scene.reads(&["check", "app", "--json"]).await, 0));
    scene.dies_after_the_change().await;
    insta::assert_snapshot!("json_doctor", pretty(scene.reads(&["doctor", "app", "--json"]).await, 1));
    // The command is to be copied, so it has the options of the one that told it.
    let (answer, _) = scene.reads(&["doctor", "app", "--json", "--region", "eu-central-1"]).await;
    assert_eq!(answer["command"], "relatch recover app --region eu-central-1");
}

fn pretty((value, status): (serde_json::Value, i32), expected: i32) -> String {
    assert_eq!(status, expected, "{value:#}");
    format!("{value:#}")
}
