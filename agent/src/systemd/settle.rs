//! Whether a unit that was started is still up a moment later.

use std::time::Duration;

use hms_proto::host::v1::Unit;
use tokio::{sync::broadcast, time::Instant};
use zbus::OwnedObjectPath;

use super::{
    bus::{Session, Signal},
    unit,
};

/// Programs that cannot work mostly end within a moment: a port in use, a file that does not parse.
const MOMENT: Duration = Duration::from_secs(1);

/// What a unit looks like after the moment.
pub(crate) enum Settled {
    /// It is up, or it is a oneshot that did its work.
    Up(Unit),
    /// It is not.
    Down(Unit),
}

/// Looks at a unit for a moment, and stops looking as soon as it went down.
pub(crate) async fn settle(
    session: &Session,
    path: &OwnedObjectPath,
    mut signals: broadcast::Receiver<Signal>,
) -> zbus::Result<Settled> {
    let kind = unit::service_type(session, path).await?;
    let end = Instant::now() + MOMENT;
    let mut first: Option<Unit> = None;
    loop {
        // It is unloaded when it ended and nothing refers to it.
        let Some(now) = unit::read_if_there(session, path).await? else {
            return Ok(Settled::Down(first.unwrap_or_default()));
        };
        if kind == "oneshot" && now.active_state == "inactive" && now.result == "success" {
            return Ok(Settled::Up(now));
        }
        let fell = first.as_ref().is_some_and(|first| is_another_run(first, &now));
        if fell || !is_up(&now) {
            return Ok(Settled::Down(now));
        }
        if Instant::now() >= end {
            return Ok(Settled::Up(now));
        }
        first.get_or_insert(now);
        wait_for_change(&mut signals, path, end).await;
    }
}

fn is_up(unit: &Unit) -> bool {
    matches!(unit.active_state.as_str(), "active" | "reloading")
}

/// Restart= started it again: it looks healthy, and is not.
fn is_another_run(first: &Unit, now: &Unit) -> bool {
    now.restarts != first.restarts || (now.main_pid != first.main_pid && first.main_pid != 0)
}

async fn wait_for_change(signals: &mut broadcast::Receiver<Signal>, path: &OwnedObjectPath, end: Instant) {
    let name = unit::name_of_path(path.as_str());
    let changed = async {
        loop {
            match signals.recv().await {
                Ok(Signal::Changed(changed)) if Some(&changed) == name.as_ref() => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                _ => {}
            }
        }
    };
    drop(tokio::time::timeout_at(end, changed).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_was_started_again_is_not_the_one_that_was_started() {
        let first = Unit { main_pid: 7, active_state: "active".into(), ..Unit::default() };
        assert!(!is_another_run(&first, &first));
        assert!(is_another_run(&first, &Unit { main_pid: 8, ..first.clone() }));
        assert!(is_another_run(&first, &Unit { restarts: 1, ..first.clone() }));
        // A forking service may find its main process late.
        assert!(!is_another_run(&Unit { main_pid: 0, ..first.clone() }, &first));
    }
}
