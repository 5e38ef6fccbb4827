//! HostService: facts, and a sample each interval.

use std::{sync::Arc, time::Duration};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{Facts, GetFactsRequest, Metrics, WatchMetricsRequest, host_service_server::HostService},
    names::UnitName,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{facts, sampler::Sampler};
use crate::{internal, systemd::Bus};

const STREAMS: usize = 64;
const UNITS_MAX: usize = 200;
const INTERVAL_MS: u32 = 2000;

/// The service.
#[derive(Debug)]
pub(crate) struct Host {
    bus: Arc<Bus>,
    streams: Arc<Semaphore>,
}

impl Host {
    /// Over this connection to systemd.
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus, streams: Arc::new(Semaphore::new(STREAMS)) }
    }
}

fn interval_of(ms: u32) -> Result<Duration, Fault> {
    match ms {
        0 => Ok(Duration::from_millis(INTERVAL_MS.into())),
        500..=60_000 => Ok(Duration::from_millis(ms.into())),
        _ => Err(Fault::invalid(format!("`{ms}` is not an interval: it must be 500 to 60000 milliseconds"))),
    }
}

#[tonic::async_trait]
impl HostService for Host {
    async fn get_facts(&self, _: Request<GetFactsRequest>) -> Result<Response<Facts>, Status> {
        let session = self.bus.session().await.ok();
        Ok(Response::new(facts::read(session.as_deref()).await?))
    }

    type WatchMetricsStream = ReceiverStream<Result<Metrics, Status>>;

    async fn watch_metrics(
        &self,
        request: Request<WatchMetricsRequest>,
    ) -> Result<Response<Self::WatchMetricsStream>, Status> {
        let request = request.into_inner();
        let interval = interval_of(request.interval_ms)?;
        if request.units.len() > UNITS_MAX {
            return Err(Fault::invalid(format!("at most {UNITS_MAX} units can be measured at once")).into());
        }
        let units = request.units.iter().map(|u| UnitName::try_from(u.as_str()).map_err(Fault::from));
        let units = units.collect::<Result<Vec<_>, _>>()?;
        let permit = self.streams.clone().try_acquire_owned();
        let permit = permit.map_err(|_| {
            Fault::new(FaultKind::Throttled, "too many metrics streams are open on this host")
        })?;
        // One sample may wait: a slow reader gets fewer of them, and none that is old.
        let (to, samples) = mpsc::channel(1);
        tokio::spawn(watch(self.bus.clone(), units, interval, to, permit));
        Ok(Response::new(ReceiverStream::new(samples)))
    }
}

async fn watch(
    bus: Arc<Bus>,
    units: Vec<UnitName>,
    interval: Duration,
    to: mpsc::Sender<Result<Metrics, Status>>,
    _permit: OwnedSemaphorePermit,
) {
    // Held so that the connection to systemd is not made anew for each sample.
    let mut session = None;
    let mut sampler = Sampler::default();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = to.closed() => return,
        }
        if !units.is_empty() {
            session = bus.session().await.ok();
        }
        let sample = sampler.sample(&bus, &units).await;
        let sample = sample.map_err(|e| Status::from(internal(format!("cannot read /proc: {e}"))));
        let failed = sample.is_err();
        if to.send(sample).await.is_err() || failed {
            break;
        }
    }
    drop(session);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval_of(0).unwrap(), Duration::from_secs(2));
        assert_eq!(interval_of(500).unwrap(), Duration::from_millis(500));
        assert!(interval_of(499).is_err() && interval_of(60_001).is_err());
    }
}
