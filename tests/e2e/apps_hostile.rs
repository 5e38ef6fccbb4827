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
const CANARY: &str = "#!/bin/sh\ntouch /etc/hms-canary /root/hms-canary /srv/hms-canary /tmp/hms-canary /var/tmp/hms-canary\n";
const COMMIT: &str = "1234567890123456789012345678901234567890";
/// A repository must not make a deployment hang.
const LIMIT: Duration = Duration::from_secs(120);
/// Words of files that only root may read.
const SECRET_WORDS: [&str; 3] = ["root:*:", "root:!:", "PRIVATE KEY"];

fn gemfile(code: &str) -> Result<String> {
    Ok(fs::read_to_string(paths::repository().join("tests/rails/tobacco/Gemfile"))? + code)
}

/// Security cases 64, 66, 67 and 69: one commit each, and a page that would show that it worked.
fn commits() -> Result<Vec<(&'static str, Change, &'static str)>> {
    let new = |what| Change::new(what);
    let hook = |path: &str| new("a hook").program(path, CANARY);
    let modules = |url: &str, name: &str| {
        let text = format!("[submodule \"{name}\"]\n\tpath = inner\n\turl = {url}\n\tupdate = !touch /etc/hms-canary\n");
        new("a submodule").file(".gitmodules", text).module("inner", COMMIT)
    };
    let filters = "* filter=evil\n*.rb filter=lfs diff=lfs merge=lfs -text\nVERSION export-subst working-tree-encoding=UTF-16\n";
    let task = |code: &str| new("a task").file("lib/tasks/evil.rake", format!("task evil: :environment do\n  {code}\nend\n"));
    Ok(vec![
        ("a key that is a link", new("a link").link("config/master.key", "/etc/shadow"), ""),
        ("all files as static files", new("a link").link("public/all", "/"), "/all/etc/passwd"),
        ("one file as a static file", new("a link").link("public/passwd", "/etc/passwd"), "/passwd"),
        ("the agent's key as a static file", new("a link").link("public/key", "/var/lib/hms-agent/identity/key.pem"), "/key"),
        ("relative links", new("a link").link("public/up", "../../../../../etc/passwd"), "/up"),
        ("the error page is a link", new("a link").without("public/404.html").link("public/404.html", "/etc/passwd"), "/nothing"),
        ("a hook in .git", hook(".git/hooks/post-checkout"), ""),
        ("a hook in .GIT", hook(".GIT/hooks/post-checkout"), ""),
        ("a hook in git~1", hook("git~1/hooks/post-checkout"), ""),
        ("a bare repository within", hook("hooks/post-checkout").file("HEAD", "ref: refs/heads/main\n").file("config", "[core]\n\tfsmonitor = touch /etc/hms-canary\n\tbare = true\n"), ""),
        ("a submodule that is a command", modules("ext::sh -c 'touch /etc/hms-canary'", "inner"), ""),
        ("a submodule of the host", modules("file:///srv/git/victim.git", "inner"), ""),
        ("a submodule with a name that climbs", modules("../victim.git", "../../hooks"), ""),
        ("a submodule with an option", modules("--upload-pack=touch /etc/hms-canary", "-u"), ""),
        ("filters and LFS", new("filters").file(".gitattributes", filters).file(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n"), ""),
        ("its log is a link", new("a link").link("log", "/etc"), ""),
        ("its tmp is a link", new("a link").link("tmp", "/var/lib/hms-agent"), ""),
        ("what is shared is a link", new("a link").link("storage", "/etc").link("vendor/kept", "/root"), ""),
        ("a folder of what is shared is a link", new("a link").link("vendor", "/etc"), ""),
        ("migrations are a link", new("a link").without("db/migrate/20260905080000_create_orders.rb").link("db/migrate", "/etc"), ""),
        ("the lock file is a secret", new("a link").link("Gemfile.lock", "/etc/shadow"), ""),
        ("the lock file never ends", new("a link").link("Gemfile.lock", "/dev/zero"), ""),
        ("the lock file is a folder", new("a folder").without("Gemfile.lock").file("Gemfile.lock/x", "x"), ""),
        ("the note of the commit is a link", new("a link").link("REVISION", "/etc/cron.d/hms-canary"), ""),
        ("the version is a secret", new("a link").link("VERSION", "/etc/shadow"), "/version"),
        ("names that are options", new("names").file("-rf", "x").file("--upload-pack=x", "x").file("a\nb", "x").file("$(touch canary)", "x"), ""),
        ("programs in the way", new("programs").program("bin/ruby", CANARY).program("bin/bundle", CANARY).program("bundle", CANARY).program("git", CANARY), ""),
        ("settings of bundler", new("bundler").file(".bundle/config", "---\nBUNDLE_PATH: \"/etc\"\nBUNDLE_BIN: \"/usr/local/bin\"\nBUNDLE_FROZEN: \"false\"\n"), ""),
        ("a Gemfile that is a program", new("a Gemfile").file("Gemfile", gemfile("system(\"touch /etc/hms-canary /srv/evil/hms-canary /tmp/hms-canary\")\n")?), ""),
        ("a task that swaps folders", task("%w[tmp log storage].each { |d| p = \"/srv/evil/shared/#{d}\"; File.rename(p, \"#{p}.old\") rescue 0; File.symlink(\"/var/lib/hms-agent\", p) rescue 0 }"), ""),
        ("and the deployment after it", new("nothing"), ""),
        ("a task that leaves something running", task("Process.daemon(true); loop { sleep 1 }"), ""),
    ])
}

#[tokio::test]
async fn hostile_repositories_get_nowhere() -> Result<()> {
    let yard = Yard::new().await?;
    yard.add("victim", "tobacco", |_| {}).await?;
    let secret = Secret { name: "VICTIM_SECRET".into(), value: "hms-canary-of-the-victim".into() };
    let request = SetSecretsRequest { key: "victim".into(), secrets: vec![secret], ..SetSecretsRequest::default() };
    yard.secrets().set(request).await?;
    yard.deploy_well("victim").await?;
    let repository = yard
        .add(KEY, "tobacco", |spec| {
            spec.shared_paths = ["storage", "vendor/kept", "tmp/pids"].map(str::to_owned).into();
            spec.release_tasks = ["db:migrate", "evil"].map(str::to_owned).into();
            spec.health_timeout_s = 15;
            spec.keep_releases = 2;
        })
        .await?;
    let good = repository.commit(yard.host(), &Change::new("A task").file("lib/tasks/evil.rake", "task :evil\n")).await?;
    yard.deploy_well(KEY).await?;
    let before = picture(&yard).await?;
    for (what, change, page) in commits()? {
        tries(&yard, &repository, &change, page).await.context(what)?;
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
async fn tries(yard: &Yard, repository: &Repository, change: &Change, page: &str) -> Result<()> {
    repository.commit(yard.host(), change).await?;
    let deployment = timeout(LIMIT, yard.deploy(KEY)).await.context("it hangs")??;
    let job = deployment.job.context("job")?;
    let said = format!("{} {} {:?}", yard.output(&deployment.id).await?, job.reason, job.steps);
    for word in SECRET_WORDS {
        ensure!(!said.contains(word), "{word} is told: {said}");
    }
    for page in ["/version", page].iter().filter(|page| !page.is_empty()) {
        let (status, text) = yard.ask(KEY, page).await?;
        ensure!(!text.contains("root:") && !SECRET_WORDS.iter().any(|word| text.contains(word)), "{page}: {text}");
        ensure!(*page != "/version" || status == StatusCode::OK, "the app does not answer: {status}");
    }
    let left = yard.host().exec(&["sh", "-c", "systemctl list-units --all --no-legend 'hms-job-*'; pgrep -u app-evil -af 'rake'"]).await?;
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
    let change = Change::version("probes").file("probes.rb", probes).file("Gemfile", gemfile("load File.expand_path(\"probes.rb\", __dir__)\n")?);
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
        let least = if place == "steps" { 3 * count } else { count };
        ensure!(held >= least, "in {place} only {held} of {least} probes ran");
    }
    Ok(())
}
