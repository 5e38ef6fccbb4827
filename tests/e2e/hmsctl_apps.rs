//! `hmsctl apps` and `hmsctl deployments`, as people and scripts use them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::Yard;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::support::eventually;

const LIMIT: Duration = Duration::from_secs(240);
const SOON: Duration = Duration::from_secs(20);

/// A person at a shell, without a terminal.
struct Shell<'a> {
    yard: &'a Yard,
    folder: PathBuf,
}

impl Shell<'_> {
    async fn feed(&self, editor: &str, arguments: &[&str], stdin: &[u8]) -> Result<Output> {
        let mut command = self.yard.world().admin().command(arguments);
        command.env("EDITOR", editor).env_remove("VISUAL").env("TMPDIR", &self.folder);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("stdin")?;
        // A program that does not read its input closes the pipe: that is its right.
        pipe.write_all(stdin).await.ok();
        drop(pipe);
        Ok(timeout(LIMIT, child.wait_with_output())
            .await
            .with_context(|| format!("{arguments:?} hangs"))??)
    }

    /// Runs hmsctl, which must end with this code; gives what it printed and what it said.
    async fn run(&self, code: i32, arguments: &[&str]) -> Result<(String, String)> {
        self.run_with(code, arguments, b"").await
    }

    async fn run_with(&self, code: i32, arguments: &[&str], stdin: &[u8]) -> Result<(String, String)> {
        ended(self.feed("false", arguments, stdin).await?, code, arguments)
    }

    async fn edit(&self, code: i32, editor: &str, arguments: &[&str]) -> Result<(String, String)> {
        ended(self.feed(editor, arguments, b"").await?, code, arguments)
    }

    async fn json(&self, code: i32, arguments: &[&str]) -> Result<Value> {
        let (stdout, _) = self.run(code, &[arguments, &["-o", "json"]].concat()).await?;
        Ok(serde_json::from_str(&stdout)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }
}

fn ended(said: Output, code: i32, arguments: &[&str]) -> Result<(String, String)> {
    let (stdout, stderr) = (String::from_utf8(said.stdout)?, String::from_utf8(said.stderr)?);
    ensure!(
        said.status.code() == Some(code),
        "{arguments:?} ended with {}:\n{stdout}\n{stderr}",
        said.status
    );
    Ok((stdout, stderr))
}

/// The places where these texts are, which must be in this order.
fn in_order(text: &str, wanted: &[&str]) -> Result<()> {
    let mut from = 0;
    for word in wanted {
        let at =
            text[from..].find(word).with_context(|| format!("no `{word}` where it should be:\n{text}"))?;
        from += at + word.len();
    }
    Ok(())
}

#[tokio::test]
async fn an_app_is_set_up_deployed_and_taken_back_from_a_shell() -> Result<()> {
    let yard = Yard::new().await?;
    let repository = Repository::of_app(yard.host(), "cigar", "cigar").await?;
    let folder = tempfile::tempdir()?;
    let shell = Shell { yard: &yard, folder: folder.path().to_owned() };
    an_app_is_added(&shell, &repository).await?;
    secrets_are_kept(&shell).await?;
    it_is_deployed(&shell, &repository).await?;
    settings_are_edited(&shell).await?;
    one_lets_go_and_ends_it_later(&shell, &repository).await?;
    it_goes_back_without_the_controller(&shell, &repository).await?;
    it_is_exported_and_removed(&shell).await
}

async fn an_app_is_added(shell: &Shell<'_>, repository: &Repository) -> Result<()> {
    let url = repository.url();
    let (_, said) =
        shell.run(2, &["apps", "add", "cigar", "--host", "asterra", "--git-url", "ext::sh -c id"]).await?;
    ensure!(said.contains("git_url: ") && said.contains("is not a git address"), "{said}");
    let arguments = [
        "apps",
        "add",
        "cigar",
        "--host",
        "asterra",
        "--domain",
        "test",
        "--git-url",
        &url,
        "--gems",
        "system",
    ];
    let more = [
        "--database",
        "cigar",
        "--release-tasks",
        "db:migrate",
        "--asset-tasks",
        "assets:precompile",
        "--threads",
        "1:3",
    ];
    let (added, next) = shell.run(0, &[&arguments[..], &more].concat()).await?;
    ensure!(
        added == "added cigar on asterra\n" && next.contains("hmsctl apps deploy cigar"),
        "{added}{next}"
    );
    let (_, said) = shell.run(1, &[&arguments[..], &more].concat()).await?;
    ensure!(said.contains("there is an app `cigar` already"), "{said}");

    let (plan, _) = shell.run(6, &["apps", "plan", "cigar", "--for", "deploy", "--exit-code"]).await?;
    in_order(&plan, &["ITEM", "puma-cigar.service", "[Service]", "User=app-cigar", "restart: "])?;
    ensure!(!yard_has(shell, "/srv/cigar").await?, "a plan changed the host");
    let (releases, said) = shell.run(0, &["apps", "releases", "cigar"]).await?;
    ensure!(releases.is_empty() && said.contains("is not on its host yet"), "{releases}{said}");
    Ok(())
}

async fn yard_has(shell: &Shell<'_>, path: &str) -> Result<bool> {
    Ok(shell.yard.host().exec(&["test", "-e", path]).await?.success())
}

/// Security case 78: a value goes in through stdin or a file, and comes out only where somebody asks with a password.
async fn secrets_are_kept(shell: &Shell<'_>) -> Result<()> {
    let (set, _) =
        shell.run_with(0, &["apps", "secrets", "set", "cigar", "MOTTO"], b"two\nlines \"%h\"\n").await?;
    in_order(&set, &["+ MOTTO", "version 2"])?;
    let (_, said) = shell.run_with(2, &["apps", "secrets", "set", "cigar", "LD_PRELOAD"], b"x").await?;
    ensure!(said.contains("LD_PRELOAD"), "{said}");
    let bad = shell.write("bad.env", "A=1\ngeheim\n")?;
    let (_, said) = shell.run(2, &["apps", "secrets", "import", "cigar", &bad]).await?;
    ensure!(said.contains("line 2 has no `=`") && !said.contains("geheim"), "{said}");
    let good = shell.write("good.env", "MOTTO='two\nlines \"%h\"'\nexport TOKEN=abc # old\n")?;
    let (told, _) = shell.run(0, &["apps", "secrets", "import", "cigar", &good, "--dry-run"]).await?;
    assert_eq!(told, "+ TOKEN\n");
    shell.run(0, &["apps", "secrets", "import", "cigar", &good]).await?;
    let (list, said) = shell.run(0, &["apps", "secrets", "cigar"]).await?;
    in_order(&list, &["API_TOKEN", "DATABASE_PASSWORD", "MOTTO", "SECRET_KEY_BASE", "TOKEN"])?;
    ensure!(said.contains("version 3") && !list.contains("abc") && !list.contains("two"), "{list}{said}");

    let password = shell.yard.world().password_file();
    let reveal =
        ["apps", "secrets", "reveal", "cigar", "MOTTO", "--password-file", &password.to_string_lossy()];
    assert_eq!(shell.run(0, &reveal).await?.0, "two\nlines \"%h\"");
    let (_, said) = shell.run(0, &["apps", "secrets", "unset", "cigar", "TOKEN"]).await?;
    ensure!(said.contains("hmsctl apps apply cigar"), "{said}");

    let (key, said) = shell.run(0, &["apps", "deploy-key", "cigar"]).await?;
    ensure!(
        key.starts_with("ssh-ed25519 ") && key.lines().count() == 1 && said.contains("a new key"),
        "{key}{said}"
    );
    assert_eq!(shell.run(0, &["apps", "deploy-key", "cigar"]).await?.0, key);
    Ok(())
}

async fn it_is_deployed(shell: &Shell<'_>, repository: &Repository) -> Result<()> {
    let (told, _) = shell.run(0, &["apps", "deploy", "cigar"]).await?;
    let steps = [
        "● prepare",
        "● fetch",
        "● checkout",
        "● bundle",
        "● assets",
        "CreateProducts: migrated",
        "● release",
    ];
    in_order(
        &told,
        &[
            &steps[..],
            &["● switch", "● restart", "● health", "● site", "deployed cigar: ", "is live on asterra"],
        ]
        .concat(),
    )?;
    let (status, motto) = shell.yard.ask("cigar", "/env/MOTTO").await?;
    ensure!(status.is_success() && motto.contains("lines"), "{status} {motto}");

    // A deployment that is let go of can be watched later, with all that it said.
    let commit = repository.commit(shell.yard.host(), &Change::version("2")).await?;
    let (id, said) = shell.run(0, &["apps", "deploy", "cigar", "--commit", &commit, "--no-wait"]).await?;
    let id = id.trim();
    ensure!(said.contains(&format!("hmsctl deployments follow {id}")), "{said}");
    let (told, _) = shell.run(0, &["deployments", "follow", id]).await?;
    in_order(&told, &["● prepare", "● fetch", "● release", "● health", "deployed cigar"])?;
    let (again, _) = shell.run(0, &["deployments", "follow", id]).await?;
    in_order(&again, &["● prepare", "● fetch", "● release", "● health", "deployed cigar"])?;
    let shown = shell.json(0, &["deployments", "show", id]).await?;
    assert_eq!((&shown["job"]["commit"], &shown["job"]["state"]), (&commit.into(), &"succeeded".into()));
    let list = shell.json(0, &["deployments", "cigar"]).await?;
    assert_eq!(list["deployments"].as_array().context("list")?.len(), 2);

    repository
        .commit(shell.yard.host(), &Change::new("Broken").file("config/environment.rb", "raise 'broken'\n"))
        .await?;
    let (told, said) = shell.run(1, &["apps", "deploy", "cigar"]).await?;
    ensure!(
        told.contains("▲ ") && said.contains("the deployment of cigar failed on asterra"),
        "{told}{said}"
    );
    ensure!(said.contains("hint: hmsctl deployments show "), "{said}");
    assert_eq!(shell.yard.answer("cigar").await?.version, "2");
    Ok(())
}

async fn settings_are_edited(shell: &Shell<'_>) -> Result<()> {
    let (_, said) = shell.run(0, &["apps", "edit", "cigar", "--env", "MODE=calm"]).await?;
    ensure!(said.contains("hmsctl apps apply cigar"), "{said}");
    let (told, _) =
        shell.run(0, &["apps", "edit", "cigar", "--env", "MODE=calm", "--threads", "1:3"]).await?;
    ensure!(told.is_empty(), "{told}");
    let (told, said) = shell.run(0, &["apps", "apply", "cigar"]).await?;
    ensure!(
        told.contains("applied the settings of cigar on asterra") && said.contains("restart: "),
        "{told}{said}"
    );
    ensure!(shell.yard.ask("cigar", "/env/MODE").await?.1.contains("calm"), "the app has no MODE");

    let (_, said) = shell.edit(0, "sed -i s/calm/loud/", &["apps", "edit", "cigar"]).await?;
    in_order(&said, &["-    MODE: calm", "+    MODE: loud"])?;
    let (_, said) = shell.edit(0, "true", &["apps", "edit", "cigar"]).await?;
    ensure!(said.contains("nothing was changed") && left(&shell.folder)?.is_empty(), "{said}");
    let (_, said) = shell.edit(2, "sed -i s/^host:/hots:/", &["apps", "edit", "cigar"]).await?;
    ensure!(said.contains("`hots` is no setting") && left(&shell.folder)?.len() == 1, "{said}");
    somebody_else_edits_meanwhile(shell).await
}

/// Files of the editor that were kept.
fn left(folder: &Path) -> Result<Vec<PathBuf>> {
    let kept =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("hmsctl-"));
    Ok(std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(kept).collect())
}

/// The editor is one that takes so long that others are faster.
async fn somebody_else_edits_meanwhile(shell: &Shell<'_>) -> Result<()> {
    let admin = shell.yard.world().admin();
    let other = admin.command(&["apps", "edit", "cigar", "--name", "Cigars"]);
    let words: Vec<_> =
        std::iter::once(other.as_std().get_program()).chain(other.as_std().get_args()).collect();
    let words: Vec<_> = words.iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let text = format!("#!/bin/sh\n{} >/dev/null && sed -i s/loud/calm/ \"$1\"\n", words.join(" "));
    let editor = shell.write("editor", &text)?;
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755))?;
    let (_, said) = shell.edit(1, &editor, &["apps", "edit", "cigar"]).await?;
    ensure!(
        said.contains("were changed after you read them") && said.contains("Your text is kept in"),
        "{said}"
    );
    let settings = shell.json(0, &["apps", "show", "cigar", "--settings"]).await?;
    assert_eq!(
        (&settings["name"], &settings["spec"]["environment"]["MODE"]),
        (&"Cigars".into(), &"loud".into())
    );
    Ok(())
}

/// Pitfall P9: Ctrl-C lets go of a deployment, and does nothing to it.
async fn one_lets_go_and_ends_it_later(shell: &Shell<'_>, repository: &Repository) -> Result<()> {
    let slow = "puts 'lingering'\n$stdout.flush\nsleep 600\n";
    repository.commit(shell.yard.host(), &Change::new("Slow").file("config/environment.rb", slow)).await?;
    let mut command = shell.yard.world().admin().command(&["apps", "deploy", "cigar"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let lingering = async {
        while let Some(line) = lines.next_line().await? {
            if line == "  lingering" {
                return Ok(());
            }
        }
        bail!("it ended before it lingered")
    };
    timeout(LIMIT, lingering).await??;
    let (id, said) = shell.run(0, &["apps", "deploy", "cigar", "--no-wait"]).await?;
    let id = id.trim();
    ensure!(said.contains("a deployment is under way already, begun by admin"), "{said}");

    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("pid")?;
    kill_process(pid, Signal::INT)?;
    drop(lines);
    let (_, said) = ended(timeout(LIMIT, child.wait_with_output()).await??, 130, &["apps", "deploy"])?;
    in_order(
        &said,
        &["it goes on", &format!("deployments follow {id}"), &format!("deployments cancel {id}")],
    )?;
    let shown = shell.json(0, &["deployments", "show", id]).await?;
    assert_eq!(shown["job"]["state"], "running");
    let (told, _) = shell.run(0, &["deployments", "cancel", id]).await?;
    in_order(&told, &["○ canceled", "the deployment of cigar"])?;
    let (told, said) = shell.run(1, &["deployments", "follow", id]).await?;
    ensure!(told.contains("lingering") && said.contains("was canceled"), "{told}{said}");
    assert_eq!(shell.yard.answer("cigar").await?.version, "2");
    Ok(())
}

async fn it_goes_back_without_the_controller(shell: &Shell<'_>, repository: &Repository) -> Result<()> {
    let yard = shell.yard;
    repository.commit(yard.host(), &Change::version("3").file("config/environment.rb", ENVIRONMENT)).await?;
    shell.run(0, &["apps", "deploy", "cigar"]).await?;
    assert_eq!(yard.answer("cigar").await?.version, "3");
    let (told, said) = shell.run(0, &["apps", "rollback", "cigar"]).await?;
    ensure!(said.contains("back to ") && told.contains("went back: cigar is at "), "{told}{said}");
    assert_eq!(yard.answer("cigar").await?.version, "2");

    let direct = format!("{}:9444", yard.host().address());
    yard.host().run(&["systemctl", "stop", "hms-controller.service"]).await?;
    let (releases, _) = shell.run(0, &["--direct", &direct, "apps", "releases", "cigar"]).await?;
    in_order(&releases, &["RELEASE", "● live"])?;
    let (told, _) = shell.run(0, &["--direct", &direct, "apps", "rollback", "cigar", "--yes"]).await?;
    in_order(&told, &["● switch", "● health", "went back: cigar is at "])?;
    assert_eq!(yard.answer("cigar").await?.version, "1");
    let (list, _) = shell.run(0, &["--direct", &direct, "deployments", "cigar"]).await?;
    ensure!(list.contains("rollback") && list.contains("● succeeded"), "{list}");
    yard.host().run(&["systemctl", "start", "hms-controller.service"]).await?;
    yard.world().wait_until_agents_are_connected().await
}

const ENVIRONMENT: &str = "require_relative \"application\"\nRails.application.initialize!\n";

async fn it_is_exported_and_removed(shell: &Shell<'_>) -> Result<()> {
    let (file, _) = shell.run(0, &["apps", "export", "--secrets", "sealed"]).await?;
    ensure!(file.starts_with("form: hms-apps/1\n") && !file.contains("lines"), "{file}");
    let path = shell.write("apps.yaml", &file)?;
    let (_, said) = shell.run(0, &["apps", "import", &path, "--dry-run"]).await?;
    assert_eq!(said, "cigar: as it is\n");
    let (_, said) = shell.run(2, &["apps", "remove", "cigar"]).await?;
    ensure!(said.contains("--yes"), "{said}");
    let (told, _) =
        shell.run(0, &["apps", "remove", "cigar", "--from-host", "--delete-data", "--yes"]).await?;
    ensure!(told.contains("removed cigar from asterra"), "{told}");
    ensure!(!yard_has(shell, "/srv/cigar").await?, "its folder is still there");
    eventually(SOON, async || shell.run(1, &["apps", "show", "cigar"]).await).await?;

    // What was exported makes the same app again, secrets included.
    let (told, _) = shell.run(0, &["apps", "import", &path, "--yes"]).await?;
    assert_eq!(told, "saved cigar\n");
    let password = shell.yard.world().password_file();
    let reveal =
        ["apps", "secrets", "reveal", "cigar", "MOTTO", "--password-file", &password.to_string_lossy()];
    assert_eq!(shell.run(0, &reveal).await?.0, "two\nlines \"%h\"");
    let (_, said) = shell.run(0, &["apps", "import", &path, "--dry-run"]).await?;
    assert_eq!(said, "cigar: as it is\n");
    Ok(())
}
