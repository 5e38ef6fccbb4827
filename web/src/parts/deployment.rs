//! One deployment: what was asked, its steps, and what became of it.

use super::{JobState, Step, StepState};
use crate::{Fragment, Template, View, text};

/// What kind of work on an app it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkKind {
    /// A new release.
    #[default]
    Deploy,
    /// Back to an earlier one.
    Rollback,
    /// Settings and secrets for the one that is live.
    Apply,
    /// The app is taken away.
    Remove,
}

impl WorkKind {
    /// As a noun.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Deploy => "Deployment",
            Self::Rollback => "Rollback",
            Self::Apply => "Settings",
            Self::Remove => "Removal",
        }
    }

    /// While it runs.
    pub fn doing(&self) -> &'static str {
        match self {
            Self::Deploy => "Deploying",
            Self::Rollback => "Rolling back",
            Self::Apply => "Applying settings",
            Self::Remove => "Removing",
        }
    }

    /// Its icon.
    pub fn icon(&self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "back",
            Self::Apply => "settings",
            Self::Remove => "remove",
        }
    }
}

/// One deployment in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Its UUID, which is also that of its job.
    pub id: String,
    /// The app.
    pub app: String,
    /// What kind of work.
    pub kind: WorkKind,
    /// How it is.
    pub state: JobState,
    /// On which host.
    pub host: String,
    /// What was asked for; may be empty.
    pub branch: String,
    /// The whole id; may be empty.
    pub commit: String,
    /// First line of the commit's message; may be empty.
    pub subject: String,
    /// Who wrote it; may be empty.
    pub author: String,
    /// The release that it made or went back to; may be empty.
    pub release: String,
    /// The one that was live before; may be empty.
    pub from_release: String,
    /// Its commit; may be empty.
    pub from_commit: String,
    /// Version of the secrets; 0: none.
    pub secrets_version: u32,
    /// Who asked.
    pub actor: String,
    /// `web`, `rest` or `cli`.
    pub source: String,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// When its host began.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Why it is in this state; may be empty.
    pub reason: String,
    /// In order.
    pub steps: Vec<Step>,
}

impl DeploymentRow {
    /// Where it is shown.
    pub fn href(&self) -> String {
        format!("/deployments/{}", text::encode(&self.id))
    }

    /// The page of its app.
    pub fn app_href(&self) -> String {
        super::app_href(&self.app, "")
    }

    /// As people read a commit.
    pub fn short_commit(&self) -> &str {
        short(&self.commit)
    }

    /// The commit before, as people read it.
    pub fn short_from(&self) -> &str {
        short(&self.from_commit)
    }

    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        !self.state.is_over()
    }

    /// What is said of it in one line: the commit's message, or what kind of work it is.
    pub fn headline(&self) -> String {
        match (self.kind, self.subject.as_str()) {
            (WorkKind::Deploy | WorkKind::Rollback, subject) if !subject.is_empty() => text::plain(subject),
            (WorkKind::Deploy, _) if !self.branch.is_empty() => self.branch.clone(),
            (WorkKind::Rollback, _) if !self.release.is_empty() => format!("to {}", self.release),
            (kind, _) => kind.word().to_owned(),
        }
    }

    /// The first sentence of why.
    pub fn short_reason(&self) -> String {
        text::plain(self.reason.lines().next().unwrap_or_default())
    }

    /// How long it took, when it ended.
    pub fn took(&self) -> Option<String> {
        let begun = self.started_us.unwrap_or(self.created_us);
        self.ended_us.map(|end| text::took((end - begun).max(0) as u64 / 1000))
    }

    /// The step that it is at: the one that runs or failed.
    pub fn current(&self) -> Option<&Step> {
        let at = |state| self.steps.iter().find(|step| step.state == state);
        at(StepState::Failed).or_else(|| at(StepState::Running))
    }

    /// How far it is, read out when it changes: `Install gems, step 4 of 12`.
    pub fn progress(&self) -> String {
        let at = self.steps.iter().position(|step| step.state == StepState::Running);
        match (self.is_open(), at) {
            (false, _) => self.state.word().to_owned(),
            (true, Some(at)) => {
                format!("{}, step {} of {}", self.steps[at].title(), at + 1, self.steps.len())
            }
            (true, None) => self.state.word().to_owned(),
        }
    }
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// One deployment on its own page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentCard {
    /// What is known of it.
    pub row: DeploymentRow,
    /// The last lines that the failed step wrote, oldest first.
    pub tail: Vec<String>,
    /// Bytes of output.
    pub output_bytes: u64,
    /// Whether there was more than is kept.
    pub truncated: bool,
    /// Why the last request to cancel was refused; may be empty.
    pub problem: String,
}

#[derive(Template)]
#[template(path = "parts/deployment_card.html")]
struct DeploymentPart<'a> {
    card: &'a DeploymentCard,
    view: View,
}

impl DeploymentCard {
    /// As it replaces the one in the page (`deployment`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("deployment", &DeploymentPart { card: self, view })
    }

    /// Whether something went wrong.
    pub fn has_failed(&self) -> bool {
        self.row.state.is_over() && self.row.state != JobState::Succeeded
    }

    /// The headline of a failure: `Install gems failed`, `Canceled`.
    pub fn failure(&self) -> String {
        match (self.row.state, self.row.current()) {
            (JobState::Failed, Some(step)) => format!("{} failed", step.title()),
            (state, Some(step)) => format!("{} at {}", state.word(), step.title().to_lowercase()),
            (state, None) => state.word().to_owned(),
        }
    }

    /// What it means for visitors.
    pub fn consequence(&self) -> &'static str {
        let switched = self.row.steps.iter().find(|step| step.name == "switch").map(|step| step.state);
        match (self.row.kind, switched.unwrap_or_default()) {
            (WorkKind::Remove, _) => "",
            (_, StepState::Waiting | StepState::Skipped) => "Nothing live was touched.",
            (_, StepState::Undone) => "What it had changed was put back: the release from before serves.",
            _ => "Look at the steps: it had begun to go live.",
        }
    }

    /// Why it failed: the whole text where it has several lines, without the first.
    pub fn more_reason(&self) -> Vec<String> {
        self.row.reason.lines().skip(1).map(text::plain).collect()
    }

    /// The last lines, fit to be shown.
    pub fn shown_tail(&self) -> Vec<String> {
        let more = self.more_reason();
        if more.is_empty() { self.tail.iter().map(|line| text::plain(line)).collect() } else { more }
    }

    /// What is asked before it is canceled.
    pub fn cancel_question(&self) -> &'static str {
        match self.row.kind {
            WorkKind::Remove => "What was taken away so far stays away.",
            _ => {
                "Its step is ended. Whatever it has changed so far is put back, and the release that was live before serves on."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, state: StepState) -> Step {
        Step { name: name.into(), state, ..Step::default() }
    }

    #[test]
    fn progress_names_the_step_that_runs() {
        let steps = vec![step("fetch", StepState::Done), step("bundle", StepState::Running)];
        let row = DeploymentRow { state: JobState::Running, steps, ..DeploymentRow::default() };
        assert_eq!(row.progress(), "Install gems, step 2 of 2");
        assert_eq!(DeploymentRow { state: JobState::Failed, ..row }.progress(), "Failed");
    }

    #[test]
    fn a_failure_says_whether_anything_live_was_touched() {
        let card = |steps| DeploymentCard {
            row: DeploymentRow { state: JobState::Failed, steps, ..DeploymentRow::default() },
            ..DeploymentCard::default()
        };
        let early = card(vec![step("bundle", StepState::Failed), step("switch", StepState::Waiting)]);
        assert_eq!(early.failure(), "Install gems failed");
        assert_eq!(early.consequence(), "Nothing live was touched.");
        let cleaned = card(vec![step("checkout", StepState::Undone), step("bundle", StepState::Failed)]);
        assert_eq!(cleaned.consequence(), "Nothing live was touched.");
        let late = card(vec![step("switch", StepState::Undone), step("health", StepState::Failed)]);
        assert!(late.consequence().contains("put back"));
        let odd = card(vec![step("switch", StepState::Done), step("health", StepState::Failed)]);
        assert!(!odd.consequence().contains("Nothing live"));
    }

    #[test]
    fn short_commits_never_split_a_character() {
        let row = |commit: &str| DeploymentRow { commit: commit.into(), ..DeploymentRow::default() };
        assert_eq!(row("0123456789abcdef").short_commit(), "0123456");
        assert_eq!(row("012345ß").short_commit(), "012345ß");
    }
}
