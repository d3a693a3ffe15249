//! What Secrets Manager sends to a rotation function: one event for each of the four steps.
//!
//! Source: the Secrets Manager user guide, "Lambda rotation functions". The guide spells the steps both as
//! `createSecret` and as `create_secret`; both are accepted, and only the first is ever emitted. Fields that are not
//! known are ignored, so that an addition by AWS stops nobody's rotation.

use crate::secret::{SecretId, VersionId};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One step of one rotation.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    rename_all = "PascalCase",
    expecting = "a rotation event, an object with `Step`, `SecretId` and `ClientRequestToken`"
)]
pub struct RotationEvent {
    /// Which of the four steps to do.
    pub step: Step,
    /// The secret; Secrets Manager sends its full ARN.
    pub secret_id: SecretId,
    /// Names the version being rotated in, and becomes its version id.
    pub client_request_token: VersionId,
    /// Proves that an assumed role acts for this rotation. Never printed: `Debug` hides it.
    #[serde(default)]
    pub rotation_token: Option<SecretString>,
}

/// The four steps of a rotation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// Store a new value under AWSPENDING.
    #[serde(rename = "createSecret", alias = "create_secret")]
    Create,
    /// Make the database take the new value.
    #[serde(rename = "setSecret", alias = "set_secret")]
    Set,
    /// Prove that the new value works.
    #[serde(rename = "testSecret", alias = "test_secret")]
    Test,
    /// Promote the new value to AWSCURRENT.
    #[serde(rename = "finishSecret", alias = "finish_secret")]
    Finish,
}

impl Step {
    /// All four, in the order in which Secrets Manager calls them.
    pub const ALL: [Step; 4] = [Step::Create, Step::Set, Step::Test, Step::Finish];

    /// The step's name as Secrets Manager spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Create => "createSecret",
            Step::Set => "setSecret",
            Step::Test => "testSecret",
            Step::Finish => "finishSecret",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixtures;

    #[test]
    fn every_fixture_parses() {
        let mut seen = 0;
        for (name, bytes) in fixtures::files("fixtures/rotation") {
            let event: RotationEvent = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(event.secret_id.as_str().starts_with("arn:"), "{name}");
            seen += 1;
        }
        assert!(seen >= 4, "a fixture for each step, found {seen}");
    }

    #[test]
    fn both_spellings_of_a_step_mean_the_same() {
        for step in Step::ALL {
            let snake = format!("{}_secret", step.name().trim_end_matches("Secret"));
            assert_eq!(serde_json::from_value::<Step>(snake.into()).unwrap(), step);
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
    }

    #[test]
    fn what_is_wrong_with_an_event_is_said() {
        let good = r#"{"Step":"setSecret","SecretId":"arn:x","ClientRequestToken":"t"}"#;
        let errors: Vec<String> = [
            good.replace("setSecret", "revokeSecret"),
            good.replace(r#""Step":"setSecret","#, ""),
            good.replace(r#""SecretId":"arn:x","#, ""),
            good.replace("arn:x", ""),
            good.replace(r#""t""#, "7"),
            "[]".into(),
            "".into(),
        ]
        .iter()
        .map(|text| format!("{text}\n  {}", serde_json::from_str::<RotationEvent>(text).unwrap_err()))
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn the_rotation_token_is_not_printed() {
        let text = r#"{"Step":"setSecret","SecretId":"a","ClientRequestToken":"t","RotationToken":"MARKED"}"#;
        let event: RotationEvent = serde_json::from_str(text).unwrap();
        assert!(event.rotation_token.is_some());
        assert!(!format!("{event:?}").contains("MARKED"));
    }

    #[test]
    fn the_fuzzers_corpus_never_panics() {
        let corpus = fixtures::files("fuzz/corpus/rotation_event");
        assert!(!corpus.is_empty());
        for (_, bytes) in corpus {
            let _ = serde_json::from_slice::<RotationEvent>(&bytes);
        }
    }
}
