//! Values that would do something if anything interpreted them: nothing does.

use anyhow::{Result, ensure};
use hms_tests::testbed::Host;

use super::{FOLDER, all, boot};

/// What would leave a file, a second program, or another option behind, wherever text becomes code.
const PAYLOADS: &[&str] = &[
    "$(touch /canary/x)",
    "`touch /canary/x`",
    "; touch /canary/x;",
    "| touch /canary/x",
    "&& touch /canary/x #",
    "& touch /canary/x &",
    "$((a[$(touch /canary/x)]))",
    "a[$(touch /canary/x)]",
    "x[`touch /canary/x`]+1",
    "${x:-$(touch /canary/x)}",
    "${IFS}touch${IFS}/canary/x",
    "> /canary/x",
    "<(touch /canary/x)",
    ">(touch /canary/x)",
    "'; touch /canary/x; '",
    "\"; touch /canary/x; \"",
    "-rf",
    "--help",
    "--command=\\! touch /canary/x",
    "\\! touch /canary/x",
    "\\o /canary/x",
    "\\copy (select 1) to '/canary/x'",
    "-c\\!touch /canary/x",
    "'; copy (select 1) to program 'touch /canary/x'; --",
    "'); copy (select 1) to '/canary/x'; --",
    "postgresql:///postgres?options=-c",
    "host=/tmp dbname=postgres",
    "service=x",
    "system(\"touch /canary/x\")",
    "\" ; system(\"touch /canary/x\") ; \"",
    "e touch /canary/x",
    "/e;w /canary/x",
    "s/a/touch \\/canary\\/x/e",
    "(?{system('touch /canary/x')})",
    "(?C1)x",
    "--file=/etc/shadow",
    "@/etc/shadow",
    "%n%s%x",
    "~root",
    "/etc/*",
    "{a,b}",
    "../../etc/passwd",
    "$HOME",
    "!!",
    "--output=/canary/x",
    "-o/canary/x",
    "--json",
    "0x1",
    "08",
    "1e9",
    "../canary",
    "puma-$(touch${IFS}/canary/x).service",
    "\u{202e}elif",
    "\u{0}",
    "LD_PRELOAD=/canary/x.so",
];

/// The programs of PostgreSQL itself come first: those of Debian are wrappers, which take longer than all the rest.
const PATH: &str = "PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What stands before and after.
const AROUND: &[(&str, &str)] = &[
    ("", ""),
    ("a", ""),
    ("", "a"),
    (" ", " "),
    ("'", "'"),
    ("\"", "\""),
    ("\\", ""),
    ("", "\\"),
    ("$", ""),
    ("-", ""),
    ("--", ""),
    ("=", "="),
    ("%", "%"),
    ("!", ""),
    ("[", "]"),
    ("(", ")"),
    ("{", "}"),
    ("", ")"),
    ("]", ""),
    ("#", ""),
    ("\t", "\t"),
    ("é", "ü"),
    ("$'", "'"),
    ("$\"", "\""),
    ("1 ", ""),
    ("a=", ""),
    ("a,", ",b"),
    ("^", "$"),
    (".*", ".*"),
    ("|", "|"),
    (";", ";"),
    ("&", "&"),
    ("a\\x24", ""),
    ("<", ">"),
    ("~", ""),
    ("*", "*"),
    ("?", "?"),
    (":", ":"),
    ("@", "@"),
    ("/", "/"),
];

/// At least 2,000, each ended by a NUL as `xargs` wants them.
fn corpus() -> (usize, Vec<u8>) {
    let values =
        AROUND.iter().flat_map(|(before, after)| PAYLOADS.iter().map(move |p| format!("{before}{p}{after}")));
    // An environment has no NUL.
    let values: Vec<String> = values.map(|value| value.replace('\0', "%00")).collect();
    (values.len(), values.iter().flat_map(|value| value.bytes().chain([0])).collect())
}

/// Runs a program for each value of a list, which stands in it as `{}`; none may end by a signal or be missing.
async fn for_each(host: &Host, values: &[u8], program: &[&str]) -> Result<()> {
    let environment = ["env", "-i", PATH, "LC_ALL=C.UTF-8", "HOME=/", "HMS_HOST=asterra"];
    let argv = [&["xargs", "-0", "-P", "6", "-I", "{}"][..], &environment, program].concat();
    let output = host.exec_with(&argv, values).await?;
    let end = output.stderr.lines().last().unwrap_or_default();
    ensure!([0, 123].contains(&output.code), "{program:?}: xargs ended with {}: {end}", output.code);
    let left = host.run(&["find", "/canary", "-mindepth", "1"]).await?;
    ensure!(left.is_empty(), "{program:?} left {left}");
    Ok(())
}

async fn prepare() -> Result<Host> {
    let host = boot().await?;
    host.run(&["install", "-d", "-m", "1777", "/canary"]).await?;
    host.run(&[
        "bash",
        "-c",
        "for i in 1 2 3; do logger error $i; done; echo error > /var/log/nginx/error.log",
    ])
    .await?;
    Ok(host)
}

fn program(name: &str) -> String {
    format!("{FOLDER}/{name}/{name}.sh")
}

/// Every so many of a list: each run takes dozens of processes. With a prime number, each payload and each surrounding comes up. All
/// values go through the launcher itself in the agent's own tests, by the ten thousand.
fn few(values: &[u8], step: usize) -> Vec<u8> {
    values.split_inclusive(|b| *b == 0).step_by(step).flatten().copied().collect()
}

/// Security cases 46 and 47.
#[tokio::test]
async fn no_pattern_or_typed_value_is_interpreted() -> Result<()> {
    let host = prepare().await?;
    let (count, values) = corpus();
    ensure!(count >= 2000, "only {count} values");
    let parse_logs = [&program("parse_logs"), "--since=60"];
    let pattern = "HMS_PARAM_PATTERN={}";
    for_each(&host, &few(&values, 3), &[&[pattern], &parse_logs[..], &["--source=nginx_error"]].concat())
        .await?;
    for_each(&host, &few(&values, 41), &[&[pattern], &parse_logs[..], &["--source=journal"]].concat())
        .await?;
    // Text where a name or a number belongs never passed the manifest: a script must refuse it all the same.
    for script in all()?.into_iter().filter_map(|file| file.script) {
        let mut arguments: Vec<String> =
            script.parameters.iter().map(|p| format!("--{}={{}}", p.name)).collect();
        arguments.push("{}".into());
        for argument in &arguments {
            for_each(&host, &few(&values, 71), &[&program(&script.name), argument]).await?;
        }
    }
    Ok(())
}

/// Security cases 46 and 120: neither a shell, nor psql, nor SQL takes a name for something to do.
#[tokio::test]
async fn no_name_of_a_role_or_database_is_interpreted() -> Result<()> {
    let host = prepare().await?;
    host.run(&["systemctl", "start", "postgresql.service"]).await?;
    let (_, values) = corpus();
    let check = program("check_database");
    for_each(&host, &few(&values, 5), &["HMS_PARAM_USER={}", "HMS_PARAM_DBNAME={}", &check]).await?;
    // As the owner of the server, who may do anything.
    for_each(&host, &few(&values, 29), &["HMS_PARAM_USER=postgres", "HMS_PARAM_DBNAME={}", &check]).await
}
