//! A secret's own policy: GetResourcePolicy, PutResourcePolicy, DeleteResourcePolicy, ValidateResourcePolicy, and what it
//! denies.

use aws_sdk_secretsmanager::Client;
use relatch_integration::aws::Fault;
use serde_json::{Value, json};

use crate::{Cloud, Refusal, Refused, once, refusal};

fn statement(effect: &str, principal: Value, more: Value) -> Value {
    let mut statement = json!({ "Effect": effect, "Principal": principal, "Action": "secretsmanager:GetSecretValue",
                                "Resource": "*" });
    for (field, value) in more.as_object().into_iter().flatten() {
        statement[field] = value.clone();
    }
    statement
}

fn policy(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn denial_of(role: &str) -> Value {
    let arn = format!("arn:aws:iam::123456789012:role/{role}");
    statement("Deny", json!("*"), json!({ "Condition": { "ArnLike": { "aws:PrincipalArn": arn } } }))
}

impl Cloud {
    async fn put_policy(&self, policy: &str, block_public: bool) -> Result<(), Refusal> {
        let put = self.client.put_resource_policy().secret_id("app").resource_policy(policy);
        put.block_public_policy(block_public).send().await.map(drop).map_err(refusal)
    }

    async fn policy(&self) -> Option<String> {
        self.client.get_resource_policy().secret_id("app").send().await.unwrap().resource_policy
    }

    fn in_role(&self, role: &str) -> Client {
        Client::new(&once(self.endpoint.sdk_of(role)))
    }
}

#[tokio::test]
async fn a_policy_is_given_back_as_it_was_put_and_gone_when_it_is_deleted() {
    let (cloud, _) = Cloud::with_secret().await;
    assert_eq!(cloud.policy().await, None);
    let text = policy(&[denial_of("report")]);
    cloud.put_policy(&text, true).await.unwrap();
    assert_eq!(cloud.policy().await, Some(text));
    let gone = cloud.client.delete_resource_policy().secret_id("app").send().await.unwrap();
    assert_eq!(gone.name(), Some("app"));
    assert_eq!(cloud.policy().await, None);
    cloud.client.delete_resource_policy().secret_id("app").send().await.unwrap();
}

#[tokio::test]
async fn what_is_no_policy_is_refused_and_changes_nothing() {
    let (cloud, _) = Cloud::with_secret().await;
    let text = policy(&[denial_of("report")]);
    cloud.put_policy(&text, true).await.unwrap();
    let nobody = json!({ "Effect": "Deny", "Action": "*", "Resource": "*" });
    let named = |id: &str| statement("Deny", json!("*"), json!({ "Sid": id }));
    for wrong in [
        "no JSON".to_owned(),
        "{}".to_owned(),
        policy(&[]),
        policy(&[nobody]),
        policy(&[statement("Perhaps", json!("*"), json!({}))]),
        policy(&[statement("Deny", json!("everybody"), json!({}))]),
        policy(&[named("twice"), named("twice")]),
        policy(&[named("with blanks")]),
    ] {
        assert_eq!(cloud.put_policy(&wrong, false).await.code(), "MalformedPolicyDocumentException", "{wrong}");
        let validated = cloud.client.validate_resource_policy().resource_policy(&wrong).send().await.unwrap();
        assert!(!validated.policy_validation_passed() && validated.validation_errors().len() == 1);
    }
    let long = format!("{text}{}", " ".repeat(20_481 - text.len()));
    assert_eq!(cloud.put_policy(&long, false).await.code(), "InvalidParameterException");
    assert_eq!(cloud.policy().await, Some(text));
}

#[tokio::test]
async fn a_policy_that_lets_everybody_in_is_refused_where_that_is_asked_for() {
    let (cloud, _) = Cloud::with_secret().await;
    let open = policy(&[statement("Allow", json!("*"), json!({}))]);
    assert_eq!(cloud.put_policy(&open, true).await.code(), "PublicPolicyException");
    let validated = cloud.client.validate_resource_policy().secret_id("app").resource_policy(&open).send().await;
    assert!(!validated.unwrap().policy_validation_passed());
    cloud.put_policy(&open, false).await.unwrap();
    cloud.put_policy(&policy(&[statement("Deny", json!("*"), json!({}))]), true).await.unwrap();
}

#[tokio::test]
async fn whom_the_policy_denies_gets_no_value_by_whichever_call() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.put_policy(&policy(&[denial_of("report")]), true).await.unwrap();
    let (denied, other) = (cloud.in_role("report"), cloud.in_role("web"));
    let refused = denied.get_secret_value().secret_id("app").send().await.map_err(refusal).unwrap_err();
    assert_eq!(refused.code, "AccessDeniedException");
    assert!(refused.message.contains("assumed-role/report/"), "{refused:?}");
    assert!(refused.message.ends_with("with an explicit deny in a resource-based policy"), "{refused:?}");
    let batch = denied.batch_get_secret_value().secret_id_list("app").send().await.unwrap();
    assert_eq!(batch.errors()[0].error_code(), Some("AccessDeniedException"));
    denied.describe_secret().secret_id("app").send().await.unwrap();
    other.get_secret_value().secret_id("app").send().await.unwrap();
}

#[tokio::test]
async fn a_label_can_be_denied_by_itself() {
    let (cloud, first) = Cloud::with_secret().await;
    let condition = json!({ "Condition": { "StringEquals": { "secretsmanager:VersionStage": "Probe" } } });
    assert_eq!(cloud.read(None, Some("Probe")).await.code(), "ResourceNotFoundException");
    cloud.put_policy(&policy(&[statement("Deny", json!("*"), condition)]), true).await.unwrap();
    assert_eq!(cloud.read(None, Some("Probe")).await.code(), "AccessDeniedException");
    assert_eq!(cloud.read(None, None).await.unwrap(), "one");
    assert_eq!(cloud.read(Some(&first), None).await.unwrap(), "one");
}

#[tokio::test]
async fn a_policy_that_was_just_put_may_not_be_seen_yet() {
    let (cloud, _) = Cloud::with_secret().await;
    let text = policy(&[denial_of("local")]);
    cloud.put_policy(&text, true).await.unwrap();
    cloud.endpoint.fault_at(1, Fault::StaleLabels);
    assert_eq!(cloud.policy().await, None);
    assert_eq!(cloud.policy().await, Some(text));
    cloud.endpoint.fault_at(1, Fault::StaleLabels);
    assert_ne!(cloud.read(None, None).await.map_err(|refused| refused.code), Err("AccessDeniedException".to_owned()));
    assert_eq!(cloud.read(None, None).await.code(), "AccessDeniedException");
}

#[tokio::test]
async fn a_secret_that_another_service_manages_keeps_its_policy() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.store().edit("app", |secret| secret.owning_service = Some("rds".into())).unwrap();
    assert_eq!(cloud.put_policy(&policy(&[denial_of("report")]), true).await.code(), "InvalidRequestException");
}
