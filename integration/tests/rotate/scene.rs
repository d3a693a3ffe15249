//! What the tests have in common: a cloud, one secret, the handler, and the words to tell what happened.

use relatch_integration::{
    aws::store::{SecretValue, Version},
    cloud::{Cloud, Standing},
    lambda::{Function, Outcome},
    postgres::Options,
    rotation::{Rotation, RotationOutcome, Step, StepRun},
};
use serde_json::Value;
use uuid::Uuid;

/// A cloud with one secret, for the role `app` in the database `app`.
pub(crate) struct Scene {
    pub(crate) cloud: Cloud,
    pub(crate) secret: String,
    pub(crate) function: Function,
}

impl Scene {
    pub(crate) async fn single_user() -> Self {
        Self::single_user_with(&[], |options| options).await
    }

    pub(crate) async fn single_user_with(settings: &[(&str, &str)], options: impl FnOnce(Options) -> Options) -> Self {
        let cloud = Cloud::start_with(options).await.unwrap();
        let secret = cloud.database_secret("app").await.unwrap();
        let function = cloud.rotate_with(settings).unwrap();
        Self { cloud, secret, function }
    }

    pub(crate) async fn alternating_users(settings: &[(&str, &str)]) -> Self {
        let cloud = Cloud::start().await.unwrap();
        let secret = cloud.database_secret_with_admin("app").await.unwrap();
        let function = cloud.rotate_with(settings).unwrap();
        Self { cloud, secret, function }
    }

    /// The same scene, with a handler of the ordinary settings in place of one that gives up early.
    pub(crate) fn patiently(self) -> Self {
        Self { function: self.cloud.rotate().unwrap(), ..self }
    }

    pub(crate) fn rotation(&self) -> Rotation<'_> {
        Rotation::of(&self.cloud.aws, &self.function, &self.secret)
    }

    /// Rotates, and is sure that it went well.
    pub(crate) async fn rotates(&self) -> RotationOutcome {
        self.cloud.wire.count_from_here();
        let outcome = self.rotation().run().await.unwrap();
        assert!(outcome.succeeded(), "{outcome:#?}");
        assert_eq!(self.current().id, outcome.token);
        assert_eq!(self.standing().await, Standing::Fine);
        outcome
    }

    /// Rotates, and is sure that it failed, that AWSCURRENT has not moved and still opens the database. Returns the
    /// step at which it failed, the error's type, and its message without the names that differ from run to run.
    pub(crate) async fn fails(&self) -> String {
        let before = self.current().id;
        let outcome = self.rotation().run().await.unwrap();
        assert!(!outcome.succeeded(), "{outcome:#?}");
        assert_eq!(self.current().id, before, "AWSCURRENT moved");
        said(outcome.steps().last().unwrap())
    }

    /// The same, and AWSCURRENT still opens the database.
    pub(crate) async fn fails_and_stays_open(&self) -> String {
        let said = self.fails().await;
        assert_eq!(self.standing().await, Standing::Fine, "{said}");
        said
    }

    /// Begins a rotation: registered, and createSecret done.
    pub(crate) async fn staged(&self) -> String {
        let token = Uuid::new_v4().to_string();
        self.cloud.aws.store().begin_rotation(&self.secret, &token).unwrap();
        let run = self.step(Step::CreateSecret, &token).await;
        assert!(run.outcome.is_ok(), "{run:?}");
        token
    }

    pub(crate) async fn step(&self, step: Step, token: &str) -> StepRun {
        self.rotation().step(step, token).await.unwrap()
    }

    pub(crate) async fn standing(&self) -> Standing {
        self.cloud.standing(&self.secret).await.unwrap()
    }

    pub(crate) fn current(&self) -> Version {
        self.labelled("AWSCURRENT").unwrap()
    }

    pub(crate) fn labelled(&self, label: &str) -> Option<Version> {
        self.cloud.aws.store().labelled(&self.secret, label).unwrap()
    }

    /// Writes over fields of the version that holds a label, as no API would.
    pub(crate) fn tamper(&self, label: &str, change: impl FnOnce(&mut Value)) {
        self.rewrite(label, |text| {
            let mut value: Value = serde_json::from_str(&text).unwrap();
            change(&mut value);
            value.to_string()
        });
    }

    /// Writes over the text of the version that holds a label.
    pub(crate) fn rewrite(&self, label: &str, change: impl FnOnce(String) -> String) {
        let edited = self.cloud.aws.store().edit(&self.secret, |secret| {
            let version = secret.versions.iter_mut().find(|version| version.has(label)).unwrap();
            let text = change(version.text().unwrap().to_owned());
            version.value = Some(SecretValue::Text(text));
        });
        edited.unwrap();
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.cloud.postgres.sql(statements).await.unwrap();
    }

    pub(crate) async fn value(&self, query: &str) -> String {
        self.cloud.postgres.value(query).await.unwrap().unwrap_or_default()
    }
}

/// How a step ended, in words that are the same in every run.
pub(crate) fn said(run: &StepRun) -> String {
    match &run.outcome {
        Outcome::Error { error_type, error_message } => {
            let message = error_message.split_once(": ").map_or(error_message.as_str(), |(_, sentence)| sentence);
            format!("{} {error_type}: {message}", run.step)
        }
        other => format!("{} {other:?}", run.step),
    }
}
