//! `/apps/{key}/secrets`: names and versions of an app's secrets, and its deploy key.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{Revealed, SecretChange, SecretList, Typed};
use crate::{Frame, Template};

/// The secrets of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/app_secrets.html")]
pub struct AppSecretsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The app.
    pub key: String,
    /// Its secrets.
    pub secrets: SecretList,
}

impl AppSecretsPage {
    /// A few.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Deploy, "Secrets of cigar"),
            key: "cigar".into(),
            secrets: SecretList::sample(),
        }
    }

    /// A file that was compared.
    pub fn sample_import() -> Self {
        let mut page = Self::sample();
        page.secrets.text = Typed("SMTP_PASSWORD=hunter2\nSENTRY_DSN=https://example.org\n".into());
        page.secrets.change = Some(SecretChange {
            added: vec!["SENTRY_DSN".into()],
            changed: vec!["SMTP_PASSWORD".into()],
            removed: vec!["OLD_<script>".into()],
            unchanged: vec!["API_TOKEN".into()],
        });
        page
    }

    /// One is shown.
    pub fn sample_revealed() -> Self {
        let mut page = Self::sample();
        page.secrets.revealed =
            Some(Revealed { name: "SMTP_PASSWORD".into(), value: "<script>hunter2".into() });
        page
    }

    /// None yet.
    pub fn sample_empty() -> Self {
        let secrets = SecretList { key: "cigar".into(), ..SecretList::default() };
        Self { secrets, ..Self::sample() }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}
