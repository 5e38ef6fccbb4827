//! LogService: parse, start reading, hand the stream on.

use std::sync::Arc;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogChunk, LogQuery, log_service_server::LogService},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    chunks::Chunks,
    filter::Filter,
    follow::follow,
    query::{Stop, query},
};

/// Each holds a thread and two chunks.
const FOLLOWS: usize = 64;
const QUERIES: usize = 16;
/// Chunks that may wait; then the thread waits, too.
const CHUNKS: usize = 2;

/// The service.
#[derive(Debug)]
pub(crate) struct Journal {
    follows: Arc<Semaphore>,
    queries: Arc<Semaphore>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { follows: Arc::new(Semaphore::new(FOLLOWS)), queries: Arc::new(Semaphore::new(QUERIES)) }
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
impl LogService for Journal {
    type QueryStream = Chunked;

    async fn query(&self, request: Request<LogQuery>) -> Result<Response<Chunked>, Status> {
        let request = request.into_inner();
        let filter = Filter::try_from(&request)?;
        Ok(stream(place(&self.queries, "queries")?, move |out| query(&filter, request.limit, out)))
    }

    type FollowStream = Chunked;

    async fn follow(&self, request: Request<LogQuery>) -> Result<Response<Chunked>, Status> {
        let request = request.into_inner();
        let filter = Filter::try_from(&request)?;
        if filter.until.is_some() {
            return Err(Fault::invalid("an end does not go with following: leave `until` out").into());
        }
        Ok(stream(place(&self.follows, "streams")?, move |out| follow(&filter, request.limit, out)))
    }
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
