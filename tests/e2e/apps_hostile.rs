//! Hostile repositories: what they bring along runs as the app's user in a sandbox, and root never follows where they point.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::SetSecretsRequest;
use hms_proto::host::v1::{JobState, Secret};
use hms_tests::paths;
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::Yard;
use reqwest::StatusCode;
use tokio::time::timeout;

const KEY: &str = "evil";
const CANARY: &str =
    "#!/bin/sh\ntouch /etc/hms-canary /root/hms-canary /srv/hms-canary /tmp/hms-canary /var/tmp/hms-canary\n";
const COMMIT: &str = "1234567890123456789012345678901234567890";
/// A repository must not make a deployment hang.
const LIMIT: Duration = Duration::from_secs(120);
/// Words of files that only root may read.
const SECRET_WORDS: [&str; 3] = ["root:*:", "root:!:", "PRIVATE KEY"];

fn gemfile(code: &str) -> Result<String> {
    Ok(fs::read_to_string(paths::repository().join("tests/rails/tobacco/Gemfile"))? + code)
}

/// What is tried with one commit, and the pages that would show that it worked.
type Try = (&'static str, Change, &'static [&'static str]);

/// Security cases 64, 66, 67 and 69. Things that do not hide each other share a commit.
fn commits() -> Result<Vec<Try>> {
    let hook = |path: &str| Change::new("a hook").program(path, CANARY);
    let task = |code: &str| {
        let task = format!("task evil: :environment do\n  {code}\nend\n");
        Change::new("a task").file("lib/tasks/evil.rake", task)
    };
    let swap = "%w[tmp log storage].each { |d| p = \"/srv/evil/shared/#{d}\"; File.rename(p, \"#{p}.old\") rescue 0; \
        File.symlink(\"/var/lib/hms-agent\", p) rescue 0 }";
    let link = |path: &str, target: &str| Change::new("a link").link(path, target);
    Ok(vec![
        (
            "links as static files",
            static_links(),
            &["/all/etc/passwd", "/passwd", "/key", "/up-there", "/nothing"][..],
        ),
        ("a hook in .git", hook(".git/hooks/post-checkout"), &[]),
        ("a hook in .GIT", hook(".GIT/hooks/post-checkout"), &[]),
        ("a hook in git~1", hook("git~1/hooks/post-checkout"), &[]),
        ("submodules", submodules(), &[]),
        ("attributes, names and programs", attributes_names_and_programs(), &[]),
        ("its log is a link", link("log", "/etc"), &[]),
        ("its tmp is a link", link("tmp", "/var/lib/hms-agent"), &[]),
        ("what is shared is a link", link("storage", "/etc").link("vendor/kept", "/root"), &[]),
        ("a folder of what is shared is a link", link("vendor", "/etc"), &[]),
        ("migrations are a link", link("db/migrate", "/etc").without(MIGRATION), &[]),
        ("the lock file is a secret", link("Gemfile.lock", "/etc/shadow"), &[]),
        ("the lock file never ends", link("Gemfile.lock", "/dev/zero"), &[]),
        (
            "the lock file is a folder",
            Change::new("a folder").without("Gemfile.lock").file("Gemfile.lock/x", "x"),
            &[],
        ),
        ("the note of the commit is a link", link("REVISION", "/etc/cron.d/hms-canary"), &[]),
        ("the version is a secret", link("VERSION", "/etc/shadow"), &[]),
        ("settings of bundler", Change::new("bundler").file(".bundle/config", BUNDLER), &[]),
        ("a Gemfile that is a program", Change::new("a Gemfile").file("Gemfile", gemfile(GEMFILE)?), &[]),
        ("a task that swaps folders", task(swap), &[]),
        ("and the deployment after it", Change::new("nothing"), &[]),
        (
            "a task that leaves something running",
            task("fork { Process.setsid; loop { sleep 1 } }; exit!(0)"),
            &[],
        ),
    ])
}

const MIGRATION: &str = "db/migrate/20260905080000_create_orders.rb";
const GEMFILE: &str = "system(\"touch /etc/hms-canary /srv/evil/hms-canary /tmp/hms-canary\")\n";
const BUNDLER: &str =
    "---\nBUNDLE_PATH: \"/etc\"\nBUNDLE_BIN: \"/usr/local/bin\"\nBUNDLE_FROZEN: \"false\"\n";

fn static_links() -> Change {
    Change::new("links")
        .link("config/master.key", "/etc/shadow")
        .link("public/all", "/")
        .link("public/passwd", "/etc/passwd")
        .link("public/key", "/var/lib/hms-agent/identity/key.pem")
        .link("public/up-there", "../../../../../etc/passwd")
        .without("public/404.html")
        .link("public/404.html", "/etc/shadow")
}

fn submodules() -> Change {
    let all = [
        ("inner", "ext::sh -c 'touch /etc/hms-canary'"),
        ("host", "file:///srv/git/victim.git"),
        ("../../hooks", "../victim.git"),
        ("-u", "--upload-pack=touch /etc/hms-canary"),
        ("carriage\r", "https://example.org/x\r"),
    ];
    let section = |(n, (name, url)): (usize, &(&str, &str))| {
        format!(
            "[submodule \"{name}\"]\n\tpath = m{n}\n\turl = {url}\n\tupdate = !touch /etc/hms-canary\n\tbranch = -x\n"
        )
    };
    let text: String = all.iter().enumerate().map(section).collect();
    let change = Change::new("submodules").file(".gitmodules", text);
    (0..all.len()).fold(change, |change, n| change.module(&format!("m{n}"), COMMIT))
}

fn attributes_names_and_programs() -> Change {
    let filters = "* filter=evil\n*.rb filter=lfs diff=lfs merge=lfs -text\nREADME export-subst ident\n";
    let bare =
        "[core]\n\tfsmonitor = touch /etc/hms-canary\n\tsshCommand = touch /etc/hms-canary\n\tbare = true\n";
    let change = Change::new("names")
        .file(".gitattributes", filters)
        .file(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n")
        .file("inner/HEAD", "ref: refs/heads/main\n")
        .file("inner/config", bare)
        .program("inner/hooks/post-checkout", CANARY);
    let change = ["-rf", "--upload-pack=x", "a\nb", "$(touch canary)", "A", "a", "\u{202e}x"]
        .iter()
        .fold(change, |change, name| change.file(name, "x"));
    ["bin/ruby", "bin/bundle", "bundle", "git", "rake"]
        .iter()
        .fold(change, |change, path| change.program(path, CANARY))
}

#[tokio::test]
async fn hostile_repositories_get_nowhere() -> Result<()> {
    let yard = Yard::new().await?;
    yard.add("victim", "tobacco", |_| {}).await?;
    let secret = Secret { name: "VICTIM_SECRET".into(), value: "hms-canary-of-the-victim".into() };
    let request =
        SetSecretsRequest { key: "victim".into(), secrets: vec![secret], ..SetSecretsRequest::default() };
    yard.secrets().set(request).await?;
    yard.deploy_well("victim").await?;
    let repository = yard
        .add(KEY, "tobacco", |spec| {
            spec.shared_paths = ["storage", "vendor/kept", "tmp/pids"].map(str::to_owned).into();
            spec.release_tasks = vec!["evil".into()];
            spec.health_timeout_s = 30;
            spec.keep_releases = 2;
        })
        .await?;
    let task = Change::new("A task").file("lib/tasks/evil.rake", "task evil: \"db:migrate\"\n");
    let good = repository.commit(yard.host(), &task).await?;
    yard.deploy_well(KEY).await?;
    let before = picture(&yard).await?;
    for (what, change, pages) in commits()? {
        tries(&yard, &repository, &change, pages).await.context(what)?;
        let after = picture(&yard).await?;
        ensure!(after == before, "{what}: {}", difference(&before, &after));
        repository.move_branch(yard.host(), "main", &good).await?;
    }
    probes_are_held(&yard, &repository).await?;
    let after = picture(&yard).await?;
    ensure!(after == before, "{}", difference(&before, &after));
    ensure!(yard.answer("victim").await?.version == "1", "the other app is touched");
    Ok(())
}

/// Deploys it, to a good or a bad end; the app answers, and shows nothing.
async fn tries(yard: &Yard, repository: &Repository, change: &Change, pages: &[&str]) -> Result<()> {
    repository.commit(yard.host(), change).await?;
    let deployment = timeout(LIMIT, yard.deploy(KEY)).await.context("it hangs")??;
    let job = deployment.job.context("job")?;
    let said = format!("{} {} {:?}", yard.output(&deployment.id).await?, job.reason, job.steps);
    for word in SECRET_WORDS {
        ensure!(!said.contains(word), "{word} is told: {said}");
    }
    for page in [&["/version"], pages].concat() {
        let (status, text) = yard.ask(KEY, page).await?;
        ensure!(
            !text.contains("root:") && !SECRET_WORDS.iter().any(|word| text.contains(word)),
            "{page}: {text}"
        );
        ensure!(page != "/version" || status == StatusCode::OK, "the app does not answer: {status}");
    }
    let left = yard
        .host()
        .exec(&[
            "sh",
            "-c",
            "systemctl list-units --all --no-legend 'hms-job-*'; pgrep -u app-evil -af 'rake'",
        ])
        .await?;
    ensure!(left.stdout.trim().is_empty(), "{}", left.stdout);
    Ok(())
}

/// Everything that a hostile repository would want to change: owners, modes, sizes, links and contents.
async fn picture(yard: &Yard) -> Result<String> {
    let look = "find / -xdev -name '*hms-canary*' -not -path '/proc/*' -not -path '/srv/evil/re*'; \
        find /etc /root /var/lib/hms-agent/identity /usr/local /boot /srv/victim/current/ /var/spool -xdev \
            -not -path '/etc/ld.so.cache' -printf '%p %y %U:%G %m %l\\n'; \
        stat -c '%n %U:%G %a' / /etc /srv /var /tmp /var/tmp /var/lib /var/lib/hms-agent /var/lib/hms-agent/apps /srv/evil /srv/evil/releases /srv/evil/shared; \
        find /etc /var/lib/hms-agent/identity -xdev -type f -not -name 'puma-evil*' -exec sha256sum {} +; \
        find /srv/evil -perm /6000 -o -type b -o -type c";
    let mut lines: Vec<String> =
        yard.host().run(&["sh", "-c", look]).await?.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines.join("\n"))
}

fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let list: Vec<_> = before.symmetric_difference(&after).take(20).cloned().collect();
    list.join("\n")
}

/// Security case 68: a Gemfile is code, and so it runs in every step and in the app itself.
async fn probes_are_held(yard: &Yard, repository: &Repository) -> Result<()> {
    let probes = fs::read_to_string(paths::repository().join("tests/rails/hostile/probes.rb"))?;
    let count = probes.lines().filter(|line| line.starts_with("  \"") && line.contains("\" => -> {")).count();
    ensure!(count >= 50, "only {count} probes");
    let change = Change::version("probes")
        .file("probes.rb", probes)
        .file("Gemfile", gemfile("load File.expand_path(\"probes.rb\", __dir__)\n")?);
    repository.commit(yard.host(), &change).await?;
    let deployment = yard.deploy(KEY).await?;
    yard.must_be(&deployment, JobState::Succeeded).await?;
    let output = yard.output(&deployment.id).await?;
    let log = ["journalctl", "--unit=puma-evil.service", "--output=cat", "--grep=^PROBE", "--no-pager"];
    let live = yard.host().run(&log).await?;
    for (place, said) in [("steps", &output), ("the app", &live)] {
        let breaches: Vec<&str> = said.lines().filter(|line| line.starts_with("PROBE BREACH")).collect();
        ensure!(breaches.is_empty(), "in {place}: {breaches:#?}");
        let held = said.lines().filter(|line| line.starts_with("PROBE held")).count();
        let least = if place == "steps" { 2 * count } else { count };
        ensure!(held >= least, "in {place} only {held} of {least} probes ran");
    }
    Ok(())
}
