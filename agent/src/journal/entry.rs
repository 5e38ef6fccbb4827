//! One line of `journalctl -o json` as an entry of the contract.

use std::{borrow::Cow, fmt};

use hms_proto::host::v1::LogEntry;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

/// Longer messages are cut; a stack trace fits many times.
const MESSAGE_MAX: usize = 64 * 1024;

/// Fields that are asked for. journalctl adds cursor and times by itself.
pub(crate) const FIELDS: &str = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_SYSTEMD_UNIT,UNIT,\
                                 COREDUMP_UNIT,OBJECT_SYSTEMD_UNIT";

/// The fields of a line, borrowed from it where they can be.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(rename = "__CURSOR", borrow)]
    cursor: Cow<'a, str>,
    #[serde(rename = "__REALTIME_TIMESTAMP", borrow)]
    time: Cow<'a, str>,
    #[serde(rename = "MESSAGE", borrow, default)]
    message: Field<'a>,
    #[serde(rename = "PRIORITY", borrow, default)]
    priority: Field<'a>,
    #[serde(rename = "SYSLOG_IDENTIFIER", borrow, default)]
    identifier: Field<'a>,
    #[serde(rename = "_COMM", borrow, default)]
    comm: Field<'a>,
    #[serde(rename = "_PID", borrow, default)]
    pid: Field<'a>,
    #[serde(rename = "SYSLOG_PID", borrow, default)]
    syslog_pid: Field<'a>,
    #[serde(rename = "_SYSTEMD_UNIT", borrow, default)]
    systemd_unit: Field<'a>,
    #[serde(rename = "UNIT", borrow, default)]
    unit: Field<'a>,
    #[serde(rename = "COREDUMP_UNIT", borrow, default)]
    coredump_unit: Field<'a>,
    #[serde(rename = "OBJECT_SYSTEMD_UNIT", borrow, default)]
    object_unit: Field<'a>,
}

/// A field as text: journalctl writes a string; numbers where the bytes are not UTF-8; a list when it was given
/// several times; null when it leaves a large one out.
#[derive(Debug, Default)]
struct Field<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FieldVisitor).map(Field)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, bytes, a list of those, or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut bytes, mut texts) = (Vec::new(), Vec::<String>::new());
        while let Some(item) = items.next_element::<Item<'de>>()? {
            match item {
                Item::Byte(byte) => bytes.push(byte),
                Item::Text(text) => texts.push(text.into_owned()),
            }
        }
        if texts.is_empty() {
            return Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()));
        }
        Ok(Cow::Owned(texts.join("\n")))
    }
}

/// An item of a list: a byte of one value, or one of several values.
enum Item<'a> {
    Byte(u8),
    Text(Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte, a string or bytes")
            }
            fn visit_u64<E>(self, byte: u64) -> Result<Self::Value, E> {
                Ok(Item::Byte(u8::try_from(byte).unwrap_or(b'?')))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Item::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Item::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Item::Text(Cow::Borrowed("")))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Self::Value, A::Error> {
                let mut value = Vec::new();
                while let Some(byte) = bytes.next_element::<u8>()? {
                    value.push(byte);
                }
                Ok(Item::Text(Cow::Owned(String::from_utf8_lossy(&value).into_owned())))
            }
        }
        from.deserialize_any(ItemVisitor)
    }
}

/// Reads one line.
pub(crate) fn parse(line: &[u8]) -> serde_json::Result<LogEntry> {
    let raw: Raw<'_> = serde_json::from_slice(line)?;
    let (message, truncated_bytes) = cut(raw.message.0);
    let number = |field: &Field<'_>| field.0.parse::<u32>().ok();
    Ok(LogEntry {
        cursor: raw.cursor.into_owned(),
        time_usec: raw.time.parse().unwrap_or(0),
        // What has no priority is as severe as what printf wrote: info.
        priority: number(&raw.priority).filter(|p| *p <= 7).unwrap_or(6),
        unit: unit_of(&raw.systemd_unit, &raw.unit, &raw.coredump_unit, &raw.object_unit),
        identifier: if raw.identifier.0.is_empty() { raw.comm.0 } else { raw.identifier.0 }.into_owned(),
        pid: number(&raw.pid).or_else(|| number(&raw.syslog_pid)).unwrap_or(0),
        message,
        truncated_bytes,
    })
}

/// The unit an entry is about. Only PID 1 and the system's own handlers are believed when they name another one: any
/// program can write these fields.
fn unit_of(own: &Field<'_>, unit: &Field<'_>, coredump: &Field<'_>, object: &Field<'_>) -> String {
    let about = match own.0.as_ref() {
        "init.scope" | "" => [unit, object].into_iter().find(|f| !f.0.is_empty()),
        name if name.starts_with("systemd-coredump") => Some(coredump).filter(|f| !f.0.is_empty()),
        _ => None,
    };
    about.unwrap_or(own).0.clone().into_owned()
}

fn cut(message: Cow<'_, str>) -> (String, u64) {
    if message.len() <= MESSAGE_MAX {
        return (message.into_owned(), 0);
    }
    let end = message.floor_char_boundary(MESSAGE_MAX);
    (message[..end].to_owned(), (message.len() - end) as u64)
}

/// How much of memory an entry takes, about.
pub(crate) fn size(entry: &LogEntry) -> usize {
    entry.message.len() + entry.cursor.len() + entry.unit.len() + entry.identifier.len() + 64
}

/// The cursor of a line, when nothing else of it matters.
pub(crate) fn cursor_of(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(rename = "__CURSOR", borrow)]
        cursor: Cow<'a, str>,
    }
    serde_json::from_slice::<Only<'_>>(line).ok().map(|o| o.cursor.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &str) -> Vec<u8> {
        format!(r#"{{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000000001","__MONOTONIC_TIMESTAMP":"1",{fields}}}"#)
            .into_bytes()
    }

    #[test]
    fn an_ordinary_entry() {
        let fields = r#""MESSAGE":"Started \"GET\" /","PRIORITY":"3","_PID":"42","SYSLOG_IDENTIFIER":"puma","_SYSTEMD_UNIT":"puma-cigar.service","_BOOT_ID":"x""#;
        let entry = parse(&line(fields)).unwrap();
        assert_eq!(entry.message, "Started \"GET\" /");
        assert_eq!((entry.priority, entry.pid, entry.time_usec), (3, 42, 1_700_000_000_000_001));
        assert_eq!((entry.unit.as_str(), entry.identifier.as_str()), ("puma-cigar.service", "puma"));
        assert_eq!(cursor_of(&line(fields)).as_deref(), Some("s=1;i=2"));
    }

    #[test]
    fn a_message_in_every_form_journalctl_has() {
        let of = |message: &str| parse(&line(&format!(r#""MESSAGE":{message}"#))).unwrap().message;
        assert_eq!(of("[104,105,255]"), "hi\u{fffd}");
        assert_eq!(of("null"), "");
        assert_eq!(of(r#"["one","two"]"#), "one\ntwo");
        assert_eq!(of(r#"[[104,105],"two",null]"#), "hi\ntwo\n");
        assert_eq!(of("[]"), "");
        assert_eq!(parse(&line(r#""PRIORITY":"9""#)).unwrap().message, "");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = "é".repeat(40_000);
        let entry = parse(&line(&format!(r#""MESSAGE":"{long}""#))).unwrap();
        assert_eq!(entry.message.len() as u64 + entry.truncated_bytes, 80_000);
        assert!(entry.message.len() <= MESSAGE_MAX);
    }

    #[test]
    fn only_the_system_may_speak_about_another_unit() {
        let of = |own: &str| {
            parse(&line(&format!(r#""_SYSTEMD_UNIT":"{own}","UNIT":"puma-cigar.service""#))).unwrap().unit
        };
        assert_eq!(of("init.scope"), "puma-cigar.service");
        assert_eq!(of("evil.service"), "evil.service");
    }

    #[test]
    fn rubbish_is_an_error() {
        for bad in ["", "{", "[]", r#"{"MESSAGE":"x"}"#, "\u{1}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
