//! Scripts in a real browser: the form, the live output, the result, the history, the schedule.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hms_tests::browser;
use hms_tests::world::World;
use serde_json::Value;

/// Writes in colours, slowly, until the file is there; then ends with the status that was asked for.
const WALK: &str = r#"#!/bin/bash
set -euo pipefail
status=0 app=none
for argument in "$@"; do
	case $argument in
		--status=*) status=${argument#*=} ;;
		--app=*) app=${argument#*=} ;;
		*) ;;
	esac
done
printf '\e[1;32mwalking\e[0m on %s for %s\n' "$HMS_HOST" "$app"
printf 'looking for %s\n' "${HMS_PARAM_WORDS:-nothing}"
printf '<img src=x onerror=alert(1)>\n'
for number in {1..400}; do
	printf 'step-%03d\n' "$number"
	if ((number % 10 == 0)); then sleep 0.1; fi
done
printf 'unfinished '
while [[ ! -e /run/hms-walk-ends ]]; do sleep 0.2; done
printf 'line is \e[31mfinished\e[0m\n'
exit "$status"
"#;

const WALK_MANIFEST: &str = r#"
title = "Walk slowly"
description = "Writes line by line until it is told to end."
mutates = true
timeout = "3m"

[[parameters]]
name = "app"
label = "App"
kind = "app"

[[parameters]]
name = "words"
label = "Words"
help = "Free text."
kind = "text"
required = true

[[parameters]]
name = "status"
label = "Ends with"
kind = "int"
default = "0"
min = 0
max = 9
"#;

/// A check that always finds the same.
const PROBE: &str = r#"#!/bin/bash
for argument in "$@"; do
	if [[ $argument == --json ]]; then
		printf '{"checks": [{"level": "warning", "subject": "the kettle", "message": "it is cold"}]}\n'
		exit 1
	fi
done
printf 'the kettle is cold\n'
exit 1
"#;

const PROBE_MANIFEST: &str = r#"
title = "Probe the kettle"
description = "Finds that it is cold."
timeout = "30s"
json = true
check = true
"#;

fn put(folder: &Path, name: &str, manifest: &str, script: &str) -> Result<()> {
    let folder = folder.join(name);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("manifest.toml"), manifest)?;
    let program = folder.join(format!("{name}.sh"));
    fs::write(&program, script)?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[tokio::test]
async fn the_browser_runs_a_script_and_sees_its_output_live() -> Result<()> {
    let world = World::single().await?;
    let folder = tempfile::tempdir()?;
    put(folder.path(), "walk_slowly", WALK_MANIFEST, WALK)?;
    put(folder.path(), "probe", PROBE_MANIFEST, PROBE)?;
    let folder = folder.path().to_string_lossy();
    world.admin().run(&["scripts", "sync", &folder]).await?;
    println!("{}", browser::run(&world, "scripts.mjs", &[]).await?);
    let said = world.admin().run(&["audit", "--actor", "admin", "-o", "json"]).await?;
    let said: Value = serde_json::from_str(&said).context("the audit")?;
    let records = said["records"].as_array().context("records")?;
    let done = |method: &str| {
        records
            .iter()
            .filter(|r| r["source"] == "web" && r["method"] == method && r["outcome"] == "ok")
            .count()
    };
    let runs = done("/hms.controller.v1.JobService/Run");
    ensure!(runs == 3, "{runs} runs are in the audit");
    ensure!(done("/hms.controller.v1.JobService/AddSchedule") == 1, "the schedule is not in the audit");
    Ok(())
}
