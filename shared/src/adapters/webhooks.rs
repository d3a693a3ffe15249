//! Slack and PagerDuty, by HTTPS.
//!
//! A webhook's URL, a token and a routing key are secrets. They are in no error: what a client says of a failure
//! contains the URL, and is replaced; what a service answers is quoted only where it is one word of its own list.

mod pagerduty;
mod slack;

use crate::{
    alert::{Alert, Audience, Local, deliver::Channel},
    ports::{CallError, CallErrorKind, Channels, Undelivered},
    secret::ChannelKeys,
};
use jiff::Timestamp;
use reqwest::{Client, Response, Url, header, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{sync::OnceLock, time::Duration};

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Slack and PagerDuty.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// Made when it is needed: it reads all certificate authorities of the machine.
    client: OnceLock<Client>,
    addresses: Addresses,
    audience: Audience,
    patience: Duration,
}

/// Where the services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Slack's API, without the method.
    pub slack_api: String,
    /// PagerDuty's Events API v2.
    pub pagerduty: String,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            slack_api: "https://slack.com/api".to_owned(),
            pagerduty: "https://events.pagerduty.com/v2/enqueue".to_owned(),
        }
    }
}

impl Webhooks {
    /// The services at these addresses, for those who read it there; one call takes at most `patience`.
    pub const fn new(addresses: Addresses, audience: Audience, patience: Duration) -> Self {
        Self { client: OnceLock::new(), addresses, audience, patience }
    }

    fn client(&self) -> Option<&Client> {
        if self.client.get().is_none() {
            // A redirect would show the secrets to somebody else.
            let client = Client::builder().timeout(self.patience).redirect(Policy::none()).build().ok()?;
            let _ = self.client.set(client);
        }
        self.client.get()
    }

    /// What is particular to those who are told, now.
    fn local(&self) -> Local {
        self.audience.local(Timestamp::now())
    }

    async fn post(
        &self,
        operation: &'static str,
        url: &str,
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<Answer, Undelivered> {
        let failed = |kind, message: &str| failed(operation, kind, message);
        let url = Url::parse(url).ok().filter(is_https);
        let url = url.ok_or_else(|| failed(CallErrorKind::Refused, "the address is not an HTTPS URL"))?;
        let client = self.client().ok_or_else(|| failed(CallErrorKind::Refused, "there is no TLS to be had"))?;
        let call = client.post(url).header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        let call = match token {
            Some(token) => call.bearer_auth(token.expose_secret()),
            None => call,
        };
        let answer = call.body(body.to_string()).send().await.map_err(|error| {
            // The error's own words contain the URL.
            let message = if error.is_timeout() { "timed out" } else { "it cannot be reached" };
            failed(CallErrorKind::NoAnswer, message)
        })?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        match beginning(answer).await {
            Some(body) => Ok(Answer { status, retry_after, body }),
            None if (200..=299).contains(&status) => Err(taken(operation, "the answer broke off")),
            None => Err(failed(CallErrorKind::NoAnswer, "the answer broke off")),
        }
    }
}

impl Channels for Webhooks {
    async fn tell(
        &self,
        channel: &Channel,
        keys: &ChannelKeys,
        alert: &Alert,
        thread: Option<&str>,
    ) -> Result<Option<String>, Undelivered> {
        match channel {
            Channel::Slack(named) => self.tell_slack(named.as_deref(), keys, alert, thread).await,
            Channel::PagerDuty => self.tell_pagerduty(keys, alert).await.map(|()| None),
        }
    }
}

/// What a service answered.
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// The answer as an error, by its status.
    fn failure(&self, operation: &'static str, message: &str) -> Undelivered {
        let kind = match self.status {
            401 | 403 => CallErrorKind::Denied,
            404 | 410 => CallErrorKind::NotFound,
            429 => CallErrorKind::Throttled,
            408 | 500.. => CallErrorKind::NoAnswer,
            _ => CallErrorKind::Refused,
        };
        Undelivered { retry_after: self.retry_after, ..failed(operation, kind, message) }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body, if it is a word such as `no_service`; it cannot be a key then, or a person's text.
    fn word(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok().map(str::trim).filter(|word| is_word(word))
    }
}

/// Whether it is a word of a service's own: `invalid_auth`.
fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

impl Addresses {
    /// What is wrong with an address, in words that follow the setting's name.
    pub(crate) fn problem(address: &str) -> Option<String> {
        let good = Url::parse(address).is_ok_and(|url| is_https(&url));
        (!good).then(|| format!("must be a URL that begins with `https://`, not `{address}`"))
    }
}

/// Keys go over TLS only, also on this machine: inside of Lambda, plain HTTP to it is the Runtime API.
fn is_https(url: &Url) -> bool {
    url.scheme() == "https"
}

async fn beginning(mut answer: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            break;
        }
    }
    Some(body)
}

fn failed(operation: &'static str, kind: CallErrorKind, message: impl Into<String>) -> Undelivered {
    Undelivered { error: CallError { operation, kind, message: message.into() }, retry_after: None, taken: false }
}

/// Something that was taken, by whomever: the answer is not what the service answers.
fn taken(operation: &'static str, message: &str) -> Undelivered {
    Undelivered { taken: true, ..failed(operation, CallErrorKind::NoAnswer, message) }
}
