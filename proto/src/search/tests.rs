//! A search in each of its forms, there and back.

use chrono::{TimeZone as _, Utc};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::host::v1::{LogKind, LogSource};

/// Reads an address as browsers write it.
fn parse(query: &str) -> Result<Search, Fault> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    });
    Search::from_pairs(pairs)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
                let hex = std::str::from_utf8(&digits).unwrap_or_default();
                bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn any_search() -> impl Strategy<Value = Search> {
    let names = (
        vec("[a-z][a-z0-9]{1,9}", 0..3),
        vec("[a-z][a-z0-9-]{0,9}[a-z0-9]", 0..3),
        vec("[a-z][a-z0-9]{0,9}\\.service", 0..3),
        vec("(journal|app|access|error|error/[a-z]{1,9}\\.log|app/[a-z]{1,9}\\.log)", 0..3),
    );
    let time = prop_oneof![Just(""), Just("2 h"), Just("1d12h ago"), Just("today"), Just("2026-11-24 18:30")];
    let what = (
        option::of(0u32..8),
        (time.clone(), time),
        "(|\\PC{1,20})",
        vec("[a-z_]{1,9}(=|!=|>=|<=|>|<|~|!~)\\PC{0,9}", 0..3),
        any::<bool>(),
        option::of(1u32..100_000),
    );
    (names, what).prop_map(
        |((apps, hosts, units, sources), (priority, times, grep, wheres, oldest, lines))| {
            let mut pairs: Vec<(&str, String)> = Vec::new();
            for (name, values) in
                [("app", apps), ("host", hosts), ("unit", units), ("source", sources), ("where", wheres)]
            {
                pairs.extend(values.into_iter().map(|value| (name, value)));
            }
            pairs.push(("since", times.0.into()));
            pairs.push(("until", times.1.into()));
            pairs.push(("grep", grep));
            pairs.extend(priority.map(|p| ("priority", p.to_string())));
            pairs.extend(oldest.then(|| ("from", "oldest".to_owned())));
            pairs.extend(lines.map(|n| ("lines", n.to_string())));
            Search::from_pairs(pairs).expect("made of good parts")
        },
    )
}

proptest! {
    #[test]
    fn a_search_survives_its_address(search in any_search()) {
        prop_assert_eq!(Search::from_pairs(search.to_pairs()).unwrap(), search.clone());
        prop_assert_eq!(parse(&search.to_query()).unwrap(), search);
    }

    #[test]
    fn nothing_makes_it_panic(query in "\\PC{0,60}", name in "(app|host|unit|source|priority|since|grep|where|from|lines)", value in "\\PC{0,30}") {
        let _ = parse(&query);
        let _ = Search::from_pairs([(name, value)]);
    }
}

/// Security cases 19 and 23.
#[test]
fn what_is_no_parameter_or_no_value_is_refused_by_name() {
    for (bad, why) in [
        ("colour=red", "`colour` is no parameter"),
        ("access_token=x", "`access_token` is no parameter"),
        ("%1b[2J=", "no parameter"),
        ("app=../etc", "app"),
        ("host=-x", "host"),
        ("unit=--all", "unit name"),
        ("source=secrets", "`secrets` is no source"),
        ("source=access/../../etc/passwd", "no source"),
        ("source=journal/x", "no source"),
        ("priority=8", "`8` is not a severity"),
        ("priority=-1", "not a severity"),
        ("priority=%2b3", "not a severity"),
        ("since=whenever", "not a time"),
        ("until=%00", "not a time"),
        ("where=500", "not a condition"),
        ("where=%3e%3d500", "begins with no name"),
        ("from=middle", "`from` is"),
        ("lines=0", "not a number of lines"),
        ("lines=-1", "not a number of lines"),
        ("lines=1e3", "not a number of lines"),
        ("lines=9223372036854775808", "not a number of lines"),
        ("lines=1&lines=2", "`lines` is given 2 times"),
    ] {
        let fault = parse(bad).expect_err(bad);
        assert!(fault.message.contains(why), "{bad}: {}", fault.message);
        assert!(!fault.message.contains('\u{1b}'), "{bad}");
    }
    let many = vec!["app=cigar"; MOST + 1].join("&");
    assert!(parse(&many).is_err(), "a search has an end");
}

fn known() -> Known {
    let name = |text: &str| HostName::try_from(text).unwrap();
    let app = |key: &str, host: &str| (AppKey::try_from(key).unwrap(), name(host));
    Known {
        apps: vec![app("cigar", "asterra"), app("tobacco", "borealis"), app("pipe", "asterra")],
        hosts: vec![name("asterra"), name("borealis")],
    }
}

fn asked(query: &str) -> Vec<(String, Vec<String>, Vec<String>)> {
    let now = Utc.with_ymd_and_hms(2026, 11, 24, 18, 40, 0).unwrap();
    let lanes = parse(query).unwrap().lanes(&known(), &now).unwrap();
    let source = |source: &LogSource| {
        let kind = LogKind::try_from(source.kind).unwrap().as_str_name().trim_start_matches("LOG_KIND_");
        format!("{kind} {} {}", source.app, source.name).trim_end().to_lowercase()
    };
    lanes
        .into_iter()
        .map(|lane| {
            let sources = lane.query.sources.iter().map(source).collect();
            (lane.host.to_string(), lane.query.units, sources)
        })
        .collect()
}

#[test]
fn hosts_are_asked_for_what_they_have() {
    let lane = |host: &str, units: &[&str], sources: &[&str]| {
        let all = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        (host.to_owned(), all(units), all(sources))
    };
    let everywhere = [lane("asterra", &[], &["journal"]), lane("borealis", &[], &["journal"])];
    assert_eq!(asked(""), everywhere);
    let app = [lane("asterra", &["puma-cigar.service"], &["journal", "app cigar"])];
    assert_eq!(asked("app=cigar"), app);
    assert_eq!(asked("host=borealis&unit=cron.service"), [lane("borealis", &["cron.service"], &["journal"])]);
    let files = [lane("asterra", &[], &["app cigar", "app pipe"]), lane("borealis", &[], &["app tobacco"])];
    assert_eq!(asked("source=app"), files);
    assert_eq!(
        asked("host=asterra&source=access&source=error/cigar.error.log"),
        [lane("asterra", &[], &["nginx_access", "nginx_error  cigar.error.log"])]
    );
    let of_app = ["nginx_access  cigar.access.log", "nginx_error  main.log"];
    assert_eq!(
        asked("app=cigar&source=access&source=error/main.log"),
        [lane("asterra", &["puma-cigar.service"], &of_app)]
    );
}

#[test]
fn times_are_those_of_the_reader_and_in_order() {
    let now = Utc.with_ymd_and_hms(2026, 11, 24, 18, 40, 0).unwrap();
    let search = parse("since=2+h&until=18:30").unwrap();
    let hour = 3_600_000_000;
    assert_eq!(
        search.range(&now).unwrap(),
        (now.timestamp_micros() - 2 * hour, now.timestamp_micros() - hour / 6)
    );
    assert!(parse("since=now&until=1+h").unwrap().range(&now).is_err());
    assert!(parse("app=nobody").unwrap().lanes(&known(), &now).is_err());
    assert!(parse("host=nowhere").unwrap().lanes(&known(), &now).is_err());
}
