//! Putting back: what a restart left half done, and what nobody confirmed.

use std::time::Duration;

use hms_proto::fault::{Fault, FaultKind};

use super::{
    Nginx,
    change::Edit,
    fail,
    folder::Node,
    lint::lint,
    record::{Change, Phase},
    reload, rooted,
};
use crate::{blocking, systemd::Session};

/// When putting back failed, it is tried again after this.
const AGAIN: Duration = Duration::from_secs(15);

/// Finishes or undoes what the agent was at when it stopped.
pub(crate) async fn recover(nginx: Nginx) {
    // Whoever gets it earlier is refused while there is something to put back.
    let guard = nginx.write_lock().await;
    if let Err(fault) = blocking(|| rooted()?.remove_temporary().map_err(|e| super::unreadable(&e))).await
        && fault.kind() != FaultKind::NotFound
    {
        tracing::warn!(reason = fault.message, "cannot clear what was being written");
    }
    loop {
        match settle(&nginx).await {
            Ok(()) => break,
            Err(fault) => tracing::error!(reason = fault.message, "an nginx change cannot be put back yet"),
        }
        tokio::time::sleep(AGAIN).await;
    }
    drop(guard);
}

async fn settle(nginx: &Nginx) -> Result<(), Fault> {
    let Some(change) = nginx.0.records.change()? else { return Ok(()) };
    if nginx.0.records.outcomes()?.iter().any(|o| o.id == change.id) {
        return nginx.0.records.forget();
    }
    match change.phase {
        Phase::Waiting if change.deadline_usec > crate::now_usec() => {
            arm(nginx.clone(), &change);
            Ok(())
        }
        Phase::Waiting => {
            put_back(
                nginx,
                &change,
                "reverted",
                "nobody confirmed it, and the agent was not running when its time was over",
            )
            .await
        }
        Phase::Swapping => {
            put_back(nginx, &change, "rolled-back", "the agent stopped in the middle of it").await
        }
    }
}

/// Puts back a change that nobody is in the middle of any longer. One that waits to be confirmed is left alone.
pub(crate) async fn settle_swap(nginx: &Nginx) -> Result<(), Fault> {
    let swapping = nginx.0.records.change()?.is_some_and(|change| change.phase == Phase::Swapping);
    if swapping { settle(nginx).await } else { Ok(()) }
}

/// Undoes a change and writes that down.
pub(crate) async fn put_back(nginx: &Nginx, change: &Change, result: &str, why: &str) -> Result<(), Fault> {
    let session = nginx.0.bus.session().await?;
    let note = undo(nginx, &session, change).await?;
    fail::point("undone");
    let detail = if note.is_empty() { why.to_owned() } else { format!("{why}; {note}") };
    tracing::warn!(id = change.id, result, detail, "put an nginx change back");
    nginx.0.records.end(change.outcome(result, detail))
}

/// Puts the old files back and has nginx run with them. Edits that others made meanwhile are kept aside.
pub(crate) async fn undo(nginx: &Nginx, session: &Session, change: &Change) -> Result<String, Fault> {
    let (records, change_then) = (nginx.0.records.clone(), change.clone());
    let note = blocking(move || {
        let root = rooted()?;
        let now = root.read().map_err(|e| super::unreadable(&e))?;
        let mut kept = Vec::new();
        let mut back: Vec<Edit> = Vec::new();
        for edit in change_then.edits().into_iter().rev() {
            let there = now.entries.get(&edit.path);
            let node = |entry: Option<&super::folder::Entry>| entry.map(|e| e.node.clone());
            if node(there) == node(edit.before.as_ref()) {
                continue;
            }
            if node(there) != node(edit.after.as_ref())
                && let Some(Node::File(text)) = node(there)
                && let Some(file) = records.keep(&change_then.id, &edit.path, &text)
            {
                kept.push(format!("an edit of {} made meanwhile is kept in {}", edit.path, file.display()));
            }
            back.push(Edit { path: edit.path, before: edit.after, after: edit.before });
        }
        root.put_all(&back)
            .map_err(|e| Fault::new(FaultKind::Failed, format!("the old files cannot be put back: {e}")))?;
        Ok(kept.join("; "))
    })
    .await?;
    fail::point("put-back");
    run_again(nginx, session, change).await?;
    Ok(note)
}

/// nginx takes over what is on the disk, and is started if it ran and does not any longer.
async fn run_again(nginx: &Nginx, session: &Session, change: &Change) -> Result<(), Fault> {
    let live = nginx.live().await?;
    if reload::is_running(session).await? {
        let logs = reload::error_logs(&lint(&live));
        return match reload::reload(session, &logs).await {
            Ok(_) => Ok(()),
            // The port that stood in the way may stand there still; what runs is the old configuration.
            Err(fault) => {
                tracing::warn!(
                    reason = fault.message,
                    "nginx did not reload what was put back; it runs with what it had"
                );
                Ok(())
            }
        };
    }
    let failed = reload::state(session).await?.is_some_and(|u| u.active_state == "failed");
    if change.was_running && failed {
        reload::start(session).await?;
    }
    Ok(())
}

/// Puts the change back when its time is over, unless somebody confirmed or reverted it before.
pub(crate) fn arm(nginx: Nginx, change: &Change) {
    let (id, deadline) = (change.id.clone(), change.deadline_usec);
    tokio::spawn(async move {
        loop {
            let left = u64::try_from(deadline - crate::now_usec()).unwrap_or(0);
            if left == 0 {
                break;
            }
            // The clock may be set meanwhile.
            tokio::time::sleep(Duration::from_micros(left).min(Duration::from_secs(1))).await;
        }
        while !expire(&nginx, &id).await {
            tokio::time::sleep(AGAIN).await;
        }
    });
}

/// Whether there is nothing left to do.
async fn expire(nginx: &Nginx, id: &str) -> bool {
    let _guard = nginx.write_lock().await;
    let waiting = nginx.0.records.change();
    let done = match waiting {
        Ok(Some(change)) if change.id == id && change.phase == Phase::Waiting => {
            put_back(nginx, &change, "reverted", "nobody confirmed it in time").await
        }
        Ok(_) => return true,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = &done {
        tracing::error!(reason = fault.message, id, "an nginx change cannot be put back yet");
    }
    done.is_ok()
}

/// The change that waits, if it is this one.
fn waiting(nginx: &Nginx, id: &str) -> Result<Change, Fault> {
    let waiting = nginx.0.records.change()?.filter(|c| c.phase == Phase::Waiting);
    match waiting {
        Some(change) if change.id == id => Ok(change),
        Some(change) => Err(Fault::new(
            FaultKind::Conflict,
            format!("another change waits to be confirmed: {} by {}", change.id, change.actor),
        )
        .hint("Look at what it changes before you confirm it.")),
        None => {
            let ended = nginx.0.records.outcomes()?.into_iter().rev().find(|o| o.id == id);
            let message = ended.map_or("no change waits to be confirmed".to_owned(), |o| {
                format!("this change is over: {} ({})", o.result, o.detail)
            });
            Err(Fault::new(FaultKind::NotFound, message))
        }
    }
}

/// Keeps a change that waits.
pub(crate) async fn confirm(nginx: &Nginx, actor: &str, id: &str) -> Result<(), Fault> {
    let _guard = nginx.write_lock().await;
    let change = waiting(nginx, id)?;
    if change.deadline_usec <= crate::now_usec() {
        return Err(Fault::new(FaultKind::Conflict, "its time is over: it is being put back"));
    }
    nginx.0.records.end(change.outcome("confirmed", format!("by {actor}")))?;
    fail::point("confirmed");
    Ok(())
}

/// Puts a change that waits back, now.
pub(crate) async fn revert(nginx: &Nginx, actor: &str, id: &str) -> Result<(), Fault> {
    let _guard = nginx.write_lock().await;
    let change = waiting(nginx, id)?;
    put_back(nginx, &change, "reverted", &format!("by {actor}")).await
}
