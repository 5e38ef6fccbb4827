//! Deployments, newest first: of one app, or of all of them.

use super::DeploymentRow;
use crate::{Fragment, Template, View};

/// The list in a page (`deployments`).
#[derive(Template)]
#[template(path = "parts/deployment_list.html")]
struct DeploymentListPart<'a> {
    deployments: &'a [DeploymentRow],
    with_app: bool,
    view: View,
}

/// As it replaces the one in the page.
pub fn deployment_list_fragment(deployments: &[DeploymentRow], with_app: bool, view: View) -> Fragment {
    Fragment::morph("deployments", &DeploymentListPart { deployments, with_app, view })
}
