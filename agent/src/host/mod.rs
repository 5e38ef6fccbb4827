//! The host itself: what it is, and how it is doing.

mod facts;
mod filesystems;
mod sampler;
mod service;
mod units;

pub(crate) use service::Host;
