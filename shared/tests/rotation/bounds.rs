//! What a rotation never does: log in elsewhere, call more often than it has to, act when its time is over.

use crate::world::{End, Fault, Kind, World, every_setup};
use relatch::{
    ports::{Label, Login},
    rotation::{Reason, facts::RoleProblem, plan::Promote},
    secret::Field,
};
use relatch_events::rotation::Step;

#[tokio::test(start_paused = true)]
async fn a_pending_version_that_leads_elsewhere_is_never_tried() {
    for (from, to, field) in [
        ("db.example.com", "evil.example.com", Field::Host),
        ("5432", "5433", Field::Port),
        ("\"postgres\"", "\"aurora-postgresql\"", Field::Engine),
        ("\"dbname\":\"app\"", "\"dbname\":\"other\"", Field::Dbname),
        ("\"username\":\"app\"", "\"username\":\"stranger\"", Field::Username),
        ("{", "{\"ssl\":false,", Field::Ssl),
        ("{", "{\"sslservername\":\"evil\",", Field::Ssl),
        ("}", ",\"masterarn\":\"arn:evil\"}", Field::Masterarn),
        ("{", "{\"dbClusterIdentifier\":\"other\",", Field::ClusterIdentifier),
    ] {
        for (kind, promote) in every_setup() {
            for step in Step::ALL {
                let next = if kind.alternates() { "\"username\":\"app_clone\"" } else { "\"username\":\"app\"" };
                let staged = |current: &str| {
                    let pending = current.replace("password-one", "password-two");
                    // Of a secret that names an admin already, another one.
                    let pending = match field {
                        Field::Masterarn if pending.contains("masterarn") => {
                            pending.replace("admin-GhIjKl", "evil-GhIjKl")
                        }
                        _ => pending.replace(from, to),
                    };
                    pending.replace("\"username\":\"app\"", next)
                };
                let world = World::at_rest(kind, promote).staged(staged);
                let before = world.portrait();
                let end = world.step(step).await;
                assert!(end.is_refused(Reason::Mismatch(field)), "{kind:?} {step} {field}: {end:?}");
                assert!(world.logins().is_empty());
                assert_eq!(world.portrait(), before);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_secret_that_leads_elsewhere_is_never_tried() {
    for (kind, promote) in every_setup().filter(|(kind, _)| kind.alternates()) {
        let world = World::at_rest(kind, promote).rotating();
        world.by_hand(|state| state.lead_admin_to("evil.example.com"));
        assert!(world.step(Step::Create).await.is_done());
        let before = world.portrait();
        assert!(world.step(Step::Set).await.is_refused(Reason::AdminMismatch(Field::Host)));
        assert!(world.logins().is_empty());
        assert_eq!(world.portrait(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_secret_that_the_deployment_does_not_name_is_refused_before_anything_is_done() {
    for (kind, promote) in every_setup().filter(|(kind, _)| kind.alternates()) {
        let world = World::at_rest(kind, promote).rotating();
        world.by_hand(|state| state.name_admin("arn:aws:secretsmanager:eu-central-1:123456789012:secret:other-AbCdEf"));
        let before = world.portrait();
        assert!(world.step(Step::Create).await.is_refused(Reason::AdminNotAllowed));
        assert_eq!(world.portrait(), before);
    }
}

/// Whoever could make a role `NAME_clone` (CREATEROLE), and a secret for it, would be given `NAME`'s password.
#[tokio::test(start_paused = true)]
async fn a_role_that_only_bears_the_others_name_is_never_given_a_password() {
    for promote in [Promote::AtFinish, Promote::AfterVerify] {
        let world = World::at_rest(Kind::AlternatingUsers, promote).rotating();
        world.by_hand(|state| state.strangers = true);
        assert!(world.step(Step::Create).await.is_done());
        let before = world.portrait();
        assert!(world.step(Step::Set).await.is_refused(Reason::Role(RoleProblem::Stranger)));
        assert_eq!(world.portrait(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_calm_rotation_makes_few_calls_and_no_login_that_fails() {
    for (promote, most_logins) in [(Promote::AtFinish, 4), (Promote::AfterVerify, 2)] {
        for kind in [Kind::SingleUser, Kind::AlternatingUsers, Kind::FirstAlternation] {
            let world = World::at_rest(kind, promote).rotating();
            assert_eq!(world.rotates_in_the_end().await, 0);
            let aws = |name: &&&str| matches!(**name, "describe" | "read" | "stage" | "promote");
            let (calls, logins) = (world.names().iter().filter(aws).count(), world.logins());
            println!("{kind:?} {promote:?}: {calls} calls, {} logins", logins.len());
            // Alternating users also read the admin secret, and ask AWSCURRENT before the admin acts.
            let more = usize::from(kind.alternates());
            assert!(calls <= 12 + more, "{calls}\n{}", world.story());
            assert!(logins.len() <= most_logins + more, "{}", world.story());
            assert!(logins.iter().all(|login| *login == Login::Accepted), "{logins:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_wakes_up_after_the_deadline_does_not_act() {
    let mut cases = 0;
    for (kind, promote) in every_setup() {
        for mood in [None, Some(Login::Rejected), Some(Login::Unfit("42P01".into()))] {
            // The way back has two rungs; the second is reached when the first fails.
            for cut in [None, Some(Fault::Before), Some(Fault::Refused)] {
                cases += freezes(kind, promote, mood, cut).await;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 600, "{cases}");
}

/// Freezes a rotation at each of its calls; the world itself sees that nothing changes afterwards.
async fn freezes(kind: Kind, promote: Promote, mood: Option<Login>, cut: Option<Fault>) -> u32 {
    let world = || {
        let world = World::at_rest(kind, promote).rotating();
        mood.into_iter().fold(world, |world, mood| world.distrusting(mood, 1))
    };
    let calm = world();
    calm.rotate().await;
    let is_change = |(_, name): &(u32, &str)| matches!(*name, "set password" | "provision");
    let changes: Vec<u32> = (1..).zip(calm.names()).filter(is_change).map(|(call, _)| call).collect();
    let cutting = |world: World| match (cut, changes.get(1)) {
        (Some(fault), Some(put_back)) => world.failing_at(*put_back, fault),
        _ => world,
    };
    let calm = cutting(world());
    calm.rotate().await;
    for call in 1..=calm.calls() {
        let world = cutting(world()).failing_at(call, Fault::Freezes);
        let end = world.rotate().await;
        assert!(!matches!(end, End::Died));
        world.rotates_in_the_end().await;
        assert!(world.opens(Label::Current));
    }
    calm.calls()
}
