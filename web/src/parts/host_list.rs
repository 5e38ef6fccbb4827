//! The list of hosts for those who look after them, and the form that adds one.

use super::HostState;
use crate::events::html;
use crate::frame::{Notice, SAMPLE_NOW_US};
use crate::{Fragment, Template, View};

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRow {
    /// `asterra`
    pub name: String,
    /// `10.213.0.10:9444`
    pub address: String,
    /// Whether it answers.
    pub state: HostState,
    /// Since when it is in this state, in microseconds since the epoch.
    pub state_since_us: Option<i64>,
    /// Why it is unreachable; may be empty.
    pub reason: String,
    /// Version of its agent; may be empty.
    pub agent_version: String,
    /// `Debian GNU/Linux 12 (bookworm)`; may be empty.
    pub os: String,
    /// End of its newest certificate, in microseconds since the epoch.
    pub certificate_expires_us: Option<i64>,
    /// Its labels.
    pub labels: Vec<String>,
}

impl HostRow {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("host-row-{}", super::slug(&self.name))
    }

    /// Its labels as they are typed.
    pub fn label_text(&self) -> String {
        self.labels.join(" ")
    }

    /// Whether the certificate ends within two hours; it is renewed long before when all is well.
    pub fn certificate_ends_soon(&self, now_us: impl crate::text::Value<i64>) -> bool {
        let now_us = now_us.value();
        self.certificate_expires_us.is_some_and(|end| end - now_us < 7_200 * 1_000_000)
    }

    /// A host that is well.
    pub fn sample() -> Self {
        Self {
            name: "asterra".into(),
            address: "10.213.0.10:9444".into(),
            state: HostState::Connected,
            state_since_us: Some(SAMPLE_NOW_US - 7_200 * 1_000_000),
            agent_version: "0.1.0".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            certificate_expires_us: Some(SAMPLE_NOW_US + 62_000 * 1_000_000),
            labels: vec!["env=production".into(), "web".into()],
            ..Self::default()
        }
    }
}

/// All hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    /// By name.
    pub rows: Vec<HostRow>,
}

#[derive(Template)]
#[template(path = "parts/host_list.html")]
struct HostListPart<'a> {
    hosts: &'a HostList,
    view: View,
}

impl HostList {
    /// The list as it replaces the one in the page (`host-list`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("host-list", &HostListPart { hosts: self, view })
    }
}

/// A join token, shown once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JoinToken {
    /// The host that joins with it.
    pub host: String,
    /// `hms1.…`
    pub token: String,
    /// Where the host finds the controller: `https://asterra:8443`.
    pub controller_url: String,
    /// When it is no longer good, in microseconds since the epoch.
    pub expires_us: i64,
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("JoinToken").field("host", &self.host).finish_non_exhaustive()
    }
}

impl JoinToken {
    /// What is run on the host; it then asks for the token.
    pub fn command(&self) -> String {
        format!("sudo hms-agent join --controller {}", self.controller_url)
    }
}

/// The form that adds a host, with what was typed and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddHost {
    /// As typed.
    pub name: String,
    /// As typed.
    pub address: String,
    /// Why it was refused.
    pub error: Option<Notice>,
    /// The token of the host just added.
    pub token: Option<JoinToken>,
}

#[derive(Template)]
#[template(path = "parts/add_host.html")]
struct AddHostPart<'a> {
    add: &'a AddHost,
    view: View,
}

impl AddHost {
    /// The form as it replaces the one in the page (`add-host`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("add-host", &AddHostPart { add: self, view })
    }

    /// The answer to a form sent by fetch: the form, and the list as it is now.
    pub fn answer(&self, hosts: &HostList, view: View) -> String {
        html(&AddHostPart { add: self, view }) + &html(&HostListPart { hosts, view })
    }

    /// A host was just added.
    pub fn sample_added() -> Self {
        let token = JoinToken {
            host: "corvus".into(),
            token: "hms1.0193a5c4-7be1-7cc2-9d6e-0f1a2b3c4d5e.q3K9x0b7TnVJt5mWc2YzHs8LrFpGd4Ua6EoXiQyN1vM.\
                    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                .into(),
            controller_url: "https://asterra:8443".into(),
            expires_us: SAMPLE_NOW_US + 3_600 * 1_000_000,
        };
        Self { token: Some(token), ..Self::default() }
    }
}
