//! What a script is given, and on which hosts it is to run.

use std::collections::BTreeMap;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{GetAppRequest, Target},
    fault::Fault,
    host::v1::{ParameterKind, Script},
    names::{HostName, Label},
};

use crate::{
    complete,
    connect::{Connection, Pace},
    failure::Result,
    session::Session,
};

/// Values of parameters.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// A parameter with its value; may be repeated
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair, add = ArgValueCompleter::new(complete::parameters))]
    parameters: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

impl Given {
    /// By name. A name that was given twice is a mistake.
    pub(crate) fn values(&self) -> Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for (name, value) in &self.parameters {
            if values.insert(name.clone(), value.clone()).is_some() {
                return Err(Fault::invalid(format!("`{}` is given twice", name.escape_debug()))
                    .hint("leave one of them out")
                    .into());
            }
        }
        Ok(values)
    }
}

/// Which hosts.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct Aim {
    /// On this host; may be repeated
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',', add = ArgValueCompleter::new(complete::hosts))]
    hosts: Vec<HostName>,
    /// On all hosts with this label
    #[arg(long, value_name = "LABEL", add = ArgValueCompleter::new(complete::labels))]
    label: Option<Label>,
    /// On all hosts
    #[arg(long)]
    all: bool,
}

impl Aim {
    /// The host that was named, where only one agent is there to ask.
    pub(super) fn only_host(&self) -> Result<Option<&HostName>> {
        match self {
            Self { hosts, label: None, all: false } if hosts.len() <= 1 => Ok(hosts.first()),
            _ => Err(Fault::invalid("--direct is for one host")
                .hint("leave out --direct, --label and --all")
                .into()),
        }
    }

    /// What was asked for, if something was.
    fn asked(&self) -> Option<Target> {
        if self.all {
            return Some(Target { all: true, ..Target::default() });
        }
        if let Some(label) = &self.label {
            return Some(Target { label: label.to_string(), ..Target::default() });
        }
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        (!hosts.is_empty()).then(|| Target { hosts, ..Target::default() })
    }

    /// The hosts to run on: those that were asked for, that of the app in question, or the only one.
    pub(crate) async fn target(
        &self,
        session: &Session,
        link: &Connection,
        script: &Script,
        values: &BTreeMap<String, String>,
    ) -> Result<Target> {
        if let Some(target) = self.asked() {
            return Ok(target);
        }
        let on = |host: String| Target { hosts: vec![host], ..Target::default() };
        if let Some(key) = app_of(script, values) {
            let request = GetAppRequest { key };
            let app = link.answer(Pace::Look, link.apps(None, Pace::Look).get(request)).await?;
            if !app.host.is_empty() {
                return Ok(on(app.host));
            }
        }
        let mut names: Vec<String> = session.hosts(link).await?.hosts.into_iter().map(|h| h.name).collect();
        match names.len() {
            0 => Err(Fault::invalid("there is no host to run it on")
                .hint("hmsctl host add NAME --address ADDRESS")
                .into()),
            1 => Ok(on(names.remove(0))),
            _ => Err(which(&names).into()),
        }
    }
}

/// The app that a script is asked about, by its first parameter of that kind with a value.
fn app_of(script: &Script, values: &BTreeMap<String, String>) -> Option<String> {
    let apps = script.parameters.iter().filter(|p| p.kind() == ParameterKind::App);
    let given = apps.filter_map(|p| values.get(&p.name).or(Some(&p.default)));
    given.filter(|key| !key.is_empty()).map(String::clone).next()
}

fn which(names: &[String]) -> Fault {
    const SHOWN: usize = 10;
    let more = names.len().saturating_sub(SHOWN);
    let mut list = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 {
        list += &format!(" and {more} more");
    }
    Fault::invalid("on which host?").hint(format!("add --host NAME ({list}), --label LABEL or --all"))
}

/// A target in a few words.
pub(crate) fn target_words(target: &Target) -> String {
    match target {
        Target { all: true, .. } => "all hosts".into(),
        Target { label, .. } if !label.is_empty() => format!("label {label}"),
        Target { failed_of, .. } if !failed_of.is_empty() => format!("failed of {failed_of}"),
        Target { hosts, .. } => hosts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::Parameter;

    use super::*;

    #[test]
    fn a_parameter_has_a_name_and_any_value() {
        assert_eq!(pair("a=b=c d").unwrap(), ("a".into(), "b=c d".into()));
        assert_eq!(pair("a=").unwrap(), ("a".into(), String::new()));
        assert!(pair("a").is_err() && pair("=b").is_err());
        let twice = Given { parameters: vec![("a".into(), "1".into()), ("a".into(), "2".into())] };
        assert_eq!(twice.values().unwrap_err().exit_code(), 2);
    }

    #[test]
    fn hosts_are_asked_for_in_one_way() {
        let aim = |hosts: &[&str], label: Option<&str>, all| Aim {
            hosts: hosts.iter().map(|h| HostName::try_from(*h).unwrap()).collect(),
            label: label.map(|l| Label::try_from(l).unwrap()),
            all,
        };
        assert!(Aim::default().asked().is_none());
        assert_eq!(target_words(&aim(&["a", "b"], None, false).asked().unwrap()), "a, b");
        assert_eq!(target_words(&aim(&[], Some("web"), false).asked().unwrap()), "label web");
        assert_eq!(target_words(&aim(&[], None, true).asked().unwrap()), "all hosts");
        assert!(aim(&["a"], None, false).only_host().unwrap().is_some());
        assert!(aim(&["a", "b"], None, false).only_host().is_err());
        assert!(aim(&[], None, true).only_host().is_err());
    }

    #[test]
    fn an_app_in_question_names_its_host() {
        let app = Parameter { name: "app".into(), kind: ParameterKind::App.into(), ..Parameter::default() };
        let script = Script { parameters: vec![Parameter::default(), app], ..Script::default() };
        let values = BTreeMap::from([("app".to_owned(), "cigar".to_owned())]);
        assert_eq!(app_of(&script, &values).as_deref(), Some("cigar"));
        assert_eq!(app_of(&script, &BTreeMap::new()), None);
    }

    #[test]
    fn the_choices_are_named_but_not_all_of_a_hundred() {
        let names: Vec<String> = (0..12).map(|n| format!("h{n}")).collect();
        assert_eq!(
            which(&names).hint,
            "add --host NAME (h0, h1, h2, h3, h4, h5, h6, h7, h8, h9 and 2 more), --label LABEL or --all"
        );
    }
}
