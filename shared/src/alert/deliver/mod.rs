//! How alerts reach people: by Slack and PagerDuty, each in a lane of its own.
//!
//! A lane takes the messages of an invocation in their order. One that fails because the channel does not answer closes
//! its lane, so that a dead channel costs its own time once, and no other's. What a channel was told last is remembered
//! by the alert's key: a message that comes again is not told again, one that a later message has overtaken (a
//! "firing" out of the queue after its "resolved") is not told any more, and Slack's bot takes up the message of before.
//! Where that memory fails people are told all the same: better twice than never.

mod keyring;
pub mod route;

pub use keyring::Keyring;
pub use route::{Admission, Channel, Routes};

use super::{Alert, Status};
use crate::{
    ports::{CallError, CallErrorKind, Channels, Deliveries, Secrets, Told, Undelivered},
    secret::ChannelKeys,
    telemetry::Metrics,
};
use futures_util::future::join_all;
use jiff::Timestamp;
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// How often one channel is tried for one message. After that the queue, or SNS, brings it again.
const ATTEMPTS: u32 = 5;

/// An alert as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The message's id: the same when it is delivered again.
    pub id: String,
    /// When it was published.
    pub at: Timestamp,
    /// What it says.
    pub alert: Alert,
}

/// Why a channel was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{channel}: {why}")]
pub struct Failure {
    /// The channel's name; `every channel` where none could be tried.
    pub channel: String,
    /// Why, in a sentence without any secret.
    pub why: String,
}

/// How alerts reach people.
#[derive(Debug)]
pub struct Delivery<S, C, T> {
    /// The keys to the channels.
    pub keyring: Keyring<S>,
    /// Slack and PagerDuty.
    pub channels: C,
    /// What was told before.
    pub deliveries: T,
    /// Which alert goes where.
    pub routes: Routes,
    /// The longest that one call may take.
    pub patience: Duration,
    /// Where it is counted.
    pub metrics: Metrics,
}

impl<S: Secrets, C: Channels, T: Deliveries> Delivery<S, C, T> {
    /// Tells everything, until the deadline; returns for each of the news the channels that were not told and should
    /// have been.
    pub async fn run(&self, news: &[News], deadline: Instant) -> Vec<Vec<Failure>> {
        let keys = match self.keyring.keys().await {
            Ok(keys) => keys,
            Err(problem) => return self.nowhere(news, &problem.to_string()),
        };
        let channels = self.routes.channels().into_iter();
        let channels: Vec<Channel> = channels.filter(|channel| self.routes.asked_for || keys.open(channel)).collect();
        if channels.is_empty() {
            return self.nowhere(news, "the channels' secret holds no key");
        }
        let lanes = channels.iter().map(|channel| self.lane(channel, Arc::clone(&keys), news, deadline));
        let mut failures: Vec<Vec<Failure>> = vec![Vec::new(); news.len()];
        for lane in join_all(lanes).await {
            for (all, failure) in failures.iter_mut().zip(lane) {
                all.extend(failure);
            }
        }
        failures
    }

    fn nowhere(&self, news: &[News], why: &str) -> Vec<Vec<Failure>> {
        error!(error = why, "No channel can be used");
        let failure = Failure { channel: "every channel".to_owned(), why: why.to_owned() };
        for news in news {
            self.metrics.alert_undelivered(news.alert.condition.name(), "all");
        }
        vec![vec![failure]; news.len()]
    }

    /// Tells one channel everything that is for it, in order.
    async fn lane(
        &self,
        channel: &Channel,
        mut keys: Arc<ChannelKeys>,
        news: &[News],
        deadline: Instant,
    ) -> Vec<Option<Failure>> {
        let mut closed: Option<String> = None;
        let mut failures = Vec::with_capacity(news.len());
        for news in news {
            let admission = self.routes.admit(channel, &news.alert);
            let told = match (admission, &closed) {
                (Admission::No, _) => Ok(()),
                (_, Some(why)) => Err(format!("not tried, since before: {why}")),
                (Admission::Yes | Admission::IfToldBefore, None) => {
                    self.tell(channel, &mut keys, news, admission, deadline).await.map_err(|problem| {
                        // Only a refusal is about this one message.
                        if problem.kind != CallErrorKind::Refused {
                            closed = Some(problem.to_string());
                        }
                        problem.to_string()
                    })
                }
            };
            failures.push(told.err().map(|why| {
                let (key, condition) = (news.alert.key(), news.alert.condition.name());
                self.metrics.alert_undelivered(condition, channel.service());
                error!(alert.key = key, alert.channel = channel.name(), message.id = news.id, "Not delivered: {why}");
                Failure { channel: channel.name(), why }
            }));
        }
        failures
    }

    /// Tells one channel of one alert, unless it knows.
    async fn tell(
        &self,
        channel: &Channel,
        keys: &mut Arc<ChannelKeys>,
        news: &News,
        admission: Admission,
        deadline: Instant,
    ) -> Result<(), CallError> {
        let (alert, name) = (&news.alert, channel.name());
        let (before, known) = match self.deliveries.told(alert, &name).await {
            Ok(before) => (before, true),
            Err(problem) => {
                warn!(error = %problem, alert.key = alert.key(), "What was told before is not known; telling it anyway");
                (None, false)
            }
        };
        let told = |thread| Told { message: news.id.clone(), at: news.at, status: alert.status, thread };
        match &before {
            Some(before) if before.message == news.id || before.at > news.at => {
                info!(
                    alert.key = alert.key(),
                    alert.channel = name,
                    message.id = news.id,
                    "Told already, or overtaken"
                );
                return Ok(());
            }
            // Written down nevertheless, so that a "firing" that comes late finds itself overtaken.
            None if known && admission == Admission::IfToldBefore => {
                self.remember(alert, &name, &told(None)).await;
                return Ok(());
            }
            Some(_) | None => {}
        }
        // What begins anew is a message of its own: nobody notices that an old one was edited.
        let begins = |before: &Told| before.status == Status::Resolved && alert.status == Status::Firing;
        let thread = before.filter(|before| !begins(before)).and_then(|before| before.thread);
        let thread = match self.send(channel, keys, alert, thread.as_deref(), deadline).await {
            Ok(thread) => thread,
            // Somebody has taken it. To say it again would be to say it twice; that it is not known who, is counted.
            Err(Undelivered { taken: true, error, .. }) => {
                self.remember(alert, &name, &told(None)).await;
                self.metrics.alert_undelivered(alert.condition.name(), channel.service());
                error!(
                    alert.key = alert.key(),
                    alert.channel = name,
                    message.id = news.id,
                    "Taken, and not known by whom: {error}"
                );
                return Ok(());
            }
            Err(Undelivered { error, .. }) => return Err(error),
        };
        let seen = alert.since.unwrap_or(news.at);
        let took = u64::try_from(Timestamp::now().duration_since(seen).as_millis()).unwrap_or_default();
        self.metrics.alert_sent(alert.condition.name(), channel.service(), took);
        info!(
            alert.key = alert.key(),
            alert.status = alert.status.name(),
            alert.channel = name,
            message.id = news.id,
            "Told {}",
            channel.service()
        );
        // Another invocation has told something later meanwhile. If that was the end, it is to be the last word.
        if !self.remember(alert, &name, &told(thread.clone())).await
            && alert.status == Status::Firing
            && let Ok(Some(later)) = self.deliveries.told(alert, &name).await
            && later.status == Status::Resolved
        {
            let ended = Alert { status: Status::Resolved, ..alert.clone() };
            self.send(channel, keys, &ended, thread.as_deref(), deadline).await.map_err(|problem| problem.error)?;
        }
        Ok(())
    }

    /// Best effort: where it fails, a message that comes again is told again. `false` if something later is written down.
    async fn remember(&self, alert: &Alert, channel: &str, told: &Told) -> bool {
        self.deliveries.record_told(alert, channel, told).await.unwrap_or_else(|problem| {
            warn!(error = %problem, alert.key = alert.key(), "What was told could not be written down");
            true
        })
    }

    /// Sends, as often as there is hope and time.
    async fn send(
        &self,
        channel: &Channel,
        keys: &mut Arc<ChannelKeys>,
        alert: &Alert,
        thread: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<String>, Undelivered> {
        let (mut attempt, mut pause, mut keys_are_new) = (1, PAUSE, false);
        loop {
            let problem = match self.channels.tell(channel, keys, alert, thread).await {
                Ok(thread) => return Ok(thread),
                Err(problem) if problem.taken => return Err(problem),
                Err(problem) => problem,
            };
            match problem.error.kind {
                CallErrorKind::Denied | CallErrorKind::NotFound if !keys_are_new => {
                    let Some(others) = self.keyring.others(keys).await else { return Err(problem) };
                    (*keys, keys_are_new) = (others, true);
                }
                CallErrorKind::Denied | CallErrorKind::NotFound | CallErrorKind::Refused => return Err(problem),
                CallErrorKind::Throttled | CallErrorKind::NoAnswer => {
                    // Not all at the same moment.
                    let jittered = pause.mul_f64(UnwrapErr(SysRng).random_range(0.75..1.25));
                    let wait = problem.retry_after.unwrap_or_default().max(jittered);
                    if attempt == ATTEMPTS || Instant::now() + wait + self.patience > deadline {
                        return Err(problem);
                    }
                    sleep(wait).await;
                    (attempt, pause) = (attempt + 1, pause * 2);
                }
            }
        }
    }
}
