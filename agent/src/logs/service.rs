//! LogService: parse, start reading, hand the stream on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{
        LogChunk, LogHistogram, LogHistogramRequest, LogQuery, LogSources, LogSourcesRequest,
        log_service_server::LogService,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    chunks::Chunks,
    follow::follow,
    histogram::histogram,
    names,
    query::{Ask, Stop, query},
    source::Wanted,
};
use crate::internal;

/// Each holds a thread and two chunks.
const FOLLOWS: usize = 64;
const QUERIES: usize = 16;
/// Chunks that may wait; then the thread waits, too.
const CHUNKS: usize = 2;

/// The service.
#[derive(Debug)]
pub(crate) struct Logs {
    follows: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    /// The agent's folder.
    state: PathBuf,
}

impl Logs {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            follows: Arc::new(Semaphore::new(FOLLOWS)),
            queries: Arc::new(Semaphore::new(QUERIES)),
            state: state.to_owned(),
        }
    }
}

type Chunked = ReceiverStream<Result<LogChunk, Status>>;

fn place(places: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Fault> {
    places.clone().try_acquire_owned().map_err(|_| Fault {
        retry_after_s: 5,
        ..Fault::new(FaultKind::Throttled, format!("too many log {what} are open on this host"))
    })
}

#[tonic::async_trait]
impl LogService for Logs {
    type QueryStream = Chunked;

    async fn query(&self, request: Request<LogQuery>) -> Result<Response<Chunked>, Status> {
        let ask = Ask::parse(&request.into_inner(), &self.state)?;
        Ok(stream(place(&self.queries, "queries")?, move |out| query(&ask, out)))
    }

    type FollowStream = Chunked;

    async fn follow(&self, request: Request<LogQuery>) -> Result<Response<Chunked>, Status> {
        let ask = Ask::parse(&request.into_inner(), &self.state)?;
        ask.check_follow()?;
        Ok(stream(place(&self.follows, "streams")?, move |out| follow(ask, out)))
    }

    async fn histogram(
        &self,
        request: Request<LogHistogramRequest>,
    ) -> Result<Response<LogHistogram>, Status> {
        let request = request.into_inner();
        let ask = Ask::parse(&request.query.unwrap_or_default(), &self.state)?;
        let place = place(&self.queries, "queries")?;
        // Dropped with the call, when nobody waits for its answer any more.
        let gone = CancellationToken::new();
        let _gone = gone.clone().drop_guard();
        let wanted = Wanted::new(move || !gone.is_cancelled());
        let counted = blocking(move || {
            let counted = histogram(&ask, request.buckets, &wanted);
            drop(place);
            counted
        });
        Ok(Response::new(counted.await?))
    }

    async fn sources(&self, request: Request<LogSourcesRequest>) -> Result<Response<LogSources>, Status> {
        let names = names::of_host(&request.into_inner().apps, &self.state)?;
        let logs = blocking(move || names.list()).await?;
        Ok(Response::new(LogSources { logs }))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(internal(format!("reading logs failed: {error}"))))
}

/// Runs the reading in a thread of its own, and answers with what it sends.
fn stream(
    place: OwnedSemaphorePermit,
    read: impl FnOnce(&mut Chunks) -> Result<(), Stop> + Send + 'static,
) -> Response<Chunked> {
    let (to, chunks) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut out = Chunks::new(to, place);
        if let Err(Stop::Fault(fault)) = read(&mut out) {
            out.fail(fault.into());
        }
    });
    Response::new(ReceiverStream::new(chunks))
}
