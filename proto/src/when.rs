//! Points in time as people type them: `2 h`, `90 min ago`, `1d12h`, `today`, `18:30`, `2026-11-24 18:30`, RFC 3339.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

/// A text that names no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time; write `2 h ago`, `today`, `18:30`, `2026-11-24 18:30`")]
pub struct WhenError(String);

/// Reads a point in time, seen from `now` and in its zone. Gives microseconds since the epoch.
pub fn parse<Z: TimeZone>(text: &str, now: &DateTime<Z>) -> Result<i64, WhenError> {
    let refuse = || WhenError(text.chars().take(64).flat_map(char::escape_debug).collect());
    let words = text.trim().to_ascii_lowercase();
    let zone = now.timezone();
    let midnight = |days: i64| {
        now.date_naive().checked_sub_signed(Duration::days(days)).map(|d| d.and_time(NaiveTime::MIN))
    };
    let local = match words.as_str() {
        "now" => return Ok(now.timestamp_micros()),
        "today" => midnight(0),
        "yesterday" => midnight(1),
        _ => absolute(&words, now.date_naive()),
    };
    if let Some(local) = local {
        // A time that a clock change leaves out does not exist; the one it repeats is the earlier.
        return zone.from_local_datetime(&local).earliest().map(|t| t.timestamp_micros()).ok_or_else(refuse);
    }
    if let Ok(exact) = DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(exact.timestamp_micros());
    }
    let ago = words.strip_suffix("ago").unwrap_or(&words);
    let span = span(ago.trim().trim_start_matches("last ").trim_start_matches('-')).ok_or_else(refuse)?;
    now.clone().checked_sub_signed(span).map(|t| t.timestamp_micros()).ok_or_else(refuse)
}

/// As [`parse`], seen from the clock of this machine in UTC.
pub fn parse_utc(text: &str) -> Result<i64, WhenError> {
    parse(text, &Utc::now())
}

fn absolute(words: &str, today: NaiveDate) -> Option<NaiveDateTime> {
    let full = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dt%H:%M:%S%.f", "%Y-%m-%dt%H:%M"];
    let date = || NaiveDate::parse_from_str(words, "%Y-%m-%d").ok().map(|d| d.and_time(NaiveTime::MIN));
    let time = |form| NaiveTime::parse_from_str(words, form).ok().map(|t| today.and_time(t));
    full.iter()
        .find_map(|form| NaiveDateTime::parse_from_str(words, form).ok())
        .or_else(date)
        .or_else(|| time("%H:%M:%S"))
        .or_else(|| time("%H:%M"))
}

/// `1d12h`, `90 min`, `2 weeks`: numbers, each with a unit.
fn span(words: &str) -> Option<Duration> {
    let mut rest = words.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum = Duration::zero();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        sum = sum.checked_add(&Duration::try_seconds(number.checked_mul(seconds(&after[..end])?)?)?)?;
        rest = after[end..].trim_start();
    }
    Some(sum)
}

fn seconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Result<String, WhenError> {
        let now = Utc.with_ymd_and_hms(2026, 11, 24, 18, 40, 0).unwrap();
        parse(text, &now)
            .map(|us| DateTime::from_timestamp_micros(us).unwrap().format("%m-%d %H:%M:%S").to_string())
    }

    #[test]
    fn times_as_people_type_them() {
        for (typed, meant) in [
            ("now", "11-24 18:40:00"),
            ("2 h", "11-24 16:40:00"),
            ("2h ago", "11-24 16:40:00"),
            ("last 90 min", "11-24 17:10:00"),
            ("1d12h", "11-23 06:40:00"),
            ("-30s", "11-24 18:39:30"),
            ("today", "11-24 00:00:00"),
            ("Yesterday", "11-23 00:00:00"),
            ("18:30", "11-24 18:30:00"),
            ("2026-11-20", "11-20 00:00:00"),
            ("2026-11-20 07:05", "11-20 07:05:00"),
            ("2026-11-20T07:05:09", "11-20 07:05:09"),
            ("2026-11-20T07:05:09+02:00", "11-20 05:05:09"),
            ("2 weeks", "11-10 18:40:00"),
        ] {
            assert_eq!(at(typed).unwrap(), meant, "{typed}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for typed in [
            "",
            "h",
            "2",
            "2 parsecs",
            "-1",
            "99999999999999999999 h",
            "9223372036854775807 w",
            "2026-13-01",
            "25:00",
            "2h;ls",
            "\u{1b}[2J",
        ] {
            let error = at(typed).unwrap_err().to_string();
            assert!(error.contains("is not a time") && !error.contains('\u{1b}'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,30}") {
            let _ = at(&text);
        }
    }
}
