//! Databases that are not as they should be, and such as are only unusual.

use crate::scene::Scene;
use relatch_integration::{
    certificates::Authority,
    cloud::{Cloud, Standing},
    postgres::{Options, Postgres},
    wire::Wire,
};
use serde_json::json;

#[tokio::test]
async fn roles_that_cannot_log_in() {
    let scene = Scene::single_user().await;
    let mut table = Vec::new();
    for (name, breaks, mends) in [
        ("NOLOGIN", "ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN"),
        ("VALID UNTIL", "ALTER ROLE app VALID UNTIL '2001-01-01'", "ALTER ROLE app VALID UNTIL 'infinity'"),
        ("no session allowed", "ALTER ROLE app CONNECTION LIMIT 0", "ALTER ROLE app CONNECTION LIMIT -1"),
        ("one session allowed", "ALTER ROLE app CONNECTION LIMIT 1", "ALTER ROLE app CONNECTION LIMIT -1"),
        ("no such database", "ALTER DATABASE app RENAME TO gone", "ALTER DATABASE gone RENAME TO app"),
        (
            "no session of the database",
            "ALTER DATABASE app CONNECTION LIMIT 0",
            "ALTER DATABASE app CONNECTION LIMIT -1",
        ),
        (
            "a database that is closed",
            "ALTER DATABASE app ALLOW_CONNECTIONS false",
            "ALTER DATABASE app ALLOW_CONNECTIONS true",
        ),
        ("no CONNECT", "REVOKE CONNECT ON DATABASE app FROM PUBLIC, app", "GRANT CONNECT ON DATABASE app TO PUBLIC"),
    ] {
        let before = scene.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").await;
        scene.sql(breaks).await;
        table.push(format!("{name}: {}", scene.fails().await));
        scene.sql(mends).await;
        assert_eq!(before, scene.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").await, "{name}");
        assert_eq!(scene.standing().await, Standing::Fine, "{name}");
    }
    insta::assert_snapshot!(table.join("\n"));
    scene.rotates().await;
}

#[tokio::test]
async fn an_admin_secret_sees_what_is_wrong_with_a_role() {
    let settings = [("RELATCH_STRATEGY", "single-user")];
    let scene = Scene::alternating_users(&settings).await;
    let mut table = Vec::new();
    for (name, breaks, mends) in [
        ("VALID UNTIL", "ALTER ROLE app VALID UNTIL '2001-01-01'", "ALTER ROLE app VALID UNTIL 'infinity'"),
        ("no such role", "ALTER ROLE app RENAME TO gone", "ALTER ROLE gone RENAME TO app"),
        ("another password", "ALTER ROLE app PASSWORD 'by hand'", "SELECT 1"),
    ] {
        scene.sql(breaks).await;
        table.push(format!("{name}: {}", scene.fails().await));
        scene.sql(mends).await;
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn a_password_that_opens_the_database_proves_that_the_role_is_not_iams() {
    let scene = Scene::single_user().await;
    scene.sql("CREATE ROLE rds_iam; GRANT rds_iam TO app").await;
    scene.rotates().await;
}

#[tokio::test]
async fn catalogs_that_may_not_be_read_are_named_with_the_right_that_is_missing() {
    let scene = Scene::single_user().await;
    let inside = scene.cloud.postgres.admin("app").await.unwrap();
    let mut table = Vec::new();
    for right in ["SELECT ON pg_catalog.pg_roles", "SELECT ON pg_catalog.pg_stat_activity"] {
        inside.batch_execute(&format!("REVOKE {right} FROM PUBLIC")).await.unwrap();
        table.push(format!("{right}: {}", scene.fails_and_stays_open().await));
        inside.batch_execute(&format!("GRANT {right} TO PUBLIC")).await.unwrap();
    }
    // Of these the first statements of a session are made: this is what a server looks like that is no PostgreSQL.
    inside.batch_execute("REVOKE EXECUTE ON FUNCTION pg_backend_pid() FROM PUBLIC").await.unwrap();
    table.push(format!("pg_backend_pid(): {}", scene.fails_and_stays_open().await));
    inside.batch_execute("GRANT EXECUTE ON FUNCTION pg_backend_pid() TO PUBLIC").await.unwrap();
    insta::assert_snapshot!(table.join("\n"));
    scene.rotates().await;
}

#[tokio::test]
async fn a_server_that_refuses_verifiers_is_refused_before_anything_is_changed() {
    let scene = Scene::single_user().await;
    scene.sql("ALTER DATABASE app SET credcheck.encrypted_password_allowed = 'off'").await;
    insta::assert_snapshot!(scene.fails_and_stays_open().await, @"setSecret Rotation.Refused: refused: credcheck refuses verifiers, and Relatch sends no password in clear: set credcheck.encrypted_password_allowed to on");
    // Whom it exempts may try.
    scene.sql("ALTER DATABASE app SET credcheck.whitelist = 'app'").await;
    scene.rotates().await;
}

#[tokio::test]
async fn restricted_password_commands_need_an_admin() {
    let scene = Scene::single_user().await;
    scene.sql("ALTER DATABASE app SET rds.restrict_password_commands = 'on'").await;
    insta::assert_snapshot!(scene.fails_and_stays_open().await, @"setSecret Rotation.Refused: refused: rds.restrict_password_commands keeps the role from changing its password, and no admin secret (`masterarn`) is named");
    let scene = Scene::alternating_users(&[("RELATCH_STRATEGY", "single-user")]).await;
    scene.sql("ALTER DATABASE app SET rds.restrict_password_commands = 'on'").await;
    scene.rotates().await;
}

#[tokio::test]
async fn a_standby_is_refused() {
    let cloud = Cloud::start().await.unwrap();
    let secret = cloud.database_secret("app").await.unwrap();
    let standby = cloud.postgres.standby().await.unwrap();
    standby.caught_up_with(&cloud.postgres).await.unwrap();
    let wire = Wire::start(standby.address(), Some(&cloud.authority.leaf(&["localhost"]).unwrap())).unwrap();
    let function = cloud.rotate().unwrap();
    let scene = Scene { cloud, secret, function };
    scene.tamper("AWSCURRENT", |value| value["port"] = json!(wire.port()));
    insta::assert_snapshot!(scene.fails_and_stays_open().await, @"setSecret Rotation.Refused: refused: the endpoint is read-only (a standby or a reader): use the writer's");
}

#[tokio::test]
async fn servers_that_are_not_to_be_trusted() {
    let cloud = Cloud::start().await.unwrap();
    let secret = cloud.database_secret("app").await.unwrap();
    let function = cloud.rotate().unwrap();
    let scene = Scene { cloud, secret, function };
    let authority = &scene.cloud.authority;
    let server = scene.cloud.postgres.address();
    let stranger = Authority::new().unwrap();
    let mut table = Vec::new();
    for (name, wire) in [
        ("plaintext only", Wire::start(server, None).unwrap()),
        (
            "another host's certificate",
            Wire::start(server, Some(&authority.leaf(&["db.example.com"]).unwrap())).unwrap(),
        ),
        (
            "an expired certificate",
            Wire::start(server, Some(&authority.expired_leaf(&["localhost"]).unwrap())).unwrap(),
        ),
        ("an unknown authority", Wire::start(server, Some(&stranger.leaf(&["localhost"]).unwrap())).unwrap()),
    ] {
        scene.tamper("AWSCURRENT", |value| value["port"] = json!(wire.port()));
        table.push(format!("{name}: {}", scene.fails().await));
        assert_eq!(wire.tally().without_tls, 0, "{name}: went on in plain text");
        scene.cloud.aws.store().edit(&scene.secret, |secret| secret.versions.truncate(1)).unwrap();
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn a_server_that_speaks_only_tls_1_1_is_refused() {
    let authority = Authority::new().unwrap();
    let options = Options::with_tls(authority.leaf(&["localhost"]).unwrap())
        .setting("ssl_min_protocol_version", "TLSv1.1")
        .setting("ssl_max_protocol_version", "TLSv1.1")
        .setting("ssl_ciphers", "DEFAULT@SECLEVEL=0");
    let old = Postgres::start(options).await.unwrap();
    let scene = Scene::single_user().await;
    scene.tamper("AWSCURRENT", |value| {
        (value["port"], value["sslrootcert"]) = (json!(old.port()), json!(authority.pem()));
    });
    insta::assert_snapshot!(scene.fails().await, @"setSecret Rotation.Refused: refused: the server speaks no TLS from version 1.2 on");
}

#[tokio::test]
async fn a_secret_may_bring_its_own_authority_and_server_name() {
    let scene = Scene::single_user().await;
    let own = Authority::new().unwrap();
    let leaf = own.leaf(&["db.internal.example.com"]).unwrap();
    let wire = Wire::start(scene.cloud.postgres.address(), Some(&leaf)).unwrap();
    scene.tamper("AWSCURRENT", |value| {
        value["port"] = json!(wire.port());
        value["sslrootcert"] = json!(own.pem());
        value["sslservername"] = json!("db.internal.example.com");
    });
    scene.rotates().await;
    scene.tamper("AWSCURRENT", |value| value["sslrootcert"] = json!("no certificate"));
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the certificate authority in `sslrootcert` is not a PEM certificate");
}

#[tokio::test]
async fn plaintext_needs_the_secrets_and_the_environments_word() {
    let scene = Scene::single_user().await;
    scene.tamper("AWSCURRENT", |value| value["ssl"] = json!(false));
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @r#"setSecret Rotation.Refused: refused: the secret says `"ssl": false`, and RELATCH_ALLOW_PLAINTEXT is not set"#);
    assert_eq!(scene.cloud.wire.tally().connections, 0);

    let scene = Scene::single_user_with(&[("RELATCH_ALLOW_PLAINTEXT", "true")], |options| options).await;
    scene.rotates().await;
    assert_eq!(scene.cloud.wire.tally().without_tls, 0);
    scene.tamper("AWSCURRENT", |value| value["ssl"] = json!(false));
    scene.rotates().await;
    assert_eq!(scene.cloud.wire.tally().without_tls, 4);
}

#[tokio::test]
async fn the_settings_of_a_role_do_not_stand_in_the_way() {
    let scene = Scene::single_user().await;
    scene
        .sql(
            "CREATE ROLE owner; GRANT owner TO app; ALTER ROLE app SET role = owner;
             ALTER ROLE app SET default_transaction_read_only = on; ALTER ROLE app SET synchronous_commit = off;
             ALTER ROLE app SET statement_timeout = 0;",
        )
        .await;
    scene.rotates().await;
}

#[tokio::test]
async fn a_server_of_md5_is_talked_to_only_where_the_settings_allow_it() {
    let md5 = ("RELATCH_WEAKEST_LOGIN", "md5");
    let scene = Scene::single_user_with(&[], |options| options.setting("password_encryption", "md5")).await;
    insta::assert_snapshot!(scene.fails_and_stays_open().await, @"setSecret Rotation.Refused: refused: the server asks for an md5 hash of the password, and RELATCH_WEAKEST_LOGIN does not allow it: set password_encryption to scram-sha-256 and give the role its password anew");
    for (settings, kind) in
        [(&[md5][..], "md5"), (&[md5, ("RELATCH_PASSWORD_ENCRYPTION", "scram-sha-256")][..], "SCRAM-SHA-256")]
    {
        let scene = Scene::single_user_with(settings, |options| options.setting("password_encryption", "md5")).await;
        scene.rotates().await;
        let verifier = scene.value(VERIFIER).await;
        assert!(verifier.starts_with(kind), "{kind}");
    }
}

const VERIFIER: &str = "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'";

#[tokio::test]
async fn a_login_by_scram_means_a_scram_verifier_whatever_the_role_or_the_server_says() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    assert!(scene.value(VERIFIER).await.starts_with("SCRAM-SHA-256$4096:"));
    for says_md5 in
        ["ALTER ROLE app SET password_encryption = 'md5'", "ALTER DATABASE app SET password_encryption = 'md5'"]
    {
        scene.sql(says_md5).await;
        scene.rotates().await;
        assert!(scene.value(VERIFIER).await.starts_with("SCRAM-SHA-256$"), "{says_md5}");
    }
}

#[tokio::test]
async fn the_way_back_does_not_lock_out_a_role_that_is_set_to_md5() {
    let settings = [("RELATCH_TEST_QUERY", "SELECT 1/0"), ("RELATCH_WEAKEST_LOGIN", "md5")];
    let scene = Scene::single_user_with(&settings, |options| options).await;
    scene.sql("ALTER ROLE app SET password_encryption = 'md5'").await;
    let said = scene.fails_and_stays_open().await;
    assert!(said.contains("the previous one is back"), "{said}");
    assert!(scene.value(VERIFIER).await.starts_with("SCRAM-SHA-256$"));
}

#[tokio::test]
async fn a_role_cannot_make_its_rotations_compute_for_half_an_hour() {
    let scene = Scene::single_user().await;
    if scene.value("SHOW server_version_num").await.parse::<u32>().unwrap() < 160_000 {
        // The setting came with PostgreSQL 16; before, `Kind::fit` alone is tested.
        return;
    }
    for (iterations, made) in [("2147483647", "100000"), ("600000", "100000"), ("1", "4096"), ("5000", "5000")] {
        scene.sql(&format!("ALTER ROLE app SET scram_iterations = {iterations}")).await;
        scene.rotates().await;
        assert!(scene.value(VERIFIER).await.starts_with(&format!("SCRAM-SHA-256${made}:")), "{iterations}");
    }
}

#[tokio::test]
async fn passwords_and_names_of_every_kind_work() {
    let scene = Scene::single_user().await;
    let (name, password) = ("we\"ird 'näme'", "pässwörd '\"\\ \u{ad}x MARKED");
    scene.cloud.postgres.create_role(name, password).await.unwrap();
    scene.sql("GRANT CONNECT ON DATABASE app TO PUBLIC").await;
    scene.tamper("AWSCURRENT", |value| (value["username"], value["password"]) = (json!(name), json!(password)));
    scene.rotates().await;
    scene.rotates().await;
}
