//! Entries of the past.

use std::cmp::Ordering;

use hms_journal::{Entry, Journal, Step};
use hms_proto::{fault::Fault, names::UnitName};

use super::{
    chunks::{Chunks, Gone},
    entry::{self, Read},
    filter::Filter,
};

/// A query without a limit ends here.
const ALL: u32 = 1_000_000;
/// So many places are held to be turned around; of more, only the oldest is kept, and they are read again from there.
const HELD: usize = 10_000;
/// Entries that are looked at before it is asked whether anybody still waits.
const GLANCE: u32 = 4096;

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

/// Sends the entries, oldest first; with a limit, the newest.
pub(crate) fn query(filter: &Filter, limit: u32, out: &mut Chunks) -> Result<(), Stop> {
    let mut journal = filter.open()?;
    past(&mut journal, filter, limit, out)?;
    Ok(out.flush()?)
}

/// The same, of a journal that is open.
pub(crate) fn past(journal: &mut Journal, filter: &Filter, limit: u32, out: &mut Chunks) -> Result<(), Gone> {
    if let Some(after) = &filter.after
        && !journal.seek_cursor(after)
    {
        out.gap("vacuumed", 0)?;
    }
    if limit == 0 {
        match (&filter.after, filter.since) {
            (Some(_), _) => {}
            (None, Some(since)) => journal.seek_time(since),
            (None, None) => journal.seek_head(),
        }
        return forward(journal, filter, ALL, out);
    }
    let limit = limit.min(ALL);
    match newest(journal, filter, limit, out)? {
        Newest::All(entries) => entries.iter().rev().try_for_each(|entry| out.read(journal, entry)),
        Newest::From(oldest) => {
            journal.seek_cursor(&oldest.cursor);
            out.read(journal, &oldest)?;
            forward(journal, filter, limit - 1, out)
        }
    }
}

/// Sends entries from where the journal stands.
fn forward(journal: &mut Journal, filter: &Filter, limit: u32, out: &mut Chunks) -> Result<(), Gone> {
    let (mut sent, mut looked, mut scratch) = (0, 0_u32, Vec::new());
    while let Some(step) = journal.next() {
        looked = looked.wrapping_add(1);
        if looked.is_multiple_of(GLANCE) {
            out.is_wanted()?;
        }
        let Some(entry) = out.take(step)? else { continue };
        if filter.until.is_some_and(|until| entry.cursor.realtime > until) {
            break;
        }
        if filter.since.is_some_and(|since| entry.cursor.realtime < since) {
            continue;
        }
        if !filter.matches(journal, &entry, &mut scratch) {
            continue;
        }
        if sent == limit {
            return if limit == ALL { out.gap("limit", 0) } else { Ok(()) };
        }
        out.read(journal, &entry)?;
        sent += 1;
    }
    Ok(())
}

enum Newest {
    /// These, newest first.
    All(Vec<Entry>),
    /// They are too many to hold; this is the oldest of them.
    From(Entry),
}

/// Looks for the newest matches, from the end of the journal.
fn newest(journal: &mut Journal, filter: &Filter, limit: u32, out: &mut Chunks) -> Result<Newest, Gone> {
    match filter.until {
        Some(until) => journal.seek_time(until.saturating_add(1)),
        None => journal.seek_tail(),
    }
    let (mut found, mut oldest, mut count) = (Vec::new(), None, 0);
    let (mut looked, mut scratch) = (0_u32, Vec::new());
    while count < limit
        && let Some(step) = journal.previous()
    {
        looked = looked.wrapping_add(1);
        if looked.is_multiple_of(GLANCE) {
            out.is_wanted()?;
        }
        let Some(entry) = out.take(step)? else { continue };
        let is_old = filter.since.is_some_and(|since| entry.cursor.realtime < since)
            || filter.after.is_some_and(|after| entry.cursor.order(&after) != Ordering::Greater);
        if is_old {
            break;
        }
        if filter.matches(journal, &entry, &mut scratch) {
            count += 1;
            match found.len() < HELD {
                true => found.push(entry),
                false => oldest = Some(entry),
            }
        }
    }
    Ok(oldest.map_or(Newest::All(found), Newest::From))
}

/// What a unit wrote last since then. Empty when that cannot be read: it is only an addition to another message.
pub(crate) async fn last_words(unit: &UnitName, since_usec: i64, lines: u32) -> Vec<String> {
    let filter = Filter::of_unit(unit, u64::try_from(since_usec).unwrap_or(0));
    let read = tokio::task::spawn_blocking(move || {
        let Ok(mut journal) = filter.open() else { return Vec::new() };
        journal.seek_tail();
        let mut words = Vec::new();
        while words.len() < lines as usize
            && let Some(step) = journal.previous()
        {
            let Step::Entry(found) = step else { continue };
            if filter.since.is_some_and(|since| found.cursor.realtime < since) {
                break;
            }
            if let Some(Read::Entry(entry)) = entry::read(&mut journal, &found) {
                words.push(entry.message);
            }
        }
        words.reverse();
        words
    });
    read.await.unwrap_or_default()
}
