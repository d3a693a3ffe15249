//! Secrets, their versions and their labels, by the rules of Secrets Manager.
//!
//! Facts are those of the API reference and the rotation chapter of the user guide
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/>). The methods of [`Store`] are for tests and
//! the harness; the API's actions, with their checks, are in [`super::secrets_manager`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{ACCOUNT, AwsError, REGION};

/// The label of the version that applications use.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that is being rotated in.
pub const PENDING: &str = "AWSPENDING";
/// The label of the version that was current before.
pub const PREVIOUS: &str = "AWSPREVIOUS";

const MOST_LABELS: usize = 20;
const MOST_VERSIONS: usize = 100;

/// All secrets of the local cloud. A clone is the same store.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Vec<Secret>>>);

/// A secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The full ARN, with its six-character suffix.
    pub arn: String,
    /// The name.
    pub name: String,
    /// What its owner says about it.
    pub description: Option<String>,
    /// The KMS key, where one was named.
    pub kms_key_id: Option<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The AWS service that manages this secret; then nobody else may write it.
    pub owning_service: Option<String>,
    /// How it is rotated; `None` before the first RotateSecret.
    pub rotation: Option<Schedule>,
    /// Every version that is kept, oldest first.
    pub versions: Vec<Version>,
    /// When it was created.
    pub created: Timestamp,
    /// When anything about it changed last.
    pub changed: Timestamp,
    /// When a rotation succeeded last.
    pub rotated: Option<Timestamp>,
    /// When a value was read last.
    pub accessed: Option<Timestamp>,
    /// When it will be deleted, if it is scheduled for that.
    pub deletion: Option<Timestamp>,
    /// Its own policy, as it was put.
    policy: Option<String>,
    /// The policy before that.
    policy_before: Option<String>,
    /// The versions as they were before their last change; `None` for a secret that did not exist then.
    before: Option<Vec<Version>>,
}

/// How a secret is rotated.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Whether the schedule is in force.
    pub enabled: bool,
    /// The function.
    pub lambda_arn: String,
    /// RotationRules as they were given; null without.
    pub rules: serde_json::Value,
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct Version {
    /// The VersionId, which was the ClientRequestToken of the call that made it.
    pub id: String,
    /// The staging labels. Without any, the version is deprecated.
    pub labels: BTreeSet<String>,
    /// The value; `None` in a version that RotateSecret has registered and createSecret has not filled yet.
    pub value: Option<SecretValue>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was read last.
    pub accessed: Option<Timestamp>,
    /// Whether the value came with a RotationToken.
    pub with_rotation_token: bool,
}

/// The value of a version.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretValue {
    /// SecretString.
    Text(String),
    /// SecretBinary, still in base64.
    Binary(String),
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::WITHHELD)
    }
}

impl Version {
    /// The text of the value, if there is one.
    pub fn text(&self) -> Option<&str> {
        match self.value.as_ref()? {
            SecretValue::Text(text) => Some(text),
            SecretValue::Binary(_) => None,
        }
    }

    /// Whether the version carries that label.
    pub fn has(&self, label: &str) -> bool {
        self.labels.contains(label)
    }
}

/// What became of the wish to rotate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A version without a value carries AWSPENDING now; this is its token.
    New(String),
    /// An earlier rotation is not complete, and is to be tried again with its own token.
    Again(String),
}

impl Store {
    /// Creates a secret with that value under AWSCURRENT, and returns its ARN.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn create(&self, name: &str, value: &str) -> anyhow::Result<String> {
        let secret = self.insert(Secret::named(name))?;
        self.put(&secret.arn, &Uuid::new_v4().to_string(), value, &[CURRENT])?;
        Ok(secret.arn)
    }

    /// A copy of a secret with all its versions, addressed by name or ARN.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn secret(&self, id: &str) -> anyhow::Result<Secret> {
        self.edit(id, |secret| secret.clone())
    }

    /// A copy of every version that is kept, labelled or not, oldest first.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn versions(&self, id: &str) -> anyhow::Result<Vec<Version>> {
        Ok(self.secret(id)?.versions)
    }

    /// The version that carries a label.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn labelled(&self, id: &str, label: &str) -> anyhow::Result<Option<Version>> {
        Ok(self.secret(id)?.labelled(label).cloned())
    }

    /// Stores a value as PutSecretValue does, in a version of that id and under those labels.
    ///
    /// # Errors
    /// When there is no such secret, or the version holds another value.
    pub fn put(&self, id: &str, version: &str, value: &str, labels: &[&str]) -> anyhow::Result<()> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        self.edit(id, |secret| secret.put(version, SecretValue::Text(value.into()), &labels, false))??;
        Ok(())
    }

    /// Moves a label by hand to a version, or takes it off for `None`. Only this label moves: no rule applies.
    ///
    /// # Errors
    /// When there is no such secret or version.
    pub fn move_label(&self, id: &str, label: &str, to: Option<&str>) -> anyhow::Result<()> {
        self.edit(id, |secret| {
            let target = match to {
                Some(to) => Some(secret.versions.iter().position(|v| v.id == to).context("no such version")?),
                None => None,
            };
            secret.remember();
            for (index, version) in secret.versions.iter_mut().enumerate() {
                version.labels.remove(label);
                if Some(index) == target {
                    version.labels.insert(label.to_owned());
                }
            }
            Ok(())
        })?
    }

    /// Collects the versions without labels, as Secrets Manager does some time after their first 24 hours.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn collect_unlabelled(&self, id: &str) -> anyhow::Result<()> {
        self.edit(id, |secret| {
            secret.remember();
            secret.versions.retain(|version| !version.labels.is_empty());
        })
    }

    /// Starts a rotation as RotateSecret does, also of a secret whose rotation was never configured.
    ///
    /// # Errors
    /// When there is no such secret, it is to be deleted, or the token names another version.
    pub fn begin_rotation(&self, id: &str, token: &str) -> anyhow::Result<Begun> {
        Ok(self.edit(id, |secret| {
            secret.alive()?;
            match secret.rotation_in_flight() {
                Some(earlier) => Ok(Begun::Again(earlier.to_owned())),
                None => secret.register(token).map(|()| Begun::New(token.to_owned())),
            }
        })??)
    }

    /// The ARNs of the secrets whose names end so.
    pub fn named(&self, ending: &str) -> Vec<String> {
        self.with(|secrets| {
            secrets.iter().filter(|secret| secret.name.ends_with(ending)).map(|secret| secret.arn.clone()).collect()
        })
    }

    /// Changes anything about a secret by hand: its owning service, tags, dates, versions. No rule applies.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn edit<T>(&self, id: &str, change: impl FnOnce(&mut Secret) -> T) -> anyhow::Result<T> {
        self.with(|secrets| find(secrets, id).map(change)).with_context(|| format!("the secret {id:?}"))
    }

    pub(super) fn insert(&self, secret: Secret) -> Result<Secret, AwsError> {
        self.with(|secrets| match secrets.iter().find(|other| other.name == secret.name) {
            Some(other) if other.deletion.is_some() => Err(AwsError::new(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )),
            Some(_) => Err(AwsError::new(
                "ResourceExistsException",
                format!("The operation failed because the secret {} already exists.", secret.name),
            )),
            None => {
                secrets.push(secret.clone());
                Ok(secret)
            }
        })
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Vec<Secret>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A secret by its name, its ARN, or its ARN without the suffix.
pub(super) fn find<'a>(secrets: &'a mut [Secret], id: &str) -> Result<&'a mut Secret, AwsError> {
    secrets
        .iter_mut()
        .find(|secret| {
            secret.arn == id || secret.name == id || secret.arn.rsplit_once('-').is_some_and(|(arn, _)| arn == id)
        })
        .ok_or_else(|| AwsError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret."))
}

impl Secret {
    pub(super) fn named(name: &str) -> Self {
        let now = Timestamp::now();
        let suffix = &Uuid::new_v4().simple().to_string()[..6];
        Self {
            arn: format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{suffix}"),
            name: name.to_owned(),
            description: None,
            kms_key_id: None,
            tags: BTreeMap::new(),
            owning_service: None,
            rotation: None,
            versions: Vec::new(),
            created: now,
            changed: now,
            rotated: None,
            accessed: None,
            deletion: None,
            policy: None,
            policy_before: None,
            before: None,
        }
    }

    /// The version with that id.
    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version that carries that label.
    pub fn labelled(&self, label: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.has(label))
    }

    /// Its own policy; a stale one is that before the last change.
    pub fn policy(&self, stale: bool) -> Option<&str> {
        if stale { self.policy_before.as_deref() } else { self.policy.as_deref() }
    }

    /// Puts a policy, or takes it away.
    pub fn set_policy(&mut self, policy: Option<String>) {
        self.policy_before = std::mem::replace(&mut self.policy, policy);
    }

    pub(super) fn alive(&self) -> Result<(), AwsError> {
        match self.deletion {
            None => Ok(()),
            Some(_) => Err(AwsError::new(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )),
        }
    }

    /// The secret as it looked before its versions changed last.
    pub(super) fn stale(&self) -> Option<Self> {
        Some(Self { versions: self.before.clone()?, ..self.clone() })
    }

    fn remember(&mut self) {
        self.changed = Timestamp::now();
        if !self.versions.is_empty() {
            self.before = Some(self.versions.clone());
        }
    }

    /// Stores a value. The same value again is no change at all: not even the labels move.
    pub(super) fn put(
        &mut self,
        id: &str,
        value: SecretValue,
        labels: &[String],
        with_rotation_token: bool,
    ) -> Result<(), AwsError> {
        match self.version(id).and_then(|version| version.value.as_ref()) {
            Some(present) if *present == value => return Ok(()),
            Some(_) => {
                let message = format!(
                    "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {}.",
                    self.arn
                );
                return Err(AwsError::new("ResourceExistsException", message));
            }
            None => {}
        }
        let first = self.labelled(CURRENT).is_none().then(|| CURRENT.to_owned());
        let labels: BTreeSet<String> = labels.iter().cloned().chain(first).collect();
        let mut changed = self.clone();
        changed.remember();
        let version = changed.version_or_new(id)?;
        version.value = Some(value);
        version.with_rotation_token = with_rotation_token;
        for label in &labels {
            changed.attach(label, id)?;
        }
        *self = changed;
        Ok(())
    }

    /// Moves a label, as UpdateSecretVersionStage does.
    pub(super) fn update_stage(&mut self, label: &str, to: Option<&str>, from: Option<&str>) -> Result<(), AwsError> {
        let invalid = |message: String| Err(AwsError::new("InvalidParameterException", message));
        for id in [to, from].into_iter().flatten() {
            if self.version(id).is_none() {
                return Err(AwsError::new(
                    "ResourceNotFoundException",
                    format!("Secrets Manager can't find the specified secret version: {id}"),
                ));
            }
        }
        let holder = self.labelled(label).map(|version| version.id.as_str());
        match (holder, from) {
            (Some(holder), None) if to != Some(holder) => {
                return invalid(format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to \
                     version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
                ));
            }
            (holder, Some(from)) if holder != Some(from) => {
                return invalid(format!(
                    "When you move staging label {label}, if you specify RemoveFromVersionId, it must be set to the \
                     version that currently has the staging label {label}."
                ));
            }
            _ => {}
        }
        let Some(to) = to else {
            if label == CURRENT {
                return invalid(format!(
                    "You can only move staging label {CURRENT} to a different secret version. It can't be completely removed."
                ));
            }
            self.remember();
            for version in &mut self.versions {
                version.labels.remove(label);
            }
            return Ok(());
        };
        if holder == Some(to) {
            return Ok(());
        }
        // Not documented by AWS. A current version that nobody can read helps no one, so it is refused here.
        if label == CURRENT && self.version(to).is_some_and(|version| version.value.is_none()) {
            return invalid(format!("Version {to} has no value."));
        }
        let mut changed = self.clone();
        changed.remember();
        changed.attach(label, to)?;
        *self = changed;
        Ok(())
    }

    /// The token of the rotation that is not complete.
    pub(super) fn rotation_in_flight(&self) -> Option<&str> {
        self.labelled(PENDING).filter(|version| !version.has(CURRENT)).map(|version| version.id.as_str())
    }

    /// Makes the version without a value that begins a rotation.
    pub(super) fn register(&mut self, token: &str) -> Result<(), AwsError> {
        if self.version(token).is_some() {
            return Err(AwsError::new(
                "InvalidRequestException",
                format!("ClientRequestToken {token} is already in use for a version of secret {}.", self.arn),
            ));
        }
        let mut changed = self.clone();
        changed.remember();
        changed.version_or_new(token)?;
        changed.attach(PENDING, token)?;
        *self = changed;
        Ok(())
    }

    fn version_or_new(&mut self, id: &str) -> Result<&mut Version, AwsError> {
        let index = match self.versions.iter().position(|version| version.id == id) {
            Some(index) => index,
            None => {
                self.make_room()?;
                self.versions.push(Version {
                    id: id.to_owned(),
                    labels: BTreeSet::new(),
                    value: None,
                    created: Timestamp::now(),
                    accessed: None,
                    with_rotation_token: false,
                });
                self.versions.len() - 1
            }
        };
        Ok(&mut self.versions[index])
    }

    /// Deprecated versions are collected beyond a hundred, but not in their first 24 hours.
    fn make_room(&mut self) -> Result<(), AwsError> {
        let day_ago = Timestamp::now() - SignedDuration::from_hours(24);
        while self.versions.len() >= MOST_VERSIONS {
            let collectable = |version: &Version| version.labels.is_empty() && version.created < day_ago;
            let Some(index) = self.versions.iter().position(collectable) else {
                return Err(AwsError::new("LimitExceededException", "The secret has too many versions."));
            };
            self.versions.remove(index);
        }
        Ok(())
    }

    /// Attaches a label, which takes it off every other version; the version that AWSCURRENT leaves becomes
    /// AWSPREVIOUS.
    fn attach(&mut self, label: &str, id: &str) -> Result<(), AwsError> {
        let left = self.labelled(label).map(|version| version.id.clone()).filter(|holder| holder != id);
        for version in &mut self.versions {
            if version.id == id {
                version.labels.insert(label.to_owned());
            } else {
                version.labels.remove(label);
            }
            if version.labels.len() > MOST_LABELS {
                return Err(AwsError::new("LimitExceededException", "A version has at most 20 staging labels."));
            }
        }
        match left {
            Some(left) if label == CURRENT => self.attach(PREVIOUS, &left),
            _ => Ok(()),
        }
    }
}
