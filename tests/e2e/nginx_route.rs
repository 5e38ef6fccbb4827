//! Which server and location answers: what HMS says, and what nginx does, for the same configurations and URLs.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::{NginxChange, RouteNginxRequest};

use crate::nginx::{Bench, content, enable};

const NAMES: [&str; 8] = [
    "a.test www.a.test",
    "*.a.test",
    "www.*",
    ".b.test",
    "~^x\\d+\\.b\\.test$",
    "*.deep.a.test",
    "~\\.test$",
    "c.test",
];
const LOCATIONS: [&str; 22] = [
    "/",
    "= /",
    "/one",
    "/one/",
    "= /one/two",
    "^~ /one/static/",
    "~ \\.png$",
    "~* \\.JPG$",
    "/two/three",
    "~ ^/two/",
    "^~ /two/three/four",
    "/five/",
    "~ /five/(six|seven)",
    "~* ^/EIGHT",
    "= /eight",
    "/nine%20ten",
    "/nine ten",
    "@named",
    "/a.b",
    "~ \\.php(/|$)",
    "/five/six/x",
    "~ ^/$",
];
const PATHS: [&str; 40] = [
    "/",
    "/one",
    "/one/",
    "/one/two",
    "/one/two/",
    "/one/static/x",
    "/one/static/x.png",
    "/one/x.png",
    "/x.PNG",
    "/x.jpg",
    "/x.JPG",
    "/two/three",
    "/two/three/four",
    "/two/three/four/x.png",
    "/two/x",
    "/two",
    "/five",
    "/five/",
    "/five/six",
    "/five/seven/x",
    "/five/six/x",
    "/five/six/x/y",
    "/eight",
    "/EIGHT",
    "/eightx",
    "/nine%20ten",
    "/nine%2520ten",
    "/a.b",
    "/aXb",
    "/i.php",
    "/i.php/info",
    "/i.phpx",
    "//one//two",
    "/one/../five/six",
    "/%6fne/two",
    "/one?x=/two",
    "/nothing",
    "/deep/in/one",
    "/in/x.png",
    "/in/sub/y",
];
const HOSTS: [&str; 14] = [
    "a.test",
    "www.a.test",
    "q.a.test",
    "z.deep.a.test",
    "b.test",
    "m.b.test",
    "x12.b.test",
    "www.z.org",
    "c.test",
    "C.TEST",
    "d.test",
    "unknown.org",
    "a.test.",
    "deep.a.test",
];

/// Servers whose locations say which they are. Each takes another part of the locations, by a simple count.
fn configuration() -> String {
    let mut text = String::new();
    for (s, names) in NAMES.iter().enumerate() {
        let default = if s == 3 { " default_server" } else { "" };
        let _ = writeln!(text, "server {{\n    listen 8077{default};\n    server_name {names};");
        for (l, location) in LOCATIONS.iter().enumerate() {
            // The first server has all, so that each is looked at once.
            if s != 0 && (l * 7 + s * 3) % 5 < 2 {
                continue;
            }
            let location = location.split_once(' ').map_or_else(
                || format!("\"{location}\""),
                |(modifier, path)| {
                    if location.starts_with('/') {
                        format!("\"{location}\"")
                    } else {
                        format!("{modifier} \"{path}\"")
                    }
                },
            );
            let _ = writeln!(text, "    location {location} {{ return 200 \"s{s}l{l}\"; }}");
        }
        let _ = writeln!(
            text,
            "    location /in/ {{\n        location /in/sub/ {{ return 200 \"s{s}sub\"; }}\n        location ~ y$ {{ return 200 \"s{s}y\"; }}\n        \
             return 200 \"s{s}in\";\n    }}\n    location /deep/ {{ rewrite ^/deep/in/(.*)$ /$1 last; return 200 \"s{s}deep\"; }}\n}}"
        );
    }
    text
}

#[tokio::test]
async fn the_explanation_agrees_with_nginx() -> Result<()> {
    let bench = Bench::new().await?;
    let changes: Vec<NginxChange> =
        vec![content("sites-available/route", &configuration(), ""), enable("sites-available/route", true)];
    bench.apply(changes).await?;
    let address = bench.host().address();
    let mut wrong = Vec::new();
    let mut count = 0;
    for host in HOSTS {
        for path in PATHS {
            let said = raw(&format!("{address}:8077"), host, path).await?;
            let url = format!("http://{host}:8077{path}");
            let route = bench.client().route(RouteNginxRequest { url: url.clone() }).await?.into_inner();
            let last = route.actions.last().map(|a| a.text.clone()).unwrap_or_default();
            count += 1;
            let expected = last.trim_start_matches("return 200 ").trim_matches('"');
            let none = route.location.is_none() && said.contains("404 Not Found");
            if expected != said && !none {
                wrong.push(format!(
                    "{url}: nginx {said}, HMS {last} ({:?}; {}; {})",
                    route.location, route.server_reason, route.location_reason
                ));
            }
            ensure!(route.server.is_some_and(|p| p.path == "sites-available/route" && p.line > 0));
        }
    }
    ensure!(count >= 500 && wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// The body that nginx answers with; the path is sent as it is.
async fn raw(address: &str, host: &str, path: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok(body.to_owned())
}
