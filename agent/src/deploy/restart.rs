//! How an app is brought to new code and new values: the mildest kind of restart that does it, and whether it did.

use std::time::{Duration, Instant};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{RestartKind, Unit},
    names::UnitName,
};

use super::{fail, puma};
use crate::{
    apps::{
        App,
        installed::{Installed, Running},
    },
    systemd::{Bus, Busy, Session, Verb, act, fault_of, path_of_name, read_unit},
};

const USR1: i32 = 10;
const USR2: i32 = 12;
/// How often puma is asked how far it is.
const GLANCE: Duration = Duration::from_millis(250);

/// What a restart has to bring about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// It runs, and systemd holds its socket.
    pub(crate) is_running: bool,
    /// puma has workers.
    pub(crate) is_cluster: bool,
    /// The master loads the app.
    pub(crate) preloads: bool,
    /// Another release is live than the one that it runs.
    pub(crate) code: bool,
    /// Another Gemfile.lock.
    pub(crate) gems: bool,
    /// Another unit: environment, Ruby, limits.
    pub(crate) service: bool,
    /// Another version of the secrets.
    pub(crate) secrets: bool,
    /// Another puma.rb.
    pub(crate) puma: bool,
    /// Another socket unit.
    pub(crate) socket: bool,
}

/// What is done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The kind.
    pub(crate) kind: RestartKind,
    /// Why this one.
    pub(crate) reason: String,
}

impl Need {
    /// What a master that lives on would keep.
    fn kept_by_master(&self) -> Vec<&'static str> {
        let all = [
            (self.gems, "gems"),
            (self.service, "unit and environment"),
            (self.secrets, "secrets"),
            (self.puma, "puma.rb"),
            (self.code && self.preloads, "code, which the master loads"),
            (self.code && !self.is_cluster, "code, as there are no workers"),
        ];
        all.into_iter().filter(|(changed, _)| *changed).map(|(_, what)| what).collect()
    }

    /// What a master that executes itself again would keep.
    fn kept_by_process(&self) -> Vec<&'static str> {
        let all = [(self.service, "unit and environment"), (self.secrets, "secrets")];
        all.into_iter().filter(|(changed, _)| *changed).map(|(_, what)| what).collect()
    }

    /// The mildest kind that does it.
    fn least(&self) -> Choice {
        let choice = |kind, reason: String| Choice { kind, reason };
        if !self.is_running {
            return choice(RestartKind::Full, "it is not running".into());
        }
        if self.socket {
            return choice(RestartKind::Full, "its socket is set up in another way".into());
        }
        let kept = self.kept_by_master();
        if !kept.is_empty() {
            return choice(RestartKind::Socket, format!("new: {}", kept.join(", ")));
        }
        match self.code {
            true => choice(
                RestartKind::Phased,
                "only the code is new, and workers can be replaced one by one".into(),
            ),
            false => choice(RestartKind::None, "nothing that runs has changed".into()),
        }
    }
}

/// The wanted kind, or the mildest that does it. A kind after which something old would go on unseen is refused.
pub(crate) fn choose(wanted: RestartKind, need: &Need) -> Result<Choice, Fault> {
    let least = need.least();
    if wanted == RestartKind::Auto || !need.is_running {
        return Ok(least);
    }
    let kept = match wanted {
        RestartKind::None => {
            let mut kept = need.kept_by_master();
            if need.code && kept.is_empty() {
                kept.push("code");
            }
            kept
        }
        RestartKind::Phased => need.kept_by_master(),
        RestartKind::Hot => need.kept_by_process(),
        _ => Vec::new(),
    };
    let name = word(wanted);
    let refuse = |why: String| {
        Err(Fault::new(FaultKind::Failed, format!("a {name} restart is refused: {why}"))
            .hint(format!("Leave the kind of restart to HMS: it would be {}.", word(least.kind))))
    };
    if need.socket && wanted != RestartKind::Full {
        return refuse("the app would keep its old socket".into());
    }
    if !kept.is_empty() {
        return refuse(format!("the app would keep its old {}", kept.join(", ")));
    }
    if wanted == RestartKind::Phased && (!need.is_cluster || need.preloads) {
        return refuse("puma has no workers that could be replaced one by one".into());
    }
    Ok(Choice { kind: wanted, reason: "asked for".into() })
}

/// As people say it.
pub(crate) fn word(kind: RestartKind) -> &'static str {
    match kind {
        RestartKind::Auto => "automatic",
        RestartKind::None => "none",
        RestartKind::Phased => "phased",
        RestartKind::Hot => "hot",
        RestartKind::Socket => "socket-preserving",
        RestartKind::Full => "full",
    }
}

/// What visitors notice.
pub(crate) fn impact(kind: RestartKind) -> &'static str {
    match kind {
        RestartKind::Auto | RestartKind::None => "Nothing.",
        RestartKind::Phased => "Nothing: each worker ends its requests before it is replaced.",
        RestartKind::Hot | RestartKind::Socket => {
            "Requests wait while the app starts, some seconds; none is refused."
        }
        RestartKind::Full => "Requests are refused for a moment, then wait while the app starts.",
    }
}

/// What restarts an app.
pub(crate) struct Restart<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) session: &'a Session,
    pub(crate) app: &'a App,
}

impl Restart<'_> {
    /// Restarts it in this way, and makes sure that it did. What was done, in a sentence.
    pub(crate) async fn run(&self, choice: &Choice) -> Result<String, Fault> {
        let began = Instant::now();
        let done = match choice.kind {
            RestartKind::None | RestartKind::Auto => return Ok(format!("none: {}", choice.reason)),
            RestartKind::Phased => {
                let done = self.phased().await;
                self.old_serve_on(&done).await?;
                self.or_socket(done).await?
            }
            RestartKind::Hot => self.or_socket(self.hot().await).await?,
            RestartKind::Socket => self.socket().await.map(|()| None)?,
            RestartKind::Full => self.full().await.map(|()| None)?,
        };
        let word = word(choice.kind);
        let took = began.elapsed().as_secs_f32();
        Ok(match done {
            None => format!("{word}, {took:.1} s: {}", choice.reason),
            Some(why) => format!("{word} was not enough ({why}), so socket-preserving, {took:.1} s"),
        })
    }

    /// When no new worker loads the app, those of before serve on. A new process would load it no better, and serve nobody.
    async fn old_serve_on(&self, done: &Result<(), String>) -> Result<(), Fault> {
        let Err(why) = done else { return Ok(()) };
        let Ok(stats) = puma::stats(&self.app.control()).await else { return Ok(()) };
        let is_new = |worker: &puma::Worker| worker.phase == stats.phase && worker.booted;
        if stats.old_workers == 0 || stats.worker_status.iter().any(is_new) {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Failed,
            format!("{why}: no new one has loaded the app, and those of before serve on"),
        ))
    }

    /// When the mild way did not do it, the sure one. Why, if so.
    async fn or_socket(&self, done: Result<(), String>) -> Result<Option<String>, Fault> {
        match done {
            Ok(()) => Ok(None),
            Err(why) => self.socket().await.map(|()| Some(why)),
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.app.spec().health_timeout_s.into())
    }

    /// The service as it is. One that systemd does not know is not running.
    pub(crate) async fn unit(&self) -> Result<Unit, Fault> {
        unit(self.session, &self.app.service()).await
    }

    async fn phased(&self) -> Result<(), String> {
        let before = self.unit().await.map_err(|fault| fault.message)?;
        let stats = puma::stats(&self.app.control())
            .await
            .map_err(|e| format!("puma does not say how it is: {e}"))?;
        self.signal(USR1).await?;
        fail::point("restart-signaled");
        let goal = stats.phase + 1;
        self.until("not all workers were replaced", async || {
            let now = self.unit().await.map_err(|fault| fault.message)?;
            if now.main_pid != before.main_pid || !is_up(&now) {
                return Err("puma itself ended meanwhile".to_owned());
            }
            Ok(puma::stats(&self.app.control()).await.is_ok_and(|stats| stats.all_reached(goal)))
        })
        .await
    }

    async fn hot(&self) -> Result<(), String> {
        let control = self.app.control();
        let started = async || puma::stats(&control).await.map(|stats| stats.started_at);
        let before = started().await.map_err(|e| format!("puma does not say how it is: {e}"))?;
        self.signal(USR2).await?;
        fail::point("restart-signaled");
        self.until("puma did not come back", async || Ok(started().await.is_ok_and(|now| now != before)))
            .await
    }

    async fn signal(&self, signal: i32) -> Result<(), String> {
        let sent = self.session.manager.kill_unit(self.app.service(), "main".to_owned(), signal).await;
        sent.map_err(|error| fault_of(&error, &self.app.service()).message)
    }

    async fn until(
        &self,
        what: &str,
        mut is: impl AsyncFnMut() -> Result<bool, String>,
    ) -> Result<(), String> {
        let end = Instant::now() + self.limit();
        while Instant::now() < end {
            if is().await? {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(format!("{what} within {} s", self.limit().as_secs()))
    }

    async fn socket(&self) -> Result<(), Fault> {
        let before = self.unit().await?;
        self.act(Verb::Start, &self.app.socket_unit()).await?;
        let after = self.act(Verb::Restart, &self.app.service()).await?;
        fail::point("restart-done");
        if after.main_pid == before.main_pid && before.main_pid != 0 {
            return Err(Fault::new(
                FaultKind::Failed,
                "the process of the app is the one from before the restart",
            ));
        }
        Ok(())
    }

    async fn full(&self) -> Result<(), Fault> {
        self.stop().await?;
        fail::point("restart-stopped");
        self.act(Verb::Start, &self.app.socket_unit()).await?;
        self.act(Verb::Start, &self.app.service()).await?;
        fail::point("restart-done");
        Ok(())
    }

    /// Starts what was put back. What runs meanwhile is not worth keeping.
    pub(crate) async fn again(&self) -> Result<(), Fault> {
        self.act(Verb::Start, &self.app.socket_unit()).await?;
        self.act(Verb::Restart, &self.app.service()).await.map(drop)
    }

    /// Stops the app and its socket, if they run.
    pub(crate) async fn stop(&self) -> Result<(), Fault> {
        for name in [self.app.socket_unit(), self.app.service()] {
            if unit(self.session, &name).await?.active_state != "inactive" {
                self.act(Verb::Stop, &name).await?;
            }
            // One that failed would stay in systemd's list of those.
            drop(self.session.manager.reset_failed_unit(name).await);
        }
        Ok(())
    }

    async fn act(&self, verb: Verb, name: &str) -> Result<Unit, Fault> {
        let name = UnitName::try_from(name)?;
        let done = act(self.bus, &Busy::default(), verb, &name).await?;
        Ok(done.unit.unwrap_or_default())
    }
}

/// A unit as it is; inactive when systemd does not know it.
pub(crate) async fn unit(session: &Session, name: &str) -> Result<Unit, Fault> {
    let read = read_unit(session, &path_of_name(name)).await.map_err(|e| fault_of(&e, name))?;
    Ok(read.unwrap_or_else(|| Unit {
        name: name.to_owned(),
        active_state: "inactive".into(),
        ..Unit::default()
    }))
}

/// Whether it runs. A puma that replaces its workers says that it reloads.
pub(crate) fn is_up(unit: &Unit) -> bool {
    matches!(unit.active_state.as_str(), "active" | "reloading")
}

/// systemd's name for this run of a unit, in hex; empty when it does not run.
pub(crate) async fn invocation(session: &Session, name: &str) -> Result<String, Fault> {
    let id = session
        .property::<Vec<u8>>(&path_of_name(name), "org.freedesktop.systemd1.Unit", "InvocationID")
        .await;
    Ok(hex::encode(id.map_err(|e| fault_of(&e, name))?))
}

/// What the app's process was started with. Whoever started it after HMS did, did it with what HMS put there last.
pub(crate) async fn running(
    session: &Session,
    app: &App,
    installed: &Installed,
) -> Result<Option<Running>, Fault> {
    if !is_up(&unit(session, &app.service()).await?) {
        return Ok(None);
    }
    let invocation_id = invocation(session, &app.service()).await?;
    let noted = installed.running.clone().filter(|run| run.invocation_id == invocation_id);
    let (secrets_version, release) = (installed.secrets_version, installed.release.clone());
    Ok(Some(noted.unwrap_or(Running { invocation_id, secrets_version, release })))
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
