//! Slack: an incoming webhook, or a bot.
//!
//! A webhook takes messages and nothing else. A bot can come back to what it wrote: what is said later of the same key
//! edits the first message, and is added to its thread.

use super::{Answer, Webhooks, failed, is_word, taken};
use crate::{
    alert::{Alert, Status, deliver::Channel, email, slack},
    ports::{CallErrorKind, Undelivered},
    secret::ChannelKeys,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// What is said of an answer that is none of Slack's.
const NOT_OK: &str =
    "the answer is none of Slack's: see whether the address is that of an incoming webhook, or of Slack's API";

const WEBHOOK: &str = "slack:Webhook";
const POST: &str = "slack:chat.postMessage";
const UPDATE: &str = "slack:chat.update";

impl Webhooks {
    /// Tells Slack; what it answers is the conversation and the time stamp by which a bot finds its message again.
    pub(super) async fn tell_slack(
        &self,
        named: Option<&str>,
        keys: &ChannelKeys,
        alert: &Alert,
        thread: Option<&str>,
    ) -> Result<Option<String>, Undelivered> {
        let (language, local) = (self.audience.language, self.local());
        let message = slack::message(alert, language, &local);
        let update = slack::update(alert, language);
        let tell = async |message: &Value| match (keys.bot(named), &keys.slack_webhook_url) {
            (Some((token, channel)), _) => {
                self.tell_by_bot(token, channel, message, (&update, alert.status), thread).await
            }
            (None, Some(webhook)) if named.is_none() => self.tell_by_webhook(webhook, message).await.map(|()| None),
            (None, _) => {
                let channel = Channel::Slack(named.map(str::to_owned));
                Err(failed(POST, CallErrorKind::Denied, keys.why_closed(&channel)))
            }
        };
        match tell(&message).await {
            // Better plain than not at all: limits change, and some are not documented.
            Err(problem) if problem.error.kind == CallErrorKind::Refused => {
                tell(&slack::text(&email::body(alert, language, &local))).await
            }
            told => told,
        }
    }

    async fn tell_by_webhook(&self, url: &SecretString, message: &Value) -> Result<(), Undelivered> {
        let answer = self.post(WEBHOOK, url.expose_secret(), None, message).await?;
        match (answer.status, answer.word()) {
            (200, Some("ok")) => Ok(()),
            // It was taken, if not by whom it was meant for: to post it again would tell people twice.
            (200..=299, _) => Err(taken(WEBHOOK, NOT_OK)),
            (status, word) => {
                Err(answer.failure(WEBHOOK, &format!("HTTP status {status} {}", word.unwrap_or_default())))
            }
        }
    }

    /// The edit comes first: it can be repeated. What is added to the thread comes last, and ends it.
    async fn tell_by_bot(
        &self,
        token: &SecretString,
        channel: &str,
        message: &Value,
        (update, status): (&Value, Status),
        thread: Option<&str>,
    ) -> Result<Option<String>, Undelivered> {
        if let Some((conversation, ts)) = thread.and_then(|thread| thread.split_once(' ')) {
            let edit = with(message, json!({ "channel": conversation, "ts": ts }));
            match self.api(UPDATE, "chat.update", token, &edit).await {
                Ok(_) => {
                    // What goes on, or has become worse, is to be seen by those who do not follow the thread.
                    let seen = status == Status::Firing;
                    let place = json!({ "channel": conversation, "thread_ts": ts, "reply_broadcast": seen });
                    let line = with(update, place);
                    self.api(POST, "chat.postMessage", token, &line).await?;
                    return Ok(thread.map(str::to_owned));
                }
                // It was deleted, is too old to be edited, or the bot is another one now: a message of its own.
                Err(problem)
                    if problem.error.kind == CallErrorKind::Refused
                        || problem.error.kind == CallErrorKind::NotFound => {}
                Err(problem) => return Err(problem),
            }
        }
        let answer = self.api(POST, "chat.postMessage", token, &with(message, json!({ "channel": channel }))).await?;
        let place = |field: &str| answer[field].as_str().unwrap_or_default();
        Ok(Some(format!("{} {}", place("channel"), place("ts"))))
    }

    /// Calls a method of Slack's API, which says with status 200 that something failed.
    async fn api(
        &self,
        operation: &'static str,
        method: &str,
        token: &SecretString,
        body: &Value,
    ) -> Result<Value, Undelivered> {
        let url = format!("{}/{method}", self.addresses.slack_api.trim_end_matches('/'));
        let answer = self.post(operation, &url, Some(token), body).await?;
        if !(200..=299).contains(&answer.status) {
            return Err(answer.failure(operation, &format!("HTTP status {}", answer.status)));
        }
        let said = answer.json();
        match (said["ok"].as_bool(), said["error"].as_str()) {
            (Some(true), _) => Ok(said),
            (Some(false), Some(word)) if is_word(word) => Err(refusal(operation, &answer, word)),
            (Some(false), _) => Err(failed(operation, CallErrorKind::Refused, "refused without a reason")),
            (None, _) => Err(taken(operation, NOT_OK)),
        }
    }
}

/// Source: Slack's reference, "chat.postMessage" and "chat.update", errors.
fn refusal(operation: &'static str, answer: &Answer, word: &str) -> Undelivered {
    let kind = match word {
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "no_permission"
        | "missing_scope"
        | "access_denied"
        | "not_allowed_token_type"
        | "org_login_required" => CallErrorKind::Denied,
        "channel_not_found" | "not_in_channel" | "is_archived" | "team_not_found" => CallErrorKind::NotFound,
        "ratelimited" | "rate_limited" => CallErrorKind::Throttled,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" => {
            CallErrorKind::NoAnswer
        }
        _ => CallErrorKind::Refused,
    };
    Undelivered { retry_after: answer.retry_after, ..failed(operation, kind, word) }
}

fn with(message: &Value, fields: Value) -> Value {
    let mut message = message.clone();
    for (name, value) in fields.as_object().into_iter().flatten() {
        message[name] = value.clone();
    }
    message
}
