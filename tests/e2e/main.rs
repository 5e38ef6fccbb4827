//! End-to-end tests on real systemd hosts: one binary, a module per subject.

#![expect(clippy::disallowed_methods, reason = "tests start programs on the machine")]

mod access;
mod api;
mod apps_deploy;
mod apps_failures;
mod apps_host;
mod apps_hostile;
mod apps_kill;
mod apps_remotes;
mod apps_restart;
mod apps_rollback;
mod apps_secrets;
mod audit;
mod browser;
mod browser_accounts;
mod browser_apps;
mod browser_configs;
mod browser_logs;
mod browser_scripts;
mod faults;
mod hmsctl_apps;
mod hmsctl_jobs;
mod hmsctl_logs;
mod hmsctl_nginx;
mod hmsctl_users;
mod input;
mod jobs;
mod journal;
mod journal_fuzz;
mod logs;
mod nginx;
mod nginx_attacks;
mod nginx_confirm;
mod nginx_kill;
mod nginx_rest;
mod nginx_route;
mod restart;
mod revocation;
mod runs;
mod sandbox;
mod support;
mod testbed;
mod tidy;
mod tools;
mod world;
