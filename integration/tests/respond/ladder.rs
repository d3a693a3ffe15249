//! Whatever opens the database is used to make AWSCURRENT open it again.

use crate::scene::Scene;
use relatch_integration::{
    cloud::{FIRST_PASSWORD, Standing},
    postgres::Login,
};
use serde_json::json;

#[tokio::test]
async fn a_rotation_that_died_after_the_change_is_undone_through_pending() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "recovered", "{answer:#}");
    assert_eq!(answer["impactFound"], "DEGRADED");
    assert_eq!(answer["impactLeft"], "SAFE");
    assert_eq!(answer["rungs"], json!([{ "rung": "through-pending", "effect": "done", "proof": "accepted" }]));
    assert_eq!(scene.standing().await, Standing::Fine);
    assert_eq!(scene.labelled("AWSPENDING").unwrap().id, token, "Secrets Manager may try it again");
    scene.rotates().await;
    assert_eq!(scene.labelled("AWSCURRENT").unwrap().id, token);
}

#[tokio::test]
async fn a_stranded_password_is_found_in_a_version_without_a_label() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.takes_pending_off();
    assert_eq!(scene.standing().await, Standing::Stranded);
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "recovered", "{answer:#}");
    assert_eq!(answer["impactFound"], "STRANDED");
    assert_eq!(answer["rungs"][0]["rung"], "through-unlabelled");
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn an_operator_who_takes_pending_off_and_rotates_anew_strands_nobody() {
    let scene = Scene::single_user().await;
    scene.dies_after_the_change().await;
    scene.takes_pending_off();
    let outcome = scene.rotation().run().await.unwrap();
    assert!(!outcome.succeeded(), "nothing that rotate looks at opens the database");
    let answer = scene.failed(&outcome.token).await;
    assert_eq!(answer["reason"], "recovered", "{answer:#}");
    assert_eq!(scene.standing().await, Standing::Fine);
    scene.rotates().await;
}

#[tokio::test]
async fn a_password_set_back_by_hand_is_mended_through_previous() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    scene.sql(&format!("ALTER ROLE app PASSWORD '{FIRST_PASSWORD}'")).await;
    let answer = scene.sweeps().await;
    assert_eq!(answer["repaired"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_password_changed_by_hand_is_mended_by_the_admin() {
    let scene = Scene::with_admin().await;
    scene.sql("ALTER ROLE app PASSWORD 'by hand'").await;
    assert_eq!(scene.standing().await, Standing::LockedOut);
    let answer = scene.sweeps().await;
    assert_eq!(answer["repaired"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::Fine);
}

/// A principal that may write one secret's value, and nothing else, writes another application's role there with a
/// password of its own; twice, so that AWSPREVIOUS names that role as well.
#[tokio::test]
async fn another_applications_role_is_not_reset_on_the_word_of_a_secrets_value() {
    let scene = Scene::with_admin().await;
    scene.cloud.postgres.create_role("team_a", "theirs").await.unwrap();
    let text = scene.labelled("AWSCURRENT").unwrap().text().unwrap().to_owned();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    (value["username"], value["password"]) = (json!("team_a"), json!("the attacker's"));
    for version in ["1", "2"].map(|n| format!("{n}1111111-1111-1111-1111-111111111111")) {
        scene.cloud.aws.store().put(&scene.secret, &version, &value.to_string(), &["AWSCURRENT"]).unwrap();
    }
    assert!(scene.labelled("AWSPREVIOUS").unwrap().text().unwrap().contains("team_a"));
    let answer = scene.sweeps().await;
    assert_eq!(answer["broken"], json!([scene.secret]), "{answer:#}");
    for (password, login) in [("theirs", Login::Accepted), ("the attacker's", Login::Rejected)] {
        assert_eq!(scene.cloud.postgres.logs_in("team_a", password, "postgres").await, login);
    }
}

#[tokio::test]
async fn a_role_that_no_tag_names_is_for_a_person() {
    let scene = Scene::with_admin().await;
    scene.cloud.aws.store().edit(&scene.secret, |secret| secret.tags.clear()).unwrap();
    scene.sql("ALTER ROLE app PASSWORD 'by hand'").await;
    let answer = scene.sweeps().await;
    assert_eq!(answer["broken"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::LockedOut);
}

#[tokio::test]
async fn a_role_that_the_tags_name_comes_into_being_without_any_privilege() {
    let scene = Scene::before_its_first_role().await;
    assert_eq!(scene.standing().await, Standing::LockedOut);
    let answer = scene.sweeps().await;
    assert_eq!(answer["repaired"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::Fine);
    let admin = scene.cloud.postgres.admin("app").await.unwrap();
    let value = async |query: &str| admin.query_one(query, &[]).await.unwrap().get::<_, String>(0);
    let privileges = "SELECT concat(rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
        has_database_privilege('app', 'app', 'CREATE'), (SELECT count(*) FROM pg_auth_members WHERE member = r.oid))
        FROM pg_roles r WHERE rolname = 'app'";
    assert_eq!(value(privileges).await, "ffffff0");
    assert_eq!(value("SELECT string_agg(nspname, ',') FROM pg_namespace WHERE nspowner = 'app'::regrole").await, "app");
    // Nor may the admin act as the role any longer.
    assert_eq!(value("SELECT pg_has_role('app_admin', 'app', 'USAGE')::text").await, "false");
    // The first rotation goes on from there: the two take turns, and own together what either makes.
    scene.rotates().await;
    assert_eq!(scene.standing().await, Standing::Fine);
}

/// A role that goes missing later, or that only the value names, is not brought into being.
#[tokio::test]
async fn no_role_is_created_but_the_one_that_tags_name() {
    for (tag, text) in [("relatch:user", "other"), ("relatch:database", "postgres")] {
        let scene = Scene::before_its_first_role().await;
        let tag = (tag.to_owned(), text.to_owned());
        scene.cloud.aws.store().edit(&scene.secret, |secret| secret.tags.extend([tag])).unwrap();
        let answer = scene.sweeps().await;
        assert_eq!(answer["broken"], json!([scene.secret]), "{answer:#}");
        assert_eq!(scene.standing().await, Standing::LockedOut);
    }
}

#[tokio::test]
async fn a_privileged_role_is_not_reset_on_the_word_of_the_secret_alone() {
    let scene = Scene::with_admin().await;
    scene.sql("ALTER ROLE app CREATEROLE PASSWORD 'by hand'").await;
    let answer = scene.sweeps().await;
    assert_eq!(answer["broken"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::LockedOut);
}

#[tokio::test]
async fn without_an_admin_nothing_is_made_worse_and_pending_is_kept() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.sql("ALTER ROLE app PASSWORD 'by hand'").await;
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "exhausted", "{answer:#}");
    assert_eq!(answer["impactLeft"], "LOCKED_OUT");
    assert_eq!(answer["rungs"], json!([]));
    assert_eq!(scene.labelled("AWSPENDING").unwrap().id, token);
    // Somebody sets it by hand, to either: it heals.
    scene.sql(&format!("ALTER ROLE app PASSWORD '{FIRST_PASSWORD}'")).await;
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "sound", "{answer:#}");
}

#[tokio::test]
async fn a_database_that_is_down_for_the_whole_visit_heals_at_the_next_sweep() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.cloud.wire.inject(1.., relatch_integration::wire::Fault::Refuse);
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "database-silent", "{answer:#}");
    assert_eq!(answer["impactLeft"], "DEGRADED");
    assert_eq!(scene.labelled("AWSPENDING").unwrap().id, token);
    scene.cloud.wire.clear();
    scene.ages(&token, 20);
    let answer = scene.sweeps().await;
    assert_eq!(answer["repaired"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_rotation_that_is_under_way_is_left_alone() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    let answer = scene.sweeps().await;
    assert_eq!(answer["waiting"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::CurrentShut);
    scene.ages(&token, 16);
    assert_eq!(scene.sweeps().await["repaired"], json!([scene.secret]));
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn pending_that_is_stuck_goes_once_current_is_proved() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.ages(&token, 61);
    let answer = scene.sweeps().await;
    assert_eq!(answer["repaired"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::Fine);
    assert!(scene.labelled("AWSPENDING").is_none());
    let answer = scene.sweeps().await;
    assert_eq!(answer["sound"], 1, "{answer:#}");
}
