//! Lines of access logs: nginx' `combined`, with whatever somebody added behind it, and JSON.

use hms_proto::host::v1::LogAccess;
use serde_json::{Map, Value};

use super::{Line, severity, time};

/// A line in the form of `combined` (<https://nginx.org/en/docs/http/ngx_http_log_module.html>).
pub(super) fn combined(text: &str) -> Option<Line> {
    let open = text.find('[')?;
    let time = time::common(text.as_bytes().get(open + 1..)?)?;
    let close = open + text[open..].find(']')?;
    let mut words = Words(text.get(close + 1..)?);
    let mut access = LogAccess::default();
    who(&text[..open], &mut access);
    request(words.next()?.text, &mut access);
    access.status = words.next()?.text.parse().ok().filter(|status| (1..=999).contains(status))?;
    access.bytes = words.next().and_then(|word| word.text.parse().ok()).unwrap_or(0);
    let mut quoted = || words.next().map(|word| told(word.text)).unwrap_or_default();
    (access.referer, access.agent) = (quoted(), quoted());
    let mut line = Line { time: Some(time), priority: of_status(access.status), ..Line::default() };
    for word in words {
        addition(word, &mut access, &mut line.request_id);
    }
    line.access = Some(access);
    Some(line)
}

/// What `severity` would be wanted for, of a line of `combined`: its time and its status, and nothing else.
pub(super) fn glance(line: &[u8]) -> Option<(u64, u32)> {
    let open = memchr::memchr(b'[', line)?;
    let time = time::common(&line[open + 1..])?;
    let mut rest = line.get(open + 29..)?;
    rest = rest.strip_prefix(b"\"")?;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let is_end = rest[at] == b'"';
        rest = rest.get(at + if is_end { 1 } else { 2 }..)?;
        if is_end {
            break;
        }
    }
    let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] = rest else { return None };
    let status = u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0');
    Some((time, of_status(status)))
}

/// How severe an answer is: the server's fault, the client's, or nobody's.
pub(super) fn of_status(status: u32) -> u32 {
    match status {
        500.. => 3,
        400.. => 4,
        _ => 6,
    }
}

/// `-` stands for nothing.
fn told(text: &str) -> String {
    if text == "-" { String::new() } else { text.to_owned() }
}

/// `10.0.0.1 - user`, or with the name of the host in front.
fn who(text: &str, access: &mut LogAccess) {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words[..] {
        [host, client, "-", ..] if client != "-" && words.len() > 3 => {
            (access.host, access.client) = (host.to_owned(), client.to_owned());
        }
        [client, ..] => access.client = client.to_owned(),
        [] => {}
    }
}

/// `GET /path HTTP/1.1`. What is none is shown as it is.
fn request(text: &str, access: &mut LogAccess) {
    let is_method =
        |word: &str| (3..=16).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase());
    match text.split_once(' ') {
        Some((method, rest)) if is_method(method) => {
            let (path, protocol) = match rest.rsplit_once(' ') {
                Some((path, protocol)) if protocol.starts_with("HTTP/") => (path, protocol),
                _ => (rest, ""),
            };
            access.method = method.to_owned();
            (access.path, access.protocol) = (path.to_owned(), protocol.to_owned());
        }
        _ => access.path = told(text),
    }
}

/// One of the words behind `combined`: `rt=0.012`, `urt="0.010, 0.002"`, `0.012`, `"-"`, a request id.
fn addition(word: Word<'_>, access: &mut LogAccess, request_id: &mut String) {
    if let Some((key, value)) = word.text.split_once('=').filter(|_| !word.is_quoted) {
        let value = value.trim_matches('"');
        match key.trim_end_matches([':', '_']) {
            "rt" | "request_time" | "time" => access.request_usec = seconds(value),
            "urt" | "upstream_response_time" | "upstream_time" | "upstream" => {
                access.upstream_usec = seconds(value);
            }
            "rid" | "request_id" | "req_id" | "x_request_id" => *request_id = told(value),
            "host" | "server_name" | "vhost" => access.host = told(value),
            _ => {}
        }
    } else if is_request_id(word.text) {
        word.text.clone_into(request_id);
    } else if word.text.contains('.')
        && let Some(usec) = seconds(word.text)
    {
        match access.request_usec {
            None => access.request_usec = Some(usec),
            Some(_) if access.upstream_usec.is_none() => access.upstream_usec = Some(usec),
            Some(_) => {}
        }
    }
}

/// 32 hexadecimal digits, as nginx' `$request_id`, or a UUID, as Rails'.
pub(super) fn is_request_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let dashes = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_hex = |skip: &dyn Fn(usize) -> bool| {
        bytes.iter().enumerate().all(|(at, b)| if skip(at) { *b == b'-' } else { b.is_ascii_hexdigit() })
    };
    match bytes.len() {
        32 => is_hex(&|_| false),
        36 => is_hex(&dashes),
        _ => false,
    }
}

/// Seconds in microseconds. nginx gives several, of several upstreams, with `,` and `:` in between: their sum.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let mut sum = None;
    for part in text.split([',', ':']) {
        let part = part.trim();
        if part == "-" || part.is_empty() {
            continue;
        }
        let number = part.parse::<f64>().ok().filter(|n| (0.0..1e9).contains(n))?;
        sum = Some(sum.unwrap_or(0) + (number * 1e6).round() as u64);
    }
    sum
}

/// One word of a line.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    /// Without its quotes.
    text: &'a str,
    is_quoted: bool,
}

/// Words with blanks in between; quotes hold several together.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let text = self.0.trim_start_matches([' ', '\t']);
        if text.is_empty() {
            return None;
        }
        if let Some(inside) = text.strip_prefix('"') {
            let end = closing(inside);
            self.0 = inside.get(end + 1..).unwrap_or_default();
            return Some(Word { text: &inside[..end], is_quoted: true });
        }
        let blank = text.find([' ', '\t']).unwrap_or(text.len());
        let end = match text[..blank].find("=\"") {
            Some(quote) => (quote + 2 + closing(&text[quote + 2..]) + 1).min(text.len()),
            None => blank,
        };
        self.0 = &text[end..];
        Some(Word { text: &text[..end], is_quoted: false })
    }
}

/// Where the quote is closed, at the latest at the end.
fn closing(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

/// A line that is a JSON object, of nginx (`log_format … escape=json`) or of an app (lograge and others).
pub(super) fn json(text: &str) -> Option<Line> {
    let Value::Object(object) = serde_json::from_str(text).ok()? else { return None };
    let mut access = LogAccess {
        status: first(&object, &["status"]).and_then(|v| v.parse().ok()).unwrap_or(0),
        method: first(&object, &["request_method", "method"]).unwrap_or_default(),
        path: first(&object, &["request_uri", "uri", "path"]).unwrap_or_default(),
        bytes: first(&object, &["body_bytes_sent", "bytes_sent", "bytes"])
            .and_then(|v| v.parse().ok())
            .unwrap_or(0),
        request_usec: first(&object, &["request_time"]).and_then(|v| seconds(&v)),
        upstream_usec: first(&object, &["upstream_response_time", "upstream_time"]).and_then(|v| seconds(&v)),
        client: first(&object, &["remote_addr", "client", "client_ip", "ip"]).unwrap_or_default(),
        protocol: first(&object, &["server_protocol", "protocol"]).unwrap_or_default(),
        referer: first(&object, &["http_referer", "referer", "referrer"]).unwrap_or_default(),
        agent: first(&object, &["http_user_agent", "user_agent", "agent"]).unwrap_or_default(),
        host: first(&object, &["host", "http_host", "server_name"]).unwrap_or_default(),
    };
    if let Some(line) = first(&object, &["request"]).filter(|_| access.path.is_empty()) {
        request(&line, &mut access);
    }
    // lograge tells milliseconds.
    let lograge = || first(&object, &["duration"]).and_then(|v| seconds(&v)).map(|usec| usec / 1000);
    access.request_usec = access.request_usec.or_else(lograge);
    let level = first(&object, &["level", "severity", "log.level"]).and_then(|word| severity(&word));
    let by_status = (access.status > 0).then(|| of_status(access.status));
    Some(Line {
        time: when(&object),
        priority: level.into_iter().chain(by_status).min().unwrap_or(6),
        request_id: first(&object, &["request_id", "http_x_request_id", "x_request_id", "req_id"])
            .unwrap_or_default(),
        pid: first(&object, &["pid"]).and_then(|v| v.parse().ok()).unwrap_or(0),
        access: (access.status > 0 || !access.method.is_empty()).then_some(access),
    })
}

fn when(object: &Map<String, Value>) -> Option<u64> {
    let names = ["time_iso8601", "@timestamp", "timestamp", "time", "msec", "ts", "time_local"];
    names.iter().find_map(|name| {
        let text = first(object, &[name])?;
        time::iso(text.as_bytes())
            .map(|(time, _)| time)
            .or_else(|| time::common(text.as_bytes()))
            .or_else(|| time::epoch(&text))
    })
}

/// The first of these that is there, as text.
fn first(object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match object.get(*name)? {
        Value::String(text) if text.is_empty() || text == "-" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
