//! EventBridge, through the AWS SDK: where the audit says that it has asked for an incident to be contained.

use super::{aws::call_error, late::Late};
use crate::ports::{Bus, CallError, CallErrorKind};
use aws_config::SdkConfig;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use relatch_events::containment::{DETAIL_TYPE, SOURCE, WakeUp};

const OPERATION: &str = "events:PutEvents";

/// The account's default bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Late<Client>,
}

impl EventBus {
    /// The default bus, by the SDK's settings.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: Late::new(sdk, Client::new) }
    }
}

impl Bus for EventBus {
    async fn wake(&self, word: &WakeUp) -> Result<(), CallError> {
        let failed = |message: String, kind| CallError { operation: OPERATION, kind, message };
        let detail = serde_json::to_string(word)
            .map_err(|_| failed("the word is no JSON".to_owned(), CallErrorKind::Refused))?;
        let entry = PutEventsRequestEntry::builder().source(SOURCE).detail_type(DETAIL_TYPE).detail(detail).build();
        let answer =
            self.client.put_events().entries(entry).send().await.map_err(|error| call_error(OPERATION, &error))?;
        // An answer of 200 may still say of an entry that it was not taken.
        let refused = answer.entries().iter().find_map(|entry| Some((entry.error_code()?, entry.error_message())));
        match refused {
            None => Ok(()),
            Some((code, message)) => {
                Err(failed(format!("{code}: {}", message.unwrap_or_default()), CallErrorKind::NoAnswer))
            }
        }
    }
}
