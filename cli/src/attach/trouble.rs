//! What is said of connections that broke and of hosts that cannot be reached. Empty text says nothing.

use std::collections::BTreeSet;

use hms_proto::{controller::v1::Run, fault::Fault, host::v1::JobState};

use crate::{
    connect::Connection,
    output::{escape::inline, measure::size},
};

/// What is in the way at the moment.
pub(super) struct Trouble {
    whom: String,
    /// Jobs whose stream is broken.
    broken: BTreeSet<usize>,
    /// Hosts that cannot be reached, by the run's own account.
    away: BTreeSet<String>,
}

impl Trouble {
    pub(super) fn new(link: &Connection) -> Self {
        Self { whom: link.whom(), broken: BTreeSet::new(), away: BTreeSet::new() }
    }

    /// The stream of a job broke. Only the first of several is told.
    pub(super) fn broken(&mut self, job: usize, fault: &Fault) -> String {
        let first = self.broken.is_empty();
        self.broken.insert(job);
        match first {
            true => format!("-- reconnecting to {}: {}", self.whom, inline(&fault.message)),
            false => String::new(),
        }
    }

    /// The stream of a job is there again.
    pub(super) fn back(&mut self, job: usize) -> String {
        match self.broken.remove(&job) && self.broken.is_empty() {
            true => format!("-- connected to {} again", self.whom),
            false => String::new(),
        }
    }

    /// Hosts that cannot be reached, and that can be again.
    pub(super) fn news(&mut self, run: Option<&Run>) -> Vec<String> {
        let mut notes = Vec::new();
        for job in run.iter().flat_map(|run| &run.jobs) {
            let host = inline(&job.host);
            if job.state() == JobState::Unknown {
                if self.away.insert(job.host.clone()) {
                    let why = if job.reason.is_empty() { "it cannot be reached" } else { &job.reason };
                    notes.push(format!("-- waiting for {host}: {}", inline(why)));
                }
            } else if self.away.remove(&job.host) {
                notes.push(format!("-- {host} is there again"));
            }
        }
        notes
    }
}

/// Output that is gone.
pub(super) fn missing(bytes: u64) -> String {
    format!("-- {} of output are no longer there", size(bytes))
}
