//! Bodies and queries of requests, made from what the document says of them.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Place;

/// An operation of the document that takes a body.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) pattern: String,
    pub(super) body: Option<Value>,
    /// Where in the body the fields are that are named in the document, and no others: JSON pointers.
    pub(super) closed: Vec<String>,
    /// What each value of the body may be, in the words of JSON schema.
    pub(super) kinds: Vec<(String, BTreeSet<String>)>,
    pub(super) query: Vec<Parameter>,
}

/// One of a query, with a value that it may have.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) required: bool,
}

/// All of them; their bodies name what is at this place, where they name something.
pub(super) fn operations(place: &Place) -> Vec<Operation> {
    let document = super::super::rest::document();
    let mut operations = Vec::new();
    for (pattern, item) in document["paths"].as_object().into_iter().flatten() {
        for (verb, operation) in item.as_object().into_iter().flatten() {
            let content = &operation["requestBody"]["content"]["application/json"];
            let mut made = Made { document: &document, place, closed: Vec::new(), kinds: Vec::new() };
            let body = content.get("schema").map(|schema| made.value(schema, "", String::new()));
            let (closed, kinds) = (std::mem::take(&mut made.closed), std::mem::take(&mut made.kinds));
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query =
                parameters.filter(|one| one["in"] == "query").map(|one| made.parameter(one)).collect();
            operations.push(Operation {
                method: verb.to_uppercase().parse().unwrap_or_default(),
                pattern: pattern.clone(),
                body,
                closed,
                kinds,
                query,
            });
        }
    }
    operations
}

/// A value in the making.
struct Made<'a> {
    document: &'a Value,
    place: &'a Place,
    closed: Vec<String>,
    kinds: Vec<(String, BTreeSet<String>)>,
}

impl Made<'_> {
    fn parameter(&mut self, parameter: &Value) -> Parameter {
        let name = parameter["name"].as_str().unwrap_or_default();
        let value = match (name, self.value(&parameter["schema"], name, String::new())) {
            ("source", _) => "journal".into(),
            ("state", _) => "failed".into(),
            ("unit", _) => format!("puma-{}.service", self.place.app),
            ("priority", _) => "err".into(),
            ("since" | "until", _) => "2 h ago".into(),
            ("where", _) => "status>=500".into(),
            ("from", _) => "oldest".into(),
            ("before" | "after", Value::String(_)) => format!("{}:@1795545600000000", self.place.host),
            ("method", _) => "UnitService/Restart".into(),
            ("script", _) => "hello".into(),
            ("schedule_id", _) => self.place.schedule.to_string(),
            ("version", _) => "0".into(),
            ("url", _) => "https://cigars.example.org/posts".into(),
            ("release", _) => "20261125T101502-1a2b3c4".into(),
            // As a form sends it: the first page.
            ("cursor", _) => String::new(),
            (_, Value::Array(items)) => items.first().map(plain).unwrap_or_default(),
            (_, value) => plain(&value),
        };
        Parameter { name: name.into(), value, required: parameter["required"] == true }
    }

    /// What a value may be.
    fn kinds_of(&self, schema: &Value) -> BTreeSet<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let schema = self.document.pointer(reference.trim_start_matches('#'));
            return schema.map(|schema| self.kinds_of(schema)).unwrap_or_default();
        }
        let ways = ["oneOf", "anyOf", "allOf"].iter().filter_map(|way| schema[way].as_array()).flatten();
        let all = ways.flat_map(|way| self.kinds_of(way));
        let own = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
            _ => vec![kind_of(schema).to_owned()],
        };
        all.chain(own).filter(|kind| !kind.is_empty()).collect()
    }

    fn value(&mut self, schema: &Value, name: &str, at: String) -> Value {
        if self.kinds.last().is_none_or(|(last, _)| *last != at) {
            self.kinds.push((at.clone(), self.kinds_of(schema)));
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let schema =
                self.document.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default();
            // What contains itself ends somewhere.
            return if at.matches('/').count() > 6 { Value::Null } else { self.value(&schema, name, at) };
        }
        for way in ["oneOf", "anyOf"] {
            let ways = schema[way].as_array().into_iter().flatten();
            if let Some(first) = ways.into_iter().find(|one| one["type"] != "null") {
                return self.value(&first.clone(), name, at);
            }
        }
        if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
            return first.clone();
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut all = Map::new();
            for part in parts.clone() {
                all.extend(self.value(&part, name, at.clone()).as_object().cloned().unwrap_or_default());
            }
            return Value::Object(all);
        }
        match kind_of(schema) {
            "object" => self.object(schema, at),
            "array" => json!([self.value(&schema["items"], name, format!("{at}/0"))]),
            "integer" | "number" => schema["minimum"].as_i64().unwrap_or(1).max(1).into(),
            "boolean" => true.into(),
            "string" => self.text(schema, name).into(),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, at: String) -> Value {
        let Some(properties) = schema["properties"].as_object() else { return json!({}) };
        if schema["additionalProperties"] == false {
            self.closed.push(at.clone());
        }
        let fields = properties.iter();
        fields.map(|(name, field)| (name.clone(), self.value(field, name, format!("{at}/{name}")))).collect()
    }

    fn text(&self, schema: &Value, name: &str) -> String {
        let word = match name {
            _ if schema["format"] == "uuid" => return Uuid::from_u128(5).to_string(),
            "host" | "hosts" => &self.place.host,
            "app" => &self.place.app,
            "role" => "viewer",
            "cron" => "0 6 * * *",
            "address" => "192.0.2.7",
            "gems" => "system",
            "database_auth" => "peer",
            "secret_delivery" => "environment",
            "manifest" => MANIFEST,
            "content" => "#!/bin/sh\n",
            _ => "x",
        };
        word.to_owned()
    }
}

/// As it stands in a query.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A manifest that can be read.
const MANIFEST: &str = "title = \"A script\"\ndescription = \"Says its name.\"\ntimeout = \"30s\"\n";

fn kind_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default()
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}
