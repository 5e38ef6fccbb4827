//! From what was found to what the page shows.

use hms_proto::{
    host::v1::{LogAccess, LogEntry, LogGap},
    merge::{Piece, Row},
    names::HostName,
};
use hms_web::parts::{LogFeed, LogItem, LogMark, LogRequest, LogRow};

use super::super::view;
use crate::{
    fleet::now_usec,
    logs::{Away, Found, Mark},
};

/// Rows and what was changed between them; hosts that are away stand at the end.
pub(super) fn feed(found: Found, marks: Vec<Mark>) -> LogFeed {
    let Found { hosts, page, away } = found;
    let mut marks = marks.into_iter().peekable();
    let mut items = Vec::with_capacity(page.rows.len());
    for row in page.rows {
        let time = row.entry().map_or(0, |entry| entry.time_usec);
        while let Some(mark) = marks.next_if(|mark| mark.time_usec <= time) {
            items.push(LogItem::Mark(self::mark(mark)));
        }
        items.push(item(&hosts, row));
    }
    items.extend(marks.map(|mark| LogItem::Mark(self::mark(mark))));
    items.extend(away.iter().map(self::away));
    LogFeed { items, before: page.before.to_string(), after: page.after.to_string(), more: page.is_cut }
}

/// One row of one of these hosts.
pub(super) fn item(hosts: &[HostName], row: Row) -> LogItem {
    let host = hosts.get(row.lane).map(ToString::to_string).unwrap_or_default();
    match row.piece {
        Piece::Entry(entry) => LogItem::Row(Box::new(self::row(host, *entry))),
        Piece::Gap(gap) => self::gap(host, gap),
    }
}

fn gap(host: String, gap: LogGap) -> LogItem {
    let LogGap { reason, count, from_usec, to_usec, .. } = gap;
    LogItem::Gap { host, reason, count, from_us: from_usec, to_us: to_usec }
}

pub(super) fn away(away: &Away) -> LogItem {
    LogItem::Away {
        host: away.host.to_string(),
        since_us: away.since_usec,
        message: format!("{}. {}", away.fault.message.trim_end_matches('.'), away.fault.next()),
    }
}

pub(super) fn back(host: &HostName) -> LogItem {
    LogItem::Back { host: host.to_string(), at_us: now_usec() }
}

pub(super) fn row(host: String, entry: LogEntry) -> LogRow {
    let is_access = entry.source.starts_with("nginx-access/");
    LogRow {
        cursor: entry.cursor,
        host,
        at_us: entry.time_usec,
        priority: entry.priority,
        source: if entry.source.is_empty() { "journal".into() } else { entry.source },
        unit: entry.unit,
        identifier: entry.identifier,
        pid: entry.pid,
        message: entry.message,
        truncated_bytes: entry.truncated_bytes,
        // A line of Rails says the same in its own words.
        request: entry.access.filter(|_| is_access).map(request),
    }
}

fn request(access: LogAccess) -> LogRequest {
    LogRequest {
        status: access.status,
        method: access.method,
        path: access.path,
        took_us: access.request_usec.or(access.upstream_usec),
        bytes: access.bytes,
        client: access.client,
    }
}

pub(super) fn mark(mark: Mark) -> LogMark {
    let activity = view::activity(mark.record);
    let place = match activity.host.as_str() {
        "" => String::new(),
        host if host == activity.target => String::new(),
        host => format!(" on {host}"),
    };
    LogMark {
        seq: mark.seq,
        at_us: mark.time_usec,
        words: format!("{}: {} {}{place}", activity.actor, activity.verb(), activity.shown_target()),
        outcome: activity.outcome.word().to_owned(),
        href: format!(
            "/audit?until={}#record-{}",
            hms_web::text::encode(&hms_web::text::iso(mark.time_usec + 1_000_000)),
            mark.seq
        ),
    }
}
