//! Lines of Rails, of Ruby's Logger, and of nginx' error log.

use hms_proto::host::v1::LogAccess;

use super::{Line, access, severity, time};

/// `2026/11/25 02:40:38 [error] 123#123: *45 connect() failed …`
pub(super) fn nginx_error(text: &str) -> Option<Line> {
    let (time, length) = time::iso(text.as_bytes())?;
    let rest = text.get(length..)?.strip_prefix(" [")?;
    let (level, rest) = rest.split_once("] ")?;
    let pid = rest.split_once('#').and_then(|(pid, _)| pid.parse().ok()).unwrap_or(0);
    Some(Line { time: Some(time), priority: severity(level)?, pid, ..Line::default() })
}

/// `I, [2026-11-25T02:40:38.123456 #812]  INFO -- : …`, a line that begins with a time, or one that Rails writes.
pub(super) fn app(text: &str) -> Line {
    let (mut line, rest) = logger(text).or_else(|| dated(text)).unwrap_or_else(|| (Line::default(), text));
    message(rest, &mut line);
    line
}

/// What the message of a line says of a request.
pub(super) fn message(text: &str, line: &mut Line) {
    let mut rest = text.trim_start();
    while let Some((tag, after)) = rest.strip_prefix('[').and_then(|tagged| tagged.split_once("] ")) {
        if access::is_request_id(tag) {
            tag.clone_into(&mut line.request_id);
        }
        rest = after;
    }
    if let Some(access) = started(rest, line).or_else(|| completed(rest)) {
        line.priority = line.priority.min(access::of_status(access.status));
        line.access = Some(access);
    }
}

/// Ruby's Logger::Formatter.
fn logger(text: &str) -> Option<(Line, &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 24 || !b"DIWEFAU".contains(&bytes[0]) || &bytes[1..4] != b", [" {
        return None;
    }
    let (time, length) = time::iso(&bytes[4..])?;
    let (head, rest) = text.get(4 + length..)?.split_once(": ")?;
    let pid =
        head.trim_start().strip_prefix('#').and_then(|h| h.split_once(']')).and_then(|(p, _)| p.parse().ok());
    let priority = match bytes[0] {
        b'D' => 7,
        b'W' => 4,
        b'E' => 3,
        b'F' => 2,
        _ => 6,
    };
    Some((Line { time: Some(time), priority, pid: pid.unwrap_or(0), ..Line::default() }, rest))
}

fn dated(text: &str) -> Option<(Line, &str)> {
    let inside = text.strip_prefix('[').unwrap_or(text);
    let (time, length) = time::iso(inside.as_bytes())?;
    let rest = inside.get(length..)?.trim_start_matches(']').trim_start();
    let word = rest.split([' ', ':', ']']).next().unwrap_or_default().trim_start_matches('[');
    Some((Line { time: Some(time), priority: severity(word).unwrap_or(6), ..Line::default() }, rest))
}

/// `Started GET "/orders?page=2" for 10.0.0.1 at 2026-11-25 02:40:38 +0000`
fn started(text: &str, line: &mut Line) -> Option<LogAccess> {
    let (method, rest) = text.strip_prefix("Started ")?.split_once(" \"")?;
    let (path, rest) = rest.split_once('"')?;
    let (client, when) = rest.strip_prefix(" for ")?.split_once(" at ")?;
    line.time = line.time.or_else(|| time::iso(when.as_bytes()).map(|(time, _)| time));
    Some(LogAccess {
        method: method.into(),
        path: path.into(),
        client: client.into(),
        ..LogAccess::default()
    })
}

/// `Completed 200 OK in 12ms (Views: 3.1ms | ActiveRecord: 0.4ms)`
fn completed(text: &str) -> Option<LogAccess> {
    let rest = text.strip_prefix("Completed ")?;
    let status = rest.get(..3)?.parse().ok()?;
    let (_, taken) = rest.split_once(" in ")?;
    let millis: f64 = taken.split_once("ms")?.0.parse().ok()?;
    let request_usec = (0.0..1e9).contains(&millis).then_some((millis * 1000.0) as u64);
    Some(LogAccess { status, request_usec, ..LogAccess::default() })
}
