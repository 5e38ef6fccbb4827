//! Runs, jobs and warnings over gRPC. What is asked for is written down here; `crate::jobs` does it.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use hms_proto::{
    controller::v1::{
        AddScheduleRequest, CancelRequest, GetJobRequest, GetRunRequest, ListRunsRequest, ListRunsResponse,
        ListSchedulesRequest, ListSchedulesResponse, ListWarningsRequest, ListWarningsResponse,
        PauseScheduleRequest, RemoveScheduleRequest, RemoveScheduleResponse, Run, RunPreview, RunRequest,
        Schedule, job_service_server::JobService,
    },
    fault::{Fault, FaultKind},
    host::v1::{Job, JobOutput, JobOutputRequest, JobState},
    names::{HostName, ScriptName},
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{job_streams, schedules, session::caller_of};
use crate::{
    auth::Caller,
    db::{self, runs::Cursor},
    jobs::request::{self, Asker, Resolved},
    state::Core,
};

/// Runs on one page.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

pub(super) struct Jobs(pub(super) Arc<Core>);

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl JobService for Jobs {
    type OutputStream = Messages<JobOutput>;
    type WatchStream = Messages<Run>;

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<Run>, Status> {
        let caller = caller_of(&request)?.clone();
        Ok(Response::new(begin(&self.0, request.into_inner(), &caller).await?))
    }

    async fn preview(&self, request: Request<RunRequest>) -> Result<Response<RunPreview>, Status> {
        Ok(Response::new(preview(request::resolve(&self.0, request.get_ref()).await?)))
    }

    async fn get_run(&self, request: Request<GetRunRequest>) -> Result<Response<Run>, Status> {
        Ok(Response::new(run(&self.0, id(&request.get_ref().id)?).await?))
    }

    async fn list_runs(
        &self,
        request: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsResponse>, Status> {
        let scope = caller_of(&request)?.scope.clone();
        let (filter, after) = page(request.into_inner())?;
        let (runs, next) =
            db::runs::list(&self.0.db, &filter, &scope, after.as_ref()).await.map_err(Fault::from)?;
        let next_cursor = next.map(|cursor| cursor.to_string()).unwrap_or_default();
        Ok(Response::new(ListRunsResponse { runs, next_cursor }))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<Job>, Status> {
        Ok(Response::new(job(&self.0, id(&request.get_ref().id)?).await?.to_proto()))
    }

    async fn output(
        &self,
        request: Request<JobOutputRequest>,
    ) -> Result<Response<Self::OutputStream>, Status> {
        let asked = request.into_inner();
        let job = job(&self.0, id(&asked.id)?).await?;
        Ok(Response::new(Box::pin(job_streams::output(self.0.clone(), job.id, asked.offset, asked.follow))))
    }

    async fn watch(&self, request: Request<GetRunRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let id = id(&request.get_ref().id)?;
        run(&self.0, id).await?;
        Ok(Response::new(Box::pin(job_streams::watch(self.0.clone(), id))))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<Run>, Status> {
        let caller = caller_of(&request)?.clone();
        Ok(Response::new(cancel(&self.0, id(&request.get_ref().id)?, &caller).await?))
    }

    async fn list_schedules(
        &self,
        request: Request<ListSchedulesRequest>,
    ) -> Result<Response<ListSchedulesResponse>, Status> {
        let schedules = schedules::list(&self.0, &caller_of(&request)?.scope).await?;
        Ok(Response::new(ListSchedulesResponse { schedules }))
    }

    async fn add_schedule(&self, request: Request<AddScheduleRequest>) -> Result<Response<Schedule>, Status> {
        let caller = caller_of(&request)?.clone();
        Ok(schedules::add(&self.0, request.into_inner(), &caller).await?)
    }

    async fn pause_schedule(
        &self,
        request: Request<PauseScheduleRequest>,
    ) -> Result<Response<Schedule>, Status> {
        let PauseScheduleRequest { id, paused } = request.into_inner();
        Ok(schedules::pause(&self.0, &id, paused).await?)
    }

    async fn remove_schedule(
        &self,
        request: Request<RemoveScheduleRequest>,
    ) -> Result<Response<RemoveScheduleResponse>, Status> {
        Ok(schedules::remove(&self.0, &request.get_ref().id).await?)
    }

    async fn list_warnings(
        &self,
        request: Request<ListWarningsRequest>,
    ) -> Result<Response<ListWarningsResponse>, Status> {
        let host = &request.get_ref().host;
        if !host.is_empty() {
            HostName::try_from(host.as_str()).map_err(Fault::from)?;
        }
        let scope = &caller_of(&request)?.scope;
        let warnings = db::warnings::list(&self.0.db, host, scope).await.map_err(Fault::from)?;
        Ok(Response::new(ListWarningsResponse { warnings }))
    }
}

/// Begins a run; one that was begun with this id already is answered as it is.
async fn begin(core: &Core, request: RunRequest, caller: &Caller) -> Result<Run, Fault> {
    let id = match request.id.as_str() {
        "" => Uuid::now_v7(),
        text => id(text)?,
    };
    if let Some(known) = db::runs::get(&core.db, id).await? {
        return the_same(known, &request, caller);
    }
    let resolved = request::resolve(core, &request).await?;
    let asker =
        Asker { actor: caller.name.clone(), user_id: caller.id, source: caller.source, schedule_id: None };
    let new = resolved.into_run(request.clone(), id, asker);
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    let begun = db::runs::begin(&mut tx, &new).await?;
    tx.commit().await.map_err(db::Error::from)?;
    let run = run(core, id).await?;
    if begun { Ok(run) } else { the_same(run, &request, caller) }
}

fn the_same(known: Run, request: &RunRequest, caller: &Caller) -> Result<Run, Fault> {
    if known.script == request.script && known.actor == caller.name {
        return Ok(known);
    }
    Err(Fault::new(FaultKind::Conflict, format!("another run has the id {} already", known.id)))
}

fn preview(resolved: Resolved) -> RunPreview {
    let Resolved { script, bound, hosts, .. } = resolved;
    let unreachable = hosts.iter().filter(|host| !host.is_connected());
    RunPreview {
        unreachable: unreachable.map(|host| host.row.name.clone()).collect(),
        hosts: hosts.iter().map(|host| host.row.name.clone()).collect(),
        argv: std::iter::once(script.name).chain(bound.arguments).collect(),
        environment: bound.environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
    }
}

/// Marks a run, or one job of it, as not wanted any more.
async fn cancel(core: &Core, id: Uuid, caller: &Caller) -> Result<Run, Fault> {
    let job = db::jobs::get(&core.db, id).await?;
    let (run_id, job_id) = job.map_or((id, None), |job| (job.run_id, Some(job.id)));
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    // Nothing of it begins while this is written.
    if db::runs::lock(&mut tx, run_id).await?.is_some() {
        let by = (caller.id, caller.source.word());
        db::jobs::cancel(&mut tx, run_id, job_id, by, &format!("canceled by {}", caller.name)).await?;
        if job_id.is_none() {
            db::runs::cancel(&mut *tx, run_id).await?;
        }
    }
    tx.commit().await.map_err(db::Error::from)?;
    run(core, run_id).await
}

async fn run(core: &Core, id: Uuid) -> Result<Run, Fault> {
    db::runs::get(&core.db, id).await?.ok_or_else(|| {
        Fault::not_found("run", &id.to_string()).hint("`hmsctl jobs` shows the runs; old ones are removed.")
    })
}

async fn job(core: &Core, id: Uuid) -> Result<db::jobs::Job, Fault> {
    db::jobs::get(&core.db, id).await?.ok_or_else(|| {
        Fault::not_found("job", &id.to_string()).hint("`hmsctl jobs show RUN` shows the jobs of a run.")
    })
}

/// A UUID as people may type it.
pub(super) fn id(text: &str) -> Result<Uuid, Fault> {
    let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
    id.ok_or_else(|| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("`{shown}` is not the id of a run, a job or a schedule: it must be a UUID"))
    })
}

/// A filter whose values can be what they are for.
fn page(mut filter: ListRunsRequest) -> Result<(ListRunsRequest, Option<Cursor>), Fault> {
    filter.limit = match filter.limit {
        0 => PAGE,
        n if n <= LARGEST_PAGE => n,
        n => return Err(Fault::invalid(format!("limit {n} is more than {LARGEST_PAGE}"))),
    };
    if !filter.script.is_empty() {
        ScriptName::try_from(filter.script.as_str())?;
    }
    if !filter.host.is_empty() {
        HostName::try_from(filter.host.as_str())?;
    }
    if !filter.actor.is_empty() {
        hms_proto::names::UserName::try_from(filter.actor.as_str())?;
    }
    if !filter.schedule_id.is_empty() {
        filter.schedule_id = id(&filter.schedule_id)?.to_string();
    }
    if !filter.state.is_empty() && db::jobs::state(&filter.state) == JobState::Unspecified {
        let shown = filter.state.chars().take(64).flat_map(char::escape_debug).collect::<String>();
        return Err(Fault::invalid(format!("`{shown}` is no state of a run"))
            .hint("States are queued, running, unknown, succeeded, failed, canceled, timed_out and lost."));
    }
    let after = match filter.cursor.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|why: &str| Fault::invalid(why))?),
    };
    Ok((filter, after))
}
