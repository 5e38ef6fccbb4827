//! `/`: what is the state, what changed, what can I do.

use crate::frame::{Notice, PaletteEntry, Place, Role, SAMPLE_NOW_US, Tone};
use crate::parts::{
    ActionOutcome, Activity, ActivityList, AppRow, AppState, Attention, HostCard, HostState, Sparkline,
};
use crate::{Fragment, Frame, Template, View};

/// The dashboard.
#[derive(Clone, Debug, Default, PartialEq, Template)]
#[template(path = "pages/dashboard.html")]
pub struct DashboardPage {
    /// What surrounds it; its stream is `/events?view=dashboard`.
    pub frame: Frame,
    /// What needs somebody.
    pub attention: Attention,
    /// By name.
    pub apps: Vec<AppRow>,
    /// By name.
    pub hosts: Vec<HostCard>,
    /// The last calls.
    pub activity: ActivityList,
    /// Checks that can be run on all hosts: name and title.
    pub checks: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "parts/lists.html")]
struct ListsPart<'a> {
    apps: &'a [AppRow],
    hosts: &'a [HostCard],
    checks: &'a [(String, String)],
    view: View,
}

impl DashboardPage {
    /// The apps and hosts as they replace those in the page (`lists`): when one came or went.
    pub fn lists(&self, view: View) -> Fragment {
        Fragment::morph(
            "lists",
            &ListsPart { apps: &self.apps, hosts: &self.hosts, checks: &self.checks, view },
        )
    }

    /// All is well.
    pub fn sample() -> Self {
        let frame =
            Frame { events: "/events?view=dashboard".into(), ..Frame::sample(Place::Dashboard, "Dashboard") };
        let borealis = HostCard {
            name: "borealis".into(),
            disks: HostCard::sample().disks[..1].to_vec(),
            ..HostCard::sample()
        };
        Self {
            frame,
            attention: Attention::default(),
            apps: vec![AppRow::sample(), AppRow::sample_in("tobacco", "borealis", AppState::Running)],
            hosts: vec![HostCard::sample(), borealis],
            activity: ActivityList { rows: Activity::samples().split_off(2) },
            checks: [
                ("check_disk_space", "Check disk space"),
                ("check_status", "Check the status of services"),
            ]
            .map(|(name, title)| (name.to_owned(), title.to_owned()))
            .to_vec(),
        }
    }

    /// Much is wrong at once.
    pub fn sample_failing() -> Self {
        let failed = AppRow {
            detail: "exit status 1".into(),
            restarts: 5,
            outcome: Some(ActionOutcome::sample_failed()),
            ..AppRow::sample_in("tobacco", "asterra", AppState::Failed)
        };
        let starting = AppRow {
            detail: "auto-restart".into(),
            restarts: 3,
            ..AppRow::sample_in("humidor", "asterra", AppState::Starting)
        };
        let far = AppRow {
            seen_us: Some(SAMPLE_NOW_US - 130_000_000),
            ..AppRow::sample_in("lounge", "borealis", AppState::Unreachable)
        };
        let stopped = AppRow::sample_in("pipe", "asterra", AppState::Stopped);
        let absent = AppRow::sample_in("snuff", "asterra", AppState::NotInstalled);
        let mut host = HostCard::sample();
        host.disks[0].used = 44_800 << 20;
        Self {
            attention: Attention::sample(),
            apps: vec![AppRow::sample(), starting, far, stopped, absent, failed],
            hosts: vec![host, HostCard::sample_unreachable()],
            activity: ActivityList { rows: Activity::samples() },
            ..Self::sample()
        }
    }

    /// Nothing is there yet.
    pub fn sample_empty() -> Self {
        Self { frame: Self::sample().frame, ..Self::default() }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        page.frame.view.role = Role::Viewer;
        page.frame.username = "vera".into();
        page.frame.palette.retain(|entry| matches!(entry, PaletteEntry::Go { .. }));
        page
    }

    /// The database is down, and something was refused because of it.
    pub fn sample_stale() -> Self {
        let mut page = Self::sample();
        page.frame.stale_since_us = Some(SAMPLE_NOW_US - 95_000_000);
        page.frame.notice = Some(Notice {
            tone: Tone::Bad,
            message: "cigar was not restarted: the database does not answer.".into(),
            hint: "Try again in a moment.".into(),
        });
        page
    }

    /// Long names and text that wants to be more than text.
    pub fn sample_hostile() -> Self {
        let evil = "<script>alert('x')</script>\"onload=\"x";
        let long = "a-very-long-app-key-of-fifty-characters-in-all-1234";
        let mut page = Self::sample_failing();
        page.frame.username = evil.into();
        page.apps[0] = AppRow {
            key: evil.into(),
            name: evil.into(),
            host: evil.into(),
            domain: evil.into(),
            unit: evil.into(),
            detail: evil.into(),
            ..AppRow::sample()
        };
        page.apps[1] = AppRow {
            host: "rack-17.frankfurt.hosting.example.org".into(),
            ..AppRow::sample_in(long, "asterra", AppState::Running)
        };
        page.apps[1].cpu_line = Sparkline::new(vec![f64::NAN, f64::INFINITY, 1.0, 2.0]);
        let outcome = ActionOutcome {
            message: evil.into(),
            hint: evil.into(),
            log_lines: vec![evil.into(), "\u{1b}[31mred".into()],
            ..ActionOutcome::sample_failed()
        };
        page.apps[2].outcome = Some(outcome);
        page.hosts[1] = HostCard {
            name: evil.into(),
            reason: evil.into(),
            os: evil.into(),
            agent_version: evil.into(),
            state: HostState::Unreachable,
            ..HostCard::sample()
        };
        page.attention.items[0].title = evil.into();
        page.attention.items[0].detail = evil.into();
        page.attention.items[0].href = format!("/logs?q={evil}");
        page.activity.rows[0] = Activity {
            actor: evil.into(),
            target: evil.into(),
            host: evil.into(),
            detail: evil.into(),
            ..page.activity.rows[1].clone()
        };
        page.activity.rows[0].seq = 99;
        page
    }
}
