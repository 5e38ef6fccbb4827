//! Apps on this host: what belongs to one, the files that HMS writes for it, and how they come to be there.
//!
//! # Layout
//! - `layout`: an app with its paths and names. `facts`: what the host is like, as far as an app's files depend on it.
//! - `emit`: the files as text. Each is read back and compared with what it was to say.
//! - `environment`: the variables of the app and of its steps. `secrets`: those that are secret, sealed; how the app gets them.
//! - `installed`: what HMS wrote, for seeing what others changed. `plan`: what would change.
//! - `provision`: brings all of it to the host, with `folders`, `database` and `scram`.

mod database;
pub(crate) mod emit;
pub(crate) mod environment;
mod facts;
mod folders;
pub(crate) mod installed;
mod layout;
pub(crate) mod plan;
pub(crate) mod provision;
mod scram;
pub(crate) mod secrets;

pub(crate) use emit::{Files, Item, files};
pub(crate) use facts::Facts;
pub(crate) use layout::App;
