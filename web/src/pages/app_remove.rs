//! `/apps/{key}/remove`: taking an app away.

use crate::frame::{Notice, Place};
use crate::{Frame, Template};

/// The question before an app is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/app_remove.html")]
pub struct AppRemovePage {
    /// What surrounds it.
    pub frame: Frame,
    /// The app.
    pub key: String,
    /// Its host.
    pub host: String,
    /// Its public name; may be empty.
    pub domain: String,
    /// Its database; may be empty.
    pub database: String,
    /// Why it was not done.
    pub problem: Option<Notice>,
}

impl AppRemovePage {
    /// An app that runs.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Deploy, "Remove cigar"),
            key: "cigar".into(),
            host: "asterra".into(),
            domain: "cigar.remoteds.us".into(),
            database: "cigar_production".into(),
            problem: None,
        }
    }
}
