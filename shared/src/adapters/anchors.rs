//! Anchors of the chain: in a bucket of S3's under Object Lock, signed by a key of KMS's.

use super::{aws::call_error, late::Late};
use crate::{
    audit::anchor::{ALGORITHM, NotAnchored, Place, PublicKey, Signature, SignedAnchor},
    ports::{Anchors, CallError, CallErrorKind, Notary},
};
use aws_config::SdkConfig;
use aws_sdk_kms::{
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use std::sync::OnceLock;

/// The longest that an anchor may be, in bytes. Ours have some 500.
const LONGEST: i64 = 16 * 1024;

/// A bucket whose Object Lock keeps what is written there, by its default retention.
#[derive(Debug, Clone)]
pub struct LockedBucket {
    client: Late<aws_sdk_s3::Client>,
    bucket: String,
}

/// A key of KMS's: `ECC_NIST_P256`, to sign and verify.
#[derive(Debug, Clone)]
pub struct KmsKey {
    client: Late<aws_sdk_kms::Client>,
    key: String,
    /// Read once.
    public: OnceLock<PublicKey>,
}

impl LockedBucket {
    /// The bucket of a name, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: Late::new(sdk, aws_sdk_s3::Client::new), bucket: bucket.into() }
    }
}

impl Anchors for LockedBucket {
    async fn places(&self, folder: &str, from: Option<&str>) -> Result<Vec<Place>, CallError> {
        let (mut places, mut after, mut version) = (Vec::new(), from.map(str::to_owned), None);
        loop {
            let call = self.client.list_object_versions().bucket(&self.bucket).prefix(folder);
            let answer = call.set_key_marker(after).set_version_id_marker(version).send().await;
            let page = answer.map_err(|error| call_error("s3:ListBucketVersions", &error))?;
            places.extend(page.versions.unwrap_or_default().into_iter().filter_map(|version| {
                // The null version is what was written before versions were kept.
                Some(Place { key: version.key?, version: version.version_id.filter(|id| id != "null") })
            }));
            if page.is_truncated != Some(true) {
                return Ok(places);
            }
            (after, version) = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    async fn read(&self, place: &Place) -> Result<Vec<u8>, CallError> {
        const CALL: &str = "s3:GetObjectVersion";
        let call = self.client.get_object().bucket(&self.bucket).key(&place.key);
        let answer = call.set_version_id(place.version.clone()).send().await;
        let object = answer.map_err(|error| call_error(CALL, &error))?;
        if object.content_length.is_none_or(|length| length > LONGEST) {
            return Ok(Vec::new());
        }
        let bytes = object.body.collect().await.map_err(|error| CallError {
            operation: CALL,
            kind: CallErrorKind::NoAnswer,
            message: format!("the object was not read to its end: {error}"),
        })?;
        Ok(bytes.to_vec())
    }

    async fn keep(&self, key: &str, anchor: &SignedAnchor) -> Result<(), CallError> {
        const CALL: &str = "s3:PutObject";
        let text = serde_json::to_vec_pretty(anchor).map_err(|error| CallError {
            operation: CALL,
            kind: CallErrorKind::Refused,
            message: error.to_string(),
        })?;
        let call = self.client.put_object().bucket(&self.bucket).key(key).content_type("application/json");
        call.body(text.into()).send().await.map(drop).map_err(|error| call_error(CALL, &error))
    }
}

impl KmsKey {
    /// The key of an ARN, an id or an alias, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, key: impl Into<String>) -> Self {
        Self { client: Late::new(sdk, aws_sdk_kms::Client::new), key: key.into(), public: OnceLock::new() }
    }
}

impl Notary for KmsKey {
    async fn sign(&self, message: &[u8]) -> Result<Signature, CallError> {
        let call = self.client.sign().key_id(&self.key).message(Blob::new(message)).message_type(MessageType::Raw);
        let answer = call.signing_algorithm(SigningAlgorithmSpec::from(ALGORITHM)).send().await;
        let answer = answer.map_err(|error| call_error("kms:Sign", &error))?;
        let bytes = answer.signature.unwrap_or_else(|| Blob::new([])).into_inner();
        Ok(Signature { bytes, key: answer.key_id.unwrap_or_else(|| self.key.clone()) })
    }

    async fn public_key(&self) -> Result<PublicKey, NotAnchored> {
        if let Some(key) = self.public.get() {
            return Ok(key.clone());
        }
        let answer = self.client.get_public_key().key_id(&self.key).send().await;
        let answer = answer.map_err(|error| call_error("kms:GetPublicKey", &error))?;
        let key = PublicKey::read(answer.public_key.unwrap_or_else(|| Blob::new([])).as_ref())?;
        Ok(self.public.get_or_init(|| key).clone())
    }
}
