//! `/deploy`: what is live of each app, what is under way, and what was done.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{DeployRow, DeploymentRow};
use crate::{Fragment, Frame, Template, View};

/// All apps, and the last deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/deploy.html")]
pub struct DeployPage {
    /// What surrounds it; its stream is `/events?view=deploy`.
    pub frame: Frame,
    /// By key.
    pub apps: Vec<DeployRow>,
    /// Newest first.
    pub deployments: Vec<DeploymentRow>,
    /// Whether there is a host at all.
    pub has_hosts: bool,
    /// With the apps' names: it is of all apps.
    pub with_app: bool,
}

#[derive(Template)]
#[template(path = "parts/deploy_list.html")]
struct DeployListPart<'a> {
    apps: &'a [DeployRow],
    has_hosts: bool,
    view: View,
}

impl DeployPage {
    /// The apps as they replace those in the page (`deploys`): when one came or went.
    pub fn list(&self, view: View) -> Fragment {
        Fragment::morph("deploys", &DeployListPart { apps: &self.apps, has_hosts: self.has_hosts, view })
    }

    /// Apps in all states.
    pub fn sample() -> Self {
        Self {
            frame: Frame { events: "/events?view=deploy".into(), ..Frame::sample(Place::Deploy, "Deploy") },
            apps: DeployRow::samples(),
            deployments: DeploymentRow::samples(),
            has_hosts: true,
            with_app: true,
        }
    }

    /// No app yet.
    pub fn sample_empty() -> Self {
        Self { apps: vec![], deployments: vec![], ..Self::sample() }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}
