//! The secret that holds the keys to the channels by which people are told.

use crate::alert::deliver::Channel;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// What opens the channels:
/// `{"slackWebhookUrl","slackBotToken","slackChannel","pagerDutyRoutingKey","heartbeatUrl"}`, of which each may be absent.
/// With a bot token (and a channel) Slack's API is used, otherwise the webhook.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelKeys {
    /// A Slack incoming webhook. Whoever has it can write there.
    pub slack_webhook_url: Option<SecretString>,
    /// A Slack bot's token, with the scope `chat:write`.
    pub slack_bot_token: Option<SecretString>,
    /// The channel that the bot writes to, where a route names none: its id, or its name.
    pub slack_channel: Option<String>,
    /// The integration key of a PagerDuty service.
    pub pager_duty_routing_key: Option<SecretString>,
    /// The URL of a dead-man's check. Whoever has it can keep that alarm silent.
    pub heartbeat_url: Option<SecretString>,
}

/// A value that is not that of the channels' secret. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channels' secret is no JSON object of texts")]
pub struct BadChannelKeys;

impl ChannelKeys {
    /// Reads the secret's text. What is empty counts as absent.
    ///
    /// # Errors
    /// When it is not JSON, or a field is not a text.
    pub fn parse(text: &SecretString) -> Result<Self, BadChannelKeys> {
        let keys: Self = serde_json::from_str(text.expose_secret()).map_err(|_| BadChannelKeys)?;
        let filled = |key: Option<SecretString>| key.filter(|key| !key.expose_secret().is_empty());
        Ok(Self {
            slack_webhook_url: filled(keys.slack_webhook_url),
            slack_bot_token: filled(keys.slack_bot_token),
            slack_channel: keys.slack_channel.filter(|channel| !channel.is_empty()),
            pager_duty_routing_key: filled(keys.pager_duty_routing_key),
            heartbeat_url: filled(keys.heartbeat_url),
        })
    }

    /// Whether there is a key to a channel.
    pub fn open(&self, channel: &Channel) -> bool {
        match channel {
            Channel::Slack(None) => self.bot(None).is_some() || self.slack_webhook_url.is_some(),
            Channel::Slack(named) => self.bot(named.as_deref()).is_some(),
            Channel::PagerDuty => self.pager_duty_routing_key.is_some(),
        }
    }

    /// The bot's token and the channel that it writes to: the one that a route names, or the secret's.
    pub fn bot<'a>(&'a self, named: Option<&'a str>) -> Option<(&'a SecretString, &'a str)> {
        self.slack_bot_token.as_ref().zip(named.or(self.slack_channel.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_opens_its_channel_only() {
        let (slack, named) = (Channel::Slack(None), Channel::Slack(Some("C1".to_owned())));
        for (text, opens) in [
            (r#"{}"#, [false, false, false]),
            (r#"{"slackWebhookUrl":"https://x","pagerDutyRoutingKey":""}"#, [true, false, false]),
            (r#"{"slackBotToken":"xoxb"}"#, [false, true, false]),
            (r#"{"slackBotToken":"xoxb","slackChannel":"C2","more":7}"#, [true, true, false]),
            (r#"{"pagerDutyRoutingKey":"R"}"#, [false, false, true]),
        ] {
            let keys = ChannelKeys::parse(&text.into()).unwrap();
            assert_eq!([&slack, &named, &Channel::PagerDuty].map(|channel| keys.open(channel)), opens, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        for text in ["hush", r#"{"slackBotToken":["hush"]}"#, "[]", ""] {
            let problem = ChannelKeys::parse(&text.into()).unwrap_err();
            assert!(!format!("{problem} {problem:?}").contains("hush"));
        }
        let keys = ChannelKeys::parse(&r#"{"slackBotToken":"hush","slackWebhookUrl":"hush"}"#.into()).unwrap();
        assert!(!format!("{keys:?}").contains("hush"));
    }
}
