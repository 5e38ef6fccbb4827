//! Entries as they are written. The child that reads them is replaced when it ends, from the last entry that was read,
//! so that none is lost and none comes twice.

use std::time::Duration;

use hms_proto::names::Cursor;

use super::{
    chunks::Chunks,
    query::{Stop, end_of_journal, exists, is_wanted, query},
    reader::{Filter, Read, Reader, Walk},
};

const HISTORY: u32 = 100;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Sends the past, `caught_up`, and then each new entry, until nobody reads any more.
pub(crate) async fn follow(filter: &Filter, limit: u32, out: &mut Chunks) -> Result<(), Stop> {
    // Taken before the past is read: with nothing in the past, the live part begins here.
    let end = end_of_journal().await?;
    let limit = if limit == 0 && filter.after.is_none() { HISTORY } else { limit };
    let newest = query(filter, limit, out).await?;
    out.caught_up().await?;
    let resumed = filter.after.as_ref().map(|c| c.as_str().to_owned());
    let mut last = newest.or(resumed).or(end);
    let mut live = filter.clone();
    live.after = None;
    let mut backoff = BACKOFF_FIRST;
    loop {
        let before = last.clone();
        match read_live(&mut live, &mut last, out).await {
            Err(Stop::Gone) => return Err(Stop::Gone),
            Err(Stop::Fault(fault)) => {
                tracing::warn!(reason = fault.message, "journalctl ended, starting it again")
            }
            Ok(()) => tracing::warn!("journalctl ended, starting it again"),
        }
        backoff = if last == before { (backoff * 2).min(BACKOFF_MAX) } else { BACKOFF_FIRST };
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = out.closed() => return Err(Stop::Gone),
        }
        if let Some(cursor) = last.as_deref().and_then(|c| Cursor::try_from(c).ok())
            && !exists(&cursor).await?
        {
            out.gap("vacuumed", 0).await?;
        }
    }
}

/// Reads with one child, until it ends.
async fn read_live(filter: &mut Filter, last: &mut Option<String>, out: &mut Chunks) -> Result<(), Stop> {
    filter.after = last.as_deref().and_then(|c| Cursor::try_from(c).ok());
    let walk = filter.after.as_ref().map_or(Walk::FollowAll, |c| Walk::FollowFrom(c.as_str()));
    let mut reader = Reader::start(filter, walk)?;
    let gone = out.closed();
    tokio::pin!(gone);
    loop {
        let read = tokio::select! {
            read = reader.next() => read?,
            () = &mut gone => return Err(Stop::Gone),
        };
        match read {
            Read::Entry(entry) => {
                *last = Some(entry.cursor.clone());
                if is_wanted(filter, &entry) {
                    out.push(entry).await?;
                }
            }
            Read::Unreadable => out.gap("corrupt", 1).await?,
            Read::End => break,
        }
        if reader.is_drained() {
            out.flush().await?;
        }
    }
    out.flush().await?;
    Ok(reader.finish().await?)
}
