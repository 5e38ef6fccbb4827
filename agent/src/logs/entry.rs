//! An entry of the journal as an entry of the contract.

use std::collections::BTreeMap;

use hms_journal::{Entry, Journal};
use hms_proto::host::v1::{LogEntry, LogGap};

use super::{line, source::JOURNAL};

/// Longer messages are cut; a stack trace fits many times.
const MESSAGE_MAX: usize = 64 * 1024;
/// What journald says when a unit wrote faster than its rate limit allows (sd-messages(3), SD_MESSAGE_JOURNAL_DROPPED).
const DROPPED: &[u8] = b"a596d6fe7bfa4994828e72309e95d61e";

/// Of all the fields of an entry, so many are shown, each up to so many bytes.
const FIELDS_MAX: usize = 128;
const FIELD_MAX: usize = 4096;

/// The fields that are shown or looked at, of the dozens that an entry has.
static NAMES: [&[u8]; 12] = [
    b"MESSAGE",
    b"PRIORITY",
    b"SYSLOG_IDENTIFIER",
    b"_COMM",
    b"_PID",
    b"SYSLOG_PID",
    b"_SYSTEMD_UNIT",
    b"UNIT",
    b"COREDUMP_UNIT",
    b"OBJECT_SYSTEMD_UNIT",
    b"MESSAGE_ID",
    b"N_DROPPED",
];

/// What is made of an entry.
#[derive(Debug)]
pub(crate) enum Read {
    /// An entry.
    Entry(Box<LogEntry>),
    /// journald says that it left some out.
    Gap(LogGap),
}

/// The fields that matter, as they are found.
#[derive(Debug, Default)]
struct Fields {
    message: Vec<u8>,
    /// Of the message, also what was left out.
    length: usize,
    has_message: bool,
    priority: Option<u32>,
    identifier: String,
    comm: String,
    pid: Option<u32>,
    syslog_pid: Option<u32>,
    own: String,
    unit: String,
    coredump: String,
    object: String,
    is_dropped: bool,
    dropped: u64,
    /// Every field, where they are wanted.
    all: Option<BTreeMap<String, String>>,
}

/// Reads an entry, with every field where they are wanted. `None`: its fields cannot be read.
pub(crate) fn read(journal: &mut Journal, entry: &Entry, all: bool) -> Option<Read> {
    let mut fields = Fields { all: all.then(BTreeMap::new), ..Fields::default() };
    match all {
        true => journal.fields(entry, |name, value| fields.take(name, value)).ok()?,
        false => journal.fields_of(entry, &NAMES, |name, value| fields.take(name, value)).ok()?,
    }
    let time_usec = i64::try_from(entry.cursor.realtime).unwrap_or(i64::MAX);
    if fields.is_dropped {
        let (reason, source) = ("rate-limit".into(), JOURNAL.into());
        let count = fields.dropped;
        return Some(Read::Gap(LogGap { reason, count, from_usec: 0, to_usec: time_usec, source }));
    }
    let mut read = fields.entry();
    read.cursor = entry.cursor.text();
    read.time_usec = time_usec;
    Some(Read::Entry(Box::new(read)))
}

fn text(value: &[u8]) -> String {
    // Mostly it is text, and to find that out is faster than to look for what is not.
    str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value).into_owned(), str::to_owned)
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        if let Some(all) = self.all.as_mut().filter(|all| all.len() < FIELDS_MAX) {
            all.insert(text(name), text(&value[..value.len().min(FIELD_MAX)]));
        }
        match name {
            b"MESSAGE" => self.take_message(value),
            b"PRIORITY" => self.priority = number(value),
            b"SYSLOG_IDENTIFIER" => self.identifier = text(value),
            b"_COMM" => self.comm = text(value),
            b"_PID" => self.pid = number(value),
            b"SYSLOG_PID" => self.syslog_pid = number(value),
            b"_SYSTEMD_UNIT" => self.own = text(value),
            b"UNIT" => self.unit = text(value),
            b"COREDUMP_UNIT" => self.coredump = text(value),
            b"OBJECT_SYSTEMD_UNIT" => self.object = text(value),
            b"MESSAGE_ID" => self.is_dropped |= value == DROPPED,
            b"N_DROPPED" => self.dropped = number(value).unwrap_or(0).into(),
            _ => {}
        }
    }

    /// A message that was given several times is one of several lines.
    fn take_message(&mut self, value: &[u8]) {
        let between: &[u8] = if self.has_message { b"\n" } else { b"" };
        self.has_message = true;
        self.length += between.len() + value.len();
        for part in [between, value] {
            let room = (MESSAGE_MAX + 4).saturating_sub(self.message.len());
            self.message.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn entry(self) -> LogEntry {
        let unit = self.about().to_owned();
        let mut message = text(&self.message);
        let mut truncated_bytes = 0;
        if self.length > MESSAGE_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
            truncated_bytes = self.length.saturating_sub(message.len()) as u64;
        }
        let line = line::of_message(&message);
        LogEntry {
            // What has no priority is as severe as what printf wrote: info.
            priority: self.priority.filter(|p| *p <= 7).unwrap_or(6),
            unit,
            identifier: if self.identifier.is_empty() { self.comm } else { self.identifier },
            pid: self.pid.or(self.syslog_pid).unwrap_or(0),
            message,
            truncated_bytes,
            source: JOURNAL.into(),
            access: line.access,
            request_id: line.request_id,
            fields: self.all.unwrap_or_default(),
            ..LogEntry::default()
        }
    }

    /// The unit an entry is about. Only PID 1 and the system's own handlers are believed when they name another one: any
    /// program can write these fields.
    fn about(&self) -> &str {
        let about = match self.own.as_str() {
            "init.scope" | "" => [&self.unit, &self.object].into_iter().find(|f| !f.is_empty()),
            name if name.starts_with("systemd-coredump") => Some(&self.coredump).filter(|f| !f.is_empty()),
            _ => None,
        };
        about.unwrap_or(&self.own)
    }
}

/// How much of memory an entry takes, about.
pub(crate) fn size(entry: &LogEntry) -> usize {
    let access = entry.access.as_ref().map_or(0, |a| a.path.len() + a.referer.len() + a.agent.len() + 128);
    let fields = entry.fields.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>();
    entry.message.len()
        + entry.cursor.len()
        + entry.unit.len()
        + entry.identifier.len()
        + access
        + fields
        + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &[u8])]) -> LogEntry {
        let mut found = Fields::default();
        fields.iter().for_each(|(name, value)| found.take(name.as_bytes(), value));
        found.entry()
    }

    #[test]
    fn an_ordinary_entry() {
        let entry = of(&[
            ("PRIORITY", b"3"),
            ("_PID", b"42"),
            ("SYSLOG_IDENTIFIER", b"puma"),
            ("_COMM", b"ruby"),
            ("_SYSTEMD_UNIT", b"puma-cigar.service"),
            ("MESSAGE", b"Started \"GET\" /"),
        ]);
        assert_eq!(entry.message, "Started \"GET\" /");
        assert_eq!((entry.priority, entry.pid), (3, 42));
        assert_eq!((entry.unit.as_str(), entry.identifier.as_str()), ("puma-cigar.service", "puma"));
    }

    #[test]
    fn messages_of_every_kind() {
        assert_eq!(of(&[("MESSAGE", b"hi\xff")]).message, "hi\u{fffd}");
        assert_eq!(of(&[("MESSAGE", b"one"), ("MESSAGE", b""), ("MESSAGE", b"two")]).message, "one\n\ntwo");
        assert_eq!(
            of(&[("PRIORITY", b"9")]),
            LogEntry { priority: 6, source: JOURNAL.into(), ..LogEntry::default() }
        );
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let entry = of(&[("MESSAGE", "é".repeat(40_000).as_bytes())]);
        assert_eq!(entry.message.len() as u64 + entry.truncated_bytes, 80_000);
        assert!(entry.message.len() <= MESSAGE_MAX && entry.message.ends_with('é'));
    }

    #[test]
    fn only_the_system_may_speak_about_another_unit() {
        let of = |own: &str| of(&[("_SYSTEMD_UNIT", own.as_bytes()), ("UNIT", b"puma-cigar.service")]).unit;
        assert_eq!(of("init.scope"), "puma-cigar.service");
        assert_eq!(of("evil.service"), "evil.service");
    }
}
