//! What the process of a job is told: what was asked for, without a single secret.

use std::path::PathBuf;

use hms_proto::{
    host::v1::{AppSpec, JobKind, StartAppRequest},
    names::JobId,
};
use serde::{Deserialize, Serialize};

use crate::jobs::Store;

/// The secrets of the app, sealed, in the folder of the job.
pub(crate) const ENV: &str = "env.cred";
/// The key for the git server.
pub(crate) const GIT_KEY: &str = "git-private-key.cred";
/// The token for the git server.
pub(crate) const GIT_TOKEN: &str = "git-token.cred";

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    /// What was asked for. Its secrets are taken out.
    pub(crate) asked: StartAppRequest,
    /// The specification as it was completed.
    pub(crate) spec: AppSpec,
    /// ROLLBACK: the release to go back to.
    pub(crate) release: String,
    /// ROLLBACK: go back over migrations that may have destroyed what the release needs.
    pub(crate) accept_destructive: bool,
    /// Who asked.
    pub(crate) actor: String,
}

impl Request {
    /// What kind of work it is.
    pub(crate) fn kind(&self) -> JobKind {
        self.asked.kind()
    }

    /// Where the app's secrets are, sealed. `None`: it has none.
    pub(crate) fn env(&self, store: &Store, id: &JobId) -> Option<PathBuf> {
        let own = store.file(id, ENV);
        let delivered =
            super::releases::secrets_path(store.state(), &self.spec.key, self.asked.secrets_version);
        [own, delivered].into_iter().find(|path| self.asked.secrets_version > 0 && path.is_file())
    }
}
