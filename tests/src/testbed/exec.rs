//! Runs a program inside a host by entering its namespaces.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use anyhow::{Context, Result};
use rustix::process::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How a program in a host ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status; 128 and the signal's number when a signal ended it, as shells say it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Whether the program ended well.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// A command in the host whose PID 1 is `leader`, for callers that want to keep it running.
pub(super) fn command(leader: Pid, argv: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/nsenter");
    command
        .arg(format!("--target={}", leader.as_raw_nonzero()))
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"])
        .args(argv)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .kill_on_drop(true);
    command
}

pub(super) async fn exec(leader: Pid, argv: &[&str], input: &[u8]) -> Result<Output> {
    collect(command(leader, argv), input).await
}

/// Runs a program to its end, giving it `input` to read.
pub async fn collect(mut command: Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.as_std().get_program().display()))?;
    let mut stdin = child.stdin.take().context("no pipe to write to")?;
    let feed = async {
        // A program that does not read its input closes the pipe: that is its right.
        stdin.write_all(input).await.ok();
        drop(stdin);
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    let output = output?;
    let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s)).unwrap_or(-1);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}
