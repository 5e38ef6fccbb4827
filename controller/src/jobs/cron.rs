//! Times in cron's syntax: five fields, in UTC.

use chrono::{DateTime, TimeDelta, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use hms_proto::fault::Fault;

/// A time that passed by less is not missed: the run begins a little late.
const GRACE: TimeDelta = TimeDelta::seconds(60);
/// More times that passed are not counted one by one.
const MOST_COUNTED: u32 = 10_000;

/// When something happens.
#[derive(Debug, Clone)]
pub(crate) struct Times(Cron);

/// What became of the times up to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Whether the newest one is now, give or take a minute.
    pub(crate) is_due: bool,
    /// How many others passed, and the first of them.
    pub(crate) missed: u32,
    pub(crate) missed_since: Option<DateTime<Utc>>,
    /// The next one after now.
    pub(crate) next_at: DateTime<Utc>,
}

impl Times {
    /// Reads them.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let bad = |why: String| {
            Fault::invalid(format!("`{}` are no times: {why}", text.escape_debug().to_string().get(..64).unwrap_or(text)))
                .hint("Five fields: minute, hour, day of the month, month, day of the week. `30 6 * * 1-5` is 06:30 UTC from Monday to Friday.")
        };
        if text.len() > 128 || text.split_ascii_whitespace().count() != 5 {
            return Err(bad("there must be five fields".into()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let times = Self(parser.parse(text).map_err(|error| bad(error.to_string()))?);
        match times.after(Utc::now()) {
            Some(_) => Ok(times),
            None => Err(bad("there is no such day".into())),
        }
    }

    /// The same in words.
    pub(crate) fn words(&self) -> String {
        let words = self.0.describe();
        let words = words.trim_end_matches('.');
        format!("{words} (UTC)")
    }

    /// The next time after this one.
    pub(crate) fn after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_next_occurrence(&time, false).ok()
    }

    /// The next times after this one.
    pub(crate) fn next(&self, time: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.after(time), |last| self.after(*last)).take(count).collect()
    }

    /// Looks at the times from `first` on. None when there is no further one.
    pub(crate) fn reached(&self, first: DateTime<Utc>, now: DateTime<Utc>) -> Option<Reached> {
        let next_at = self.after(now)?;
        let (mut passed, mut last, mut time) = (0, first, Some(first));
        while let Some(reached) = time.filter(|t| *t <= now && passed < MOST_COUNTED) {
            (passed, last, time) = (passed + 1, reached, self.after(reached));
        }
        let is_due = passed > 0 && passed < MOST_COUNTED && now - last < GRACE;
        let missed = passed - u32::from(is_due);
        Some(Reached { is_due, missed, missed_since: Some(first).filter(|_| missed > 0), next_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-24T{text}Z").parse().unwrap()
    }

    #[test]
    fn five_fields_and_nothing_else_are_times() {
        for good in ["* * * * *", "*/15 * * * *", "30 6 * * 1-5", "0 0 29 2 *", "0 12 * * MON"] {
            assert!(Times::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "@daily",
            "* * * *",
            "* * * * * *",
            "0 0 30 2 *",
            "60 * * * *",
            "* 24 * * *",
            "*/0 * * * *",
            "a b c d e",
            "-1 * * * *",
            "* * * * *; rm",
            "é é é é é",
            &"* ".repeat(500),
        ] {
            assert!(Times::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn next_times_follow_each_other() {
        let times = Times::parse("30 6 * * *").unwrap();
        let days: Vec<_> = times.next(at("12:00:00"), 3).iter().map(ToString::to_string).collect();
        assert_eq!(days, ["2026-11-25 06:30:00 UTC", "2026-11-26 06:30:00 UTC", "2026-11-27 06:30:00 UTC"]);
        assert_eq!(times.after(at("06:30:00")).unwrap().to_string(), "2026-11-25 06:30:00 UTC");
    }

    #[test]
    fn times_that_passed_are_missed_and_the_one_that_is_now_is_due() {
        let times = Times::parse("*/10 * * * *").unwrap();
        let reached = |first, now| times.reached(at(first), at(now)).unwrap();
        let on_time = reached("12:00:00", "12:00:01");
        assert_eq!((on_time.is_due, on_time.missed, on_time.next_at), (true, 0, at("12:10:00")));
        let late = reached("12:00:00", "12:01:00");
        assert_eq!((late.is_due, late.missed, late.missed_since), (false, 1, Some(at("12:00:00"))));
        let long = reached("12:00:00", "13:05:00");
        assert_eq!((long.is_due, long.missed, long.next_at), (false, 7, at("13:10:00")));
        let back_in_time = reached("12:00:00", "13:10:30");
        assert_eq!((back_in_time.is_due, back_in_time.missed), (true, 7));
        let early = reached("12:10:00", "12:00:00");
        assert_eq!((early.is_due, early.missed), (false, 0));
        let ages =
            Times::parse("* * * * *").unwrap().reached(at("12:00:00") - TimeDelta::days(900), at("12:00:00"));
        assert_eq!(ages.unwrap().missed, MOST_COUNTED);
    }
}
