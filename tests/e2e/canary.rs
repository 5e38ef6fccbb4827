//! No secret comes to light: one of each kind goes the ways that it goes, right and wrong, and then all places are searched where it must
//! not be, in each encoding, while everything that can log logs all it can.

mod apps;
mod forms;
mod keys;
mod look;
mod people;
mod places;
mod tape;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hms_tests::people::log_in_to_rest;
use hms_tests::testbed::{Host, Testbed};
use hms_tests::world::{Plan, World};
use hms_tests::yard::Yard;

use self::forms::{CONTROL, Canaries, ENCODINGS, Hit};
use self::places::Watcher;
use self::tape::{Tape, Web};
use super::support::{tell, unit_property};

/// Where secrets must be, and why: how the path of a file ends, and the kinds that are in it. Nobody else can read those files. The keys
/// of the certificate authority and of access tokens must be nowhere but sealed in the database.
const WHERE_THEY_MUST_BE: &[(&str, &[&str], &str)] = &[
    ("/var/lib/hms-agent/identity/key.pem", &["key of the agent"], "the agent is who has it"),
    ("/identity.pem", &["key of a terminal"], "the terminal is who has it"),
    (
        "/run/credentials/hms-controller.service/master-key",
        &["master key"],
        "systemd hands it to the controller there, in memory",
    ),
    (
        "/run/credentials/puma-tobacco.service/env",
        &[
            "API_TOKEN of an app",
            "SECRET_KEY_BASE of an app",
            "value of a .env file",
            "value of a file at a terminal",
            "value set at a terminal",
            "value set on a page",
            "value set over REST",
        ],
        "systemd hands them to the app there, in memory",
    ),
];

/// Who does what with which secrets.
struct Scene<'a> {
    yard: &'a Yard,
    tape: &'a Tape,
    canaries: Canaries,
    /// The administrator's, for REST.
    access: String,
    deployments: Vec<String>,
}

impl<'a> Scene<'a> {
    async fn new(yard: &'a Yard, tape: &'a Tape) -> Result<Self> {
        let mut scene = Self {
            yard,
            tape,
            canaries: Canaries::default(),
            access: String::new(),
            deployments: Vec::new(),
        };
        scene.log_in().await?;
        Ok(scene)
    }

    /// What asks for a confirmation asks for a new one after some minutes.
    async fn log_in(&mut self) -> Result<()> {
        let tokens = log_in_to_rest(self.world(), &self.world().client()?).await?;
        self.access = tokens["access_token"].as_str().context("access_token")?.to_owned();
        Ok(())
    }

    fn world(&self) -> &'a World {
        self.yard.world()
    }

    fn admin(&self) -> Web<'a> {
        Web::new(self.world(), self.tape, Some(&self.access)).expect("the certificate was read before")
    }

    /// A browser or a program without a login.
    fn nobody(&self) -> Result<Web<'a>> {
        Web::new(self.world(), self.tape, None)
    }

    /// A file with a secret in it, for a program that reads it.
    fn file(&self, name: &str, content: &str) -> Result<String> {
        let file = self.world().folder().join(name);
        std::fs::write(&file, content)?;
        Ok(file.to_string_lossy().into_owned())
    }
}

/// Security cases 78 to 80, and 84.
#[tokio::test]
async fn no_secret_comes_to_light_anywhere() -> Result<()> {
    let bed = Testbed::new().await?;
    let world = World::start(&bed, &Plan::new().host("asterra", &[]), &|_| {}).await?;
    let (yard, depot) = (Yard::on(world, "asterra").await?, bed.boot("depot").await?);
    tell_all(&yard).await?;
    let folder = tempfile::tempdir()?;
    let tape = Tape::new(folder.path());
    let watcher = Watcher::start(yard.host())?;
    let mut scene = Scene::new(&yard, &tape).await?;
    let source = apps::add(&mut scene, &depot).await?;
    let following = look::follow(&scene).await?;
    people::all(&mut scene).await?;
    scene.log_in().await?;
    apps::all(&mut scene, &source).await?;
    keys::all(&mut scene).await?;

    let control = scene.canaries.made(CONTROL)?;
    scene.log_in().await?;
    look::show_control(&scene, &control).await?;
    look::at_everything(&scene).await?;
    places::plant(yard.host(), &tape, &control).await?;
    let owner = unit_property(yard.world(), "asterra", "puma-tobacco.service", "UID").await?.parse()?;
    let looks = watcher.end(&tape, owner)?;
    ensure!(looks > 100, "processes were looked at {looks} times");
    following.iter().for_each(tokio::task::JoinHandle::abort);
    search(&scene, folder.path()).await
}

/// Everything that can log logs all it can, and nothing of it is dropped.
async fn tell_all(yard: &Yard) -> Result<()> {
    for (service, variable) in [("hms-controller", "RUST_LOG"), ("hms-agent", "HMS_LOG")] {
        let drop_in = format!("[Service]\nEnvironment={variable}=trace\nLogRateLimitIntervalSec=0\n");
        yard.host()
            .write_file(format!("/etc/systemd/system/{service}.service.d/20-trace.conf"), drop_in)
            .await?;
    }
    yard.host().run(&["systemctl", "daemon-reload"]).await?;
    yard.host().run(&["systemctl", "restart", "hms-controller.service", "hms-agent.service"]).await?;
    yard.world().wait_until_ready().await?;
    yard.world().wait_until_agents_are_connected().await
}

/// Whether it must be there: in a file that others cannot read.
fn must_be_there(hit: &Hit) -> Result<bool> {
    let path = hit.path.to_string_lossy();
    let is_known =
        |(end, kinds, _): &(&str, &[&str], &str)| path.ends_with(end) && kinds.contains(&&*hit.kind);
    if !WHERE_THEY_MUST_BE.iter().any(is_known) {
        return Ok(false);
    }
    // The group's bits of a credential are the mask of its access list (acl(5)), which names the app's user.
    let is_credential = path.contains("/run/credentials/");
    let others = if is_credential { 0o007 } else { 0o077 };
    Ok(std::fs::metadata(&hit.path)?.permissions().mode() & others == 0)
}

async fn search(scene: &Scene<'_>, folder: &Path) -> Result<()> {
    let host: &Host = scene.yard.host();
    let places = places::all(host, scene.tape, &scene.world().folder().join("hmsctl")).await?;
    let (mut leaks, mut encodings, mut expected) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (place, paths) in &places {
        let hits = scene.canaries.look(folder, paths)?;
        let (control, others): (Vec<_>, Vec<_>) = hits.into_iter().partition(|hit| hit.kind == CONTROL);
        // A search that finds nothing at all has not looked.
        ensure!(!control.is_empty(), "the control was not found in: {place}");
        encodings.extend(control.iter().map(|hit| hit.encoding));
        for hit in others {
            if must_be_there(&hit)? {
                expected.insert(hit.kind)
            } else {
                leaks.insert((*place, hit))
            };
        }
    }
    ensure!(encodings.len() == ENCODINGS.len(), "the control was found as {encodings:?} only");
    let known =
        WHERE_THEY_MUST_BE.iter().flat_map(|(_, kinds, _)| kinds.iter().map(|kind| (*kind).to_owned()));
    let known: BTreeSet<String> = known.collect();
    ensure!(expected == known, "where secrets must be, only these are: {expected:?}");
    let (kinds, tried) = (scene.canaries.kinds(), scene.canaries.kinds() * places.len() * ENCODINGS.len());
    println!(
        "{kinds} kinds × {} places × {} encodings: {} leaks",
        places.len(),
        ENCODINGS.len(),
        leaks.len()
    );
    tell("secrets: kinds × places × encodings, found where they must not be", tried, leaks.len(), "")?;
    ensure!(kinds >= 20 && places.len() >= 12, "only {kinds} kinds and {} places", places.len());
    let told: Vec<String> = leaks.iter().map(|(place, hit)| format!("{place}: {hit:?}")).collect();
    ensure!(told.is_empty(), "{} leaks:\n{}", told.len(), told.join("\n"));
    Ok(())
}
