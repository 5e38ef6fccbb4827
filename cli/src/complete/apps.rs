//! Completion of apps, their releases and secrets, and deployments.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;
use hms_proto::{
    controller::v1::{Deployment, ListAppsRequest, ListDeploymentsRequest, ListSecretsRequest},
    host::v1::{Job, JobKind, JobState, ListJobsRequest},
    names::AppKey,
};

use super::{Pairs, matching, open, open_any, within_budget, words};
use crate::{
    commands::apps::on_host,
    connect::{Connection, Pace},
    failure::Result,
    output::measure::{now_usec, relative},
};

/// Keys of apps.
pub(crate) fn apps(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let (_, link) = open()?;
        let list = link.answer(Pace::Look, link.apps(None, Pace::Look).list(ListAppsRequest {})).await?;
        Ok(list.apps.into_iter().map(|a| (a.key, format!("on {}", a.host))).collect())
    });
    matching(typed, found)
}

/// Releases of the app in the command line that can be gone back to.
pub(crate) fn releases(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let Some(key) = key_in(&words()) else { return Ok(Pairs::new()) };
        let app = on_host(&open_any()?.1, &key).await?;
        let earlier = app.releases.into_iter().filter(|release| !release.live);
        Ok(earlier
            .map(|r| (r.id, format!("{}, built {}", r.subject, relative(r.created_usec, now_usec()))))
            .collect())
    });
    matching(typed, found)
}

/// Names of secrets of the app in the command line.
pub(crate) fn secrets(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let Some(key) = key_in(&words()) else { return Ok(Pairs::new()) };
        let (_, link) = open()?;
        let request = ListSecretsRequest { key: key.to_string(), version: 0 };
        let list = link.answer(Pace::Look, link.secrets(None, Pace::Look).list(request)).await?;
        let help = |usec| format!("changed {}", relative(usec, now_usec()));
        Ok(list.secrets.into_iter().map(|secret| (secret.name, help(secret.changed_usec))).collect())
    });
    matching(typed, found)
}

/// Verbs of `apps` after which a key stands.
const BEFORE_KEY: [&str; 8] = ["rollback", "plan", "set", "unset", "rotate", "reveal", "deploy", "releases"];

/// The app that a command line is about: the first word after the verb that can be a key.
fn key_in(words: &[String]) -> Option<AppKey> {
    let is_verb = |word: &String| BEFORE_KEY.contains(&word.as_str());
    let verb = words.iter().position(is_verb)?;
    let rest = words[verb..].iter().filter(|word| !is_verb(word));
    rest.filter_map(|word| AppKey::try_from(word.as_str()).ok()).next()
}

/// Ids of the newest deployments.
pub(crate) fn deployments(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, within_budget(async { newest(&open_any()?.1).await }))
}

async fn newest(link: &Connection) -> Result<Pairs> {
    let pace = Pace::Look;
    if link.is_direct() {
        let list = link.answer(pace, link.host_jobs(None, pace).list(ListJobsRequest::default())).await?;
        let jobs = list.jobs.iter().filter(|job| job.kind() != JobKind::Script);
        return Ok(jobs.map(|job| (job.id.clone(), told(&job.app, job))).collect());
    }
    let mut deployments = link.deployments(None, pace);
    let list = link.answer(pace, deployments.list(ListDeploymentsRequest::default())).await?;
    let pair = |d: Deployment| (d.id, told(&d.key, &d.job.unwrap_or_default()));
    Ok(list.deployments.into_iter().map(pair).collect())
}

fn told(app: &str, job: &Job) -> String {
    let state: JobState = job.state();
    let state = state.as_str_name().trim_start_matches("JOB_STATE_").to_lowercase().replace('_', " ");
    format!("{app}, {state}, {}", relative(job.created_usec, now_usec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_found_among_the_words() {
        let found = |line: &str| {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            key_in(&words).map(|key| key.to_string())
        };
        assert_eq!(found("hmsctl -- hmsctl apps rollback cigar 2026").as_deref(), Some("cigar"));
        assert_eq!(found("hmsctl apps plan --for rollback cigar --release").as_deref(), Some("cigar"));
        assert_eq!(found("hmsctl apps plan cigar --for rollback --release").as_deref(), Some("cigar"));
        assert_eq!(found("hmsctl apps secrets set --file x_ cigar ").as_deref(), Some("cigar"));
        assert_eq!(found("hmsctl apps rollback "), None);
    }
}
