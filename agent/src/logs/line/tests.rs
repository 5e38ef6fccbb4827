//! Lines as nginx, Rails and others write them, and lines that nobody would.

use proptest::prelude::*;

use super::*;

const TIME: u64 = 1_795_574_438_000_000;

fn access(text: &str) -> (Line, LogAccess) {
    let line = read(LogKind::NginxAccess, text);
    let access = line.access.clone().unwrap_or_else(|| panic!("{text}"));
    (line, access)
}

#[test]
fn combined_lines_with_and_without_additions() {
    let head = r#"10.0.0.1 - - [25/Nov/2026:02:40:38 +0000] "GET /a?b=\x22c HTTP/1.1" 502 157 "-" "curl/8""#;
    let (line, of) = access(head);
    assert_eq!((line.time, line.priority), (Some(TIME), 3));
    assert_eq!((of.status, of.bytes, of.client.as_str()), (502, 157, "10.0.0.1"));
    assert_eq!(
        (of.method.as_str(), of.path.as_str(), of.protocol.as_str()),
        ("GET", r"/a?b=\x22c", "HTTP/1.1")
    );
    assert_eq!((of.referer.as_str(), of.agent.as_str()), ("", "curl/8"));
    let id = "0123456789abcdef0123456789abcdef";
    for more in [
        format!(r#"rt=0.250 urt="0.100, 0.050" rid={id}"#),
        format!(r#""-" 0.250 0.150 {id}"#),
        format!("request_time=0.250 upstream_response_time=0.150 request_id={id}"),
    ] {
        let (line, of) = access(&format!("{head} {more}"));
        assert_eq!((of.request_usec, of.upstream_usec), (Some(250_000), Some(150_000)), "{more}");
        assert_eq!(line.request_id, id);
    }
    let (_, of) = access(&format!("shop.example:443 {head}"));
    assert_eq!((of.host.as_str(), of.client.as_str()), ("shop.example:443", "10.0.0.1"));
}

#[test]
fn requests_that_are_none() {
    let (line, of) = access(r#"::1 - - [25/Nov/2026:02:40:38 +0000] "\x16\x03\x01" 400 157 "-" "-""#);
    assert_eq!(
        (of.status, of.method.as_str(), of.path.as_str(), line.priority),
        (400, "", r"\x16\x03\x01", 4)
    );
    assert_eq!(access(r#"::1 - - [25/Nov/2026:02:40:38 +0000] "" 400 0 "-" "-""#).1.path, "");
    assert_eq!(read(LogKind::NginxAccess, "no access line").access, None);
}

#[test]
fn json_lines_of_nginx_and_of_lograge() {
    let (line, of) = access(
        r#"{"time_iso8601":"2026-11-25T02:40:38+00:00","status":"404","request":"GET /x HTTP/2.0","request_time":"0.5","upstream_response_time":"0.1, 0.2","remote_addr":"1.2.3.4","request_id":"r1"}"#,
    );
    assert_eq!((line.time, line.priority, line.request_id.as_str()), (Some(TIME), 4, "r1"));
    assert_eq!((of.status, of.path.as_str(), of.method.as_str()), (404, "/x", "GET"));
    assert_eq!((of.request_usec, of.upstream_usec), (Some(500_000), Some(300_000)));
    let line =
        read(LogKind::App, r#"{"method":"GET","path":"/y","status":200,"duration":12.5,"level":"warn"}"#);
    assert_eq!((line.priority, line.access.unwrap().request_usec), (4, Some(12_500)));
}

#[test]
fn error_lines_and_lines_of_rails() {
    let text = "2026/11/25 02:40:38 [crit] 12#13: *45 connect() failed";
    let line = read(LogKind::NginxError, text);
    assert_eq!((line.priority, line.pid, line.time.is_some()), (2, 12, true));
    let id = "6d2fbd4e-5a0f-4dd7-8c02-0a9c1c1c9c1c";
    let text = format!(
        r#"I, [2026-11-25T02:40:38.123456 #812]  INFO -- : [{id}] Started GET "/o?p=2" for 10.0.0.1 at 2026-11-25 02:40:38 +0000"#
    );
    let line = read(LogKind::App, &text);
    let of = line.access.unwrap();
    assert_eq!((line.pid, line.priority, line.request_id.as_str()), (812, 6, id));
    assert_eq!((of.method.as_str(), of.path.as_str(), of.client.as_str()), ("GET", "/o?p=2", "10.0.0.1"));
    let line = of_message(&format!("[{id}] Completed 500 Internal Server Error in 12ms (Views: 1ms)"));
    let of = line.access.unwrap();
    assert_eq!(
        (of.status, of.request_usec, line.priority, line.request_id.as_str()),
        (500, Some(12_000), 3, id)
    );
    let plain = read(LogKind::App, r#"Started GET "/" for ::1 at 2026-11-25 02:40:38 +0000"#);
    assert_eq!(plain.time, Some(TIME));
    assert_eq!(read(LogKind::App, "E, [2026-11-25T02:40:38.1 #1] ERROR -- : boom").priority, 3);
    assert_eq!(read(LogKind::App, "2026-11-25T02:40:38Z WARN slow").priority, 4);
    assert_eq!(read(LogKind::App, "  app/models/order.rb:12:in `total'"), Line::default());
}

/// Text as nginx writes it inside of quotes.
fn quoted() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![4 => "[a-zA-Z0-9/?&=._\\[\\] -]{1,6}", 1 => Just(r"\x22".to_owned()), 1 => Just(r"\x5C".to_owned())], 1..8)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        client in "[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.1|[0-9a-f]{1,4}::[0-9a-f]{1,4}", user in "-|[a-z]{1,8}",
        seconds in 946_684_800_u64..4_000_000_000, method in "GET|POST|DELETE|PATCH", path in "/[!-!#-\\[\\]-~]{0,40}",
        status in 100_u32..600, bytes in any::<u64>(), referer in quoted(), agent in quoted(),
        millis in 0_u64..10_000_000, upstream in proptest::option::of(0_u64..10_000_000), id in "[0-9a-f]{32}",
    ) {
        let time = chrono::DateTime::from_timestamp(seconds as i64, 0).unwrap().format("%d/%b/%Y:%H:%M:%S %z");
        let second = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
        let of_upstream = upstream.map_or("-".to_owned(), second);
        let text = format!(
            r#"{client} - {user} [{time}] "{method} {path} HTTP/1.1" {status} {bytes} "{referer}" "{agent}" rt={} urt="{of_upstream}" rid={id}"#,
            second(millis)
        );
        let (line, of) = access(&text);
        prop_assert_eq!(line.time, Some(seconds * 1_000_000));
        prop_assert_eq!(&line.request_id, &id);
        prop_assert_eq!(glance(LogKind::NginxAccess, text.as_bytes()), (line.time, line.priority));
        let wanted = LogAccess {
            status, bytes, client, method, path, referer: if referer == "-" { String::new() } else { referer },
            agent: if agent == "-" { String::new() } else { agent }, protocol: "HTTP/1.1".into(), host: String::new(),
            request_usec: Some(millis * 1000), upstream_usec: upstream.map(|u| u * 1000),
        };
        prop_assert_eq!(of, wanted);
    }

    #[test]
    fn no_line_makes_it_panic(line in "\\PC{0,200}", near in r#"[0-9. \[\]/:"\\{}a-zA-Z=-]{0,120}"#, bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        for kind in [LogKind::NginxAccess, LogKind::NginxError, LogKind::App] {
            for text in [&line, &near] {
                read(kind, text);
                of_message(text);
            }
            glance(kind, &bytes);
            glance(kind, format!("1 - - [25/Nov/2026:02:40:38 +0000] {near}").as_bytes());
        }
    }

    #[test]
    fn cut_lines_are_read_as_far_as_they_go(at in 0_usize..130) {
        let text = r#"10.0.0.1 - - [25/Nov/2026:02:40:38 +0000] "GET /é HTTP/1.1" 200 157 "http://é" "é" rt=0.1 urt="0.1" rid=é"#;
        let cut = &text[..text.floor_char_boundary(at)];
        read(LogKind::NginxAccess, cut);
        glance(LogKind::NginxAccess, cut.as_bytes());
    }
}
