//! Attacks on the ports of HMS: TLS connections and HTTP/2 frames as no honest client sends them.
//!
//! # Layout
//! - [`wire`]: connections, from addresses of the attacker's own.
//! - [`frames`]: HTTP/2 frames and header blocks by hand.
//! - [`floods`]: the attacks within one connection.
//! - [`meter`]: what an attack costs the process that is attacked.
//! - [`honest`]: people who work meanwhile.

pub mod floods;
pub mod frames;
pub mod honest;
pub mod meter;
pub mod wire;
