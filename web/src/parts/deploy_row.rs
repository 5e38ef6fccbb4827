//! One app on `/deploy`: what is live, what is under way, what waits to be delivered.

use super::{AppState, DeploymentRow, StepState, app_href};
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View};

/// What is live of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveRelease {
    /// The deployment that made it live.
    pub deployment: String,
    /// The release; may be empty where only settings were applied.
    pub release: String,
    /// The whole commit id; may be empty.
    pub commit: String,
    /// First line of its message; may be empty.
    pub subject: String,
    /// From which branch; may be empty.
    pub branch: String,
    /// Who brought it.
    pub actor: String,
    /// Since when, in microseconds since the epoch.
    pub at_us: i64,
    /// Version of the secrets that it was brought with; 0: none.
    pub secrets_version: u32,
}

impl LiveRelease {
    /// As people read a commit.
    pub fn short_commit(&self) -> &str {
        self.commit.get(..7).unwrap_or(&self.commit)
    }

    /// The deployment's page.
    pub fn href(&self) -> String {
        format!("/deployments/{}", crate::text::encode(&self.deployment))
    }

    /// Live for three hours.
    pub fn sample() -> Self {
        let row = DeploymentRow::sample();
        Self {
            deployment: row.id,
            release: row.release,
            commit: row.commit,
            subject: row.subject,
            branch: row.branch,
            actor: row.actor,
            at_us: SAMPLE_NOW_US - 10_900_000_000,
            secrets_version: 3,
        }
    }
}

/// One app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployRow {
    /// `cigar`
    pub key: String,
    /// Where it runs.
    pub host: String,
    /// Its public name; may be empty.
    pub domain: String,
    /// As last seen.
    pub state: AppState,
    /// The branch that is deployed unless another is given; empty: it has no repository yet.
    pub branch: String,
    /// Whether settings allow to deploy it.
    pub enabled: bool,
    /// What is live.
    pub live: Option<LiveRelease>,
    /// What works on it now.
    pub work: Option<DeploymentRow>,
    /// The latest version of its secrets; 0: none.
    pub secrets_version: u32,
    /// When its settings were changed since they were delivered, in microseconds since the epoch.
    pub unsettled_us: Option<i64>,
    /// How many of its files were changed by hand on the host.
    pub drifts: usize,
}

#[derive(Template)]
#[template(path = "parts/deploy_row.html")]
struct DeployRowPart<'a> {
    row: &'a DeployRow,
    view: View,
}

impl DeployRow {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("deploy-{}", super::slug(&self.key))
    }

    /// As it replaces the one in the page.
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph(self.id(), &DeployRowPart { row: self, view })
    }

    /// Its page, or one below it.
    pub fn href(&self, below: &str) -> String {
        app_href(&self.key, below)
    }

    /// Why it cannot be deployed now; empty: it can.
    pub fn hindrance(&self) -> &'static str {
        match (self.branch.is_empty(), self.enabled, self.state) {
            (true, ..) => "It has no repository yet.",
            (_, false, _) => "Deployments of it are turned off in its settings.",
            (.., AppState::Unreachable) => "Its host cannot be reached.",
            _ => "",
        }
    }

    /// Whether its process may have other secrets than the latest.
    pub fn has_stale_secrets(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.secrets_version != self.secrets_version)
    }

    /// Whether something waits to be delivered or looked at.
    pub fn has_hints(&self) -> bool {
        self.has_stale_secrets() || self.unsettled_us.is_some() || self.drifts > 0
    }

    /// Apps in the states that there are.
    pub fn samples() -> Vec<Self> {
        let cigar = Self {
            key: "cigar".into(),
            host: "asterra".into(),
            domain: "cigar.remoteds.us".into(),
            state: AppState::Running,
            branch: "main".into(),
            enabled: true,
            live: Some(LiveRelease::sample()),
            secrets_version: 3,
            ..Self::default()
        };
        let stale = Self {
            key: "humidor".into(),
            domain: "humidor.remoteds.us".into(),
            secrets_version: 5,
            unsettled_us: Some(SAMPLE_NOW_US - 7_200_000_000),
            drifts: 1,
            ..cigar.clone()
        };
        let running = Self {
            key: "tobacco".into(),
            host: "borealis".into(),
            domain: "tobacco.remoteds.us".into(),
            work: Some(DeploymentRow { app: "tobacco".into(), ..DeploymentRow::sample_running() }),
            ..cigar.clone()
        };
        let fresh = Self {
            key: "pipe".into(),
            domain: "pipe.remoteds.us".into(),
            state: AppState::NotInstalled,
            live: None,
            ..cigar.clone()
        };
        let bare = Self {
            key: "snuff".into(),
            domain: String::new(),
            branch: String::new(),
            live: None,
            secrets_version: 0,
            ..cigar.clone()
        };
        let far = Self { key: "lounge".into(), state: AppState::Unreachable, ..cigar.clone() };
        vec![cigar, stale, far, fresh, bare, running]
    }
}

impl DeploymentRow {
    /// Its steps as a bar: class and title of each.
    pub fn bar(&self) -> Vec<(&'static str, String)> {
        let part = |step: &super::Step| (step.state.key(), step.title());
        self.steps.iter().map(part).collect()
    }

    /// How many of its steps are done.
    pub fn steps_done(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| !matches!(step.state, StepState::Waiting | StepState::Running))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_stale_while_the_process_has_others() {
        let row = |live, latest| DeployRow {
            live: Some(LiveRelease { secrets_version: live, ..LiveRelease::default() }),
            secrets_version: latest,
            ..DeployRow::default()
        };
        assert!(row(3, 5).has_stale_secrets() && row(3, 0).has_stale_secrets());
        assert!(!row(3, 3).has_stale_secrets());
        assert!(
            !DeployRow { secrets_version: 5, ..DeployRow::default() }.has_stale_secrets(),
            "nothing is live"
        );
    }

    #[test]
    fn what_hinders_a_deployment_is_said() {
        let row = DeployRow { branch: "main".into(), enabled: true, ..DeployRow::default() };
        assert_eq!(row.hindrance(), "");
        assert!(DeployRow { branch: String::new(), ..row.clone() }.hindrance().contains("repository"));
        assert!(DeployRow { enabled: false, ..row.clone() }.hindrance().contains("turned off"));
        assert!(DeployRow { state: AppState::Unreachable, ..row }.hindrance().contains("reached"));
    }
}
