//! Line coverage of the whole run, unit tests and programs inside test hosts alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use hms_tests::command::run;
use hms_tests::paths;

/// A full run below this share of lines fails.
const LINES_WANTED: f64 = 80.0;

/// What is not ours, or is the tests themselves.
const IGNORED: &str = r"(/\.cargo/|/rustc/|/\.cache/|/target/|/tests/)";

/// Where a run collects what its programs report.
pub(crate) struct Coverage {
    folder: PathBuf,
}

impl Coverage {
    /// Starts with nothing collected.
    pub(crate) fn start() -> Result<Self> {
        let folder = paths::repository().join("target/coverage");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("hosts"))?;
        // In a host the controller reports as its own unprivileged user.
        run(&["chmod", "1777", &folder.join("hosts").to_string_lossy()])?;
        Ok(Self { folder })
    }

    /// Makes a build or test command an instrumented one.
    pub(crate) fn instrument(&self, command: &mut Command) {
        command.env("RUSTC_WORKSPACE_WRAPPER", paths::repository().join("tests/coverage-rustc"));
        // Build scripts are instrumented too; what they report is of no interest.
        command.env("LLVM_PROFILE_FILE", self.folder.join("build-%m.ignored"));
    }

    /// Has the programs of a test run report here.
    pub(crate) fn collect(&self, command: &mut Command) {
        command.env("LLVM_PROFILE_FILE", self.folder.join("tests-%8m.profraw"));
        command.env("HMS_COVERAGE_DIR", self.folder.join("hosts"));
    }

    /// Merges what was reported, writes the table, prints the total and says whether it suffices.
    pub(crate) fn report(&self, programs: &[PathBuf]) -> Result<bool> {
        let tools = tools()?;
        let merged = self.folder.join("merged.profdata");
        self.merge(&tools, &merged)?;
        let table = llvm_cov(&tools, &["report"], &merged, programs)?;
        let file = self.folder.join("report.txt");
        fs::write(&file, &table)?;
        let summary = llvm_cov(&tools, &["export", "--summary-only", "--format=text"], &merged, programs)?;
        let summary: serde_json::Value = serde_json::from_str(&summary)?;
        let percent =
            summary["data"][0]["totals"]["lines"]["percent"].as_f64().context("no total in the summary")?;
        println!("coverage: {percent:.1} % of lines ({} wanted; table: {})", LINES_WANTED, file.display());
        Ok(percent >= LINES_WANTED)
    }

    fn merge(&self, tools: &Path, merged: &Path) -> Result<()> {
        let mut profiles = Vec::new();
        for folder in [self.folder.clone(), self.folder.join("hosts")] {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "profraw") {
                    profiles.push(path.to_string_lossy().into_owned());
                }
            }
        }
        if profiles.is_empty() {
            bail!("no program reported coverage");
        }
        // By list: there are more of them than fit on a command line.
        let list = self.folder.join("profiles.txt");
        fs::write(&list, profiles.join("\n"))?;
        let tool = tools.join("llvm-profdata");
        // A program that was killed while it reported leaves a broken file: that one does not count.
        let arguments = ["merge", "--sparse", "--failure-mode=all"];
        let (list, merged) =
            (format!("--input-files={}", list.display()), format!("--output={}", merged.display()));
        run(&[&[tool.to_str().context("a path is not valid UTF-8")?], &arguments[..], &[&list, &merged]]
            .concat())?;
        Ok(())
    }
}

fn llvm_cov(tools: &Path, what: &[&str], merged: &Path, programs: &[PathBuf]) -> Result<String> {
    let tool = tools.join("llvm-cov");
    let mut arguments = vec![tool.to_string_lossy().into_owned()];
    arguments.extend(what.iter().map(|word| (*word).to_owned()));
    arguments.push(format!("--instr-profile={}", merged.display()));
    arguments.push(format!("--ignore-filename-regex={IGNORED}"));
    arguments.extend(programs.iter().map(|program| format!("--object={}", program.display())));
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// LLVM's tools of the toolchain in use; rustup fetches them when they are missing.
fn tools() -> Result<PathBuf> {
    let sysroot = run(&["rustc", "--print", "sysroot"])?;
    let version = run(&["rustc", "--version", "--verbose"])?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its host")?;
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    if !folder.join("llvm-cov").exists() {
        println!("dev: installing the Rust component llvm-tools with rustup");
        run(&["rustup", "component", "add", "llvm-tools"])?;
    }
    Ok(folder)
}
