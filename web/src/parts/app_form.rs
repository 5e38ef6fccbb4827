//! The form of an app's settings: its fields with what was typed, errors beside them, and what somebody else changed.

use std::collections::BTreeMap;

use super::app_fields::{GROUPS, Kind};
use crate::frame::Notice;

/// One field, with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsField {
    /// As in the contract: `health_path`.
    pub name: &'static str,
    /// What it is.
    pub label: &'static str,
    /// What it does.
    pub help: &'static str,
    /// How it is put in.
    pub kind: Kind,
    /// What is taken when it is left empty; may be empty.
    pub placeholder: String,
    /// As typed.
    pub value: String,
    /// Why it does not fit; may be empty.
    pub error: String,
    /// What somebody else made of it meanwhile.
    pub theirs: Option<String>,
    /// For a choice that is not fixed: values and labels.
    pub choices: Vec<(String, String)>,
}

impl SettingsField {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("s-{}", self.name)
    }

    /// Whether it is a box that is ticked.
    pub fn is_check(&self) -> bool {
        self.kind == Kind::Check
    }

    /// Whether it takes the whole width.
    pub fn is_wide(&self) -> bool {
        matches!(self.kind, Kind::Lines | Kind::File)
    }

    /// Whether the box is ticked.
    pub fn is_ticked(&self) -> bool {
        self.value == "true"
    }

    /// Whether this value is chosen.
    pub fn is_chosen(&self, value: &str) -> bool {
        self.value == value
    }

    /// The rows of a text.
    pub fn rows(&self) -> usize {
        let rows = self.value.lines().count() + 1;
        match self.kind {
            Kind::File => rows.clamp(4, 24),
            _ => rows.clamp(2, 8),
        }
    }

    /// What the other value is, in words.
    pub fn their_words(&self) -> String {
        match self.theirs.as_deref() {
            Some("") => "nothing".into(),
            Some(value) => crate::text::plain(value),
            None => String::new(),
        }
    }
}

/// Fields that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsGroup {
    /// Its id in the page.
    pub id: &'static str,
    /// What they are about.
    pub title: &'static str,
    /// More about it; may be empty.
    pub help: &'static str,
    /// Whether it can be left folded.
    pub folded: bool,
    /// In order.
    pub fields: Vec<SettingsField>,
}

impl SettingsGroup {
    /// Whether it has to be seen: something in it does not fit, or was changed by somebody else.
    pub fn is_open(&self) -> bool {
        self.fields.iter().any(|field| !field.error.is_empty() || field.theirs.is_some())
    }
}

/// The whole form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsForm {
    /// The app; empty for a new one.
    pub key: String,
    /// The host of an app that is there.
    pub host: String,
    /// The version that is edited.
    pub version: String,
    /// The values that the form began with, as JSON: so that two people's edits can be told apart.
    pub base: String,
    /// In order.
    pub groups: Vec<SettingsGroup>,
    /// What is wrong as a whole.
    pub error: Option<Notice>,
}

impl SettingsForm {
    /// The form with these values, by field; `hosts` are what a new app can be put on.
    pub fn new(key: &str, hosts: &[String], values: &BTreeMap<String, String>) -> Self {
        let is_new = key.is_empty();
        let groups = GROUPS.iter().map(|group| SettingsGroup {
            id: group.id,
            title: group.title,
            help: group.help,
            folded: group.folded,
            fields: group
                .fields
                .iter()
                .filter(|field| if is_new { field.name != "enabled" } else { !field.only_new })
                .map(|field| SettingsField {
                    name: field.name,
                    label: field.label,
                    help: field.help,
                    kind: field.kind,
                    placeholder: field.placeholder.to_owned(),
                    value: values.get(field.name).cloned().unwrap_or_default(),
                    choices: choices(field.kind, hosts),
                    ..SettingsField::default()
                })
                .collect(),
        });
        Self { key: key.to_owned(), groups: groups.collect(), ..Self::default() }
    }

    /// Whether an app is added with it.
    pub fn is_new(&self) -> bool {
        self.key.is_empty()
    }

    /// Where it is sent.
    pub fn action(&self) -> String {
        if self.is_new() { "/apps/new".to_owned() } else { super::app_href(&self.key, "settings") }
    }

    /// The field of this name.
    pub fn field_mut(&mut self, name: &str) -> Option<&mut SettingsField> {
        self.groups.iter_mut().flat_map(|group| &mut group.fields).find(|field| field.name == name)
    }

    /// Fields that do not fit, for the summary on top: id, label and why.
    pub fn errors(&self) -> Vec<(String, &'static str, &str)> {
        let fields = self.groups.iter().flat_map(|group| &group.fields);
        fields
            .filter(|field| !field.error.is_empty())
            .map(|field| (field.id(), field.label, field.error.as_str()))
            .collect()
    }
}

fn choices(kind: Kind, hosts: &[String]) -> Vec<(String, String)> {
    let own = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    match kind {
        Kind::Choice(choices) => choices.iter().map(|(value, label)| own(value, label)).collect(),
        Kind::Host => hosts.iter().map(|host| own(host, host)).collect(),
        _ => Vec::new(),
    }
}

/// The names of all fields of the form.
pub fn settings_fields() -> impl Iterator<Item = (&'static str, Kind)> {
    GROUPS.iter().flat_map(|group| group.fields).map(|field| (field.name, field.kind))
}
