//! One run of the program: its options, its output, and connections on demand.

use hms_proto::{
    controller::v1::{App, GetAppRequest, ListHostsRequest},
    fault::{Fault, FaultKind},
    names::{AppKey, HostName, UnitName},
};

use crate::{
    cli::Global,
    connect::{Connection, Pace},
    context::{Context, Store},
    failure::Result,
    output::Out,
};

/// One run of the program.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) out: Out,
}

/// An app, found: where it runs and as which unit.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The host, by the name that people know it by.
    pub(crate) label: String,
    /// The host, for the controller. An agent needs none.
    pub(crate) host: Option<HostName>,
    pub(crate) unit: UnitName,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        let out = Out::new(&global);
        Self { global, out }
    }

    /// The context in use.
    pub(crate) fn context(&self) -> Result<Context> {
        Store::open()?.context(self.global.context.as_deref())
    }

    /// A connection for what only the controller knows.
    pub(crate) fn controller(&self) -> Result<Connection> {
        if self.global.direct.is_some() {
            return Err(Fault::invalid("an agent knows nothing of this; only the controller does")
                .hint("leave out --direct")
                .into());
        }
        Connection::to_controller(&self.context()?, self.global.timeout)
    }

    /// A connection for what concerns hosts: to the controller, or with `--direct` to an agent.
    pub(crate) fn link(&self) -> Result<Connection> {
        match &self.global.direct {
            Some(host) => Connection::to_agent(&self.context()?, host, self.global.timeout),
            None => self.controller(),
        }
    }

    /// The host that a command is meant for, with the name to show.
    pub(crate) fn host(&self, asked: Option<&HostName>) -> Result<(Option<HostName>, String)> {
        match (asked, &self.global.direct) {
            (Some(host), None) => Ok((Some(host.clone()), host.to_string())),
            (None, Some(direct)) => Ok((None, direct.clone())),
            (Some(host), Some(direct)) if host.as_str() == direct => Ok((None, direct.clone())),
            (Some(_), Some(_)) => Err(Fault::invalid("--host and --direct name different hosts").into()),
            (None, None) => Err(Fault::invalid("which host?")
                .hint("add --host NAME; `hmsctl host list` shows the names")
                .into()),
        }
    }

    /// Finds where an app runs. An agent that is asked itself is taken at its word.
    pub(crate) async fn place_of(&self, link: &Connection, key: &AppKey) -> Result<Place> {
        if let Some(direct) = &self.global.direct {
            return Ok(Place { label: direct.clone(), host: None, unit: UnitName::of_app(key) });
        }
        let request = GetAppRequest { key: key.to_string() };
        let app: App = link.answer(Pace::Look, link.apps(None, Pace::Look).get(request)).await?;
        if app.host.is_empty() {
            let what = format!("it is not known on which host {key} runs");
            return Err(Fault::new(FaultKind::Conflict, what).hint("hmsctl apps show KEY").into());
        }
        let host = HostName::try_from(app.host.as_str())?;
        let unit = match app.unit_name.as_str() {
            "" => UnitName::of_app(key),
            name => UnitName::try_from(name)?,
        };
        Ok(Place { label: app.host, host: Some(host), unit })
    }

    /// All hosts of the installation, remembered for `--direct`.
    pub(crate) async fn hosts(
        &self,
        link: &Connection,
    ) -> Result<hms_proto::controller::v1::ListHostsResponse> {
        let list =
            link.answer(Pace::Look, link.fleet(None, Pace::Look).list_hosts(ListHostsRequest {})).await?;
        if let Ok(context) = self.context() {
            context.remember_hosts(&list.hosts);
        }
        Ok(list)
    }
}
