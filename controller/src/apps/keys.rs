//! ssh keys with which the code of apps is fetched.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use hms_proto::fault::{Fault, FaultKind};
use ssh_key::{
    LineEnding, PrivateKey,
    private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData},
    public::Ed25519PublicKey,
};
use zeroize::Zeroizing;

/// A new key, in OpenSSH's form.
pub(super) fn new(comment: &str) -> Result<Zeroizing<String>, Fault> {
    let seed = Zeroizing::new(rand::random::<[u8; 32]>());
    made(&seed, comment).map_err(|error| {
        tracing::error!(%error, "cannot make an ssh key");
        Fault::new(FaultKind::Internal, "an ssh key cannot be made")
    })
}

fn made(seed: &[u8; 32], comment: &str) -> anyhow::Result<Zeroizing<String>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
    let public = Ed25519PublicKey::try_from(pair.public_key().as_ref())?;
    let pair = Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(seed) };
    Ok(PrivateKey::new(KeypairData::Ed25519(pair), comment)?.to_openssh(LineEnding::LF)?)
}

/// The line that a git server is given. The key itself is in no error.
pub(super) fn public(private: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::invalid("git-private-key is no private key in OpenSSH's form")
            .hint("It begins with -----BEGIN OPENSSH PRIVATE KEY-----; `ssh-keygen -p -N '' -f FILE` converts others.")
    };
    let key = PrivateKey::from_openssh(private).map_err(|_| wrong())?;
    if key.is_encrypted() {
        return Err(Fault::invalid(
            "git-private-key is protected with a passphrase, which nobody could type",
        )
        .hint("`ssh-keygen -p -N '' -f FILE` takes it off."));
    }
    key.public_key().to_openssh().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_with_the_same_public_part() {
        let one = new("hms-cigar").unwrap();
        let line = public(&one).unwrap();
        assert!(line.starts_with("ssh-ed25519 AAAA") && line.ends_with(" hms-cigar"), "{line}");
        assert_ne!(line, public(&new("hms-cigar").unwrap()).unwrap());
        // Without the last line feed, and with those of other systems.
        assert_eq!(line, public(one.trim_end()).unwrap());
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_public_part_is_that_of_the_seed() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = made(&seed.try_into().unwrap(), "").unwrap();
        let key = PrivateKey::from_openssh(key.as_str()).unwrap();
        let public = hex::encode(key.public_key().key_data().ed25519().unwrap().0);
        assert_eq!(public, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        for bad in ["", "canary", "-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----\n"]
        {
            let fault = public(bad).unwrap_err();
            assert!(!format!("{fault:?}").contains("canary"));
        }
    }
}
