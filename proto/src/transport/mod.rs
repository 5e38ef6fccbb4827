//! TLS connections, in and out. Both ends of every gRPC call of HMS are made here.

mod accept;
mod arrears;
mod burden;
mod connect;
mod connection;
mod places;
mod watch;

pub use accept::{Known, Peer, accept, harden};
pub use arrears::Arrears;
pub use burden::Burden;
pub use connect::{ClientTls, NotConnected, endpoint};
pub use connection::Connection;
pub use places::{Limits, Place, Places, Proof};
pub use watch::{Watch, Watched, Watching};
