//! The link to one host: watches its units and its measures, tells it who was revoked, and comes back by itself.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use hms_proto::{
    ACTOR_KEY, REQUEST_ID_KEY, ROLE_KEY,
    fault::{Fault, FaultKind},
    host::v1::{
        GetFactsRequest, GetUnitRequest, Metrics, PutRevocationsRequest, RevokedCertificate,
        WatchMetricsRequest, WatchUnitsRequest, WatchUnitsResponse, host_service_client::HostServiceClient,
        revocation_service_client::RevocationServiceClient, unit_service_client::UnitServiceClient,
        watch_units_response::Event,
    },
    names::UnitName,
};
use rand::Rng as _;
use tonic::{Request, Status, Streaming, metadata::MetadataValue, transport::Channel};

use super::{Fleet, Host, LinkState};

/// Between two samples of a host.
const INTERVAL_MS: u32 = 2_000;
/// The first answer of an agent has to come within this time.
const PATIENCE: Duration = Duration::from_secs(8);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Keeps the link until the host is forgotten.
pub(super) async fn run(host: Weak<Host>, fleet: Weak<Fleet>) {
    let mut failures = 0;
    while let (Some(host), Some(fleet)) = (host.upgrade(), fleet.upgrade()) {
        let mut synced = false;
        let fault = watch(&host, &fleet, &mut synced).await;
        failures = if synced { 0 } else { failures + 1 };
        tracing::info!(host = %host.row.name, reason = %fault, "lost the link");
        fleet.drew_state(&host, LinkState::Unreachable(fault.message));
        tokio::select! {
            () = tokio::time::sleep(wait_after(failures)) => {}
            () = host.retry.notified() => {}
        }
    }
}

/// 0.2 s, doubled with each failure up to the longest, and then between half and all of it: links that broke together
/// do not come back together.
fn wait_after(failures: u32) -> Duration {
    let wait = Duration::from_millis(200 << failures.min(6)).min(LONGEST_WAIT);
    wait.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// Draws the picture until something breaks.
async fn watch(host: &Host, fleet: &Fleet, synced: &mut bool) -> Fault {
    match watching(host, fleet, synced).await {
        Ok(never) => match never {},
        Err(status) => Fault::from_status(&status),
    }
}

async fn watching(host: &Host, fleet: &Fleet, synced: &mut bool) -> Result<std::convert::Infallible, Status> {
    let (mut measured, mut revoked) = (host.measured.subscribe(), fleet.revoked.subscribe());
    let told = revoked.borrow_and_update().clone();
    tell_revoked(host, told).await?;
    let mut units = UnitServiceClient::new(host.channel.clone());
    let mut events = in_time(units.watch(as_controller(WatchUnitsRequest {}))).await?.into_inner();
    let facts =
        in_time(HostServiceClient::new(host.channel.clone()).get_facts(as_controller(GetFactsRequest {})))
            .await?;
    fleet.drew_facts(host, facts.into_inner());
    snapshot(host, fleet, &mut events).await?;
    *synced = true;
    let mut wanted = measured.borrow_and_update().clone();
    look_for_unloaded(host, fleet, &wanted).await?;
    fleet.drew_state(host, LinkState::Connected);
    tracing::info!(host = %host.row.name, "linked");
    let mut metrics = open_metrics(host, &wanted).await?;
    loop {
        tokio::select! {
            event = events.message() => draw(host, fleet, event?, &wanted).await?,
            sample = metrics.message() => fleet.drew_metrics(host, sample?.ok_or_else(ended)?),
            changed = measured.changed() => {
                changed.map_err(|_| ended())?;
                wanted = measured.borrow_and_update().clone();
                look_for_unloaded(host, fleet, &wanted).await?;
                metrics = open_metrics(host, &wanted).await?;
            }
            changed = revoked.changed() => {
                changed.map_err(|_| ended())?;
                let told = revoked.borrow_and_update().clone();
                tell_revoked(host, told).await?;
            }
        }
    }
}

/// Only an agent that is not there is a broken link: one that cannot keep the list is still looked at.
async fn tell_revoked(host: &Host, certificates: Option<Arc<Vec<RevokedCertificate>>>) -> Result<(), Status> {
    let Some(certificates) = certificates else { return Ok(()) };
    let mut request = as_controller(PutRevocationsRequest { certificates: certificates.to_vec() });
    request.metadata_mut().insert(ROLE_KEY, MetadataValue::from_static("admin"));
    match in_time(RevocationServiceClient::new(host.channel.clone()).put(request)).await {
        Ok(_) => Ok(()),
        Err(status) if Fault::from_status(&status).kind() == FaultKind::Unreachable => Err(status),
        Err(status) => {
            let reason = Fault::from_status(&status).message;
            tracing::error!(host = %host.row.name, reason, "a host could not be told who was revoked");
            Ok(())
        }
    }
}

/// Takes the first events, up to `synced`, as the whole truth.
async fn snapshot(
    host: &Host,
    fleet: &Fleet,
    events: &mut Streaming<WatchUnitsResponse>,
) -> Result<(), Status> {
    let mut seen = std::collections::HashMap::new();
    loop {
        match in_time(events.message()).await?.ok_or_else(ended)?.event {
            Some(Event::Changed(unit)) => drop(seen.insert(unit.name.clone(), unit)),
            Some(Event::Removed(name)) => drop(seen.remove(&name)),
            Some(Event::Synced(_)) => break,
            None => {}
        }
    }
    host.draw(|p| {
        p.units = seen;
        p.seen_usec = super::picture::now_usec();
    });
    fleet.tell(super::Change::Directory);
    Ok(())
}

async fn draw(
    host: &Host,
    fleet: &Fleet,
    event: Option<WatchUnitsResponse>,
    wanted: &[UnitName],
) -> Result<(), Status> {
    match event.ok_or_else(ended)?.event {
        Some(Event::Changed(unit)) => fleet.drew_unit(host, unit),
        Some(Event::Removed(name)) => {
            host.draw(|p| p.units.remove(&name));
            // systemd forgets a stopped unit that nothing refers to; it is still installed.
            let mine: Vec<UnitName> = wanted.iter().filter(|w| w.as_str() == name).cloned().collect();
            look_for_unloaded(host, fleet, &mine).await?;
            fleet.tell(super::Change::Unit(host.row.id, name));
        }
        // The agent lost its bus and drew everything anew: what came since is complete already.
        Some(Event::Synced(_)) | None => {}
    }
    Ok(())
}

/// Asks for app units that systemd has not loaded.
async fn look_for_unloaded(host: &Host, fleet: &Fleet, wanted: &[UnitName]) -> Result<(), Status> {
    for name in wanted.iter().filter(|w| !host.look(|p| p.units.contains_key(w.as_str()))) {
        let request = as_controller(GetUnitRequest { unit: name.to_string() });
        match in_time(UnitServiceClient::new(host.channel.clone()).get(request)).await {
            Ok(unit) => fleet.drew_unit(host, unit.into_inner()),
            Err(status) if Fault::from_status(&status).kind() == FaultKind::NotFound => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

async fn open_metrics(host: &Host, units: &[UnitName]) -> Result<Streaming<Metrics>, Status> {
    let units = units.iter().map(ToString::to_string).collect();
    let request = as_controller(WatchMetricsRequest { interval_ms: INTERVAL_MS, units });
    let client: HostServiceClient<Channel> = HostServiceClient::new(host.channel.clone());
    Ok(in_time({
        let mut client = client;
        async move { client.watch_metrics(request).await }
    })
    .await?
    .into_inner())
}

/// A request of the controller itself, which looks with the least role that may.
pub(crate) fn as_controller<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(ACTOR_KEY, MetadataValue::from_static("controller"));
    metadata.insert(ROLE_KEY, MetadataValue::from_static("viewer"));
    metadata.insert(REQUEST_ID_KEY, MetadataValue::from_static("fleet"));
    request
}

/// An agent that does not begin to answer in time is unreachable.
pub(crate) async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| {
        Err(Fault::new(FaultKind::Unreachable, "the agent did not answer within 8 s").into())
    })
}

fn ended() -> Status {
    Fault::new(FaultKind::Unreachable, "the agent ended the stream").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_its_limit_and_varies() {
        assert!(wait_after(0) <= Duration::from_millis(200));
        assert!((0..50).all(|_| (LONGEST_WAIT / 2..=LONGEST_WAIT).contains(&wait_after(30))));
        let waits: Vec<_> = (0..20).map(|_| wait_after(9)).collect();
        assert!(waits.iter().any(|w| *w != waits[0]));
    }
}
