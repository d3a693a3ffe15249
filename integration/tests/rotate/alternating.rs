//! Two users that take turns.

use crate::scene::{Scene, said};
use relatch_integration::{cloud::Standing, postgres::Login, rotation::Step};
use serde_json::{Value, json};

#[tokio::test]
async fn users_take_turns_and_the_one_in_use_is_never_touched() {
    let scene = Scene::alternating_users(&[]).await;
    let first = scene.current();
    scene.rotates().await;
    assert_eq!(user(&scene), "app_clone");
    assert!(scene.cloud.opens(&first).await.unwrap(), "the user that was in use has lost its password");
    let second = scene.current();
    scene.rotates().await;
    assert_eq!(user(&scene), "app");
    assert!(scene.cloud.opens(&second).await.unwrap());
    scene.rotates().await;
    assert_eq!(user(&scene), "app_clone");
}

#[tokio::test]
async fn no_login_fails_and_the_window_is_none() {
    for promote in ["at-finish", "after-verify"] {
        let scene = Scene::alternating_users(&[("RELATCH_PROMOTE", promote)]).await;
        scene.rotates().await;
        assert_eq!(scene.cloud.wire.tally().failed_logins, Vec::<String>::new());
        assert_eq!(scene.cloud.wire.tally().without_tls, 0);
    }
}

#[tokio::test]
async fn the_alternate_is_the_equal_of_its_model() {
    let scene = Scene::alternating_users(&[]).await;
    scene
        .sql(
            "CREATE ROLE readers; CREATE ROLE writers; GRANT readers TO app; GRANT readers, writers TO app_admin WITH ADMIN OPTION;
             ALTER ROLE app CONNECTION LIMIT 7 VALID UNTIL '2099-01-01';
             ALTER ROLE app SET search_path = \"$user\", public, \"odd, name\";
             ALTER ROLE app IN DATABASE app SET work_mem = '5MB';",
        )
        .await;
    scene.rotates().await;
    assert_eq!(likeness(&scene, "app_clone").await, likeness(&scene, "app").await);
    // What was changed meanwhile is taken over at the clone's next turn, and what was taken away, too.
    scene
        .sql("REVOKE readers FROM app; GRANT writers TO app; ALTER ROLE app CONNECTION LIMIT 9; ALTER ROLE app RESET search_path;")
        .await;
    scene.rotates().await;
    scene.rotates().await;
    assert_eq!(user(&scene), "app_clone");
    assert_eq!(likeness(&scene, "app_clone").await, likeness(&scene, "app").await);
}

#[tokio::test]
async fn what_either_creates_belongs_to_the_same_owner() {
    let scene = Scene::alternating_users(&[]).await;
    scene.rotates().await;
    let value: Value = serde_json::from_str(scene.current().text().unwrap()).unwrap();
    let config = format!(
        "host=127.0.0.1 port={} user=app_clone password='{}' dbname=app sslmode=disable",
        scene.cloud.postgres.port(),
        value["password"].as_str().unwrap()
    );
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("CREATE TABLE made_by_clone (id int); INSERT INTO orders VALUES (1000, 1)").await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    let admin = scene.cloud.postgres.admin("app").await.unwrap();
    let owner = admin.query_one("SELECT tableowner::text FROM pg_tables WHERE tablename = 'made_by_clone'", &[]).await;
    assert_eq!(owner.unwrap().get::<_, String>(0), "app");
}

#[tokio::test]
async fn an_admin_secret_of_another_server_is_never_connected_to() {
    let scene = Scene::alternating_users(&[]).await;
    let token = scene.staged().await;
    scene
        .cloud
        .aws
        .store()
        .edit("app-admin", |secret| {
            let text = secret.versions[0].text().unwrap().replace("localhost", "127.0.0.2");
            secret.versions[0].value = Some(relatch_integration::aws::store::SecretValue::Text(text));
        })
        .unwrap();
    scene.cloud.wire.count_from_here();
    let run = scene.step(Step::SetSecret, &token).await;
    insta::assert_snapshot!(said(&run), @"setSecret Rotation.Refused: refused: the admin secret and AWSCURRENT differ in `host`, in which they must agree; no connection was made");
    assert_eq!(scene.cloud.wire.tally().connections, 0);
}

#[tokio::test]
async fn an_admin_secret_that_the_deployment_does_not_name_is_never_read() {
    let other = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:other-AbCdEf";
    for named in ["", other] {
        let scene = Scene::alternating_users(&[("RELATCH_ADMIN_SECRETS", named)]).await;
        let said = scene.fails_and_stays_open().await;
        assert!(said.contains("`masterarn` names an admin secret that this deployment does not"), "{said}");
        let admin = scene.cloud.aws.store().secret("app-admin").unwrap().arn;
        let reads = scene.cloud.aws.calls().into_iter().filter(|call| call.parameters["SecretId"] == json!(admin));
        assert_eq!((reads.count(), scene.cloud.wire.tally().connections), (0, 0));
    }
}

/// Somebody with CREATEROLE, and a secret of his own, makes a role that is called like another application's alternate.
/// The admin must not give him that application's password, nor him the password of a role that only looks like his.
#[tokio::test]
async fn a_role_that_only_bears_the_others_name_is_never_given_a_password() {
    for made in [
        "CREATE ROLE victim LOGIN PASSWORD 'theirs'; CREATE ROLE victim_clone LOGIN PASSWORD 'mine'",
        "CREATE ROLE victim_clone LOGIN PASSWORD 'theirs'; CREATE ROLE victim LOGIN PASSWORD 'mine'",
    ] {
        let scene = Scene::alternating_users(&[]).await;
        scene.sql(made).await;
        let mine = if made.ends_with("victim LOGIN PASSWORD 'mine'") { "victim" } else { "victim_clone" };
        scene.sql("GRANT CONNECT ON DATABASE app TO victim, victim_clone").await;
        scene.tamper("AWSCURRENT", |value| (value["username"], value["password"]) = (json!(mine), json!("mine")));
        let said = scene.fails_and_stays_open().await;
        assert!(said.contains("the second is not a member of the first"), "{said}");
        let theirs = if mine == "victim" { "victim_clone" } else { "victim" };
        assert_eq!(scene.cloud.postgres.logs_in(theirs, "theirs", "app").await, Login::Accepted);
    }
}

/// On the word of the value alone the admin does nothing: AWSCURRENT has to log in.
#[tokio::test]
async fn another_applications_role_is_never_given_a_twin() {
    let scene = Scene::alternating_users(&[]).await;
    scene.cloud.postgres.create_role("team_a", "theirs").await.unwrap();
    scene.tamper("AWSCURRENT", |value| (value["username"], value["password"]) = (json!("team_a"), json!("guessed")));
    let said = scene.fails().await;
    assert!(said.contains("the database rejects AWSCURRENT"), "{said}");
    assert_eq!(scene.value("SELECT count(*)::text FROM pg_roles WHERE rolname = 'team_a_clone'").await, "0");
    assert_eq!(scene.cloud.postgres.logs_in("team_a", "theirs", "postgres").await, Login::Accepted);
}

#[tokio::test]
async fn an_admin_without_the_right_is_told_so() {
    let scene = Scene::alternating_users(&[]).await;
    scene.sql("ALTER ROLE app_admin NOCREATEROLE").await;
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the admin user may not create the alternate user: it needs CREATEROLE");
}

#[tokio::test]
async fn an_admin_password_that_is_wrong_is_told_so() {
    let scene = Scene::alternating_users(&[]).await;
    scene.sql("ALTER ROLE app_admin PASSWORD 'another'").await;
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the database rejects the admin secret's password");
}

#[tokio::test]
async fn the_names_of_alternates_keep_to_postgresqls_limit() {
    let scene = Scene::alternating_users(&[]).await;
    let long = "x".repeat(58);
    scene.cloud.postgres.create_role(&long, "MARKED").await.unwrap();
    scene.tamper("AWSCURRENT", |value| (value["username"], value["password"]) = (json!(long), json!("MARKED")));
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"createSecret Rotation.Refused: refused: the alternate user's name would be longer than the 63 bytes that PostgreSQL keeps of a name");
}

#[tokio::test]
async fn a_user_that_leaves_its_partner_no_name_is_told_so() {
    let scene = Scene::alternating_users(&[]).await;
    scene.cloud.postgres.create_role("_clone", "MARKED").await.unwrap();
    scene.tamper("AWSCURRENT", |value| (value["username"], value["password"]) = (json!("_clone"), json!("MARKED")));
    let said = scene.fails_and_stays_open().await;
    assert!(said.contains("the user is called just `_clone`"), "{said}");
}

#[tokio::test]
async fn alternating_users_without_an_admin_secret_are_refused() {
    let settings = [("RELATCH_STRATEGY", "alternating-users")];
    let scene = Scene::single_user_with(&settings, |options| options).await;
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"createSecret Rotation.Refused: refused: alternating users need an admin secret: name it in `masterarn`");
}

#[tokio::test]
async fn an_alternate_that_does_not_prove_itself_leaves_the_current_user_alone() {
    let settings = [("RELATCH_TEST_QUERY", "SELECT 1 / (session_user <> 'app_clone')::int")];
    let scene = Scene::alternating_users(&settings).await;
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the alternate user's new password did not prove itself; AWSCURRENT, another user, is untouched");
    assert_eq!(scene.standing().await, Standing::Fine);
    let password = relatch_integration::cloud::FIRST_PASSWORD;
    assert_eq!(scene.cloud.postgres.logs_in("app", password, "app").await, Login::Accepted);
}

fn user(scene: &Scene) -> String {
    let value: Value = serde_json::from_str(scene.current().text().unwrap()).unwrap();
    value["username"].as_str().unwrap().to_owned()
}

/// Everything about a role that is to be equal.
async fn likeness(scene: &Scene, role: &str) -> String {
    scene
        .value(&format!(
            "SELECT jsonb_build_object(
                'attributes', (SELECT to_jsonb(r) - 'rolname' - 'oid' - 'rolpassword' - 'rolconfig' FROM pg_roles r WHERE rolname = '{role}'),
                'groups', (SELECT jsonb_agg(g.rolname ORDER BY g.rolname) FROM pg_roles g
                           WHERE pg_has_role('{role}', g.oid, 'USAGE') AND g.rolname NOT IN ('app', 'app_clone')),
                'settings', (SELECT jsonb_agg(e ORDER BY e) FROM (SELECT s.setdatabase::text || unnest(s.setconfig) AS e
                             FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = '{role}') x
                             WHERE e <> '0role=app'))::text"
        ))
        .await
}
