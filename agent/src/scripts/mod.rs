//! Troubleshooting scripts: the set that was delivered, and each as it may be run.

mod service;
mod store;

pub(crate) use service::ScriptsApi;
pub(crate) use store::Scripts;
