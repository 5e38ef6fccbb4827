//! What work on an app would change on its host, and how the app would be restarted.

use super::{DiffLine, ReleaseRow};
use crate::frame::Tone;

/// One thing on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// `service`, `puma`, `site`, `database`, ...
    pub item: String,
    /// The file, folder, user or database.
    pub subject: String,
    /// `create`, `update`, `remove`, or empty: it stays.
    pub action: &'static str,
    /// What HMS would change.
    pub diff: Vec<DiffLine>,
    /// What was changed by hand: from what HMS wrote to what is there.
    pub drift: Vec<DiffLine>,
    /// In a sentence; may be empty.
    pub detail: String,
}

impl PlanChange {
    /// Whether somebody changed it by hand.
    pub fn has_drift(&self) -> bool {
        !self.drift.is_empty()
    }

    /// Whether it would be changed.
    pub fn is_change(&self) -> bool {
        !self.action.is_empty()
    }

    /// The action in words.
    pub fn words(&self) -> &'static str {
        match self.action {
            "create" => "is made",
            "update" => "changes",
            "remove" => "is removed",
            _ => "stays",
        }
    }

    /// How it is meant.
    pub fn tone(&self) -> Tone {
        match self.action {
            "create" => Tone::Good,
            "update" => Tone::Warn,
            "remove" => Tone::Bad,
            _ => Tone::Info,
        }
    }

    /// Whether what was changed by hand can be taken over.
    pub fn can_be_adopted(&self) -> bool {
        self.has_drift() && ["service", "socket", "puma", "site", "logrotate"].contains(&self.item.as_str())
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppPlan {
    /// In order; also what stays.
    pub changes: Vec<PlanChange>,
    /// `none`, `phased`, `hot`, `socket`, `full`.
    pub restart: &'static str,
    /// Why this kind.
    pub restart_reason: String,
    /// What visitors would notice.
    pub impact: String,
    /// Why it would be refused; empty: it would be begun.
    pub refusals: Vec<String>,
    /// Rollback: the release that would be live.
    pub target: Option<ReleaseRow>,
    /// Rollback: migrations that ran since and stay.
    pub migrations: Vec<String>,
    /// Those of them that may have destroyed what the target needs.
    pub destructive: Vec<String>,
}

impl AppPlan {
    /// What would change.
    pub fn changing(&self) -> Vec<&PlanChange> {
        self.changes.iter().filter(|change| change.is_change()).collect()
    }

    /// What was changed by hand.
    pub fn drifted(&self) -> Vec<&PlanChange> {
        self.changes.iter().filter(|change| change.has_drift()).collect()
    }

    /// How many things stay as they are.
    pub fn staying(&self) -> usize {
        self.changes.len() - self.changing().len()
    }

    /// The kind of restart in words.
    pub fn restart_words(&self) -> &'static str {
        match self.restart {
            "none" => "No restart",
            "phased" => "Phased restart",
            "hot" => "Hot restart",
            "socket" => "Restart behind the socket",
            "full" => "Full restart",
            _ => "Restart",
        }
    }

    /// A few changes, and one made by hand.
    pub fn sample() -> Self {
        let diff = "--- a\n+++ b\n@@ -3,5 +3,5 @@\n workers 2\n-threads 5, 5\n+threads 5, 16\n port 0\n";
        let change = |item: &str, subject: &str, action, diff: &str, detail: &str| PlanChange {
            item: item.into(),
            subject: subject.into(),
            action,
            diff: DiffLine::of(diff),
            detail: detail.into(),
            ..PlanChange::default()
        };
        let edited = PlanChange {
            drift: DiffLine::of("@@ -1,2 +1,2 @@\n [Service]\n-LimitNOFILE=65536\n+LimitNOFILE=1024\n"),
            ..change("service", "/etc/systemd/system/puma-cigar.service", "", "", "")
        };
        Self {
            changes: vec![
                change("puma", "/srv/cigar/shared/config/puma.rb", "update", diff, ""),
                change(
                    "secrets",
                    "version 5",
                    "update",
                    "",
                    "version 3 to version 5: +SMTP_PASSWORD, API_TOKEN",
                ),
                change(
                    "logrotate",
                    "/etc/logrotate.d/hms-cigar",
                    "create",
                    "@@ -0,0 +1,2 @@\n+/srv/cigar/shared/log/*.log {\n+}\n",
                    "",
                ),
                edited,
                change("socket", "/etc/systemd/system/puma-cigar.socket", "", "", ""),
                change("user", "app-cigar", "", "", ""),
                change("database", "cigar_production", "", "", ""),
            ],
            restart: "socket",
            restart_reason: "puma.rb and secrets change, and a phased restart would keep the old values."
                .into(),
            impact: "Requests wait for about 5 s while puma starts; none is refused.".into(),
            ..Self::default()
        }
    }

    /// Back over migrations, one of which dropped something.
    pub fn sample_rollback() -> Self {
        Self {
            target: Some(ReleaseRow::samples().swap_remove(1)),
            migrations: vec![
                "20261124120000_add_humidity.rb".into(),
                "20261124130000_drop_cabinets.rb".into(),
            ],
            destructive: vec!["20261124130000_drop_cabinets.rb".into()],
            restart_reason: "Gemfile.lock differs.".into(),
            changes: vec![PlanChange {
                item: "release".into(),
                subject: "/srv/cigar/current".into(),
                action: "update",
                detail: "20261124T183512-8f3c2a1 to 20261123T091144-1a2b3c4".into(),
                ..PlanChange::default()
            }],
            ..Self::sample()
        }
    }

    /// Refused because of what somebody changed.
    pub fn sample_refused() -> Self {
        Self {
            refusals: vec![
                "/etc/systemd/system/puma-cigar.service was changed by hand; adopt it or put it back".into(),
            ],
            ..Self::sample()
        }
    }
}

/// A choice of restart: value, label and whether it is chosen.
pub fn restart_choices() -> [(&'static str, &'static str); 5] {
    [
        ("", "the mildest that does what is needed"),
        ("phased", "phased: workers one after the other"),
        ("hot", "hot: the master executes itself again"),
        ("socket", "behind the socket: requests wait"),
        ("full", "full: service and socket"),
    ]
}
