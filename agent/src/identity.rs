//! The identity of this host on its disk. It is replaced as a whole, or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use hms_proto::{
    controller::v1::TrustBundle,
    fault::Fault,
    identity::{Credentials, Kind, Trust, validity_of},
    names::Address,
};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::{files, internal};

const FOLDER: &str = "identity";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const TRUST: &str = "trust.json";
const MEMBERSHIP: &str = "membership.json";

/// All that a host gets when it joins, as text.
#[derive(Clone, PartialEq)]
pub(crate) struct Identity {
    /// Private key, PEM. It never leaves the host.
    pub(crate) key: String,
    /// Certificate, PEM.
    pub(crate) certificate: String,
    /// Whom to trust.
    pub(crate) trust: TrustBundle,
    /// Where the host belongs.
    pub(crate) membership: Membership,
}

/// Where a host belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// Name of the host, as the controller knows it.
    pub(crate) host: String,
    /// The controller's mTLS port.
    pub(crate) controller_grpc: String,
}

/// An identity that was read and fits together.
#[derive(Debug)]
pub(crate) struct Own {
    /// Certificate and key.
    pub(crate) credentials: Credentials,
    /// Whom to trust.
    pub(crate) trust: Trust,
    /// Where to renew.
    pub(crate) controller: Address,
    /// Validity of the certificate, in seconds since the epoch.
    pub(crate) valid: (i64, i64),
}

impl Identity {
    /// Checks that the parts belong together and can be used.
    pub(crate) fn check(&self) -> Result<Own, Fault> {
        let broken = |e: rustls::Error| internal(format!("the identity cannot be used: {e}"));
        let credentials = Credentials::from_pem(&self.certificate, &self.key).map_err(broken)?;
        if credentials.identity.kind != Kind::Agent {
            return Err(internal(format!("the certificate is not an agent's: {}", credentials.identity)));
        }
        let trust = Trust::new(credentials.identity.install, &self.trust).map_err(broken)?;
        // Fails when the certificate is for another key.
        hms_proto::identity::server_config(&trust, &credentials, &[]).map_err(broken)?;
        let valid = validity_of(&credentials.certificate).map_err(|e| internal(e.to_string()))?;
        let controller = Address::try_from(self.membership.controller_grpc.as_str())?;
        Ok(Own { credentials, trust, controller, valid })
    }
}

/// Reads the identity. `None` when the host has not joined.
pub(crate) fn load(state: &Path) -> io::Result<Option<Identity>> {
    let folder = state.join(FOLDER);
    if !folder.try_exists()? {
        return Ok(None);
    }
    let text = |name| fs::read_to_string(folder.join(name));
    Ok(Some(Identity {
        key: text(KEY)?,
        certificate: text(CERTIFICATE)?,
        trust: serde_json::from_str(&text(TRUST)?)?,
        membership: serde_json::from_str(&text(MEMBERSHIP)?)?,
    }))
}

/// Puts an identity in the place of whatever is there.
pub(crate) fn store(state: &Path, identity: &Identity) -> io::Result<()> {
    let _lock = lock(state)?;
    replace(state, identity)
}

/// Puts a renewed identity in the place of the one it was made from. `false` when that is gone: the host joined
/// anew meanwhile, and the new identity must stay.
pub(crate) fn store_renewed(state: &Path, from: &Identity, identity: &Identity) -> io::Result<bool> {
    let _lock = lock(state)?;
    if load(state)?.as_ref() != Some(from) {
        return Ok(false);
    }
    replace(state, identity)?;
    Ok(true)
}

fn lock(state: &Path) -> io::Result<File> {
    files::make_folder(state)?;
    let file = files::private_file(&state.join("lock"), OpenOptions::new().create(true).truncate(false))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn replace(state: &Path, identity: &Identity) -> io::Result<()> {
    let staged = state.join("identity.new");
    // Left by a run that was killed; the lock says that nobody works on it.
    files::remove_folder(&staged)?;
    files::make_folder(&staged)?;
    let write = |name: &str, content: &[u8]| files::write_new(&staged.join(name), content);
    write(KEY, identity.key.as_bytes())?;
    write(CERTIFICATE, identity.certificate.as_bytes())?;
    write(TRUST, &serde_json::to_vec_pretty(&identity.trust)?)?;
    write(MEMBERSHIP, &serde_json::to_vec_pretty(&identity.membership)?)?;
    files::replace_folder(&staged, &state.join(FOLDER))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testca::TestCa;

    #[test]
    fn an_identity_is_replaced_as_a_whole() {
        let state = tempfile::tempdir().unwrap();
        assert!(load(state.path()).unwrap().is_none());
        let ca = TestCa::new();
        let (first, second) = (ca.agent_identity(), ca.agent_identity());
        store(state.path(), &first).unwrap();
        assert!(load(state.path()).unwrap().unwrap() == first);
        // As a killed run would leave it.
        fs::create_dir(state.path().join("identity.new")).unwrap();
        fs::write(state.path().join("identity.new/key.pem"), "half").unwrap();
        store(state.path(), &second).unwrap();
        assert!(load(state.path()).unwrap().unwrap() == second);
        assert!(!state.path().join("identity.new").exists());
        let mode = |name: &str| {
            fs::metadata(state.path().join("identity").join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode(""), mode(KEY)), (0o700, 0o600));
    }

    #[test]
    fn a_renewal_does_not_undo_a_new_join() {
        let state = tempfile::tempdir().unwrap();
        let ca = TestCa::new();
        let (old, renewed, joined) = (ca.agent_identity(), ca.agent_identity(), ca.agent_identity());
        store(state.path(), &joined).unwrap();
        assert!(!store_renewed(state.path(), &old, &renewed).unwrap());
        assert!(load(state.path()).unwrap().unwrap() == joined);
        assert!(store_renewed(state.path(), &joined, &renewed).unwrap());
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let ca = TestCa::new();
        let mut identity = ca.agent_identity();
        assert!(identity.check().is_ok());
        identity.key = ca.agent_identity().key;
        assert!(identity.check().is_err());
    }
}
