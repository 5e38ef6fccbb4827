//! Changes that wait to be confirmed.

use std::time::{Duration, Instant};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{ConfirmNginxRequest, NginxTree, PendingNginx, RevertNginxRequest},
};

use super::target::Target;
use crate::{
    connect::Pace,
    dialog::ask::{at_terminal, read_line},
    failure::Result,
    output::{
        escape::inline,
        measure::{full, now_usec, relative},
    },
};

/// Says until when a change has to be confirmed, and how; or waits for the answer at this terminal.
pub(super) async fn follow(target: &Target<'_>, pending: &PendingNginx, wait: bool) -> Result<()> {
    let out = &target.session.out;
    let until = full(pending.deadline_usec);
    if !(wait && at_terminal()) {
        out.note(&format!("It is put back at {until} unless you keep it:"));
        out.note(&format!("  {}", command(target, &pending.id)));
        return Ok(());
    }
    match countdown(pending).await? {
        Some(true) => confirm(target, Some(pending.id.clone())).await,
        Some(false) => revert(target, Some(pending.id.clone())).await,
        None => {
            let what = format!("nobody confirmed: {} is put back", inline(&pending.paths.join(", ")));
            Err(Fault::new(FaultKind::Failed, what).hint("hmsctl nginx list shows what is in use").into())
        }
    }
}

/// What keeps the change.
fn command(target: &Target<'_>, id: &str) -> String {
    match &target.host {
        Some(host) => format!("hmsctl nginx --host {host} confirm {}", inline(id)),
        None => format!("hmsctl --direct {} nginx confirm {}", target.label, inline(id)),
    }
}

/// Asks while the time runs. Nothing: it ran out.
async fn countdown(pending: &PendingNginx) -> Result<Option<bool>> {
    // By this machine's clock, which need not be that of the host.
    let window = (pending.deadline_usec - pending.applied_usec).clamp(0, 3_600_000_000);
    let ends = Instant::now() + Duration::from_micros(window.unsigned_abs());
    let answer = read_line();
    tokio::pin!(answer);
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            eprintln!();
            return Ok(None);
        }
        eprint!("\rKeep this change? It is put back in {:>4} s. [y/N] ", left.as_secs() + 1);
        tokio::select! {
            line = &mut answer => return Ok(Some(matches!(line?.as_str(), "y" | "yes"))),
            () = tokio::time::sleep(Duration::from_secs(1).min(left)) => {}
        }
    }
}

/// Keeps the change that waits.
pub(super) async fn confirm(target: &Target<'_>, id: Option<String>) -> Result<()> {
    let (id, paths) = waiting(target, id).await?;
    let request = ConfirmNginxRequest { id };
    let tree = target.link.answer(Pace::Act, target.nginx(Pace::Act).confirm(request)).await?;
    told(target, &tree, "kept", &paths)
}

/// Puts back what the change that waits replaced.
pub(super) async fn revert(target: &Target<'_>, id: Option<String>) -> Result<()> {
    let (id, paths) = waiting(target, id).await?;
    let request = RevertNginxRequest { id };
    let tree = target.link.answer(Pace::Act, target.nginx(Pace::Act).revert(request)).await?;
    told(target, &tree, "put back", &paths)
}

fn told(target: &Target<'_>, tree: &NginxTree, done: &str, paths: &str) -> Result<()> {
    if target.session.out.data(tree)? {
        return Ok(());
    }
    target.session.out.line(&format!("{done}: {paths} on {}", target.label))
}

/// The id that is meant, and the files of that change.
async fn waiting(target: &Target<'_>, id: Option<String>) -> Result<(String, String)> {
    let tree = target.tree().await?;
    let pending = tree.pending.filter(|p| id.as_ref().is_none_or(|id| *id == p.id));
    match (pending, id) {
        (Some(pending), _) => Ok((pending.id, inline(&pending.paths.join(", ")).into_owned())),
        // The host knows best what became of it.
        (None, Some(id)) => Ok((id.clone(), id)),
        (None, None) => {
            let ended = tree.last.map(|last| {
                let when = relative(last.time_usec, now_usec());
                format!("; the last change {} {when}", inline(&last.result))
            });
            let what =
                format!("no change waits to be confirmed on {}{}", target.label, ended.unwrap_or_default());
            Err(Fault::new(FaultKind::NotFound, what)
                .hint("hmsctl nginx history shows what was changed")
                .into())
        }
    }
}
