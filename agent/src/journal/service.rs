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
    follow::follow,
    query::{Stop, query},
    reader::Filter,
};

/// Each holds a child and two chunks.
const FOLLOWS: usize = 64;
const QUERIES: usize = 16;
/// Chunks that may wait; then the child waits, too.
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
        let (to, chunks) = mpsc::channel(CHUNKS);
        let mut out = Chunks::new(to, place(&self.queries, "queries")?);
        tokio::spawn(async move {
            let gone = out.closed();
            let ended = tokio::select! {
                ended = query(&filter, request.limit, &mut out) => ended.map(drop),
                () = gone => Err(Stop::Gone),
            };
            end(ended, out).await;
        });
        Ok(Response::new(ReceiverStream::new(chunks)))
    }

    type FollowStream = Chunked;

    async fn follow(&self, request: Request<LogQuery>) -> Result<Response<Chunked>, Status> {
        let request = request.into_inner();
        let filter = Filter::try_from(&request)?;
        if filter.until.is_some() {
            return Err(Fault::invalid("an end does not go with following: leave `until` out").into());
        }
        let (to, chunks) = mpsc::channel(CHUNKS);
        let mut out = Chunks::new(to, place(&self.follows, "streams")?);
        tokio::spawn(async move {
            let gone = out.closed();
            let ended = tokio::select! {
                ended = follow(&filter, request.limit, &mut out) => ended,
                () = gone => Err(Stop::Gone),
            };
            end(ended, out).await;
        });
        Ok(Response::new(ReceiverStream::new(chunks)))
    }
}

async fn end(ended: Result<(), Stop>, mut out: Chunks) {
    match ended {
        Err(Stop::Gone) => {}
        Err(Stop::Fault(fault)) => {
            drop(out.flush().await);
            out.fail(fault.into()).await;
        }
        Ok(()) => drop(out.flush().await),
    }
}
