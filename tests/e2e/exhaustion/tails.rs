//! A thousand tails that nobody reads, while much is written.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{LogChunk, LogQuery, log_service_client::LogServiceClient};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::attack::scene::{HOST, Scene};

/// An answer that comes later than this is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many tails on one connection: as many streams as it may have.
const EACH: usize = 250;

/// So much is written meanwhile.
const LINES: usize = 20_000;

/// Security case 100.
pub(super) async fn round(scene: &mut Scene) -> Result<()> {
    let visitor = scene.visitor.clone();
    // They are held until both processes have been measured.
    let mut tails = Vec::new();
    let attack = async || {
        tails.clear();
        let mut refused = 0;
        for port in ["controller", "controller", "agent", "agent"] {
            for tail in open(&visitor.channel(port)?).await? {
                match tail {
                    Ok(tail) => tails.push(tail),
                    Err(status) => {
                        ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
                        refused += 1;
                    }
                }
            }
        }
        ensure!(!tails.is_empty() && refused > 0, "{} are open, {refused} were refused", tails.len());
        let text = format!("seq -f 'line %.0f {}' {LINES}", "x".repeat(500));
        let writer = ["systemd-run", "--wait", "--collect", "--property=LogRateLimitIntervalSec=0"];
        visitor.run(&[&writer[..], &["bash", "-c", &text]].concat()).await?;
        Ok(tails.len() + refused)
    };
    scene.round("tails", attack).await?;
    // Who waits still gets what was written, or is told what is missing.
    let tail = tails.pop().context("no tail")?;
    drop(tails);
    timeout(PATIENCE, complete(tail)).await.context("the tail stands still")?
}

async fn open(channel: &Channel) -> Result<Vec<Result<Streaming<LogChunk>, Status>>> {
    let opened = (0..EACH).map(|_| async {
        let query = LogQuery { limit: 1, ..LogQuery::default() };
        let mut request = Request::new(query);
        request.metadata_mut().insert(HOST_KEY, HOST.parse().expect("it is ASCII"));
        let call = timeout(PATIENCE, LogServiceClient::new(channel.clone()).follow(request)).await;
        anyhow::Ok(call.context("no answer")?.map(tonic::Response::into_inner))
    });
    join_all(opened).await.into_iter().collect()
}

/// Reads up to the last line: none is missing without a word.
async fn complete(mut tail: Streaming<LogChunk>) -> Result<()> {
    let mut next = 1;
    while next <= LINES {
        let chunk = tail.message().await?.context("the tail has ended")?;
        let had_gap = chunk.gap.is_some();
        for entry in chunk.entries {
            let Some(number) = number_of(&entry.message) else { continue };
            ensure!(had_gap || number == next, "line {number} comes where {next} was waited for");
            next = number + 1;
        }
    }
    Ok(())
}

fn number_of(message: &str) -> Option<usize> {
    message.strip_prefix("line ")?.split(' ').next()?.parse().ok()
}
