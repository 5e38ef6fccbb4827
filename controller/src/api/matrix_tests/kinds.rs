//! Values of requests that are what the document says, and those that are something else.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    bodies::{Operation, Parameter, operations},
    fields::text_of,
    port::{Asking, Client, filled},
    *,
};
use crate::counts;

/// A value of each kind that JSON has.
fn samples(known: &Value) -> Vec<(&'static str, Value)> {
    let mut samples = vec![
        ("null", Value::Null),
        ("boolean", true.into()),
        ("integer", 1.into()),
        ("number", 1.5.into()),
        ("string", "1".into()),
        ("array", json!([])),
        ("array", json!([known])),
        ("object", json!({})),
    ];
    match known {
        // What serde reads an object from, too: its values in the order of its fields.
        Value::Object(fields) => samples.push(("array", fields.values().cloned().collect())),
        // And a word: an object with that one field.
        Value::String(word) => samples.push(("object", json!({ word: null }))),
        _ => {}
    }
    samples
}

/// Whether the document lets a value of this kind be there.
fn may_be(kinds: &std::collections::BTreeSet<String>, kind: &str) -> bool {
    kinds.contains(kind) || (kind == "integer" && kinds.contains("number"))
}

/// What is sent in the place of one value of a body, each another request.
fn misfits(one: &Operation, body: &Value) -> Vec<(String, &'static str, Value)> {
    let mut all = Vec::new();
    for (at, kinds) in one.kinds.iter().filter(|(at, _)| body.pointer(at).is_some()) {
        for (kind, sample) in samples(body.pointer(at).unwrap_or(&Value::Null)) {
            if !may_be(kinds, kind) {
                all.push((at.clone(), kind, sample));
            }
        }
    }
    all
}

/// Security case 19: each value of each body of REST, replaced by one of each other kind, a list in the place of an object
/// among them. The field is named, and not what was in it.
#[sqlx::test(migrations = "../migrations")]
async fn no_body_has_a_value_of_another_kind(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut client = Client::new(&world.state, Some(Role::Admin)).await?;
    let (mut objects, mut cells, mut wrong) = (0, 0, Vec::new());
    for one in operations(&world.own) {
        let Some(body) = &one.body else { continue };
        let asking = Asking::new(&one.method, filled(&one.pattern, &world.own));
        for (at, kind, sample) in misfits(&one, body) {
            let mut other = body.clone();
            *other.pointer_mut(&at).ok_or_else(|| anyhow::anyhow!("no {at} in {body}"))? = sample.clone();
            let answer = client.ask(&asking.clone().saying(Some(other))).await?;
            cells += 1;
            let (status, told) = (answer.status(), text_of(answer).await?);
            let of_object = body.pointer(&at).is_some_and(Value::is_object);
            objects += usize::from(of_object && kind == "array");
            let field = at.rsplit('/').find(|part| *part != "0").unwrap_or_default();
            let named = match (field, of_object) {
                ("", _) => told.contains("it must be an object"),
                (name, true) => told.contains(&format!("`{name}` must be an object")),
                (name, false) => told.contains(&format!("`{name}`")),
            };
            if status != StatusCode::BAD_REQUEST || !named {
                wrong.push(format!(
                    "{} {} with `{at}` as {sample}: {status} {told:.200}",
                    one.method, one.pattern
                ));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(objects > 100 && cells > 1_000, "only {cells} cells, {objects} of them of objects");
    counts::tell("values of bodies of another kind", cells, wrong.len());
    Ok(())
}

/// What is asked when this parameter is tried: with those that must be there, and a host where one can be said.
fn address(path: &str, all: &[Parameter], tried: &Parameter) -> String {
    let must = all.iter().filter(|one| (one.required || one.name == "host") && one.name != tried.name);
    let pairs = must.chain([tried]).map(|one| format!("{}={}", one.name, hms_web::text::encode(&one.value)));
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// What the document offers is there: each parameter of each query of REST, with a value that it may have.
#[sqlx::test(migrations = "../migrations")]
async fn each_parameter_of_the_document_is_taken(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut client = Client::new(&world.state, Some(Role::Admin)).await?;
    let (mut cells, mut wrong) = (0, Vec::new());
    for one in operations(&world.own).into_iter().filter(|one| one.method == Method::GET) {
        let path = filled(&one.pattern, &world.own);
        for tried in &one.query {
            let uri = address(&path, &one.query, tried);
            let answer = client.ask(&Asking::new(&Method::GET, &uri)).await?;
            cells += 1;
            let (status, told) = (answer.status(), text_of(answer).await?);
            // Hosts are unreachable here, and say so.
            let taken = status.is_success() || [502, 503, 504].contains(&status.as_u16());
            if !taken {
                wrong.push(format!("{uri}: {status} {told:.200}"));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(cells > 70, "only {cells} cells");
    counts::tell("documented parameters of queries", cells, wrong.len());
    Ok(())
}
