//! Entries as they are written. journald tells nobody at once, but an entry is in its file at once: the head of the file
//! is looked at every few milliseconds, while somebody follows.

use std::{thread, time::Duration};

use super::{
    chunks::Chunks,
    merge::Merge,
    query::{Ask, Stop, past, send},
    source::Step,
};

const HISTORY: u32 = 100;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(4);
/// Looks without anything new, after which it is told how far everything was read.
const QUIET: u32 = 250;

/// Sends the past, `caught_up`, and then each new entry, until nobody reads any more.
pub(crate) fn follow(mut ask: Ask, out: &mut Chunks) -> Result<(), Stop> {
    if ask.limit == 0 && ask.after.is_none() {
        ask.limit = HISTORY;
    }
    let mut merge = ask.open(&out.wanted())?;
    past(&mut merge, &ask, out)?;
    // What the past left unread would come after what is written now.
    drain(&mut merge, out)?;
    merge.rest();
    let place = merge.place();
    out.caught_up(&place)?;
    let mut quiet = 0;
    loop {
        thread::sleep(LOOK);
        out.is_wanted()?;
        if merge.refresh() {
            quiet = 0;
            drain(&mut merge, out)?;
            if out.has_entries() {
                let place = merge.place();
                out.flush(Some(&place))?;
            }
        } else {
            quiet += 1;
            if quiet % QUIET == 0 {
                merge.rest();
                out.flush(Some(&merge.place()))?;
            }
        }
    }
}

fn drain(merge: &mut Merge, out: &mut Chunks) -> Result<(), Stop> {
    while let Some(step) = merge.next() {
        match step {
            Step::Gap(gap) => out.gap(gap)?,
            Step::Found(found) => send(merge, found, out)?,
        }
    }
    Ok(())
}
