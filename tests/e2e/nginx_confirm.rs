//! A change that somebody has to confirm: the agent puts it back by itself, whatever happens meanwhile.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::fault::FaultKind;
use hms_proto::host::v1::{ConfirmNginxRequest, RevertNginxRequest};
use uuid::Uuid;

use crate::nginx::{Bench, SOON, content, new_site, refused, site};
use crate::support::eventually;

const PATH: &str = "sites-available/c.test";

/// A bench with a site that says `old`, and a change that waits with `new`.
async fn waiting(bench: &Bench, confirm_s: u32) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let change = content(PATH, &site("c.test", "new"), &bench.sha(PATH).await?);
    let answer = bench.apply_as(id, vec![change], confirm_s).await?;
    let pending = answer.tree.and_then(|t| t.pending).context("nothing waits")?;
    ensure!(
        pending.id == id.to_string()
            && pending.paths == [PATH]
            && pending.deadline_usec > pending.applied_usec,
        "{pending:?}"
    );
    ensure!(bench.ask("c.test").await? == "new");
    Ok(id)
}

async fn is_old(bench: &Bench, id: Uuid) -> Result<()> {
    eventually(SOON, async || {
        let tree = bench.list().await?;
        let last = tree.last.context("last")?;
        ensure!(tree.pending.is_none() && last.id == id.to_string() && last.result == "reverted", "{last:?}");
        ensure!(bench.ask("c.test").await? == "old");
        Ok(())
    })
    .await?;
    assert_eq!(bench.host().read_file(format!("/etc/nginx/{PATH}")).await?, site("c.test", "old"));
    Ok(())
}

/// Pitfall P4.
#[tokio::test]
async fn what_nobody_confirms_is_put_back_over_kills_and_power_cuts() -> Result<()> {
    let bench = Bench::new().await?;
    bench.apply(new_site("c.test", "old")).await?;

    // Others are refused meanwhile, and a test cancels nothing.
    let id = waiting(&bench, 12).await?;
    let fault = refused(bench.apply(new_site("d.test", "d")).await, FaultKind::Conflict)?;
    ensure!(fault.message.contains("waits to be confirmed until"), "{}", fault.message);
    ensure!(bench.errors(new_site("d.test", "d")).await?.is_empty());
    ensure!(bench.list().await?.pending.is_some());
    is_old(&bench, id).await?;

    // By somebody, now; and a second time there is nothing to revert.
    let id = waiting(&bench, 600).await?;
    let wrong = bench.client().revert(RevertNginxRequest { id: Uuid::new_v4().to_string() }).await;
    ensure!(wrong.is_err());
    bench.client().revert(RevertNginxRequest { id: id.to_string() }).await?;
    is_old(&bench, id).await?;
    ensure!(bench.client().revert(RevertNginxRequest { id: id.to_string() }).await.is_err());

    // The agent is killed in the window.
    let id = waiting(&bench, 15).await?;
    bench.host().run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-agent.service"]).await?;
    let pending = eventually(SOON, async || bench.list().await?.pending.context("it was forgotten")).await?;
    assert_eq!(pending.id, id.to_string());
    ensure!(bench.ask("c.test").await? == "new");
    is_old(&bench, id).await?;

    // The power is cut, and comes back before its time is over; and after that.
    let id = waiting(&bench, 3600).await?;
    bench.host().power_cut().await?;
    bench.host().start().await?;
    let pending = eventually(SOON, async || bench.list().await?.pending.context("it was forgotten")).await?;
    assert_eq!(pending.id, id.to_string());
    eventually(SOON, async || {
        ensure!(bench.ask("c.test").await? == "new");
        Ok(())
    })
    .await?;
    bench.client().revert(RevertNginxRequest { id: id.to_string() }).await?;
    is_old(&bench, id).await?;
    let id = waiting(&bench, 10).await?;
    bench.host().power_cut().await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    bench.host().start().await?;
    is_old(&bench, id).await?;

    // What is confirmed stays.
    let id = waiting(&bench, 10).await?;
    ensure!(bench.client().confirm(ConfirmNginxRequest { id: Uuid::new_v4().to_string() }).await.is_err());
    let tree = bench.client().confirm(ConfirmNginxRequest { id: id.to_string() }).await?.into_inner();
    ensure!(
        tree.pending.is_none() && tree.last.as_ref().is_some_and(|l| l.result == "confirmed"),
        "{:?}",
        tree.last
    );
    tokio::time::sleep(Duration::from_secs(11)).await;
    ensure!(
        bench.ask("c.test").await? == "new"
            && bench.list().await?.last.is_some_and(|l| l.result == "confirmed")
    );
    Ok(())
}

/// A mistake in the site that HMS is reached through would lock out whoever could mend it.
#[tokio::test]
async fn a_change_of_the_site_that_serves_hms_waits_though_nobody_asked() -> Result<()> {
    let bench = Bench::new().await?;
    // The controller tells its hosts this address.
    let own = bench.host().address().to_string();
    let answer = bench.apply(new_site(&own, "hms")).await?;
    let pending = answer.tree.and_then(|t| t.pending).context("nothing waits")?;
    let window = pending.deadline_usec - pending.applied_usec;
    ensure!((50_000_000..=70_000_000).contains(&window), "{pending:?}");
    bench.client().confirm(ConfirmNginxRequest { id: pending.id }).await?;
    let answer = bench.apply(new_site("other.test", "other")).await?;
    ensure!(answer.tree.is_some_and(|t| t.pending.is_none()), "another site waits for nothing");
    Ok(())
}
