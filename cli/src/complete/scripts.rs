//! Completion of scripts, their parameters, runs, schedules and labels.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;
use hms_proto::{
    controller::v1::{
        ListAppsRequest, ListHostsRequest, ListRunsRequest, ListSchedulesRequest, ListScriptsRequest, Run,
    },
    host::v1::{self as host, Job, JobState, Parameter, ParameterKind, Script},
    names::HostName,
};

use super::{Pairs, matching, open_any, option_of, within_budget, words};
use crate::{
    connect::{Connection, Pace},
    failure::Result,
    output::measure::{now_usec, relative},
};

/// Names of scripts.
pub(crate) fn scripts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        Ok(known(&open_any()?.1).await?.into_iter().map(|s| (s.name, s.title)).collect())
    });
    matching(typed, found)
}

async fn known(link: &Connection) -> Result<Vec<Script>> {
    let pace = Pace::Look;
    Ok(match link.is_direct() {
        true => {
            link.answer(pace, link.host_scripts(None, pace).list(host::ListScriptsRequest {})).await?.scripts
        }
        false => link.answer(pace, link.scripts(None, pace).list(ListScriptsRequest {})).await?.scripts,
    })
}

/// `NAME=` of the parameters of the script in the command line, and `NAME=VALUE` where the values are known.
pub(crate) fn parameters(typed: &OsStr) -> Vec<CompletionCandidate> {
    let text = typed.to_string_lossy().into_owned();
    let found = within_budget(async {
        let (_, link) = open_any()?;
        let scripts = known(&link).await?;
        let words = words();
        let Some(script) = script_in(&words, &scripts) else { return Ok(Pairs::new()) };
        let Some((name, _)) = text.split_once('=') else { return Ok(names(script)) };
        let parameter = script.parameters.iter().find(|p| p.name == name);
        let values = match parameter {
            Some(parameter) => values(&link, parameter, &words).await?,
            None => Pairs::new(),
        };
        Ok(values.into_iter().map(|(value, help)| (format!("{name}={value}"), help)).collect())
    });
    matching(typed, found)
}

/// The script that a command line is about: its first word that is the name of one.
fn script_in<'a>(words: &[String], scripts: &'a [Script]) -> Option<&'a Script> {
    words.iter().find_map(|word| scripts.iter().find(|script| script.name == *word))
}

fn names(script: &Script) -> Pairs {
    script.parameters.iter().map(|p| (format!("{}=", p.name), p.label.clone())).collect()
}

async fn values(link: &Connection, parameter: &Parameter, words: &[String]) -> Result<Pairs> {
    let plain = |values: &[&str]| values.iter().map(|v| ((*v).to_owned(), String::new())).collect();
    Ok(match parameter.kind() {
        ParameterKind::Enum => parameter.choices.iter().map(|c| (c.clone(), String::new())).collect(),
        ParameterKind::Bool => plain(&["true", "false"]),
        ParameterKind::App if !link.is_direct() => {
            let list = link.answer(Pace::Look, link.apps(None, Pace::Look).list(ListAppsRequest {})).await?;
            list.apps.into_iter().map(|a| (a.key, format!("on {}", a.host))).collect()
        }
        ParameterKind::Host if !link.is_direct() => host_names(link).await?,
        ParameterKind::Unit => {
            let host = option_of(words, "--host").and_then(|name| HostName::try_from(name).ok());
            if host.is_none() && !link.is_direct() {
                return Ok(Pairs::new());
            }
            let mut units = link.units(host.as_ref(), Pace::Look);
            let list = link.answer(Pace::Look, units.list(host::ListUnitsRequest::default())).await?;
            list.units.into_iter().map(|u| (u.name, u.description)).collect()
        }
        _ if !parameter.default.is_empty() => plain(&[&parameter.default]),
        _ => Pairs::new(),
    })
}

async fn host_names(link: &Connection) -> Result<Pairs> {
    let list = link.answer(Pace::Look, link.fleet(None, Pace::Look).list_hosts(ListHostsRequest {})).await?;
    Ok(list.hosts.into_iter().map(|h| (h.name, h.address)).collect())
}

/// Ids of the newest runs; on an agent that is asked itself, of its jobs.
pub(crate) fn runs(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let (_, link) = open_any()?;
        let pace = Pace::Look;
        if link.is_direct() {
            let request = host::ListJobsRequest::default();
            let list = link.answer(pace, link.host_jobs(None, pace).list(request)).await?;
            return Ok(list.jobs.iter().map(of_job).collect());
        }
        let list = link.answer(pace, link.jobs(None, pace).list_runs(ListRunsRequest::default())).await?;
        Ok(list.runs.iter().map(of_run).collect())
    });
    matching(typed, found)
}

fn of_run(run: &Run) -> (String, String) {
    (run.id.clone(), told(&run.script, run.state(), run.created_usec))
}

fn of_job(job: &Job) -> (String, String) {
    (job.id.clone(), told(&job.script, job.state(), job.created_usec))
}

fn told(script: &str, state: JobState, created_usec: i64) -> String {
    let state = state.as_str_name().trim_start_matches("JOB_STATE_").to_lowercase().replace('_', " ");
    format!("{script}, {state}, {}", relative(created_usec, now_usec()))
}

/// Ids of schedules.
pub(crate) fn schedules(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let (_, link) = open_any()?;
        let call = link.answer(Pace::Look, async {
            link.jobs(None, Pace::Look).list_schedules(ListSchedulesRequest {}).await
        });
        let help = |words: &str, script: &str| format!("{script}, {words}");
        Ok(call.await?.schedules.into_iter().map(|s| (s.id, help(&s.words, &s.script))).collect())
    });
    matching(typed, found)
}

/// Labels that some host has.
pub(crate) fn labels(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, all_labels())
}

/// `+LABEL` of all, and `-LABEL`.
pub(crate) fn signed_labels(typed: &OsStr) -> Vec<CompletionCandidate> {
    let sign = if typed.to_string_lossy().starts_with('-') { '-' } else { '+' };
    matching(typed, all_labels().into_iter().map(|(label, help)| (format!("{sign}{label}"), help)))
}

fn all_labels() -> Pairs {
    within_budget(async {
        let (_, link) = open_any()?;
        let call = link
            .answer(Pace::Look, async { link.fleet(None, Pace::Look).list_hosts(ListHostsRequest {}).await });
        let mut hosts = std::collections::BTreeMap::<String, Vec<String>>::new();
        for host in call.await?.hosts {
            host.labels.into_iter().for_each(|l| hosts.entry(l).or_default().push(host.name.clone()));
        }
        Ok(hosts.into_iter().map(|(label, hosts)| (label, format!("on {}", hosts.join(", ")))).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_found_among_the_words() {
        let scripts =
            ["check_status", "parse_logs"].map(|name| Script { name: name.into(), ..Script::default() });
        let found = |line: &str| {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            script_in(&words, &scripts).map(|script| script.name.clone())
        };
        assert_eq!(
            found("hmsctl -- hmsctl scripts run parse_logs --param ap").as_deref(),
            Some("parse_logs")
        );
        assert_eq!(found("hmsctl schedules add --cron x check_status -p").as_deref(), Some("check_status"));
        assert_eq!(found("hmsctl scripts run other --param "), None);
    }
}
