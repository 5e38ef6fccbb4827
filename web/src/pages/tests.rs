//! What holds for every page: it renders, escapes, fits the policy, and has each id once.

use super::samples;
use regex::Regex;
use std::collections::HashSet;

fn every(check: impl Fn(&str, &str)) {
    for (name, html) in samples() {
        check(name, &html);
    }
}

#[test]
fn pages_are_whole_documents() {
    every(|name, html| {
        for part in [
            "<!doctype html>",
            "<html lang=\"en\">",
            "<title>",
            "name=\"viewport\"",
            "<main id=\"main\"",
            "</html>",
        ] {
            assert!(html.contains(part), "{name} has no {part}");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one headline");
    });
}

#[test]
fn nothing_is_inline() {
    let inline =
        Regex::new(r#"(?i)<[^>]*\s(style|on\w+)\s*=|<style|<script(?:\s[^>]*)?>[^<]"#).expect("valid");
    let script = Regex::new(r#"<script([^>]*)>"#).expect("valid");
    every(|name, html| {
        let found = inline.find(html).map(|found| found.as_str());
        assert!(found.is_none(), "{name}: {found:?}");
        for tag in script.captures_iter(html) {
            assert!(tag[1].trim_start().starts_with("src=\"/static/"), "{name}: {}", &tag[0]);
        }
        assert!(!html.contains("://") || !html.contains("src=\"http"), "{name} asks a third party");
    });
}

#[test]
fn hostile_text_stays_text() {
    every(|name, html| {
        assert!(!html.contains("<script>"), "{name} lets a script through");
        assert!(!html.contains("\"onload="), "{name} lets an attribute through");
        assert!(!html.contains('\u{1b}'), "{name} lets a terminal sequence through");
    });
    let hostile =
        samples().into_iter().find(|(name, _)| *name == "dashboard-hostile").expect("is a sample").1;
    assert!(hostile.contains("&#60;script&#62;alert("), "it is shown as text");
}

#[test]
fn ids_are_unique_and_what_refers_to_them_finds_them() {
    let id = Regex::new(r#"\sid="([^"]*)""#).expect("valid");
    let refers = Regex::new(r#"\s(?:for|aria-labelledby|aria-describedby|aria-controls|list)="([^"]*)""#)
        .expect("valid");
    every(|name, html| {
        let mut ids = HashSet::new();
        for found in id.captures_iter(html) {
            assert!(ids.insert(found[1].to_owned()), "{name} has the id {} twice", &found[1]);
            assert!(
                !found[1].contains(char::is_whitespace) && !found[1].is_empty(),
                "{name}: id {:?}",
                &found[1]
            );
        }
        for found in refers.captures_iter(html) {
            for one in found[1].split_whitespace() {
                assert!(ids.contains(one), "{name} refers to {one}, which is not there");
            }
        }
    });
}

#[test]
fn tags_are_closed() {
    let void = ["meta", "link", "input", "br", "polygon", "polyline", "rect"];
    let tag = Regex::new(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*>").expect("valid");
    every(|name, html| {
        let mut open: Vec<String> = Vec::new();
        for found in tag.captures_iter(html) {
            let element = found[2].to_lowercase();
            if void.contains(&element.as_str()) {
                continue;
            }
            match &found[1] {
                "" => open.push(element),
                _ => assert_eq!(open.pop().as_deref(), Some(element.as_str()), "{name} near {}", &found[0]),
            }
        }
        assert!(open.is_empty(), "{name} leaves {open:?} open");
    });
}

#[test]
fn viewers_are_offered_no_actions() {
    for (name, html) in samples().into_iter().filter(|(name, _)| name.ends_with("-viewer")) {
        assert!(!html.contains("action=\"/apps/"), "{name} offers an action on an app");
        assert!(!html.contains("action=\"/hosts"), "{name} offers a change of hosts");
        for action in ["action=\"/scripts/", "/cancel\"", "action=\"/schedules"] {
            assert!(!html.contains(action), "{name} offers {action}");
        }
        let changes = [
            " value=\"apply\"",
            " value=\"enable\"",
            " value=\"confirm\"",
            " value=\"adopt\"",
            " value=\"reload\"",
        ];
        assert!(!changes.iter().any(|verb| html.contains(verb)), "{name} offers a change of nginx");
    }
}

#[test]
fn pages_are_small() {
    every(|name, html| assert!(html.len() < 80_000, "{name} has {} bytes", html.len()));
}
