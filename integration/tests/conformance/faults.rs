//! Every fault does what its name says, to the call it is meant for.

use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use nix::sys::signal::Signal;
use relatch_integration::aws::{Fault, Process};

use crate::{Cloud, Refused, once, refusal, token};

/// Puts a value with the fault set and says whether that took effect.
async fn put_with(cloud: &Cloud, fault: Fault) -> (Result<(), crate::Refusal>, bool) {
    let token = token();
    cloud.endpoint.fault_at(1, fault);
    let answer = cloud.put(&token, "two", "AWSPENDING").await;
    (answer, !cloud.labels(&token).is_empty())
}

#[tokio::test]
async fn a_refused_call_has_no_effect_and_is_answered_503() {
    let (cloud, _) = Cloud::with_secret().await;
    let (answer, effect) = put_with(&cloud, Fault::Refuse).await;
    assert_eq!(answer.code(), "ServiceUnavailableException");
    assert!(!effect);
    let call = cloud.endpoint.calls().pop().unwrap();
    assert_eq!((call.status, call.fault), (Some(503), Some("Refuse")));
}

#[tokio::test]
async fn a_throttled_and_a_denied_call_have_no_effect() {
    let (cloud, _) = Cloud::with_secret().await;
    let (answer, effect) = put_with(&cloud, Fault::Throttle).await;
    assert_eq!((answer.code().as_str(), effect), ("ThrottlingException", false));
    let (answer, effect) = put_with(&cloud, Fault::Deny).await;
    assert_eq!((answer.code().as_str(), effect), ("AccessDeniedException", false));
}

#[tokio::test]
async fn a_hang_up_closes_the_connection_before_the_effect_and_a_dropped_reply_after_it() {
    let (cloud, _) = Cloud::with_secret().await;
    for (fault, expected) in [(Fault::Hangup, false), (Fault::DropReply, true)] {
        let (answer, effect) = put_with(&cloud, fault).await;
        assert_eq!((answer.code().as_str(), effect), ("", expected));
        assert_eq!(cloud.endpoint.calls().pop().unwrap().status, None);
    }
}

#[tokio::test]
async fn a_garbled_answer_takes_effect_and_cannot_be_read() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.endpoint.fault_at(1, Fault::Garble);
    let put = cloud.client.put_secret_value().secret_id("app").secret_string("two").send().await;
    // Not an answer of the service: it has no type.
    assert_eq!(put.map_err(refusal).code(), "");
    assert_eq!(cloud.read(None, None).await.unwrap(), "two");
}

#[tokio::test]
async fn a_silent_call_lasts_until_the_client_goes_away() {
    let (cloud, _) = Cloud::with_secret().await;
    let patience = Duration::from_millis(300);
    let timeouts = TimeoutConfig::builder().operation_timeout(patience).build();
    let client = Client::new(&once(cloud.endpoint.sdk()).into_builder().timeout_config(timeouts).build());
    cloud.endpoint.fault_at(1, Fault::Silence);
    let start = Instant::now();
    let put = client.put_secret_value().secret_id("app").secret_string("two").send().await;
    assert!(matches!(put, Err(SdkError::TimeoutError(_))));
    assert!(start.elapsed() >= patience);
    assert_eq!(cloud.read(None, None).await.unwrap(), "one");
}

#[tokio::test]
async fn a_delayed_call_is_answered_later() {
    let (cloud, _) = Cloud::with_secret().await;
    let delay = Duration::from_millis(200);
    cloud.endpoint.fault_at(1, Fault::Delay(delay));
    let start = Instant::now();
    cloud.read(None, None).await.unwrap();
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn stale_labels_show_the_state_before_the_last_change() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.unwrap();
    cloud.endpoint.fault_always("*", Fault::StaleLabels);
    assert_eq!(cloud.read(None, None).await.unwrap(), "one");
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.version_ids_to_stages().unwrap()[&first], ["AWSCURRENT"]);
    assert_eq!(described.version_ids_to_stages().unwrap()[&second], ["AWSPENDING"]);
    // Writes see the truth.
    assert_eq!(cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.code(), "InvalidParameterException");
    cloud.endpoint.clear_faults();
    assert_eq!(cloud.read(None, None).await.unwrap(), "two");
}

#[tokio::test]
async fn stale_labels_hide_a_value_that_has_just_been_staged_and_a_secret_that_has_just_been_created() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.endpoint.fault_at(1, Fault::StaleLabels);
    assert_eq!(cloud.read(None, None).await.code(), "ResourceNotFoundException");
    let second = token();
    cloud.rotate(&second).await.unwrap();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    cloud.endpoint.fault_at(1, Fault::StaleLabels);
    assert_eq!(cloud.read(Some(&second), Some("AWSPENDING")).await.code(), "ResourceNotFoundException");
    assert_eq!(cloud.read(Some(&second), Some("AWSPENDING")).await.unwrap(), "two");
}

#[tokio::test]
async fn faults_on_a_process_strike_before_or_after_the_effect() {
    let (cloud, _) = Cloud::with_secret().await;
    type Make = fn(Process) -> Fault;
    let cases: [(Make, Signal, bool, bool); 4] = [
        (Fault::KillBefore, Signal::SIGKILL, false, false),
        (Fault::KillAfter, Signal::SIGKILL, true, false),
        (Fault::FreezeBefore, Signal::SIGSTOP, false, false),
        (Fault::FreezeAfter, Signal::SIGSTOP, true, true),
    ];
    for (fault, expected, effect, answered) in cases {
        let token = token();
        let (struck, mut strikes) = tokio::sync::mpsc::unbounded_channel();
        cloud.endpoint.fault_at(1, fault(Process::new(move |signal| struck.send(signal).unwrap())));
        let put = cloud.put(&token, "two", "AWSPENDING");
        // The client stands for the process, so it goes away when the signal comes; unless it is thawed at once.
        let answer = tokio::select! {
            answer = put => Some(answer),
            signal = async { strikes.recv().await.unwrap() }, if !answered => {
                assert_eq!(signal, expected);
                None
            }
        };
        assert_eq!(answer.is_some(), answered);
        assert_eq!(!cloud.labels(&token).is_empty(), effect, "{expected} {effect}");
    }
}

#[tokio::test]
async fn a_fault_hits_the_nth_operation_once() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.endpoint.fault_at(2, Fault::Throttle);
    let hits = reads(&cloud, 4).await;
    assert_eq!(hits, [false, true, false, false]);
}

#[tokio::test]
async fn a_fault_hits_from_the_nth_operation_on_for_as_many_as_told_or_until_it_is_cleared() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.endpoint.fault_from(2, Some(2), Fault::Throttle);
    assert_eq!(reads(&cloud, 4).await, [false, true, true, false]);
    cloud.endpoint.fault_from(2, None, Fault::Throttle);
    assert_eq!(reads(&cloud, 4).await, [false, true, true, true]);
    cloud.endpoint.clear_faults();
    assert_eq!(reads(&cloud, 1).await, [false]);
}

#[tokio::test]
async fn a_fault_keeps_to_its_kind_of_operation() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.endpoint.fault_always("secretsmanager:DescribeSecret", Fault::Deny);
    cloud.endpoint.fault_always("rds:*", Fault::Throttle);
    let describe = cloud.client.describe_secret().secret_id("app").send().await.map_err(refusal);
    assert_eq!(describe.code(), "AccessDeniedException");
    assert_eq!(reads(&cloud, 2).await, [false, false]);
    let rds = aws_sdk_rds::Client::new(&once(cloud.endpoint.sdk()));
    assert_eq!(rds.describe_db_instances().send().await.map_err(refusal).code(), "Throttling");
}

#[tokio::test]
async fn a_client_that_repeats_calls_survives_a_single_fault() {
    let (cloud, _) = Cloud::with_secret().await;
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let client = Client::new(&cloud.endpoint.sdk().into_builder().retry_config(retries).build());
    cloud.endpoint.fault_at(1, Fault::DropReply);
    client.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(cloud.endpoint.calls_since(1).len(), 2);
}

#[tokio::test]
async fn a_process_is_reached_by_its_id() {
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    Process::with_id(child.id()).signal(Signal::SIGKILL);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

/// Reads so many times and says which reads a fault hit.
async fn reads(cloud: &Cloud, count: usize) -> Vec<bool> {
    let mut hits = Vec::new();
    for _ in 0..count {
        hits.push(cloud.read(None, None).await.is_err());
    }
    hits
}
