//! Jobs: scripts that run in units of their own, so that they outlive the agent. What is known of one is on the disk:
//! nothing of it is kept in memory, and an agent that was killed goes on where it stopped.
//!
//! # Layout
//! - [`record`]: a job on the disk.
//! - [`start`]: from a request to a unit; [`unit`]: its sandbox and limits.
//! - [`end`]: what the unit runs when it is over; [`verdict`]: what became of it.
//! - [`manager`]: looks at jobs and ends them; [`output`]: streams what they print; [`retention`]: forgets them.

mod capabilities;
mod end;
mod manager;
mod output;
mod record;
mod retention;
mod service;
mod start;
mod unit;
mod verdict;

pub(crate) use end::end;
pub(crate) use manager::Jobs;
pub(crate) use service::JobsApi;
