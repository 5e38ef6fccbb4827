//! All that a search finds, as a file.

use axum::{
    body::{Body, Bytes},
    extract::{Query, State as Shared},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use hms_proto::{
    fault::Fault,
    host::v1::LogEntry,
    merge::{Piece, Row},
    names::HostName,
};
use http::header;
use serde::Serialize;

use super::{Asked, Pairs, refused};
use crate::{
    api::pages::session::Session,
    logs::{self, Told},
    state::State,
};

/// More is for the tools of the host.
const MOST: usize = 1_000_000;

#[derive(Serialize)]
struct Shown<'a> {
    host: &'a str,
    #[serde(flatten)]
    entry: &'a LogEntry,
}

pub(in crate::api::pages) async fn download(
    Shared(state): Shared<State>,
    session: Session,
    Query(pairs): Pairs,
) -> Response {
    let asked = Asked::new(pairs);
    match begin(&state, &session, &asked) {
        Ok(answer) => answer,
        Err(fault) => refused(&fault),
    }
}

fn begin(state: &State, session: &Session, asked: &Asked) -> Result<Response, Fault> {
    let (kind, name, as_json) = match asked.form.as_str() {
        "" | "text" => ("text/plain; charset=utf-8", "logs.txt", false),
        "json" => ("application/x-ndjson", "logs.ndjson", true),
        _ => return Err(Fault::invalid("`form` is `text` or `json`")),
    };
    let (hosts, told) = logs::download(state, &session.caller, &asked.search()?)?;
    let mut left = MOST;
    let lines = told.map(move |told| {
        let mut text = String::new();
        match told {
            Told::Rows(rows, _) => {
                for row in rows.iter().take(left) {
                    text += &line(&hosts, row, as_json);
                }
                left = left.saturating_sub(rows.len());
            }
            Told::Away(away) if !as_json => {
                text = format!("-- {} cannot be read: {}\n", away.host, plain(&away.fault.message));
            }
            Told::Away(away) => {
                text = serde_json::json!({ "host": away.host.as_str(), "unreachable": away.fault.message })
                    .to_string()
                    + "\n";
            }
            Told::Moved(_) | Told::Back(_) => {}
        }
        Ok::<_, std::convert::Infallible>(Bytes::from(text))
    });
    let head = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((head, Body::from_stream(lines)).into_response())
}

fn line(hosts: &[HostName], row: &Row, as_json: bool) -> String {
    let host = hosts.get(row.lane).map(HostName::as_str).unwrap_or_default();
    match &row.piece {
        Piece::Entry(entry) if as_json => {
            serde_json::to_string(&Shown { host, entry }).unwrap_or_default() + "\n"
        }
        Piece::Gap(gap) if as_json => serde_json::json!({ "host": host, "gap": gap }).to_string() + "\n",
        Piece::Gap(gap) => {
            format!("-- {} ({host})\n", hms_web::parts::LogItem::gap_words(&gap.reason, gap.count))
        }
        Piece::Entry(entry) => text(host, entry),
    }
}

/// One entry is one line, with further lines of its message indented: none can pass for another entry.
fn text(host: &str, entry: &LogEntry) -> String {
    let row = super::shown::row(host.to_owned(), entry.clone());
    let pid = if entry.pid > 0 { format!("[{}]", entry.pid) } else { String::new() };
    format!(
        "{} {host} {}{pid} {}: {}\n",
        hms_web::text::iso(entry.time_usec),
        plain(row.origin()),
        row.severity(),
        plain(&entry.message).replace('\n', "\n    ")
    )
}

fn plain(text: &str) -> String {
    hms_web::text::plain(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 26.
    #[test]
    fn a_forged_line_stays_part_of_its_entry() {
        let entry = LogEntry {
            time_usec: 1_795_545_600_000_000,
            unit: "puma-cigar.service".into(),
            pid: 7,
            priority: 3,
            message: "boom\u{1b}[31m\n2026-11-24T18:40:00.000Z asterra sshd info: accepted".into(),
            ..LogEntry::default()
        };
        let text = text("asterra", &entry);
        assert_eq!(
            text,
            "2026-11-24T18:40:00.000Z asterra puma-cigar[7] error: boom\n    2026-11-24T18:40:00.000Z asterra sshd info: accepted\n"
        );
    }
}
