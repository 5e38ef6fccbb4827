//! Every page in every state that is worth looking at: what the tests walk and the gallery shows.

use super::{
    AuditPage, DashboardPage, HostsPage, LoginPage, LoginProblem, LogsPage, ProblemKind, ProblemPage,
    RunPage, RunsPage, SchedulesPage, ScriptPage, ScriptsPage, SettingsPage,
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
        ("scripts", html(&ScriptsPage::sample())),
        ("scripts-searched", html(&ScriptsPage::sample_searched())),
        ("scripts-empty", html(&ScriptsPage::sample_empty())),
        ("scripts-viewer", html(&ScriptsPage::sample_viewer())),
        ("script", html(&ScriptPage::sample())),
        ("script-refused", html(&ScriptPage::sample_refused())),
        ("script-mutating", html(&ScriptPage::sample_mutating())),
        ("script-viewer", html(&ScriptPage::sample_viewer())),
        ("run", html(&RunPage::sample())),
        ("run-running", html(&RunPage::sample_running())),
        ("run-failed", html(&RunPage::sample_failed())),
        ("run-unknown", html(&RunPage::sample_unknown())),
        ("run-many", html(&RunPage::sample_many())),
        ("run-check", html(&RunPage::sample_check())),
        ("run-silent", html(&RunPage::sample_silent())),
        ("run-viewer", html(&RunPage::sample_viewer())),
        ("runs", html(&RunsPage::sample())),
        ("runs-empty", html(&RunsPage::sample_empty())),
        ("schedules", html(&SchedulesPage::sample())),
        ("schedules-empty", html(&SchedulesPage::sample_empty())),
        ("schedules-viewer", html(&SchedulesPage::sample_viewer())),
        ("hosts", html(&HostsPage::sample())),
        ("hosts-added", html(&HostsPage::sample_added())),
        ("hosts-refused", html(&HostsPage::sample_refused())),
        ("hosts-empty", html(&HostsPage::sample_empty())),
        ("hosts-viewer", html(&HostsPage::sample_viewer())),
        ("audit", html(&AuditPage::sample())),
        ("audit-empty", html(&AuditPage::sample_empty())),
        ("settings", html(&SettingsPage::sample())),
        ("problem-403", problem(ProblemKind::Denied)),
        ("problem-404", problem(ProblemKind::NotFound)),
        ("problem-500", problem(ProblemKind::Internal)),
        ("problem-503", problem(ProblemKind::Unavailable)),
    ]
}
