//! What puma says of itself, through its control socket: workers, their generation (phase), and whether they are up.

use std::{io, path::Path, time::Duration};

use serde::Deserialize;

use super::http;

const LIMIT: Duration = Duration::from_secs(3);

/// What puma tells. Without workers, only what single mode has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Stats {
    /// When it was started, or executed itself again.
    pub(crate) started_at: String,
    /// Workers that there should be; 0 in single mode.
    pub(crate) workers: u32,
    /// The generation that is being brought up.
    pub(crate) phase: u32,
    /// Workers that are up.
    pub(crate) booted_workers: u32,
    /// Workers of generations before.
    pub(crate) old_workers: u32,
    /// Each worker.
    pub(crate) worker_status: Vec<Worker>,
}

/// A worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    /// Its generation.
    pub(crate) phase: u32,
    /// Whether it has loaded the app.
    pub(crate) booted: bool,
}

impl Stats {
    /// Whether all workers are of this generation or a later one, and up.
    pub(crate) fn all_reached(&self, phase: u32) -> bool {
        let count = u32::try_from(self.worker_status.len()).unwrap_or(u32::MAX);
        self.workers > 0
            && count == self.workers
            && self.phase >= phase
            && self.old_workers == 0
            && self.worker_status.iter().all(|worker| worker.booted && worker.phase >= phase)
    }
}

/// Asks puma.
pub(crate) async fn stats(socket: &Path) -> io::Result<Stats> {
    let answer = http::get_unix(socket, "localhost", "/stats", LIMIT).await?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("puma answered {}", answer.status)));
    }
    Ok(serde_json::from_slice(&answer.body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = r#"{"started_at":"2026-11-25T02:00:00Z","workers":2,"phase":1,"booted_workers":2,"old_workers":0,
        "worker_status":[{"started_at":"x","pid":7,"index":0,"phase":1,"booted":true,"last_checkin":"x","last_status":{}},
        {"started_at":"x","pid":8,"index":1,"phase":1,"booted":true,"last_checkin":"x","last_status":{"backlog":0}}]}"#;

    #[test]
    fn a_phased_restart_is_over_when_each_worker_is_new_and_up() {
        let of = |text: &str| serde_json::from_str::<Stats>(text).unwrap();
        assert!(of(CLUSTER).all_reached(1));
        assert!(!of(CLUSTER).all_reached(2));
        assert!(!of(&CLUSTER.replacen("true", "false", 1)).all_reached(1));
        assert!(
            !of(&CLUSTER.replacen("\"index\":0,\"phase\":1", "\"index\":0,\"phase\":0", 1)).all_reached(1)
        );
        assert!(!of(&CLUSTER.replace("\"workers\":2", "\"workers\":3")).all_reached(1));
        assert!(!of(r#"{"backlog":0,"running":5,"pool_capacity":5,"max_threads":5}"#).all_reached(0));
    }
}
