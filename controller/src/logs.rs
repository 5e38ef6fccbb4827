//! Logs of many hosts, for pages and REST: each host is asked through the gate, what they answer is merged, and a host that does
//! not answer is said to be away.

mod follow;
mod histogram;
mod marks;
mod read;

use chrono::Utc;
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::LogQuery,
    merge::{At, Spot},
    names::HostName,
    search::{Known, Lane, Search},
};

pub(crate) use follow::{Told, download, follow};
pub(crate) use histogram::{Counts, histogram};
pub(crate) use marks::{Mark, marks};
pub(crate) use read::{Found, Want, around, read};

use crate::{
    fleet::{Fleet, LinkState, now_usec},
    sight::Sight,
};

/// A host that cannot be read, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Away {
    pub(crate) host: HostName,
    /// Since when, in microseconds since the epoch.
    pub(crate) since_usec: i64,
    pub(crate) fault: Fault,
}

/// The apps and hosts that somebody sees.
pub(crate) fn known(seen: Sight<'_>) -> Known {
    let host = |name: &str| HostName::try_from(name).ok();
    let apps = seen.apps();
    Known {
        apps: apps.iter().filter_map(|app| Some((app.key.clone(), host(app.host())?))).collect(),
        hosts: seen.hosts().iter().filter_map(|known| host(&known.row.name)).collect(),
    }
}

/// What each host is asked. All that somebody sees who sees no host as a whole is their apps.
fn lanes(seen: Sight<'_>, search: &Search) -> Result<Vec<Lane>, Fault> {
    let known = known(seen);
    let mut search = search.clone();
    if known.hosts.is_empty() && search.hosts.is_empty() && search.apps.is_empty() {
        search.apps = known.apps.iter().map(|(app, _)| app.clone()).collect();
    }
    search.lanes(&known, &Utc::now())
}

/// Why a host is not even asked: the fleet knows that it does not answer.
fn away(fleet: &Fleet, name: &HostName) -> Option<Away> {
    let away = |since_usec, why: String| Away {
        host: name.clone(),
        since_usec,
        fault: Fault::new(FaultKind::Unreachable, why),
    };
    let Some(host) = fleet.host(name.as_str()) else {
        return Some(away(now_usec(), "it is no host of this installation any more".into()));
    };
    host.look(|picture| match &picture.link {
        LinkState::Unreachable(why) => Some(away(picture.since_usec, why.clone())),
        LinkState::Pending => Some(away(picture.since_usec, "its agent has not joined yet".into())),
        LinkState::Connecting | LinkState::Connected => None,
    })
}

/// Goes on behind a spot.
fn after(query: &mut LogQuery, spot: &Spot) {
    match &spot.at {
        At::Place(cursor) => query.after_cursor = cursor.to_string(),
        At::Time(usec) => query.since_usec = query.since_usec.max(*usec),
    }
}

#[cfg(test)]
mod tests;
