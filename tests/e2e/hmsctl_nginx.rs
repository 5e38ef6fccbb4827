//! `hmsctl nginx` on a real host: every verb, from files, pipes, an editor and a terminal, with what each exits with.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(60);

struct Bench {
    world: World,
    folder: tempfile::TempDir,
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn must(self, code: i32, words: &[&str]) -> Result<String> {
        let all = format!("{}{}", self.stdout, self.stderr);
        ensure!(self.code == code, "exit {} instead of {code}: {all}", self.code);
        for word in words {
            ensure!(all.contains(word), "no `{word}` in: {all}");
        }
        Ok(all)
    }
}

impl Bench {
    async fn new() -> Result<Self> {
        Ok(Self { world: World::single().await?, folder: tempfile::tempdir()? })
    }

    /// Runs `hmsctl nginx` with this on its stdin.
    async fn pipe(&self, arguments: &[&str], input: &str) -> Result<Said> {
        self.feed(self.command(arguments), input).await
    }

    async fn run(&self, arguments: &[&str]) -> Result<Said> {
        self.pipe(arguments, "").await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.world.admin().command(&[&["nginx"], arguments].concat())
    }

    async fn feed(&self, mut command: Command, input: &str) -> Result<Said> {
        command.env("TMPDIR", self.folder.path()).env("TERM", "xterm");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("stdin")?;
        // A program that does not read may be gone already.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        let output = child.wait_with_output().await?;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `hmsctl nginx` at a terminal where somebody types this.
    async fn type_in(&self, arguments: &[&str], editor: &Path, keys: &str) -> Result<Said> {
        let inner = self.command(arguments);
        let inner = inner.as_std();
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let line: Vec<String> = words.map(|w| format!("'{}'", w.to_string_lossy())).collect();
        let mut outer = Command::new("script");
        outer
            .args(["-qec", &line.join(" "), "/dev/null"])
            .env("EDITOR", editor)
            .env_remove("VISUAL")
            .kill_on_drop(true);
        for (name, value) in inner.get_envs() {
            outer.env(name, value.unwrap_or_default());
        }
        outer
            .env("TMPDIR", self.folder.path())
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = outer.spawn().context("script(1) of util-linux")?;
        let mut stdin = child.stdin.take().context("stdin")?;
        for key in keys.chars() {
            // What is typed before a question is asked would be there when it comes, as with a person who is fast.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            stdin.write_all(format!("{key}\n").as_bytes()).await.ok();
        }
        let output = tokio::time::timeout(SOON, child.wait_with_output()).await??;
        drop(stdin);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Said { code: output.status.code().unwrap_or(-1), stdout, stderr: String::new() })
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A program that stands for the editor; it gets the file as `$1`.
    fn editor(&self, name: &str, script: &str) -> Result<PathBuf> {
        let path = self.file(name, &format!("#!/bin/sh\n{script}\n"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    async fn edit(&self, arguments: &[&str], editor: &Path) -> Result<Said> {
        let mut command = self.command(&[&["edit"], arguments].concat());
        command.env("EDITOR", editor).env_remove("VISUAL");
        self.feed(command, "").await
    }

    async fn get(&self, path: &str) -> Result<String> {
        Ok(self.run(&["get", path]).await?.stdout)
    }

    /// What nginx answers for a server name.
    async fn ask(&self, name: &str) -> Result<String> {
        let url = format!("http://{}/", self.world.controller_host().address());
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        Ok(client.get(url).header("Host", name).send().await?.text().await?)
    }

    async fn tree(&self) -> Result<String> {
        let sums = "cd /etc/nginx && find . -type f -exec sha256sum {} + | sort && ls -l sites-enabled";
        self.world.controller_host().run(&["sh", "-c", sums]).await
    }

    fn drafts(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.folder.path())?.flatten().map(|e| e.path());
        Ok(entries.filter(|p| p.is_dir() && p.to_string_lossy().contains("/hmsctl-")).collect())
    }
}

fn site(name: &str, says: &str) -> String {
    format!(
        "server {{\n    listen 80;\n    server_name {name};\n    location / {{ return 200 \"{says}\"; }}\n}}\n"
    )
}

#[tokio::test]
async fn every_change_is_made_from_files_and_pipes() -> Result<()> {
    let bench = Bench::new().await?;
    let (one, two) = (site("one.test", "first"), site("one.test", "second"));
    bench
        .pipe(&["new", "one", "--enable", "--reason", "a test"], &one)
        .await?
        .must(0, &["applied", "one enabled"])?;
    ensure!(bench.ask("one.test").await? == "first");
    bench.pipe(&["new", "one"], &one).await?.must(1, &["error:", "already"])?;
    bench.run(&["list"]).await?.must(0, &["● running", "one.test", "● enabled"])?;
    ensure!(bench.get("one").await? == one && bench.get("sites-available/one").await? == one);

    let file = bench.file("two.conf", &two)?;
    let file = file.to_str().context("a path")?;
    let shown =
        bench.run(&["diff", "one", file]).await?.must(0, &["-    location / { return 200 \"first\"; }"])?;
    ensure!(shown.starts_with("--- a/sites-available/one\n+++ b/sites-available/one\n"), "{shown}");
    let before = bench.tree().await?;
    bench.run(&["put", "one", file, "--dry-run"]).await?.must(0, &["+1 −1", "would be applied"])?;
    bench.run(&["test", "one", file]).await?.must(0, &["is good"])?;
    bench.run(&["test"]).await?.must(0, &["is good"])?;
    ensure!(bench.tree().await? == before, "a test changed something");

    // What is refused changes nothing, and is shown at its line.
    let broken = two.replace("listen 80", "lisen 80");
    for verb in ["test", "put"] {
        let words =
            ["sites-available/one:2:5: error:", "    2 |     lisen 80;", "      |     ^", "--accept lisen"];
        bench.pipe(&[verb, "one", "-"], &broken).await?.must(1, &words)?;
    }
    let said = bench.pipe(&["test", "one", "-", "-o", "json"], &broken).await?;
    let parsed: serde_json::Value = serde_json::from_str(&said.stdout)?;
    ensure!(said.code == 1 && parsed["problems"][0]["line"] == 2, "{parsed}");
    bench
        .run(&["put", "one", file, "--expect", &"0".repeat(64)])
        .await?
        .must(1, &["error:", "hmsctl nginx diff one FILE"])?;
    ensure!(bench.tree().await? == before, "a refused change changed something");

    bench.run(&["put", "one", file]).await?.must(0, &["applied", "one +1 −1"])?;
    ensure!(bench.ask("one.test").await? == "second");
    bench.run(&["put", "one", file]).await?.must(0, &["is so already"])?;

    // A whole tree goes out and comes back, with one file changed and one link more.
    let tree = bench.folder.path().join("tree");
    let tree = tree.to_str().context("a path")?;
    bench.run(&["export", tree]).await?.must(0, &["files of asterra"])?;
    bench.run(&["export", tree]).await?.must(2, &["is not empty"])?;
    bench.run(&["apply", tree]).await?.must(0, &["all of it is so already"])?;
    bench.file("tree/sites-available/one", &one)?;
    bench.file("tree/sites-available/three", &site("three.test", "third"))?;
    std::os::unix::fs::symlink("../sites-available/three", format!("{tree}/sites-enabled/three"))?;
    bench.run(&["apply", tree]).await?.must(0, &["one +1 −1", "three +5 −0", "three enabled"])?;
    ensure!(bench.ask("three.test").await? == "third" && bench.ask("one.test").await? == "first");

    bench.run(&["disable", "three"]).await?.must(0, &["three disabled"])?;
    ensure!(bench.ask("three.test").await? != "third");
    bench.run(&["enable", "three"]).await?.must(0, &["three enabled"])?;
    bench.run(&["quarantine", "three"]).await?.must(0, &["three quarantined"])?;
    bench.run(&["list", "--problems"]).await?.must(0, &["▲ quarantined"])?;
    bench.run(&["unquarantine", "three"]).await?.must(0, &["three out of quarantine"])?;
    bench.run(&["reload"]).await?.must(0, &["reloaded nginx on asterra"])?;
    bench.run(&["rm", "three"]).await?.must(2, &["--yes"])?;
    bench.run(&["rm", "three", "--yes"]).await?.must(0, &["three removed"])?;
    bench.run(&["get", "three"]).await?.must(1, &["error:"])?;
    bench.run(&["get", "../shadow"]).await?.must(2, &["not a path below /etc/nginx"])?;
    bench.run(&["confirm"]).await?.must(1, &["no change waits"])?;
    Ok(())
}

#[tokio::test]
async fn what_is_typed_in_an_editor_is_applied_or_kept() -> Result<()> {
    let bench = Bench::new().await?;
    bench.pipe(&["new", "one", "--enable"], &site("one.test", "first")).await?.must(0, &[])?;
    let nothing = bench.editor(
        "nothing",
        "test \"$(stat -c %a \"$1\")\" = 600 && test \"$(stat -c %a \"$(dirname \"$1\")\")\" = 700",
    )?;
    bench.edit(&["one"], &nothing).await?.must(0, &["nothing was changed"])?;
    let second = bench.editor("second", "sed -i s/first/second/ \"$1\"")?;
    bench
        .edit(&["one"], &second)
        .await?
        .must(0, &["+    location / { return 200 \"second\"; }", "applied"])?;
    ensure!(bench.ask("one.test").await? == "second");
    ensure!(bench.drafts()?.is_empty(), "an applied text is not kept");

    // Nobody is there to correct it: it is kept.
    let broken = bench.editor("broken", "sed -i 's/listen/lisen/; s/second/typed/' \"$1\"")?;
    bench.edit(&["one"], &broken).await?.must(1, &["one:2:5: error:", "Your text is kept in"])?;
    let kept = bench.drafts()?.pop().context("no draft")?;
    ensure!(std::fs::read_to_string(kept.join("one.nginx"))?.contains("typed"));
    std::fs::remove_dir_all(kept)?;
    let absent = Path::new("/nonexistent/editor");
    bench.edit(&["one"], absent).await?.must(1, &["does not start"])?;
    ensure!(bench.drafts()?.is_empty(), "what nobody changed is not kept");

    // At a terminal it is opened again, and then applied.
    let count = bench.folder.path().join("count");
    let script = format!(
        "echo x >> {0}; case $(wc -l < {0}) in 1) sed -i s/listen/lisen/ \"$1\";; *) sed -i 's/lisen/listen/; s/second/third/' \"$1\";; esac",
        count.display()
    );
    let twice = bench.editor("twice", &script)?;
    bench
        .type_in(&["edit", "one"], &twice, "ey")
        .await?
        .must(0, &["What next?", "Apply this on asterra?", "applied"])?;
    ensure!(bench.ask("one.test").await? == "third");

    // Somebody else is faster: both changes are brought together.
    let other = bench
        .file("other", &bench.get("one").await?.replace("server {\n", "# from somebody else\nserver {\n"))?;
    let hmsctl = bench.command(&[]);
    let hmsctl = hmsctl.as_std();
    let config = hmsctl
        .get_envs()
        .find(|(name, _)| *name == "HMS_CONFIG_DIR")
        .and_then(|(_, value)| value)
        .context("a config")?;
    let script = format!(
        "if ! grep -q fourth \"$1\"; then HMS_CONFIG_DIR={} {} nginx put one {} || exit 9; sed -i s/third/fourth/ \"$1\"; fi",
        config.to_string_lossy(),
        hmsctl.get_program().to_string_lossy(),
        other.display()
    );
    let slow = bench.editor("slow", &script)?;
    let words = ["+# from somebody else", "Your text is kept in", "hmsctl nginx put one"];
    bench.edit(&["one"], &slow).await?.must(1, &words)?;
    bench.drafts()?.into_iter().try_for_each(std::fs::remove_dir_all)?;
    bench.pipe(&["put", "one"], &site("one.test", "third")).await?.must(0, &[])?;
    bench
        .type_in(&["edit", "one"], &slow, "my")
        .await?
        .must(0, &["Bring both changes together?", "applied"])?;
    let text = bench.get("one").await?;
    ensure!(text.contains("from somebody else") && text.contains("fourth"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_change_stands_only_once_it_is_confirmed() -> Result<()> {
    let bench = Bench::new().await?;
    let put = |says: &'static str, arguments: &'static [&'static str]| {
        let bench = &bench;
        async move { bench.pipe(&[&["put", "one"], arguments].concat(), &site("one.test", says)).await }
    };
    bench.pipe(&["new", "one", "--enable"], &site("one.test", "first")).await?.must(0, &[])?;
    put("second", &["--confirm", "9s"]).await?.must(2, &["10s to 1h"])?;
    put("second", &["--confirm", "10s"])
        .await?
        .must(0, &["It is put back at", "hmsctl nginx --host asterra confirm "])?;
    bench.run(&["list"]).await?.must(0, &["◐ sites-available/one by admin is put back"])?;
    put("third", &[]).await?.must(1, &["waits to be confirmed"])?;
    eventually(SOON, async || {
        ensure!(bench.ask("one.test").await? == "first", "not put back yet");
        bench.run(&["list"]).await?.must(0, &["reverted"])
    })
    .await?;

    put("second", &["--confirm", "10min"]).await?.must(0, &[])?;
    bench.run(&["confirm", "00000000-0000-4000-8000-000000000000"]).await?.must(1, &["error:"])?;
    bench.run(&["confirm"]).await?.must(0, &["kept: sites-available/one"])?;
    put("third", &["--confirm", "10min"]).await?.must(0, &[])?;
    ensure!(bench.ask("one.test").await? == "third");
    bench.run(&["revert"]).await?.must(0, &["put back: sites-available/one"])?;
    ensure!(bench.ask("one.test").await? == "second");

    let file = bench.file("third.conf", &site("one.test", "third"))?;
    let file = file.to_str().context("a path")?;
    let arguments = ["put", "one", file, "--confirm", "60s", "--wait"];
    bench.type_in(&arguments, Path::new("true"), "y").await?.must(0, &["Keep this change?", "kept:"])?;
    ensure!(bench.ask("one.test").await? == "third");
    Ok(())
}

#[tokio::test]
async fn history_drift_and_the_way_around_the_controller() -> Result<()> {
    let bench = Bench::new().await?;
    let host = bench.world.controller_host();
    bench
        .pipe(&["new", "one", "--enable", "--reason", "the first"], &site("one.test", "first"))
        .await?
        .must(0, &[])?;
    let version = eventually(SOON, async || {
        let list: serde_json::Value =
            serde_json::from_str(&bench.run(&["history", "one", "-o", "json"]).await?.stdout)?;
        let found = list["versions"].as_array().into_iter().flatten().find(|v| v["event"] == "applied");
        found.and_then(|v| v["id"].as_i64()).context("no version yet")
    })
    .await?
    .to_string();
    bench.run(&["history"]).await?.must(0, &["the first", "admin"])?;
    bench.run(&["show", &version]).await?.must(0, &["return 200 \"first\""])?;
    bench.run(&["show", &version, "--diff"]).await?.must(0, &["+    server_name one.test;"])?;

    bench.pipe(&["put", "one"], &site("one.test", "second")).await?.must(0, &[])?;
    bench.run(&["restore", "one", "--version", &version]).await?.must(0, &["applied"])?;
    ensure!(bench.ask("one.test").await? == "first");
    bench
        .run(&["restore", "nginx.conf", "--version", &version])
        .await?
        .must(2, &["is of sites-available/one"])?;

    // Somebody edits on the host itself.
    host.run(&["sed", "-i", "s/first/by hand/", "/etc/nginx/sites-available/one"]).await?;
    eventually(Duration::from_secs(120), async || {
        bench.run(&["drift"]).await?.must(0, &["sites-available/one", "◐ changed"])
    })
    .await?;
    bench.run(&["drift", "--diff"]).await?.must(0, &["by hand"])?;
    bench.run(&["adopt", "--reason", "it was right"]).await?.must(0, &["known state"])?;
    bench.run(&["drift"]).await?.must(0, &["Nothing on asterra was changed"])?;
    bench
        .run(&["route", "http://one.test/"])
        .await?
        .must(0, &["server", "sites-available/one:", "location"])?;

    host.run(&["systemctl", "stop", "hms-controller.service"]).await?;
    bench.run(&["list"]).await?.must(5, &["error:", "--direct"])?;
    let direct = |arguments: &[&str], input: &str| {
        let command = bench.world.admin().command(&[&["--direct", "asterra", "nginx"], arguments].concat());
        let input = input.to_owned();
        let bench = &bench;
        async move { bench.feed(command, &input).await }
    };
    direct(&["list"], "").await?.must(0, &["one.test"])?;
    direct(&["put", "one"], &site("one.test", "around")).await?.must(0, &["applied"])?;
    ensure!(bench.ask("one.test").await? == "around");
    direct(&["put", "one", "--confirm", "60s"], &site("one.test", "again"))
        .await?
        .must(0, &["hmsctl --direct asterra nginx confirm"])?;
    direct(&["confirm"], "").await?.must(0, &["kept:"])?;
    direct(&["history"], "").await?.must(2, &["leave out --direct"])?;
    Ok(())
}
