//! What a call changed in nginx's tree, for its outcome in the audit: hashes, as the agent has them.

use std::collections::BTreeMap;

use hms_proto::host::v1::{
    ApplyNginxRequest, ApplyNginxResponse, NginxChange, NginxFile, NginxTree, nginx_change::Action,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::audit::Changed;

/// From the tree as it was last seen, the request and the answer of the agent. None: nothing is another, or nobody can say.
pub(super) fn changed(verb: &str, seen: &NginxTree, request: &[u8], answer: &[u8]) -> Option<Changed> {
    let (before, after) = match verb {
        "Apply" => {
            let changes = ApplyNginxRequest::decode(request).ok()?.changes;
            let tree = ApplyNginxResponse::decode(answer).ok()?.tree?;
            let of =
                |tree: &NginxTree| changes.iter().map(|c| (c.path.clone(), state(tree, &c.path))).collect();
            let mut before: BTreeMap<String, Value> = of(seen);
            // What the caller saw is what was there, or the agent had refused.
            changes.iter().for_each(|change| expect(&mut before, change));
            (before, of(&tree))
        }
        "Revert" => {
            let paths = &seen.pending.as_ref()?.paths;
            let tree = NginxTree::decode(answer).ok()?;
            let of = |tree: &NginxTree| paths.iter().map(|path| (path.clone(), state(tree, path))).collect();
            (of(seen), of(&tree))
        }
        _ => return None,
    };
    (before != after).then(|| Changed::of(Some(&before), Some(&after)))
}

fn state(tree: &NginxTree, path: &str) -> Value {
    let file = tree.files.iter().find(|file| file.path == path);
    file.map_or(Value::Null, |file: &NginxFile| {
        json!({ "sha256": file.sha256, "enabled": file.enabled, "quarantined": file.quarantined })
    })
}

fn expect(before: &mut BTreeMap<String, Value>, change: &NginxChange) {
    let Some(Action::Content(_) | Action::Delete(_)) = change.action else { return };
    let Some(state) = before.get_mut(&change.path) else { return };
    match (change.expected_sha256.as_str(), state) {
        ("", state) => *state = Value::Null,
        (hash, Value::Object(state)) => drop(state.insert("sha256".into(), hash.into())),
        (hash, state) => *state = json!({ "sha256": hash }),
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::PendingNginx;

    use super::*;

    fn tree(files: &[(&str, &str, bool)]) -> NginxTree {
        let file = |(path, hash, enabled): &(&str, &str, bool)| NginxFile {
            path: (*path).into(),
            sha256: (*hash).into(),
            enabled: *enabled,
            ..NginxFile::default()
        };
        NginxTree { files: files.iter().map(file).collect(), ..NginxTree::default() }
    }

    fn change(path: &str, expected: &str, action: Action) -> NginxChange {
        NginxChange { path: path.into(), expected_sha256: expected.into(), action: Some(action) }
    }

    #[test]
    fn an_apply_tells_the_hashes_of_its_files_and_of_no_others() {
        let seen = tree(&[("a", "1", true), ("b", "1", false), ("c", "1", true), ("d", "1", true)]);
        let changes = vec![
            change("a", "0", Action::Content("canary".into())),
            change("b", "", Action::Enable(true)),
            change("c", "1", Action::Delete(true)),
            change("new", "", Action::Content("canary".into())),
        ];
        let request = ApplyNginxRequest { changes, ..ApplyNginxRequest::default() }.encode_to_vec();
        let after = tree(&[("a", "2", true), ("b", "1", true), ("d", "9", true), ("new", "3", false)]);
        let answer =
            ApplyNginxResponse { tree: Some(after), ..ApplyNginxResponse::default() }.encode_to_vec();
        let Changed { before, after } = changed("Apply", &seen, &request, &answer).unwrap();
        let file = |hash: &str, enabled| json!({ "sha256": hash, "enabled": enabled, "quarantined": false });
        assert_eq!(
            before,
            json!({ "a": file("0", true), "b": file("1", false), "c": file("1", true), "new": null })
        );
        assert_eq!(
            after,
            json!({ "a": file("2", true), "b": file("1", true), "c": null, "new": file("3", false) })
        );
        assert!(changed("Reload", &seen, &request, &answer).is_none());
        assert!(changed("Apply", &seen, &request, b"\xff").is_none());
    }

    #[test]
    fn what_is_put_back_is_told_too() {
        let pending = PendingNginx { paths: vec!["a".into()], ..PendingNginx::default() };
        let seen = NginxTree { pending: Some(pending), ..tree(&[("a", "2", true), ("b", "1", true)]) };
        let answer = tree(&[("a", "1", true), ("b", "7", true)]).encode_to_vec();
        let Changed { before, after } = changed("Revert", &seen, &[], &answer).unwrap();
        assert_eq!((&before["a"]["sha256"], &after["a"]["sha256"]), (&json!("2"), &json!("1")));
        assert!(before.get("b").is_none());
        assert!(changed("Revert", &seen, &[], &seen.encode_to_vec()).is_none(), "nothing is another");
    }
}
