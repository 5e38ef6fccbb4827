//! Deployments, rollbacks, new settings and removals of apps: jobs that go step by step, and are put back as a whole when a step
//! fails or the job is killed.
//!
//! # Layout
//! - `service`: AppService; `request`: what a job's process is told; `planned`: what it would do.
//! - `run`: the process; `work`: its steps, which are in `prepare`, `build`, `live` and `removal`.
//! - `journal`, `state`: what was intended and done, on the disk; `recover`: what is done about it when the process is gone.
//!   `steps`, `output`: how far it is, as everybody sees it.
//! - `releases`, `migrations`: what is known of releases. `lay_out`: what is done to one as the app's user.
//! - `git`, `sandbox`: programs of the app, and on behalf of it, in units of their own.
//! - `restart`, `puma`, `health`, `http`, `site`: what runs, and whether it is well.

mod build;
pub(crate) mod fail;
mod git;
mod health;
mod http;
mod journal;
mod lay_out;
mod live;
mod migrations;
mod output;
mod planned;
mod prepare;
mod puma;
mod recover;
mod releases;
mod removal;
mod request;
mod restart;
mod run;
mod sandbox;
mod service;
mod site;
mod state;
mod steps;
mod work;

pub(crate) use git::credential;
pub(crate) use lay_out::lay_out;
pub(crate) use request::Request;
pub(crate) use run::{end, run};
pub(crate) use service::Apps;
