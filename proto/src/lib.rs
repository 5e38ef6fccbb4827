//! The vocabulary of HMS: the generated contract, and what every side of it must agree on.
//!
//! # Layout
//! - `host`, `controller`: messages, clients and servers, generated from `hms/**/*.proto`.
//! - [`access`]: who may call which method, read from the descriptors.
//! - [`fault`]: what went wrong, and what each face makes of it.
//! - [`names`]: parsed names; the only way from text to something a host acts on.
//! - [`app`]: what may be said of an app; [`dotenv`]: variables as text.
//! - [`script`]: what a script's manifest may say, and how parameters become arguments; [`report`]: what checks print.
//! - [`identity`]: who a certificate belongs to, and whom to trust.
//! - [`transport`]: TLS connections in and out, bounded.
//! - [`chain`]: the hashes of the audit, and how they are verified.
//! - [`search`]: what somebody looks for in logs; [`merge`]: logs of several hosts in one order.
//! - [`when`]: points in time as people type them.

/// Generated from the .proto files.
#[expect(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::derive_partial_eq_without_eq,
    reason = "generated code"
)]
mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

mod redacted {
    include!(concat!(env!("OUT_DIR"), "/redacted.rs"));
}

pub mod access;
pub mod app;
pub mod chain;
pub mod dotenv;
pub mod fault;
pub mod identity;
pub mod merge;
pub mod names;
pub mod report;
pub mod script;
pub mod search;
pub mod transport;
pub mod when;
mod words;

pub use contract::hms::{Role, controller, host};

/// The compiled descriptors of the whole contract, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Metadata key that names the host a call to the controller is meant for.
pub const HOST_KEY: &str = "hms-host";
/// Metadata key: on whose behalf the controller calls. Believed only from a controller's certificate.
pub const ACTOR_KEY: &str = "hms-actor";
/// Metadata key: the role of that person. Believed only from a controller's certificate.
pub const ROLE_KEY: &str = "hms-role";
/// Metadata key: ties together what was said about one call in logs, audit and errors.
pub const REQUEST_ID_KEY: &str = "hms-request-id";
/// Where an agent listens unless told otherwise.
pub const AGENT_PORT: u16 = 9444;
