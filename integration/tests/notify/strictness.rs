//! The local Slack and PagerDuty refuse what the real ones refuse.

use relatch_integration::receiver::{CHANNEL, CHANNEL_NAME, Keys, Receiver};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn slack_takes_what_is_within_its_limits_and_nothing_else() {
    let receiver = Receiver::start().await.unwrap();
    let api = format!("{}/chat.postMessage", receiver.settings()[0].1);
    let say = async |fields: Value| {
        let mut body = json!({ "channel": CHANNEL_NAME, "text": "text" });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, answer) = post(&receiver, &api, Some(&Keys::default().token), &body).await;
        assert_eq!(status, 200, "Slack's API says so in the body");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["error"].as_str().unwrap_or("ok").to_owned()
    };
    let text = |kind: &str, length: usize| json!({ "type": kind, "text": "ü".repeat(length) });
    let header = |length| json!({ "type": "header", "text": text("plain_text", length) });
    let section = |length| json!({ "type": "section", "text": text("mrkdwn", length) });
    let fields = |count, length| json!({ "type": "section", "fields": vec![text("mrkdwn", length); count] });
    let button =
        |id: &str| json!({ "type": "button", "action_id": id, "text": text("plain_text", 75), "url": "https://x" });
    let actions =
        |ids: &[&str]| json!({ "type": "actions", "elements": ids.iter().map(|id| button(id)).collect::<Vec<_>>() });
    for (fields, expected) in [
        (json!({}), "ok"),
        (json!({ "channel": CHANNEL }), "ok"),
        (json!({ "channel": "#nowhere" }), "channel_not_found"),
        (json!({ "channel": null }), "channel_not_found"),
        (json!({ "text": "" }), "no_text"),
        (json!({ "text": null, "blocks": [section(1)] }), "no_text"),
        (json!({ "text": "x".repeat(40_000) }), "ok"),
        (json!({ "text": "x".repeat(40_001) }), "msg_too_long"),
        (json!({ "thread_ts": "1.1" }), "thread_not_found"),
        (json!({ "blocks": "[]" }), "invalid_blocks_format"),
        (json!({ "blocks": [] }), "invalid_blocks"),
        (json!({ "blocks": vec![section(1); 50] }), "ok"),
        (json!({ "blocks": vec![section(1); 51] }), "invalid_blocks"),
        (json!({ "blocks": vec![section(3000); 3] }), "ok"),
        (json!({ "blocks": vec![section(3000); 4] }), "msg_blocks_too_long"),
        (json!({ "blocks": [section(3001)] }), "invalid_blocks"),
        (json!({ "blocks": [header(150)] }), "ok"),
        (json!({ "blocks": [header(151)] }), "invalid_blocks"),
        (json!({ "blocks": [{ "type": "header", "text": text("mrkdwn", 1) }] }), "invalid_blocks"),
        (json!({ "blocks": [fields(10, 900)] }), "ok"),
        (json!({ "blocks": [fields(1, 2000)] }), "ok"),
        (json!({ "blocks": [fields(1, 2001)] }), "invalid_blocks"),
        (json!({ "blocks": [fields(11, 1)] }), "invalid_blocks"),
        (json!({ "blocks": [{ "type": "section" }] }), "invalid_blocks"),
        (json!({ "blocks": [{ "type": "marquee" }] }), "invalid_blocks"),
        (
            json!({ "blocks": [{ "type": "divider", "block_id": "b" }, { "type": "divider", "block_id": "b" }] }),
            "invalid_blocks",
        ),
        (json!({ "blocks": [actions(&["a", "b"])] }), "ok"),
        (json!({ "blocks": [actions(&["a", "a"])] }), "invalid_blocks"),
        (json!({ "blocks": [{ "type": "context", "elements": vec![text("mrkdwn", 1); 11] }] }), "invalid_blocks"),
    ] {
        assert_eq!(say(fields.clone()).await, expected, "{:.300}", fields.to_string());
    }
    let body = json!({ "channel": CHANNEL, "text": "text" });
    assert!(post(&receiver, &api, None, &body).await.1.contains("not_authed"));
    assert!(post(&receiver, &api, Some("xoxb-other"), &body).await.1.contains("invalid_auth"));
    let update = format!("{}/chat.update", receiver.settings()[0].1);
    let ts = receiver.messages()[0].ts.clone();
    for (channel, ts, expected) in [
        (CHANNEL, ts.as_str(), "\"ok\":true"),
        (CHANNEL_NAME, ts.as_str(), "channel_not_found"),
        (CHANNEL, "1.1", "message_not_found"),
    ] {
        let edit = json!({ "channel": channel, "ts": ts, "text": "text" });
        let (_, answer) = post(&receiver, &update, Some(&Keys::default().token), &edit).await;
        assert!(answer.contains(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_webhook_answers_in_words() {
    let receiver = Receiver::start().await.unwrap();
    let webhook = receiver.webhook();
    for (url, body, expected) in [
        (webhook.clone(), json!({ "text": "text" }), (200, "ok")),
        (webhook.clone(), json!({}), (400, "no_text")),
        (webhook.clone(), json!("text"), (400, "invalid_payload")),
        (webhook.clone(), json!({ "text": "text", "blocks": [{}] }), (400, "invalid_blocks")),
        (format!("{webhook}x"), json!({ "text": "text" }), (404, "no_service")),
    ] {
        let (status, answer) = post(&receiver, &url, None, &body).await;
        assert_eq!((status, answer.as_str()), expected, "{body}");
    }
}

#[tokio::test]
async fn pagerduty_names_what_is_wrong() {
    let receiver = Receiver::start().await.unwrap();
    let url = receiver.settings()[1].1.clone();
    let whole = json!({
        "routing_key": Keys::default().routing, "event_action": "trigger", "dedup_key": "k",
        "payload": { "summary": "s".repeat(1024), "source": "s", "severity": "critical", "custom_details": {} },
        "links": [{ "href": "https://x", "text": "x" }],
    });
    let (status, answer) = post(&receiver, &url, None, &whole).await;
    assert_eq!(status, 202, "{answer}");
    assert!(answer.contains("\"dedup_key\":\"k\""), "{answer}");
    for (pointer, value, expected) in [
        ("/routing_key", json!("short"), "routing_key"),
        ("/routing_key", json!("x".repeat(32)), "Invalid routing key"),
        ("/event_action", json!("close"), "event_action"),
        ("/dedup_key", json!("k".repeat(256)), "dedup_key"),
        ("/payload/summary", json!("s".repeat(1025)), "summary"),
        ("/payload/summary", json!(null), "summary"),
        ("/payload/source", json!(""), "source"),
        ("/payload/severity", json!("high"), "severity"),
        ("/payload/custom_details", json!("x".repeat(600_000)), "512 KB"),
        ("/links/0/href", json!(""), "href"),
    ] {
        let mut event = whole.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        let (status, answer) = post(&receiver, &url, None, &event).await;
        assert_eq!(status, 400, "{pointer}");
        assert!(answer.contains(expected) && answer.contains("invalid event"), "{answer}");
    }
}

/// Status and body of the answer.
async fn post(receiver: &Receiver, url: &str, token: Option<&str>, body: &Value) -> (u16, String) {
    let (host, path) = url.strip_prefix("https://").unwrap().split_once('/').unwrap();
    let (body, token) =
        (body.to_string(), token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n")));
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n{token}content-length: {}\r\n\r\n",
        body.len()
    );
    let connector = TlsConnector::from(Arc::new(receiver.client_config().unwrap()));
    let stream = TcpStream::connect(host).await.unwrap();
    let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
