//! Entries of the past.

use hms_proto::{
    fault::Fault,
    host::v1::LogEntry,
    names::{Cursor, UnitName},
};

use super::{
    chunks::{Chunks, Gone},
    entry,
    reader::{Filter, Read, Reader, Walk},
};

/// A query without a limit ends here.
const ALL: u32 = 1_000_000;
/// So much is kept in memory to turn it around; more is read twice.
const HELD_ENTRIES: usize = 10_000;
const HELD_BYTES: usize = 32 * 1024 * 1024;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads any more.
    Gone,
    /// It went wrong.
    Fault(Fault),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Sends the entries, oldest first; with a limit, the newest. Returns the cursor of the newest entry that was looked at.
pub(crate) async fn query(filter: &Filter, limit: u32, out: &mut Chunks) -> Result<Option<String>, Stop> {
    if let Some(after) = &filter.after
        && !exists(after).await?
    {
        out.gap("vacuumed", 0).await?;
    }
    let limit = limit.min(ALL);
    if limit == 0 {
        let walk = filter.after.as_ref().map_or(Walk::Forward, |c| Walk::From(c.as_str()));
        return forward(filter, walk, ALL, out).await;
    }
    let unbounded = filter.since.is_none() && filter.until.is_none() && filter.after.is_none();
    if unbounded && !filter.greps() {
        return forward(filter, Walk::Tail(limit), limit, out).await;
    }
    match newest(filter, limit).await? {
        Newest::Entries(entries) => {
            let last = entries.first().map(|e| e.cursor.clone());
            for entry in entries.into_iter().rev() {
                out.push(entry).await?;
            }
            Ok(last)
        }
        Newest::From(cursor) => forward(filter, Walk::From(&cursor), limit, out).await,
    }
}

/// Sends entries in the order in which they are read.
async fn forward(
    filter: &Filter,
    walk: Walk<'_>,
    limit: u32,
    out: &mut Chunks,
) -> Result<Option<String>, Stop> {
    let mut reader = Reader::start(filter, walk)?;
    let gone = out.closed();
    tokio::pin!(gone);
    let (mut sent, mut last) = (0, None);
    loop {
        let read = tokio::select! {
            read = reader.next() => read?,
            () = &mut gone => return Err(Stop::Gone),
        };
        match read {
            Read::Entry(entry) => {
                last = Some(entry.cursor.clone());
                if !is_wanted(filter, &entry) {
                    continue;
                }
                out.push(entry).await?;
                sent += 1;
                if sent == limit {
                    return Ok(last);
                }
            }
            Read::Unreadable => out.gap("corrupt", 1).await?,
            Read::End => break,
        }
    }
    reader.finish().await?;
    Ok(last)
}

/// A walk from a cursor begins with the entry at it, and knows no `since`.
pub(crate) fn is_wanted(filter: &Filter, entry: &LogEntry) -> bool {
    let is_after = filter.after.as_ref().is_none_or(|c| c.as_str() != entry.cursor);
    is_after && filter.since.is_none_or(|since| entry.time_usec >= since) && filter.matches(entry)
}

enum Newest {
    /// They are here, newest first.
    Entries(Vec<LogEntry>),
    /// They are too many to hold; this is the oldest of them.
    From(String),
}

/// Looks for the newest matches, from the end of the journal.
async fn newest(filter: &Filter, limit: u32) -> Result<Newest, Fault> {
    let mut reader = Reader::start(filter, Walk::Reverse)?;
    let (mut entries, mut bytes, mut count, mut oldest) = (Vec::new(), 0, 0, None);
    loop {
        let entry = match reader.next().await? {
            Read::Entry(entry) => entry,
            Read::Unreadable => continue,
            Read::End => break,
        };
        if filter.after.as_ref().is_some_and(|after| is_at_or_before(&entry, after)) {
            break;
        }
        if !filter.matches(&entry) {
            continue;
        }
        count += 1;
        bytes += entry::size(&entry);
        if oldest.is_some() || entries.len() >= HELD_ENTRIES || bytes > HELD_BYTES {
            entries = Vec::new();
            oldest = Some(entry.cursor);
        } else {
            entries.push(entry);
        }
        if count == limit {
            break;
        }
    }
    Ok(oldest.map_or(Newest::Entries(entries), Newest::From))
}

/// Going back, the walk has come to the cursor or past it.
fn is_at_or_before(entry: &LogEntry, cursor: &Cursor) -> bool {
    if entry.cursor == cursor.as_str() {
        return true;
    }
    let number = |text: &str, key: &str| {
        let part = text.split(';').find_map(|p| p.strip_prefix(key)).map(str::to_owned);
        part.and_then(|hex| u64::from_str_radix(&hex, 16).ok())
    };
    let source = |text: &str| text.split(';').find_map(|p| p.strip_prefix("s=")).map(str::to_owned);
    if source(&entry.cursor) == source(cursor.as_str()) {
        // Numbers count up within one source.
        return number(&entry.cursor, "i=") <= number(cursor.as_str(), "i=");
    }
    let at = number(cursor.as_str(), "t=").and_then(|t| i64::try_from(t).ok());
    at.is_some_and(|at| entry.time_usec < at)
}

/// Whether the entry of this cursor is still in the journal.
pub(crate) async fn exists(cursor: &Cursor) -> Result<bool, Fault> {
    Ok(Reader::one(Some(cursor))?.next_cursor().await?.as_deref() == Some(cursor.as_str()))
}

/// The cursor of the newest entry of all.
pub(crate) async fn end_of_journal() -> Result<Option<String>, Fault> {
    Reader::one(None)?.next_cursor().await
}

/// What a unit wrote last since then. Empty when that cannot be read: it is only an addition to another message.
pub(crate) async fn last_words(unit: &UnitName, since_usec: i64, lines: u32) -> Vec<String> {
    match newest(&Filter::of_unit(unit, since_usec), lines).await {
        Ok(Newest::Entries(entries)) => entries.into_iter().rev().map(|e| e.message).collect(),
        Ok(Newest::From(_)) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_back_stops_at_the_cursor_or_past_it() {
        let cursor = Cursor::try_from("s=aa;i=10;b=1;m=2;t=64;x=1").unwrap();
        let entry =
            |cursor: &str, time_usec| LogEntry { cursor: cursor.into(), time_usec, ..LogEntry::default() };
        assert!(is_at_or_before(&entry("s=aa;i=10;b=1;m=2;t=64;x=1", 100), &cursor));
        assert!(is_at_or_before(&entry("s=aa;i=f;b=1;m=2;t=63;x=1", 99), &cursor));
        assert!(!is_at_or_before(&entry("s=aa;i=11;b=1;m=2;t=63;x=1", 99), &cursor));
        assert!(!is_at_or_before(&entry("s=bb;i=1;b=1;m=2;t=65;x=1", 101), &cursor));
        assert!(is_at_or_before(&entry("s=bb;i=99;b=1;m=2;t=63;x=1", 99), &cursor));
    }
}
