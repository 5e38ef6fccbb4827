//! `/deployments/{id}`: one deployment, its steps and its output.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{DeploymentCard, JobState, OutputPanel, Terminal, mark_steps};
use crate::{Frame, Template};

/// The page of one deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/deployment.html")]
pub struct DeploymentPage {
    /// What surrounds it. While it goes on, its stream is `/events?view=deployment&id=…&after=…`, the last the cursor of a
    /// [`crate::parts::Terminal`].
    pub frame: Frame,
    /// The deployment.
    pub card: DeploymentCard,
    /// What it wrote; none when it was not begun.
    pub output: Option<OutputPanel>,
}

impl DeploymentPage {
    fn of(card: DeploymentCard) -> Self {
        let text = "Cloning into bare repository 'repo'...\n8f3c2a1 main\nFetching gem metadata from https://rubygems.org/.........\n\u{1b}[32mBundle complete! 100 Gemfile dependencies, 100 gems now installed.\u{1b}[0m\n";
        let mut rows = Terminal::default().push(text.as_bytes());
        mark_steps(&mut rows, &card.row.steps);
        let output = OutputPanel {
            job: card.row.id.clone(),
            host: card.row.host.clone(),
            of: card.row.app.clone(),
            open: card.row.is_open(),
            rows,
            ..OutputPanel::default()
        };
        let mut frame = Frame::sample(Place::Deploy, &card.row.app);
        if card.row.is_open() {
            frame.events = "/events?view=deployment".into();
        }
        Self { frame, card, output: Some(output) }
    }

    /// It went live.
    pub fn sample() -> Self {
        Self::of(DeploymentCard::sample())
    }

    /// It goes on.
    pub fn sample_running() -> Self {
        Self::of(DeploymentCard::sample_running())
    }

    /// Its release did not boot.
    pub fn sample_failed() -> Self {
        Self::of(DeploymentCard::sample_failed())
    }

    /// It was put back.
    pub fn sample_undone() -> Self {
        Self::of(DeploymentCard::sample_undone())
    }

    /// Its host cannot be reached.
    pub fn sample_unknown() -> Self {
        let mut card = DeploymentCard::sample_running();
        card.row.state = JobState::Unknown;
        card.row.reason = "asterra cannot be reached since 18:39:12 UTC".into();
        Self::of(card)
    }

    /// It waits for its turn.
    pub fn sample_queued() -> Self {
        let mut card = DeploymentCard::sample_running();
        (card.row.state, card.row.started_us) = (JobState::Queued, None);
        card.row.steps.clear();
        Self { output: None, ..Self::of(card) }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample_running();
        as_viewer(&mut page.frame);
        page
    }
}
