//! The user of an app, for systemd-sysusers(8); and nginx' user in its group, so that nginx can read what it serves.

use hms_proto::fault::Fault;

use super::{differs, shown, text};
use crate::apps::{App, Facts};

/// Lines of words, as sysusers.d(5) has them.
type Lines = Vec<Vec<String>>;

/// The file of its user.
pub(crate) fn file(app: &App, facts: &Facts) -> Result<String, Fault> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let home = shown(&app.shared().join("home"));
    let name = format!("HMS app {}", app.key());
    let mut lines = vec![words(&["u", app.user(), "-", &name, &home, "/usr/sbin/nologin"])];
    if let Some(user) = &facts.web_user {
        lines.push(words(&["m", user, app.user()]));
    }
    let written: Vec<String> = lines.iter().map(|words| line(words)).collect();
    let text = format!("# {}\n{}\n", text::head(app.key()), written.join("\n"));
    if parse(&text).is_some_and(|read| read == lines) {
        Ok(text)
    } else {
        Err(differs("the file of its user"))
    }
}

fn line(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("\"{word}\"") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Reads lines of words without escapes. `None`: there is something that this does not write.
fn parse(text: &str) -> Option<Lines> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let odd = |c: char| matches!(c, '\\' | '\'' | '%') || c.is_control();
            if line.contains(odd) {
                return None;
            }
            let mut words = Vec::new();
            for (n, part) in line.split('"').enumerate() {
                match n % 2 {
                    0 => words.extend(part.split_ascii_whitespace().map(str::to_owned)),
                    _ => words.push(part.to_owned()),
                }
            }
            Some(words)
        })
        .collect()
}
