//! Units, over D-Bus. `systemctl` is never used.

mod action;
mod bus;
mod policy;
mod service;
mod settle;
pub(crate) mod transient;
mod unit;
mod watch;
pub(crate) mod work;

pub(crate) use action::{Busy, act};
pub(crate) use bus::{Bus, Session, fault_of};
pub(crate) use policy::Verb;
pub(crate) use service::Units;
pub(crate) use unit::{accounting, path_of_name, read_if_there as read_unit};
