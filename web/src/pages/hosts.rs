//! `/hosts`: the hosts that are managed, adding one, removing one.

use crate::frame::{Notice, PaletteEntry, Place, Role, SAMPLE_NOW_US, Tone};
use crate::parts::{AddHost, HostList, HostRow, HostState};
use crate::{Frame, Template};

/// The hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/hosts.html")]
pub struct HostsPage {
    /// What surrounds it; its stream is `/events?view=hosts`.
    pub frame: Frame,
    /// The hosts.
    pub hosts: HostList,
    /// The form, shown to admins.
    pub add: AddHost,
}

impl HostsPage {
    /// One of each state.
    pub fn sample() -> Self {
        let far = HostRow {
            name: "borealis".into(),
            address: "10.213.0.11:9444".into(),
            state: HostState::Unreachable,
            state_since_us: Some(SAMPLE_NOW_US - 130_000_000),
            reason: "connection refused".into(),
            certificate_expires_us: Some(SAMPLE_NOW_US + 3_100 * 1_000_000),
            ..HostRow::sample()
        };
        let new = HostRow { name: "corvus".into(), address: "10.213.0.12:9444".into(), ..HostRow::default() };
        Self {
            frame: Frame { events: "/events?view=hosts".into(), ..Frame::sample(Place::Hosts, "Hosts") },
            hosts: HostList { rows: vec![HostRow::sample(), far, new] },
            add: AddHost::default(),
        }
    }

    /// A host was just added.
    pub fn sample_added() -> Self {
        Self { add: AddHost::sample_added(), ..Self::sample() }
    }

    /// The form was refused.
    pub fn sample_refused() -> Self {
        let error = Notice {
            tone: Tone::Bad,
            message: "A host with the name asterra is there already.".into(),
            hint: "Choose another name, or remove the old host first.".into(),
        };
        Self {
            add: AddHost {
                name: "asterra".into(),
                address: "10.213.0.99".into(),
                error: Some(error),
                token: None,
            },
            ..Self::sample()
        }
    }

    /// No host yet.
    pub fn sample_empty() -> Self {
        Self { hosts: HostList::default(), ..Self::sample() }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        page.frame.view.role = Role::Viewer;
        page.frame.palette.retain(|entry| matches!(entry, PaletteEntry::Go { .. }));
        page
    }
}
