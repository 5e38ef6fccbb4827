//! Visitors of an app: which code answers them, and whether each one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::sleep;

/// Between two visits: long enough to leave the machine to what is tested.
const DENSE: Duration = Duration::from_millis(25);
/// Between two visits where something wrong keeps a site down for as long as Rails takes to start: a second, or more.
const SPARSE: Duration = Duration::from_millis(100);

/// How much comes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visiting {
    /// For what may go wrong in a moment: a handover from one process to the next.
    Densely,
    /// For what may go wrong for seconds, over minutes: a site that is down.
    Sparsely,
}

/// What an app answers at /version: which code it is, and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the code calls itself.
    pub version: String,
    /// The release that it was told it is.
    pub release: String,
    /// The commit that it was told it is.
    pub commit: String,
    /// Rows in its table.
    pub rows: u64,
}

impl Answer {
    pub(crate) fn read(body: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(body).with_context(|| body.to_owned())?;
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let rows = value["rows"].as_u64().unwrap_or_default();
        Ok(Self { version: text("version"), release: text("release"), commit: text("commit"), rows })
    }
}

/// A visitor who asks for one page over and over.
pub struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Visits>,
}

/// What a visitor saw.
#[derive(Clone, Debug, Default)]
pub struct Visits {
    /// How often it asked.
    pub asked: u32,
    /// What was not answered, and why.
    pub failed: Vec<String>,
    /// What the code called itself, in the order of the first answers.
    pub versions: Vec<String>,
}

impl Load {
    pub(crate) fn start(client: reqwest::Client, url: String, name: String, visiting: Visiting) -> Self {
        let pause = if visiting == Visiting::Densely { DENSE } else { SPARSE };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut visits = Visits::default();
            while !stopped.load(Ordering::Relaxed) {
                visits.asked += 1;
                match visit(&client, &url, &name).await {
                    Ok(answer) if visits.versions.last() == Some(&answer.version) => {}
                    Ok(answer) => visits.versions.push(answer.version),
                    Err(error) => visits.failed.push(format!("{error:#}")),
                }
                sleep(pause).await;
            }
            visits
        });
        Self { stop, task }
    }

    /// Ends it; no visit may have failed.
    pub async fn end(self) -> Result<Visits> {
        self.stop.store(true, Ordering::Relaxed);
        let visits = self.task.await?;
        ensure!(visits.asked > 0, "nobody asked");
        let (failed, asked) = (visits.failed.len(), visits.asked);
        ensure!(failed == 0, "{failed} of {asked} visits were not answered: {:?}", visits.failed.first());
        Ok(visits)
    }
}

async fn visit(client: &reqwest::Client, url: &str, name: &str) -> Result<Answer> {
    let answer = client.get(url).header("Host", name).send().await?;
    let (status, body) = (answer.status(), answer.text().await?);
    ensure!(status == StatusCode::OK, "{status}: {}", body.chars().take(200).collect::<String>());
    Answer::read(&body)
}
