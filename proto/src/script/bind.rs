//! Parameters: text that people typed becomes arguments and an environment, or is refused with the reason.

use std::collections::BTreeMap;

use crate::{
    fault::Fault,
    host::v1::{Parameter, ParameterKind, Script},
    names::{AppKey, HostName, UnitName},
};

const PATTERN_LONGEST: usize = 1024;
const TEXT_LONGEST: usize = 4096;
const PATH_LONGEST: usize = 1024;

/// What a script is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// Its arguments: `--name=value`, in the order of the manifest, and `--json` at the end.
    pub arguments: Vec<String>,
    /// Its own part of the environment: `HMS_PARAM_NAME`, in the order of the manifest.
    pub environment: Vec<(String, String)>,
    /// The values as they are used, defaults included.
    pub values: BTreeMap<String, String>,
}

/// Checks what was given against the manifest, and makes arguments and environment of it.
pub fn bind(script: &Script, given: &BTreeMap<String, String>, json: bool) -> Result<Bound, Fault> {
    if let Some(unknown) = given.keys().find(|name| !script.parameters.iter().any(|p| p.name == **name)) {
        return Err(Fault::invalid(format!(
            "`{}` has no parameter `{}`",
            script.name,
            unknown.escape_debug()
        ))
        .hint(known(script)));
    }
    if json && !script.json {
        return Err(Fault::invalid(format!("`{}` has no JSON output", script.name)));
    }
    let mut bound = Bound::default();
    for parameter in &script.parameters {
        let value = given.get(&parameter.name).map(String::as_str).filter(|v| !v.is_empty());
        let Some(value) = value.or(Some(parameter.default.as_str()).filter(|v| !v.is_empty())) else {
            if parameter.required {
                return Err(Fault::invalid(format!(
                    "`{}` needs a value for `{}`",
                    script.name, parameter.name
                )));
            }
            continue;
        };
        let value = check_value(parameter, value)?;
        bound.values.insert(parameter.name.clone(), value.clone());
        match parameter.kind() {
            // Free text is no argument: a script that forgets to quote it would split it.
            ParameterKind::Pattern | ParameterKind::Text => {
                bound.environment.push((format!("HMS_PARAM_{}", parameter.name.to_ascii_uppercase()), value));
            }
            _ => bound.arguments.push(format!("--{}={value}", parameter.name)),
        }
    }
    if json {
        bound.arguments.push("--json".into());
    }
    Ok(bound)
}

fn known(script: &Script) -> String {
    match script.parameters.is_empty() {
        true => "It has no parameters.".into(),
        false => {
            let names: Vec<_> = script.parameters.iter().map(|p| p.name.as_str()).collect();
            format!("Its parameters are: {}.", names.join(", "))
        }
    }
}

/// Checks one value, and gives it in the form that the script gets.
pub fn check_value(parameter: &Parameter, value: &str) -> Result<String, Fault> {
    let taken = match parameter.kind() {
        ParameterKind::App => AppKey::try_from(value).map(|v| v.to_string()).map_err(|e| e.to_string()),
        ParameterKind::Unit => UnitName::try_from(value).map(|v| v.to_string()).map_err(|e| e.to_string()),
        ParameterKind::Host => HostName::try_from(value).map(|v| v.to_string()).map_err(|e| e.to_string()),
        ParameterKind::Int => number(parameter, value),
        ParameterKind::Duration => duration(parameter, value),
        ParameterKind::Enum => one_of(&parameter.choices, value),
        ParameterKind::Bool => one_of(&["true".into(), "false".into()], value),
        ParameterKind::Pattern => pattern(value),
        ParameterKind::Text => line(value, TEXT_LONGEST).map(|()| value.to_owned()),
        ParameterKind::Path => {
            check_path(value).map(|()| value.to_owned()).map_err(|why| format!("{}: {why}", shown(value)))
        }
        ParameterKind::Unspecified => Err("its kind is not known here".into()),
    };
    taken.map_err(|why| Fault::invalid(format!("`{}` does not fit: {why}", parameter.name)))
}

fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(64).flat_map(char::escape_debug).collect();
    if value.chars().nth(64).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

fn number(parameter: &Parameter, value: &str) -> Result<String, String> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number: i64 = match value.parse() {
        Ok(number) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => number,
        _ => return Err(format!("{} is not a whole number", shown(value))),
    };
    in_range(parameter, number, "")?;
    Ok(number.to_string())
}

fn duration(parameter: &Parameter, value: &str) -> Result<String, String> {
    let time = humantime::parse_duration(value)
        .map_err(|_| format!("{} is not a time with its unit, such as `90s` or `2h`", shown(value)))?;
    let seconds = i64::try_from(time.as_secs()).map_err(|_| format!("{} is too long", shown(value)))?;
    in_range(parameter, seconds, " seconds")?;
    Ok(seconds.to_string())
}

fn in_range(parameter: &Parameter, number: i64, unit: &str) -> Result<(), String> {
    if parameter.min.is_none_or(|min| number >= min) && parameter.max.is_none_or(|max| number <= max) {
        return Ok(());
    }
    Err(match (parameter.min, parameter.max) {
        (Some(min), Some(max)) => format!("{number}{unit} is not in {min} to {max}"),
        (Some(min), None) => format!("{number}{unit} is less than {min}"),
        (_, max) => format!("{number}{unit} is more than {}", max.unwrap_or_default()),
    })
}

fn one_of(choices: &[String], value: &str) -> Result<String, String> {
    match choices.iter().any(|choice| choice == value) {
        true => Ok(value.to_owned()),
        false => Err(format!("{} is not one of: {}", shown(value), choices.join(", "))),
    }
}

fn pattern(value: &str) -> Result<String, String> {
    line(value, PATTERN_LONGEST)?;
    let built = regex::RegexBuilder::new(value).size_limit(1 << 20).build();
    built.map(|_| value.to_owned()).map_err(|error| {
        let said = error.to_string();
        let cause =
            said.lines().rev().find_map(|l| l.strip_prefix("error: ")).unwrap_or("it would be too large");
        format!("{} is not a regular expression: {cause}", shown(value))
    })
}

fn line(value: &str, longest: usize) -> Result<(), String> {
    if value.len() > longest {
        return Err(format!("it is longer than {longest} bytes"));
    }
    match value.chars().find(|c| c.is_control() && *c != '\t') {
        Some(control) => Err(format!("it has the control character `{}`", control.escape_debug())),
        None => Ok(()),
    }
}

pub(super) fn check_path(value: &str) -> Result<(), &'static str> {
    if value.len() > PATH_LONGEST {
        return Err("it is longer than 1,024 bytes");
    }
    if !value.starts_with('/') {
        return Err("it must be absolute");
    }
    if value.chars().any(|c| c.is_control() || c == ':' || c == '%') {
        return Err("it must not have control characters, `:` or `%`");
    }
    match value.split('/').skip(1).any(|part| matches!(part, "." | "..")) {
        true => Err("it must not have `.` or `..` as a part"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameter(kind: ParameterKind) -> Parameter {
        Parameter {
            name: "p".into(),
            kind: kind.into(),
            choices: vec!["one".into(), "two".into()],
            ..Parameter::default()
        }
    }

    fn script(kinds: &[(&str, ParameterKind)]) -> Script {
        let parameters =
            kinds.iter().map(|(name, kind)| Parameter { name: (*name).into(), ..parameter(*kind) });
        Script { name: "x".into(), parameters: parameters.collect(), json: true, ..Script::default() }
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn values_become_arguments_in_the_order_of_the_manifest() {
        let script = script(&[
            ("since", ParameterKind::Duration),
            ("app", ParameterKind::App),
            ("pattern", ParameterKind::Pattern),
        ]);
        let bound =
            bind(&script, &given(&[("pattern", "a b|$(id)"), ("app", "cigar"), ("since", "2h")]), true)
                .unwrap();
        assert_eq!(bound.arguments, ["--since=7200", "--app=cigar", "--json"]);
        assert_eq!(bound.environment, [("HMS_PARAM_PATTERN".to_owned(), "a b|$(id)".to_owned())]);
        assert_eq!(bind(&script, &given(&[]), false).unwrap(), Bound::default());
    }

    #[test]
    fn defaults_are_used_and_missing_values_named() {
        let mut script = script(&[("n", ParameterKind::Int)]);
        script.parameters[0].default = "7".into();
        assert_eq!(bind(&script, &given(&[("n", "")]), false).unwrap().arguments, ["--n=7"]);
        script.parameters[0] =
            Parameter { required: true, default: String::new(), ..script.parameters[0].clone() };
        assert_eq!(bind(&script, &given(&[]), false).unwrap_err().message, "`x` needs a value for `n`");
        let unknown = bind(&script, &given(&[("m", "1")]), false).unwrap_err();
        assert_eq!(
            (unknown.message.as_str(), unknown.hint.as_str()),
            ("`x` has no parameter `m`", "Its parameters are: n.")
        );
    }

    /// Security cases 45 and 47.
    #[test]
    fn values_out_of_range_or_of_another_kind_are_refused() {
        let long = "a".repeat(128 * 1024);
        let cases: &[(ParameterKind, &[&str])] = &[
            (ParameterKind::App, &["-rf", "--help", "@/etc/shadow", "=", "a b", "../x", &long]),
            (ParameterKind::Unit, &["-H", "*", "x", "a.service\n", &long]),
            (ParameterKind::Host, &["-x", "a b", "a/b", &long]),
            (ParameterKind::Int, &["", "-", "1.5", "1e3", "0x7f", "+1", " 1", "9223372036854775808", &long]),
            (ParameterKind::Duration, &["-1s", "5", "forever", "1 d ago", &long]),
            (ParameterKind::Enum, &["", "three", "One", "one\n"]),
            (ParameterKind::Bool, &["yes", "1", "TRUE"]),
            (ParameterKind::Pattern, &["(", "a\nb", "(a{1000}){1000}", &long]),
            (ParameterKind::Text, &["a\nb", "a\0b", "\u{1b}[2J", &long]),
            (ParameterKind::Path, &["", "etc", "/a/../b", "/a/./b", "/a\n", "/a:b", "/%h", &long]),
        ];
        for (kind, bad) in cases {
            for value in *bad {
                assert!(
                    check_value(&parameter(*kind), value).is_err(),
                    "{kind:?} took {:?}",
                    &value[..value.len().min(40)]
                );
            }
        }
        let mut int = parameter(ParameterKind::Int);
        (int.min, int.max) = (Some(1), Some(100));
        assert_eq!(check_value(&int, "101").unwrap_err().message, "`p` does not fit: 101 is not in 1 to 100");
        assert!(check_value(&int, "0").is_err() && check_value(&int, "100").is_ok());
        assert_eq!(check_value(&parameter(ParameterKind::Int), "-007").unwrap(), "-7");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Security case 46: whatever is typed is one argument that is no option of its own, or one variable, or refused.
        #[test]
        fn no_value_becomes_a_second_argument_or_another_option(value in "\\PC{0,60}|[;|&$(){}<>*?~!` \\-=@/.a-z0-9\\n]{0,40}") {
            let kinds = [
                ParameterKind::App, ParameterKind::Unit, ParameterKind::Host, ParameterKind::Int, ParameterKind::Enum,
                ParameterKind::Duration, ParameterKind::Path, ParameterKind::Bool, ParameterKind::Pattern, ParameterKind::Text,
            ];
            for kind in kinds {
                let Ok(bound) = bind(&script(&[("p", kind)]), &given(&[("p", &value)]), false) else { continue };
                prop_assert!(bound.arguments.len() + bound.environment.len() <= 1);
                for argument in &bound.arguments {
                    prop_assert!(argument.starts_with("--p=") && !argument.contains(['\n', '\0']));
                }
                for (name, text) in &bound.environment {
                    prop_assert!(name == "HMS_PARAM_P" && *text == value);
                }
            }
        }
    }
}
