//! Requests that no SDK would send, and what the endpoint remembers of those it would.

use relatch_integration::aws::{Endpoint, WITHHELD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Cloud, token};

const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=ASIALOCAL/20260101/eu-central-1/secretsmanager/aws4_request, \
    SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
    Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Sends one request by hand and returns the type of the error that was answered, or the whole body.
async fn send(endpoint: &Endpoint, authorization: &str, target: &str, body: &Value) -> String {
    let address = endpoint.url().strip_prefix("http://").unwrap();
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-date: 20260101T000000Z\r\nx-amz-target: {target}\r\n{authorization}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let parsed: Value = serde_json::from_str(body).unwrap();
    parsed["__type"].as_str().unwrap_or(body).to_owned()
}

async fn signed(endpoint: &Endpoint, target: &str, body: Value) -> String {
    send(endpoint, &format!("authorization: {AUTHORIZATION}\r\n"), target, &body).await
}

#[tokio::test]
async fn an_unsigned_request_is_refused() {
    let (cloud, _) = Cloud::with_secret().await;
    let answer = send(&cloud.endpoint, "", "secretsmanager.ListSecrets", &json!({})).await;
    assert_eq!(answer, "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn a_signature_must_have_the_form_of_sigv4() {
    let (cloud, _) = Cloud::with_secret().await;
    for (from, to, expected) in [
        ("AWS4-HMAC-SHA256", "Basic", "IncompleteSignatureException"),
        ("0123456789abcdef0123456789abcdef0123", "0123", "IncompleteSignatureException"),
        ("aws4_request", "aws5_request", "IncompleteSignatureException"),
        (";x-amz-target", "", "IncompleteSignatureException"),
        ("20260101", "20250101", "IncompleteSignatureException"),
        ("eu-central-1", "us-east-1", "InvalidSignatureException"),
    ] {
        let header = format!("authorization: {}\r\n", AUTHORIZATION.replacen(from, to, 1));
        assert_eq!(send(&cloud.endpoint, &header, "secretsmanager.ListSecrets", &json!({})).await, expected, "{from}");
    }
    assert!(signed(&cloud.endpoint, "secretsmanager.ListSecrets", json!({})).await.contains("SecretList"));
}

#[tokio::test]
async fn an_action_that_is_unknown_is_refused() {
    let cloud = Cloud::start().await;
    let answer = signed(&cloud.endpoint, "secretsmanager.StealSecret", json!({})).await;
    assert_eq!(answer, "UnknownOperationException");
    assert_eq!(cloud.endpoint.calls()[0].action, "StealSecret");
}

#[tokio::test]
async fn a_parameter_that_is_unknown_or_of_the_wrong_type_is_refused() {
    let (cloud, _) = Cloud::with_secret().await;
    for body in [json!({ "SecretId": "app", "Stage": "AWSCURRENT" }), json!({ "SecretId": 7 }), json!({}), json!([])] {
        assert_eq!(signed(&cloud.endpoint, "secretsmanager.GetSecretValue", body).await, "SerializationException");
    }
}

#[tokio::test]
async fn a_new_version_without_a_token_is_refused() {
    let (cloud, _) = Cloud::with_secret().await;
    let body = json!({ "SecretId": "app", "SecretString": "two" });
    assert_eq!(signed(&cloud.endpoint, "secretsmanager.PutSecretValue", body).await, "InvalidRequestException");
}

#[tokio::test]
async fn calls_are_recorded_in_order_and_without_secret_values() {
    let (cloud, _) = Cloud::with_secret().await;
    let mark = cloud.endpoint.mark();
    cloud.put(&token(), "hunter2", "AWSPENDING").await.unwrap();
    cloud.read(None, Some("AWSPENDING")).await.unwrap();
    cloud.read(None, Some("absent")).await.unwrap_err();
    let calls = cloud.endpoint.calls_since(mark);
    let seen: Vec<_> = calls.iter().map(|c| (c.sequence, c.service, c.action.as_str(), c.status, c.error)).collect();
    assert_eq!(
        seen,
        [
            (2, "secretsmanager", "PutSecretValue", Some(200), None),
            (3, "secretsmanager", "GetSecretValue", Some(200), None),
            (4, "secretsmanager", "GetSecretValue", Some(400), Some("ResourceNotFoundException")),
        ]
    );
    assert_eq!(calls[0].parameters["SecretString"], WITHHELD);
    assert_eq!(calls[0].parameters["VersionStages"], json!(["AWSPENDING"]));
    let everything = format!("{:?} {:?}", cloud.endpoint.calls(), cloud.store());
    assert!(!everything.contains("hunter2"));
}
