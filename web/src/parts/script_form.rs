//! The form that a script's manifest makes: its parameters, on which hosts, and what would run.

use super::HostState;
use crate::events::html;
use crate::frame::{Notice, SAMPLE_NOW_US, Tone};
use crate::{Template, View};

/// How a value is put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FieldKind {
    /// One line of text.
    #[default]
    Text,
    /// One line of text, with names to choose from as it is typed.
    Suggested(Vec<String>),
    /// A whole number.
    Number {
        /// The least.
        min: Option<i64>,
        /// The most.
        max: Option<i64>,
    },
    /// A length of time with its unit.
    Duration,
    /// A regular expression.
    Pattern,
    /// One of these.
    Choice(Vec<Choice>),
    /// Yes or no.
    Check,
}

/// Something to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// The host that belongs to it; may be empty.
    pub host: String,
}

/// One parameter, with what was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// As in the manifest.
    pub name: String,
    /// What it is.
    pub label: String,
    /// What it does; may be empty.
    pub help: String,
    /// How it is put in.
    pub kind: FieldKind,
    /// Whether it needs a value.
    pub required: bool,
    /// As typed, or the default.
    pub value: String,
    /// Why it does not fit; may be empty.
    pub error: String,
}

impl Field {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("p-{}", self.name)
    }

    /// The element that says why it does not fit.
    pub fn error_id(&self) -> String {
        format!("p-{}-error", self.name)
    }

    /// Whether this choice is chosen.
    pub fn is_chosen(&self, choice: &Choice) -> bool {
        self.value == choice.value
    }

    /// Whether it is a box that is ticked.
    pub fn is_check(&self) -> bool {
        self.kind == FieldKind::Check
    }

    /// `1 to 100`, `at least 1`; empty for everything that is no number.
    pub fn range(&self) -> String {
        match self.kind {
            FieldKind::Number { min: Some(min), max: Some(max) } => format!("{min} to {max}"),
            FieldKind::Number { min: Some(min), max: None } => format!("at least {min}"),
            FieldKind::Number { min: None, max: Some(max) } => format!("at most {max}"),
            _ => String::new(),
        }
    }

    fn sample(name: &str, label: &str, help: &str, kind: FieldKind, value: &str) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            help: help.into(),
            kind,
            value: value.into(),
            ..Self::default()
        }
    }
}

/// A host to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetHost {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub state: HostState,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// Which hosts: by name, by label, all, or those where an earlier run did not succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPicker {
    /// `hosts`, `label`, `all` or `failed`.
    pub on: String,
    /// By name.
    pub hosts: Vec<TargetHost>,
    /// All labels that a host has.
    pub labels: Vec<String>,
    /// The chosen one.
    pub label: String,
    /// The earlier run; empty: none.
    pub failed_of: String,
}

impl TargetPicker {
    /// Whether this way is chosen.
    pub fn is(&self, on: &str) -> bool {
        self.on == on
    }

    /// Whether this label is chosen.
    pub fn is_label(&self, label: &str) -> bool {
        self.label == label
    }

    /// How many hosts have it.
    pub fn count(&self, label: &str) -> usize {
        self.hosts.iter().filter(|host| host.labels.iter().any(|l| l == label)).count()
    }

    fn sample() -> Self {
        let host = |name: &str, state, labels: &[&str], chosen| TargetHost {
            name: name.into(),
            state,
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            chosen,
        };
        Self {
            on: "hosts".into(),
            hosts: vec![
                host("asterra", HostState::Connected, &["env=production", "web"], true),
                host("borealis", HostState::Unreachable, &["env=production"], false),
                host("corvus", HostState::Connected, &[], false),
            ],
            labels: vec!["env=production".into(), "web".into()],
            ..Self::default()
        }
    }
}

/// What would run, renewed as the form is filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// The hosts it would run on.
    pub hosts: Vec<String>,
    /// Those of them that cannot be reached now.
    pub unreachable: Vec<String>,
    /// What is still needed: labels of parameters, `a host`.
    pub missing: Vec<String>,
    /// Why it cannot run.
    pub problem: Option<Notice>,
    /// What is asked before a script that changes something runs; empty for others.
    pub question: String,
    /// The schedule in words; empty when there is none.
    pub schedule: String,
    /// Its next times, in microseconds since the epoch.
    pub next_us: Vec<i64>,
    /// Why the schedule is none; may be empty.
    pub schedule_error: String,
}

impl Preview {
    /// Whether it could be run as it is.
    pub fn is_ready(&self) -> bool {
        self.problem.is_none() && self.missing.is_empty() && !self.argv.is_empty()
    }

    /// Whether this host cannot be reached now.
    pub fn is_unreachable(&self, host: &str) -> bool {
        self.unreachable.iter().any(|one| one == host)
    }

    /// `Run on 3 hosts`.
    pub fn run_words(&self) -> String {
        match self.hosts.as_slice() {
            [] => "Run".into(),
            [one] => format!("Run on {one}"),
            many => format!("Run on {} hosts", many.len()),
        }
    }

    /// What a run on one host would be.
    pub fn sample() -> Self {
        Self {
            argv: ["parse_logs", "--source=journal", "--app=cigar", "--since=3600", "--limit=20"]
                .map(str::to_owned)
                .to_vec(),
            environment: vec!["HMS_PARAM_PATTERN=(?i)error|exception".into()],
            hosts: vec!["asterra".into()],
            ..Self::default()
        }
    }
}

/// The form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptForm {
    /// The script's name.
    pub script: String,
    /// Its title.
    pub title: String,
    /// Whether it changes something.
    pub mutates: bool,
    /// Whether it knows `--json`.
    pub knows_json: bool,
    /// Its parameters.
    pub fields: Vec<Field>,
    /// On which hosts.
    pub target: TargetPicker,
    /// Whether JSON is asked for.
    pub json: bool,
    /// As typed: how many hosts at a time.
    pub batch: String,
    /// As typed: after how many failures it stops.
    pub max_failures: String,
    /// As typed: how long it may take on each host.
    pub timeout: String,
    /// The most that may be.
    pub longest_s: u32,
    /// As typed: when it runs by itself.
    pub cron: String,
    /// What would run.
    pub preview: Preview,
    /// Why it was not run.
    pub error: Option<Notice>,
}

#[derive(Template)]
#[template(path = "parts/script_preview.html")]
struct PreviewPart<'a> {
    form: &'a ScriptForm,
}

#[derive(Template)]
#[template(path = "parts/field_errors.html")]
struct ErrorsPart<'a> {
    form: &'a ScriptForm,
    view: View,
}

impl ScriptForm {
    /// The answer to what was typed: the preview, and what is wrong with each field.
    pub fn answer(&self, view: View) -> String {
        html(&PreviewPart { form: self }) + &html(&ErrorsPart { form: self, view })
    }

    /// Whether something that is folded away is used.
    pub fn is_advanced(&self) -> bool {
        [&self.batch, &self.max_failures, &self.timeout].iter().any(|value| !value.is_empty()) || self.json
    }

    /// How long it may take at most, in words.
    pub fn longest(&self) -> String {
        crate::text::duration(self.longest_s.into())
    }

    /// A form with a field of every kind.
    pub fn sample() -> Self {
        let choice = |value: &str, label: &str, host: &str| Choice {
            value: value.into(),
            label: label.into(),
            host: host.into(),
        };
        let apps = vec![
            choice("", "any", ""),
            choice("cigar", "cigar on asterra", "asterra"),
            choice("tobacco", "tobacco on borealis", "borealis"),
        ];
        let sources = ["journal", "nginx_access", "nginx_error"].map(|s| choice(s, s, "")).to_vec();
        let units = ["nginx.service", "postgresql.service", "puma-cigar.service"].map(str::to_owned).to_vec();
        Self {
            script: "parse_logs".into(),
            title: "Parse logs for errors".into(),
            knows_json: true,
            fields: vec![
                Field::sample("source", "Where to look", "", FieldKind::Choice(sources), "journal"),
                Field::sample(
                    "app",
                    "App",
                    "Its service and its part of the nginx log.",
                    FieldKind::Choice(apps),
                    "cigar",
                ),
                Field::sample("unit", "Unit", "Instead of an app.", FieldKind::Suggested(units), ""),
                Field {
                    required: true,
                    ..Field::sample(
                        "pattern",
                        "Pattern",
                        "A regular expression; lines that match are counted.",
                        FieldKind::Pattern,
                        "(?i)error|exception",
                    )
                },
                Field::sample("since", "How far back", "", FieldKind::Duration, "1h"),
                Field::sample(
                    "limit",
                    "Groups shown",
                    "",
                    FieldKind::Number { min: Some(1), max: Some(200) },
                    "20",
                ),
                Field::sample(
                    "examples",
                    "Show examples",
                    "The last lines of each group.",
                    FieldKind::Check,
                    "true",
                ),
            ],
            target: TargetPicker::sample(),
            longest_s: 120,
            preview: Preview::sample(),
            ..Self::default()
        }
    }

    /// What was typed does not fit.
    pub fn sample_refused() -> Self {
        let mut form = Self::sample();
        form.fields[3].value = "(unclosed".into();
        form.fields[3].error = "`(unclosed` is not a regular expression: unclosed group".into();
        form.fields[5].value = "500".into();
        form.fields[5].error = "500 is not in 1 to 200".into();
        form.preview = Preview {
            missing: vec!["a host".into()],
            schedule_error: "`every day` has 2 fields; a schedule has five".into(),
            ..Preview::default()
        };
        form.cron = "every day".into();
        form.batch = "4".into();
        form.target.hosts[0].chosen = false;
        form.error = Some(Notice {
            tone: Tone::Bad,
            message: "This was not run: two values do not fit.".into(),
            hint: "Mend what is marked.".into(),
        });
        form
    }

    /// A script that changes something, on many hosts, also by itself.
    pub fn sample_mutating() -> Self {
        let units = FieldKind::Suggested(vec!["puma-cigar.service".into()]);
        Self {
            script: "restart_service".into(),
            title: "Restart a service".into(),
            mutates: true,
            knows_json: false,
            fields: vec![Field { required: true, ..Field::sample("unit", "Service", "Its state before and after is shown.", units, "puma-cigar.service") }],
            target: TargetPicker { on: "label".into(), label: "env=production".into(), ..TargetPicker::sample() },
            cron: "30 4 * * 0".into(),
            preview: Preview {
                argv: vec!["restart_service".into(), "--unit=puma-cigar.service".into()],
                hosts: vec!["asterra".into(), "borealis".into()],
                unreachable: vec!["borealis".into()],
                question: "Restart a service changes something on asterra and borealis, with unit=puma-cigar.service.".into(),
                schedule: "At 04:30 on Sunday".into(),
                next_us: (1..4).map(|week| SAMPLE_NOW_US + week * 604_800_000_000).collect(),
                ..Preview::default()
            },
            ..Self::sample()
        }
    }
}
