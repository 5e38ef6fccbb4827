//! Sizes, spans and points in time, as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, Utc};

/// Now, in microseconds since the epoch.
pub(crate) fn now_usec() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A size in binary units: `412 MiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A span with its two largest units: `3d 4h`, `5m 12s`.
pub(crate) fn span(usec: i64) -> String {
    let seconds = usec.max(0) / 1_000_000;
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, m) => format!("{m}m {s}s"),
        (0, h, m) => format!("{h}h {m}m"),
        (d, h, _) => format!("{d}d {h}h"),
    }
}

/// A span with its largest unit: `3 d`, `2 h`.
fn rough(usec: i64) -> String {
    let seconds = usec.max(0) / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A point in time, seen from now: `3 min ago`, `in 11 h`.
pub(crate) fn relative(usec: i64, now: i64) -> String {
    match usec {
        0 => "never".into(),
        // Twelve hours from a moment ago are still called twelve.
        t if t > now => format!("in {}", rough(t - now + 30_000_000)),
        t => format!("{} ago", rough(now - t)),
    }
}

/// How long something took: `340 ms`, `1.4 s`, `1m 12s`.
pub(crate) fn took(ms: u32) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", f64::from(ms) / 1000.0),
        _ => span(i64::from(ms) * 1000),
    }
}

/// A share of one: `12 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A point in time of a log line, local or UTC.
pub(crate) fn stamp(usec: i64, utc: bool) -> String {
    const FORM: &str = "%b %d %H:%M:%S%.3f";
    let time = DateTime::from_timestamp_micros(usec).unwrap_or_default();
    if utc { time.format(FORM).to_string() } else { time.with_timezone(&Local).format(FORM).to_string() }
}

/// A point in time in full, local, with its zone.
pub(crate) fn full(usec: i64) -> String {
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(usec).unwrap_or_default();
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let shown = [0, 1023, 1024, 1_572_864, 432_013_312, 1_073_741_823, 1_610_612_736, u64::MAX].map(size);
        let wanted = ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "412 MiB", "1.0 GiB", "1.5 GiB", "16384 PiB"];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn spans_and_times() {
        let s = 1_000_000;
        assert_eq!([5, 312, 7_500, 273_600].map(|n| span(n * s)), ["5s", "5m 12s", "2h 5m", "3d 4h"]);
        let now = 1_000_000 * s;
        assert_eq!(relative(now - 200 * s, now), "3 min ago");
        assert_eq!(relative(now + 11 * 3_600 * s, now), "in 11 h");
        assert_eq!(relative(0, now), "never");
        assert_eq!([340, 1_420, 72_000].map(took), ["340 ms", "1.4 s", "1m 12s"]);
        assert_eq!(stamp(0, true), "Jan 01 00:00:00.000");
    }
}
