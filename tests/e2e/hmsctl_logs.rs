//! `hmsctl logs` as people use it at a terminal and in scripts: what is asked for is given, and nothing that a log says acts on a
//! terminal.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{sleep, timeout};

/// A program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(90);
/// More than all buffers on the way take.
const MANY: u32 = 120_000;

async fn printed(world: &World, arguments: &[&str]) -> Result<String> {
    let said = world.hmsctl(&[&["logs"], arguments].concat()).await?;
    ensure!(said.code == 0, "{arguments:?}: {}", said.stderr);
    Ok(said.stdout)
}

async fn entries(world: &World, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = printed(world, &[arguments, &["-o", "json"]].concat()).await?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn messages(entries: &[Value]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry["message"].as_str()).collect()
}

/// Security cases 24 and 25.
#[tokio::test]
async fn every_way_to_say_what_is_wanted() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let (_, app) = world.app("cigar")?;
    app.get(host, "/products/1").await?;
    app.get(host, "/orders/report").await.ok();
    let write = r"printf '<3>it burns\n<6>it is fine\n<4>\033]0;owned\a\033[31mred\033[0m\b\b\xe2\x80\xae back\n'; sleep 1";
    host.run(&["systemd-run", "--quiet", "--wait", "--unit", "speaker", "bash", "-c", write]).await?;
    let of_speaker = ["--host", "asterra", "--unit", "speaker.service"];
    let with = |more: &[&'static str]| [&of_speaker[..], more].concat();

    let severe = entries(&world, &with(&["--priority", "err"])).await?;
    assert_eq!(messages(&severe), ["it burns"]);
    let found =
        entries(&world, &["--host", "*", "--grep", "it (burns|is fine)$", "--since", "1 h ago"]).await?;
    ensure!(messages(&found).starts_with(&["it burns", "it is fine"]), "{found:?}");
    ensure!(entries(&world, &with(&["--until", "1 h ago"])).await?.is_empty(), "nothing is so old");
    ensure!(entries(&world, &with(&["--since", "1 h ago", "--until", "1 min ago"])).await?.is_empty());
    let shown = entries(&world, &with(&["--fields", "--priority", "err"])).await?;
    assert_eq!(shown[0]["fields"]["_SYSTEMD_UNIT"], "speaker.service");
    let plain = entries(&world, &with(&["--priority", "err"])).await?;
    ensure!(plain[0]["fields"].as_object().is_none_or(serde_json::Map::is_empty), "{plain:?}");

    let access =
        entries(&world, &["--app", "cigar", "--nginx", "access", "--grep", "GET /products/1 "]).await?;
    assert_eq!(access.first().context("a line of nginx")?["access"]["status"], 200);
    let failed = entries(&world, &["--app", "cigar", "--nginx", "access", "--where", "status>=500"]).await?;
    ensure!(
        !failed.is_empty() && failed.iter().all(|e| e["access"]["status"].as_u64() >= Some(500)),
        "{failed:?}"
    );
    host.run(&[
        "bash",
        "-c",
        "echo '2026/11/25 02:40:38 [crit] 12#13: *45 broken' >> /var/log/nginx/error.log",
    ])
    .await?;
    let of_nginx = entries(&world, &["--host", "*", "--nginx", "error", "--grep", "broken$"]).await?;
    ensure!(of_nginx.iter().any(|entry| entry["priority"] == 2), "{of_nginx:?}");

    nothing_acts_on_a_terminal(&world, &of_speaker).await?;
    let refused = world.hmsctl(&["logs", "--host", "asterra", "--grep", "a("]).await?;
    ensure!(refused.code == 2 && refused.stderr.contains("unclosed group"), "{}", refused.stderr);
    Ok(())
}

/// Piped, it is text without any escape; on a terminal, it has colours of its own and none of the log's.
async fn nothing_acts_on_a_terminal(world: &World, of_speaker: &[&str]) -> Result<()> {
    let piped = printed(world, of_speaker).await?;
    ensure!(piped.contains("it burns") && piped.contains("owned"), "{piped}");
    let bad = |text: &str| text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    ensure!(bad(&piped).is_none(), "{:?} in {piped:?}", bad(&piped));

    let command = world.admin().command(&[&["logs"], of_speaker].concat());
    let command = command.as_std();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut terminal = tokio::process::Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    terminal.envs(variables).env("TERM", "xterm-256color").env_remove("NO_COLOR").stdin(Stdio::null());
    let output = timeout(LIMIT, terminal.output()).await??;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(shown.contains("\u{1b}["), "no colours on a terminal: {shown:?}");
    for acts in ["\u{1b}]0;", "\u{7}", "\u{8}", "\u{202e}"] {
        ensure!(!shown.contains(acts), "{acts:?} in {shown:?}");
    }
    Ok(())
}

/// A pipe that nobody reads from for a while: what is missing then is counted, to the line.
#[tokio::test]
async fn a_reader_that_pauses_is_told_how_much_it_has_missed() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let unlimited = "[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\n";
    host.write_file("/etc/systemd/journald.conf.d/20-all.conf", unlimited).await?;
    host.run(&["systemctl", "restart", "systemd-journald.service"]).await?;
    let arguments = ["logs", "--host", "asterra", "--unit", "many.service", "-n", "0", "-f", "-o", "cat"];
    let mut follower = world.admin().command(&arguments);
    let mut follower = follower.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    sleep(Duration::from_secs(2)).await;
    let script = format!("seq -f 'number %.0f' 1 {MANY}");
    host.run(&["systemd-run", "--quiet", "--wait", "--unit", "many", "bash", "-c", &script]).await?;
    // The agent sends for a while until nothing more fits on the way, and has to wait for longer than it is patient.
    sleep(Duration::from_secs(8)).await;
    let mut said = BufReader::new(follower.stderr.take().context("stderr")?).lines();
    let gaps = tokio::spawn(async move {
        let mut gaps = Vec::new();
        while let Ok(Some(line)) = said.next_line().await {
            gaps.extend(line.strip_prefix("-- gap: ").map(ToOwned::to_owned));
        }
        gaps
    });
    let mut lines = BufReader::new(follower.stdout.take().context("stdout")?).lines();
    let mut numbers = Vec::new();
    while numbers.last() != Some(&MANY) {
        let line = timeout(LIMIT, lines.next_line()).await.context("the last line does not come")??;
        let line = line.context("it ended")?;
        numbers.extend(line.strip_prefix("number ").and_then(|n| n.parse::<u32>().ok()));
    }
    follower.kill().await?;
    let gaps = gaps.await?;
    let told: u32 = gaps.iter().filter_map(|gap| gap.split(' ').next()?.parse::<u32>().ok()).sum();
    ensure!(numbers.is_sorted(), "they come in order");
    ensure!(told > 0 && gaps.iter().all(|gap| gap.contains("faster than they were read")), "{gaps:?}");
    assert_eq!(numbers.len() as u32 + told, MANY, "{gaps:?}");
    Ok(())
}
