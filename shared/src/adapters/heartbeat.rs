//! A dead-man's check outside of AWS: a URL that is asked for as long as all is well, and an alarm at its owner's when it
//! no longer is. Healthchecks, Dead Man's Snitch and their like work this way.
//!
//! Anybody who has the URL can keep the alarm from being raised. So it is kept with the keys to the channels, not in the
//! function's configuration, which many may read, and it is in no error.

use crate::{
    alert::deliver::Keyring,
    ports::{CallError, CallErrorKind, Heartbeat, Secrets},
};
use reqwest::{Client, Url, redirect::Policy};
use secrecy::ExposeSecret;
use std::time::Duration;

const CALL: &str = "heartbeat:Get";

/// A dead-man's check by the URL in the channels' secret. Without a URL there is none.
#[derive(Debug)]
pub struct DeadMansCheck<S> {
    keys: Keyring<S>,
    patience: Duration,
}

impl<S: Secrets> DeadMansCheck<S> {
    /// The check whose URL is among these keys. One GET takes at most `patience`.
    pub const fn new(keys: Keyring<S>, patience: Duration) -> Self {
        Self { keys, patience }
    }
}

impl<S: Secrets> Heartbeat for DeadMansCheck<S> {
    async fn beat(&self) -> Result<(), CallError> {
        let keys = self.keys.keys().await?;
        if let Some(flaw) = keys.flaw_of_heartbeat() {
            return Err(failed(CallErrorKind::Refused, flaw.to_string()));
        }
        let Some(url) = &keys.heartbeat_url else { return Ok(()) };
        // Inside of Lambda plain HTTP to this machine is the Runtime API.
        let url = Url::parse(url.expose_secret()).ok().filter(|url| url.scheme() == "https");
        let url = url.ok_or_else(|| failed(CallErrorKind::Refused, "heartbeatUrl does not begin with `https://`"))?;
        get(url, self.patience).await
    }
}

async fn get(url: Url, patience: Duration) -> Result<(), CallError> {
    // Made anew for each beat: they are minutes apart. A redirect would show the URL's secret to somebody else.
    let client = Client::builder().timeout(patience).redirect(Policy::none()).build();
    let client = client.map_err(|_| failed(CallErrorKind::Refused, "the request could not be made"))?;
    let answer = client.get(url).send().await.map_err(|error| {
        // The error's own words contain the URL.
        let message = if error.is_timeout() { "timed out" } else { "the check cannot be reached" };
        failed(CallErrorKind::NoAnswer, message)
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let kind = match status.as_u16() {
        404 | 410 => CallErrorKind::NotFound,
        401 | 403 => CallErrorKind::Denied,
        429 => CallErrorKind::Throttled,
        500.. => CallErrorKind::NoAnswer,
        _ => CallErrorKind::Refused,
    };
    Err(failed(kind, format!("HTTP status {}", status.as_u16())))
}

fn failed(kind: CallErrorKind, message: impl Into<String>) -> CallError {
    CallError { operation: CALL, kind, message: message.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn a_beat_is_a_get_of_the_url() {
        let (asked, told) = beat("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        told.unwrap();
        assert!(asked.starts_with("GET /ping/hush HTTP/1.1\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_without_the_url() {
        for (answer, kind) in [
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", CallErrorKind::NotFound),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", CallErrorKind::NoAnswer),
            ("HTTP/1.1 302 Found\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n", CallErrorKind::Refused),
            ("not HTTP\r\n\r\n", CallErrorKind::NoAnswer),
            ("", CallErrorKind::NoAnswer),
        ] {
            let problem = beat(answer).await.1.unwrap_err();
            assert_eq!(problem.kind, kind, "{answer}");
            assert!(!format!("{problem} {problem:?}").contains("hush"), "{problem:?}");
        }
    }

    #[tokio::test]
    async fn a_check_that_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/hush", listener.local_addr().unwrap());
        let problem = get(url.parse().unwrap(), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(problem.to_string(), "heartbeat:Get: no usable answer: timed out");
    }

    /// What one beat asks for, and what comes of it where this is the answer.
    async fn beat(answer: &str) -> (String, Result<(), CallError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/hush", listener.local_addr().unwrap());
        let url = url.parse().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        tokio::join!(serve, get(url, Duration::from_secs(9)))
    }
}
