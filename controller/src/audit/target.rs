//! What a call is about, as its record says it in one word.

use serde_json::Value;

/// Fields of a request that name it; the first one that is there counts. An id is the last resort.
const NAMING: [&str; 6] = ["unit", "key", "script", "username", "name", "id"];

/// Of the parameters of a request: `puma-cigar.service`, `nginx.conf and 2 more`. Empty: it names nothing.
pub(crate) fn target(params: &Value) -> String {
    if let Some(several) = several(params) {
        return several;
    }
    let named = |name: &str| params.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let of_spec = || params.get("spec")?.get("key")?.as_str().map(ToOwned::to_owned);
    let (id, names) = NAMING.split_last().expect("there are some");
    names.iter().copied().find_map(named).or_else(of_spec).or_else(|| named(id)).unwrap_or_default()
}

/// What a change of several things is about. None: this is not one.
fn several(params: &Value) -> Option<String> {
    let many = |name: &str| params.get(name).and_then(Value::as_array).filter(|items| !items.is_empty());
    let names: Vec<&str> = match (many("changes"), many("scripts"), many("paths")) {
        (Some(changes), ..) => changes.iter().filter_map(|change| change.get("path")?.as_str()).collect(),
        (_, Some(scripts), _) => {
            scripts.iter().filter_map(|file| file.get("script")?.get("name")?.as_str()).collect()
        }
        (.., Some(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let (first, more) = names.split_first()?;
    Some(if more.is_empty() { (*first).to_owned() } else { format!("{first} and {} more", more.len()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_names_what_people_know_it_by() {
        for (params, expected) in [
            (json!({}), ""),
            (json!({ "id": "7", "username": "grace" }), "grace"),
            (json!({ "id": "7", "key": "cigar" }), "cigar"),
            (json!({ "id": "7", "spec": { "key": "cigar" } }), "cigar"),
            (json!({ "id": "7" }), "7"),
            (json!({ "id": "7", "changes": [{ "path": "a" }] }), "a"),
            (
                json!({ "id": "7", "changes": [{ "path": "a" }, { "path": "b" }, { "path": "c" }] }),
                "a and 2 more",
            ),
            (
                json!({ "scripts": [{ "script": { "name": "a" } }, { "script": { "name": "b" } }] }),
                "a and 1 more",
            ),
            (json!({ "paths": ["a"], "host": "web1" }), "a"),
            (json!({ "key": 7, "name": null }), ""),
        ] {
            assert_eq!(target(&params), expected, "{params}");
        }
    }
}
