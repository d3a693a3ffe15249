//! A field of whatever type: read where it is what it should be, absent otherwise.
//!
//! A record must not be lost for a field that says something in another way than it used to.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// A text, or a number as text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(match deserializer.deserialize_any(AnyScalar)? {
        Scalar::Text(text) if text.is_empty() => None,
        Scalar::Text(text) => Some(text),
        Scalar::Number(number) => Some(Cow::Owned(number.to_string())),
        Scalar::Flag(_) | Scalar::Other => None,
    })
}

/// A flag, or the text `true` or `false`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match deserializer.deserialize_any(AnyScalar)? {
        Scalar::Flag(flag) => Some(flag),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Number(_) | Scalar::Other => None,
    })
}

/// A number, or its digits.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(match deserializer.deserialize_any(AnyScalar)? {
        Scalar::Number(number) => u32::try_from(number).ok(),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Flag(_) | Scalar::Other => None,
    })
}

/// An object; anything else is one without fields.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(fields(<&RawValue>::deserialize(deserializer)?))
}

/// A list of objects; what is none has no fields, and what is no list is empty.
pub(super) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(parsed::<Vec<&RawValue>>(<&RawValue>::deserialize(deserializer)?).into_iter().map(fields).collect())
}

/// A list of texts; one text is a list of it, and what is no text is left out.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    let all = <&RawValue>::deserialize(deserializer)?;
    let each = if all.get().starts_with('[') { parsed::<Vec<&RawValue>>(all) } else { vec![all] };
    Ok(each.into_iter().filter_map(|one| parsed::<Text<'de>>(one).0).collect())
}

/// The fields of an object; of anything else, none.
pub(super) fn fields<'de, T: Deserialize<'de> + Default>(json: &'de RawValue) -> T {
    // A list would do for a structure, field by field.
    if json.get().starts_with('{') { parsed(json) } else { T::default() }
}

/// What a JSON value is as a `T`, or else the `T` without anything.
pub(super) fn parsed<'de, T: Deserialize<'de> + Default>(json: &'de RawValue) -> T {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// A text among others.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow, deserialize_with = "text")] Option<Cow<'a, str>>);

enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Flag(bool),
    Other,
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}
