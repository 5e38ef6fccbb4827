//! TLS connections, in and out. Both ends of every gRPC call of HMS are made here.

mod accept;
mod arrears;
mod connect;
mod connection;
mod places;

pub use accept::{Known, Peer, accept, harden};
pub use arrears::Arrears;
pub use connect::{ClientTls, NotConnected, endpoint};
pub use connection::Connection;
pub use places::{Limits, Place, Places, Proof};
