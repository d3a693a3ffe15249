//! What the tests have in common: a cloud, one secret, somebody who types, and words that are the same in every run.

use relatch_integration::{
    aws::{
        rds::{Cluster, Member},
        store::SecretValue,
    },
    cli::{Answer, Operator},
    cloud::{Cloud, Standing},
    lambda::Function,
    rotation::{Rotation, Step},
};
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

/// As wide and as high as a terminal has always been.
const SCREEN: (usize, usize) = (80, 24);

/// A cloud with the secret `app`, for the role `app` in the database `app`.
pub(crate) struct Scene {
    pub(crate) cloud: Cloud,
    pub(crate) secret: String,
    pub(crate) operator: Operator,
    rotate: Function,
}

impl Scene {
    pub(crate) async fn single_user() -> Self {
        let cloud = Cloud::start().await.unwrap();
        let secret = cloud.database_secret("app").await.unwrap();
        Self::of(cloud, secret)
    }

    pub(crate) async fn with_admin() -> Self {
        let cloud = Cloud::start().await.unwrap();
        let secret = cloud.database_secret_with_admin("app").await.unwrap();
        Self::of(cloud, secret)
    }

    /// The secret names an Aurora cluster of this status, whose master user is the secret's.
    pub(crate) async fn clustered(status: &str) -> Self {
        let scene = Self::single_user().await;
        scene.cloud.aws.rds().edit(|databases| {
            databases.clusters.push(Cluster {
                identifier: "shop".into(),
                resource_id: "cluster-ORIGINAL".into(),
                status: status.into(),
                engine: "aurora-postgresql".into(),
                endpoint: "localhost".into(),
                reader_endpoint: None,
                custom_endpoints: Vec::new(),
                port: scene.cloud.wire.port(),
                members: vec![Member { instance: "shop-1".into(), writer: true }],
                master_username: "app".into(),
            });
        });
        scene.tamper(|value| value["dbClusterIdentifier"] = json!("shop"));
        scene
    }

    /// An admin secret is named, and the user keeps its name all the same.
    pub(crate) async fn single_user_with_admin() -> Self {
        let (name, value) = ("RELATCH_STRATEGY", "single-user");
        let scene = Self::with_admin().await;
        let rotate = scene.cloud.rotate_with(&[(name, value)]).unwrap();
        Self { rotate, ..scene }.operated(|operator| operator.setting(name, value))
    }

    /// Function and operator have the table.
    pub(crate) async fn remembering(settings: &[(&str, &str)]) -> Self {
        let scene = Self::single_user().await;
        // A busy machine takes longer to start it than a handler waits for an answer.
        scene.cloud.aws.emulate().await.unwrap();
        let [(table, name), _] = Cloud::memory();
        let rotate = scene.cloud.rotate_with(&[&[(table, name.as_str())], settings].concat()).unwrap();
        Self { rotate, ..scene }.operated(|operator| operator.setting(table, &name))
    }

    fn of(cloud: Cloud, secret: String) -> Self {
        let (operator, rotate) = (cloud.operator().unwrap(), cloud.rotate().unwrap());
        Self { cloud, secret, operator, rotate }
    }

    /// The same, with other settings of the operator's.
    pub(crate) fn operated(self, change: impl FnOnce(Operator) -> Operator) -> Self {
        Self { operator: change(self.operator), ..self }
    }

    /// What a command shows, in words that are the same in every run; sure that it fits a terminal and tells no password.
    pub(crate) async fn sees(&self, arguments: &[&str]) -> String {
        let answer = self.operator.runs(arguments).await.unwrap();
        self.told(arguments, answer)
    }

    /// The same, with somebody at the keyboard.
    pub(crate) async fn types(&self, arguments: &[&str], typed: &str) -> String {
        let answer = self.operator.types(arguments, typed).await.unwrap();
        self.told(arguments, answer)
    }

    /// The answer in JSON, without what differs from run to run, and the exit status.
    pub(crate) async fn reads(&self, arguments: &[&str]) -> (Value, i32) {
        let answer = self.operator.runs(arguments).await.unwrap();
        self.keeps_passwords(&answer);
        let mut value: Value = serde_json::from_str(&self.redacted(&answer.stdout)).expect(&answer.stdout);
        settle(&mut value);
        (value, answer.status)
    }

    fn told(&self, arguments: &[&str], answer: Answer) -> String {
        self.keeps_passwords(&answer);
        let lines: Vec<&str> = answer.stdout.lines().collect();
        assert!(lines.len() <= SCREEN.1, "{} lines:\n{}", lines.len(), answer.stdout);
        // What is to be copied is not broken.
        let free = |line: &str| line.starts_with("Do this") || line.contains("arn:aws:");
        for line in lines.iter().filter(|line| !free(line)) {
            assert!(line.chars().count() <= SCREEN.0, "too long: {line}");
        }
        assert!(!answer.stdout.contains('\x1b'), "colours in a pipe");
        let mut told = format!("$ relatch {}\n{}", arguments.join(" "), answer.stdout);
        for line in answer.stderr.lines().filter(|line| !line.is_empty()) {
            writeln!(told, "stderr: {line}").unwrap();
        }
        write!(told, "status: {}", answer.status).unwrap();
        self.redacted(&told)
    }

    fn keeps_passwords(&self, answer: &Answer) {
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(!said.contains("MARKED"), "{said}");
        for version in self.cloud.aws.store().versions(&self.secret).unwrap() {
            let value: Value = version.text().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            if let Some(password) = value["password"].as_str() {
                assert!(!said.contains(password), "a password is told:\n{said}");
            }
        }
    }

    fn redacted(&self, text: &str) -> String {
        let mut text = text.replace(&self.secret, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-XXXXXX");
        text = text.replace(&self.cloud.wire.port().to_string(), "54321").replace(self.cloud.aws.url(), "http://aws");
        if let Ok(admin) = self.cloud.aws.store().secret("app-admin") {
            text = text.replace(&admin.arn, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-admin-XXXXXX");
        }
        for (number, version) in self.cloud.aws.store().versions(&self.secret).unwrap().iter().enumerate() {
            let name = format!("version{}", number + 1);
            text = text.replace(&version.id, &name).replace(&version.id[..8], &name);
        }
        seconds(&text)
    }

    /// Rotates in vain, and returns why.
    pub(crate) async fn fails_to_rotate(&self) -> String {
        let outcome = Rotation::of(&self.cloud.aws, &self.rotate, &self.secret).run().await.unwrap();
        assert!(!outcome.succeeded(), "{outcome:#?}");
        format!("{:?}", outcome.steps().last().unwrap().outcome)
    }

    pub(crate) async fn rotates(&self) {
        let outcome = Rotation::of(&self.cloud.aws, &self.rotate, &self.secret).run().await.unwrap();
        assert!(outcome.succeeded(), "{outcome:#?}");
    }

    /// A rotation that dies after it has changed the password. Returns its token.
    pub(crate) async fn dies_after_the_change(&self) -> String {
        let token = Uuid::new_v4().to_string();
        self.cloud.aws.store().begin_rotation(&self.secret, &token).unwrap();
        let rotation = Rotation::of(&self.cloud.aws, &self.rotate, &self.secret);
        for step in [Step::CreateSecret, Step::SetSecret] {
            assert!(rotation.step(step, &token).await.unwrap().outcome.is_ok());
        }
        self.rotate.stop().await;
        assert_eq!(self.standing().await, Standing::CurrentShut);
        token
    }

    /// A rotation that has not come further than createSecret. Returns its token.
    pub(crate) async fn dies_before_the_change(&self) -> String {
        let token = Uuid::new_v4().to_string();
        self.cloud.aws.store().begin_rotation(&self.secret, &token).unwrap();
        let rotation = Rotation::of(&self.cloud.aws, &self.rotate, &self.secret);
        assert!(rotation.step(Step::CreateSecret, &token).await.unwrap().outcome.is_ok());
        self.rotate.stop().await;
        token
    }

    pub(crate) async fn standing(&self) -> Standing {
        self.cloud.standing(&self.secret).await.unwrap()
    }

    pub(crate) fn holder(&self, label: &str) -> Option<String> {
        self.cloud.aws.store().labelled(&self.secret, label).unwrap().map(|version| version.id)
    }

    /// Takes AWSPENDING off a version by hand.
    pub(crate) fn takes_pending_off(&self, token: &str) {
        self.edits(token, |version| {
            version.labels.remove("AWSPENDING");
        });
    }

    /// Makes it a while ago that a version was made.
    pub(crate) fn ages(&self, id: &str, minutes: i64) {
        self.edits(id, |version| version.created -= jiff::SignedDuration::from_mins(minutes));
    }

    /// Writes over AWSCURRENT's value, as no API would.
    pub(crate) fn rewrites(&self, text: &str) {
        let current = self.holder("AWSCURRENT").unwrap();
        self.edits(&current, |version| version.value = Some(SecretValue::Text(text.to_owned())));
    }

    pub(crate) fn tamper(&self, change: impl FnOnce(&mut Value)) {
        let current = self.cloud.aws.store().labelled(&self.secret, "AWSCURRENT").unwrap().unwrap();
        let mut value: Value = serde_json::from_str(current.text().unwrap()).unwrap();
        change(&mut value);
        self.rewrites(&value.to_string());
    }

    fn edits(&self, id: &str, mut change: impl FnMut(&mut relatch_integration::aws::store::Version)) {
        let edited = self.cloud.aws.store().edit(&self.secret, |secret| {
            secret.versions.iter_mut().filter(|version| version.id == id).for_each(&mut change);
        });
        edited.unwrap();
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.cloud.postgres.sql(statements).await.unwrap();
    }
}

/// `(0.3 s)` is another number each time.
fn seconds(text: &str) -> String {
    let mut parts = text.split('(');
    let mut settled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(" s)") {
            Some((number, rest)) if number.parse::<f64>().is_ok() => write!(settled, "(0.1 s){rest}").unwrap(),
            _ => write!(settled, "({part}").unwrap(),
        }
    }
    settled
}

fn settle(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "at" | "created" | "since" | "until" if field.is_string() => *field = json!("2026-01-01T00:00:00Z"),
                    "milliseconds" => *field = json!(100),
                    _ => settle(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
