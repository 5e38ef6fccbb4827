//! `/schedules`: scripts that run by themselves.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{ScheduleList, ScheduleRow};
use crate::{Frame, Template};

/// The schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/schedules.html")]
pub struct SchedulesPage {
    /// What surrounds it.
    pub frame: Frame,
    /// All of them.
    pub schedules: ScheduleList,
}

impl SchedulesPage {
    /// In every state.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Scripts, "Schedules"),
            schedules: ScheduleList { rows: ScheduleRow::samples(), error: None },
        }
    }

    /// None yet.
    pub fn sample_empty() -> Self {
        Self { schedules: ScheduleList::default(), ..Self::sample() }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}
