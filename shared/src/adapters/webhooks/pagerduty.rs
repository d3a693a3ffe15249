//! PagerDuty, Events API v2. Source: its reference, "Send an alert event".

use super::{Webhooks, failed, taken};
use crate::{
    alert::{Alert, deliver::Channel, pagerduty},
    ports::{CallErrorKind, Undelivered},
    secret::ChannelKeys,
};
use secrecy::ExposeSecret;
use serde_json::json;

const CALL: &str = "pagerduty:Enqueue";

impl Webhooks {
    /// Triggers or resolves the incident of the alert's key.
    pub(super) async fn tell_pagerduty(&self, keys: &ChannelKeys, alert: &Alert) -> Result<(), Undelivered> {
        let Some(key) = &keys.pager_duty_routing_key else {
            return Err(failed(CALL, CallErrorKind::Denied, keys.why_closed(&Channel::PagerDuty)));
        };
        let mut event = pagerduty::event(alert, self.audience.language, &self.local());
        event["routing_key"] = json!(key.expose_secret());
        let answer = self.post(CALL, &self.addresses.pagerduty, None, &event).await?;
        match answer.status {
            202 => Ok(()),
            200..=299 => Err(taken(CALL, "the answer was not understood: see what RELATCH_PAGERDUTY_URL leads to")),
            400 => {
                // The reasons name fields and limits. A wrong key is among them, and has no status of its own.
                let reasons = answer.json()["errors"].to_string();
                let of_key = reasons.to_lowercase().replace('_', " ").contains("routing key");
                let (kind, message) = if of_key {
                    (CallErrorKind::Denied, "the routing key is not accepted".to_owned())
                } else {
                    let reasons: String =
                        reasons.replace(key.expose_secret(), "(withheld)").chars().take(300).collect();
                    (CallErrorKind::Refused, format!("invalid event: {reasons}"))
                };
                Err(failed(CALL, kind, message))
            }
            status => Err(answer.failure(CALL, &format!("HTTP status {status}"))),
        }
    }
}
