//! What the tests have in common: a cloud, one secret, both handlers, and the words to tell what happened.

use relatch_integration::{
    aws::store::Version,
    cloud::{ADMIN_PASSWORD, Cloud, Standing},
    lambda::{Function, Outcome},
    rotation::{Rotation, Step},
    trail,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// A cloud with one secret, for the role `app` in the database `app`.
pub(crate) struct Scene {
    pub(crate) cloud: Cloud,
    pub(crate) secret: String,
    pub(crate) rotate: Function,
    pub(crate) respond: Function,
}

impl Scene {
    pub(crate) async fn single_user() -> Self {
        Self::of(Cloud::start().await.unwrap(), false).await
    }

    pub(crate) async fn with_admin() -> Self {
        Self::of(Cloud::start().await.unwrap(), true).await
    }

    /// A database that has no role yet but its admin, who is no superuser; the secret's tags say which is to be made.
    pub(crate) async fn before_its_first_role() -> Self {
        let cloud = Cloud::start().await.unwrap();
        cloud.postgres.create_role("app_admin", ADMIN_PASSWORD).await.unwrap();
        cloud.postgres.sql("ALTER ROLE app_admin CREATEROLE").await.unwrap();
        cloud.postgres.create_database("app", "app_admin").await.unwrap();
        let admin = json!({
            "engine": "postgres", "host": "localhost", "port": cloud.wire.port(),
            "username": "app_admin", "password": ADMIN_PASSWORD,
        });
        let masterarn = cloud.aws.store().create("app-admin", &admin.to_string()).unwrap();
        let secret = cloud.secret("app", json!({ "masterarn": masterarn })).unwrap();
        let tag = ("relatch:database".to_owned(), "app".to_owned());
        cloud.aws.store().edit(&secret, |secret| secret.tags.extend([tag])).unwrap();
        let (rotate, respond) = (cloud.rotate().unwrap(), cloud.respond_with(&[]).unwrap());
        Self { cloud, secret, rotate, respond }
    }

    /// Both handlers with the table and the topic.
    pub(crate) async fn remembering() -> Self {
        Self::remembering_with(&[]).await
    }

    /// The same, with more settings for `rotate`. Nobody is kept waiting for the sake of fewer messages.
    pub(crate) async fn remembering_with(settings: &[(&str, &str)]) -> Self {
        Self::grouping(0, settings).await
    }

    /// The same, where the group wait is of so many seconds.
    pub(crate) async fn grouping(wait: u32, settings: &[(&str, &str)]) -> Self {
        let scene = Self::single_user().await;
        // A busy machine takes longer to start it than a handler waits for an answer.
        scene.cloud.aws.emulate().await.unwrap();
        let (memory, wait) = (Cloud::memory(), wait.to_string());
        let mut memory: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
        memory.extend([("RELATCH_GROUP_WAIT_SECONDS", wait.as_str()), ("RELATCH_GROUP_INTERVAL_SECONDS", "0")]);
        let rotate = scene.cloud.rotate_with(&[&memory, settings].concat()).unwrap();
        let respond = scene.cloud.respond_with(&memory).unwrap();
        Self { rotate, respond, ..scene }
    }

    async fn of(cloud: Cloud, admin: bool) -> Self {
        let secret = match admin {
            true => cloud.database_secret_with_admin("app").await.unwrap(),
            false => cloud.database_secret("app").await.unwrap(),
        };
        let (rotate, respond) = (cloud.rotate().unwrap(), cloud.respond_with(&[]).unwrap());
        Self { cloud, secret, rotate, respond }
    }

    /// What people have been told so far: status, condition and impact.
    pub(crate) fn told(&self) -> Vec<String> {
        let word = |alert: &Value, field: &str| alert[field].as_str().unwrap_or("-").to_owned();
        let line = |alert: &Value| [word(alert, "status"), word(alert, "condition"), word(alert, "impact")].join(" ");
        self.cloud.published().unwrap().iter().map(line).collect()
    }

    /// Rotates, and is sure that it went well.
    pub(crate) async fn rotates(&self) {
        let outcome = self.rotation().run().await.unwrap();
        assert!(outcome.succeeded(), "{outcome:#?}");
    }

    pub(crate) fn rotation(&self) -> Rotation<'_> {
        Rotation::of(&self.cloud.aws, &self.rotate, &self.secret)
    }

    /// A rotation that dies after it has changed the password: the database has the new one, and AWSCURRENT the old.
    /// Returns its token.
    pub(crate) async fn dies_after_the_change(&self) -> String {
        let token = Uuid::new_v4().to_string();
        self.cloud.aws.store().begin_rotation(&self.secret, &token).unwrap();
        for step in [Step::CreateSecret, Step::SetSecret] {
            let run = self.rotation().step(step, &token).await.unwrap();
            assert!(run.outcome.is_ok(), "{run:?}");
        }
        self.rotate.stop().await;
        assert_eq!(self.standing().await, Standing::CurrentShut);
        token
    }

    /// What respond answers to Secrets Manager's word that a rotation has failed.
    pub(crate) async fn failed(&self, token: &str) -> Value {
        self.responds(trail::rotation_failed(&self.secret, token)).await
    }

    /// What respond answers when it is time to look after every secret.
    pub(crate) async fn sweeps(&self) -> Value {
        self.responds(trail::scheduled()).await
    }

    /// What respond answers when it is time to tell what was held back.
    pub(crate) async fn flushes(&self) -> Value {
        self.responds(trail::flush()).await
    }

    pub(crate) async fn responds(&self, event: Value) -> Value {
        let outcome = self.respond.invoke(event).await.unwrap();
        let Outcome::Ok(answer) = outcome else {
            panic!("respond failed: {outcome:?}\n{:#?}", self.respond.output().lines());
        };
        answer
    }

    pub(crate) async fn standing(&self) -> Standing {
        self.cloud.standing(&self.secret).await.unwrap()
    }

    pub(crate) fn labelled(&self, label: &str) -> Option<Version> {
        self.cloud.aws.store().labelled(&self.secret, label).unwrap()
    }

    /// What an operator does who reads AWS's own advice for a rotation that is stuck.
    pub(crate) fn takes_pending_off(&self) {
        let pending = self.labelled("AWSPENDING").unwrap().id;
        let edited = self.cloud.aws.store().edit(&self.secret, |secret| {
            secret.versions.iter_mut().filter(|version| version.id == pending).for_each(|version| {
                version.labels.remove("AWSPENDING");
            });
        });
        edited.unwrap();
    }

    /// Makes it a while ago that a version was made.
    pub(crate) fn ages(&self, id: &str, minutes: i64) {
        let edited = self.cloud.aws.store().edit(&self.secret, |secret| {
            for version in secret.versions.iter_mut().filter(|version| version.id == id) {
                version.created -= jiff::SignedDuration::from_mins(minutes);
            }
        });
        edited.unwrap();
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.cloud.postgres.sql(statements).await.unwrap();
    }
}
