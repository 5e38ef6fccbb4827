//! How times, sizes, shares and durations are written, everywhere the same.

use chrono::{DateTime, Utc};

const SECOND: i64 = 1_000_000;

/// A number, however often it is borrowed: templates hand over references of any depth.
pub trait Value<T> {
    /// The number itself.
    fn value(self) -> T;
}

impl Value<i64> for i64 {
    fn value(self) -> i64 {
        self
    }
}

impl Value<u64> for u64 {
    fn value(self) -> u64 {
        self
    }
}

impl Value<f64> for f64 {
    fn value(self) -> f64 {
        self
    }
}

impl<T, V: Value<T> + Copy> Value<T> for &V {
    fn value(self) -> T {
        (*self).value()
    }
}

fn moment(us: impl Value<i64>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us.value()).unwrap_or_default()
}

/// For people: `2026-11-24 18:46:53 UTC`.
pub fn absolute(us: impl Value<i64>) -> String {
    moment(us).format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// For machines, in `<time datetime>`: `2026-11-24T18:46:53.120Z`.
pub fn iso(us: impl Value<i64>) -> String {
    moment(us).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The time of day of a log row, in UTC: `18:46:53.120`.
pub fn clock(us: impl Value<i64>) -> String {
    moment(us).format("%H:%M:%S%.3f").to_string()
}

/// The day of a log row: `Nov 24`.
pub fn day(us: impl Value<i64>) -> String {
    moment(us).format("%b %e").to_string()
}

/// `12 min ago`, `in 5 h`, `just now`.
pub fn relative(us: impl Value<i64>, now_us: impl Value<i64>) -> String {
    let (us, now_us) = (us.value(), now_us.value());
    let away = now_us - us;
    if away.abs() < 5 * SECOND {
        return "just now".to_owned();
    }
    let length = duration(away.unsigned_abs() / SECOND as u64);
    if away > 0 { format!("{length} ago") } else { format!("in {length}") }
}

/// How long since a moment: `3 d 4 h`.
pub fn since(us: impl Value<i64>, now_us: impl Value<i64>) -> String {
    let (us, now_us) = (us.value(), now_us.value());
    duration((now_us - us).max(0) as u64 / SECOND as u64)
}

/// Two units at most: `3 d 4 h`, `12 min`, `8 s`.
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 if minutes > 0 => format!("{hours} h {minutes} min"),
        3_600..86_400 => format!("{hours} h"),
        86_400..864_000 if hours > 0 => format!("{days} d {hours} h"),
        _ => format!("{days} d"),
    }
}

/// How long something took: `340 ms`, `2.4 s`, `3 min`.
pub fn took(ms: impl Value<u64>) -> String {
    let ms = ms.value();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        _ => duration(ms / 1_000),
    }
}

/// In binary units: `412 MiB`, `1.5 GiB`.
pub fn bytes(bytes: impl Value<u64>) -> String {
    let bytes = bytes.value();
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A share of 1: `62 %`.
pub fn percent(share: impl Value<f64>) -> String {
    let share = share.value();
    let value = share * 100.0;
    let digits = usize::from(value > 0.0 && value < 9.95);
    format!("{value:.digits$} %")
}

/// A load average: `0.42`.
pub fn load(value: impl Value<f64>) -> String {
    let value = value.value();
    format!("{value:.2}")
}

/// A share of 1 of which `used` is of `total`.
pub fn share(used: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { used as f64 / total as f64 }
}

/// A link with a query; fields without a value are left out.
pub fn href(path: &str, fields: &[(&str, &String)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Percent-encoding of one component of a URL.
pub fn encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Text from outside as it can be shown: terminal sequences are taken out, tabs stay, and what has no shape or turns the
/// reading direction is shown by its number, so that a line cannot look like something else.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.trim_end_matches(['\n', '\r']).chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => skip_sequence(&mut chars),
            '\n' => shown.push(char),
            _ => push_visible(char, &mut shown),
        }
    }
    shown
}

/// One character as it can be shown: what has no shape or turns the reading direction becomes its number.
pub(crate) fn push_visible(char: char, shown: &mut String) {
    match char {
        '\t' => shown.push(char),
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            number(char, shown)
        }
        _ if char.is_control() => number(char, shown),
        _ => shown.push(char),
    }
}

fn number(char: char, shown: &mut String) {
    shown.push_str(&format!("\u{27e8}{:02X}\u{27e9}", u32::from(char)));
}

/// ECMA-48: `ESC [ … final` (CSI), `ESC ] … BEL` or `ESC ] … ESC \` (OSC and its kin), else one character.
pub(crate) fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            while chars.next_if(|char| matches!(char, '\u{20}'..='\u{3f}')).is_some() {}
            chars.next_if(|char| matches!(char, '\u{40}'..='\u{7e}'));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(char) = chars.next() {
                if char == '\u{7}' || (char == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
            (864_000, "10 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn sizes_are_binary() {
        for (size, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (432_013_312, "412 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = 1_795_545_600 * SECOND;
        assert_eq!(relative(now, now), "just now");
        assert_eq!(relative(now - 720 * SECOND, now), "12 min ago");
        assert_eq!(relative(now + 18_000 * SECOND, now), "in 5 h");
        assert_eq!(since(now + 1, now), "0 s");
        assert_eq!(absolute(now), "2026-11-24 18:40:00 UTC");
        assert_eq!(iso(now), "2026-11-24T18:40:00.000Z");
        assert_eq!(iso(i64::MAX), iso(0), "a moment outside the calendar is not a panic");
    }

    #[test]
    fn shares_of_nothing_are_nothing() {
        assert_eq!(share(1, 0), 0.0);
        assert_eq!(percent(0.62), "62 %");
        assert_eq!(percent(0.034), "3.4 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn terminal_sequences_do_not_reach_the_page() {
        for (raw, shown) in [
            ("\u{1b}[1m\u{1b}[36mLoad (0.1ms)\u{1b}[0m SELECT", "Load (0.1ms) SELECT"),
            ("\u{1b}]8;;http://evil\u{7}click\u{1b}]8;;\u{1b}\\ me", "click me"),
            ("a\u{202e}b\u{0}c\td\n", "a⟨202E⟩b⟨00⟩c\td"),
            ("\u{9b}31m", "⟨9B⟩31m"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
        ] {
            assert_eq!(plain(raw), shown);
        }
    }
}
