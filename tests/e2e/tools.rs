//! The troubleshooting scripts of `remote_cli_tools/`: each is run for real, on a host that is well and on one that is not.

mod certificates;
mod delivered;
mod hostile;
mod states;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::{RunAs, ScriptFile};
use hms_proto::report::{Finding, Level, findings};
use hms_proto::script;
use hms_tests::paths;
use hms_tests::testbed::{Bind, Host, HostOptions, Testbed};
use serde_json::Value;

/// Where a host of these tests has the scripts.
const FOLDER: &str = "/opt/remote_cli_tools";

/// Every script, as `hmsctl scripts sync` reads it.
fn all() -> Result<Vec<ScriptFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(paths::repository().join("remote_cli_tools"))? {
        let folder = entry?.path();
        if folder.is_dir() {
            let name = folder.file_name().context("a folder")?.to_string_lossy().into_owned();
            let manifest = fs::read_to_string(folder.join("manifest.toml"))?;
            let content = fs::read(folder.join(format!("{name}.sh")))?;
            files.push(script::read(&name, &manifest, content)?);
        }
    }
    Ok(files)
}

/// A host that has the scripts.
async fn boot() -> Result<Host> {
    let folder = Bind::read_only(paths::repository().join("remote_cli_tools"), FOLDER);
    Testbed::new().await?.boot_with("asterra", HostOptions { binds: vec![folder] }).await
}

/// How a script ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    said: String,
}

impl Ended {
    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.said).with_context(|| format!("no JSON: {}", self.said))
    }

    /// The findings of a check, whose exit status must be that of the worst.
    fn findings(&self) -> Result<Vec<Finding>> {
        let found = findings(self.said.as_bytes()).map_err(anyhow::Error::msg)?;
        let worst = found.iter().map(|f| f.level).max().unwrap_or(Level::Ok);
        let code = match worst {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
        };
        ensure!(self.code == code, "exit {} with {worst:?}: {}", self.code, self.said);
        Ok(found)
    }

    /// The finding on a subject that says this.
    fn finds(&self, level: Level, subject: &str, message: &str) -> Result<()> {
        let found = self.findings()?;
        let fits = |f: &Finding| f.level == level && f.subject == subject && f.message.contains(message);
        ensure!(found.iter().any(fits), "no {level:?} of {subject} with {message:?}: {found:#?}");
        Ok(())
    }

    fn says(&self, code: i32, texts: &[&str]) -> Result<()> {
        ensure!(self.code == code, "exit {}: {}", self.code, self.said);
        for text in texts {
            ensure!(self.said.contains(text), "no {text:?} in: {}", self.said);
        }
        Ok(())
    }
}

/// Runs a script in the sandbox that its manifest asks for, with parameters as people give them.
async fn run(host: &Host, name: &str, parameters: &[(&str, &str)], json: bool) -> Result<Ended> {
    let files = all()?;
    let found = files.into_iter().filter_map(|f| f.script).find(|s| s.name == name);
    let script = found.with_context(|| format!("there is no {name}"))?;
    let given: BTreeMap<_, _> = parameters.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let bound = script::bind(&script, &given, json)?;
    let mut argv: Vec<String> =
        ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"].map(Into::into).into();
    argv.extend(sandbox(&script).into_iter().map(|p| format!("--property={p}")));
    argv.extend(["--", "/usr/bin/env", "-i", "HOME=/", "LC_ALL=C.UTF-8", "HMS_HOST=asterra"].map(Into::into));
    argv.push("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    // systemd replaces `$NAME` in a command line.
    let verbatim = |text: String| text.replace('$', "$$");
    argv.extend(bound.environment.into_iter().map(|(name, value)| verbatim(format!("{name}={value}"))));
    argv.push(format!("{FOLDER}/{name}/{name}.sh"));
    argv.extend(bound.arguments.into_iter().map(verbatim));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let output = host.exec(&argv).await?;
    Ok(Ended { code: output.code, said: output.stdout + &output.stderr })
}

/// The same in JSON.
async fn run_json(host: &Host, name: &str, parameters: &[(&str, &str)]) -> Result<Ended> {
    run(host, name, parameters, true).await
}

fn sandbox(script: &hms_proto::host::v1::Script) -> Vec<String> {
    let yes = [
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectControlGroups",
        "RestrictSUIDSGID",
        "RestrictNamespaces",
        "LockPersonality",
    ];
    let mut properties: Vec<String> = yes.iter().map(|name| format!("{name}=yes")).collect();
    properties
        .extend(["ProtectSystem=strict", "ProtectHome=read-only", "WorkingDirectory=/"].map(Into::into));
    properties.push(format!("CapabilityBoundingSet={}", script.capabilities.join(" ")));
    properties.push(format!("SupplementaryGroups={}", script.groups.join(" ")));
    if script.run_as() == RunAs::Nobody {
        properties.push("DynamicUser=yes".into());
        properties.push(format!("AmbientCapabilities={}", script.capabilities.join(" ")));
    }
    if !script.network {
        properties.push("PrivateNetwork=yes".into());
    }
    properties
}

#[test]
fn every_script_can_be_read_and_is_described() -> Result<()> {
    let files = all()?;
    let described = fs::read_to_string(paths::repository().join("remote_cli_tools/README.md"))?;
    ensure!(files.len() >= 6, "only {} scripts", files.len());
    script::check_all(&files)?;
    for script in files.into_iter().filter_map(|f| f.script) {
        ensure!(
            described.contains(&format!("`{}`", script.name)),
            "the README does not name {}",
            script.name
        );
        for parameter in &script.parameters {
            let argument = format!("--{}=", parameter.name);
            let variable = format!("HMS_PARAM_{}", parameter.name.to_ascii_uppercase());
            let text = fs::read_to_string(
                paths::repository().join(format!("remote_cli_tools/{0}/{0}.sh", script.name)),
            )?;
            ensure!(
                text.contains(&argument) || text.contains(&variable),
                "{} does not take {argument}",
                script.name
            );
        }
    }
    Ok(())
}

#[test]
fn shellcheck_has_nothing_to_say() -> Result<()> {
    let files = all()?.into_iter().filter_map(|f| f.script);
    let paths = files.map(|s| paths::repository().join(format!("remote_cli_tools/{0}/{0}.sh", s.name)));
    let output = Command::new("shellcheck").args(paths).output();
    // ./dev installs it; a machine where the tests run without ./dev may not have it.
    let Ok(output) = output else { return Ok(()) };
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
