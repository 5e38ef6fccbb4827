//! Streams of several hosts, merged as they come.
//!
//! A lane that is still in the past is merged entry by entry, and waited for; so many entries after its last place were
//! given, its spot says, and the past comes in the same order again. A lane that is live gives whole chunks: they wait a moment
//! for what other hosts wrote before, and the spot of a live lane is always a place.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{At, Piece, Places, Row, Spot, time_of};
use crate::{
    host::v1::LogChunk,
    names::{Cursor, HostName},
};

/// So long entries wait for older ones of other hosts.
const LATENESS: Duration = Duration::from_millis(400);
/// So long the past of another host is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Waiting {
    pieces: VecDeque<(i64, Piece)>,
    place: Option<Cursor>,
    /// Entries after the place that were given out before.
    skip: u32,
    since: Instant,
    /// Written after the lane had told its past: given out whole.
    is_live: bool,
    /// A part of it was given out.
    has_begun: bool,
}

#[derive(Debug)]
struct Lane {
    host: HostName,
    queue: VecDeque<Waiting>,
    /// Up to where rows were given out.
    shown: Option<Spot>,
    /// Up to where rows have come.
    received: Option<Spot>,
    /// Entries that come now and were given out before.
    skip: u32,
    /// Entries that have come since the last place.
    seen: u32,
    /// Whether older entries may still come.
    is_past: bool,
    /// Not waited for: nobody knows when it speaks again.
    is_away: bool,
    /// When it was last heard of.
    heard: Instant,
}

/// Merges lanes into one order.
#[derive(Debug)]
pub struct Merge {
    lanes: Vec<Lane>,
}

impl Merge {
    /// One lane for each host, each with the spot from which it is read.
    pub fn new(lanes: impl IntoIterator<Item = (HostName, Option<Spot>)>, now: Instant) -> Self {
        let lane = |(host, from): (HostName, Option<Spot>)| Lane {
            host,
            queue: VecDeque::new(),
            shown: from.clone(),
            skip: from.as_ref().map_or(0, |spot| spot.skip),
            received: from,
            seen: 0,
            is_past: true,
            is_away: false,
            heard: now,
        };
        Self { lanes: lanes.into_iter().map(lane).collect() }
    }

    /// Whose lane it is.
    pub fn host(&self, lane: usize) -> &HostName {
        &self.lanes[lane].host
    }

    /// How many chunks of the lane are not given out yet. Who keeps this small keeps memory small.
    pub fn waiting(&self, lane: usize) -> usize {
        self.lanes[lane].queue.len()
    }

    /// Takes what came.
    pub fn push(&mut self, lane: usize, chunk: LogChunk, now: Instant) {
        let lane = &mut self.lanes[lane];
        lane.heard = now;
        lane.is_away = false;
        let mut pieces = VecDeque::new();
        let before = lane.queue.back().and_then(|chunk| chunk.pieces.back()).map_or(0, |(time, _)| *time);
        let place = super::place_of(&chunk);
        if let Some(gap) = chunk.gap {
            let to_come = chunk.entries.first().map_or(before, |entry| entry.time_usec);
            let piece = Piece::Gap(gap);
            pieces.push_back((time_of(&piece, to_come), piece));
        }
        let count = u32::try_from(chunk.entries.len()).unwrap_or(u32::MAX);
        let skipped = lane.skip.min(count);
        lane.skip -= skipped;
        lane.seen += count;
        let fresh = chunk.entries.into_iter().skip(skipped as usize);
        pieces.extend(fresh.map(|entry| (entry.time_usec, Piece::Entry(Box::new(entry)))));
        if let Some(place) = &place {
            lane.received = Some(Spot::place(place.clone()));
            lane.seen = 0;
        }
        lane.queue.push_back(Waiting {
            pieces,
            place,
            skip: lane.skip,
            since: now,
            is_live: !lane.is_past,
            has_begun: false,
        });
        if chunk.caught_up {
            lane.is_past = false;
        }
        lane.finish_chunks();
    }

    /// The lane has said all that it has.
    pub fn ended(&mut self, lane: usize) {
        self.lanes[lane].is_past = false;
    }

    /// The lane broke: it is not waited for. Tells from where it goes on.
    pub fn broke(&mut self, lane: usize) -> Option<Spot> {
        let lane = &mut self.lanes[lane];
        lane.is_away = true;
        lane.is_past = true;
        lane.skip += std::mem::take(&mut lane.seen);
        lane.received.as_ref().map(|spot| Spot { at: spot.at.clone(), skip: lane.skip })
    }

    /// The lane speaks again.
    pub fn is_back(&mut self, lane: usize, now: Instant) {
        self.lanes[lane].is_away = false;
        self.lanes[lane].heard = now;
    }

    /// Where all lanes stand after the rows that were given out.
    pub fn places(&self) -> Places {
        self.lanes.iter().filter_map(|lane| Some((lane.host.clone(), lane.shown.clone()?))).collect()
    }

    /// The rows whose turn it is.
    pub fn take(&mut self, now: Instant) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some(lane) = self.next(now) {
            let is_live = self.lanes[lane].is_live();
            let Some((time, piece)) = self.lanes[lane].pop() else { break };
            rows.push((time, Row { lane, piece }));
            if is_live {
                self.take_whole(lane, &mut rows);
            }
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The rest of a live chunk, and what other lanes have in between.
    fn take_whole(&mut self, lane: usize, rows: &mut Vec<(i64, Row)>) {
        let first = rows.len() - 1;
        let mut last = rows[first].0;
        let mut open = vec![lane];
        loop {
            while let Some(lane) = open.pop() {
                while self.lanes[lane].has_begun() || self.lanes[lane].head().is_some_and(|time| time <= last)
                {
                    let Some((time, piece)) = self.lanes[lane].pop() else { break };
                    last = last.max(time);
                    rows.push((time, Row { lane, piece }));
                }
            }
            let overlaps = |lane: &Lane| lane.is_live() && lane.head().is_some_and(|time| time <= last);
            open.extend(self.lanes.iter().position(overlaps));
            if open.is_empty() {
                break;
            }
        }
        // Lanes in the past go on entry by entry, up to the same moment.
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            while !lane.is_live() && lane.head().is_some_and(|time| time <= last) {
                let Some((time, piece)) = lane.pop() else { break };
                rows.push((time, Row { lane: index, piece }));
            }
        }
        rows[first..].sort_by_key(|(time, _)| *time);
    }

    /// The lane of the oldest row, when nothing older is to be expected.
    fn next(&self, now: Instant) -> Option<usize> {
        let heads = self.lanes.iter().enumerate().filter_map(|(index, lane)| Some((lane.head()?, index)));
        let (_, next) = heads.min()?;
        let waits_for = |other: &Lane| {
            other.head().is_none() && other.is_past && !other.is_away && now < other.heard + PATIENCE
        };
        if self.lanes.iter().any(waits_for) {
            return None;
        }
        let lane = &self.lanes[next];
        // What waited long enough takes along what is older.
        let waited = self.lanes.iter().filter_map(Lane::due).any(|due| due <= now);
        let is_due = !lane.is_live() || self.lanes.len() == 1 || waited;
        is_due.then_some(next)
    }

    /// When to look again although nothing comes.
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let due = self.lanes.iter().filter_map(Lane::due).min()?;
        let silent = self.lanes.iter().filter(|lane| lane.head().is_none() && lane.is_past && !lane.is_away);
        let patience = silent.map(|lane| lane.heard + PATIENCE).filter(|until| *until > now).min();
        Some(patience.unwrap_or(due))
    }
}

impl Lane {
    fn head(&self) -> Option<i64> {
        self.queue.front()?.pieces.front().map(|(time, _)| *time)
    }

    fn due(&self) -> Option<Instant> {
        self.head()?;
        self.queue.front().map(|chunk| chunk.since + LATENESS)
    }

    fn is_live(&self) -> bool {
        self.queue.front().is_some_and(|chunk| chunk.is_live)
    }

    fn has_begun(&self) -> bool {
        self.queue.front().is_some_and(|chunk| chunk.has_begun)
    }

    fn pop(&mut self) -> Option<(i64, Piece)> {
        let chunk = self.queue.front_mut()?;
        chunk.has_begun = true;
        let popped = chunk.pieces.pop_front()?;
        if let (Piece::Entry(_), Some(spot)) = (&popped.1, &mut self.shown) {
            spot.skip += 1;
        }
        self.finish_chunks();
        Some(popped)
    }

    /// Chunks of which everything was given out move the spot.
    fn finish_chunks(&mut self) {
        while self.queue.front().is_some_and(|chunk| chunk.pieces.is_empty()) {
            if let Some(Waiting { place: Some(place), skip, .. }) = self.queue.pop_front() {
                self.shown = Some(Spot { at: At::Place(place), skip });
            }
        }
    }
}
