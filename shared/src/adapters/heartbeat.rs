//! A dead-man's check outside of AWS: a URL that is asked for as long as all is well, and an alarm at its owner's when it
//! no longer is. Healthchecks, Dead Man's Snitch and their like work this way.
//!
//! Whoever has the URL can keep the alarm from being raised, so it is a secret, and is in no error.

use crate::ports::{CallError, CallErrorKind, Heartbeat};
use reqwest::{Client, Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

const CALL: &str = "heartbeat:Get";

/// A dead-man's check by its URL.
#[derive(Debug, Clone)]
pub struct DeadMansCheck {
    url: SecretString,
    patience: Duration,
}

impl DeadMansCheck {
    /// The check that is told by a GET of `url`, which takes at most `patience`.
    pub const fn new(url: SecretString, patience: Duration) -> Self {
        Self { url, patience }
    }
}

impl Heartbeat for DeadMansCheck {
    async fn beat(&self) -> Result<(), CallError> {
        let url = Url::parse(self.url.expose_secret()).map_err(|_| failed(CallErrorKind::Refused, "not a URL"))?;
        // Made anew for each beat: they are minutes apart. A redirect would show the URL's secret to somebody else.
        let client = Client::builder().timeout(self.patience).redirect(Policy::none()).build();
        let client = client.map_err(|_| failed(CallErrorKind::Refused, "the request could not be made"))?;
        let answer = client.get(url).send().await.map_err(|error| {
            // The error's own words contain the URL.
            let message = if error.is_timeout() { "timed out" } else { "the check cannot be reached" };
            failed(CallErrorKind::NoAnswer, message)
        })?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            let kind = match status.as_u16() {
                404 | 410 => CallErrorKind::NotFound,
                401 | 403 => CallErrorKind::Denied,
                429 => CallErrorKind::Throttled,
                500.. => CallErrorKind::NoAnswer,
                _ => CallErrorKind::Refused,
            };
            Err(failed(kind, format!("HTTP status {}", status.as_u16())))
        }
    }
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
        let check = DeadMansCheck::new("hush".into(), Duration::from_secs(9));
        assert_eq!(check.beat().await.unwrap_err().to_string(), "heartbeat:Get: refused: not a URL");
        assert!(!format!("{check:?}").contains("hush"));
    }

    #[tokio::test]
    async fn a_check_that_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/hush", listener.local_addr().unwrap());
        let problem = DeadMansCheck::new(url.into(), Duration::from_millis(50)).beat().await.unwrap_err();
        assert_eq!(problem.to_string(), "heartbeat:Get: no usable answer: timed out");
    }

    /// What one beat asks for, and what comes of it where this is the answer.
    async fn beat(answer: &str) -> (String, Result<(), CallError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/hush", listener.local_addr().unwrap());
        let check = DeadMansCheck::new(url.into(), Duration::from_secs(9));
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        tokio::join!(serve, check.beat())
    }
}
