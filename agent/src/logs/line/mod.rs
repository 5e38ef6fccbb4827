//! What a line of a log file says: when, how severe, and of which request.

mod access;
mod rails;
#[cfg(test)]
mod tests;
mod time;

use hms_proto::host::v1::{LogAccess, LogKind};

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Microseconds since the epoch. A line without belongs to the one before it.
    pub(crate) time: Option<u64>,
    pub(crate) priority: u32,
    pub(crate) pid: u32,
    pub(crate) access: Option<LogAccess>,
    pub(crate) request_id: String,
}

impl Default for Line {
    fn default() -> Self {
        // What says nothing of its severity is as severe as what printf wrote: info.
        Self { time: None, priority: 6, pid: 0, access: None, request_id: String::new() }
    }
}

/// Reads a line of a log of this kind.
pub(crate) fn read(kind: LogKind, text: &str) -> Line {
    let json = || text.starts_with('{').then(|| access::json(text)).flatten();
    match kind {
        LogKind::NginxAccess => json().or_else(|| access::combined(text)).unwrap_or_default(),
        LogKind::NginxError => rails::nginx_error(text).unwrap_or_default(),
        _ => json().unwrap_or_else(|| rails::app(text)),
    }
}

/// When a line was written, and how severe it is: what a histogram asks of each of millions.
pub(crate) fn glance(kind: LogKind, line: &[u8]) -> (Option<u64>, u32) {
    if kind == LogKind::NginxAccess
        && let Some((time, priority)) = access::glance(line)
    {
        return (Some(time), priority);
    }
    let line = read(kind, &String::from_utf8_lossy(line));
    (line.time, line.priority)
}

/// What the message of an entry of the journal says of a request.
pub(crate) fn of_message(text: &str) -> Line {
    let mut line = Line::default();
    match text.as_bytes() {
        [b'{', ..] => access::json(text).unwrap_or_default(),
        [b'[' | b'S' | b'C', ..] => {
            rails::message(text, &mut line);
            line
        }
        [b'D' | b'I' | b'W' | b'E' | b'F' | b'A', b',', ..] => rails::app(text),
        _ => line,
    }
}

/// The severity that a word means.
pub(crate) fn severity(word: &str) -> Option<u32> {
    const WORDS: [(&str, u32); 16] = [
        ("emerg", 0),
        ("panic", 0),
        ("alert", 1),
        ("crit", 2),
        ("critical", 2),
        ("fatal", 2),
        ("err", 3),
        ("error", 3),
        ("severe", 3),
        ("warn", 4),
        ("warning", 4),
        ("notice", 5),
        ("info", 6),
        ("unknown", 6),
        ("debug", 7),
        ("trace", 7),
    ];
    WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, severity)| *severity)
}
