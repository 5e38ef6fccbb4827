//! Jobs: scripts, and work on apps, that run in units of their own, so that they outlive the agent. What is known of one is on the disk:
//! nothing of it is kept in memory, and an agent that was killed goes on where it stopped.
//!
//! # Layout
//! - [`record`]: a job on the disk.
//! - [`start`]: from a request to a unit; [`unit`]: its sandbox and limits. [`app`], [`app_unit`]: the same for work on apps;
//!   [`progress`]: how far its steps are.
//! - [`end`]: what the unit runs when it is over; [`verdict`]: what became of it.
//! - [`manager`]: looks at jobs and ends them; [`output`]: streams what they print; [`retention`]: forgets them.

mod app;
mod app_unit;
mod capabilities;
mod end;
mod manager;
mod output;
mod progress;
mod record;
mod retention;
mod service;
mod start;
mod unit;
mod verdict;

pub(crate) use app::AppWork;
pub(crate) use end::end;
pub(crate) use manager::{Jobs, boot_id};
pub(crate) use progress::{Outcome, Progress};
pub(crate) use record::Store;
pub(crate) use service::JobsApi;
pub(crate) use unit::{Set, program, words};
