//! The nginx of one host: which host is meant, and the calls to it.

use hms_proto::{
    controller::v1::nginx_history_service_client::NginxHistoryServiceClient,
    fault::{ConfigProblem, Fault, FaultKind},
    host::v1::{
        GetNginxRequest, ListNginxRequest, NginxChange, NginxFile, NginxTree, TestNginxRequest,
        TestNginxResponse, nginx_service_client::NginxServiceClient,
    },
    names::HostName,
};

use super::{
    path::ConfigPath,
    problem::{self, Sources},
};
use crate::{
    connect::{Connection, Link, Pace, Peer},
    failure::{Failure, Result},
    session::Session,
};

/// The nginx of one host.
pub(super) struct Target<'a> {
    pub(super) session: &'a Session,
    pub(super) link: Connection,
    pub(super) host: Option<HostName>,
    /// The host, by the name that people know it by.
    pub(super) label: String,
}

impl<'a> Target<'a> {
    /// The host that is asked for; where none is and there is only one, that one.
    pub(super) async fn open(session: &'a Session, asked: Option<&HostName>) -> Result<Self> {
        let link = session.link()?;
        let (host, label) = match asked {
            None if session.global.direct.is_none() => {
                let host = only_host(session, &link).await?;
                (Some(host.clone()), host.to_string())
            }
            asked => session.host(asked)?,
        };
        Ok(Self { session, link, host, label })
    }

    pub(super) fn nginx(&self, pace: Pace) -> NginxServiceClient<Link> {
        self.link.nginx(self.host.as_ref(), pace)
    }

    /// The controller's memory of this host.
    pub(super) fn history(&self) -> Result<NginxHistoryServiceClient<Link>> {
        match self.link.peer {
            Peer::Controller(_) => Ok(self.link.nginx_history(None, Pace::Look)),
            Peer::Agent(..) => {
                let what = "an agent keeps no history of its files; only the controller does";
                Err(Fault::invalid(what).hint("leave out --direct").into())
            }
        }
    }

    pub(super) async fn tree(&self) -> Result<NginxTree> {
        self.link.answer(Pace::Look, self.nginx(Pace::Look).list(ListNginxRequest {})).await
    }

    pub(super) async fn file(&self, path: &str) -> Result<NginxFile> {
        let request = GetNginxRequest { path: path.to_owned() };
        self.link.answer(Pace::Look, self.nginx(Pace::Look).get(request)).await
    }

    /// A file that can be edited, or nothing where there is none.
    pub(super) async fn editable(&self, path: &ConfigPath) -> Result<Option<NginxFile>> {
        match self.file(path.as_str()).await {
            Ok(file) if !file.locked.is_empty() => {
                let what = format!("{path} cannot be changed here: {}", file.locked);
                Err(Fault::new(FaultKind::Failed, what).into())
            }
            Ok(file) => Ok(Some(file)),
            Err(Failure::Fault(fault)) if fault.kind() == FaultKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A file that is there.
    pub(super) async fn existing(&self, path: &ConfigPath) -> Result<NginxFile> {
        let missing = || Fault::not_found("file", path.as_str()).hint("hmsctl nginx list shows the files");
        Ok(self.editable(path).await?.ok_or_else(missing)?)
    }

    pub(super) async fn test(
        &self,
        changes: Vec<NginxChange>,
        accept: &[String],
    ) -> Result<TestNginxResponse> {
        let request = TestNginxRequest { changes, accept: accept.to_vec() };
        let _progress = self.session.out.progress(format!("testing on {}", self.label));
        self.link.answer(Pace::Act, self.nginx(Pace::Act).test(request)).await
    }

    /// Shows problems on stderr, with their lines. Those of other files are fetched as far as they can be.
    pub(super) async fn tell(&self, problems: &[ConfigProblem], known: Sources) {
        let sources = self.sources_of(problems, known).await;
        let text = problem::rendered(problems, &sources, self.session.out.colour);
        if !text.is_empty() {
            self.session.out.say(text.trim_end());
        }
    }

    /// The contents of the files that problems are about.
    pub(super) async fn sources_of(&self, problems: &[ConfigProblem], mut known: Sources) -> Sources {
        /// More would keep people waiting for what they hardly read.
        const FETCHED: usize = 16;
        let mut fetched = 0;
        for problem in problems.iter().filter(|p| p.line > 0 && !p.path.is_empty()) {
            if fetched < FETCHED && !known.contains_key(&problem.path) {
                fetched += 1;
                let file = self.file(&problem.path).await;
                known.insert(problem.path.clone(), file.map(|f| f.content).unwrap_or_default());
            }
        }
        known
    }
}

async fn only_host(session: &Session, link: &Connection) -> Result<HostName> {
    let hosts = session.hosts(link).await?.hosts;
    match hosts.as_slice() {
        [host] => Ok(HostName::try_from(host.name.as_str())?),
        [] => Err(Fault::invalid("there are no hosts yet")
            .hint("hmsctl host add NAME --address ADDRESS")
            .into()),
        hosts => {
            let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
            Err(Fault::invalid("which host?").hint(format!("add --host: {}", names.join(", "))).into())
        }
    }
}
