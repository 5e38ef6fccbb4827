//! The agent dies at every step of a change, while requests go on: what is left is all of the old or all of the new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::{ConfirmNginxRequest, RevertNginxRequest};
use uuid::Uuid;

use crate::nginx::{Bench, SOON, content, new_site, site};
use crate::support::eventually;

const PATH: &str = "sites-available/k.test";
const SNIPPET: &str = "snippets/k.conf";
const DROP_IN: &str = "/etc/systemd/system/hms-agent.service.d/50-fail.conf";

/// What is asked for while the agent is told to die.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    /// A good change.
    Apply,
    /// A good change that waits.
    Wait,
    /// One that is put back, as the site answers 502 with it.
    Bad,
    /// One that waits, and is then confirmed or reverted.
    Confirm,
    Revert,
}

/// Security case 60.
const POINTS: [(&str, Work); 19] = [
    ("staged", Work::Apply),
    ("proved", Work::Apply),
    ("written", Work::Apply),
    ("prepared", Work::Apply),
    ("half-swapped", Work::Apply),
    ("swapped", Work::Apply),
    ("reloaded", Work::Apply),
    ("verified", Work::Apply),
    ("outcome", Work::Apply),
    ("ended", Work::Apply),
    ("half-swapped", Work::Wait),
    ("waiting", Work::Wait),
    ("rollback-begins", Work::Bad),
    ("put-back", Work::Bad),
    ("rolled-back", Work::Bad),
    ("outcome", Work::Bad),
    ("outcome", Work::Confirm),
    ("put-back", Work::Revert),
    ("undone", Work::Revert),
];

async fn set_point(bench: &Bench, point: Option<&str>) -> Result<()> {
    match point {
        Some(point) => {
            bench.host().write_file(DROP_IN, format!("[Service]\nEnvironment=HMS_FAIL_AT={point}\n")).await?
        }
        None => drop(bench.host().run(&["rm", "-f", DROP_IN]).await?),
    }
    bench.host().run(&["systemctl", "daemon-reload"]).await?;
    bench.host().run(&["systemctl", "restart", "hms-agent.service"]).await?;
    eventually(SOON, async || Ok(bench.list().await.map(drop)?)).await
}

/// Asks a site that nothing changes, over and over; counts what is not answered.
struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u32, Vec<String>)>,
}

impl Load {
    fn start(address: std::net::Ipv4Addr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let client =
            reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(10)).build()?;
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (asked, mut failed) = (AtomicU32::new(0), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                asked.fetch_add(1, Ordering::Relaxed);
                match client.get(format!("http://{address}/")).header("Host", "steady.test").send().await {
                    Ok(answer) if answer.status().is_success() => {}
                    Ok(answer) => failed.push(answer.status().to_string()),
                    Err(error) => failed.push(format!("{error:#}")),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (asked.into_inner(), failed)
        });
        Ok(Self { stop, task })
    }

    async fn end(self) -> Result<(u32, Vec<String>)> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.task.await?)
    }
}

/// Asks for a change of two files that say the same word.
async fn change(bench: &Bench, id: Uuid, word: &str, confirm_s: u32, bad: bool) -> Result<bool> {
    let text = site("k.test", word).replace("server_name", "include snippets/k.conf;\n    server_name");
    let text = if bad { text.replace("return 200", "return 502") } else { text };
    let snippet = format!("add_header X-Word {word} always;\n");
    let changes = vec![
        content(PATH, &text, &bench.sha(PATH).await?),
        content(SNIPPET, &snippet, &bench.sha(SNIPPET).await.unwrap_or_default()),
    ];
    Ok(bench.apply_as(id, changes, confirm_s).await.is_ok())
}

#[tokio::test]
async fn the_agent_may_die_at_any_step() -> Result<()> {
    let bench = Bench::new().await?;
    bench.apply(new_site("steady.test", "steady")).await?;
    bench.apply(new_site("k.test", "zero")).await?;
    ensure!(change(&bench, Uuid::new_v4(), "start", 0, false).await?);
    let load = Load::start(bench.host().address())?;
    let mut word = "start".to_owned();
    for (n, (point, work)) in POINTS.iter().enumerate() {
        let id = Uuid::new_v4();
        let next = format!("word{n}");
        let late = matches!(work, Work::Confirm | Work::Revert);
        if late {
            ensure!(change(&bench, id, &next, 3600, false).await?, "{point}");
        }
        let crashes = async || {
            bench
                .host()
                .run(&["sh", "-c", "journalctl -u hms-agent -o cat | grep -c 'dying here' || true"])
                .await
        };
        let before = crashes().await?;
        set_point(&bench, Some(point)).await.with_context(|| (*point).to_owned())?;
        match work {
            Work::Apply => drop(change(&bench, id, &next, 0, false).await?),
            Work::Wait => drop(change(&bench, id, &next, 3600, false).await?),
            Work::Bad => drop(change(&bench, id, &next, 0, true).await?),
            Work::Confirm => drop(bench.client().confirm(ConfirmNginxRequest { id: id.to_string() }).await),
            Work::Revert => drop(bench.client().revert(RevertNginxRequest { id: id.to_string() }).await),
        }
        ensure!(crashes().await? != before, "{point}: the agent did not die there");
        set_point(&bench, None).await?;
        word = settled(&bench, id, &word, &next).await.with_context(|| format!("killed at {point}"))?;
    }
    let (asked, failed) = load.end().await?;
    ensure!(
        asked > 500 && failed.is_empty(),
        "{} of {asked} were not answered: {:?}",
        failed.len(),
        failed.first()
    );
    Ok(())
}

/// Both files say one word, nginx says it too, and the record says why. Returns the word.
async fn settled(bench: &Bench, id: Uuid, old: &str, new: &str) -> Result<String> {
    let tree = eventually(SOON, async || {
        let tree = bench.list().await?;
        ensure!(tree.running && tree.problems.iter().all(|p| p.severity != "error"), "{:?}", tree.problems);
        let journal = bench.host().exec(&["cat", "/var/lib/hms-agent/nginx/change.json"]).await?;
        ensure!(!journal.stdout.contains("swapping"), "it is still being put back");
        Ok(tree)
    })
    .await?;
    if let Some(pending) = &tree.pending {
        assert_eq!(pending.id, id.to_string());
        bench.client().revert(RevertNginxRequest { id: id.to_string() }).await?;
    }
    let file = bench.host().read_file(format!("/etc/nginx/{PATH}")).await?;
    let snippet = bench.host().read_file(format!("/etc/nginx/{SNIPPET}")).await?;
    let word = if file.contains(&format!("\"{new}\"")) { new } else { old };
    ensure!(
        file.contains(&format!("\"{word}\"")) && snippet.contains(&format!("X-Word {word} ")),
        "half: {file} {snippet}"
    );
    eventually(SOON, async || {
        let said = bench.ask("k.test").await?;
        ensure!(said == word, "the file says {word}, nginx {said}");
        Ok(())
    })
    .await?;
    let last = bench.list().await?.last.context("last")?;
    if word == new {
        ensure!(
            last.id == id.to_string() && matches!(last.result.as_str(), "applied" | "confirmed"),
            "{last:?}"
        );
    } else {
        ensure!(
            last.id != id.to_string() || matches!(last.result.as_str(), "rolled-back" | "reverted"),
            "{last:?}"
        );
    }
    let left = bench
        .host()
        .run(&[
            "sh",
            "-c",
            "find /etc/nginx -name '.hms-*'; ls /var/lib/hms-agent/nginx/stage 2>/dev/null || true",
        ])
        .await?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    Ok(word.to_owned())
}
