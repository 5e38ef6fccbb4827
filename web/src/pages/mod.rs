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
mod samples;
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
pub use logs::{LogSource, LogsPage, LogsQuery};
pub use problem::{ProblemKind, ProblemPage};
pub use samples::samples;
pub use settings::SettingsPage;
