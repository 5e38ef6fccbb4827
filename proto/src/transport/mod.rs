//! TLS connections, in and out. Both ends of every gRPC call of HMS are made here.

mod accept;
mod connect;

pub use accept::{Connection, Limits, Peer, accept, harden};
pub use connect::{ClientTls, NotConnected, endpoint};
