//! Changes to files: shown, tested, applied, and how that ended.

use std::time::Duration;

use clap::Args;
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{ApplyNginxRequest, ApplyNginxResponse, NginxChange, TestNginxResponse, nginx_change::Action},
};
use serde::Serialize;

use super::{path::ConfigPath, pending, problem, target::Target};
use crate::{
    connect::Pace,
    dialog::diff,
    failure::{Failure, Result},
    output::{escape::inline, measure::took, table::Look},
};

/// How a change is made.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Put it back by itself unless it is confirmed within this time, 10s to 1h
    #[arg(long, value_name = "TIME", value_parser = window)]
    pub(super) confirm: Option<u32>,
    /// Ask on this terminal whether to keep it, while the time runs
    #[arg(long, requires = "confirm")]
    pub(super) wait: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = reason)]
    pub(super) reason: String,
    /// Take this directive although it is not an ordinary one; may be repeated
    #[arg(long, value_name = "DIRECTIVE")]
    pub(super) accept: Vec<String>,
    /// Only test it and show what would change
    #[arg(long)]
    pub(super) dry_run: bool,
}

fn window(text: &str) -> Result<u32, String> {
    let time = humantime::parse_duration(text).map_err(|_| "write a time with its unit, such as `60s`")?;
    match (time, u32::try_from(time.as_secs())) {
        (time, Ok(seconds))
            if (10..=3_600).contains(&seconds) && time == Duration::from_secs(seconds.into()) =>
        {
            Ok(seconds)
        }
        _ => Err("it must be whole seconds, from 10s to 1h".into()),
    }
}

fn reason(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=500 => Ok(text.to_owned()),
        _ => Err("at most 500 characters".into()),
    }
}

/// A SHA-256 as it is written.
pub(super) fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a SHA-256 has 64 hexadecimal digits".into()),
    }
}

/// One change, with what it is shown by.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) path: ConfigPath,
    pub(super) action: Action,
    /// The hash that was seen. Empty: there is no such file.
    pub(super) expected: String,
    /// The content before; nothing where only a link changes.
    pub(super) before: Option<String>,
}

impl Edit {
    pub(super) fn content(path: ConfigPath, expected: String, before: String, after: String) -> Self {
        Self { path, action: Action::Content(after), expected, before: Some(before) }
    }

    fn change(&self) -> NginxChange {
        NginxChange {
            path: self.path.to_string(),
            expected_sha256: self.expected.clone(),
            action: Some(self.action.clone()),
        }
    }

    fn diff(&self) -> String {
        let before = self.before.as_deref().unwrap_or_default();
        match &self.action {
            Action::Content(after) => diff::unified(self.path.as_str(), before, after),
            Action::Delete(_) => diff::unified(self.path.as_str(), before, ""),
            Action::Enable(_) | Action::Quarantine(_) => String::new(),
        }
    }

    /// `cigar +3 −1`.
    fn told(&self) -> String {
        let path = self.path.brief();
        match &self.action {
            Action::Content(_) => format!("{path} {}", diff::size(&self.diff())),
            Action::Delete(_) => format!("{path} removed"),
            Action::Enable(true) => format!("{path} enabled"),
            Action::Enable(false) => format!("{path} disabled"),
            Action::Quarantine(true) => format!("{path} quarantined"),
            Action::Quarantine(false) => format!("{path} out of quarantine"),
        }
    }
}

/// What a test without a change says to programs.
#[derive(Serialize)]
struct DryRun {
    #[serde(flatten)]
    test: TestNginxResponse,
    diff: String,
}

/// Diffs of all changes.
pub(super) fn diffs(edits: &[Edit]) -> String {
    edits.iter().map(Edit::diff).collect()
}

fn sources(edits: &[Edit]) -> problem::Sources {
    let contents = edits.iter().filter_map(|edit| match &edit.action {
        Action::Content(text) => Some((edit.path.to_string(), text.clone())),
        _ => None,
    });
    contents.collect()
}

/// Tests changes.
pub(super) async fn test(
    target: &Target<'_>,
    edits: &[Edit],
    accept: &[String],
) -> Result<TestNginxResponse> {
    target.test(edits.iter().map(Edit::change).collect(), accept).await
}

/// Shows what a test found, with the lines that it is about.
pub(super) async fn tell(target: &Target<'_>, edits: &[Edit], tested: &TestNginxResponse) {
    target.tell(&tested.problems, sources(edits)).await;
}

/// What a test that did not go well ends with.
pub(super) fn refused(tested: &TestNginxResponse) -> Failure {
    let what = match problem::tally(&tested.problems) {
        tally if tally.is_empty() => "the configuration would not be taken".to_owned(),
        tally => format!("the configuration would not be taken: {tally}"),
    };
    Fault::new(FaultKind::Failed, what).into()
}

/// Makes changes as one, or with `--dry-run` only says what would become of them.
pub(super) async fn carry_out(target: &Target<'_>, how: &How, edits: Vec<Edit>) -> Result<()> {
    if how.dry_run {
        return dry_run(target, how, &edits).await;
    }
    let done = match apply(target, how, &edits).await {
        Ok(done) => done,
        Err(failure) => return Err(told(target, &edits, failure).await?),
    };
    finish(target, how, &edits, done).await
}

async fn dry_run(target: &Target<'_>, how: &How, edits: &[Edit]) -> Result<()> {
    let out = &target.session.out;
    let test = match test(target, edits, &how.accept).await {
        Ok(test) => test,
        Err(failure) => return Err(told(target, edits, failure).await?),
    };
    let verdict = if test.ok { Ok(()) } else { Err(refused(&test)) };
    let diff = diffs(edits);
    if out.is_data() {
        out.data(&DryRun { test, diff })?;
        return verdict;
    }
    tell(target, edits, &test).await;
    show_diff(target, &diff)?;
    if verdict.is_ok() {
        out.note(&format!("{} on {}: it would be applied", summary(edits), target.label));
    }
    verdict
}

/// A diff on stdout: for a terminal in colours, for a pipe as a patch.
pub(super) fn show_diff(target: &Target<'_>, diff: &str) -> Result<()> {
    let out = &target.session.out;
    if super::on_terminal() { out.write(&diff::shown(diff, out.colour)) } else { out.write(diff) }
}

fn summary(edits: &[Edit]) -> String {
    const NAMED: usize = 4;
    let mut parts: Vec<String> = edits.iter().take(NAMED).map(Edit::told).collect();
    if edits.len() > NAMED {
        parts.push(format!("{} more", edits.len() - NAMED));
    }
    parts.join(", ")
}

/// Asks the host to take the changes over. A lost answer is asked for once more: the id makes it one change.
pub(super) async fn apply(target: &Target<'_>, how: &How, edits: &[Edit]) -> Result<ApplyNginxResponse> {
    let request = ApplyNginxRequest {
        id: uuid::Uuid::new_v4().to_string(),
        changes: edits.iter().map(Edit::change).collect(),
        accept: how.accept.clone(),
        confirm_s: how.confirm.unwrap_or(0),
        reason: how.reason.clone(),
    };
    let _progress = target.session.out.progress(format!("applying {} on {}", summary(edits), target.label));
    let ask =
        || target.link.answer(Pace::Act, async { target.nginx(Pace::Act).apply(request.clone()).await });
    match ask().await {
        Err(Failure::Fault(fault)) if fault.kind() == FaultKind::Unknown => ask().await,
        answer => answer,
    }
}

/// Tells what keeps changes from being made, and what changed meanwhile. The failure that is left ends the command.
pub(super) async fn told(target: &Target<'_>, edits: &[Edit], failure: Failure) -> Result<Failure> {
    let Failure::Fault(mut fault) = failure else { return Ok(failure) };
    if target.session.out.is_data() {
        target.session.out.data(&*fault)?;
    } else {
        target.tell(&fault.problems, sources(edits)).await;
    }
    if fault.kind() == FaultKind::Conflict {
        for edit in edits {
            meanwhile(target, edit, &mut fault).await;
        }
    }
    Ok(Failure::Fault(fault))
}

/// What somebody else did to a file since it was read.
async fn meanwhile(target: &Target<'_>, edit: &Edit, fault: &mut Fault) {
    let Some(before) = &edit.before else { return };
    let Ok(now) = target.file(edit.path.as_str()).await else { return };
    if now.sha256 == edit.expected {
        return;
    }
    let theirs = diff::unified(edit.path.as_str(), before, &now.content);
    if !theirs.is_empty() {
        let head = format!("{} was changed meanwhile:\n", edit.path);
        target.session.out.say((head + &diff::shown(&theirs, target.session.out.colour)).trim_end());
    }
    let path = edit.path.brief();
    fault.hint =
        format!("compare yours with what is there now: hmsctl nginx diff {path} FILE; then try again");
}

/// Says what was done, with what was noticed on the way.
pub(super) async fn finish(
    target: &Target<'_>,
    how: &How,
    edits: &[Edit],
    done: ApplyNginxResponse,
) -> Result<()> {
    let out = &target.session.out;
    if !out.data(&done)? {
        target.tell(&done.problems, sources(edits)).await;
        out.line(&sentence(&summary(edits), &target.label, &done, out.colour))?;
        probes(&done).iter().for_each(|line| out.note(line));
    }
    match done.tree.and_then(|tree| tree.pending) {
        Some(pending) => pending::follow(target, &pending, how.wait).await,
        None => Ok(()),
    }
}

/// `applied cigar +3 −1 on asterra in 1.4 s (lint 2 ms, test 90 ms, …)`.
fn sentence(what: &str, host: &str, done: &ApplyNginxResponse, colour: bool) -> String {
    let steps: Vec<String> =
        done.steps.iter().map(|s| format!("{} {}", inline(&s.name), took(s.took_ms))).collect();
    let steps = if steps.is_empty() { String::new() } else { format!(" ({})", steps.join(", ")) };
    let applied = Look::Good.paint("applied", colour);
    format!(
        "{applied} {} on {host} in {}{}",
        inline(what),
        took(done.took_ms),
        Look::Faint.paint(&steps, colour)
    )
}

/// Addresses that answer otherwise than before.
fn probes(done: &ApplyNginxResponse) -> Vec<String> {
    let status = |n: u32| if n == 0 { "no answer".to_owned() } else { n.to_string() };
    let changed = done.probes.iter().filter(|probe| probe.before != probe.after);
    changed
        .map(|p| format!("{}: {} before, {} now", inline(&p.url), status(p.before), status(p.after)))
        .collect()
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{NginxProbe, NginxStep};

    use super::*;

    #[test]
    fn the_result_is_one_sentence_and_what_answers_otherwise() {
        let step = |name: &str, took_ms| NginxStep { name: name.into(), took_ms, ..NginxStep::default() };
        let probe = |url: &str, before, after| NginxProbe { url: url.into(), before, after };
        let done = ApplyNginxResponse {
            took_ms: 1_420,
            steps: vec![step("lint", 2), step("test", 90), step("reload", 1_100)],
            probes: vec![probe("http://a/", 200, 200), probe("http://b/", 0, 301)],
            ..ApplyNginxResponse::default()
        };
        let path = ConfigPath::typed("cigar").unwrap();
        let edits = [
            Edit::content(path.clone(), String::new(), "a\n".into(), "a\nb\n".into()),
            Edit { path, action: Action::Enable(true), expected: String::new(), before: None },
        ];
        assert_eq!(
            sentence(&summary(&edits), "asterra", &done, false),
            "applied cigar +1 −0, cigar enabled on asterra in 1.4 s (lint 2 ms, test 90 ms, reload 1.1 s)"
        );
        assert_eq!(probes(&done), ["http://b/: no answer before, 301 now"]);
    }

    #[test]
    fn a_window_is_whole_seconds_within_the_limits() {
        assert_eq!(window("60s"), Ok(60));
        assert_eq!(window("1h"), Ok(3_600));
        for text in ["9s", "0s", "61min", "60", "1500ms", "10500ms", "-5s", "18446744073709551615s", "x"] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_hash_is_compared_in_one_form() {
        assert_eq!(sha256(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
        assert!(sha256("abc").is_err() && sha256(&"g".repeat(64)).is_err());
    }
}
