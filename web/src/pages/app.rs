//! `/apps/{key}`: one app: how it is, what is live, its releases and its history.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{AppRow, AppState, DeployRow, DeploymentRow, ReleaseRow};
use crate::{Frame, Template};

/// The overview of an app.
#[derive(Clone, Debug, Default, PartialEq, Template)]
#[template(path = "pages/app.html")]
pub struct AppPage {
    /// What surrounds it; its stream is `/events?view=app&id=…`.
    pub frame: Frame,
    /// The app.
    pub key: String,
    /// Its host.
    pub host: String,
    /// As on the dashboard.
    pub app: AppRow,
    /// As on `/deploy`.
    pub row: DeployRow,
    /// On its host, newest first.
    pub releases: Vec<ReleaseRow>,
    /// Why they cannot be told; may be empty.
    pub releases_problem: String,
    /// Newest first.
    pub deployments: Vec<DeploymentRow>,
    /// Without the apps' names: it is of one.
    pub with_app: bool,
    /// The address of its site; empty when it has none.
    pub site_href: String,
    /// More about it: name and value.
    pub facts: Vec<(&'static str, String)>,
}

impl AppPage {
    /// All is well.
    pub fn sample() -> Self {
        let mut deployments = DeploymentRow::samples();
        deployments.retain(|row| row.app == "cigar");
        Self {
            frame: Frame {
                events: "/events?view=app&id=cigar".into(),
                ..Frame::sample(Place::Deploy, "cigar")
            },
            key: "cigar".into(),
            host: "asterra".into(),
            app: AppRow::sample(),
            row: DeployRow::samples().swap_remove(0),
            releases: ReleaseRow::samples(),
            deployments,
            site_href: "https://cigar.remoteds.us/".into(),
            facts: vec![
                ("Unit", "puma-cigar.service".into()),
                ("Folder", "/srv/cigar".into()),
                ("Repository", "git@git.remoteds.us:team/cigar.git".into()),
                ("Branch", "main".into()),
                ("Process", "2 workers with 5 threads".into()),
                ("Database", "cigar_production, as app-cigar".into()),
            ],
            ..Self::default()
        }
    }

    /// It was just added.
    pub fn sample_fresh() -> Self {
        Self {
            app: AppRow::sample_in("cigar", "asterra", AppState::NotInstalled),
            row: DeployRow { live: None, state: AppState::NotInstalled, ..Self::sample().row },
            releases: vec![],
            deployments: vec![],
            ..Self::sample()
        }
    }

    /// Its host does not answer.
    pub fn sample_unreachable() -> Self {
        Self {
            app: AppRow::sample_in("cigar", "asterra", AppState::Unreachable),
            row: DeployRow { state: AppState::Unreachable, ..Self::sample().row },
            releases: vec![],
            releases_problem: "asterra cannot be reached: connection refused.".into(),
            ..Self::sample()
        }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}
