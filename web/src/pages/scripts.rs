//! `/scripts`: what can be run, and what was run last.

use crate::frame::{PaletteEntry, Place, Role};
use crate::parts::{RunRow, ScriptRow};
use crate::{Frame, Template};

/// The catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/scripts.html")]
pub struct ScriptsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// What is searched for, as typed.
    pub q: String,
    /// By name.
    pub scripts: Vec<ScriptRow>,
    /// Newest first.
    pub runs: Vec<RunRow>,
    /// How many scripts run by themselves.
    pub schedules: usize,
}

impl ScriptsPage {
    /// How many scripts the search finds.
    pub fn found(&self) -> usize {
        self.scripts.iter().filter(|script| script.matches(&self.q)).count()
    }

    /// Whether the search leaves this one out.
    pub fn is_left_out(&self, script: &ScriptRow) -> bool {
        !script.matches(&self.q)
    }

    /// The six of the plan.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Scripts, "Scripts"),
            q: String::new(),
            scripts: ScriptRow::samples(),
            runs: RunRow::samples(),
            schedules: 4,
        }
    }

    /// A search that finds nothing.
    pub fn sample_searched() -> Self {
        Self { q: "certificate backup".into(), ..Self::sample() }
    }

    /// Nothing was synced yet.
    pub fn sample_empty() -> Self {
        Self { scripts: vec![], runs: vec![], schedules: 0, ..Self::sample() }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}

/// Makes a frame that of somebody who only looks.
pub(super) fn as_viewer(frame: &mut Frame) {
    frame.view.role = Role::Viewer;
    frame.username = "vera".into();
    frame.palette.retain(|entry| matches!(entry, PaletteEntry::Go { .. }));
}
