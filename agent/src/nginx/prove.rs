//! Whether a configuration may take the place of the live one: lint first, then nginx itself in its sandbox. A file that
//! was broken before, and is no part of the change, does not stand in its way (docs/decisions).

use std::collections::BTreeSet;

use hms_proto::{
    fault::{ConfigProblem, Fault},
    host::v1::NginxChange,
};

use super::{
    Nginx,
    change::{self, Edit},
    check::{Purpose, check},
    folder::Folder,
    lint::{Linted, lint, weigh},
    paths::ConfigPath,
};
use crate::systemd::Session;

/// Broken files beyond this many are no accident, and nothing to be worked around.
const ASIDE_MAX: usize = 5;

/// What is known of a candidate.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The tree as it would be.
    pub(crate) candidate: Folder,
    /// What was read in it.
    pub(crate) linted: Linted,
    /// What was read in the live tree.
    pub(crate) live: Linted,
    /// Files that differ.
    pub(crate) edits: Vec<Edit>,
    /// What is wrong, and what is odd.
    pub(crate) problems: Vec<ConfigProblem>,
    /// Files whose last good text was put in their place, or that nginx does not see any longer.
    pub(crate) set_aside: Vec<String>,
    /// Each step, with what came of it.
    pub(crate) steps: Vec<(&'static str, std::time::Duration)>,
}

impl Proof {
    /// Whether nothing speaks against it.
    pub(crate) fn is_good(&self) -> bool {
        !self.problems.iter().any(|p| p.severity == "error")
    }

    /// The files that differ, also by the links to them.
    pub(crate) fn changed(&self) -> BTreeSet<String> {
        changed(&self.edits, &self.candidate)
    }
}

fn changed(edits: &[Edit], candidate: &Folder) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = edits.iter().map(|e| e.path.clone()).collect();
    paths.extend(edits.iter().filter_map(|e| candidate.resolve(&e.path)));
    paths
}

/// Looks at the live tree with these changes.
pub(crate) async fn prove(
    nginx: &Nginx,
    session: &Session,
    live: &Folder,
    changes: &[NginxChange],
    accept: &[String],
) -> Result<Proof, Fault> {
    let began = std::time::Instant::now();
    let candidate = change::candidate(live, changes)?;
    let edits = change::edits(live, &candidate);
    let (live_linted, linted) = {
        let (live, candidate) = (live.clone(), candidate.clone());
        crate::blocking(move || Ok((lint(&live), lint(&candidate)))).await?
    };
    let problems =
        weigh(linted.problems.clone(), &live_linted.problems, &changed(&edits, &candidate), accept);
    let steps = vec![("lint", began.elapsed())];
    let mut proof =
        Proof { candidate, linted, live: live_linted, edits, problems, set_aside: Vec::new(), steps };
    if !proof.is_good() {
        return Ok(proof);
    }
    let began = std::time::Instant::now();
    test(nginx, session, live, &mut proof).await?;
    proof.steps.push(("test", began.elapsed()));
    Ok(proof)
}

/// Has nginx test it. As long as only files stand in the way that stood there before, they are set aside.
async fn test(nginx: &Nginx, session: &Session, live: &Folder, proof: &mut Proof) -> Result<(), Fault> {
    let own = changed(&proof.edits, &proof.candidate);
    let state = super::state_of(nginx);
    let purpose = if proof.edits.is_empty() { Purpose::Look } else { Purpose::Change };
    for _ in 0..=ASIDE_MAX {
        let said = check(session, &state, purpose, &proof.candidate, &proof.linted).await?;
        let blocker = said.iter().find(|p| p.severity == "error").cloned();
        let Some(blocker) = blocker else {
            proof.problems.extend(said);
            return Ok(());
        };
        let is_foreign = !blocker.path.is_empty() && !own.contains(&blocker.path) && !proof.edits.is_empty();
        if !is_foreign || !was_broken(session, &state, live, proof, &blocker).await? {
            proof.problems.extend(said);
            return Ok(());
        }
        match set_aside(nginx, &mut proof.candidate, &blocker) {
            Some(note) => {
                proof.problems.push(note);
                proof.set_aside.push(blocker.path.clone());
            }
            None => {
                let hint = format!(
                    "`{}` was broken before this change. Mend it, or quarantine it: nginx would not start with it.",
                    blocker.path
                );
                proof.problems.push(ConfigProblem { hint, ..blocker });
                return Ok(());
            }
        }
        proof.edits = change::edits(live, &proof.candidate);
        proof.linted = lint(&proof.candidate);
    }
    Ok(())
}

/// Whether the live tree without any change has this problem, too, once what was set aside already is out of the way.
async fn was_broken(
    session: &Session,
    state: &std::path::Path,
    live: &Folder,
    proof: &Proof,
    blocker: &ConfigProblem,
) -> Result<bool, Fault> {
    let mut before = live.clone();
    for path in &proof.set_aside {
        let related = proof
            .edits
            .iter()
            .filter(|e| e.path.starts_with(path.as_str()) || live.resolve(&e.path).as_deref() == Some(path));
        for edit in related {
            match &edit.after {
                Some(entry) => drop(before.entries.insert(edit.path.clone(), entry.clone())),
                None => drop(before.entries.remove(&edit.path)),
            }
        }
    }
    let said = check(session, state, Purpose::Look, &before, &lint(&before)).await?;
    Ok(said.iter().any(|p| p.severity == "error" && p.path == blocker.path && p.message == blocker.message))
}

/// Puts the last good text of a broken file in its place, or takes a file out of nginx's sight that never was good.
fn set_aside(nginx: &Nginx, folder: &mut Folder, blocker: &ConfigProblem) -> Option<ConfigProblem> {
    let good = nginx.0.records.good()?;
    let path = ConfigPath::try_from(blocker.path.as_str()).ok()?;
    let (message, hint) = match good.files.get(path.as_str()) {
        Some(text) => {
            let beside = change::put_last_good(folder, path.as_str(), text)?;
            (
                format!(
                    "it was broken before this change ({}): its last good version is in its place",
                    blocker.message
                ),
                format!("What stood there is kept in `{beside}`. Mend it there, then put it back."),
            )
        }
        None => {
            change::quarantine(folder, &path, true).ok()?;
            (
                format!(
                    "it was broken before this change ({}), and nginx never ran with it: nginx does not see it any longer",
                    blocker.message
                ),
                "Mend it, then enable it again.".to_owned(),
            )
        }
    };
    Some(ConfigProblem { severity: "warning".to_owned(), message, hint, ..blocker.clone() })
}
