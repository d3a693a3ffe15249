//! The policy as it is now: what was given at the start, or what a parameter says.

use super::{BadPolicy, OwnNames, Policy};
use crate::{
    ports::{CallError, Parameter},
    telemetry::Metrics,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{error, info};

/// After how long a parameter is read again.
pub const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// The policy as it is now.
#[derive(Debug, Clone)]
pub struct CurrentPolicy {
    parameter: Option<Arc<dyn Parameter>>,
    own: OwnNames,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    policy: Arc<Policy>,
    text: String,
    /// When it was read, or was to be.
    at: Timestamp,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The parameter was not read.
    #[error("the policy's parameter cannot be read")]
    Unread(#[from] CallError),
    /// What it says is no policy. Names everything that is wrong with it.
    #[error(transparent)]
    Bad(#[from] BadPolicy),
}

/// A policy that does not change.
impl From<Policy> for CurrentPolicy {
    fn from(policy: Policy) -> Self {
        Self::known(None, OwnNames::default(), policy, String::new(), Timestamp::MAX)
    }
}

impl CurrentPolicy {
    /// What a parameter says, now and later, with what is this deployment's own in any case.
    ///
    /// # Errors
    /// When it cannot be read, or is no policy: nobody begins to watch by another policy than was meant.
    pub async fn of(parameter: Arc<dyn Parameter>, own: OwnNames, now: Timestamp) -> Result<Self, NoPolicy> {
        let text = parameter.read().await?;
        let policy = own.added_to(Policy::from_json(&text)?);
        Ok(Self::known(Some(parameter), own, policy, text, now))
    }

    fn known(
        parameter: Option<Arc<dyn Parameter>>,
        own: OwnNames,
        policy: Policy,
        text: String,
        at: Timestamp,
    ) -> Self {
        Self { parameter, own, known: Arc::new(Mutex::new(Known { policy: Arc::new(policy), text, at })) }
    }

    /// The policy. A parameter that was read too long ago is read again; what cannot be read, or is no policy, changes
    /// nothing, and is tried again when as much time has passed.
    pub async fn get(&self, now: Timestamp, metrics: &Metrics) -> Arc<Policy> {
        let Some(parameter) = self.parameter.as_ref().filter(|_| self.is_due(now)) else { return self.latest() };
        let read = match parameter.read().await {
            Ok(text) if text == self.lock().text => Ok(None),
            Ok(text) => Policy::from_json(&text).map(|policy| Some((policy, text))).map_err(NoPolicy::from),
            Err(problem) => Err(problem.into()),
        };
        match read {
            Ok(None) => {}
            Ok(Some((policy, text))) => {
                info!("The audit's policy has changed");
                let mut known = self.lock();
                (known.policy, known.text) = (Arc::new(self.own.added_to(policy)), text);
            }
            Err(problem) => {
                error!(
                    error = crate::telemetry::chain(&problem),
                    "The audit's policy cannot be used; the one before holds"
                );
                metrics.policy_unusable();
            }
        }
        self.latest()
    }

    /// Whether it is time to read it again. From now on it is not.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut known = self.lock();
        let is_due = now.duration_since(known.at) >= FRESH;
        if is_due {
            known.at = now;
        }
        is_due
    }

    fn latest(&self) -> Arc<Policy> {
        self.lock().policy.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        audit::policy::any,
        config::Environment,
        ports::{CallErrorKind, Reading},
    };

    /// A parameter that says these things one after the other, and then nothing.
    #[derive(Debug)]
    struct Says(Mutex<Vec<&'static str>>);

    impl Parameter for Says {
        fn read(&self) -> Reading<'_> {
            let mut left = self.0.lock().unwrap();
            let text = (!left.is_empty()).then(|| left.remove(0).to_owned());
            let silent =
                || CallError { operation: "ssm:GetParameter", kind: CallErrorKind::NoAnswer, message: String::new() };
            Box::pin(async move { text.ok_or_else(silent) })
        }
    }

    fn says(texts: &[&'static str]) -> Arc<Says> {
        Arc::new(Says(Mutex::new(texts.to_vec())))
    }

    #[tokio::test]
    async fn a_parameter_is_read_again_and_only_what_can_be_used_of_it_changes_anything() {
        let metrics = Metrics { namespace: "Relatch".to_owned(), environment: Environment::Dev };
        let texts = [
            r#"{"learning-days": 1}"#,
            r#"{"learning-days": 2}"#,
            r#"{"learning-days": 0}"#,
            r#"{"learning-days": 4}"#,
        ];
        let parameter = says(&texts);
        let start = Timestamp::UNIX_EPOCH;
        let current = CurrentPolicy::of(parameter.clone(), OwnNames::default(), start).await.unwrap();
        let days = async |minutes| {
            let policy = current.get(start + SignedDuration::from_mins(minutes), &metrics).await;
            (policy.learning / 86_400_000, parameter.0.lock().unwrap().len())
        };
        assert_eq!(days(4).await, (1, 3), "it is not read again yet");
        assert_eq!(days(5).await, (2, 2));
        assert_eq!(days(10).await, (2, 1), "a bad one changes nothing");
        assert_eq!(days(14).await, (2, 1), "and is not tried again at once");
        assert_eq!(days(15).await, (4, 0));
        assert_eq!(days(20).await, (4, 0), "nor does silence change anything");
        assert!(matches!(CurrentPolicy::of(parameter, OwnNames::default(), start).await, Err(NoPolicy::Unread(_))));
        let bad = CurrentPolicy::of(says(&[r#"{"learning-days": 0, "decoy": 1}"#]), OwnNames::default(), start)
            .await
            .unwrap_err();
        assert_eq!(
            bad.to_string(),
            "the policy cannot be used: learning-days: is not between 1 and 1000000; decoy: is no field of a policy;"
        );
    }

    #[tokio::test]
    async fn a_policy_that_is_given_stays() {
        let metrics = Metrics { namespace: "Relatch".to_owned(), environment: Environment::Dev };
        let current = CurrentPolicy::from(Policy { learning: 7, ..Policy::default() });
        assert_eq!(current.get(Timestamp::MAX, &metrics).await.learning, 7);
    }

    #[tokio::test]
    async fn no_policy_takes_from_the_deployment_what_is_its_own() {
        let metrics = Metrics { namespace: "Relatch".to_owned(), environment: Environment::Prod };
        let own = OwnNames { prefix: Some("shop-prod-".to_owned()), parameter: Some("policies/shop:3".to_owned()) };
        let parameter = says(&["{}", r#"{"own": {"rules": [], "functions": ["other"]}}"#]);
        let current = CurrentPolicy::of(parameter, own.clone(), Timestamp::UNIX_EPOCH).await.unwrap();
        let now = Timestamp::UNIX_EPOCH + FRESH;
        let later = current.get(now, &metrics).await;
        assert!(!any(&later.own.rules, "relatch-prod-audit"), "it is read again");
        let set = own.added_to(Policy::default());
        for policy in [&current.latest(), &later, &Arc::new(set)] {
            let own = &policy.own;
            for kind in [&own.functions, &own.trails, &own.rules, &own.topics, &own.queues, &own.alarms] {
                assert!(any(kind, "shop-prod-audit"), "{own:?}");
            }
            assert!(any(&own.parameters, "/shop-prod-policy") && any(&own.parameters, "/policies/shop"), "{own:?}");
            assert!(!any(&own.functions, "shop-production-web") && !any(&own.rules, "shop-dev-audit"), "{own:?}");
        }
    }
}
