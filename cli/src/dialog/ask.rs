//! Questions at the terminal that do not keep the rest of the program waiting.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::failure::Result;

/// One line of stdin, trimmed and in lower case; empty at its end.
pub(crate) async fn read_line() -> Result<String> {
    let read = tokio::task::spawn_blocking(|| -> io::Result<String> {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_ascii_lowercase())
    });
    Ok(read.await.map_err(io::Error::other)??)
}

/// Whether somebody is there to be asked.
pub(crate) fn at_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks until one of the words is given, each by its first letter; the last one is what no answer means. Where nobody
/// can be asked, it is `nobody`.
pub(crate) async fn choose(
    question: &str,
    words: &[&'static str],
    nobody: &'static str,
) -> Result<&'static str> {
    if !at_terminal() {
        return Ok(nobody);
    }
    let shown: Vec<String> = words.iter().map(|w| format!("[{}]{}", &w[..1], &w[1..])).collect();
    loop {
        eprint!("{question} {}: ", shown.join(", "));
        let line = read_line().await?;
        if line.is_empty() {
            return Ok(words[words.len() - 1]);
        }
        if let Some(word) = words.iter().find(|w| w.starts_with(&line)) {
            return Ok(word);
        }
    }
}
