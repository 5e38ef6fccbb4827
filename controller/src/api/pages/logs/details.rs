//! The fields of one line, and where each of them leads.

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use hms_proto::{fault::Fault, host::v1::LogEntry, search::Search};
use hms_web::parts::{LogDetails, LogField};

use super::{super::page, Asked, Pairs, asked::key, shown};
use crate::{api::pages::session::Session, logs, state::State};

/// How much of the time around a request is searched for its other lines, in microseconds.
const REQUEST: i64 = 600 * 1_000_000;
/// What came before a line: so much time.
const BEFORE: i64 = 300 * 1_000_000;
/// A longer value makes no condition.
const LONGEST: usize = 200;

pub(in crate::api::pages) async fn line(
    Shared(state): Shared<State>,
    session: Session,
    Query(pairs): Pairs,
) -> Response {
    let asked = Asked::new(pairs);
    let read = async {
        let search = asked.search()?;
        let (host, cursor) = key(&asked.key)?;
        let found = logs::around(&state, &session.caller, &search, (&host, &cursor), 0).await?;
        let entry = found.entry(&cursor).ok_or_else(|| {
            Fault::not_found("line", "this one").hint("It was deleted on its host since the page was opened.")
        })?;
        Ok::<_, Fault>(details(&search, host.as_str(), entry))
    };
    let details = read.await.unwrap_or_else(|fault| LogDetails {
        problem: format!("{} {}", fault.message, fault.next()),
        ..LogDetails::default()
    });
    page(&details)
}

fn details(search: &Search, host: &str, entry: &LogEntry) -> LogDetails {
    let mut before = search.clone();
    (before.grep, before.priority, before.conditions) = (String::new(), None, Vec::new());
    LogDetails {
        fields: fields(search, host, entry),
        context_href: shown::row(host.to_owned(), entry.clone()).context_href(),
        request_href: if entry.request_id.is_empty() { String::new() } else { request(search, entry) },
        before_href: href(&at(before, entry.time_usec - BEFORE, entry.time_usec)),
        problem: String::new(),
    }
}

/// Everything that was written about the request, by nginx and by apps.
fn request(search: &Search, entry: &LogEntry) -> String {
    let mut wanted = Search { apps: search.apps.clone(), hosts: search.hosts.clone(), ..Search::default() };
    wanted.sources = hms_proto::search::SourceKind::ALL.map(Into::into).to_vec();
    wanted.conditions = vec![format!("request_id={}", entry.request_id)];
    href(&at(wanted, entry.time_usec - REQUEST, entry.time_usec + REQUEST))
}

fn at(search: Search, since: i64, until: i64) -> Search {
    let time = |usec: i64| hms_web::text::iso(usec.max(0));
    // The end is not cut off with the fraction of its millisecond.
    Search { since: time(since), until: time(until + 1_000), ..search }
}

fn href(search: &Search) -> String {
    format!("/logs?{}", search.to_query())
}

fn fields(search: &Search, host: &str, entry: &LogEntry) -> Vec<LogField> {
    let mut fields =
        vec![plain("time", hms_web::text::iso(entry.time_usec)), plain("message", &entry.message)];
    let of_host = |hosts: &str| match hms_proto::names::HostName::try_from(hosts) {
        Ok(host) => href(&Search { hosts: vec![host], ..search.clone() }),
        Err(_) => String::new(),
    };
    fields.push(LogField { only_href: of_host(host), ..plain("host", host) });
    let number = |n: u32| if n > 0 { n.to_string() } else { String::new() };
    let mut known: Vec<(&str, String)> = vec![
        ("source", entry.source.clone()),
        ("unit", entry.unit.clone()),
        ("identifier", entry.identifier.clone()),
        ("pid", number(entry.pid)),
        ("priority", entry.priority.to_string()),
        ("request_id", entry.request_id.clone()),
    ];
    if let Some(access) = &entry.access {
        let took = |usec: Option<u64>| usec.map(|us| format!("{}ms", us / 1_000)).unwrap_or_default();
        known.extend([
            ("status", number(access.status)),
            ("method", access.method.clone()),
            ("path", access.path.clone()),
            ("request_time", took(access.request_usec)),
            ("upstream_time", took(access.upstream_usec)),
            ("client", access.client.clone()),
            ("bytes", access.bytes.to_string()),
            ("protocol", access.protocol.clone()),
            ("referer", access.referer.clone()),
            ("agent", access.agent.clone()),
            ("host", access.host.clone()),
        ]);
    }
    let mut journal: Vec<(&str, String)> =
        entry.fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    journal.sort();
    journal.retain(|(name, _)| *name != "MESSAGE");
    known.extend(journal);
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    fields.extend(known.map(|(name, value)| narrowing(search, name, value)));
    fields
}

fn plain(name: &str, value: impl Into<String>) -> LogField {
    LogField { name: name.into(), value: value.into(), ..LogField::default() }
}

/// A field by which the search is narrowed.
fn narrowing(search: &Search, name: &str, value: String) -> LogField {
    // Times fit no second line exactly, and a long value is no name of anything.
    if name.ends_with("_time") || value.len() > LONGEST || value.contains('\n') {
        return plain(name, value);
    }
    let with = |operator: &str| {
        let mut narrower = search.clone();
        let condition = format!("{name}{operator}{value}");
        narrower.conditions.retain(|known| *known != condition);
        narrower.conditions.push(condition);
        href(&narrower)
    };
    let only_href = if name == "priority" { with("<=") } else { with("=") };
    LogField { only_href, except_href: with("!="), ..plain(name, value) }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::LogAccess;

    use super::*;

    #[test]
    fn each_field_narrows_the_search_or_leaves_things_out() {
        let search = Search::from_pairs([("app", "cigar"), ("where", "method=GET")]).unwrap();
        let entry = LogEntry {
            cursor: "s=1f".into(),
            time_usec: 1_795_545_600_000_000,
            source: "nginx-access/cigar.access.log".into(),
            request_id: "5f1c".into(),
            access: Some(LogAccess { status: 503, request_usec: Some(31_000), ..LogAccess::default() }),
            ..LogEntry::default()
        };
        let details = details(&search, "asterra", &entry);
        let field = |name: &str| details.fields.iter().find(|field| field.name == name).unwrap().clone();
        assert_eq!(field("status").only_href, "/logs?app=cigar&where=method%3DGET&where=status%3D503");
        assert_eq!(field("status").except_href, "/logs?app=cigar&where=method%3DGET&where=status%21%3D503");
        assert_eq!(field("request_time").only_href, "");
        assert_eq!(field("host").only_href, "/logs?app=cigar&host=asterra&where=method%3DGET");
        assert!(
            details.request_href.contains("source=access") && details.request_href.contains("source=app")
        );
        assert!(details.request_href.contains("where=request_id%3D5f1c"));
        assert!(
            details.before_href.contains("since=2026-11-24T18%3A35%3A00.000Z"),
            "{}",
            details.before_href
        );
        assert!(!details.before_href.contains("where="), "what came before is not only of the same kind");
    }
}
