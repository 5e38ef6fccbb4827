//! The form of a script, made from its manifest, with what was typed and what would run.

use std::collections::BTreeSet;

use hms_proto::{
    fault::Fault,
    host::v1::{Parameter, ParameterKind, Script},
};
use hms_web::{
    frame::{Notice, Tone},
    parts::{Choice, Field, FieldKind, Preview, ScriptForm, TargetHost, TargetPicker},
};

use super::{asked::Asked, view};
use crate::{api::grpc, auth::Caller, fleet::now_usec, jobs::cron::Times, sight::Sight, state::State};

/// How many of the next times are shown.
const TIMES: usize = 3;

/// What the form has when it is opened: the defaults where a link says nothing else, and the only host there is.
pub(super) fn to_begin_with(seen: Sight<'_>, script: &Script, mut asked: Asked) -> Asked {
    for parameter in &script.parameters {
        asked.parameters.entry(parameter.name.clone()).or_insert_with(|| parameter.default.clone());
    }
    let hosts = seen.hosts();
    if let ([only], "hosts", true) = (hosts.as_slice(), asked.way(), asked.hosts.is_empty()) {
        asked.hosts.push(only.row.name.clone());
    }
    asked
}

/// The form with what was typed.
pub(super) async fn of(state: &State, caller: &Caller, script: &Script, asked: &Asked) -> ScriptForm {
    let seen = state.fleet.seen_by(caller);
    ScriptForm {
        script: script.name.clone(),
        title: script.title.clone(),
        mutates: script.mutates,
        knows_json: script.json,
        fields: script.parameters.iter().map(|p| field(seen, p, asked)).collect(),
        target: picker(seen, asked),
        json: asked.json,
        batch: asked.batch.clone(),
        max_failures: asked.max_failures.clone(),
        timeout: asked.timeout.clone(),
        longest_s: script.timeout_s,
        cron: asked.cron.clone(),
        preview: preview(state, caller, script, asked).await,
        error: None,
    }
}

fn field(seen: Sight<'_>, parameter: &Parameter, asked: &Asked) -> Field {
    Field {
        name: parameter.name.clone(),
        label: parameter.label.clone(),
        help: parameter.help.clone(),
        kind: kind(seen, parameter, asked),
        required: parameter.required,
        value: asked.parameters.get(&parameter.name).cloned().unwrap_or_default(),
        error: asked.wrong(parameter).unwrap_or_default(),
    }
}

fn kind(seen: Sight<'_>, parameter: &Parameter, asked: &Asked) -> FieldKind {
    let value = asked.value(parameter);
    match parameter.kind() {
        ParameterKind::App => FieldKind::Choice(choices(parameter, apps(seen), value)),
        ParameterKind::Enum => {
            let plain = |choice: &String| Choice {
                value: choice.clone(),
                label: choice.clone(),
                ..Choice::default()
            };
            FieldKind::Choice(choices(parameter, parameter.choices.iter().map(plain).collect(), value))
        }
        ParameterKind::Unit => FieldKind::Suggested(units(seen, asked)),
        ParameterKind::Host => {
            FieldKind::Suggested(seen.hosts().iter().map(|h| h.row.name.clone()).collect())
        }
        ParameterKind::Int => FieldKind::Number { min: parameter.min, max: parameter.max },
        ParameterKind::Duration => FieldKind::Duration,
        ParameterKind::Pattern => FieldKind::Pattern,
        ParameterKind::Bool => FieldKind::Check,
        ParameterKind::Text | ParameterKind::Path | ParameterKind::Unspecified => FieldKind::Text,
    }
}

/// The choices there are, none of them where that is allowed, and what was given otherwise: it is not lost.
fn choices(parameter: &Parameter, mut known: Vec<Choice>, value: &str) -> Vec<Choice> {
    if !known.iter().any(|choice| choice.value == value) && !value.is_empty() {
        known.push(Choice { value: value.into(), label: value.into(), ..Choice::default() });
    }
    if parameter.default.is_empty() {
        let label = if parameter.required { "Choose one" } else { "none" };
        known.insert(0, Choice { label: label.into(), ..Choice::default() });
    }
    known
}

fn apps(seen: Sight<'_>) -> Vec<Choice> {
    let choice = |app: &crate::fleet::App| Choice {
        value: app.key.to_string(),
        label: format!("{} on {}", app.key, app.host()),
        host: app.host().to_owned(),
    };
    seen.apps().iter().map(|app| choice(app)).collect()
}

/// The units that the chosen hosts have; those of all hosts where none is chosen by name.
fn units(seen: Sight<'_>, asked: &Asked) -> Vec<String> {
    let by_name = asked.way() == "hosts" && !asked.hosts.is_empty();
    let hosts = seen.hosts().into_iter().filter(|host| !by_name || asked.hosts.contains(&host.row.name));
    let units: BTreeSet<String> =
        hosts.flat_map(|host| host.look(|p| p.units.keys().cloned().collect::<Vec<_>>())).collect();
    units.into_iter().collect()
}

fn picker(seen: Sight<'_>, asked: &Asked) -> TargetPicker {
    let hosts: Vec<TargetHost> = seen
        .hosts()
        .iter()
        .map(|host| {
            let host = grpc::fleet::host(host);
            TargetHost {
                state: view::link(&host),
                chosen: asked.hosts.contains(&host.name),
                name: host.name,
                labels: host.labels,
            }
        })
        .collect();
    let labels: BTreeSet<String> = hosts.iter().flat_map(|host| host.labels.clone()).collect();
    TargetPicker {
        on: asked.way().to_owned(),
        hosts,
        labels: labels.into_iter().collect(),
        label: asked.label.clone(),
        failed_of: asked.failed_of.clone(),
    }
}

async fn preview(state: &State, caller: &Caller, script: &Script, asked: &Asked) -> Preview {
    let mut shown = times(asked);
    shown.missing = asked.missing(script);
    if !shown.missing.is_empty() || script.parameters.iter().any(|p| asked.wrong(p).is_some()) {
        return shown;
    }
    let answer = match asked.run(script) {
        Ok(request) => {
            state.gate.jobs(caller).preview(request).await.map_err(|status| Fault::from_status(&status))
        }
        Err(fault) => Err(fault),
    };
    match answer {
        Ok(answer) => {
            let answer = answer.into_inner();
            shown.question =
                if script.mutates { question(script, &answer.hosts, &answer.argv) } else { String::new() };
            Preview {
                argv: answer.argv,
                environment: answer.environment,
                hosts: answer.hosts,
                unreachable: answer.unreachable,
                ..shown
            }
        }
        Err(fault) => {
            let hint = fault.next().to_owned();
            Preview { problem: Some(Notice { tone: Tone::Warn, message: fault.message, hint }), ..shown }
        }
    }
}

fn question(script: &Script, hosts: &[String], argv: &[String]) -> String {
    let on = match hosts {
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        many => format!("{} hosts: {}", many.len(), many.join(", ")),
    };
    let with: Vec<&str> = argv.iter().skip(1).map(|argument| argument.trim_start_matches("--")).collect();
    let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
    format!("`{}` changes something on {on}. It runs{with}.", script.name)
}

/// The schedule in words, and when it would run.
fn times(asked: &Asked) -> Preview {
    if asked.cron.trim().is_empty() {
        return Preview::default();
    }
    match Times::parse(asked.cron.trim()) {
        Ok(times) => {
            let now = chrono::DateTime::from_timestamp_micros(now_usec()).unwrap_or_default();
            let next_us = times.next(now, TIMES).iter().map(chrono::DateTime::timestamp_micros).collect();
            Preview { schedule: times.words(), next_us, ..Preview::default() }
        }
        Err(fault) => {
            Preview { schedule_error: format!("{} {}", fault.message, fault.next()), ..Preview::default() }
        }
    }
}
