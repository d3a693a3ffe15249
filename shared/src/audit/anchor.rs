//! Heads of the chain, signed, and kept where nobody can change them: [`Anchor`]s that can be believed.
//!
//! They lie in a bucket under Object Lock, so that none is lost; and they are signed by a key that signs nothing else, so
//! that none is slipped in. Whoever may write into the bucket can still write another version over one, or hide it behind
//! a delete marker: so every version is looked at, and what is not signed is told and not believed.

use super::chain::{self, Anchor, Break, Head};
use crate::{
    config::Environment,
    ports::{Anchors, CallError, Ledger, Notary},
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How anchors are signed, in KMS's words: with a key on the curve NIST P-256, by ECDSA, over SHA-256.
pub const ALGORITHM: &str = "ECDSA_SHA_256";

/// How many anchors are read at the same time: of a year there are some 8,760.
const ABREAST: usize = 16;

/// Where the last anchor is looked for first. They are written hourly, while anything changes.
const LATELY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An anchor with its signature, as it is kept: a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAnchor {
    /// Of which environment's chain.
    #[serde(serialize_with = "name", deserialize_with = "by_name")]
    pub environment: Environment,
    /// What the chain's end was.
    #[serde(flatten)]
    pub anchor: Anchor,
    /// ARN of the key that has signed it. This is for people to read: whoever verifies brings the key.
    pub key: String,
    /// [`ALGORITHM`].
    pub algorithm: String,
    /// The signature of [`SignedAnchor::message`], in ASN.1's DER, as base64.
    pub signature: String,
}

/// What a key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The signature, in ASN.1's DER.
    pub bytes: Vec<u8>,
    /// ARN of the key.
    pub key: String,
}

/// The key by which signatures are verified.
#[derive(Debug, Clone)]
pub struct PublicKey(Arc<ParsedPublicKey>);

/// Bytes that are no public key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no public key on the curve NIST P-256 (PEM, or DER as KMS's GetPublicKey answers it)")]
pub struct NoPublicKey;

/// Where an anchor is kept: one version of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The object's key.
    pub key: String,
    /// Its version.
    pub version: Option<String>,
}

/// Why something in the place of an anchor is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It is no JSON of an anchor.
    #[error("it is no anchor")]
    NoAnchor,
    /// It is one of another environment's chain.
    #[error("it is an anchor of {}", .0.name())]
    Foreign(Environment),
    /// None of the keys has signed what it says.
    #[error("it is not signed by the key")]
    NotSigned,
}

/// What was found where anchors are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// What is believed, in the order in which it was written.
    pub anchors: Vec<Anchor>,
    /// What is not. Nothing but anchors is to be written there.
    pub distrusted: Vec<(Place, Distrust)>,
}

/// Why the chain's end was not anchored.
#[derive(Debug, thiserror::Error)]
pub enum NotAnchored {
    /// The ledger is not what was anchored before: somebody has changed it.
    #[error("the ledger is not what was anchored before: {0}")]
    Broken(#[from] Break),
    /// A call failed.
    #[error(transparent)]
    Interrupted(#[from] CallError),
    /// The key's public half is none that is known here.
    #[error(transparent)]
    WrongKey(#[from] NoPublicKey),
}

impl SignedAnchor {
    /// What is signed. Everything but the environment's name has a fixed length and that comes last, so that no two
    /// anchors have the same encoding.
    pub fn message(environment: Environment, anchor: &Anchor) -> Vec<u8> {
        let Anchor { head, at } = anchor;
        let mut message = b"relatch ledger anchor 1\0".to_vec();
        message.extend(head.sequence.to_be_bytes());
        message.extend(head.digest.to_string().into_bytes());
        message.extend(at.as_nanosecond().to_be_bytes());
        message.extend(environment.name().as_bytes());
        message
    }

    /// An anchor, and what a key has signed of it.
    pub fn new(environment: Environment, anchor: Anchor, signature: Signature) -> Self {
        let Signature { bytes, key } = signature;
        let (algorithm, signature) = (ALGORITHM.to_owned(), BASE64_STANDARD.encode(bytes));
        Self { environment, anchor, key, algorithm, signature }
    }

    /// The anchor, if a key has signed it.
    ///
    /// # Errors
    /// When it has not.
    pub fn verify(&self, key: &PublicKey) -> Result<Anchor, Distrust> {
        let signature = BASE64_STANDARD.decode(&self.signature).map_err(|_| Distrust::NotSigned)?;
        let message = Self::message(self.environment, &self.anchor);
        key.0.verify_sig(&message, &signature).map_err(|_| Distrust::NotSigned).map(|()| self.anchor)
    }

    /// Where it is kept: by day, in the order of time.
    pub fn place(&self) -> String {
        let Anchor { head, at } = self.anchor;
        format!("{}{}-{}.json", folder(self.environment), at.strftime("%Y/%m/%d/%H%M%S.%3fZ"), head.sequence)
    }
}

impl PublicKey {
    /// A key in PEM, or in DER as KMS answers it (an X.509 `SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// When it is none, or of another kind.
    pub fn read(bytes: &[u8]) -> Result<Self, NoPublicKey> {
        let text =
            std::str::from_utf8(bytes).ok().and_then(|text| text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----"));
        let der = match text.map(|text| text.strip_suffix("-----END PUBLIC KEY-----").ok_or(NoPublicKey)).transpose()? {
            Some(text) => {
                let text: String = text.split_ascii_whitespace().collect();
                BASE64_STANDARD.decode(text).map_err(|_| NoPublicKey)?
            }
            None => bytes.to_vec(),
        };
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der).map_err(|_| NoPublicKey)?;
        Ok(Self(Arc::new(key)))
    }
}

/// Signs and keeps the chain's end, if it is not that of the last anchor. Answers with what was kept.
///
/// # Errors
/// When a call failed; and when the chain's end is before what was anchored, or is another one. Then something is very
/// wrong, and nothing is anchored that would hide it.
pub async fn anchor(
    ledger: &impl Ledger,
    anchors: &impl Anchors,
    notary: &impl Notary,
    environment: Environment,
    now: Timestamp,
) -> Result<Option<SignedAnchor>, NotAnchored> {
    let head = ledger.head(environment).await?;
    let last = last(anchors, environment, &notary.public_key().await?, now).await?;
    chain::verify(head, [], last.as_slice())?;
    if head == last.map_or(Head::beginning(environment), |anchor| anchor.head) {
        return Ok(None);
    }
    let anchor = Anchor { head, at: now };
    let signature = notary.sign(&SignedAnchor::message(environment, &anchor)).await?;
    let signed = SignedAnchor::new(environment, anchor, signature);
    anchors.keep(&signed.place(), &signed).await?;
    Ok(Some(signed))
}

/// Every anchor of an environment's chain that one of these keys has signed, from a time on, and whatever else is there.
///
/// # Errors
/// When a call failed.
pub async fn kept(
    anchors: &impl Anchors,
    environment: Environment,
    keys: &[PublicKey],
    from: Option<Timestamp>,
) -> Result<Kept, CallError> {
    let mut kept = Kept::default();
    let places = places(anchors, environment, from).await?;
    let read = places.iter().map(|place| trusted(anchors, environment, keys, place));
    let read: Vec<Result<Anchor, Distrust>> = stream::iter(read).buffered(ABREAST).try_collect().await?;
    for (place, trusted) in places.into_iter().zip(read) {
        match trusted {
            Ok(anchor) => kept.anchors.push(anchor),
            Err(why) => kept.distrusted.push((place, why)),
        }
    }
    Ok(kept)
}

/// The last anchor that the key has signed.
async fn last(
    anchors: &impl Anchors,
    environment: Environment,
    key: &PublicKey,
    now: Timestamp,
) -> Result<Option<Anchor>, CallError> {
    for from in [now.checked_sub(LATELY).ok(), None] {
        for place in places(anchors, environment, from).await?.iter().rev() {
            if let Ok(anchor) = trusted(anchors, environment, std::slice::from_ref(key), place).await? {
                return Ok(Some(anchor));
            }
        }
    }
    Ok(None)
}

/// From the beginning of a day on, in the order of their keys, which is that of time.
async fn places(
    anchors: &impl Anchors,
    environment: Environment,
    from: Option<Timestamp>,
) -> Result<Vec<Place>, CallError> {
    let folder = folder(environment);
    let day = from.map(|from| format!("{folder}{}", from.strftime("%Y/%m/%d")));
    let mut places = anchors.places(&folder, day.as_deref()).await?;
    places.sort();
    Ok(places)
}

async fn trusted(
    anchors: &impl Anchors,
    environment: Environment,
    keys: &[PublicKey],
    place: &Place,
) -> Result<Result<Anchor, Distrust>, CallError> {
    let bytes = anchors.read(place).await?;
    let Ok(signed) = serde_json::from_slice::<SignedAnchor>(&bytes) else { return Ok(Err(Distrust::NoAnchor)) };
    if signed.environment != environment {
        return Ok(Err(Distrust::Foreign(signed.environment)));
    }
    let mut verified = keys.iter().map(|key| signed.verify(key));
    Ok(verified.find(Result::is_ok).unwrap_or(Err(Distrust::NotSigned)))
}

fn folder(environment: Environment) -> String {
    format!("{}/", environment.name())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn name<S: serde::Serializer>(environment: &Environment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(environment.name())
}

fn by_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Environment, D::Error> {
    let name = String::deserialize(deserializer)?;
    Environment::by_name(&name).ok_or_else(|| serde::de::Error::custom("no environment"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
    };

    #[test]
    fn what_is_signed_is_the_documented_encoding() {
        let message = SignedAnchor::message(Environment::Prod, &anchor());
        let (fixed, name) = message.split_at(24 + 8 + 64 + 16);
        assert_eq!(name, b"prod");
        assert_eq!(&fixed[..24], b"relatch ledger anchor 1\0");
        assert_eq!(fixed[24..32], 7_u64.to_be_bytes());
        assert_eq!(&fixed[32..96], Head::beginning(Environment::Prod).digest.to_string().as_bytes());
        assert_eq!(fixed[96..], 1_769_862_896_789_000_000_i128.to_be_bytes());
    }

    #[test]
    fn an_anchor_is_kept_as_json_by_day_and_time() {
        let signature = Signature { bytes: vec![1, 2, 3], key: "arn:aws:kms:…:key/k".to_owned() };
        let signed = SignedAnchor::new(Environment::Prod, anchor(), signature);
        assert_eq!(signed.place(), "prod/2026/01/31/123456.789Z-7.json");
        let text = serde_json::to_string_pretty(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedAnchor>(&text).unwrap(), signed);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn only_what_the_key_has_signed_is_believed() {
        let pair = pair();
        let signed = signed(&pair);
        let key = public(&pair);
        assert_eq!(signed.verify(&key), Ok(anchor()));
        assert_eq!(signed.verify(&public(&self::pair())), Err(Distrust::NotSigned), "another key");
        type Alter = fn(&mut SignedAnchor);
        let alterations: [(&str, Alter); 5] = [
            ("sequence", |signed| signed.anchor.head.sequence += 1),
            ("digest", |signed| signed.anchor.head.digest = Head::beginning(Environment::Dev).digest),
            ("time", |signed| signed.anchor.at += SignedDuration::from_nanos(1)),
            ("environment", |signed| signed.environment = Environment::Dev),
            ("signature", |signed| signed.signature = BASE64_STANDARD.encode("no signature")),
        ];
        for (what, alter) in alterations {
            let mut altered = signed.clone();
            alter(&mut altered);
            assert_eq!(altered.verify(&key), Err(Distrust::NotSigned), "{what}");
        }
    }

    #[test]
    fn a_key_is_read_from_pem_and_from_der() {
        let pair = pair();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64_STANDARD
                .encode(&*der)
                .as_bytes()
                .chunks(64)
                .map(String::from_utf8_lossy)
                .collect::<Vec<_>>()
                .join("\n")
        );
        for bytes in [der.as_ref(), pem.as_bytes()] {
            assert_eq!(signed(&pair).verify(&PublicKey::read(bytes).unwrap()), Ok(anchor()));
        }
        for bytes in [&b""[..], b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA", &pem.as_bytes()[..100]] {
            assert_eq!(PublicKey::read(bytes).unwrap_err(), NoPublicKey);
        }
    }

    fn anchor() -> Anchor {
        let head = Head { sequence: 7, digest: Head::beginning(Environment::Prod).digest };
        Anchor { head, at: Timestamp::new(1_769_862_896, 789_000_000).unwrap() }
    }

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    fn public(pair: &EcdsaKeyPair) -> PublicKey {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        PublicKey::read(der.as_ref()).unwrap()
    }

    fn signed(pair: &EcdsaKeyPair) -> SignedAnchor {
        let message = SignedAnchor::message(Environment::Prod, &anchor());
        let bytes = pair.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec();
        SignedAnchor::new(Environment::Prod, anchor(), Signature { bytes, key: "k".to_owned() })
    }
}
