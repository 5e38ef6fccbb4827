//! Some entries of the past, out of what each host gave.

use super::{Piece, Places, Row, Spot, place_of, time_of};
use crate::{
    host::v1::{LogChunk, LogDirection},
    names::{Cursor, HostName},
};

/// What one host gives for a page, in the order of its direction.
#[derive(Debug, Clone)]
pub struct Reading {
    host: HostName,
    /// From where it was read.
    from: Option<Spot>,
    /// Each with its time.
    pieces: Vec<(i64, Piece)>,
    /// How many entries have come, with those that are skipped.
    count: u32,
    /// Places, and how many entries came before them.
    marks: Vec<(u32, Cursor)>,
    start: Option<Cursor>,
}

impl Reading {
    /// Nothing yet; `from` is where the host was asked to begin.
    pub fn new(host: HostName, from: Option<Spot>) -> Self {
        let marks = match &from {
            Some(Spot { at: super::At::Place(cursor), .. }) => vec![(0, cursor.clone())],
            _ => vec![],
        };
        Self { host, from, pieces: Vec::new(), count: 0, marks, start: None }
    }

    /// Whose it is.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// How many entries have come that are not skipped.
    pub fn entries(&self) -> u32 {
        self.count.saturating_sub(self.skip())
    }

    fn skip(&self) -> u32 {
        self.from.as_ref().map_or(0, |spot| spot.skip)
    }

    /// Takes what came.
    pub fn push(&mut self, chunk: LogChunk) {
        let before = self.pieces.last().map_or(0, |(time, _)| *time);
        let place = place_of(&chunk);
        if let Some(gap) = chunk.gap {
            let to_come = chunk.entries.first().map_or(before, |entry| entry.time_usec);
            let piece = Piece::Gap(gap);
            self.pieces.push((time_of(&piece, to_come), piece));
        }
        if let (None, Some(start)) = (&self.start, cursor(&chunk.start)) {
            // What is taken of the first chunk only is counted from its beginning.
            if self.marks.is_empty() {
                self.marks.push((self.count, start.clone()));
            }
            self.start = Some(start);
        }
        for entry in chunk.entries {
            self.count += 1;
            if self.count > self.skip() {
                self.pieces.push((entry.time_usec, Piece::Entry(Box::new(entry))));
            }
        }
        if let Some(place) = place {
            self.marks.push((self.count, place));
        }
    }

    /// Where it goes on after so many of its entries.
    fn onward(&self, taken: u32) -> Option<Spot> {
        let count = self.skip() + taken;
        match self.marks.iter().rfind(|(at, _)| *at <= count) {
            Some((at, place)) => Some(Spot { skip: count - at, ..Spot::place(place.clone()) }),
            None => self.from.as_ref().map(|from| Spot { at: from.at.clone(), skip: count }),
        }
    }

    /// Where one goes the other way, when so many of the first entries are not shown.
    fn back(&self, left_out: u32) -> Option<Spot> {
        let first = self.skip() + left_out;
        if first == 0
            && let Some(start) = &self.start
        {
            return Some(Spot::place(start.clone()));
        }
        let (at, place) = self.marks.last()?;
        Some(Spot { skip: at.checked_sub(first)?, ..Spot::place(place.clone()) })
    }
}

fn cursor(text: &str) -> Option<Cursor> {
    Cursor::try_from(text).ok()
}

/// Rows of several hosts in one order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Oldest first.
    pub rows: Vec<Row>,
    /// Where each host goes on to what is earlier.
    pub before: Places,
    /// And to what is later.
    pub after: Places,
    /// Whether entries of the hosts were left out because there are too many.
    pub is_cut: bool,
}

/// Merges what hosts gave. Each was asked for `most` entries beyond those that it skips, and has given fewer only where it has
/// no more.
pub fn page(readings: Vec<Reading>, direction: LogDirection, most: u32) -> Page {
    let order = order_of(&readings, direction);
    let entries = |picked: &[(usize, usize)], lane: usize| {
        let of_lane = picked.iter().filter(|(l, _)| *l == lane);
        of_lane.filter(|(l, i)| is_entry(&readings[*l].pieces[*i].1)).count() as u32
    };
    let (left_out, picked) = cut(&order, &readings, direction, most);
    let mut page = Page { is_cut: order.len() > picked.len(), ..Page::default() };
    for (lane, reading) in readings.iter().enumerate() {
        let (onward, back) = match direction {
            LogDirection::Newest => {
                (reading.onward(reading.entries()), reading.back(entries(left_out, lane)))
            }
            _ => (reading.onward(entries(picked, lane)), reading.back(0)),
        };
        let (before, after) = match direction {
            LogDirection::Backward => (onward, back),
            _ => (back, onward),
        };
        let put = |places: &mut Places, spot: Option<Spot>| {
            spot.or_else(|| reading.from.clone()).map(|spot| places.set(reading.host.clone(), spot))
        };
        put(&mut page.before, before);
        put(&mut page.after, after);
    }
    let mut pieces: Vec<Vec<Option<Piece>>> =
        readings.into_iter().map(|r| r.pieces.into_iter().map(|(_, piece)| Some(piece)).collect()).collect();
    let rows =
        picked.iter().filter_map(|(lane, i)| Some(Row { lane: *lane, piece: pieces[*lane][*i].take()? }));
    page.rows = rows.collect();
    if direction == LogDirection::Backward {
        page.rows.reverse();
    }
    page
}

fn is_entry(piece: &Piece) -> bool {
    matches!(piece, Piece::Entry(_))
}

/// The pieces of all lanes in the order of the direction; each lane keeps its own order.
fn order_of(readings: &[Reading], direction: LogDirection) -> Vec<(usize, usize)> {
    let mut at = vec![0; readings.len()];
    let mut order = Vec::new();
    loop {
        let heads =
            readings.iter().enumerate().filter_map(|(lane, r)| Some((r.pieces.get(at[lane])?.0, lane)));
        let next = match direction {
            LogDirection::Backward => heads.max_by_key(|(time, lane)| (*time, usize::MAX - lane)),
            _ => heads.min(),
        };
        let Some((_, lane)) = next else { return order };
        order.push((lane, at[lane]));
        at[lane] += 1;
    }
}

type Picks<'a> = (&'a [(usize, usize)], &'a [(usize, usize)]);

/// What is left out at the beginning, and what is taken.
fn cut<'a>(
    order: &'a [(usize, usize)],
    readings: &[Reading],
    direction: LogDirection,
    most: u32,
) -> Picks<'a> {
    let entry = |pick: &(usize, usize)| is_entry(&readings[pick.0].pieces[pick.1].1);
    let total = order.iter().filter(|pick| entry(pick)).count() as u32;
    if total <= most {
        return (&order[..0], order);
    }
    let nth = |n: u32| {
        let mut entries = order.iter().enumerate().filter(|(_, pick)| entry(pick));
        entries.nth(n as usize).map_or(order.len(), |(index, _)| index)
    };
    match direction {
        LogDirection::Newest => order.split_at(nth(total - most)),
        _ => (&order[..0], &order[..nth(most)]),
    }
}
