//! The time that a line begins with, in the forms that logs have. Microseconds since the epoch.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone as _};

const SECOND: i64 = 1_000_000;
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// `25/Nov/2026:02:40:38 +0000`, as nginx writes `$time_local`.
pub(super) fn common(text: &[u8]) -> Option<u64> {
    if text.len() < 26 || text[2] != b'/' || text[6] != b'/' || text[11] != b':' {
        return None;
    }
    let month = MONTHS.chunks_exact(3).position(|name| name == &text[3..6])? + 1;
    let date = date(digits(&text[7..11])?, month as i64, digits(&text[..2])?)?;
    let time = clock(&text[12..20])?;
    let seconds = date * 86_400 + time - offset(&text[21..26])?;
    u64::try_from(seconds * SECOND).ok()
}

/// `2026-11-25T02:40:38.123456Z`, with a blank for the `T`, any fraction, and `Z`, `+00:00`, ` +0000`, ` UTC` or nothing for
/// the zone; also with `/` in the date, as in nginx' error log. Gives how many bytes it has, too. Without a zone it is the host's.
pub(super) fn iso(text: &[u8]) -> Option<(u64, usize)> {
    if text.len() < 19 || !matches!((text[4], text[7]), (b'-', b'-') | (b'/', b'/')) {
        return None;
    }
    if !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let date = date(digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..10])?)?;
    let seconds = date * 86_400 + clock(&text[11..19])?;
    let (micros, mut at) = fraction(text, 19);
    let rest = &text[at..];
    let zone = match rest {
        [b'Z' | b'z', ..] => Some((0, 1)),
        [b' ', b'U', b'T', b'C', ..] => Some((0, 4)),
        [b'+' | b'-', b'0'..=b'9', ..] => zone(rest),
        [b' ', b'+' | b'-', b'0'..=b'9', ..] => zone(&rest[1..]).map(|(offset, length)| (offset, length + 1)),
        _ => None,
    };
    let utc = match zone {
        Some((offset, length)) => {
            at += length;
            seconds - offset
        }
        None => local(seconds)?,
    };
    Some((u64::try_from(utc * SECOND + micros).ok()?, at))
}

/// Seconds since the epoch with a fraction, as nginx writes `$msec`: `1795574438.123`.
pub(super) fn epoch(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !(9..=11).contains(&seconds.len()) || !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()? * SECOND as u64 + micros)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Some(number * 10 + i64::from(byte - b'0')),
        _ => None,
    })
}

/// `02:40:38` in seconds. 60 is a leap second.
fn clock(text: &[u8]) -> Option<i64> {
    let (hours, minutes, seconds) = (digits(&text[..2])?, digits(&text[3..5])?, digits(&text[6..8])?);
    let fits = text[2] == b':' && text[5] == b':' && hours < 24 && minutes < 60 && seconds <= 60;
    fits.then_some(hours * 3600 + minutes * 60 + seconds)
}

/// Days since the epoch (Howard Hinnant, chrono-Compatible Low-Level Date Algorithms): a line has no time for more.
fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// `+0130` in seconds.
fn offset(text: &[u8]) -> Option<i64> {
    let seconds = digits(&text[1..3])? * 3600 + digits(&text[3..5])? * 60;
    match text[0] {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// `+0130` or `+01:30`, and how many bytes it has.
fn zone(text: &[u8]) -> Option<(i64, usize)> {
    let mut plain = [0; 5];
    plain[..3].copy_from_slice(text.get(..3)?);
    let colon = usize::from(text.get(3) == Some(&b':'));
    plain[3..].copy_from_slice(text.get(3 + colon..5 + colon)?);
    Some((offset(&plain)?, 5 + colon))
}

/// `.123` at a place, in microseconds, and where it ends.
fn fraction(text: &[u8], at: usize) -> (i64, usize) {
    if !matches!(text.get(at), Some(b'.' | b',')) {
        return (0, at);
    }
    let digits = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut micros = 0;
    for place in 0..6 {
        let digit = if place < digits { i64::from(text[at + 1 + place] - b'0') } else { 0 };
        micros = micros * 10 + digit;
    }
    if digits == 0 { (0, at) } else { (micros, at + 1 + digits) }
}

/// The moment at which the host's clock on the wall showed this. Of two, the first.
fn local(wall: i64) -> Option<i64> {
    let wall: NaiveDateTime = DateTime::from_timestamp(wall, 0)?.naive_utc();
    debug_assert!(wall.date() >= NaiveDate::MIN, "in the range of chrono");
    Local.from_local_datetime(&wall).earliest().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, Utc};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_read_as_they_are_written(seconds in 0_i64..250_000_000_000, micros in 0_u32..1_000_000, zone in -14 * 60..=14 * 60) {
            let zone = FixedOffset::east_opt(zone * 60).unwrap();
            let time = Utc.timestamp_opt(seconds, micros * 1000).unwrap().with_timezone(&zone);
            let (whole, exact) = (seconds as u64 * 1_000_000, seconds as u64 * 1_000_000 + u64::from(micros));
            prop_assume!(time.format("%Y").to_string().len() == 4 && !time.format("%Y").to_string().starts_with("19"));
            prop_assert_eq!(common(time.format("%d/%b/%Y:%H:%M:%S %z").to_string().as_bytes()), Some(whole));
            for form in ["%Y-%m-%dT%H:%M:%S%.6f%:z", "%Y-%m-%d %H:%M:%S%.6f %z"] {
                let text = time.format(form).to_string();
                prop_assert_eq!(iso(format!("{text} said").as_bytes()), Some((exact, text.len())));
            }
            let here = time.with_timezone(&Local);
            // What the clock shows twice is taken for the first time.
            prop_assume!(Local.from_local_datetime(&here.naive_local()).single().is_some());
            prop_assert_eq!(iso(here.format("%Y/%m/%d %H:%M:%S [error]").to_string().as_bytes()), Some((whole, 19)));
        }

        #[test]
        fn anything_else_is_no_time(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[0-9/: TZ+.,-]{0,40}") {
            for text in [&bytes[..], text.as_bytes()] {
                common(text);
                iso(text);
                epoch(&String::from_utf8_lossy(text));
            }
        }
    }

    #[test]
    fn seconds_since_the_epoch() {
        assert_eq!(epoch("1795574438.123"), Some(1_795_574_438_123_000));
        assert_eq!(epoch("1795574438"), Some(1_795_574_438_000_000));
        assert_eq!(epoch("12"), None);
    }
}
