//! `/apps/{key}/plan` and `/apps/{key}/rollback`: what would change on the host, before it is done.

use super::scripts::as_viewer;
use crate::frame::{Notice, Place, Tone};
use crate::parts::{AppPlan, WorkKind, app_href, restart_choices};
use crate::{Frame, Template};

/// A plan, and the button that does it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/app_plan.html")]
pub struct AppPlanPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The app.
    pub key: String,
    /// Its host.
    pub host: String,
    /// Apply, deploy or roll back.
    pub kind: WorkKind,
    /// Roll back: to this release; empty: the last healthy one before.
    pub release: String,
    /// Deploy: from this branch.
    pub branch: String,
    /// The wished kind of restart; empty: the mildest.
    pub restart: String,
    /// What would change; none: it cannot be told.
    pub plan: Option<AppPlan>,
    /// Why the plan cannot be told, or why it was not done.
    pub problem: Option<Notice>,
}

impl AppPlanPage {
    /// Whether it is about going back.
    pub fn is_rollback(&self) -> bool {
        self.kind == WorkKind::Rollback
    }

    /// Whether it is about the next deployment.
    pub fn is_deploy(&self) -> bool {
        self.kind == WorkKind::Deploy
    }

    /// Where the form is sent.
    pub fn action(&self) -> String {
        app_href(&self.key, self.verb())
    }

    /// Its own address.
    pub fn here(&self) -> String {
        app_href(&self.key, if self.is_rollback() { "rollback" } else { "plan" })
    }

    fn verb(&self) -> &'static str {
        match self.kind {
            WorkKind::Rollback => "rollback",
            WorkKind::Deploy => "deploy",
            WorkKind::Apply | WorkKind::Remove => "apply",
        }
    }

    /// Whether the reader may do it.
    pub fn may(&self) -> bool {
        match self.kind {
            WorkKind::Apply | WorkKind::Remove => self.frame.view.role.administers(),
            WorkKind::Deploy | WorkKind::Rollback => self.frame.view.role.operates(),
        }
    }

    /// Kinds of restart: value, label, and whether it is chosen.
    pub fn restarts(&self) -> Vec<(&'static str, &'static str, bool)> {
        restart_choices().iter().map(|(value, label)| (*value, *label, self.restart == *value)).collect()
    }

    /// Settings and secrets that wait.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Deploy, "Plan for cigar"),
            key: "cigar".into(),
            host: "asterra".into(),
            kind: WorkKind::Apply,
            plan: Some(AppPlan::sample()),
            ..Self::default()
        }
    }

    /// Refused because of what was changed by hand.
    pub fn sample_refused() -> Self {
        Self { plan: Some(AppPlan::sample_refused()), ..Self::sample() }
    }

    /// Nothing would change.
    pub fn sample_none() -> Self {
        let plan = AppPlan {
            restart: "none",
            restart_reason: String::new(),
            impact: String::new(),
            changes: AppPlan::sample().changes.split_off(4),
            ..AppPlan::default()
        };
        Self { plan: Some(plan), ..Self::sample() }
    }

    /// The host cannot be asked.
    pub fn sample_problem() -> Self {
        let problem = Notice {
            tone: Tone::Bad,
            message: "asterra cannot be reached: connection refused.".into(),
            hint: "Try again when it is back.".into(),
        };
        Self { plan: None, problem: Some(problem), ..Self::sample() }
    }

    /// Back over migrations.
    pub fn sample_rollback() -> Self {
        Self {
            kind: WorkKind::Rollback,
            release: "20261123T091144-1a2b3c4".into(),
            plan: Some(AppPlan::sample_rollback()),
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
