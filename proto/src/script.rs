//! Scripts: what a manifest may say, and how typed parameters become an argument vector and an environment.
//!
//! `hmsctl` reads manifests, the controller checks them when they are synced, and the agent checks and binds again: it
//! trusts nothing that was sent.

mod bind;
mod manifest;

pub use bind::{Bound, bind, check_value};
pub use manifest::read;

use sha2::{Digest as _, Sha256};

use crate::{
    fault::Fault,
    host::v1::{Parameter, ParameterKind, Script, ScriptFile},
    names::{ScriptName, is_identifier},
};

/// Most scripts of an installation.
pub const MOST: usize = 200;
/// The longest script, in bytes.
pub const LONGEST: usize = 256 * 1024;
/// All of them together, in bytes: they travel in one message.
pub const ALL: usize = 3 * 1024 * 1024;
/// The most output that is kept of one job, in bytes.
pub const OUTPUT_MOST: u64 = 64 * 1024 * 1024;
/// What is kept of the output unless the manifest says otherwise, in bytes.
pub const OUTPUT_USUAL: u64 = 8 * 1024 * 1024;
/// The longest run, in seconds.
pub const TIMEOUT_MOST: u32 = 86_400;

/// The hash that pins a script's content.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks a set of scripts: each by itself, their names, and their size together.
pub fn check_all(files: &[ScriptFile]) -> Result<(), Fault> {
    if files.len() > MOST {
        return Err(Fault::invalid(format!("{} scripts are too many: at most {MOST}", files.len())));
    }
    if files.iter().map(|f| f.content.len()).sum::<usize>() > ALL {
        return Err(Fault::invalid("the scripts are larger than 3 MiB together"));
    }
    for (n, file) in files.iter().enumerate() {
        check(file)?;
        let name = |f: &ScriptFile| f.script.as_ref().map(|s| s.name.clone());
        if files[..n].iter().any(|other| name(other) == name(file)) {
            return Err(Fault::invalid(format!("`{}` is there twice", name(file).unwrap_or_default())));
        }
    }
    Ok(())
}

/// Checks a script with its manifest.
pub fn check(file: &ScriptFile) -> Result<(), Fault> {
    let script = file.script.as_ref().ok_or_else(|| Fault::invalid("a script without its manifest"))?;
    let name = ScriptName::try_from(script.name.as_str())?;
    check_content(&file.content).map_err(|why| wrong(name.as_str(), why))?;
    if script.sha256 != sha256(&file.content) {
        return Err(wrong(name.as_str(), "its hash is not that of its content"));
    }
    check_manifest(script).map_err(|why| wrong(name.as_str(), why))?;
    script.parameters.iter().try_for_each(|p| check_parameter(p, &script.parameters, name.as_str()))
}

fn wrong(name: &str, why: impl std::fmt::Display) -> Fault {
    Fault::invalid(format!("the script `{name}` cannot be used: {why}"))
}

fn check_content(content: &[u8]) -> Result<(), &'static str> {
    if content.len() > LONGEST {
        return Err("it is larger than 256 KiB");
    }
    let first = content.split(|b| *b == b'\n').next().unwrap_or_default();
    // The kernel reads at most 256 bytes of this line (execve(2)).
    match first.strip_prefix(b"#!") {
        Some(rest) if first.len() < 255 && rest.trim_ascii().starts_with(b"/") => Ok(()),
        _ => Err("its first line must be `#!` and the absolute path of a program"),
    }
}

fn check_manifest(script: &Script) -> Result<(), String> {
    let text = |what: &str, text: &str, longest: usize| match text.trim().is_empty()
        || text.chars().count() > longest
    {
        true => Err(format!("its {what} must have 1 to {longest} characters")),
        false => Ok(()),
    };
    text("title", &script.title, 60)?;
    text("description", &script.description, 1000)?;
    if !(1..=TIMEOUT_MOST).contains(&script.timeout_s) {
        return Err("its timeout must be 1 second to 24 hours".into());
    }
    if !(1..=OUTPUT_MOST).contains(&script.output_limit_bytes) {
        return Err("its output limit must be 1 byte to 64 MiB".into());
    }
    if script.memory_limit_bytes != 0 && !(4 << 20..=1 << 40).contains(&script.memory_limit_bytes) {
        return Err("its memory limit must be 4 MiB to 1 TiB".into());
    }
    if script.tasks_limit > 10_000 {
        return Err("its limit of processes must be at most 10,000".into());
    }
    if script.parameters.len() > 20 {
        return Err("it has more than 20 parameters".into());
    }
    if script.check && !script.json {
        return Err("a check must know `--json`".into());
    }
    if !script.every.is_empty() && !script.check {
        return Err("only a check can have `every`".into());
    }
    check_sandbox(script)
}

fn check_sandbox(script: &Script) -> Result<(), String> {
    for group in &script.groups {
        let fits = (1..=32).contains(&group.len())
            && group.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && group.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        fits.then_some(()).ok_or_else(|| format!("`{group}` is not the name of a group"))?;
    }
    for capability in &script.capabilities {
        let name = capability.strip_prefix("CAP_").unwrap_or_default();
        let fits =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && name.len() < 32;
        fits.then_some(()).ok_or_else(|| format!("`{capability}` is not a capability"))?;
    }
    for path in &script.write_paths {
        bind::check_path(path).map_err(|why| format!("`{path}` cannot be written to: {why}"))?;
    }
    for tool in &script.tools {
        let fits = (1..=64).contains(&tool.len())
            && !tool.starts_with(['-', '.'])
            && tool.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
        fits.then_some(()).ok_or_else(|| format!("`{tool}` is not the name of a program"))?;
    }
    Ok(())
}

fn check_parameter(parameter: &Parameter, all: &[Parameter], script: &str) -> Result<(), Fault> {
    let name = &parameter.name;
    let bad = |why: &str| wrong(script, format!("its parameter `{name}` {why}"));
    if !is_identifier(name, 32) {
        return Err(bad("must have a name of lower-case letters, digits and underscores"));
    }
    if name == "json" {
        return Err(bad("has a name that HMS uses itself"));
    }
    if all.iter().filter(|p| p.name == *name).count() > 1 {
        return Err(bad("is there twice"));
    }
    if parameter.kind() == ParameterKind::Unspecified {
        return Err(bad("has no kind"));
    }
    if (parameter.kind() == ParameterKind::Enum) == parameter.choices.is_empty() {
        return Err(bad("has choices if, and only if, it is an enum"));
    }
    let plain = |choice: &String| {
        (1..=64).contains(&choice.len())
            && choice.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if !parameter.choices.iter().all(plain) {
        return Err(bad("has a choice that is not letters, digits and . _ -"));
    }
    if parameter.min.zip(parameter.max).is_some_and(|(min, max)| min > max) {
        return Err(bad("has a `min` above its `max`"));
    }
    if parameter.required && !parameter.default.is_empty() {
        return Err(bad("is required and has a default"));
    }
    if !parameter.default.is_empty() {
        check_value(parameter, &parameter.default)
            .map_err(|fault| bad(&format!("has a default that it would not take: {}", fault.message)))?;
    }
    Ok(())
}
