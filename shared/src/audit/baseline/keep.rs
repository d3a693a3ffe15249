//! A baseline as JSON: each name once, in an order of their own, so that what is equal is written equally.

use super::{Baseline, Birth, Principal, Reader, RotationHabit, Secret, Sharing, Stamped};
use relatch_events::{
    cloudtrail::target::{Target, TargetKind},
    moment::Moment,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Why a text is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BadBaseline {
    /// It is none by its form.
    #[error("not the JSON of a baseline")]
    NotJson(#[from] serde_json::Error),
    /// It names a principal that it does not hold.
    #[error("a reader of it is nobody that it names")]
    Nobody,
}

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    since: Option<Moment>,
    until: Option<Moment>,
    #[serde(default)]
    keys: Cow<'a, BTreeSet<String>>,
    #[serde(default)]
    settings: Cow<'a, BTreeMap<String, Stamped<String>>>,
    principals: Vec<(Cow<'a, str>, Cow<'a, Principal>)>,
    secrets: Vec<KeptSecret<'a>>,
}

#[derive(Serialize, Deserialize)]
struct KeptSecret<'a> {
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    parameter: bool,
    region: Option<Cow<'a, str>>,
    account: Option<Cow<'a, str>>,
    first: Moment,
    last: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    creator: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<Cow<'a, RotationHabit>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    birth: Option<Birth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Cow<'a, Stamped<Sharing>>>,
    readers: Vec<(u32, Cow<'a, Reader>)>,
}

impl Baseline {
    /// As JSON. Equal knowledge is equal text, however it was come by.
    ///
    /// # Errors
    /// None that is known of.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut order: Vec<u32> = (0..self.principals.len() as u32).collect();
        order.sort_by_key(|number| self.principals.name(*number));
        let mut place = vec![0; order.len()];
        for (index, number) in order.iter().enumerate() {
            place[*number as usize] = index as u32;
        }
        let principals = order
            .iter()
            .map(|number| (Cow::Borrowed(self.principals.name(*number)), Cow::Borrowed(&self.principals[*number])))
            .collect();
        let mut secrets: Vec<_> = self.secrets.rows().collect();
        secrets.sort_by_key(|(target, _)| *target);
        let kept = |(target, secret)| KeptSecret::of(target, secret, &place);
        let secrets = secrets.into_iter().map(|(target, secret)| kept((target.as_ref(), secret))).collect();
        let (keys, settings) = (Cow::Borrowed(&self.keys), Cow::Borrowed(&self.settings));
        serde_json::to_string(&Kept { since: self.since, until: self.until, keys, settings, principals, secrets })
    }

    /// Reads what [`to_json`](Self::to_json) has written.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn from_json(text: &str) -> Result<Self, BadBaseline> {
        let kept: Kept<'_> = serde_json::from_str(text)?;
        let mut baseline = Self {
            since: kept.since,
            until: kept.until,
            keys: kept.keys.into_owned(),
            settings: kept.settings.into_owned(),
            ..Self::default()
        };
        for (name, principal) in kept.principals {
            baseline.principals.insert(name.into_owned().into(), principal.into_owned());
        }
        let all = baseline.principals.len();
        for kept in kept.secrets {
            let kind = if kept.parameter { TargetKind::Parameter } else { TargetKind::Secret };
            let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
            let (region, account) = (owned(kept.region), owned(kept.account));
            let target = Target { kind, region, account, name: kept.name.into_owned() };
            let mut readers: Vec<(u32, Reader)> =
                kept.readers.into_iter().map(|(number, reader)| (number, reader.into_owned())).collect();
            readers.sort_by_key(|(number, _)| *number);
            if readers.iter().map(|(number, _)| number).chain(&kept.creator).any(|number| *number as usize >= all) {
                return Err(BadBaseline::Nobody);
            }
            baseline.readers += readers.len();
            let secret = Secret {
                creator: kept.creator,
                readers,
                rotation: kept.rotation.map(|rotation| Box::new(rotation.into_owned())),
                birth: kept.birth,
                policy: kept.policy.map(Cow::into_owned),
                last: kept.last,
                ..Secret::new(kept.first)
            };
            baseline.secrets.insert(target.into(), secret);
        }
        Ok(baseline)
    }
}

impl<'a> KeptSecret<'a> {
    fn of(target: &'a Target, secret: &'a Secret, place: &[u32]) -> Self {
        let readers = secret.readers.iter().map(|(number, reader)| {
            let mut reader = reader.clone();
            reader.networks.sort();
            reader.tools.sort();
            (place[*number as usize], Cow::Owned(reader))
        });
        let mut readers: Vec<_> = readers.collect();
        readers.sort_by_key(|(number, _)| *number);
        Self {
            name: Cow::Borrowed(&target.name),
            parameter: target.kind == TargetKind::Parameter,
            region: target.region.as_deref().map(Cow::Borrowed),
            account: target.account.as_deref().map(Cow::Borrowed),
            first: secret.first,
            last: secret.last,
            creator: secret.creator.map(|number| place[number as usize]),
            rotation: secret.rotation.as_deref().map(Cow::Borrowed),
            birth: secret.birth,
            policy: secret.policy.as_ref().map(Cow::Borrowed),
            readers,
        }
    }
}
