//! How the files in an app's log folder are rotated.

use hms_proto::fault::Fault;

use super::{differs, text};
use crate::apps::App;

pub(super) fn file(app: &App) -> Result<String, Fault> {
    let pattern = format!("{}/log/*.log", app.shared().display());
    let settings: Vec<String> = [
        // The folder is the app's: root does not follow what may be a link by then.
        &format!("su {0} {0}", app.user()),
        "daily",
        "maxsize 100M",
        "rotate 14",
        "missingok",
        "notifempty",
        "compress",
        "delaycompress",
        // Rails keeps its file open, and has no signal that would make it open another.
        "copytruncate",
    ]
    .iter()
    .map(|line| (*line).to_owned())
    .collect();
    let text =
        format!("# {}\n\"{pattern}\" {{\n    {}\n}}\n", text::head(app.key()), settings.join("\n    "));
    if parse(&text).is_some_and(|read| read == (pattern, settings)) {
        Ok(text)
    } else {
        Err(differs("the file of logrotate"))
    }
}

/// Reads one quoted pattern with its block.
fn parse(text: &str) -> Option<(String, Vec<String>)> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let pattern = lines.next()?.strip_prefix('"')?.strip_suffix("\" {")?;
    let odd = |c: char| matches!(c, '"' | '\\' | '{' | '}' | '\'') || c.is_control();
    let body: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
    let (end, settings) = body.split_last()?;
    let plain = end == "}" && !pattern.contains(odd) && !settings.iter().any(|s| s.contains(odd));
    plain.then(|| (pattern.to_owned(), settings.to_vec()))
}
