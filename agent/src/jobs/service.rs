//! JobService: parse, act, answer.

use std::sync::Arc;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{
        CancelJobRequest, GetJobRequest, Job, JobOutput, JobOutputRequest, ListJobsRequest, ListJobsResponse,
        StartJobRequest, job_service_server::JobService,
    },
    names::JobId,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Jobs, output};
use crate::access::Caller;

/// Each holds a file and two pieces.
const STREAMS: usize = 64;
/// Pieces that may wait for a slow reader; then reading waits, too.
const PIECES: usize = 2;
const LIST_USUAL: u32 = 100;
const LIST_MOST: u32 = 1000;

/// The service.
#[derive(Debug)]
pub(crate) struct JobsApi {
    jobs: Arc<Jobs>,
    streams: Arc<Semaphore>,
}

impl JobsApi {
    /// Of these jobs.
    pub(crate) fn new(jobs: Arc<Jobs>) -> Self {
        Self { jobs, streams: Arc::new(Semaphore::new(STREAMS)) }
    }
}

fn parse(id: &str) -> Result<JobId, Fault> {
    JobId::try_from(id).map_err(Fault::from)
}

fn actor<T>(request: &Request<T>) -> Result<String, Fault> {
    let caller = request.extensions().get::<Caller>();
    caller.map(|c| c.actor.clone()).ok_or_else(|| crate::internal("the caller of a job is not known"))
}

#[tonic::async_trait]
impl JobService for JobsApi {
    async fn start(&self, request: Request<StartJobRequest>) -> Result<Response<Job>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(self.jobs.start(request.into_inner(), &actor).await?))
    }

    async fn get(&self, request: Request<GetJobRequest>) -> Result<Response<Job>, Status> {
        Ok(Response::new(self.jobs.get(&parse(&request.get_ref().id)?).await?))
    }

    async fn list(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => LIST_USUAL,
            limit @ 1..=LIST_MOST => limit,
            limit => return Err(Fault::invalid(format!("{limit} jobs are too many: at most 1,000")).into()),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let jobs = match request.running {
            true => self.jobs.running().await?.iter().take(limit).map(super::record::Entry::job).collect(),
            false => self.jobs.list(limit).await?,
        };
        Ok(Response::new(ListJobsResponse { jobs }))
    }

    type OutputStream = ReceiverStream<Result<JobOutput, Status>>;

    async fn output(
        &self,
        request: Request<JobOutputRequest>,
    ) -> Result<Response<Self::OutputStream>, Status> {
        let request = request.into_inner();
        let id = parse(&request.id)?;
        self.jobs.get(&id).await?;
        let permit = self.streams.clone().try_acquire_owned().map_err(|_| Fault {
            retry_after_s: 5,
            ..Fault::new(FaultKind::Throttled, "too many outputs of jobs are read on this host")
        })?;
        let (to, pieces) = mpsc::channel(PIECES);
        let jobs = self.jobs.clone();
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = output::send(&jobs, &id, request.offset, request.follow, &to) => {}
                () = to.closed() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(pieces)))
    }

    async fn cancel(&self, request: Request<CancelJobRequest>) -> Result<Response<Job>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(self.jobs.cancel(&parse(&request.get_ref().id)?, &actor).await?))
    }
}
