//! Reads JSON by what it is. serde alone would also take a list for an object with these fields in this order, and an object
//! with one field for a word.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

/// So much of a name is told.
const LONGEST: usize = 64;

/// What of serde's says a field, and no value.
const OF_FIELDS: [&str; 3] = ["unknown field", "missing field", "duplicate field"];
const LONGEST_SAID: usize = 300;

/// Where a value does not fit, and what it would have to be.
#[derive(Debug, Default)]
pub(super) struct Misfit {
    /// The field that it is in.
    field: Option<String>,
    must_be: &'static str,
    /// Of fields that are too many or too few.
    said: Option<String>,
}

impl Misfit {
    /// Of the whole.
    pub(super) fn must_be(what: &'static str) -> Self {
        Self { must_be: what, ..Self::default() }
    }

    /// What serde says, where it is about a field.
    pub(super) fn said(error: &impl fmt::Display) -> Self {
        let said = Some(error.to_string());
        let of_field = |said: &String| OF_FIELDS.iter().any(|begin| said.starts_with(begin));
        Self { said: said.filter(|said| said.len() < LONGEST_SAID && of_field(said)), ..Self::default() }
    }

    /// Within that field, where no inner one is known.
    fn within(self, name: &str) -> Self {
        let name = || name.chars().take(LONGEST).collect::<String>().escape_debug().to_string();
        Self { field: self.field.or_else(|| Some(name())), ..self }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(said) = &self.said {
            return write!(f, "is not as it should be: {said}");
        }
        f.write_str("has a value that does not fit")?;
        let name = self.field.as_deref().unwrap_or_default();
        match (name, self.must_be) {
            ("", "") => Ok(()),
            ("", what) => write!(f, ": it must be {what}"),
            (name, "") => write!(f, " in `{name}`"),
            (name, what) => write!(f, ": `{name}` must be {what}"),
        }
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(error: T) -> Self {
        Self::said(&error)
    }
}

/// Reads a value.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    T::deserialize(Exact { value, name: "" })
}

/// A value, and the name of the field that it is in.
#[derive(Clone, Copy)]
struct Exact<'a> {
    value: &'a Value,
    name: &'a str,
}

impl<'de> IntoDeserializer<'de, Misfit> for Exact<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Exact<'_> {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(is) => visitor.visit_bool(*is),
            Value::String(text) => visitor.visit_str(text),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::Array(items) => {
                let items = items.iter().map(|value| Exact { value, ..self });
                SeqDeserializer::new(items).deserialize_any(visitor)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), Exact { value, name }));
                MapDeserializer::new(fields).deserialize_any(visitor)
            }
        }
    }
}

impl<'de> Deserializer<'de> for Exact<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.visit(visitor).map_err(|misfit| misfit.within(self.name))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(Misfit::must_be("an object").within(self.name)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_struct("", &[], visitor)
    }

    /// Those of bodies are words, each.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.value {
            Value::String(word) => {
                let word = IntoDeserializer::<Misfit>::into_deserializer(word.as_str());
                visitor.visit_enum(word).map_err(|misfit| misfit.within(self.name))
            }
            _ => Err(Misfit::must_be("a word").within(self.name)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Viewer,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Scope {
        all: bool,
        hosts: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wanted {
        role: Role,
        scope: Scope,
        more: Option<Scope>,
        #[serde(default)]
        each: Vec<Scope>,
        #[serde(default)]
        by_name: BTreeMap<String, i64>,
    }

    /// Security case 19: each of these would be read by serde.
    #[test]
    fn a_list_is_no_object_and_an_object_is_no_word() {
        let good = json!({ "role": "viewer", "scope": { "all": true }, "more": null, "each": [{}], "by_name": { "a": -1 } });
        let read_well = read::<Wanted>(&good).unwrap();
        assert_eq!(read_well, serde_json::from_value(good.clone()).unwrap());
        for (at, value, told) in [
            ("/scope", json!([true, ["web1"]]), ": `scope` must be an object"),
            ("/more", json!([true, ["web1"]]), ": `more` must be an object"),
            ("/each", json!([[true, ["web1"]]]), ": `each` must be an object"),
            ("/role", json!({ "viewer": null }), ": `role` must be a word"),
            ("", json!(["viewer", {}, null]), ": it must be an object"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(at).unwrap() = value;
            assert!(serde_json::from_value::<Wanted>(bad.clone()).is_ok(), "{bad}");
            assert_eq!(
                read::<Wanted>(&bad).unwrap_err().to_string(),
                format!("has a value that does not fit{told}")
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_field_and_not_repeated() {
        let misfit = |value: Value| read::<Wanted>(&value).unwrap_err().to_string();
        for (bad, told) in [
            (json!({ "role": "canary", "scope": {} }), "fit in `role`"),
            (json!({ "role": "viewer", "scope": { "hosts": [5] } }), "fit in `hosts`"),
            (json!({ "role": "viewer", "scope": { "all": "canary" } }), "fit in `all`"),
            (json!({ "role": "viewer", "scope": {}, "by_name": { "a\n": "canary" } }), "fit in `a\\n`"),
            (json!({ "role": "viewer", "scope": {}, "by_name": [] }), "fit: `by_name` must be an object"),
            (
                json!({ "role": "viewer", "scope": { "zz": 5 } }),
                "be: unknown field `zz`, expected `all` or `hosts`",
            ),
            (json!({ "role": "viewer" }), "be: missing field `scope`"),
        ] {
            let misfit = misfit(bad);
            assert!(misfit.ends_with(told) && !misfit.contains("canary"), "{misfit}");
        }
    }
}
