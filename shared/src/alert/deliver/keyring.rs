//! The keys to the channels: read once, kept for a while, and read again when one of them no longer fits.

use crate::{
    ports::{CallError, CallErrorKind, Label, Secrets, Which},
    secret::ChannelKeys,
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::secret::{SecretId, VersionId};
use std::sync::Arc;
use tokio::sync::Mutex;
use tracing::warn;

const KEPT: SignedDuration = SignedDuration::from_mins(5);

/// The keys to the channels, out of one secret.
#[derive(Debug)]
pub struct Keyring<S> {
    secrets: S,
    secret: SecretId,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    keys: Arc<ChannelKeys>,
    version: VersionId,
    read: Timestamp,
}

impl<S: Secrets> Keyring<S> {
    /// A keyring that has read nothing yet.
    pub fn new(secrets: S, secret: SecretId) -> Self {
        Self { secrets, secret, kept: Mutex::default() }
    }

    /// The keys, at most five minutes old; older ones only where the secret cannot be read now.
    ///
    /// # Errors
    /// When the secret cannot be read and never was, or is not what it has to be.
    pub async fn keys(&self) -> Result<Arc<ChannelKeys>, CallError> {
        let mut kept = self.kept.lock().await;
        match &*kept {
            Some(kept) if Timestamp::now().duration_since(kept.read) < KEPT => return Ok(Arc::clone(&kept.keys)),
            Some(_) | None => {}
        }
        match (self.read().await, &*kept) {
            (Ok(read), _) => Ok(Arc::clone(&kept.insert(read).keys)),
            (Err(problem), Some(kept)) => {
                warn!(error = %problem, "The channels' secret cannot be read; the keys of before are used");
                Ok(Arc::clone(&kept.keys))
            }
            (Err(problem), None) => Err(problem),
        }
    }

    /// Other keys than those that no longer fit; `None` if there are none.
    pub async fn others(&self, than: &Arc<ChannelKeys>) -> Option<Arc<ChannelKeys>> {
        let mut kept = self.kept.lock().await;
        // Somebody else has read them meanwhile.
        if let Some(kept) = kept.as_ref().filter(|kept| !Arc::ptr_eq(&kept.keys, than)) {
            return Some(Arc::clone(&kept.keys));
        }
        match self.read().await {
            Ok(read) if kept.as_ref().is_some_and(|kept| kept.version == read.version) => None,
            Ok(read) => Some(Arc::clone(&kept.insert(read).keys)),
            Err(problem) => {
                warn!(error = %problem, "The channels' secret cannot be read again");
                None
            }
        }
    }

    async fn read(&self) -> Result<Kept, CallError> {
        let failed = |kind, message: &str| CallError {
            operation: "secretsmanager:GetSecretValue",
            kind,
            message: message.to_owned(),
        };
        let version = self.secrets.read(&self.secret, Which::Labelled(Label::Current)).await?;
        let version = version
            .ok_or_else(|| failed(CallErrorKind::NotFound, "the channels' secret does not exist, or is empty"))?;
        let text = version.text.ok_or_else(|| failed(CallErrorKind::Refused, "the channels' secret is no text"))?;
        let keys = ChannelKeys::parse(&text).map_err(|problem| failed(CallErrorKind::Refused, &problem.to_string()))?;
        Ok(Kept { keys: Arc::new(keys), version: version.id, read: Timestamp::now() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::ports::{Description, Pending, Staged, Version};
    use std::cell::RefCell;

    #[tokio::test]
    async fn keys_are_kept_for_five_minutes_and_longer_only_where_they_cannot_be_read() {
        let keyring =
            Keyring::new(Fake(RefCell::new(vec![Some("v2"), None, Some("v1")])), "channels".try_into().unwrap());
        let first = keyring.keys().await.unwrap();
        assert!(Arc::ptr_eq(&first, &keyring.keys().await.unwrap()));
        keyring.ages().await;
        assert!(Arc::ptr_eq(&first, &keyring.keys().await.unwrap()), "they may still fit");
        let second = keyring.keys().await.unwrap();
        assert_eq!((first.slack_channel.as_deref(), second.slack_channel.as_deref()), (Some("v1"), Some("v2")));
        assert!(keyring.secrets.0.borrow().is_empty());
    }

    #[tokio::test]
    async fn other_keys_are_those_of_another_version() {
        let keyring =
            Keyring::new(Fake(RefCell::new(vec![Some("v2"), Some("v1"), Some("v1")])), "channels".try_into().unwrap());
        let first = keyring.keys().await.unwrap();
        assert!(keyring.others(&first).await.is_none(), "the same version");
        let second = keyring.others(&first).await.unwrap();
        assert_eq!(second.slack_channel.as_deref(), Some("v2"));
        assert!(Arc::ptr_eq(&second, &keyring.others(&first).await.unwrap()), "somebody else has read them already");
        assert!(keyring.secrets.0.borrow().is_empty());
    }

    impl Keyring<Fake> {
        async fn ages(&self) {
            self.kept.lock().await.as_mut().unwrap().read -= KEPT;
        }
    }

    /// The versions that will be read, the last one first; `None` cannot be read.
    struct Fake(RefCell<Vec<Option<&'static str>>>);

    impl Secrets for Fake {
        async fn read(&self, _: &SecretId, _: Which<'_>) -> Result<Option<Version>, CallError> {
            let version = self.0.borrow_mut().pop().unwrap().ok_or_else(unavailable)?;
            let text = Some(format!(r#"{{"slackChannel":"{version}"}}"#).into());
            Ok(Some(Version { id: version.try_into().unwrap(), arn: String::new(), text, created: None }))
        }

        async fn describe(&self, _: &SecretId) -> Result<Description, CallError> {
            Err(unavailable())
        }

        async fn stage(&self, _: &SecretId, _: Pending<'_>) -> Result<Staged, CallError> {
            Err(unavailable())
        }

        async fn promote(&self, _: &SecretId, _: &VersionId, _: &VersionId) -> Result<(), CallError> {
            Err(unavailable())
        }
    }

    fn unavailable() -> CallError {
        CallError { operation: "test", kind: CallErrorKind::NoAnswer, message: String::new() }
    }
}
