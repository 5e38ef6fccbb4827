//! The OpenAPI document: what `utoipa` collects from the handlers, and what is the same for all operations.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::links;

/// Names in paths, as `hms_proto::names` reads them.
const HOST: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
const PARAMETERS: [(&str, &str); 6] = [
    ("app", "^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$"),
    ("host", HOST),
    ("id", UUID),
    ("schedule_id", UUID),
    ("script", "^[a-z][a-z0-9_]{0,63}$"),
    ("user", "^[a-z][a-z0-9._-]{0,63}$"),
];
/// What hosts are asked for: these may not be reached, or not answer.
const ON_HOSTS: [&str; 6] = ["apps", "deployments", "secrets", "logs", "runs", "configs"];

/// The document as it is served.
pub(super) fn finished(document: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["info"]["license"] = json!({ "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" });
    document["servers"] = json!([{ "url": "/", "description": "This controller" }]);
    document["components"]["securitySchemes"] = json!({ "bearer": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT, or a token for machines (hmst_…)",
        "description": "The access token of a login, good for minutes, or a token for machines from `POST /api/tokens`."
    }});
    document["components"]["responses"] = problems();
    document["components"]["headers"] = headers();
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut taken: Vec<Value> = Vec::new();
    let finish = |(path, mut item): (String, Value)| {
        for (verb, operation) in item.as_object_mut().into_iter().flatten() {
            finish(&path, verb, operation);
            taken.extend(operation.get("requestBody").cloned());
        }
        (path, item)
    };
    document["paths"] = Value::Object(paths.into_iter().map(finish).collect());
    let settings = "/api/apps/{app}/settings";
    let patch = patch_of(&mut document, "AppSettings");
    document["paths"][settings]["patch"]["requestBody"]["content"]["application/json"]["schema"] = patch;
    taken.push(document["paths"][settings]["patch"]["requestBody"].clone());
    let mut seen = BTreeSet::new();
    for body in &taken {
        close(&mut document, body, &mut seen);
    }
    links::add(&mut document);
    document
}

fn finish(path: &str, verb: &str, operation: &mut Value) {
    let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
    operation["operationId"] = json!(id(path, &name));
    let secured = operation.get("security").is_some();
    let mutates = verb != "get";
    if secured && mutates && !path.ends_with("/reveal") {
        push(
            operation,
            json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "Makes it safe to send the request again: within 24 hours the same key gets the same answer, and nothing is done twice.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$" },
                "example": "8e03978e-40d5-43e8-bc93-6894a57f9324"
            }),
        );
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        bound(parameter);
    }
    // A body that may be left out is still none that says `null`.
    if let Some(body) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
        let ways = body.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
        if let Some(sent) = ways.into_iter().find(|way| way["type"] != "null").map(Value::take) {
            *body = sent;
        }
    }
    if let Some(example) = example(operation["operationId"].as_str().unwrap_or_default()) {
        operation["requestBody"]["content"]["application/json"]["example"] = example;
    }
    respond(path, operation, secured, mutates);
}

fn push(operation: &mut Value, parameter: Value) {
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

/// One that does not change while the path does not: `apps_settings_put`.
fn id(path: &str, name: &str) -> String {
    let words = path.split('/').filter(|word| !word.is_empty() && *word != "api" && !word.starts_with('{'));
    let mut words: Vec<String> = words.map(|word| word.replace('-', "_")).collect();
    if words.last().is_none_or(|last| last != name) {
        words.push(name.to_owned());
    }
    words.join("_")
}

/// What a parameter may be.
fn bound(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let (in_path, required) = (parameter["in"] == "path", parameter["required"] == true);
    let known = PARAMETERS.iter().find(|(known, _)| *known == name);
    let schema = &mut parameter["schema"];
    if let (Some((_, pattern)), true) = (known, schema["type"] == "string" && (in_path || required)) {
        schema["pattern"] = json!(pattern);
        schema["maxLength"] = json!(253);
        if *pattern == UUID {
            schema["format"] = json!("uuid");
        }
    } else if let (Some((_, pattern)), true) = (known, schema["type"] == "string") {
        // A form sends what nobody filled in, too.
        schema["pattern"] = json!(format!("^$|{pattern}"));
    } else if in_path && schema["type"] == "string" {
        schema["minLength"] = json!(1);
        schema["maxLength"] = json!(512);
    }
}

/// The answers that every operation can have, as far as they can occur.
fn respond(path: &str, operation: &mut Value, secured: bool, mutates: bool) {
    let has = |place: &str| {
        operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == place))
    };
    let takes_body = operation.get("requestBody").is_some();
    let on_hosts = operation["tags"][0].as_str().is_some_and(|tag| ON_HOSTS.contains(&tag));
    let signs_in = path.starts_with("/api/auth/");
    let occur = [
        ("400", has("path") || has("query") || has("header") || takes_body),
        ("401", secured || signs_in),
        ("403", secured),
        ("404", !signs_in && (has("path") || has("query") || takes_body)),
        ("409", mutates && secured),
        ("413", takes_body),
        ("415", takes_body),
        ("422", mutates && secured),
        ("429", true),
        ("500", true),
        ("502", on_hosts),
        ("503", true),
        ("504", on_hosts),
        ("default", true),
    ];
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, response) in responses.iter_mut().filter(|(status, _)| *status != "default") {
        match status.starts_with('4') {
            true => *response = problem(),
            false => add_headers(response),
        }
    }
    for (status, occurs) in occur {
        if occurs {
            let named = match status {
                "401" => json!({ "$ref": "#/components/responses/Unauthenticated" }),
                "429" | "503" => json!({ "$ref": "#/components/responses/Later" }),
                _ => problem(),
            };
            responses.insert(status.to_owned(), named);
        }
    }
}

fn problem() -> Value {
    json!({ "$ref": "#/components/responses/Problem" })
}

fn add_headers(response: &mut Value) {
    for name in ["RateLimit", "RateLimit-Policy"] {
        response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
    }
    if response["description"] == "" {
        response["description"] = json!("It is done");
    }
}

fn headers() -> Value {
    json!({
        "RateLimit": { "description": "How many requests are left (`r`), and in how many seconds all are there again (`t`)",
            "schema": { "type": "string" }, "example": "\"burst\";r=99;t=1" },
        "RateLimit-Policy": { "description": "So many requests (`q`) in so many seconds (`w`)",
            "schema": { "type": "string" }, "example": "\"burst\";q=100;w=10" },
        "Retry-After": { "description": "After how many seconds it makes sense to try again",
            "schema": { "type": "integer", "minimum": 1 } },
        "WWW-Authenticate": { "description": "`Bearer`; where a login is not enough, with `error=\"insufficient_user_authentication\"` (RFC 9470)",
            "schema": { "type": "string" } },
        "X-Request-Id": { "description": "Finds the call in the audit", "schema": { "type": "string", "format": "uuid" } }
    })
}

/// Problem details (RFC 9457), with what some of them say in headers.
fn problems() -> Value {
    let one = |description: &str, more: &[&str]| {
        let names = ["X-Request-Id", "RateLimit", "RateLimit-Policy"].iter().chain(more);
        let headers =
            names.map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
        json!({
            "description": description,
            "headers": headers.collect::<Map<String, Value>>(),
            "content": { "application/problem+json": {
                "schema": { "$ref": "#/components/schemas/Details" },
                "example": {
                    "type": "urn:hms:problem:not_found", "code": "not_found", "title": "Not found", "status": 404,
                    "detail": "there is no app `tobacco`", "hint": "Check the name; the list shows what there is.",
                    "request_id": "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55"
                }
            }}
        })
    };
    json!({
        "Problem": one("It was not done, or failed: `code` says in one word why", &[]),
        "Unauthenticated": one("Nobody is logged in, or one more proof is needed (`code`: `proof_needed`)", &["WWW-Authenticate"]),
        "Later": one("Too many requests, or a part of HMS is down for now", &["Retry-After"])
    })
}

/// Bodies of requests have the fields that are named, and no others.
fn close(document: &mut Value, part: &Value, seen: &mut BTreeSet<String>) {
    match part {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
            if let Some(name) = name.filter(|name| seen.insert((*name).to_owned())) {
                let schema = &mut document["components"]["schemas"][name];
                if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
                    schema["additionalProperties"] = json!(false);
                }
                let inner = schema.clone();
                close(document, &inner, seen);
            }
            fields.values().for_each(|value| close(document, value, seen));
        }
        Value::Array(values) => values.iter().for_each(|value| close(document, value, seen)),
        _ => {}
    }
}

/// The schema of a merge patch (RFC 7396) of a message: each value may also be null, at every depth.
fn patch_of(document: &mut Value, name: &str) -> Value {
    let own = format!("{name}Patch");
    let mut schema = document["components"]["schemas"][name].clone();
    for field in schema["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        nullable(document, field);
    }
    document["components"]["schemas"][own.as_str()] = schema;
    json!({ "$ref": format!("#/components/schemas/{own}") })
}

fn nullable(document: &mut Value, field: &mut Value) {
    if let Some(values) = field.get_mut("additionalProperties").filter(|values| values.is_object()) {
        nullable(document, values);
    }
    for one in field.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = one.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
        if let Some(name) = name.map(ToOwned::to_owned) {
            *one = patch_of(document, &name);
        }
    }
    *field = json!({ "anyOf": [field.take(), { "type": "null" }] });
}

/// Bodies that can be sent as they are.
fn example(id: &str) -> Option<Value> {
    Some(match id {
        "auth_login" => json!({ "username": "ada", "password": "correct horse battery staple" }),
        "account_confirm" => json!({ "password": "correct horse battery staple" }),
        "hosts_add" => json!({ "name": "web1", "address": "10.0.0.7" }),
        "hosts_labels" => json!({ "add": ["env=production"], "remove": [] }),
        "users_invite" => json!({ "username": "grace", "role": "operator", "scope": { "apps": ["cigar"] } }),
        "users_edit" => json!({ "role": "viewer" }),
        "tokens_create_token" => {
            json!({ "name": "ci", "role": "operator", "scope": { "apps": ["cigar"] }, "days": 30 })
        }
        "apps_deploy" => json!({ "branch": "main" }),
        "apps_secrets_put" => {
            json!({ "secrets": { "SMTP_PASSWORD": "swordfish", "OLD_KEY": null }, "dry_run": true })
        }
        "scripts_run" => json!({ "target": { "all": true }, "parameters": {} }),
        "schedules_add" => {
            json!({ "script": "check_disk_space", "target": { "all": true }, "cron": "0 6 * * *" })
        }
        _ => return None,
    })
}
