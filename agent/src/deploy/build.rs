//! The steps that make a release out of a commit: fetch, checkout, bundle, assets, release tasks. Each runs as the app's user.

use std::{os::unix::fs::DirBuilderExt as _, path::PathBuf, time::Duration};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{DatabaseAuth, Gems, JobKind, Release, RestartKind},
    names::{BranchName, CommitId, GitUrl, ReleaseId, Transport},
    script::sha256,
};

use super::{
    fail, git,
    git::Git,
    journal::Line,
    migrations,
    output::Output,
    releases::{self, Record},
    request::{GIT_KEY, GIT_TOKEN},
    restart,
    sandbox::{self, Confined, Quota},
    steps::{Done, skipped, well},
    work::{Work, read_in},
};
use crate::{
    apps::{environment, secrets},
    now_usec,
};

/// What git says of one commit is short.
const LOOK_MOST: u64 = 64 * 1024;
const BUNDLE: Duration = Duration::from_secs(1200);
/// A release with all that was built in it, and the gems of all releases.
const BUILT: Quota = Quota { bytes: 8 << 30, entries: 1_000_000 };

impl Work {
    fn git<'a>(&'a self, mirror: &'a PathBuf, helper: &'a str) -> Result<Git<'a>, Fault> {
        let spec = self.app.spec();
        let url = GitUrl::try_from(spec.git_url.as_str())?;
        Ok(Git { url, mirror, known_hosts: &spec.git_known_hosts, helper })
    }

    fn branch(&self) -> Result<BranchName, Fault> {
        let asked = &self.request.asked.branch;
        let branch = if asked.is_empty() { &self.app.spec().branch } else { asked };
        Ok(BranchName::try_from(branch.as_str())?)
    }

    /// Brings the branch to the host, and finds out which commit it points at: once, for all that follows.
    pub(super) async fn fetch(&mut self) -> Result<Done, Fault> {
        let (mirror, helper) = (self.app.repo(), program()?);
        let git = self.git(&mirror, &helper)?;
        let branch = self.branch()?;
        let asked = &self.request.asked.commit;
        let wanted = (!asked.is_empty()).then(|| CommitId::try_from(asked.as_str())).transpose()?;
        let mut fetch = git.fetch(&branch, self.confined("fetch"));
        for (name, file) in [(git::KEY, GIT_KEY), (git::TOKEN, GIT_TOKEN)] {
            let path = self.store.file(&self.id, file);
            if path.is_file() {
                fetch.sealed.push((name.to_owned(), path));
            }
        }
        if git.url.transport() == Transport::Ssh && fetch.sealed.is_empty() {
            return Err(Fault::new(FaultKind::Failed, "there is no key for the git server")
                .hint("Make one with `hmsctl apps secrets rotate KEY git-private-key`, and tell the server its public part."));
        }
        let what = format!("git could not fetch `{branch}`: it");
        sandbox::run_well(&self.session, &fetch, &self.output, &what)
            .await
            .map_err(|f| self.with_last_words(f))?;
        fail::point("fetched");
        let printed = Output::kept(LOOK_MOST);
        let look = git.look(&branch, wanted.as_ref(), self.confined("look"));
        let what = match &wanted {
            Some(commit) => format!("the commit {commit} is not on `{branch}`: git"),
            None => format!("there is no branch `{branch}`: git"),
        };
        sandbox::run_well(&self.session, &look, &printed, &what).await?;
        let commit = git::commit(&printed.into_kept())?;
        self.steps.is_about(commit.id.as_str(), "");
        let said = format!("{branch} is at {}: {}", commit.id.short(), commit.subject);
        self.target = Some(Record {
            release: Release {
                commit: commit.id.to_string(),
                branch: branch.to_string(),
                subject: commit.subject,
                author: commit.author,
                job_id: self.id.to_string(),
                actor: self.request.actor.clone(),
                secrets_version: self.secrets_version(),
                ..Release::default()
            },
            spec: self.app.spec().clone(),
            ..Record::default()
        });
        well(said)
    }

    /// Puts the files of the commit into a folder of its own.
    pub(super) async fn checkout(&mut self) -> Result<Done, Fault> {
        let commit = CommitId::try_from(self.target()?.release.commit.as_str())?;
        let created_usec = now_usec();
        let id = releases::new_id(created_usec, &commit, &self.records)?;
        self.note(&Line::Making(id.to_string()))?;
        let folder = self.app.release(&id);
        self.make_folder(&folder)?;
        fail::point("checkout-made");
        let (mirror, helper) = (self.app.repo(), program()?);
        let git = self.git(&mirror, &helper)?;
        let mut checkout = git.checkout(&commit, &folder, self.confined("checkout"));
        let mut lay_out: Vec<String> = vec![helper.clone(), "lay-out-release".into()];
        lay_out.extend(["--shared".to_owned(), self.app.shared().display().to_string()]);
        lay_out.extend(["--commit".to_owned(), commit.to_string(), "--".to_owned()]);
        lay_out.extend(self.app.shared_paths().iter().map(ToString::to_string));
        checkout.commands.push(lay_out);
        let ran = sandbox::run_well(&self.session, &checkout, &self.output, "the checkout").await;
        ran.map_err(|fault| self.with_last_words(fault))?;
        if !sandbox::fits(&folder, git::RELEASE) {
            return Err(Fault::new(
                FaultKind::Failed,
                "the release is larger than 2 GiB, or has more than 200,000 files",
            ));
        }
        let lockfile = read_in(&folder, "Gemfile.lock")?;
        if lockfile.is_empty() || read_in(&folder, "config.ru")?.is_empty() {
            return Err(Fault::new(
                FaultKind::Failed,
                "the commit is no Rails app: it has no Gemfile.lock, or no config.ru",
            )
            .hint("Commit both. The app must be at the top of its repository."));
        }
        let migrations = migrations::read(&folder).map_err(|e| {
            Fault::new(FaultKind::Failed, format!("the migrations of the release cannot be read: {e}"))
        })?;
        let notify = self.facts.clone().with_lockfile(&String::from_utf8_lossy(&lockfile)).notify;
        let Some(target) = self.target.as_mut() else { return Err(crate::internal("there is no commit")) };
        target.release.id = id.to_string();
        target.release.created_usec = created_usec;
        target.release.lockfile_sha256 = sha256(&lockfile);
        target.release.migrations = migrations.iter().map(|m| m.name.clone()).collect();
        target.migrations = migrations;
        target.notify = notify;
        releases::save(&self.app, self.target()?)?;
        self.steps.is_about(commit.as_str(), id.as_str());
        well(format!("release {id}"))
    }

    /// The folder of a release, in a folder that is root's.
    fn make_folder(&self, folder: &PathBuf) -> Result<(), Fault> {
        let failed = |e: std::io::Error| {
            Fault::new(FaultKind::Failed, format!("`{}` cannot be made: {e}", folder.display()))
        };
        std::fs::DirBuilder::new().mode(0o750).create(folder).map_err(failed)?;
        let (uid, gid) = crate::apps::provision::ids(&self.app)
            .ok_or_else(|| crate::internal(format!("the user {} is not there", self.app.user())))?;
        std::os::unix::fs::lchown(folder, Some(uid), Some(gid)).map_err(failed)
    }

    /// A unit for a program of the app in its new release.
    fn app_unit(&self, step: &str, command: Vec<String>, with_secrets: bool) -> Result<Confined, Fault> {
        let target = self.target()?;
        let id: ReleaseId = target.id()?;
        let folder = self.app.release(&id);
        let version = self.secrets_version();
        let (mut argv, mut sealed) = (Vec::new(), Vec::new());
        if with_secrets && version > 0 {
            argv.extend([secrets::HMS_EXEC, "--with", secrets::CREDENTIAL, "--"].map(str::to_owned));
            sealed.push((secrets::CREDENTIAL.to_owned(), self.app.sealed(version)));
        }
        argv.extend(command);
        Ok(Confined {
            commands: vec![argv],
            environment: environment::of_step(&self.app, &folder, &id, &target.release.commit),
            sealed,
            writes: vec![folder.clone(), self.app.shared()],
            quota: Some((folder.clone(), BUILT)),
            folder,
            ..self.confined(step)
        })
    }

    fn bundler(&self, words: &[&str]) -> Vec<String> {
        let program = format!("{}/bundle", self.app.spec().ruby_path);
        std::iter::once(program).chain(words.iter().map(|w| (*w).to_owned())).collect()
    }

    /// Brings the gems.
    pub(super) async fn bundle(&mut self) -> Result<Done, Fault> {
        let local = self.app.spec().gems() == Gems::System;
        let command = self.bundler(if local {
            &["install", "--local"]
        } else {
            &["install", "--jobs", "2", "--retry", "2"]
        });
        let unit = Confined { network: !local, limit: BUNDLE, ..self.app_unit("bundle", command, false)? };
        let ran = sandbox::run_well(&self.session, &unit, &self.output, "`bundle`").await;
        ran.map_err(|fault| self.with_last_words(fault))?;
        well(if local { "the gems are those of the host" } else { "the gems are in shared/bundle" })
    }

    /// Runs the tasks for assets, without a network.
    pub(super) async fn assets(&mut self) -> Result<Done, Fault> {
        let tasks = self.app.spec().asset_tasks.clone();
        self.tasks("assets", &tasks, false).await
    }

    /// Runs the tasks that bring the database to the new release.
    pub(super) async fn release_tasks(&mut self) -> Result<Done, Fault> {
        let tasks = self.app.spec().release_tasks.clone();
        let ran = releases::migrated(&self.app)?;
        let known = |name: &str| ran.iter().any(|m| m.name == name);
        let pending: Vec<_> = self.target()?.migrations.iter().filter(|m| !known(&m.name)).cloned().collect();
        let migrates = tasks.iter().any(|task| task.starts_with("db:"));
        if migrates && !pending.is_empty() {
            // Before they run: from then on nobody can say that they did not.
            self.note(&Line::Migrating(pending.iter().map(|m| m.name.clone()).collect()))?;
            releases::add_migrated(&self.app, &pending)?;
            fail::point("release-noted");
        }
        let spec = self.app.spec();
        let local = !spec.database_name.is_empty() && spec.database_auth() != DatabaseAuth::Scram;
        let done = self.tasks("release", &tasks, !local).await?;
        let destructive: Vec<_> =
            pending.iter().filter(|m| m.is_destructive).map(|m| m.name.as_str()).collect();
        match (done, migrates, pending.len()) {
            (Done::Skipped(why), ..) => skipped(why),
            (Done::Well(what), false, _) | (Done::Well(what), true, 0) => well(what),
            (Done::Well(what), true, count) if destructive.is_empty() => {
                well(format!("{what}; new migrations: {count}"))
            }
            (Done::Well(what), true, count) => {
                let names = destructive.join(", ");
                well(format!("{what}; new migrations: {count}, of which may destroy something: {names}"))
            }
        }
    }

    async fn tasks(&self, step: &str, tasks: &[String], network: bool) -> Result<Done, Fault> {
        if tasks.is_empty() {
            return skipped("the app has no such tasks");
        }
        for (n, task) in tasks.iter().enumerate() {
            self.output.say(&format!("-- rake {task}"));
            self.output.forget();
            let command = self.bundler(&["exec", "rake", task]);
            let unit = Confined { network, ..self.app_unit(&format!("{step}-{n}"), command, true)? };
            let ran = sandbox::run_well(&self.session, &unit, &self.output, &format!("`rake {task}`")).await;
            ran.map_err(|fault| self.with_last_words(fault))?;
        }
        well(tasks.join(", "))
    }

    /// Boots the new release beside the live one, with all that it will have; visitors see nothing of it.
    pub(super) async fn trial(&mut self) -> Result<Done, Fault> {
        if self.live.is_none() || self.target.is_none() {
            return skipped("nothing is live that a release which does not boot could harm");
        }
        if self.request.kind() != JobKind::Deploy {
            let need = self.need(&self.wanted_files()?).await?;
            if restart::choose(self.request.asked.restart(), &need)?.kind == RestartKind::None {
                return skipped("nothing that runs would change");
            }
        }
        let runtime = format!("hms-trial-{}", self.app.key());
        let socket = PathBuf::from(format!("/run/{runtime}/puma.sock"));
        let folder = self.app.release(&self.target()?.id()?);
        let config = crate::apps::emit::trial_puma(&self.app, &folder, &socket)?;
        let puma = format!("/run/credentials/{}/puma.rb", super::work::step_unit(&self.id, "trial"));
        let command = self.bundler(&["exec", "puma", "-C", &puma]);
        let unit = Confined {
            public: vec![("puma.rb".to_owned(), config.into_bytes())],
            writes: vec![self.app.shared()],
            quota: None,
            network: true,
            runtime,
            ..self.app_unit("trial", command, true)?
        };
        let began = std::time::Instant::now();
        let running = sandbox::start(&self.session, &unit, &self.output).await?;
        fail::point("trial-started");
        let alive = async || match running.ended().await? {
            None => Ok(()),
            Some(ended) => {
                let words = ended.words(unit.limit);
                Err(Fault::new(FaultKind::Failed, format!("the new release does not boot: it {words}")))
            }
        };
        let well_so_far = super::health::on_socket(&self.app, &socket, alive).await;
        running.stop().await?;
        well_so_far.map_err(|fault| self.with_last_words(fault))?;
        well(format!(
            "it boots, and answers on {}: {:.1} s",
            self.app.spec().health_path,
            began.elapsed().as_secs_f32()
        ))
    }
}

fn program() -> Result<String, Fault> {
    crate::jobs::program().map_err(|e| crate::internal(format!("cannot tell which program this is: {e}")))
}
