//! The end of the chain of changes, anchored.

use crate::scene::Scene;
use jiff::Timestamp;
use relatch::{
    adapters::{self, anchors::LockedBucket},
    audit::{
        anchor::{Distrust, Kept, PublicKey, SignedAnchor, kept},
        chain::{self, Break, Head, Record},
    },
    config::Environment,
    ports::{Anchors, Ledger},
};
use relatch_integration::{
    aws::{Fault, emulator},
    cloud,
    lambda::Outcome,
    trail,
};
use serde_json::{Value, json};

const BUCKET: &str = "anchors";

#[tokio::test]
async fn the_chains_end_is_signed_and_kept_when_it_has_moved_and_vouches_for_what_is_before_it() {
    let (scene, key) = with_anchorage().await;
    assert_eq!(scene.takes(&word()).await, json!({ "anchored": null }), "nothing has changed yet");
    for count in [2, 1] {
        scene.changes(count).await;
        assert!(scene.takes(&word()).await["anchored"].is_u64());
        assert_eq!(scene.takes(&word()).await, json!({ "anchored": null }));
    }
    let Kept { anchors, distrusted } = found(&scene, &key).await;
    assert_eq!(anchors.iter().map(|anchor| anchor.head.sequence).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(distrusted, []);
    let records = records(&scene).await;
    let beginning = Head::beginning(Environment::Dev);
    assert_eq!(chain::verify(beginning, &records, &anchors), Ok(anchors[1].head));
    assert_eq!(chain::verify(beginning, &records[..2], &anchors), Err(Break::Missing { sequence: 3 }));
}

#[tokio::test]
async fn what_is_written_over_an_anchor_or_hides_it_or_is_not_signed_changes_nothing_and_is_seen() {
    let (scene, key) = with_anchorage().await;
    scene.changes(1).await;
    let place = scene.takes(&word()).await["place"].as_str().unwrap().to_owned();
    let bucket = LockedBucket::new(&scene.aws.sdk(), BUCKET);
    let signed: SignedAnchor =
        serde_json::from_slice(&bucket.read(&bucket.places("dev/", None).await.unwrap()[0]).await.unwrap()).unwrap();
    let mut forged = signed.clone();
    forged.anchor.head.sequence = 0;
    let json = |signed: &SignedAnchor| serde_json::to_vec(signed).unwrap();
    scene.aws.put(BUCKET, &place, json(&forged)).await.unwrap();
    scene.aws.remove(BUCKET, &place).await.unwrap();
    // Later than the true one: a head that is the present one, so that nothing would seem to be due.
    scene.changes(1).await;
    let head = scene.table().await.head(Environment::Dev).await.unwrap();
    forged.anchor.head = head;
    forged.anchor.at = Timestamp::now();
    scene.aws.put(BUCKET, &forged.place(), json(&forged)).await.unwrap();
    scene.aws.put(BUCKET, "dev/2026/note", b"not an anchor".to_vec()).await.unwrap();
    let foreign = SignedAnchor { environment: Environment::Prod, ..signed.clone() };
    scene.aws.put(BUCKET, "dev/2026/prod", json(&foreign)).await.unwrap();
    assert_eq!(scene.takes(&word()).await["anchored"], 2);
    let Kept { anchors, distrusted } = found(&scene, &key).await;
    assert_eq!(anchors.iter().map(|anchor| anchor.head.sequence).collect::<Vec<_>>(), [1, 2]);
    let mut why: Vec<_> = distrusted.iter().map(|(place, why)| (place.key.as_str(), *why)).collect();
    why.sort_by_key(|(key, _)| *key);
    let late = forged.place();
    assert_eq!(
        why,
        [
            (place.as_str(), Distrust::NotSigned),
            (late.as_str(), Distrust::NotSigned),
            ("dev/2026/note", Distrust::NoAnchor),
            ("dev/2026/prod", Distrust::Foreign(Environment::Prod)),
        ]
    );
}

#[tokio::test]
async fn a_ledger_that_ends_before_its_last_anchor_is_not_anchored_and_the_invocation_fails() {
    let (scene, _) = with_anchorage().await;
    scene.changes(2).await;
    scene.takes(&word()).await;
    let pk = json!({ "S": "chain#dev" });
    let head = scene.aws.table().await.unwrap().into_iter().find(|item| item["sk"]["S"] == "head").unwrap();
    assert_eq!(head["pk"], pk, "{head}");
    for (sequence, why) in [("1", "record 2 is missing"), ("2", "was written anew")] {
        let mut changed = head.clone();
        changed["sequence"]["N"] = json!(sequence);
        changed["digest"]["S"] = json!("0".repeat(64));
        scene.aws.tamper(&changed).await.unwrap();
        let Outcome::Error { error_type, error_message } = scene.audit.invoke(word()).await.unwrap() else {
            panic!("a broken chain was anchored");
        };
        assert_eq!(error_type, "Audit.ChainBroken");
        assert!(error_message.contains(why), "{error_message}");
    }
    // Somebody is told, once while it lasts.
    assert_eq!(scene.told(), ["critical - ledger of dev"]);
    scene.aws.tamper(&head).await.unwrap();
    assert_eq!(scene.takes(&word()).await, json!({ "anchored": null }));
    scene.takes(&word()).await;
    assert_eq!(scene.told(), ["critical - ledger of dev", "info - ledger of dev"]);
}

#[tokio::test]
async fn without_key_or_bucket_the_invocation_fails_and_the_next_one_anchors() {
    let (scene, _) = with_anchorage().await;
    scene.changes(1).await;
    for call in ["kms:GetPublicKey", "kms:Sign", "s3:ListObjectVersions", "s3:PutObject"] {
        scene.aws.fault_always(call, Fault::Deny);
        let Outcome::Error { error_type, error_message } = scene.audit.invoke(word()).await.unwrap() else {
            panic!("anchored without {call}");
        };
        assert_eq!(error_type, "Audit.NotAnchored");
        assert!(error_message.contains("not permitted"), "{error_message}");
        scene.aws.clear_faults();
    }
    assert_eq!(scene.takes(&word()).await["anchored"], 1);
    let unset = cloud::audit(&scene.aws, &[]).unwrap();
    assert!(!unset.invoke(word()).await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_kept_cannot_be_removed() {
    let (scene, _) = with_anchorage().await;
    scene.changes(1).await;
    scene.takes(&word()).await;
    let bucket = LockedBucket::new(&scene.aws.sdk(), BUCKET);
    let place = bucket.places("dev/", None).await.unwrap().remove(0);
    let version = format!("{}?versionId={}", place.key, place.version.as_deref().unwrap());
    let refused = scene.aws.remove(BUCKET, &version).await.unwrap_err();
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
}

async fn with_anchorage() -> (Scene, String) {
    let mut scene = Scene::new().await;
    scene.aws.bucket(BUCKET, true).await.unwrap();
    let key = scene.aws.signing_key().await.unwrap();
    let settings = [("RELATCH_ANCHORS_BUCKET", BUCKET), ("RELATCH_ANCHORS_KEY", &key)];
    scene.audit = cloud::audit(&scene.aws, &settings).unwrap();
    (scene, key)
}

impl Scene {
    /// Changes that are appended to the chain.
    async fn changes(&self, count: usize) {
        for _ in 0..count {
            let mut event = trail::read("shop-prod-secret-database", Some("deploy"), Timestamp::now());
            event["detail"]["eventName"] = json!("TagResource");
            event["detail"]["readOnly"] = json!(false);
            assert_eq!(self.takes(&event).await["recorded"], 1);
        }
    }

    async fn table(&self) -> adapters::table::DynamoTable {
        adapters::table::DynamoTable::new(&self.aws.sdk(), emulator::TABLE)
    }
}

/// What the schedule says.
fn word() -> Value {
    json!({ "relatch": "anchor" })
}

async fn found(scene: &Scene, key: &str) -> Kept {
    let public = PublicKey::read(&scene.aws.public_key(key).await.unwrap()).unwrap();
    kept(&LockedBucket::new(&scene.aws.sdk(), BUCKET), Environment::Dev, &[public], None).await.unwrap()
}

async fn records(scene: &Scene) -> Vec<Record> {
    scene.table().await.records(Environment::Dev, 0, None, 100).await.unwrap().found
}
