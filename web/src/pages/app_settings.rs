//! `/apps/{key}/settings` and `/apps/new`: all that HMS knows of an app but its secrets.

use std::collections::BTreeMap;

use super::scripts::as_viewer;
use crate::frame::{Notice, Place, Tone};
use crate::parts::SettingsForm;
use crate::{Frame, Template};

/// The form of an app's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/app_settings.html")]
pub struct AppSettingsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The app; empty for a new one.
    pub key: String,
    /// What can be set.
    pub form: SettingsForm,
}

impl AppSettingsPage {
    fn values() -> BTreeMap<String, String> {
        [
            ("name", "Cigar"),
            ("subdomain", "cigar"),
            ("domain", "remoteds.us"),
            ("enabled", "true"),
            ("git_url", "git@git.remoteds.us:team/cigar.git"),
            ("branch", "main"),
            ("gems", "rubygems"),
            ("ruby_path", "/usr/bin"),
            ("asset_tasks", "assets:precompile"),
            ("release_tasks", "db:migrate"),
            ("shared_paths", "log\ntmp/pids\nstorage"),
            ("workers", "2"),
            ("threads_min", "5"),
            ("threads_max", "5"),
            ("health_path", "/up"),
            ("database_name", "cigar_production"),
            ("environment", "RAILS_LOG_LEVEL=info\nLANG=en_US.UTF-8"),
            ("overrides.puma", "workers 2\nthreads 5, 5\n"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// An app that is there.
    pub fn sample() -> Self {
        let mut form = SettingsForm::new("cigar", &[], &Self::values());
        (form.host, form.version) = ("asterra".into(), "7".into());
        Self { frame: Frame::sample(Place::Deploy, "Settings of cigar"), key: "cigar".into(), form }
    }

    /// An app that is not there yet.
    pub fn sample_new() -> Self {
        let hosts = ["asterra".to_owned(), "borealis".to_owned()];
        let values = [("enabled".to_owned(), "true".to_owned())].into();
        Self {
            frame: Frame::sample(Place::Deploy, "Add an app"),
            key: String::new(),
            form: SettingsForm::new("", &hosts, &values),
        }
    }

    /// Something does not fit.
    pub fn sample_refused() -> Self {
        let mut page = Self::sample();
        for (name, value, error) in [
            (
                "git_url",
                "ext::sh -c 'id'",
                "it must be https://…, ssh://…, git@host:path, or file:///srv/git/…",
            ),
            ("threads_min", "9", "it is more than the most, 5"),
            ("overrides.puma", "<script>alert('x')</script>", "it has no `bind`"),
        ] {
            if let Some(field) = page.form.field_mut(name) {
                (field.value, field.error) = (value.into(), error.into());
            }
        }
        page
    }

    /// Somebody else saved in between.
    pub fn sample_conflict() -> Self {
        let mut page = Self::sample();
        page.form.error = Some(Notice {
            tone: Tone::Warn,
            message: "Somebody saved other settings meanwhile.".into(),
            hint: "Their changes are in the form; where you both changed the same, yours are, with theirs beside.".into(),
        });
        if let Some(field) = page.form.field_mut("workers") {
            field.value = "3".into();
            field.theirs = Some("4".into());
        }
        page
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}
