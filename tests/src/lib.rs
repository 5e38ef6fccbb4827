//! Real systemd hosts for tests and the demo, and a whole HMS installed on them.
//!
//! # Layout
//! - [`testbed`]: the machine's side. Boots hosts from one base image and takes them down again.
//! - [`rails`]: a real Rails app under puma and nginx on such a host, as somebody set it up by hand.
//! - [`repository`]: git repositories with Rails apps, [`broken`]: commits that go wrong, and [`git_server`] that serves them.
//! - [`world`]: controller, agents and apps installed as an administrator would.
//! - [`yard`]: apps that HMS itself sets up and deploys, and [`visitor`]: who looks at them meanwhile.
//! - [`kills`]: deployments that are killed, at one point after the other.
//! - [`journals`]: journal files of every form, and [`fuzz`], which damages them.
//! - [`people`]: accounts, and how people get in.
//! - [`browser`]: runs scripts that use the pages through a real browser.
//! - [`api`]: what tests the API from outside.
//! - [`paths`]: where things are kept between runs.
//! - [`command`]: runs programs on the machine.

#![expect(clippy::disallowed_methods, reason = "the test bed's work is to start programs on the machine")]

pub mod api;
pub mod broken;
pub mod browser;
pub mod command;
pub mod fuzz;
pub mod git_server;
pub mod journals;
pub mod kills;
pub mod paths;
pub mod people;
pub mod rails;
pub mod repository;
pub mod testbed;
pub mod visitor;
pub mod world;
pub mod yard;
