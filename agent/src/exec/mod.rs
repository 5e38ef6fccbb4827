//! The only place that starts processes: an absolute program, arguments as a list, no environment, bounded output.

pub(crate) mod launch;
pub(crate) mod script;

use std::{io, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout},
    task::JoinHandle,
};

/// A program that the agent may start.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// Reads the journal.
    Journalctl,
}

impl Program {
    fn path(self) -> &'static str {
        match self {
            Self::Journalctl => "/usr/bin/journalctl",
        }
    }
}

/// How much of what a program complains about is kept.
const STDERR_MAX: u64 = 4096;
/// A longer line is skipped: nobody reads it, and it would have to be held in memory.
const LINE_MAX: usize = 8 * 1024 * 1024;

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: JoinHandle<String>,
}

/// One line of output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is in the buffer.
    Read,
    /// It was too long, and was skipped.
    TooLong,
    /// There are no more.
    End,
}

/// Starts a program with these arguments and nothing else.
pub(crate) fn spawn(program: Program, args: &[String]) -> io::Result<Running> {
    #[expect(clippy::disallowed_methods, reason = "this is the module that starts processes")]
    let mut command = tokio::process::Command::new(program.path());
    let mut child = command
        .args(args)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let gone = || io::Error::other("the program has no output");
    let stdout = child.stdout.take().ok_or_else(gone)?;
    let stderr = child.stderr.take().ok_or_else(gone)?;
    let stderr = tokio::spawn(async move {
        let mut text = Vec::new();
        let mut stderr = stderr;
        drop((&mut stderr).take(STDERR_MAX).read_to_end(&mut text).await);
        // The rest is read and thrown away, so that the program never waits for a reader.
        drop(tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await);
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    Ok(Running { child, stdout: BufReader::with_capacity(64 * 1024, stdout), stderr })
}

impl Running {
    /// Reads the next line, without its end. A line cut short by the end of the output is not one. When this is
    /// dropped half way, what was read so far stays in `line`: call again with the same `line`.
    pub(crate) async fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        loop {
            let buffer = self.stdout.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(Line::End);
            }
            let end = buffer.iter().position(|b| *b == b'\n');
            let take = end.unwrap_or(buffer.len());
            // One byte over the limit marks a line that is being skipped.
            let room = (LINE_MAX + 1).saturating_sub(line.len());
            line.extend_from_slice(&buffer[..take.min(room)]);
            self.stdout.consume(end.map_or(take, |n| n + 1));
            if end.is_some() {
                return Ok(if line.len() > LINE_MAX { Line::TooLong } else { Line::Read });
            }
        }
    }

    /// Whether a read would have to wait for the program.
    pub(crate) fn is_drained(&self) -> bool {
        self.stdout.buffer().is_empty()
    }

    /// Waits for the end: what the program complained about, if it failed.
    pub(crate) async fn finish(mut self) -> io::Result<Result<(), String>> {
        let status = self.child.wait().await?;
        let said = self.stderr.await.unwrap_or_default();
        if status.success() { Ok(Ok(())) } else { Ok(Err(format!("{status}: {said}"))) }
    }
}
