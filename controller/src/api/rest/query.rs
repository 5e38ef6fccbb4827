//! What the values of a query may be, where their type does not say it: the document promises the same.

use hms_proto::names::NameError;
use serde::{Deserialize, Deserializer, de::Error};

/// How many; left out, it is 0.
pub(super) fn up_to<'de, const MOST: u32, D: Deserializer<'de>>(given: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(given)?;
    match (1..=MOST).contains(&number) {
        true => Ok(number),
        false => Err(D::Error::custom(format!("{number} is not from 1 to {MOST}"))),
    }
}

/// A time or a number of a row.
pub(super) fn from_zero<'de, D: Deserializer<'de>>(given: D) -> Result<i64, D::Error> {
    match i64::deserialize(given)? {
        ..0 => Err(D::Error::custom("it must not be negative")),
        number => Ok(number),
    }
}

/// A name that can be one; or nothing, as a form sends it.
pub(super) fn named<'de, N, D>(given: D) -> Result<String, D::Error>
where
    N: for<'a> TryFrom<&'a str, Error = NameError>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(given)?;
    if !text.is_empty() {
        N::try_from(&text).map_err(D::Error::custom)?;
    }
    Ok(text)
}
