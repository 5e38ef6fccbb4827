//! Attacks on the ports of HMS: TLS connections and HTTP/2 frames as no honest client sends them.
//!
//! # Layout
//! - [`scene`]: one host and its three ports.
//! - [`round`]: an attack on all of them, measured.
//! - [`wire`]: connections, from addresses of the attacker's own.
//! - [`frames`]: HTTP/2 frames and header blocks by hand.
//! - [`floods`]: the attacks within one connection.
//! - [`meter`]: what an attack costs the process that is attacked.
//! - [`honest`]: people who work meanwhile.
//! - [`latency`]: how long they waited.

pub(crate) mod floods;
pub(crate) mod frames;
pub(crate) mod honest;
mod latency;
pub(crate) mod meter;
pub(crate) mod round;
pub(crate) mod scene;
pub(crate) mod wire;
