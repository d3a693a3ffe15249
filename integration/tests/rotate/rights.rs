//! Nobody gains a right through a rotation: not the role, not the owner of its database, and not the alternate user.

use crate::scene::Scene;
use relatch_integration::{cloud::Cloud, postgres::Version};

/// What the owner of a database can lay out for whoever comes along in it. Each trap makes a role for its owner if it is
/// called by somebody who can, and notes who has called it.
const TRAPS: &str = r#"
    SET ROLE app;
    CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine, public TO PUBLIC;
    CREATE TABLE mine.caught (who text); GRANT ALL ON mine.caught TO PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO PUBLIC;
    CREATE FUNCTION mine.trap() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO mine.caught VALUES (session_user);
        BEGIN EXECUTE 'CREATE ROLE pwned LOGIN SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'CREATE ROLE pwned LOGIN CREATEROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    END $$;
    DO $do$ DECLARE place text; BEGIN FOREACH place IN ARRAY ARRAY['mine', 'public'] LOOP
        EXECUTE replace($t$
            CREATE FUNCTION PLACE.format(text, integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN pg_catalog.format($1, $2); END $$;
            CREATE FUNCTION PLACE.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN QUERY SELECT pg_catalog.unnest($1); END $$;
            CREATE FUNCTION PLACE.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN pg_catalog.set_config($1, $2, $3); END $$;
            CREATE FUNCTION PLACE.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN pg_catalog.current_setting($1); END $$;
            CREATE FUNCTION PLACE.pg_try_advisory_lock(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN true; END $$;
            CREATE FUNCTION PLACE.equal(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN $1::text OPERATOR(pg_catalog.=) $2; END $$;
            CREATE FUNCTION PLACE.equal(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
            CREATE FUNCTION PLACE.equal(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mine.trap(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
            CREATE OPERATOR PLACE.= (LEFTARG = name, RIGHTARG = text, FUNCTION = PLACE.equal);
            CREATE OPERATOR PLACE.= (LEFTARG = name, RIGHTARG = name, FUNCTION = PLACE.equal);
            CREATE OPERATOR PLACE.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = PLACE.equal);
            CREATE VIEW PLACE.pg_roles AS SELECT r.* FROM pg_catalog.pg_roles r, LATERAL (SELECT mine.trap()) t; GRANT ALL ON PLACE.pg_roles TO PUBLIC;
            CREATE DOMAIN PLACE.text AS pg_catalog.text CHECK (mine.trap() IS NOT NULL);
            CREATE DOMAIN PLACE.int4 AS pg_catalog.int4 CHECK (mine.trap() IS NOT NULL);
        $t$, 'PLACE', place);
    END LOOP; END $do$;
    RESET ROLE;
    SET ROLE app;
    ALTER DATABASE app SET search_path = mine, public, pg_catalog;
    ALTER DATABASE app SET role = 'app';
    ALTER DATABASE app SET synchronous_commit = off;
    ALTER DATABASE app SET default_transaction_read_only = on;
    ALTER DATABASE app SET exit_on_error = on;
    ALTER ROLE app SET search_path = mine, pg_catalog;
    ALTER ROLE app SET work_mem = '8MB';
    ALTER ROLE app SET synchronous_commit = off;
    ALTER ROLE app SET role = 'app';
    RESET ROLE;
"#;

/// Every right there is to be had, but for those of the alternate user.
const RIGHTS: &str = "
    SELECT jsonb_build_object(
        'roles', (SELECT jsonb_agg(to_jsonb(r) - 'oid' - 'rolpassword' ORDER BY rolname) FROM pg_roles r WHERE rolname <> 'app_clone'),
        'memberships', (SELECT jsonb_agg(to_jsonb(m) - 'oid' - 'grantor' ORDER BY m.roleid, m.member) FROM pg_auth_members m
                        WHERE 'app_clone' <> ALL (ARRAY[m.roleid::regrole::text, m.member::regrole::text])),
        'databases', (SELECT jsonb_agg(jsonb_build_array(datname, datdba::regrole, datacl::text) ORDER BY datname) FROM pg_database),
        'settings', (SELECT jsonb_agg(to_jsonb(s) ORDER BY setdatabase, setrole) FROM pg_db_role_setting s
                     WHERE setrole::regrole::text <> 'app_clone'))::text";

#[tokio::test]
async fn nobody_gains_a_right_by_a_rotation_on_15() {
    nobody_gains_a_right_on(Version::V15).await;
}

#[tokio::test]
async fn nobody_gains_a_right_by_a_rotation_on_16() {
    nobody_gains_a_right_on(Version::V16).await;
}

#[tokio::test]
async fn nobody_gains_a_right_by_a_rotation_on_17() {
    nobody_gains_a_right_on(Version::V17).await;
}

#[tokio::test]
async fn nobody_gains_a_right_by_a_rotation_on_18() {
    nobody_gains_a_right_on(Version::V18).await;
}

async fn nobody_gains_a_right_on(version: Version) {
    for (admin, strategy) in [("CREATEROLE", "auto"), ("SUPERUSER", "auto"), ("SUPERUSER", "single-user")] {
        let scene = scene(version, admin, &[("RELATCH_STRATEGY", strategy)]).await;
        scene.cloud.postgres.admin("app").await.unwrap().batch_execute(TRAPS).await.unwrap();
        let before = scene.value(RIGHTS).await;
        scene.rotates().await;
        scene.rotates().await;
        assert_eq!(scene.value(RIGHTS).await, before, "{version} {admin} {strategy}");
        let app = scene.cloud.postgres.admin("app").await.unwrap();
        let caught = app.query("SELECT DISTINCT who FROM mine.caught WHERE who NOT IN ('app', 'app_clone')", &[]).await;
        assert!(
            caught.unwrap().is_empty(),
            "{version} {admin} {strategy}: an admin has called what the owner laid out"
        );
    }
}

#[tokio::test]
async fn the_alternate_may_do_nothing_that_its_user_may_not() {
    for version in Version::ALL {
        let scene = scene(version, "CREATEROLE", &[]).await;
        let options = if version >= Version::V16 { "WITH INHERIT FALSE, SET FALSE" } else { "" };
        scene
            .sql(&format!(
                "CREATE ROLE writers; CREATE ROLE gone; GRANT writers TO app {options};
                 REVOKE CONNECT ON DATABASE app FROM PUBLIC; GRANT CONNECT ON DATABASE app TO app, app_admin;
                 ALTER ROLE app NOINHERIT;"
            ))
            .await;
        // Also the login of a role that inherits nothing reaches what was granted to that alone.
        scene.rotates().await;
        let groups = "SELECT string_agg(g.rolname, ',') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                      JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = 'app_clone'";
        assert_eq!(scene.value(groups).await, "app", "{version}");
        let inherits = "SELECT pg_has_role('app_clone', 'writers', 'USAGE')::text";
        assert_eq!(scene.value(inherits).await, "false", "{version}");
        if version >= Version::V16 {
            assert_eq!(scene.value("SELECT pg_has_role('app_clone', 'writers', 'SET')::text").await, "false");
        }
        // A membership of its own goes, and one that the admin may not end is named.
        scene.sql("GRANT gone TO app_clone").await;
        scene.rotates().await;
        if version < Version::V16 {
            scene.rotates().await;
            assert_eq!(scene.value(groups).await, "app", "{version}");
        } else {
            let said = scene.fails_and_stays_open().await;
            assert!(said.contains("the alternate user is a member of gone by itself"), "{version}: {said}");
        }
    }
}

#[tokio::test]
async fn a_setting_that_the_admin_may_not_copy_is_named_and_one_that_means_nothing_is_left_out() {
    let scene = scene(Version::V17, "CREATEROLE", &[]).await;
    scene
        .sql("ALTER ROLE app SET default_tablespace = 'gone'; ALTER ROLE app SET log_min_duration_statement = 500")
        .await;
    let said = scene.fails_and_stays_open().await;
    assert!(said.contains("may not copy the setting log_min_duration_statement to the alternate user"), "{said}");
    scene.sql("GRANT SET ON PARAMETER log_min_duration_statement TO app_admin").await;
    scene.rotates().await;
}

/// A secret of `app`, and an admin that may rotate it.
async fn scene(version: Version, admin: &str, settings: &[(&str, &str)]) -> Scene {
    let cloud = Cloud::start_with(|options| options.version(version)).await.unwrap();
    let secret = cloud.database_secret_with_admin("app").await.unwrap();
    let function = cloud.rotate_with(settings).unwrap();
    let scene = Scene { cloud, secret, function };
    scene.sql(&format!("ALTER ROLE app_admin {admin}")).await;
    if version >= Version::V16 {
        scene.sql("GRANT app TO app_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").await;
    }
    scene
}
