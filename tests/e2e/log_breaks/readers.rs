//! Who reads: `hmsctl logs -f`, and streams of server-sent events that are taken up again by their last id, as a browser does.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_tests::people::Rest;
use hms_tests::world::World;
use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::writer::{LOG, UNIT};

/// A stream that is silent for longer is dead: there is a beat every ten seconds.
const SILENCE: Duration = Duration::from_secs(25);
const AGAIN: Duration = Duration::from_millis(100);

/// What one reader has seen.
pub(super) struct Seen {
    pub(super) name: &'static str,
    pub(super) is_of_file: bool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    last: u32,
    missing: Vec<u32>,
    /// Came again, or after a later one.
    doubled: Vec<u32>,
    gaps: Vec<String>,
}

impl Seen {
    fn new(name: &'static str, is_of_file: bool) -> Arc<Self> {
        Arc::new(Self { name, is_of_file, told: Mutex::default() })
    }

    fn line(&self, line: &str) {
        let Some(number) = line.rsplit_once("number ").and_then(|(_, n)| n.trim().parse().ok()) else {
            return;
        };
        let mut told = self.told.lock().expect("no holder of this lock panics");
        if number <= told.last {
            told.doubled.push(number);
            return;
        }
        let before = told.last + 1;
        told.missing.extend(before..number);
        told.last = number;
    }

    fn gap(&self, gap: String) {
        self.told.lock().expect("no holder of this lock panics").gaps.push(gap);
    }

    fn last(&self) -> u32 {
        self.told.lock().expect("no holder of this lock panics").last
    }

    /// Numbers that are missing, those that came twice or late, and gaps that were told.
    pub(super) fn result(&self, lines: u32) -> (Vec<u32>, Vec<u32>, Vec<String>) {
        let told = self.told.lock().expect("no holder of this lock panics");
        let missing = told.missing.iter().copied().chain(told.last + 1..=lines).collect();
        (missing, told.doubled.clone(), told.gaps.clone())
    }
}

/// All of them.
pub(super) struct Readers {
    all: Vec<Arc<Seen>>,
    /// Readers of events break off when this changes.
    cut: watch::Sender<u32>,
    _hmsctl: Child,
    _tasks: JoinSet<()>,
}

impl Readers {
    pub(super) async fn start(world: &World) -> Result<Self> {
        let (cut, _) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let terminal = Seen::new("hmsctl, journal", false);
        let hmsctl = follow_with_hmsctl(world, &terminal, &mut tasks)?;
        let mut all = vec![terminal];
        let streams = [
            ("events, journal", false, format!("/api/logs?host=asterra&unit={UNIT}")),
            ("events, file", true, format!("/api/logs?app=cigar&source=app/{LOG}")),
        ];
        for (name, is_of_file, path) in streams {
            let seen = Seen::new(name, is_of_file);
            all.push(seen.clone());
            let rest = Rest::log_in(world).await?;
            let last =
                rest.ask(Method::GET, &path, None).await?["after"].as_str().context("after")?.to_owned();
            let user = (world.client()?, world.url(), world.password().to_owned());
            let mut stream = Stream { rest, user, path, last, seen, cut: cut.subscribe() };
            tasks.spawn(async move { stream.run().await });
        }
        Ok(Self { all, cut, _hmsctl: hmsctl, _tasks: tasks })
    }

    pub(super) fn all(&self) -> &[Arc<Seen>] {
        &self.all
    }

    /// Breaks off the streams of events, in the middle of whatever they are at.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    pub(super) fn have(&self, number: u32) -> Result<()> {
        let behind = self.all.iter().find(|seen| seen.last() < number);
        behind.map_or(Ok(()), |seen| bail!("{} has come to {} of {number}", seen.name, seen.last()))
    }

    pub(super) fn have_of_file(&self, number: u32) -> Result<()> {
        let is_there = self.all.iter().all(|seen| !seen.is_of_file || seen.last() >= number);
        ensure!(is_there, "who reads the file has not come to {number}");
        Ok(())
    }

    pub(super) fn words(&self) -> String {
        let words: Vec<_> = self.all.iter().map(|seen| format!("{}: {}", seen.name, seen.last())).collect();
        words.join(", ")
    }

    pub(super) fn end(&self) {
        self.cut();
    }
}

fn follow_with_hmsctl(world: &World, seen: &Arc<Seen>, tasks: &mut JoinSet<()>) -> Result<Child> {
    let arguments = ["logs", "--unit", UNIT, "--host", "asterra", "-n", "1000", "-f", "-o", "cat"];
    let mut command = world.admin().command(&arguments);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let mut said = BufReader::new(child.stderr.take().context("stderr")?).lines();
    let of_lines = seen.clone();
    tasks.spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            of_lines.line(&line);
        }
    });
    let of_gaps = seen.clone();
    tasks.spawn(async move {
        while let Ok(Some(line)) = said.next_line().await {
            match line.strip_prefix("-- gap: ") {
                Some(gap) => of_gaps.gap(gap.to_owned()),
                None if line.starts_with("-- ") => {}
                None => println!("hmsctl: {line}"),
            }
        }
    });
    Ok(child)
}

/// A stream of events.
struct Stream {
    rest: Rest,
    /// Who logs in again when the token has ended.
    user: (reqwest::Client, String, String),
    path: String,
    /// From where it goes on.
    last: String,
    seen: Arc<Seen>,
    cut: watch::Receiver<u32>,
}

impl Stream {
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.read().await {
                println!("{}: {error:#}", self.seen.name);
            }
            sleep(AGAIN).await;
        }
    }

    /// Reads until it breaks.
    async fn read(&mut self) -> Result<()> {
        let request = self.rest.request(Method::GET, &self.path).header(header::ACCEPT, "text/event-stream");
        let request = request.header("last-event-id", &self.last);
        let Ok(Ok(mut answer)) = timeout(SILENCE, request.send()).await else { return Ok(()) };
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.rest.token = self.log_in().await?;
            return Ok(());
        }
        let mut text = Vec::new();
        loop {
            let piece = tokio::select! {
                piece = timeout(SILENCE, answer.chunk()) => piece,
                _ = self.cut.changed() => return Ok(()),
            };
            let Ok(Ok(Some(piece))) = piece else { return Ok(()) };
            text.extend_from_slice(&piece);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                self.event(std::str::from_utf8(&event)?)?;
            }
        }
    }

    /// Takes an event as a whole, or, when it was cut, not at all.
    fn event(&mut self, event: &str) -> Result<()> {
        for line in event.lines() {
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.last);
            }
            let Some(rows) = line.strip_prefix("data: ").filter(|data| data.starts_with('[')) else {
                continue;
            };
            for row in serde_json::from_str::<Vec<Value>>(rows)? {
                match row["message"].as_str() {
                    Some(message) => self.seen.line(message),
                    None => self.seen.gap(row["gap"].to_string()),
                }
            }
        }
        Ok(())
    }

    async fn log_in(&self) -> Result<String> {
        let (client, url, password) = &self.user;
        let body = serde_json::json!({ "username": hms_tests::world::ADMIN, "password": password });
        let answer =
            client.post(format!("{url}/api/auth/login")).json(&body).send().await?.error_for_status()?;
        let tokens: Value = answer.json().await?;
        Ok(tokens["access_token"].as_str().context("access_token")?.to_owned())
    }
}
