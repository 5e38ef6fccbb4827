//! The one way in which the configuration changes: prove, write down, swap, reload, verify; or put everything back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hms_proto::{
    fault::{ConfigProblem, Fault, FaultKind},
    host::v1::{ApplyNginxRequest, ApplyNginxResponse, NginxStep, nginx_change::Action},
};
use uuid::Uuid;

use super::{
    Nginx,
    change::{self, Edit},
    fail,
    folder::Folder,
    probe,
    prove::{Proof, prove},
    record::{Change, Phase, Saved},
    reload, rooted,
};
use crate::{blocking, systemd::Session};

const REASON_MAX: usize = 500;
const ACCEPT_MAX: usize = 100;
/// Within how many seconds a change of HMS's own site must be confirmed, unless somebody says another time.
const OWN_SITE_S: u32 = 60;

/// What was done, step by step.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    steps: Vec<NginxStep>,
}

impl Steps {
    /// Adds one that began then.
    pub(crate) fn add(&mut self, name: &str, began: Instant, detail: impl Into<String>) {
        self.push(name, began.elapsed(), detail);
    }

    fn push(&mut self, name: &str, took: Duration, detail: impl Into<String>) {
        let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        self.steps.push(NginxStep { name: name.to_owned(), took_ms, detail: detail.into() });
    }
}

/// Checks what can be checked before anything is looked at.
fn validate(request: &ApplyNginxRequest) -> Result<(), Fault> {
    let id = Uuid::try_parse(&request.id)
        .map_err(|_| Fault::invalid("the change needs an id of its own, a UUID"))?;
    if id.is_nil() {
        return Err(Fault::invalid("the change needs an id of its own, a UUID that is not nil"));
    }
    if request.changes.is_empty() {
        return Err(Fault::invalid("there is nothing to change"));
    }
    if request.confirm_s != 0 && !(10..=3600).contains(&request.confirm_s) {
        return Err(Fault::invalid("the time to confirm must be 10 to 3,600 seconds"));
    }
    if request.reason.chars().count() > REASON_MAX || request.reason.chars().any(char::is_control) {
        return Err(Fault::invalid("the reason must be one line of at most 500 characters"));
    }
    if request.accept.len() > ACCEPT_MAX || request.accept.iter().any(|a| a.len() > 100) {
        return Err(Fault::invalid("these are too many directives to accept"));
    }
    Ok(())
}

/// Refuses while a change of somebody else waits to be confirmed.
pub(crate) fn is_free(nginx: &Nginx) -> Result<(), Fault> {
    let Some(change) = nginx.0.records.change()? else { return Ok(()) };
    if change.phase == Phase::Swapping {
        return Err(Fault::new(FaultKind::Unavailable, "an earlier change could not be put back yet")
            .hint("Look at `journalctl -u hms-agent` on the host."));
    }
    let message = format!(
        "a change by {} waits to be confirmed until {}",
        change.actor,
        super::time_text(change.deadline_usec)
    );
    Err(Fault::new(FaultKind::Conflict, message).hint("Confirm it or revert it first."))
}

/// Takes over these changes.
pub(crate) async fn apply(
    nginx: &Nginx,
    actor: &str,
    request: &ApplyNginxRequest,
) -> Result<ApplyNginxResponse, Fault> {
    validate(request)?;
    let began = Instant::now();
    let _guard = nginx.write_lock().await;
    if let Some(answer) = repeated(nginx, &request.id, began).await? {
        return Ok(answer);
    }
    is_free(nginx)?;
    let session = nginx.0.bus.session().await?;
    let live = nginx.live().await?;
    let proof = prove(nginx, &session, &live, &request.changes, &request.accept).await;
    let proof = proof.map_err(|fault| with_author(nginx, request, fault))?;
    if !proof.is_good() {
        return Err(refused(proof.problems));
    }
    let mut steps = Steps::default();
    proof.steps.iter().for_each(|(name, took)| steps.push(name, *took, ""));
    if proof.edits.is_empty() {
        steps.add("swap", Instant::now(), "nothing differs");
        return answer(nginx, proof.problems, Vec::new(), steps, began).await;
    }
    let mut change = Change {
        id: request.id.clone(),
        actor: actor.to_owned(),
        reason: request.reason.clone(),
        phase: Phase::Swapping,
        began_usec: crate::now_usec(),
        deadline_usec: 0,
        was_running: reload::is_running(&session).await?,
        edits: proof.edits.iter().map(Saved::of).collect::<Result<_, _>>()?,
    };
    let confirm_s = confirm_s(nginx, request, &proof);
    if confirm_s > 0 {
        change.deadline_usec = crate::now_usec() + i64::from(confirm_s) * 1_000_000;
    }
    let run = Run { nginx, session: &session, live: &live, proof: &proof };
    let probes = run.run(&change, &mut steps).await?;
    finish(nginx, &mut change, request, (&proof, confirm_s))?;
    answer(nginx, proof.problems, probes, steps, began).await
}

/// Within how many seconds somebody must confirm; 0: nobody needs to. A mistake in the site that serves HMS itself would
/// lock out whoever could mend it, so it is never taken over for good at once.
fn confirm_s(nginx: &Nginx, request: &ApplyNginxRequest, proof: &Proof) -> u32 {
    let mut paths = proof.changed();
    paths.extend(request.changes.iter().map(|change| change.path.clone()));
    let is_own = |tree| paths.iter().any(|path| super::view::serves(tree, path, &nginx.0.own_name));
    match request.confirm_s {
        0 if is_own(&proof.linted) || is_own(&proof.live) => OWN_SITE_S,
        asked => asked,
    }
}

/// Says of a conflict who it is with, where that was through HMS.
fn with_author(nginx: &Nginx, request: &ApplyNginxRequest, mut fault: Fault) -> Fault {
    let touches = |paths: &[String]| request.changes.iter().any(|c| paths.contains(&c.path));
    let outcomes = nginx.0.records.outcomes().unwrap_or_default();
    let last = outcomes
        .iter()
        .rev()
        .find(|o| touches(&o.paths) && matches!(o.result.as_str(), "applied" | "confirmed" | "reverted"));
    if let (FaultKind::Conflict, Some(last)) = (fault.kind(), last) {
        let when = super::time_text(last.time_usec);
        fault.message =
            format!("{}; through HMS it was last {} by {} at {when}", fault.message, last.result, last.actor);
    }
    fault
}

/// The last writes: how it ended, or that it waits.
fn finish(
    nginx: &Nginx,
    change: &mut Change,
    request: &ApplyNginxRequest,
    (proof, confirm_s): (&Proof, u32),
) -> Result<(), Fault> {
    note_quarantine(nginx, request, proof)?;
    fail::point("verified");
    if confirm_s > 0 {
        change.phase = Phase::Waiting;
        change.deadline_usec = crate::now_usec() + i64::from(confirm_s) * 1_000_000;
        nginx.0.records.set_change(change)?;
        super::recover::arm(nginx.clone(), change);
        fail::point("waiting");
        return Ok(());
    }
    let detail = proof
        .set_aside
        .iter()
        .map(|p| format!("{p} was broken and set aside"))
        .collect::<Vec<_>>()
        .join("; ");
    nginx.0.records.end(change.outcome("applied", detail))?;
    nginx.0.records.set_good(&proof.candidate);
    fail::point("ended");
    Ok(())
}

fn note_quarantine(nginx: &Nginx, request: &ApplyNginxRequest, proof: &Proof) -> Result<(), Fault> {
    let mut aside = nginx.0.records.quarantined();
    let before = aside.clone();
    for change in &request.changes {
        match change.action {
            Some(Action::Quarantine(true)) => {
                aside.insert(change.path.clone());
            }
            Some(Action::Quarantine(false) | Action::Enable(_) | Action::Delete(_)) => {
                aside.remove(&change.path);
            }
            _ => {}
        }
    }
    let out_of_sight = |path: &&String| !proof.linted.included_by.contains_key(path.as_str());
    aside.extend(proof.set_aside.iter().filter(out_of_sight).cloned());
    if aside == before { Ok(()) } else { nginx.0.records.set_quarantined(&aside) }
}

/// The problems of a change that is not made.
pub(crate) fn refused(problems: Vec<ConfigProblem>) -> Fault {
    let first = problems.iter().find(|p| p.severity == "error").cloned().unwrap_or_default();
    let place = match (first.path.as_str(), first.line) {
        ("", _) => String::new(),
        (path, 0) => format!("{path}: "),
        (path, line) => format!("{path}:{line}: "),
    };
    let more = problems.iter().filter(|p| p.severity == "error").count().saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let hint = if first.hint.is_empty() {
        "Nothing was changed.".to_owned()
    } else {
        format!("{} Nothing was changed.", first.hint)
    };
    let message = format!("the configuration is refused: {place}{}{more}", first.message);
    Fault { problems, ..Fault::new(FaultKind::Failed, message).hint(hint) }
}

/// The answer to a change that was made, or was not, before.
async fn repeated(nginx: &Nginx, id: &str, began: Instant) -> Result<Option<ApplyNginxResponse>, Fault> {
    let waiting = nginx.0.records.change()?.filter(|c| c.id == id && c.phase == Phase::Waiting);
    let outcome = nginx.0.records.outcomes()?.into_iter().rev().find(|o| o.id == id);
    let said = match (waiting, outcome) {
        (Some(_), _) => "it waits to be confirmed".to_owned(),
        (None, None) => return Ok(None),
        (None, Some(o)) if matches!(o.result.as_str(), "applied" | "confirmed") => o.result,
        (None, Some(o)) => {
            return Err(Fault::new(
                FaultKind::Failed,
                format!("this change ended before as {}: {}", o.result, o.detail),
            )
            .hint("To try again, ask with a new id."));
        }
    };
    let mut steps = Steps::default();
    steps.add("repeated", began, format!("asked before: {said}"));
    answer(nginx, Vec::new(), Vec::new(), steps, began).await.map(Some)
}

/// The answer, with the tree as it is now.
pub(crate) async fn answer(
    nginx: &Nginx,
    problems: Vec<ConfigProblem>,
    probes: Vec<hms_proto::host::v1::NginxProbe>,
    steps: Steps,
    began: Instant,
) -> Result<ApplyNginxResponse, Fault> {
    let tree = super::view::tree(nginx).await?;
    let took_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    Ok(ApplyNginxResponse { tree: Some(tree), problems, probes, took_ms, steps: steps.steps })
}

/// One change on its way.
struct Run<'a> {
    nginx: &'a Nginx,
    session: &'a Session,
    live: &'a Folder,
    proof: &'a Proof,
}

impl Run<'_> {
    async fn run(
        &self,
        change: &Change,
        steps: &mut Steps,
    ) -> Result<Vec<hms_proto::host::v1::NginxProbe>, Fault> {
        let targets = probe::targets(&self.proof.linted, &self.proof.changed());
        let began = Instant::now();
        let before = if change.was_running { probe::ask(&targets).await } else { Default::default() };
        steps.add("probe", began, format!("{} server names asked", targets.len()));
        fail::point("proved");
        let began = Instant::now();
        self.nginx.0.records.set_change(change)?;
        fail::point("written");
        if let Err(fault) = self.swap().await {
            return Err(self.put_back(change, fault, steps).await);
        }
        steps.add("swap", began, format!("{} files", self.proof.edits.len()));
        fail::point("swapped");
        let began = Instant::now();
        if !change.was_running {
            steps.add("reload", began, "nginx is not running: it reads this when it starts");
            return Ok(Vec::new());
        }
        let logs = self.logs();
        match reload::reload(self.session, &logs).await {
            Ok(said) => steps.add("reload", began, said),
            Err(fault) => return Err(self.put_back(change, fault, steps).await),
        }
        fail::point("reloaded");
        let began = Instant::now();
        let after = probe::ask_again(&targets, &before).await;
        let worse: Vec<_> =
            after.iter().filter(|(t, s)| probe::is_worse(before.get(*t).copied(), **s)).collect();
        let probes = probe::report(&before, &after);
        if !worse.is_empty() {
            let fault = no_answer(&probes);
            return Err(self.put_back(change, fault, steps).await);
        }
        steps.add("verify", began, "everything answers as before");
        Ok(probes)
    }

    fn logs(&self) -> BTreeSet<String> {
        let mut logs = reload::error_logs(&self.proof.live);
        logs.extend(reload::error_logs(&self.proof.linted));
        logs
    }

    /// Puts the new files in the place of the old ones, if those are still what was proved against.
    async fn swap(&self) -> Result<(), Fault> {
        let (edits, live) = (self.proof.edits.clone(), self.live.clone());
        blocking(move || {
            let root = rooted()?;
            let now = root.read().map_err(|e| super::unreadable(&e))?;
            if let Some(path) = moved(&live, &now, &edits) {
                return Err(change::conflict(&now, &path, false));
            }
            root.put_all(&edits).map_err(|e| {
                Fault::new(FaultKind::Failed, format!("the files cannot be written below /etc/nginx: {e}"))
                    .hint("Is the disk full, or /etc/nginx read-only for hms-agent? Restart hms-agent if nginx was installed after it.")
            })
        })
        .await
    }

    /// Undoes it, and says so.
    async fn put_back(&self, change: &Change, cause: Fault, steps: &mut Steps) -> Fault {
        fail::point("rollback-begins");
        let was_conflict = cause.kind() == FaultKind::Conflict;
        let began = Instant::now();
        let undone = super::recover::undo(self.nginx, self.session, change).await;
        fail::point("rolled-back");
        let ended = match &undone {
            Ok(_) => self.nginx.0.records.end(
                change.outcome(if was_conflict { "failed" } else { "rolled-back" }, cause.message.clone()),
            ),
            Err(_) => Ok(()),
        };
        steps.add("put back", began, "");
        match (undone, ended) {
            (Ok(_), Ok(())) if was_conflict => cause,
            (Ok(_), Ok(())) => {
                let message = format!("{}; everything was put back", cause.message);
                let mut fault = Fault { message, ..cause };
                if fault.problems.is_empty() {
                    fault.problems.push(ConfigProblem {
                        severity: "error".into(),
                        message: fault.message.clone(),
                        source: "verify".into(),
                        ..Default::default()
                    });
                }
                fault
            }
            (Err(error), _) | (_, Err(error)) => {
                let message = format!("{}; and it could not be put back: {}", cause.message, error.message);
                Fault { message, hint: "Look at the host now: `nginx -t`, `systemctl status nginx`. The agent goes on trying.".into(), ..cause }
            }
        }
    }
}

fn no_answer(probes: &[hms_proto::host::v1::NginxProbe]) -> Fault {
    let worse = probes.iter().find(|p| probe::is_worse(Some(p.before), p.after));
    let text = worse.map_or_else(String::new, |p| match p.after {
        0 => format!("{} answered {} before and does not answer any longer", p.url, p.before),
        after => format!("{} answered {} before and {after} after it", p.url, p.before),
    });
    let problem = ConfigProblem {
        severity: "error".into(),
        message: text.clone(),
        source: "verify".into(),
        ..Default::default()
    };
    Fault { problems: vec![problem], ..Fault::new(FaultKind::Failed, text) }
}

/// A path that is not any longer as it was.
fn moved(before: &Folder, now: &Folder, edits: &[Edit]) -> Option<String> {
    let node = |folder: &Folder, path: &str| folder.entries.get(path).map(|e| e.node.clone());
    let touched = edits.iter().map(|e| &e.path);
    touched.filter(|path| node(before, path) != node(now, path)).map(String::clone).next()
}
