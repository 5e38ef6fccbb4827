//! Entries of the past.

use std::{path::Path, sync::Arc};

use hms_journal::Direction;
use hms_proto::{
    fault::Fault,
    host::v1::{LogDirection, LogGap, LogQuery},
};

use super::{
    chunks::{Chunks, Gone},
    filter::Filter,
    merge::Merge,
    names::{self, Names},
    place::{Part, Place},
    source::{Found, Seek, Step, Wanted},
};

/// A query without a limit ends here.
const ALL: u32 = 1_000_000;
/// So many entries are held to be turned around; of more, only the first is kept, and they are read again from there.
pub(crate) const HELD: usize = 10_000;
pub(crate) const HELD_BYTES: usize = 4 << 20;

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

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) filter: Arc<Filter>,
    pub(crate) names: Names,
    /// 0: all.
    pub(crate) limit: u32,
    pub(crate) after: Option<Place>,
    before: Option<Place>,
    around: Option<Place>,
    direction: LogDirection,
}

impl Ask {
    /// Reads what was asked.
    pub(crate) fn parse(query: &LogQuery, state: &Path) -> Result<Self, Fault> {
        let direction = LogDirection::try_from(query.direction)
            .map_err(|_| Fault::invalid(format!("{} is no direction", query.direction)))?;
        Ok(Self {
            filter: Arc::new(Filter::try_from(query)?),
            names: names::parse(&query.sources, state)?,
            limit: query.limit.min(ALL),
            after: Place::parse(&query.after_cursor)?,
            before: Place::parse(&query.before_cursor)?,
            around: Place::parse(&query.around_cursor)?,
            direction,
        })
    }

    /// Whether it can be followed.
    pub(crate) fn check_follow(&self) -> Result<(), Fault> {
        if self.filter.until.is_some() {
            return Err(Fault::invalid("an end does not go with following: leave `until` out"));
        }
        let has_end =
            self.before.is_some() || self.around.is_some() || self.direction == LogDirection::Backward;
        if has_end {
            return Err(Fault::invalid("following goes forward, to no end")
                .hint("Leave before_cursor, around_cursor and direction out."));
        }
        Ok(())
    }

    /// Opens all that is to be read.
    pub(crate) fn open(&self, wanted: &Wanted) -> Result<Merge, Fault> {
        Ok(Merge::new(self.names.open(&self.filter, wanted)?))
    }

    /// Behind the last entry that is wanted.
    fn end(&self) -> Seek {
        match (&self.before, self.filter.until) {
            (Some(place), _) => Seek::Place(place.clone()),
            (None, Some(until)) => Seek::Time(until.saturating_add(1)),
            (None, None) => Seek::Tail,
        }
    }

    /// Before the first.
    fn beginning(&self) -> Seek {
        match (&self.after, self.filter.since) {
            (Some(place), _) => Seek::Place(place.clone()),
            (None, Some(since)) => Seek::Time(since),
            (None, None) => Seek::Head,
        }
    }
}

/// Sends the entries, as the direction has it.
pub(crate) fn query(ask: &Ask, out: &mut Chunks) -> Result<(), Stop> {
    let mut merge = ask.open(&out.wanted())?;
    if let Some(place) = &ask.around {
        return Ok(around(&mut merge, ask, place, out)?);
    }
    match ask.direction {
        LogDirection::Newest => {
            past(&mut merge, ask, out)?;
            // Where nothing matched, one goes on at the end all the same.
            if ask.before.is_none() && ask.filter.until.is_none() {
                merge.rest();
            }
        }
        LogDirection::Forward => {
            merge.seek(&ask.beginning(), Direction::Forward);
            out.begin(&merge.place());
            all(&mut merge, ask.limit, out)?;
        }
        LogDirection::Backward => {
            merge.seek(&ask.end(), Direction::Backward);
            if let Some(after) = &ask.after {
                merge.set_floor(after);
            }
            all(&mut merge, ask.limit, out)?;
        }
    }
    Ok(out.flush(Some(&merge.place()))?)
}

/// Sends the newest entries, oldest first; without a limit, all. Leaves the sources behind the last one.
pub(crate) fn past(merge: &mut Merge, ask: &Ask, out: &mut Chunks) -> Result<(), Gone> {
    if ask.limit == 0 {
        // Without an end in between, what comes before a place cannot be told from what comes after.
        if ask.before.is_some() {
            return newest(merge, ask, ALL, out);
        }
        merge.seek(&ask.beginning(), Direction::Forward);
        out.begin(&merge.place());
        return all(merge, 0, out);
    }
    newest(merge, ask, ask.limit, out)
}

/// Sends entries from where the sources stand. `limit` 0: all, as far as that goes.
fn all(merge: &mut Merge, limit: u32, out: &mut Chunks) -> Result<(), Gone> {
    let most = if limit == 0 { ALL } else { limit };
    let mut sent = 0;
    while sent < most {
        match merge.next() {
            None => return out.is_wanted(),
            Some(Step::Gap(gap)) => out.gap(gap)?,
            Some(Step::Found(found)) => {
                send(merge, found, out)?;
                sent += 1;
            }
        }
    }
    if limit == 0
        && let Some(Step::Found(_)) = merge.next()
    {
        out.flush(None)?;
        out.gap(LogGap { reason: "limit".into(), ..LogGap::default() })?;
    }
    Ok(())
}

pub(crate) fn send(merge: &mut Merge, found: Found, out: &mut Chunks) -> Result<(), Gone> {
    let read = merge.read(found);
    if out.add(read)? { out.flush(Some(&merge.place())) } else { Ok(()) }
}

/// What was found on the way back.
struct Newest {
    /// Newest first; empty when they are too many to hold.
    held: Vec<Found>,
    count: u32,
    start: Place,
}

/// Looks for the newest matches, from where the sources stand.
fn look_back(merge: &mut Merge, limit: u32, out: &mut Chunks) -> Result<Newest, Gone> {
    let (mut held, mut bytes, mut count) = (Vec::new(), 0, 0);
    while count < limit {
        match merge.next() {
            None => break,
            Some(Step::Gap(gap)) => out.gap(gap)?,
            Some(Step::Found(found)) => {
                count += 1;
                bytes += found.size();
                if count as usize <= HELD && bytes <= HELD_BYTES {
                    held.push(found);
                }
            }
        }
    }
    out.is_wanted()?;
    if held.len() < count as usize {
        held = Vec::new();
    }
    Ok(Newest { held, count, start: merge.place() })
}

fn newest(merge: &mut Merge, ask: &Ask, limit: u32, out: &mut Chunks) -> Result<(), Gone> {
    let end = ask.end();
    merge.seek(&end, Direction::Backward);
    if let Some(after) = &ask.after {
        tell_missing(merge, after, out)?;
        merge.seek(&end, Direction::Backward);
        merge.set_floor(after);
    }
    let found = look_back(merge, limit, out)?;
    out.begin(&found.start);
    if found.held.is_empty() && found.count > 0 {
        merge.seek(&Seek::Place(found.start), Direction::Forward);
        return all(merge, found.count, out);
    }
    let newest =
        found.held.iter().map(|held| held.part.clone()).find(|part| matches!(part, Part::Journal(..)));
    for found in found.held.into_iter().rev() {
        let read = merge.read(found);
        if out.add(read)? {
            out.flush(None)?;
        }
    }
    merge.seek(&end, Direction::Forward);
    newest.iter().for_each(|part| merge.stand_behind(part));
    Ok(())
}

/// Says what is missing behind a place, before it is come to from the other side.
fn tell_missing(merge: &mut Merge, after: &Place, out: &mut Chunks) -> Result<(), Gone> {
    merge.seek(&Seek::Place(after.clone()), Direction::Forward);
    while let Some(Step::Gap(gap)) = merge.next() {
        out.gap(gap)?;
    }
    Ok(())
}

/// Sends what surrounds an entry.
fn around(merge: &mut Merge, ask: &Ask, place: &Place, out: &mut Chunks) -> Result<(), Gone> {
    let limit = ask.limit.clamp(1, HELD as u32);
    merge.seek(&Seek::Place(place.clone()), Direction::Backward);
    let found = look_back(merge, limit, out)?;
    out.begin(&found.start);
    merge.seek(&Seek::Place(found.start), Direction::Forward);
    all(merge, found.count + 1 + limit, out)?;
    out.flush(Some(&merge.place()))
}

impl Found {
    /// How much memory it takes, about.
    pub(crate) fn size(&self) -> usize {
        match &self.what {
            super::source::What::Handle(_) => 256,
            super::source::What::Entry(entry) => super::entry::size(entry) + 256,
        }
    }
}
