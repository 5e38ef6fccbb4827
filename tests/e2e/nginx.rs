//! nginx on a real host: no edit, kill or reload leaves it down, or its configuration unproven.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::fault::{Fault, FaultKind};
use hms_proto::host::v1::nginx_change::Action;
use hms_proto::host::v1::nginx_service_client::NginxServiceClient;
use hms_proto::host::v1::{
    ApplyNginxRequest, ApplyNginxResponse, GetNginxRequest, ListNginxRequest, NginxChange, NginxTree,
    ReloadNginxRequest, RouteNginxRequest, TestNginxRequest,
};
use hms_proto::identity::Kind;
use hms_tests::people::log_in_as_admin;
use hms_tests::testbed::Host;
use hms_tests::world::World;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::support::eventually;

pub(crate) const SOON: Duration = Duration::from_secs(40);

/// An installation, and an administrator who speaks to the agent.
pub(crate) struct Bench {
    pub(crate) world: World,
    channel: Channel,
}

impl Bench {
    pub(crate) async fn new() -> Result<Self> {
        let world = World::single().await?;
        let admin = log_in_as_admin(&world).await?;
        let channel = admin.channel(&format!("{}:9444", world.controller_host().address()), Kind::Agent)?;
        let bench = Self { world, channel };
        bench.host().run(&["systemctl", "is-active", "nginx.service"]).await?;
        Ok(bench)
    }

    pub(crate) fn host(&self) -> &Host {
        self.world.controller_host()
    }

    pub(crate) fn client(&self) -> NginxServiceClient<Channel> {
        NginxServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn list(&self) -> Result<NginxTree, Fault> {
        Ok(self.client().list(ListNginxRequest {}).await.map_err(|s| Fault::from_status(&s))?.into_inner())
    }

    pub(crate) async fn sha(&self, path: &str) -> Result<String> {
        let file = self.client().get(GetNginxRequest { path: path.into() }).await?.into_inner();
        Ok(file.sha256)
    }

    pub(crate) async fn apply(&self, changes: Vec<NginxChange>) -> Result<ApplyNginxResponse, Fault> {
        self.apply_as(Uuid::new_v4(), changes, 0).await
    }

    pub(crate) async fn apply_as(
        &self,
        id: Uuid,
        changes: Vec<NginxChange>,
        confirm_s: u32,
    ) -> Result<ApplyNginxResponse, Fault> {
        let request = ApplyNginxRequest {
            id: id.to_string(),
            changes,
            accept: Vec::new(),
            confirm_s,
            reason: "a test".into(),
        };
        Ok(self.client().apply(request).await.map_err(|s| Fault::from_status(&s))?.into_inner())
    }

    pub(crate) async fn errors(&self, changes: Vec<NginxChange>) -> Result<Vec<String>> {
        let answer = self.client().test(TestNginxRequest { changes, accept: Vec::new() }).await?.into_inner();
        ensure!(answer.ok == !answer.problems.iter().any(|p| p.severity == "error"));
        Ok(answer
            .problems
            .iter()
            .filter(|p| p.severity == "error")
            .map(|p| format!("{}:{} {}", p.path, p.line, p.message))
            .collect())
    }

    /// What nginx answers for a server name.
    pub(crate) async fn ask(&self, name: &str) -> Result<String> {
        let url = format!("http://{}/", self.host().address());
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        Ok(client.get(url).header("Host", name).send().await?.text().await?)
    }

    /// Everything below a folder, with owners, modes and contents.
    pub(crate) async fn picture(&self, folders: &[&str]) -> Result<String> {
        let argv =
            [&["find"], folders, &["-not", "-type", "s", "-printf", "%p %y %U:%G %m %s %l\n"]].concat();
        let mut lines: Vec<String> = self.host().run(&argv).await?.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines.join("\n"))
    }

    pub(crate) async fn etc(&self) -> Result<String> {
        let sums =
            self.host().run(&["sh", "-c", "find /etc/nginx -type f -exec sha256sum {} + | sort"]).await?;
        Ok(format!("{}\n{sums}", self.picture(&["/etc/nginx"]).await?))
    }
}

pub(crate) fn site(name: &str, says: &str) -> String {
    format!(
        "server {{\n    listen 80;\n    server_name {name};\n    location / {{ return 200 \"{says}\"; }}\n}}\n"
    )
}

pub(crate) fn content(path: &str, text: &str, expected: &str) -> NginxChange {
    NginxChange {
        path: path.into(),
        action: Some(Action::Content(text.into())),
        expected_sha256: expected.into(),
    }
}

pub(crate) fn enable(path: &str, on: bool) -> NginxChange {
    NginxChange { path: path.into(), action: Some(Action::Enable(on)), expected_sha256: String::new() }
}

pub(crate) fn delete(path: &str, expected: &str) -> NginxChange {
    NginxChange { path: path.into(), action: Some(Action::Delete(true)), expected_sha256: expected.into() }
}

pub(crate) fn new_site(name: &str, says: &str) -> Vec<NginxChange> {
    let path = format!("sites-available/{name}");
    vec![content(&path, &site(name, says), ""), enable(&path, true)]
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Fault>, kind: FaultKind) -> Result<Fault> {
    match result {
        Err(fault) if fault.kind() == kind => Ok(fault),
        other => anyhow::bail!("expected {kind:?}, got {other:?}"),
    }
}

/// Pitfalls P1, P2, P3 and security cases 43 and 53: every way to write, and what becomes of a bad change.
#[tokio::test]
async fn a_change_is_taken_whole_or_not_at_all() -> Result<()> {
    let bench = Bench::new().await?;
    let tree = bench.list().await?;
    ensure!(tree.running && tree.version.starts_with("nginx/") && tree.problems.is_empty(), "{tree:#?}");
    let nginx_conf = tree.files.iter().find(|f| f.path == "nginx.conf").context("nginx.conf")?;
    ensure!(nginx_conf.enabled && nginx_conf.locked.is_empty(), "{nginx_conf:?}");
    let cigar = tree.files.iter().find(|f| f.path == "sites-available/cigar").context("cigar")?;
    ensure!(
        cigar.enabled && cigar.included_by == ["nginx.conf:60"] && cigar.problems.is_empty(),
        "{cigar:?}"
    );

    // New, changed, disabled, enabled, deleted.
    let answer = bench.apply(new_site("one.test", "first")).await?;
    let names: Vec<&str> = answer.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["lint", "test", "probe", "swap", "reload", "verify"]);
    assert_eq!(bench.ask("one.test").await?, "first");
    let path = "sites-available/one.test";
    bench.apply(vec![content(path, &site("one.test", "second"), &bench.sha(path).await?)]).await?;
    assert_eq!(bench.ask("one.test").await?, "second");
    bench.apply(vec![enable(path, false)]).await?;
    ensure!(bench.ask("one.test").await? != "second");
    bench.apply(vec![enable(path, true)]).await?;
    assert_eq!(bench.ask("one.test").await?, "second");

    // Twice the same id is one change.
    let id = Uuid::new_v4();
    let change = vec![content("conf.d/gzip.conf", "gzip_vary on;\n", "")];
    bench.apply_as(id, change.clone(), 0).await?;
    let again = bench.apply_as(id, change, 0).await?;
    assert_eq!(again.steps[0].name, "repeated");

    // Bad ones, on every way to write.
    let before = bench.etc().await?;
    let sha = bench.sha(path).await?;
    let main = bench.host().read_file("/etc/nginx/nginx.conf").await?;
    let bad = "server { listen 80; server_name b.test; locaton / { return 200; } }";
    let unseen = "server { listen 80; server_name b.test; location / { return 200 $no_such_variable; } }";
    for (changes, place) in [
        (vec![content(path, bad, &sha)], "sites-available/one.test:1"),
        (vec![content(path, unseen, &sha)], "sites-available/one.test:1: unknown \"no_such_variable\""),
        (vec![content("conf.d/b.conf", unseen, "")], "no_such_variable"),
        (vec![content("conf.d/b.conf", "gzip on", "")], "conf.d/b.conf:1"),
        (
            vec![content("nginx.conf", &main.replace("http {", "http {{"), &bench.sha("nginx.conf").await?)],
            "nginx.conf:",
        ),
        (
            vec![content("sites-available/b", unseen, ""), enable("sites-available/b", true)],
            "sites-available/b:1",
        ),
        (vec![delete("mime.types", &bench.sha("mime.types").await?)], "mime.types"),
    ] {
        let fault = refused(bench.apply(changes).await, FaultKind::Failed)?;
        ensure!(fault.message.contains(place) && !fault.problems.is_empty(), "{fault:#?}");
        assert_eq!(bench.etc().await?, before, "{}", fault.message);
        assert_eq!(bench.ask("one.test").await?, "second");
    }

    // Somebody else was faster; and an edit on the host itself.
    bench.apply(vec![content(path, &site("one.test", "third"), &sha)]).await?;
    let fault = refused(
        bench.apply(vec![content(path, &site("one.test", "fourth"), &sha)]).await,
        FaultKind::Conflict,
    )?;
    ensure!(fault.message.contains(path), "{}", fault.message);
    bench.host().write_file("/etc/nginx/sites-available/one.test", site("one.test", "by hand")).await?;
    refused(bench.apply(vec![delete(path, &sha)]).await, FaultKind::Conflict)?;
    bench.client().reload(ReloadNginxRequest {}).await?;
    eventually(SOON, async || {
        ensure!(bench.ask("one.test").await? == "by hand");
        Ok(())
    })
    .await?;

    // A port that something else has.
    let mut holder = bench.host().command(&["python3", "-m", "http.server", "8099"])?;
    let mut holder =
        holder.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
    bench.host().run_until(SOON, &["sh", "-c", "ss -ltn | grep -q :8099"]).await?;
    let before = bench.etc().await?;
    let on_port = site("port.test", "x").replace("listen 80", "listen 8099");
    let fault = refused(
        bench
            .apply(vec![
                content("sites-available/port.test", &on_port, ""),
                enable("sites-available/port.test", true),
            ])
            .await,
        FaultKind::Failed,
    )?;
    ensure!(fault.message.contains("8099") || fault.message.contains("could not bind"), "{fault:#?}");
    ensure!(
        fault.unit.as_ref().is_some_and(|u| u.log_lines.iter().any(|l| l.contains("8099"))),
        "{fault:#?}"
    );
    assert_eq!(bench.etc().await?, before);
    assert_eq!(bench.ask("one.test").await?, "by hand");
    holder.kill().await?;
    let last = bench.list().await?.last.context("last")?;
    assert_eq!(last.result, "rolled-back");

    // An app that does not answer any longer.
    let broken =
        bench.host().read_file("/etc/nginx/sites-available/cigar").await?.replace("puma.sock", "none.sock");
    let fault = refused(
        bench
            .apply(vec![content(
                "sites-available/cigar",
                &broken,
                &bench.sha("sites-available/cigar").await?,
            )])
            .await,
        FaultKind::Failed,
    )?;
    ensure!(fault.message.contains("502") && fault.message.contains("put back"), "{}", fault.message);
    assert_eq!(bench.etc().await?, before);

    let route =
        bench.client().route(RouteNginxRequest { url: "http://one.test/x".into() }).await?.into_inner();
    ensure!(route.server.is_some_and(|p| p.path == path), "{:?}", route.server_reason);
    Ok(())
}
