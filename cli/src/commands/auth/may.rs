//! `can-i` and `why`: the same rules that decide about a call, asked beforehand.

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use hms_proto::{
    controller::v1::{ExplainRequest, Explanation},
    fault::Fault,
    names::{AppKey, HostName, UnitName},
};

use crate::{
    connect::Pace,
    failure::{Failure, Result},
    output::escape::inline,
    session::Session,
};

pub(super) const EXAMPLES: &str = "Examples:
  hmsctl auth can-i restart app/cigar
  hmsctl auth can-i restart unit/nginx.service@web1
  hmsctl auth why run host/web1
  hmsctl auth can-i UserService/Invite";

/// Words for what is asked about most, with their methods.
const VERBS: [(&str, &str); 18] = [
    ("start", "/hms.host.v1.UnitService/Start"),
    ("stop", "/hms.host.v1.UnitService/Stop"),
    ("restart", "/hms.host.v1.UnitService/Restart"),
    ("deploy", "/hms.controller.v1.DeploymentService/Deploy"),
    ("rollback", "/hms.controller.v1.DeploymentService/Rollback"),
    ("apply", "/hms.controller.v1.DeploymentService/Apply"),
    ("edit", "/hms.controller.v1.AppService/Edit"),
    ("remove", "/hms.controller.v1.AppService/Remove"),
    ("logs", "/hms.host.v1.LogService/Query"),
    ("run", "/hms.controller.v1.JobService/Run"),
    ("schedule", "/hms.controller.v1.JobService/AddSchedule"),
    ("set-secrets", "/hms.controller.v1.SecretService/Set"),
    ("reveal", "/hms.controller.v1.SecretService/Reveal"),
    ("nginx", "/hms.host.v1.NginxService/Apply"),
    ("reload-nginx", "/hms.host.v1.NginxService/Reload"),
    ("add-host", "/hms.controller.v1.FleetService/AddHost"),
    ("invite", "/hms.controller.v1.UserService/Invite"),
    ("audit", "/hms.controller.v1.AuditService/List"),
];

#[derive(Debug, Args)]
pub(super) struct Question {
    /// What: a word such as `restart`, or a method such as `UnitService/Restart`
    #[arg(value_name = "VERB", add = ArgValueCompleter::new(verbs))]
    verb: String,
    /// To what: `app/KEY`, `host/NAME` or `unit/NAME@HOST`
    #[arg(value_name = "TARGET", value_parser = target)]
    target: Option<Target>,
}

/// What it would be done to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    App(AppKey),
    Host(HostName),
    Unit(UnitName, HostName),
}

fn verbs(typed: &std::ffi::OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting = VERBS.iter().filter(|(word, _)| word.starts_with(&*typed));
    fitting.map(|(word, method)| CompletionCandidate::new(word).help(Some((*method).into()))).collect()
}

fn target(text: &str) -> Result<Target, String> {
    let told = |error: hms_proto::names::NameError| error.to_string();
    match text.split_once('/') {
        Some(("app", key)) => AppKey::try_from(key).map(Target::App).map_err(told),
        Some(("host", name)) => HostName::try_from(name).map(Target::Host).map_err(told),
        Some(("unit", rest)) => {
            // A unit's name may have an `@`, a host's has none.
            let (unit, host) = rest.rsplit_once('@').ok_or("a unit is on a host: `unit/NAME@HOST`")?;
            let host = HostName::try_from(host).map_err(told)?;
            UnitName::try_from(unit).map(|unit| Target::Unit(unit, host)).map_err(told)
        }
        _ => Err("write `app/KEY`, `host/NAME` or `unit/NAME@HOST`".into()),
    }
}

impl Question {
    fn request(&self) -> Result<ExplainRequest> {
        let word = VERBS.iter().find(|(word, _)| *word == self.verb).map(|(_, method)| (*method).to_owned());
        let method = match word {
            Some(method) => method,
            None if self.verb.contains('/') => self.verb.clone(),
            None => {
                let words: Vec<&str> = VERBS.iter().map(|(word, _)| *word).collect();
                return Err(Fault::invalid(format!("`{}` is no verb", inline(&self.verb)))
                    .hint(format!("say one of {}, or a method such as UnitService/Restart", words.join(", ")))
                    .into());
            }
        };
        let mut request = ExplainRequest { method, ..ExplainRequest::default() };
        match &self.target {
            Some(Target::App(key)) => request.app = key.to_string(),
            Some(Target::Host(name)) => request.host = name.to_string(),
            Some(Target::Unit(unit, host)) => {
                request.unit = unit.to_string();
                request.host = host.to_string();
            }
            None => {}
        }
        Ok(request)
    }

    async fn ask(&self, session: &Session) -> Result<Explanation> {
        let link = session.controller()?;
        link.answer(Pace::Look, link.account(None, Pace::Look).explain(self.request()?)).await
    }

    /// `yes` or `no`, and the exit code of it.
    pub(super) async fn answer(self, session: &Session) -> Result<()> {
        let told = self.ask(session).await?;
        if !session.out.data(&told)? {
            session.out.line(if told.allowed { "yes" } else { "no" })?;
        }
        match told.allowed {
            true => Ok(()),
            false => Err(Failure::Reported(hms_proto::fault::FaultKind::Denied.row().exit)),
        }
    }

    /// What was looked at, one line for each.
    pub(super) async fn explain(self, session: &Session) -> Result<()> {
        let told = self.ask(session).await?;
        if session.out.data(&told)? {
            return Ok(());
        }
        session.out.line(&format!(
            "{}  {}",
            if told.allowed { "yes" } else { "no " },
            inline(&told.method)
        ))?;
        told.reasons.iter().try_for_each(|reason| session.out.line(&format!("     {}", inline(reason))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(verb: &str, to: Option<&str>) -> Result<ExplainRequest> {
        let target = to.map(|text| target(text).unwrap());
        Question { verb: verb.into(), target }.request()
    }

    #[test]
    fn a_question_names_a_method_and_a_thing() {
        let restart = ask("restart", Some("app/cigar")).unwrap();
        assert_eq!((restart.method.as_str(), restart.app.as_str()), (VERBS[2].1, "cigar"));
        let unit = ask("UnitService/Stop", Some("unit/a@b.service@web1")).unwrap();
        assert_eq!((unit.unit.as_str(), unit.host.as_str()), ("a@b.service", "web1"));
        assert!(ask("explode", None).is_err());
        for bad in
            ["cigar", "app/", "app/A b", "unit/x.service", "unit/x@", "unit/*@web1", "host/-x", "tree/x"]
        {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_verb_stands_for_a_method_of_the_contract() {
        for (word, method) in VERBS {
            assert!(hms_proto::access::rule(method).is_some(), "{word}");
        }
    }
}
