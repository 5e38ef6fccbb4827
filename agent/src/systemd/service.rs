//! UnitService: parse, act, answer.

use std::sync::Arc;

use hms_proto::{
    fault::Fault,
    host::v1::{
        GetUnitRequest, ListUnitsRequest, ListUnitsResponse, Unit, UnitActionRequest, UnitActionResponse,
        WatchUnitsRequest, WatchUnitsResponse, unit_service_server::UnitService,
    },
    names::UnitName,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    action::{Busy, act},
    bus::{Bus, fault_of},
    policy::Verb,
    unit,
    watch::Watcher,
};

/// Events that may wait for a slow reader; its picture is compared again after that.
const EVENTS: usize = 64;

/// The service.
#[derive(Debug)]
pub(crate) struct Units {
    bus: Arc<Bus>,
    busy: Busy,
    watcher: Watcher,
}

impl Units {
    /// Over this connection.
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus, busy: Busy::default(), watcher: Watcher::default() }
    }

    async fn act(
        &self,
        verb: Verb,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        let name = parse(&request.get_ref().unit)?;
        Ok(Response::new(act(&self.bus, &self.busy, verb, &name).await?))
    }
}

fn parse(name: &str) -> Result<UnitName, Fault> {
    UnitName::try_from(name).map_err(Fault::from)
}

#[tonic::async_trait]
impl UnitService for Units {
    async fn list(&self, request: Request<ListUnitsRequest>) -> Result<Response<ListUnitsResponse>, Status> {
        let names = request.get_ref().units.iter().map(|n| parse(n)).collect::<Result<Vec<_>, _>>()?;
        let session = self.bus.session().await?;
        let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n.as_str() == name);
        let units = unit::read_all(&session, wanted).await.map_err(|e| fault_of(&e, "*"))?;
        Ok(Response::new(ListUnitsResponse { units }))
    }

    async fn get(&self, request: Request<GetUnitRequest>) -> Result<Response<Unit>, Status> {
        let name = parse(&request.get_ref().unit)?;
        let fault = |e| fault_of(&e, name.as_str());
        let session = self.bus.session().await?;
        let loaded = unit::load(&session, &name).await?;
        let unit = unit::read(&session, &loaded.path).await.map_err(fault)?;
        let unit = unit.ok_or_else(|| Fault::not_found("unit", name.as_str()))?;
        let unit_file_state = unit::unit_file_state(&session, &loaded.path).await.map_err(fault)?;
        Ok(Response::new(Unit { unit_file_state, ..unit }))
    }

    async fn start(
        &self,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        self.act(Verb::Start, request).await
    }

    async fn stop(
        &self,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        self.act(Verb::Stop, request).await
    }

    async fn restart(
        &self,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        self.act(Verb::Restart, request).await
    }

    async fn reload(
        &self,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        self.act(Verb::Reload, request).await
    }

    async fn enable(
        &self,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        self.act(Verb::Enable, request).await
    }

    async fn disable(
        &self,
        request: Request<UnitActionRequest>,
    ) -> Result<Response<UnitActionResponse>, Status> {
        self.act(Verb::Disable, request).await
    }

    type WatchStream = ReceiverStream<Result<WatchUnitsResponse, Status>>;

    async fn watch(&self, _: Request<WatchUnitsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (to, events) = mpsc::channel(EVENTS);
        self.watcher.watch(self.bus.clone(), to).await;
        Ok(Response::new(ReceiverStream::new(events)))
    }
}
