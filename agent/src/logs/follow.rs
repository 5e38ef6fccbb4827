//! Entries as they are written. journald tells nobody at once, but an entry is in its file at once: the head of the file
//! is looked at every few milliseconds, while somebody follows.

use std::{collections::VecDeque, thread, time::Duration};

use hms_proto::host::v1::LogGap;

use super::{
    chunks::Chunks,
    merge::Merge,
    query::{Ask, HELD, HELD_BYTES, Stop, past, send},
    source::{Found, Step},
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
        if out.was_late() {
            catch_up(merge, out)?;
        }
    }
    Ok(())
}

/// A reader that was late gets the newest of what it has not read, and is told how much comes before that. Otherwise it would
/// be behind for ever, when more is written than it can take.
fn catch_up(merge: &mut Merge, out: &mut Chunks) -> Result<(), Stop> {
    let mut newest = Newest::default();
    // What was known when it began to wait, and what was written since.
    newest.take(merge, out)?;
    merge.refresh();
    newest.take(merge, out)?;
    if newest.missed.count > 0 {
        out.gap(LogGap { reason: "slow".into(), ..newest.missed })?;
    }
    for found in newest.held {
        let read = merge.read(found);
        if out.add(read)? {
            // What the sources stand behind comes only with the last of these.
            out.flush(None)?;
        }
    }
    Ok(out.flush(Some(&merge.place()))?)
}

/// The newest entries, as many as are held, and how many came before them.
#[derive(Default)]
struct Newest {
    held: VecDeque<Found>,
    bytes: usize,
    missed: LogGap,
}

impl Newest {
    /// Takes all that is known.
    fn take(&mut self, merge: &mut Merge, out: &mut Chunks) -> Result<(), Stop> {
        while let Some(step) = merge.next() {
            match step {
                Step::Gap(gap) => out.gap(gap)?,
                Step::Found(found) => self.hold(found),
            }
        }
        Ok(())
    }

    fn hold(&mut self, found: Found) {
        self.bytes += found.size();
        self.held.push_back(found);
        while self.held.len() > HELD || self.bytes > HELD_BYTES {
            let Some(first) = self.held.pop_front() else { break };
            self.bytes -= first.size();
            let missed = &mut self.missed;
            missed.count += 1;
            missed.to_usec = i64::try_from(first.time).unwrap_or(0);
            missed.from_usec = if missed.from_usec == 0 { missed.to_usec } else { missed.from_usec };
        }
    }
}
