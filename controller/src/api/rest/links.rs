//! Links of the document: where an answer names something, the operations that take its name.

use serde_json::{Value, json};

/// What an operation makes: where its answer names it, and what is asked about it.
const MADE: [(&str, &str, &str, &str); 16] = [
    ("hosts_add", "201", "/host/name", "/api/hosts/{host}"),
    ("users_invite", "201", "/user/username", "/api/users/{user}"),
    ("tokens_create_token", "201", "/token/id", "/api/tokens/{id}"),
    ("tokens_create_token", "201", "/token/id", "/api/user-tokens/{id}"),
    ("apps_add", "201", "/key", "/api/apps/{app}"),
    ("apps_add", "201", "/key", "/api/logs/{app}"),
    ("apps_deploy", "202", "/id", "/api/deployments/{id}"),
    ("apps_deploy", "202", "/id", "/api/jobs/{id}"),
    ("apps_apply", "202", "/id", "/api/deployments/{id}"),
    ("apps_apply", "202", "/id", "/api/jobs/{id}"),
    ("apps_rollback", "202", "/id", "/api/deployments/{id}"),
    ("apps_rollback", "202", "/id", "/api/jobs/{id}"),
    ("apps_remove", "202", "/deployment_id", "/api/deployments/{id}"),
    ("scripts_run", "202", "/id", "/api/runs/{id}"),
    ("scripts_run", "202", "/jobs/0/id", "/api/jobs/{id}"),
    ("schedules_add", "201", "/id", "/api/schedules/{id}"),
];

/// What it lists: that can be looked at.
const LISTED: [(&str, &str, &str); 9] = [
    ("hosts_list", "/hosts/0/name", "/api/hosts/{host}"),
    ("users_list", "/users/0/username", "/api/users/{user}"),
    ("apps_list", "/apps/0/key", "/api/apps/{app}"),
    ("deployments_list", "/deployments/0/id", "/api/deployments/{id}"),
    ("apps_deployments_of_app", "/deployments/0/id", "/api/deployments/{id}"),
    ("scripts_list", "/scripts/0/name", "/api/scripts/{script}"),
    ("runs_list", "/runs/0/id", "/api/runs/{id}"),
    ("runs_get", "/jobs/0/id", "/api/jobs/{id}"),
    ("configs_nginx_versions", "/versions/0/id", "/api/configs/versions/{version}"),
];

/// Adds them to the operations of a document.
pub(super) fn add(document: &mut Value) {
    for (maker, status, at, path) in MADE {
        link(document, maker, status, at, &takers(document, path, false));
    }
    for (maker, at, path) in LISTED {
        link(document, maker, "200", at, &takers(document, path, true));
    }
}

fn link(document: &mut Value, maker: &str, status: &str, at: &str, takers: &[(String, String)]) {
    let items = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut());
    for operation in operations.filter(|operation| operation["operationId"] == maker) {
        for (taker, parameter) in takers {
            operation["responses"][status]["links"][taker] = json!({
                "operationId": taker, "parameters": { parameter: format!("$response.body#{at}") }
            });
        }
    }
}

/// The operations at this path and below it that take its one name, with the parameter.
fn takers(document: &Value, path: &str, looks: bool) -> Vec<(String, String)> {
    let below = |of: &str| of.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let parameter = path.split(['{', '}']).nth(1).unwrap_or_default();
    let items = document["paths"].as_object().into_iter().flatten();
    let items = items.filter(|(of, _)| below(of) && of.matches('{').count() == 1);
    let verbs = items.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    let verbs = verbs.filter(|(verb, _)| !looks || *verb == "get");
    let ids = verbs.filter_map(|(_, operation)| operation["operationId"].as_str());
    ids.map(|id| (id.to_owned(), parameter.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a schema says of the value there.
    fn inside<'a>(document: &'a Value, schema: &'a Value, at: &[&str]) -> Option<&'a Value> {
        if let Some(reference) = schema["$ref"].as_str() {
            return inside(document, document.pointer(reference.trim_start_matches('#'))?, at);
        }
        let Some((name, rest)) = at.split_first() else { return Some(schema) };
        let all = ["allOf", "oneOf", "anyOf"].iter().filter_map(|way| schema[way].as_array()).flatten();
        let direct = if *name == "0" { schema.get("items") } else { schema["properties"].get(name) };
        direct
            .and_then(|inner| inside(document, inner, rest))
            .or_else(|| all.into_iter().find_map(|part| inside(document, part, at)))
    }

    /// Each link names a text of the answer, or a number, and an operation that is there.
    #[test]
    fn each_link_leads_from_a_field_of_the_answer_to_a_parameter() {
        let document = super::super::document();
        let (mut links, mut wrong, mut makers) = (0, Vec::new(), BTreeSet::new());
        let items =
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
        let operations: Vec<&Value> = items.map(|(_, operation)| operation).collect();
        for operation in &operations {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let schema = &response["content"]["application/json"]["schema"];
                for (name, link) in response["links"].as_object().into_iter().flatten() {
                    links += 1;
                    makers.insert(operation["operationId"].as_str().unwrap());
                    let (parameter, from) = link["parameters"].as_object().unwrap().iter().next().unwrap();
                    let at: Vec<&str> = from.as_str().unwrap().split('/').skip(1).collect();
                    let taker = operations.iter().find(|one| one["operationId"] == link["operationId"]);
                    let taken = taker.is_some_and(|one| {
                        one["parameters"].as_array().unwrap().iter().any(|one| one["name"] == *parameter)
                    });
                    let field = inside(&document, schema, &at).map(|field| field["type"].clone());
                    if !taken || !field.as_ref().is_some_and(|kind| *kind == "string" || *kind == "integer") {
                        wrong.push(format!("{} {status} {name}: {field:?}", operation["operationId"]));
                    }
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        let named: BTreeSet<&str> =
            MADE.iter().map(|row| row.0).chain(LISTED.iter().map(|row| row.0)).collect();
        assert_eq!(makers, named);
        assert!(links > 70, "only {links}");
    }

    /// Whatever is made can be followed: `201` and `202` say where it is.
    #[test]
    fn what_makes_something_says_what_can_be_done_with_it() {
        let document = super::super::document();
        let mut silent = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (verb, operation) in item.as_object().unwrap() {
                let made = ["201", "202"].iter().filter_map(|status| operation["responses"].get(status));
                silent.extend(
                    made.filter(|made| made.get("links").is_none()).map(|_| format!("{verb} {path}")),
                );
            }
        }
        assert_eq!(silent, Vec::<String>::new());
    }
}
