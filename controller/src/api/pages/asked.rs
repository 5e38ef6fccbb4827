//! What was put into the form of a script: by hand, or by a link that fills it in.

use std::collections::BTreeMap;

use hms_proto::{
    controller::v1::{AddScheduleRequest, RunRequest, Target},
    fault::Fault,
    host::v1::{Parameter, ParameterKind, Script},
    script::check_value,
};

/// The form, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) on: String,
    pub(super) hosts: Vec<String>,
    pub(super) label: String,
    pub(super) failed_of: String,
    pub(super) json: bool,
    pub(super) batch: String,
    pub(super) max_failures: String,
    pub(super) timeout: String,
    pub(super) cron: String,
}

impl TryFrom<Vec<(String, String)>> for Asked {
    type Error = Fault;

    fn try_from(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "on" => asked.on = value,
                "host" => asked.hosts.push(value),
                "label" => asked.label = value,
                "of" => asked.failed_of = value,
                "json" => asked.json = value == "1",
                "batch" => asked.batch = value,
                "max_failures" => asked.max_failures = value,
                "timeout" => asked.timeout = value,
                "cron" => asked.cron = value,
                other => match other.strip_prefix("p.") {
                    // A box that is ticked is there twice; the second time counts.
                    Some(parameter) => drop(asked.parameters.insert(parameter.to_owned(), value)),
                    None => {
                        return Err(Fault::invalid(format!(
                            "the form has no field `{}`",
                            other.escape_debug()
                        )));
                    }
                },
            }
        }
        Ok(asked)
    }
}

impl Asked {
    /// Which way of choosing hosts is meant.
    pub(super) fn way(&self) -> &str {
        match self.on.as_str() {
            way @ ("label" | "all" | "failed") => way,
            _ => "hosts",
        }
    }

    pub(super) fn target(&self) -> Target {
        match self.way() {
            "all" => Target { all: true, ..Target::default() },
            "label" => Target { label: self.label.clone(), ..Target::default() },
            "failed" => Target { failed_of: self.failed_of.clone(), ..Target::default() },
            _ => Target { hosts: self.hosts.clone(), ..Target::default() },
        }
    }

    /// What is still needed, in the words of the form.
    pub(super) fn missing(&self, script: &Script) -> Vec<String> {
        let needed = script.parameters.iter().filter(|p| p.required && self.value(p).is_empty());
        let mut missing: Vec<String> = needed.map(|p| p.label.clone()).collect();
        let nowhere = match self.way() {
            "hosts" => self.hosts.is_empty().then_some("a host"),
            "label" => self.label.is_empty().then_some("a label"),
            _ => None,
        };
        missing.extend(nowhere.map(ToOwned::to_owned));
        missing
    }

    /// What a parameter was given; empty for nothing.
    pub(super) fn value(&self, parameter: &Parameter) -> &str {
        self.parameters.get(&parameter.name).map_or("", |value| value.trim())
    }

    /// Why a parameter's value does not fit. A value that is missing is another thing.
    pub(super) fn wrong(&self, parameter: &Parameter) -> Option<String> {
        let value = Some(self.value(parameter)).filter(|value| !value.is_empty())?;
        let message = check_value(parameter, value).err()?.message;
        Some(message.split_once(": ").map_or(message.clone(), |(_, why)| why.to_owned()))
    }

    fn given(&self, script: &Script) -> impl Iterator<Item = (String, String)> {
        let known = |name: &str| script.parameters.iter().find(|p| p.name == name);
        self.parameters.iter().map(move |(name, value)| {
            // Text is taken as it is; around anything else a blank is a slip of the hand.
            let text =
                known(name).is_some_and(|p| matches!(p.kind(), ParameterKind::Text | ParameterKind::Pattern));
            (name.clone(), if text { value.clone() } else { value.trim().to_owned() })
        })
    }

    pub(super) fn run(&self, script: &Script) -> Result<RunRequest, Fault> {
        Ok(RunRequest {
            script: script.name.clone(),
            target: Some(self.target()),
            parameters: self.given(script).collect(),
            json: self.json,
            timeout_s: number("End after", ParameterKind::Duration, script.timeout_s.into(), &self.timeout)?,
            batch: number("Hosts at a time", ParameterKind::Int, 1000, &self.batch)?,
            max_failures: number("Stop after failures", ParameterKind::Int, 1000, &self.max_failures)?,
            id: String::new(),
        })
    }

    pub(super) fn schedule(&self, script: &Script) -> Result<AddScheduleRequest, Fault> {
        let RunRequest { script, target, parameters, batch, .. } = self.run(script)?;
        Ok(AddScheduleRequest { script, target, parameters, cron: self.cron.trim().into(), batch })
    }
}

/// A number that may be left out.
fn number(label: &str, kind: ParameterKind, most: i64, text: &str) -> Result<u32, Fault> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(0);
    }
    let parameter = Parameter {
        name: label.into(),
        kind: kind.into(),
        min: Some(1),
        max: Some(most),
        ..Parameter::default()
    };
    let number = check_value(&parameter, text)?;
    number.parse().map_err(|_| Fault::invalid(format!("`{label}` does not fit: `{text}` is too much")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> Result<Asked, Fault> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>().try_into()
    }

    fn script() -> Script {
        let parameter = |name: &str, kind: ParameterKind, required| Parameter {
            name: name.into(),
            label: name.to_uppercase(),
            kind: kind.into(),
            required,
            ..Parameter::default()
        };
        Script {
            name: "x".into(),
            timeout_s: 60,
            parameters: vec![
                parameter("unit", ParameterKind::Unit, true),
                parameter("text", ParameterKind::Text, false),
                parameter("all", ParameterKind::Bool, false),
            ],
            ..Script::default()
        }
    }

    #[test]
    fn a_form_becomes_a_request() {
        let fields = [
            ("p.unit", " nginx.service "),
            ("p.text", " a "),
            ("p.all", "false"),
            ("p.all", "true"),
            ("host", "asterra"),
            ("host", "borealis"),
            ("timeout", "30s"),
            ("batch", "2"),
        ];
        let run = form(&fields).unwrap().run(&script()).unwrap();
        let given = |name: &str| run.parameters[name].as_str();
        assert_eq!((given("unit"), given("text"), given("all")), ("nginx.service", " a ", "true"));
        assert_eq!(run.target.unwrap().hosts, ["asterra", "borealis"]);
        assert_eq!((run.timeout_s, run.batch, run.max_failures), (30, 2, 0));
    }

    #[test]
    fn what_is_needed_and_what_does_not_fit_are_told_apart() {
        let empty = form(&[]).unwrap();
        assert_eq!(empty.missing(&script()), ["UNIT", "a host"]);
        assert!(empty.wrong(&script().parameters[0]).is_none());
        let bad = form(&[("p.unit", "-H"), ("on", "label")]).unwrap();
        assert_eq!(bad.missing(&script()), ["a label"]);
        assert!(bad.wrong(&script().parameters[0]).is_some_and(|why| !why.contains("does not fit")));
        for (field, value) in [("timeout", "61s"), ("timeout", "x"), ("batch", "0"), ("max_failures", "1e9")]
        {
            assert!(form(&[(field, value)]).unwrap().run(&script()).is_err(), "{field}={value}");
        }
    }

    #[test]
    fn fields_that_the_form_does_not_have_are_refused() {
        assert!(form(&[("actor", "root")]).is_err());
        assert!(
            form(&[("p.", "x")])
                .is_ok_and(|asked| asked.run(&script()).is_ok_and(|run| run.parameters.contains_key("")))
        );
    }
}
