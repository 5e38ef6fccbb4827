//! TLS connections, in and out. Both ends of every gRPC call of HMS are made here.

mod accept;
mod connect;
mod places;

pub use accept::{Connection, Peer, accept, harden};
pub use connect::{ClientTls, NotConnected, endpoint};
pub use places::{Limits, Place, Places};
