//! Whoever works on an app is killed, at one point after the other, while visitors come: each is answered, by the release
//! before or by the new one, and the deployment ends once, with the truth.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::controller::v1::{DeployRequest, Deployment};
use hms_proto::host::v1::JobState;
use tokio::time::{Instant, sleep};

use crate::repository::{Change, Repository};
use crate::visitor::Answer;
use crate::yard::{Yard, new_id};

/// Where the agent is told to have jobs die. Only debug builds listen.
const DROP_IN: &str = "/etc/systemd/system/hms-agent.service.d/50-fail.conf";

const SOON: Duration = Duration::from_secs(120);

/// What is deployed while somebody dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A good commit.
    Good,
    /// One that boots on trial and never again, so that everything is put back.
    Bad,
}

/// Where the process that does the work, or the one that puts it back, may die.
pub const POINTS: [(&str, Work); 24] = [
    ("before-prepare", Work::Good),
    ("prepared", Work::Good),
    ("before-fetch", Work::Good),
    ("fetched", Work::Good),
    ("checkout-made", Work::Good),
    ("during-bundle", Work::Good),
    ("during-release", Work::Good),
    ("trial-started", Work::Good),
    ("switch-noted", Work::Good),
    ("switch-files", Work::Good),
    ("switch-linked", Work::Good),
    ("restart-noted", Work::Good),
    ("restart-done", Work::Good),
    ("during-health", Work::Good),
    ("before-site", Work::Good),
    ("commit-recorded", Work::Good),
    ("committed", Work::Good),
    ("prune-one", Work::Good),
    ("undo-begun", Work::Bad),
    ("undo-files", Work::Bad),
    ("undo-linked", Work::Bad),
    ("undo-put-back", Work::Bad),
    ("undo-removed", Work::Bad),
    ("undo-decided", Work::Bad),
];

/// The app `tobacco`, deployed again and again.
pub struct Kills<'a> {
    yard: &'a Yard,
    repository: Repository,
    good: String,
    live: Answer,
    count: u32,
}

impl<'a> Kills<'a> {
    /// The app's key.
    pub const KEY: &'static str = "tobacco";

    /// Sets the app up, with more releases than are kept, so that some are pruned.
    pub async fn begin(yard: &'a Yard) -> Result<Self> {
        let repository = yard
            .add(Self::KEY, "tobacco", |spec| (spec.keep_releases, spec.health_timeout_s) = (2, 30))
            .await?;
        yard.deploy_well(Self::KEY).await?;
        // The database is there: without tasks there are more deaths in an hour.
        yard.edit(Self::KEY, |spec| spec.release_tasks = Vec::new()).await?;
        let live = yard.answer(Self::KEY).await?;
        let mut kills = Self { yard, repository, good: live.commit.clone(), live, count: 1 };
        for _ in 0..2 {
            kills.commit(Work::Good).await?;
            let deployment = yard.deploy_well(Self::KEY).await?;
            kills.settled(&deployment).await?;
        }
        Ok(kills)
    }

    /// The next version of the code; its number is the version.
    pub async fn commit(&mut self, work: Work) -> Result<()> {
        let host = self.yard.host();
        self.repository.move_branch(host, "main", &self.good).await?;
        self.count += 1;
        let version = self.count.to_string();
        let change = match work {
            Work::Good => Change::version(&version),
            Work::Bad => {
                host.run(&["rm", "-f", &format!("/srv/{}/shared/tmp/booted", Self::KEY)]).await?;
                Change::that_boots_once().file("VERSION", format!("{version}\n"))
            }
        };
        let commit = self.repository.commit(host, &change).await?;
        if work == Work::Good {
            self.good = commit;
        }
        Ok(())
    }

    /// Begins to deploy what was committed.
    pub async fn deploy(&self) -> Result<String> {
        let id = new_id();
        let request = DeployRequest { key: Self::KEY.into(), id: id.clone(), ..DeployRequest::default() };
        Ok(self.yard.begin(request).await.map(|_| id)?)
    }

    /// Deploys a commit; the process dies at this point. Returns how the deployment ended.
    pub async fn die_at(&mut self, point: &str, work: Work) -> Result<JobState> {
        self.commit(work).await?;
        self.set_point(Some(point)).await?;
        let id = self.deploy().await?;
        self.has_died(&id).await?;
        if work == Work::Bad {
            // The agent has it put back again: this time nobody dies.
            self.set_point(None).await?;
        }
        let ended = self.yard.end(&id).await?;
        self.settled(&ended).await
    }

    /// Waits until systemd has seen a process of the job abort.
    async fn has_died(&self, id: &str) -> Result<()> {
        let unit = format!("hms-job-{id}.service");
        let seen = ["journalctl", "--unit", &unit, "--output=cat", "--grep=status=6/ABRT", "--lines=1"];
        let deadline = Instant::now() + SOON;
        loop {
            let is_over =
                self.yard.get(id).await.is_ok_and(|it| it.job.is_some_and(|job| job.ended_usec > 0));
            if self.yard.host().exec(&seen).await?.success() {
                return Ok(());
            }
            if is_over || Instant::now() > deadline {
                bail!("nobody died: {}", self.yard.output(id).await.unwrap_or_default());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn set_point(&self, point: Option<&str>) -> Result<()> {
        let host = self.yard.host();
        match point {
            Some(point) => {
                host.write_file(DROP_IN, format!("[Service]\nEnvironment=HMS_FAIL_AT={point}\n")).await?
            }
            None => drop(host.run(&["rm", "-f", DROP_IN]).await?),
        }
        host.run(&["systemctl", "daemon-reload"]).await?;
        host.run(&["systemctl", "restart", "hms-agent.service"]).await?;
        self.yard.world().wait_until_agents_are_connected().await
    }

    /// What a deployment said in the end is what is there: the new release when it succeeded, else the one before.
    pub async fn settled(&mut self, ended: &Deployment) -> Result<JobState> {
        let job = ended.job.as_ref().context("a deployment without a job")?;
        let answer = self.answer().await?;
        match job.state() {
            JobState::Succeeded => {
                ensure!(
                    answer.version == self.count.to_string(),
                    "it succeeded, and {answer:?} answers: {job:?}"
                );
                ensure!(
                    answer.release == job.release && answer.commit == job.commit,
                    "{answer:?} is not {job:?}"
                );
                self.live = answer;
            }
            JobState::Failed | JobState::Lost | JobState::TimedOut => {
                ensure!(
                    answer == self.live,
                    "{answer:?} is not {:?}, though it ended so: {job:?}",
                    self.live
                );
                ensure!(!job.reason.is_empty(), "no reason: {job:?}");
            }
            other => bail!("it ended as {other:?}: {job:?}"),
        }
        ensure!(self.yard.live_release(Self::KEY).await? == self.live.release, "`current` is something else");
        self.nothing_is_left().await?;
        let again = self.yard.get(&ended.id).await?.job.context("job")?;
        ensure!(
            again.state() == job.state() && again.ended_usec == job.ended_usec,
            "it ended twice: {job:?} {again:?}"
        );
        Ok(job.state())
    }

    /// The app may be starting: its visitors wait.
    async fn answer(&self) -> Result<Answer> {
        let deadline = Instant::now() + SOON;
        loop {
            match self.yard.answer(Self::KEY).await {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn nothing_is_left(&self) -> Result<()> {
        let host = self.yard.host();
        let left = [
            "systemctl list-units --all --no-legend 'hms-job-*' 'hms-undo-*'",
            "find /srv/tobacco /etc/systemd/system /etc/nginx /var/lib/hms-agent/apps -name '*.new' -o -name '.hms-*'",
            "cd /srv/tobacco/releases; for r in *; do [ -f \"/var/lib/hms-agent/apps/tobacco/releases/$r.json\" ] || echo \"$r has no record\"; done",
            "cd /var/lib/hms-agent/apps/tobacco/releases; for r in *.json; do [ -d \"/srv/tobacco/releases/${r%.json}\" ] || echo \"$r has no folder\"; done",
        ];
        let said = host.run(&["sh", "-ec", &left.join("; ")]).await?;
        ensure!(said.trim().is_empty(), "left behind: {said}");
        Ok(())
    }
}
