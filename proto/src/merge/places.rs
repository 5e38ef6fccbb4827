//! Where one stands in the logs of each host: `asterra:s=…;i=…,borealis:@1795545600000000`.

use std::{collections::BTreeMap, fmt};

use crate::{
    fault::Fault,
    names::{Cursor, HostName},
};

/// More hosts, or longer texts, are nobody's place.
const HOSTS_MAX: usize = 1000;
const TEXT_MAX: usize = 64 * 1024;
/// More entries than an agent gives at once are nobody's to skip.
const SKIP_MAX: u32 = 1_000_000;

/// A fixed point in the logs of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// As the host said it (`LogChunk.place`, `LogChunk.start`, or an entry's cursor).
    Place(Cursor),
    /// A moment, in microseconds since the epoch: of a host that has not said anything yet.
    Time(i64),
}

/// Where one stands in the logs of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The point from which one goes on.
    pub at: At,
    /// How many entries from there on, in the direction in which one goes, were given already.
    pub skip: u32,
}

impl Spot {
    /// At a place, with nothing to skip.
    pub fn place(cursor: Cursor) -> Self {
        Self { at: At::Place(cursor), skip: 0 }
    }

    /// At a moment.
    pub fn time(usec: i64) -> Self {
        Self { at: At::Time(usec), skip: 0 }
    }
}

/// Where one stands in the logs of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<HostName, Spot>);

impl Places {
    /// The spot of a host.
    pub fn get(&self, host: &HostName) -> Option<&Spot> {
        self.0.get(host)
    }

    /// Sets the spot of a host.
    pub fn set(&mut self, host: HostName, spot: Spot) {
        self.0.insert(host, spot);
    }

    /// Whether nothing is known of any host.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what was written before; an empty text is no place.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let refuse =
            || Fault::invalid("that is not a place in the logs").hint("Copy it whole, from an answer.");
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > TEXT_MAX {
            return Err(refuse());
        }
        let mut places = Self::default();
        for part in text.split(',') {
            let (host, spot) = part.split_once(':').ok_or_else(refuse)?;
            let host = HostName::try_from(host).map_err(|_| refuse())?;
            let twice = places.0.insert(host, parse_spot(spot).ok_or_else(refuse)?).is_some();
            if twice || places.0.len() > HOSTS_MAX {
                return Err(refuse());
            }
        }
        Ok(places)
    }
}

impl FromIterator<(HostName, Spot)> for Places {
    fn from_iter<T: IntoIterator<Item = (HostName, Spot)>>(spots: T) -> Self {
        Self(spots.into_iter().collect())
    }
}

fn parse_spot(text: &str) -> Option<Spot> {
    let (at, skip) = match text.split_once('*') {
        None => (text, 0),
        Some((at, skip)) => (at, skip.parse().ok().filter(|n| (1..=SKIP_MAX).contains(n))?),
    };
    let at = match at.strip_prefix('@') {
        Some(usec) => At::Time(usec.parse().ok().filter(|n| *n >= 0)?),
        None => At::Place(Cursor::try_from(at).ok()?),
    };
    Some(Spot { at, skip })
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Place(cursor) => write!(f, "{cursor}")?,
            At::Time(usec) => write!(f, "@{usec}")?,
        }
        if self.skip > 0 { write!(f, "*{}", self.skip) } else { Ok(()) }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, spot)) in self.0.iter().enumerate() {
            let between = if index > 0 { "," } else { "" };
            write!(f, "{between}{host}:{spot}")?;
        }
        Ok(())
    }
}
