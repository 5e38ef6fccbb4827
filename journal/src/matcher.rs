//! A filter, as one file sees it: lists of entries that are walked together.

use crate::{Direction, Result, file::JournalFile, filter::Filter, list::List};

/// A filter with the lists of a file.
#[derive(Debug)]
pub(crate) enum Matcher {
    List(List),
    And(Vec<Matcher>),
    Or(Vec<Branch>),
}

/// A part of an "or". What it found stays true until the walk has come past it.
#[derive(Debug)]
pub(crate) struct Branch {
    matcher: Matcher,
    found: Option<Found>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    direction: Direction,
    asked: u64,
    entry: Option<u64>,
}

impl Matcher {
    /// Looks the lists up.
    pub(crate) fn new(file: &mut JournalFile, filter: &Filter) -> Result<Self> {
        Ok(match filter {
            Filter::All => Self::List(List::of_file(file)?),
            Filter::Field(data) => Self::List(List::of_data(file, data)?),
            Filter::And(filters) if filters.is_empty() => Self::List(List::of_file(file)?),
            Filter::And(filters) => {
                Self::And(filters.iter().map(|f| Self::new(file, f)).collect::<Result<_>>()?)
            }
            Filter::Or(filters) => {
                let any = filters.iter().map(|f| Self::new(file, f)).collect::<Result<Vec<_>>>()?;
                let any = any.into_iter().filter(|m| !m.is_empty());
                Self::Or(any.map(|matcher| Branch { matcher, found: None }).collect())
            }
        })
    }

    /// Whether nothing can match.
    fn is_empty(&self) -> bool {
        match self {
            Self::List(list) => list.length() == 0,
            Self::And(all) => all.iter().any(Self::is_empty),
            Self::Or(any) => any.is_empty(),
        }
    }

    /// How many entries match, at most.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::List(list) => list.length(),
            Self::And(all) => all.iter().map(Self::size).min().unwrap_or(0),
            Self::Or(any) => any.iter().map(|branch| branch.matcher.size()).fold(0, u64::saturating_add),
        }
    }

    /// The nearest match at an offset or beyond it, in a direction.
    pub(crate) fn find(
        &mut self,
        file: &mut JournalFile,
        way: Direction,
        offset: u64,
    ) -> Result<Option<u64>> {
        match self {
            Self::List(list) if way == Direction::Forward => list.at_or_after(file, offset),
            Self::List(list) => list.at_or_before(file, offset),
            Self::Or(any) => {
                let mut nearest = None;
                for branch in any {
                    nearest = nearer(way, nearest, branch.find(file, way, offset)?);
                }
                Ok(nearest)
            }
            Self::And(all) => every(all, file, way, offset),
        }
    }
}

impl Branch {
    fn find(&mut self, file: &mut JournalFile, direction: Direction, offset: u64) -> Result<Option<u64>> {
        if let Some(found) = self.found
            && found.direction == direction
            && found.holds_at(offset)
        {
            return Ok(found.entry);
        }
        let entry = self.matcher.find(file, direction, offset)?;
        self.found = Some(Found { direction, asked: offset, entry });
        Ok(entry)
    }
}

impl Found {
    fn holds_at(&self, offset: u64) -> bool {
        match self.direction {
            Direction::Forward => self.asked <= offset && self.entry.is_none_or(|entry| offset <= entry),
            Direction::Backward => offset <= self.asked && self.entry.is_none_or(|entry| entry <= offset),
        }
    }
}

fn nearer(way: Direction, a: Option<u64>, b: Option<u64>) -> Option<u64> {
    let both = a.into_iter().chain(b);
    match way {
        Direction::Forward => both.min(),
        Direction::Backward => both.max(),
    }
}

/// The nearest entry that all of them have: each is asked in turn from where the last one led, until they agree.
fn every(all: &mut [Matcher], file: &mut JournalFile, way: Direction, offset: u64) -> Result<Option<u64>> {
    let (mut candidate, mut agreed) = (offset, 0);
    let mut sure = None;
    for turn in (0..all.len()).cycle() {
        match all[turn].find(file, way, candidate)? {
            None => return Ok(None),
            Some(found) if Some(found) == sure => agreed += 1,
            Some(found) => (candidate, sure, agreed) = (found, Some(found), 1),
        }
        if agreed == all.len() {
            return Ok(sure);
        }
    }
    Ok(None)
}
