//! Somebody who uses the demo's apps, so that their logs are alive.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

/// What a visitor asks for, and how long the pause after it is. Now and then it goes wrong.
const VISITS: [(&str, u64); 16] = [
    ("/", 900),
    ("/ITEMS/1", 1300),
    ("/ITEMS/2", 400),
    ("/", 1700),
    ("/version", 700),
    ("/ITEMS/4", 1100),
    ("/favicon.ico", 300),
    ("/", 2100),
    ("/ITEMS/3", 800),
    ("/ITEMS/2", 1400),
    ("/ITEMS/99", 600),
    ("/", 1800),
    ("/robots.txt", 500),
    ("/ITEMS/1", 1200),
    ("/report", 1600),
    ("/up", 1000),
];

/// Visits the app until somebody ends this process.
pub(crate) fn run(host: IpAddr, app: &str) -> Result<ExitCode> {
    let items = if app == "tobacco" { "orders" } else { "products" };
    for (path, pause) in VISITS.iter().cycle() {
        // An app that is stopped or restarting is part of the show.
        visit(host, app, &path.replace("ITEMS", items)).ok();
        std::thread::sleep(Duration::from_millis(*pause));
    }
    Ok(ExitCode::SUCCESS)
}

fn visit(host: IpAddr, app: &str, path: &str) -> Result<()> {
    let mut connection = TcpStream::connect((host, 80))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {app}.test\r\nConnection: close\r\n\r\n")?;
    connection.read_to_end(&mut Vec::new())?;
    Ok(())
}
