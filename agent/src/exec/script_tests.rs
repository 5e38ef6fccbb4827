//! The launcher with real scripts.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use hms_proto::{
    host::v1::{Parameter, ParameterKind, Script},
    script::bind,
};

use super::*;
use crate::exec::launch::Notes;

/// What a run left.
struct Ran {
    output: Vec<u8>,
    notes: Notes,
}

fn launch(script: &str) -> Launch {
    Launch {
        id: "job".into(),
        host: "asterra".into(),
        script: "test".into(),
        sha256: sha256(script.as_bytes()),
        output_limit: 1 << 20,
        ..Launch::default()
    }
}

async fn run_as(launch: &Launch, script: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    let mut notes = Notebook(Vec::new());
    let output = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
    if let Err(error) = run_script(launch, script.as_bytes(), output, &mut notes).await {
        notes.write(&Note::Failed(error.to_string()));
    }
    Ran { output: fs::read(&path).unwrap(), notes: Notes::parse(&notes.0) }
}

async fn run(script: &str) -> Ran {
    run_as(&launch(script), script).await
}

fn ended(ran: &Ran) -> (i32, bool) {
    let end = ran.notes.ended.unwrap();
    (end.status, end.killed_by_signal)
}

#[test]
fn the_first_line_is_read_as_the_kernel_reads_it() {
    let read = |text: &'static str| {
        let (program, option) = interpreter(text.as_bytes()).unwrap();
        (program.to_str().unwrap(), option.map(|o| o.to_str().unwrap()))
    };
    assert_eq!(read("#!/bin/sh"), ("/bin/sh", None));
    assert_eq!(read("#! /bin/bash -eu \nx"), ("/bin/bash", Some("-eu")));
    assert_eq!(read("#!/usr/bin/env -S ruby -w\n"), ("/usr/bin/env", Some("-S ruby -w")));
    assert!(interpreter(b"echo").is_err());
}

#[tokio::test]
async fn output_and_status_are_the_scripts_own() {
    let ran = run("#!/bin/bash\necho one; echo two >&2; printf three; exit 3\n").await;
    assert_eq!(ran.output, b"one\ntwo\nthree");
    assert_eq!(ended(&ran), (3, false));
    assert!(ran.notes.began.is_some() && ran.notes.dropping.is_none());
    assert!(ran.notes.ended.unwrap().peak_memory > 0);
    assert_eq!(ended(&run("#!/bin/bash\nkill -9 $$\n").await), (9, true));
    // A handler of the launcher's own must not reach the script.
    assert_eq!(ended(&run("#!/bin/bash\nkill -TERM $$\nsleep 60\n").await), (15, true));
    assert_eq!(ended(&run("#!/bin/bash\nexec >&- 2>&-\nsleep 0.2; exit 4\n").await), (4, false));
}

/// Security case 50: more than the limit is read and dropped, so that the script never waits.
#[tokio::test]
async fn output_over_the_limit_is_dropped_and_said() {
    let script = "#!/bin/bash\nhead -c 3000000 /dev/zero | tr '\\0' x\n";
    let ran = run_as(&Launch { output_limit: 100_000, ..launch(script) }, script).await;
    assert_eq!((ran.output.len(), ended(&ran)), (100_000, (0, false)));
    assert_eq!(ran.notes.dropping.as_deref(), Some(""));
    let exact = run_as(&Launch { output_limit: 3_000_000, ..launch(script) }, script).await;
    assert_eq!((exact.output.len(), exact.notes.dropping), (3_000_000, None));
}

#[tokio::test]
async fn output_that_cannot_be_written_does_not_stop_the_script() {
    let script = "#!/bin/bash\nhead -c 300000 /dev/zero; exit 5\n";
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut notes = Notebook(Vec::new());
    run_script(&launch(script), script.as_bytes(), full, &mut notes).await.unwrap();
    let notes = Notes::parse(&notes.0);
    assert!(notes.dropping.unwrap().contains("No space left"));
    assert_eq!(notes.ended.unwrap().status, 5);
}

/// Security case 50: a daemon that was left behind has the pipe; what the script said before its end is still there.
#[tokio::test]
async fn what_is_left_behind_holds_nobody_up() {
    let script = "#!/bin/bash\n(trap '' HUP; exec sleep 30) & disown\nseq 1 5000\necho $!>&2\n";
    let ran = run(script).await;
    let text = String::from_utf8(ran.output).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[4999]), (5001, "5000"));
    let left = rustix::process::Pid::from_raw(lines[5000].parse().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

/// Security case 48.
#[tokio::test]
async fn only_the_bytes_that_were_checked_are_run() {
    let checked = "#!/bin/bash\necho checked\n";
    let ran = run_as(&launch(checked), "#!/bin/bash\necho other\n").await;
    assert!(ran.notes.failed.unwrap().contains("was changed") && ran.output.is_empty());
    let rewrites = "#!/bin/bash\necho before\n(echo 'echo after' >> \"$0\") 2>/dev/null || echo sealed\n";
    assert_eq!(run(rewrites).await.output, b"before\nsealed\n");
    let missing = run("#!/no/such/program\n").await;
    assert!(missing.notes.failed.unwrap().starts_with("cannot start /no/such/program: No such file"));
}

/// Every pair of fragments that some shell, tool or format would take for more than text.
fn hostile(canary: &str) -> Vec<String> {
    let run = format!("touch {canary}");
    let mut fragments: Vec<String> = [
        ";",
        "|",
        "&",
        "&&",
        "||",
        "$",
        "$$",
        "${IFS}",
        ">",
        "<",
        ">>",
        "<<<",
        "*",
        "?",
        "[a-z]*",
        "~",
        "!",
        "!!",
        "#",
        "\\",
        "'",
        "\"",
        "\"'",
        "`",
        "(",
        ")",
        "{",
        "}",
        "{a,b}",
        "=",
        "==",
        "-",
        "--",
        "-rf",
        "--help",
        "-n",
        "@",
        "@/etc/shadow",
        "@-",
        ",",
        "^",
        " ",
        "  ",
        "\t",
        "\\n",
        "\\0",
        "\\x00",
        "%s",
        "%n",
        "%%",
        "$0",
        "$@",
        "$*",
        "$PATH",
        "$HMS_JOB",
        "${HMS_JOB}",
        "%h",
        "%i",
        "$'\\n'",
        "\u{202e}",
        "\u{a0}",
        "ü",
        "\u{2028}",
        "日本",
        "a b",
        "LD_PRELOAD=/x",
        "BASH_ENV=/x",
        "IFS=/",
        "/etc/passwd",
        "//",
        "/dev/null",
        "-e",
        "exec",
        "eval",
        "0x7f",
        "1e9",
        "() { :;};",
        "<(id)",
        "\\u0000",
        "\\r\\n",
        "$((1+1))",
        "&#x60;",
        "%0a",
        "%00",
        "nul",
        "true",
        "''",
        "\"\"",
        "$!",
        "$?",
        "$-",
        "$_",
        "${!x}",
        "$[1+1]",
        "<&0",
        ">&2",
        "2>&1",
        ";;",
        ";&",
        "[[",
        "]]",
        "|&",
        ":",
        "+",
        "0",
    ]
    .map(str::to_owned)
    .to_vec();
    fragments.extend([
        format!("$({run})"),
        format!("`{run}`"),
        format!(";{run};"),
        format!("|{run}"),
        format!("&{run}&"),
        format!("&&{run}"),
        format!("||{run}"),
        format!(">{canary}"),
        format!("'; {run}; '"),
        format!("\"; {run}; \""),
        format!("$(<{canary}){run}"),
        format!("() {{ :;}}; {run}"),
    ]);
    let pair = |a: &String| fragments.iter().map(|b| format!("{a}{b}")).collect::<Vec<_>>();
    let set: std::collections::BTreeSet<String> = fragments.iter().flat_map(pair).collect();
    set.into_iter().collect()
}

const SHOW: &str = "#!/bin/bash\nprintf '%s\\0' \"$#\" \"$@\"\nenv=/proc/$$/environ\ncat \"$env\"\n";
const AT_ONCE: usize = 50;

fn parameters() -> Vec<Parameter> {
    let kinds = [("text", ParameterKind::Text), ("path", ParameterKind::Path)];
    let of = |(name, kind): (&'static str, ParameterKind)| {
        (0..AT_ONCE).map(move |n| Parameter {
            name: format!("{name}{n}"),
            kind: kind.into(),
            ..Parameter::default()
        })
    };
    kinds.into_iter().flat_map(of).collect()
}

/// Security cases 46, 47 and 49: what reaches a script is exactly what was typed, one argument or one variable each,
/// beside an environment that is always the same; and nothing of it was carried out.
#[tokio::test]
async fn ten_thousand_hostile_values_reach_a_script_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let canary = folder.path().join("canary");
    let hostile = hostile(canary.to_str().unwrap());
    let script = Script {
        name: "show".into(),
        parameters: parameters(),
        sha256: sha256(SHOW.as_bytes()),
        ..Script::default()
    };
    let (mut texts, mut paths) = (0, 0);
    for some in hostile.chunks(AT_ONCE) {
        let mut given = BTreeMap::new();
        for (n, value) in some.iter().enumerate() {
            let mut add = |name: String, value: String| {
                let one = BTreeMap::from([(name.clone(), value.clone())]);
                bind(&script, &one, false).is_ok_and(|_| given.insert(name, value).is_none())
            };
            texts += usize::from(add(format!("text{n}"), value.clone()));
            paths += usize::from(add(format!("path{n}"), format!("/{value}")));
        }
        let bound = bind(&script, &given, false).unwrap();
        let launch = Launch {
            arguments: bound.arguments.clone(),
            environment: bound.environment.clone(),
            ..launch(SHOW)
        };
        let ran = run_as(&launch, SHOW).await;
        assert_eq!(ended(&ran), (0, false));
        let mut words = ran.output.split(|b| *b == 0).map(|w| String::from_utf8(w.to_vec()).unwrap());
        assert_eq!(words.next().unwrap(), bound.arguments.len().to_string());
        let arguments: Vec<_> = words.by_ref().take(bound.arguments.len()).collect();
        assert_eq!(arguments, bound.arguments);
        let mut environment: Vec<_> = words.filter(|w| !w.is_empty()).collect();
        environment.sort();
        let own = ["HMS_HOST=asterra", "HMS_JOB=job", "HOME=/", "LC_ALL=C.UTF-8"].map(str::to_owned);
        let given = bound.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let mut expected: Vec<_> = own.into_iter().chain([format!("PATH={PATH}")]).chain(given).collect();
        expected.sort();
        assert_eq!(environment, expected);
    }
    assert!(texts >= 10_000 && paths >= 5_000, "only {texts} texts and {paths} paths were tried");
    assert!(!canary.exists(), "a value was carried out");
}
