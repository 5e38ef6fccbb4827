//! The commands: one file a noun, with its arguments and its code.

mod action;
pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod completion;
pub(crate) mod context;
pub(crate) mod deployments;
pub(crate) mod facts;
pub(crate) mod host;
pub(crate) mod jobs;
mod label;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logs;
pub(crate) mod nginx;
mod pages;
mod reach;
pub(crate) mod schedules;
pub(crate) mod scripts;
pub(crate) mod sessions;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod units;
pub(crate) mod users;
pub(crate) mod warnings;
