//! Every page in every state that is worth looking at: what the tests walk and the gallery shows.

use super::{
    AuditPage, ConfigPage, ConfigVersionPage, ConfigsPage, DashboardPage, HostsPage, LoginPage, LoginProblem,
    LogsPage, ProblemKind, ProblemPage, SettingsPage,
};
use crate::events::html;

/// Name of the file and its HTML.
pub fn samples() -> Vec<(&'static str, String)> {
    let login =
        |problem| LoginPage { username: "henrik".into(), problem: Some(problem), ..LoginPage::sample() };
    let problem = |kind| html(&ProblemPage::sample(kind));
    vec![
        ("login", html(&LoginPage::sample())),
        ("login-wrong", html(&login(LoginProblem::Wrong))),
        ("login-throttled", html(&login(LoginProblem::Throttled(42)))),
        ("dashboard", html(&DashboardPage::sample())),
        ("dashboard-failing", html(&DashboardPage::sample_failing())),
        ("dashboard-empty", html(&DashboardPage::sample_empty())),
        ("dashboard-viewer", html(&DashboardPage::sample_viewer())),
        ("dashboard-stale", html(&DashboardPage::sample_stale())),
        ("dashboard-hostile", html(&DashboardPage::sample_hostile())),
        ("logs", html(&LogsPage::sample())),
        ("logs-unasked", html(&LogsPage::sample_unasked())),
        ("logs-empty", html(&LogsPage::sample_empty())),
        ("logs-bad-expression", html(&LogsPage::sample_bad_expression())),
        ("hosts", html(&HostsPage::sample())),
        ("hosts-added", html(&HostsPage::sample_added())),
        ("hosts-refused", html(&HostsPage::sample_refused())),
        ("hosts-empty", html(&HostsPage::sample_empty())),
        ("hosts-viewer", html(&HostsPage::sample_viewer())),
        ("configs", html(&ConfigsPage::sample())),
        ("configs-troubled", html(&ConfigsPage::sample_troubled())),
        ("configs-route", html(&ConfigsPage::sample_route())),
        ("configs-viewer", html(&ConfigsPage::sample_viewer())),
        ("configs-unreachable", html(&ConfigsPage::sample_unreachable())),
        ("configs-absent", html(&ConfigsPage::sample_absent())),
        ("configs-empty", html(&ConfigsPage::sample_empty())),
        ("configs-hostile", html(&ConfigsPage::sample_hostile())),
        ("config", html(&ConfigPage::sample())),
        ("config-tested", html(&ConfigPage::sample_tested())),
        ("config-applied", html(&ConfigPage::sample_applied())),
        ("config-failed", html(&ConfigPage::sample_failed())),
        ("config-conflict", html(&ConfigPage::sample_conflict())),
        ("config-new", html(&ConfigPage::sample_new())),
        ("config-viewer", html(&ConfigPage::sample_viewer())),
        ("config-locked", html(&ConfigPage::sample_locked())),
        ("config-hostile", html(&ConfigPage::sample_hostile())),
        ("config-version", html(&ConfigVersionPage::sample())),
        ("audit", html(&AuditPage::sample())),
        ("audit-empty", html(&AuditPage::sample_empty())),
        ("settings", html(&SettingsPage::sample())),
        ("problem-403", problem(ProblemKind::Denied)),
        ("problem-404", problem(ProblemKind::NotFound)),
        ("problem-500", problem(ProblemKind::Internal)),
        ("problem-503", problem(ProblemKind::Unavailable)),
    ]
}
