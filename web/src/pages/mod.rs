//! The pages, one file each.

mod audit;
mod config;
mod config_version;
mod configs;
mod dashboard;
mod hosts;
mod login;
mod logs;
mod problem;
mod run;
mod runs;
mod samples;
mod schedules;
mod script;
mod scripts;
mod settings;
#[cfg(test)]
mod tests;

pub use audit::{AuditPage, AuditQuery};
pub use config::ConfigPage;
pub use config_version::ConfigVersionPage;
pub use configs::ConfigsPage;
pub use dashboard::DashboardPage;
pub use hosts::HostsPage;
pub use login::{LoginPage, LoginProblem};
pub use logs::{LogsAt, LogsPage, Pick, Picker};
pub use problem::{ProblemKind, ProblemPage};
pub use run::RunPage;
pub use runs::{RunsPage, RunsQuery};
pub use samples::samples;
pub use schedules::SchedulesPage;
pub use script::{Fact, ScriptPage};
pub use scripts::ScriptsPage;
pub use settings::SettingsPage;
