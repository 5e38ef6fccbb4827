//! The catalogue of scripts: as a list, and one of them in full.

use hms_proto::{
    controller::v1::{self as controller, GetScriptRequest, GetScriptResponse},
    fault::Fault,
    host::v1::{self as host, Parameter, ParameterKind, RunAs, Script},
    names::ScriptName,
};
use humantime::format_duration;

use crate::{
    connect::{Connection, Pace},
    failure::Result,
    output::{
        escape::{inline, visible},
        measure::{full, now_usec, relative, size},
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// All scripts, of the installation or of the host that is asked itself.
pub(super) async fn all(link: &Connection) -> Result<Vec<Script>> {
    Ok(match link.is_direct() {
        true => {
            let mut scripts = link.host_scripts(None, Pace::Look);
            link.answer(Pace::Look, scripts.list(host::ListScriptsRequest {})).await?.scripts
        }
        false => {
            let mut scripts = link.scripts(None, Pace::Look);
            link.answer(Pace::Look, scripts.list(controller::ListScriptsRequest {})).await?.scripts
        }
    })
}

/// A script by its name.
pub(crate) async fn one(link: &Connection, name: &ScriptName) -> Result<Script> {
    let scripts = all(link).await?;
    let found = scripts.into_iter().find(|script| script.name == name.as_str());
    Ok(found.ok_or_else(|| {
        Fault::not_found("script", name.as_str()).hint("`hmsctl scripts` shows what there is")
    })?)
}

pub(super) async fn list(session: &Session) -> Result<()> {
    let link = session.link()?;
    let list = host::ListScriptsResponse { scripts: all(&link).await? };
    if session.out.data(&list)? {
        return Ok(());
    }
    let empty = match link.is_direct() {
        true => "No scripts were delivered to this host yet.",
        false => "There are no scripts yet. Add those of a folder: hmsctl scripts sync FOLDER",
    };
    session.out.table(&table(&list.scripts), empty)
}

fn table(scripts: &[Script]) -> Table {
    let mut table = Table::new(&["!SCRIPT", "KIND", "PARAMETERS", "WHAT"]);
    for script in scripts {
        let names = script.parameters.iter().map(|p| match p.required {
            true => p.name.clone(),
            false => format!("[{}]", p.name),
        });
        table.row(vec![
            Cell::new(&script.name, Look::Strong),
            kind(script),
            names.collect::<Vec<_>>().join(" ").into(),
            script.title.as_str().into(),
        ]);
    }
    table
}

fn kind(script: &Script) -> Cell {
    match (script.mutates, script.check) {
        (true, _) => Cell::new("changes", Look::Busy),
        (false, true) => Cell::new("check", Look::Good),
        (false, false) => Cell::new("read-only", Look::Plain),
    }
}

pub(super) async fn show(session: &Session, name: &ScriptName, source: bool) -> Result<()> {
    let link = session.link()?;
    if link.is_direct() {
        if source {
            return Err(Fault::invalid("an agent does not tell the text of a script")
                .hint("leave out --direct")
                .into());
        }
        let script = one(&link, name).await?;
        if session.out.data(&script)? {
            return Ok(());
        }
        let told = GetScriptResponse { script: Some(script), ..GetScriptResponse::default() };
        return session.out.write(&details(&told, session.out.width, session.out.colour, now_usec()));
    }
    let request = GetScriptRequest { name: name.to_string() };
    let told = link.answer(Pace::Look, link.scripts(None, Pace::Look).get(request)).await?;
    if source {
        let text = if session.out.is_tty() { visible(&told.content) } else { told.content.as_str().into() };
        return session.out.write(&text);
    }
    if session.out.data(&told)? {
        return Ok(());
    }
    session.out.write(&details(&told, session.out.width, session.out.colour, now_usec()))
}

fn details(told: &GetScriptResponse, width: Option<usize>, colour: bool, now: i64) -> String {
    let Some(script) = &told.script else { return String::new() };
    let mut facts = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| facts.row(vec![Cell::new(what, Look::Faint), cell]);
    say("name", Cell::new(&script.name, Look::Strong));
    say("title", script.title.as_str().into());
    say("kind", kind(script));
    say("may take", format_duration(seconds(script.timeout_s.into())).to_string().into());
    say("runs as", runs_as(script).into());
    say("may use", may_use(script).into());
    if !script.tools.is_empty() {
        say("needs", script.tools.join(", ").into());
    }
    say("keeps", format!("{} of output", size(script.output_limit_bytes)).into());
    say("JSON", if script.json { "--json" } else { "no" }.into());
    if !script.every.is_empty() {
        say("by itself", format!("{} (cron, UTC)", script.every).into());
    }
    if told.synced_usec > 0 {
        let when = format!("{} ({})", full(told.synced_usec), relative(told.synced_usec, now));
        say("changed", format!("{when} by {}", told.synced_by).into());
    }
    for delivery in told.deliveries.iter().filter(|d| !d.delivered) {
        say("not on", Cell::new(&format!("{}: {}", delivery.host, delivery.reason), Look::Bad));
    }
    let mut text = facts.render(width, colour);
    text += &format!("\n{}\n", visible(script.description.trim()));
    if !script.parameters.is_empty() {
        text += &format!("\n{}", parameters(script).render(width, colour));
    }
    text
}

fn parameters(script: &Script) -> Table {
    let mut table = Table::new(&["!PARAMETER", "VALUE", "DEFAULT", "WHAT"]);
    for parameter in &script.parameters {
        let what = match parameter.help.as_str() {
            "" => parameter.label.clone(),
            help => format!("{}: {help}", parameter.label),
        };
        let default = match (parameter.required, parameter.default.as_str()) {
            (true, _) => Cell::new("(needed)", Look::Busy),
            (false, "") => Cell::new("–", Look::Faint),
            (false, value) => value.into(),
        };
        table.row(vec![
            Cell::new(&parameter.name, Look::Strong),
            value_words(parameter).into(),
            default,
            what.into(),
        ]);
    }
    table
}

/// What a parameter takes.
pub(crate) fn value_words(parameter: &Parameter) -> String {
    let range = |unit: &str| match (parameter.min, parameter.max) {
        (Some(min), Some(max)) => format!(" {min} to {max}{unit}"),
        (Some(min), None) => format!(" from {min}{unit}"),
        (None, Some(max)) => format!(" up to {max}{unit}"),
        (None, None) => String::new(),
    };
    match parameter.kind() {
        ParameterKind::Enum => parameter.choices.join("|"),
        ParameterKind::Bool => "true|false".into(),
        ParameterKind::Int => format!("number{}", range("")),
        ParameterKind::Duration => format!("time{}", range(" s")),
        other => other.as_str_name().trim_start_matches("PARAMETER_KIND_").to_lowercase(),
    }
}

fn runs_as(script: &Script) -> String {
    let mut text = match script.run_as() {
        RunAs::Root => "root, in a sandbox".to_owned(),
        RunAs::Nobody => "a user of its own, in a sandbox".to_owned(),
    };
    if !script.groups.is_empty() {
        text += &format!(", reads as {}", inline(&script.groups.join(", ")));
    }
    text
}

fn may_use(script: &Script) -> String {
    let mut things = Vec::new();
    if script.network {
        things.push("the network".to_owned());
    }
    things.extend(script.capabilities.iter().cloned());
    things.extend(script.write_paths.iter().map(|path| format!("{path} to write")));
    if things.is_empty() { "nothing more".into() } else { things.join(", ") }
}

fn seconds(count: u64) -> std::time::Duration {
    std::time::Duration::from_secs(count)
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::ScriptDelivery;

    use super::*;

    fn sample() -> Script {
        let parameter = |name: &str, kind: ParameterKind| Parameter {
            name: name.into(),
            label: "What".into(),
            kind: kind.into(),
            ..Parameter::default()
        };
        Script {
            name: "parse_logs".into(),
            title: "Find errors in logs".into(),
            description: "Counts what looks like an error,\nand groups what is alike.".into(),
            parameters: vec![
                Parameter { required: true, ..parameter("app", ParameterKind::App) },
                Parameter {
                    default: "1h".into(),
                    max: Some(86_400),
                    help: "From then on.".into(),
                    ..parameter("since", ParameterKind::Duration)
                },
                Parameter {
                    choices: vec!["journal".into(), "nginx".into()],
                    ..parameter("source", ParameterKind::Enum)
                },
            ],
            timeout_s: 90,
            groups: vec!["systemd-journal".into()],
            tools: vec!["journalctl".into()],
            output_limit_bytes: 8 << 20,
            json: true,
            ..Script::default()
        }
    }

    #[test]
    fn the_list_and_a_script_in_full() {
        let check = Script {
            name: "check_disk_space".into(),
            title: "Check disk space".into(),
            check: true,
            every: "*/15 * * * *".into(),
            ..Script::default()
        };
        let restart = Script {
            name: "restart_service".into(),
            title: "Restart a service".into(),
            mutates: true,
            ..check.clone()
        };
        let mut all = table(&[sample(), check, restart]).render(None, false);
        let told = GetScriptResponse {
            script: Some(sample()),
            synced_usec: 0,
            deliveries: vec![ScriptDelivery {
                host: "borealis".into(),
                delivered: false,
                reason: "it cannot be reached".into(),
            }],
            ..GetScriptResponse::default()
        };
        all += "\n";
        all += &details(&told, Some(90), false, 0);
        insta::assert_snapshot!(all);
    }
}
