//! Entries as they are written. journald tells nobody at once, but an entry is in its file at once: the head of the file
//! is looked at every few milliseconds, while somebody follows.

use std::{thread, time::Duration};

use hms_journal::Journal;

use super::{
    chunks::Chunks,
    filter::Filter,
    query::{Stop, past},
};

const HISTORY: u32 = 100;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(4);

/// Sends the past, `caught_up`, and then each new entry, until nobody reads any more.
pub(crate) fn follow(filter: &Filter, limit: u32, out: &mut Chunks) -> Result<(), Stop> {
    let mut journal = filter.open()?;
    let limit = if limit == 0 && filter.after.is_none() { HISTORY } else { limit };
    past(&mut journal, filter, limit, out)?;
    out.caught_up()?;
    // What was written since the journal was opened is seen by the first look.
    journal.seek_tail();
    loop {
        thread::sleep(LOOK);
        out.is_wanted()?;
        if journal.refresh() {
            new(&mut journal, filter, out)?;
        }
    }
}

fn new(journal: &mut Journal, filter: &Filter, out: &mut Chunks) -> Result<(), Stop> {
    let mut scratch = Vec::new();
    while let Some(step) = journal.next() {
        let Some(entry) = out.take(step)? else { continue };
        if filter.matches(journal, &entry, &mut scratch) {
            out.read(journal, &entry)?;
        }
    }
    Ok(out.flush()?)
}
