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
    /// Which of them cannot work, and why. They count as absent, and are not tried.
    #[serde(skip)]
    pub flaws: Vec<Flaw>,
}

/// Why a key cannot work, whoever is asked. It quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Something is in it that is in no key: most of the time two were put together, or a line was broken.
    #[error("`{0}` has a blank, a line break or a sign in it that is in no key: store it anew")]
    Blank(&'static str),
    /// Source: Slack's guide to Workflow Builder, "Create a workflow that starts with a webhook"; its URLs begin with
    /// `https://hooks.slack.com/triggers/` or, of old workflows, `https://hooks.slack.com/workflows/`.
    #[error(
        "`slackWebhookUrl` is a URL of Slack's Workflow Builder, which takes variables of a workflow and no messages: use \
         an incoming webhook (https://hooks.slack.com/services/…), or a bot (`slackBotToken`, `slackChannel`)"
    )]
    Workflow,
}

impl Flaw {
    fn is_of(self, channel: &Channel) -> bool {
        match self {
            Self::Blank(HEARTBEAT_URL) => false,
            Self::Blank(ROUTING_KEY) => matches!(channel, Channel::PagerDuty),
            Self::Blank(_) | Self::Workflow => matches!(channel, Channel::Slack(_)),
        }
    }
}

const ROUTING_KEY: &str = "pagerDutyRoutingKey";
const HEARTBEAT_URL: &str = "heartbeatUrl";

/// A value that is not that of the channels' secret. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channels' secret is no JSON object of texts")]
pub struct BadChannelKeys;

impl ChannelKeys {
    /// Reads the secret's text. What is empty counts as absent. Blanks around a key are none of it: a line break comes with
    /// `echo`, with files and with copying.
    ///
    /// # Errors
    /// When it is not JSON, or a field is not a text.
    pub fn parse(text: &SecretString) -> Result<Self, BadChannelKeys> {
        let keys: Self = serde_json::from_str(bare(text.expose_secret())).map_err(|_| BadChannelKeys)?;
        let mut flaws = Vec::new();
        let mut good = |name, key: Option<&str>| {
            let key = bare(key?);
            let is_odd = |c: char| c.is_whitespace() || c.is_control() || (!c.is_ascii() && name != "slackChannel");
            if key.contains(is_odd) {
                flaws.push(Flaw::Blank(name));
                return None;
            }
            Some(key.to_owned()).filter(|key| !key.is_empty())
        };
        let exposed = |key: &'_ Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        let webhook = good("slackWebhookUrl", exposed(&keys.slack_webhook_url).as_deref());
        let token = good("slackBotToken", exposed(&keys.slack_bot_token).as_deref());
        let slack_channel = good("slackChannel", keys.slack_channel.as_deref());
        let routing_key = good(ROUTING_KEY, exposed(&keys.pager_duty_routing_key).as_deref());
        let heartbeat = good(HEARTBEAT_URL, exposed(&keys.heartbeat_url).as_deref());
        let webhook = webhook.filter(|url| {
            let is_workflow = is_of_workflow(url);
            flaws.extend(is_workflow.then_some(Flaw::Workflow));
            !is_workflow
        });
        Ok(Self {
            slack_webhook_url: webhook.map(Into::into),
            slack_bot_token: token.map(Into::into),
            slack_channel,
            pager_duty_routing_key: routing_key.map(Into::into),
            heartbeat_url: heartbeat.map(Into::into),
            flaws,
        })
    }

    /// Why a channel has no key.
    pub fn why_closed(&self, channel: &Channel) -> String {
        let flaws: Vec<String> = self.flaws.iter().filter(|flaw| flaw.is_of(channel)).map(Flaw::to_string).collect();
        if flaws.is_empty() { "the channels' secret holds no key for it".to_owned() } else { flaws.join("; ") }
    }

    /// Why the URL of the dead-man's check cannot work.
    pub fn flaw_of_heartbeat(&self) -> Option<Flaw> {
        self.flaws.iter().copied().find(|flaw| *flaw == Flaw::Blank(HEARTBEAT_URL))
    }

    /// Whether there is a key to a channel, or one that has a flaw: whoever stored it wants it to be used.
    pub fn open(&self, channel: &Channel) -> bool {
        let is_flawed = self.flaws.iter().any(|flaw| flaw.is_of(channel));
        is_flawed
            || match channel {
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

/// Without blanks around it, and without a mark of the order of bytes.
fn bare(key: &str) -> &str {
    key.trim_matches(|c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
    })
}

/// Whether a URL is one of Slack's Workflow Builder, of GovSlack's too.
fn is_of_workflow(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_slack = host.to_ascii_lowercase().starts_with("hooks.slack");
    is_slack && (path.starts_with("triggers/") || path.starts_with("workflows/"))
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
    fn a_blank_around_a_key_is_none_of_it_and_one_within_is_told_by_its_keys_name() {
        for around in ["\\n", "\\r\\n", " ", "\\t", "\u{feff}", "\u{a0}", "\\u0000", "\u{200b}"] {
            let text = format!(
                r#"{{"slackWebhookUrl":"{around}https://hooks.slack.com/services/T/B/x{around}","slackBotToken":"xoxb-1{around}",
                    "slackChannel":"{around}#alerts{around}","pagerDutyRoutingKey":"R{around}"}}"#
            );
            let keys = ChannelKeys::parse(&format!("\u{feff}{text}\n").into()).unwrap();
            let secret = |key: Option<SecretString>| key.unwrap().expose_secret().to_owned();
            assert_eq!(keys.flaws, []);
            assert_eq!(secret(keys.slack_webhook_url), "https://hooks.slack.com/services/T/B/x", "{around:?}");
            assert_eq!(secret(keys.slack_bot_token), "xoxb-1");
            assert_eq!(secret(keys.pager_duty_routing_key), "R");
            assert_eq!(keys.slack_channel.as_deref(), Some("#alerts"));
        }
        for (field, channel) in [
            ("slackWebhookUrl", Channel::Slack(None)),
            ("slackBotToken", Channel::Slack(None)),
            ("slackChannel", Channel::Slack(None)),
            ("pagerDutyRoutingKey", Channel::PagerDuty),
        ] {
            for within in ["\\n", " ", "\u{a0}", "\\u0007"] {
                let keys = ChannelKeys::parse(&format!(r#"{{"{field}":"hu{within}sh"}}"#).into()).unwrap();
                assert_eq!(keys.flaws, [Flaw::Blank(field)], "{field} {within:?}");
                assert!(keys.open(&channel) && keys.bot(None).is_none());
                let why = keys.why_closed(&channel);
                assert!(why.contains(field) && !why.contains("hu"), "{why}");
            }
        }
    }

    #[test]
    fn a_url_of_a_workflow_is_refused_by_name_and_closes_no_other_channel() {
        for url in [
            "https://hooks.slack.com/triggers/T1/2/abc",
            "https://hooks.slack.com/workflows/T1/A2/3/abc\\n",
            "https://hooks.slack-gov.com/triggers/T1/2/abc",
        ] {
            let text = format!(r#"{{"slackWebhookUrl":"{url}","pagerDutyRoutingKey":"R"}}"#);
            let keys = ChannelKeys::parse(&text.into()).unwrap();
            assert_eq!(keys.flaws, [Flaw::Workflow], "{url}");
            assert!(keys.slack_webhook_url.is_none() && keys.open(&Channel::Slack(None)));
            assert!(keys.why_closed(&Channel::Slack(None)).contains("hooks.slack.com/services/"));
            assert!(keys.pager_duty_routing_key.is_some());
            assert!(keys.why_closed(&Channel::PagerDuty).contains("no key"));
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
