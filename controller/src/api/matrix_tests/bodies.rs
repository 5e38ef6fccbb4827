//! Bodies of requests, made from what the document says of them.

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
    /// Names of the parameters of its query.
    pub(super) query: Vec<String>,
}

/// All of them; their bodies name what is at this place, where they name something.
pub(super) fn operations(place: &Place) -> Vec<Operation> {
    let document = super::super::rest::document();
    let mut operations = Vec::new();
    for (pattern, item) in document["paths"].as_object().into_iter().flatten() {
        for (verb, operation) in item.as_object().into_iter().flatten() {
            let content = &operation["requestBody"]["content"]["application/json"];
            let mut made = Made { document: &document, place, closed: Vec::new() };
            let body = content.get("schema").map(|schema| made.value(schema, "", String::new()));
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
            operations.push(Operation {
                method: verb.to_uppercase().parse().unwrap_or_default(),
                pattern: pattern.clone(),
                body,
                query: query.map(ToOwned::to_owned).collect(),
                closed: made.closed,
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
}

impl Made<'_> {
    fn value(&mut self, schema: &Value, name: &str, at: String) -> Value {
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
