//! `manifest.toml`: what a script's folder says of it.

use std::time::Duration;

use serde::Deserialize;

use super::{OUTPUT_USUAL, check, sha256};
use crate::{
    fault::Fault,
    host::v1::{Parameter, ParameterKind, RunAs, Script, ScriptFile},
    names::ScriptName,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    title: String,
    description: String,
    #[serde(default)]
    mutates: bool,
    timeout: String,
    #[serde(default)]
    run_as: User,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    network: bool,
    #[serde(default)]
    write_paths: Vec<String>,
    #[serde(default)]
    output_limit_mib: Option<u64>,
    #[serde(default)]
    memory_limit_mib: u64,
    #[serde(default)]
    tasks_limit: u32,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    json: bool,
    #[serde(default)]
    check: bool,
    #[serde(default)]
    every: String,
    #[serde(default)]
    parameters: Vec<Declared>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum User {
    #[default]
    Nobody,
    Root,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    label: String,
    #[serde(default)]
    help: String,
    kind: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    default: String,
    min: Option<i64>,
    max: Option<i64>,
    #[serde(default)]
    choices: Vec<String>,
}

/// Reads a script from what its folder has: the folder's name, `manifest.toml`, and the script itself.
pub fn read(name: &str, manifest: &str, content: Vec<u8>) -> Result<ScriptFile, Fault> {
    let name = ScriptName::try_from(name)?;
    let wrong = |why: String| Fault::invalid(format!("{name}/manifest.toml cannot be used: {why}"));
    let manifest: Manifest = toml::from_str(manifest).map_err(|e| wrong(e.to_string().trim().to_owned()))?;
    let timeout = humantime::parse_duration(&manifest.timeout)
        .map_err(|_| wrong(format!("`{}` is not a time with its unit, such as `30s`", manifest.timeout)))?;
    let parameters =
        manifest.parameters.into_iter().map(declared).collect::<Result<_, _>>().map_err(wrong)?;
    let script = Script {
        name: name.to_string(),
        title: manifest.title,
        description: manifest.description,
        parameters,
        mutates: manifest.mutates,
        timeout_s: seconds(timeout),
        run_as: match manifest.run_as {
            User::Nobody => RunAs::Nobody.into(),
            User::Root => RunAs::Root.into(),
        },
        groups: manifest.groups,
        capabilities: manifest.capabilities,
        network: manifest.network,
        write_paths: manifest.write_paths,
        output_limit_bytes: manifest.output_limit_mib.map_or(OUTPUT_USUAL, |mib| mib.saturating_mul(1 << 20)),
        memory_limit_bytes: manifest.memory_limit_mib.saturating_mul(1 << 20),
        tasks_limit: manifest.tasks_limit,
        tools: manifest.tools,
        json: manifest.json,
        check: manifest.check,
        every: manifest.every,
        sha256: sha256(&content),
    };
    let file = ScriptFile { script: Some(script), content };
    check(&file)?;
    Ok(file)
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn declared(from: Declared) -> Result<Parameter, String> {
    let kind = ParameterKind::from_str_name(&format!("PARAMETER_KIND_{}", from.kind.to_ascii_uppercase()));
    let kind = kind.filter(|k| *k != ParameterKind::Unspecified).ok_or_else(|| {
        format!(
            "`{}` is no kind of parameter: app, unit, host, int, enum, duration, pattern, text, path, bool",
            from.kind
        )
    })?;
    let Declared { name, label, help, required, default, min, max, choices, .. } = from;
    Ok(Parameter { name, label, help, kind: kind.into(), required, default, min, max, choices })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
title = "Check disk space"
description = "Says which file systems are nearly full."
timeout = "30s"
json = true
check = true
every = "*/15 * * * *"

[[parameters]]
name = "threshold"
label = "Warn above"
kind = "int"
default = "80"
min = 1
max = 100
"#;

    fn with(line: &str) -> Result<ScriptFile, Fault> {
        read("check_disk_space", &format!("{line}\n{GOOD}"), b"#!/bin/bash\n".to_vec())
    }

    #[test]
    fn a_manifest_is_read() {
        let script = with("").unwrap().script.unwrap();
        assert_eq!(
            (script.timeout_s, script.output_limit_bytes, script.run_as()),
            (30, 8 << 20, RunAs::Nobody)
        );
        assert_eq!(script.parameters[0].kind(), ParameterKind::Int);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_named() {
        for (line, why) in [
            ("colour = \"red\"", "unknown field `colour`"),
            ("run_as = \"toor\"", "toor"),
            ("groups = [\"a b\"]", "`a b` is not the name of a group"),
            ("capabilities = [\"SYS_ADMIN\"]", "`SYS_ADMIN` is not a capability"),
            ("write_paths = [\"/a/../etc\"]", "/a/../etc"),
            ("tools = [\"-x\"]", "`-x`"),
            ("output_limit_mib = 65", "64 MiB"),
            ("output_limit_mib = 0", "64 MiB"),
            ("tasks_limit = 10001", "10,000"),
        ] {
            let fault = with(line).unwrap_err();
            assert!(fault.message.contains(why), "{line}: {}", fault.message);
        }
        let refused = |manifest: &str, content: &str| {
            read("x", manifest, content.as_bytes().to_vec()).unwrap_err().message
        };
        assert!(refused(GOOD, "echo hi").contains("#!"));
        assert!(refused(GOOD, "#!bash\n").contains("absolute"));
        assert!(refused(&GOOD.replace("30s", "never"), "#!/bin/bash\n").contains("`never`"));
        assert!(refused(&GOOD.replace("30s", "25h"), "#!/bin/bash\n").contains("24 hours"));
        assert!(refused(&GOOD.replace("\"80\"", "\"101\""), "#!/bin/bash\n").contains("default"));
        assert!(refused(&GOOD.replace("\"int\"", "\"number\""), "#!/bin/bash\n").contains("`number`"));
        assert!(refused(&GOOD.replace("threshold", "json"), "#!/bin/bash\n").contains("uses itself"));
        assert!(read("Bad-Name", GOOD, b"#!/bin/bash\n".to_vec()).is_err());
    }
}
