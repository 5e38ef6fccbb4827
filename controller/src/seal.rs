//! Seals secrets for the database: what is in it is worth nothing without the master key, and a sealed text is worth
//! nothing in another place than its own.

use std::{env, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Marks the form: XChaCha20-Poly1305, 24 bytes of nonce and then the ciphertext.
const FORM: &str = "hms1:";
const NONCE: usize = 24;
/// The key of marks is made of the master key with this, and serves for nothing else.
const MARKS: &[u8] = b"hms-marks-v1";
/// Bytes of a mark.
const MARK: usize = 16;
/// The name of the systemd credential.
const CREDENTIAL: &str = "master-key";

/// Where a secret lies. It cannot be opened as if it lay anywhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    /// The key of its row.
    pub(crate) row: &'a str,
}

impl Place<'_> {
    /// Each part with its length before it: no two places have the same bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.table, self.column, self.row] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(
        "there is no master key: run under systemd with LoadCredentialEncrypted={CREDENTIAL}:… \
         (CREDENTIALS_DIRECTORY is not set)"
    )]
    NoCredentials,
    #[error("the master key cannot be read from {path}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the master key in {path} has {length} bytes; it must have 32")]
    Length { path: PathBuf, length: usize },
    #[error("{table}.{column} of `{row}` cannot be opened: not sealed here, or not with this master key")]
    Opening { table: String, column: String, row: String },
    #[error("the secret cannot be sealed")]
    Sealing,
}

/// Holds the master key.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    marks: Hmac<Sha256>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// With this master key.
    pub(crate) fn new(mut key: [u8; 32]) -> Self {
        let cipher = XChaCha20Poly1305::new(&key.into());
        let marks = keyed(&key).chain_update(MARKS).finalize().into_bytes();
        key.zeroize();
        Self { cipher, marks: keyed(&marks) }
    }

    /// With the master key that systemd handed over.
    pub(crate) fn from_credential() -> Result<Self, SealError> {
        let folder = env::var_os("CREDENTIALS_DIRECTORY").ok_or(SealError::NoCredentials)?;
        let path = PathBuf::from(folder).join(CREDENTIAL);
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(source) => return Err(SealError::Unreadable { path, source }),
        };
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        Ok(Self::new(key.map_err(|_| SealError::Length { path, length: bytes.len() })?))
    }

    /// Whether a text has the form of a sealed one.
    pub(crate) fn is_sealed(text: &str) -> bool {
        text.starts_with(FORM)
    }

    /// Seals a secret for its place. Sealing twice gives two different texts.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<String, SealError> {
        let nonce = XNonce::generate();
        let payload = Payload { msg: secret, aad: &place.bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| SealError::Sealing)?;
        Ok(format!("{FORM}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// A keyed hash of a secret at its place, in hex: two of them say whether the secret is the same, and nothing else to whoever
    /// has not the master key.
    pub(crate) fn mark(&self, place: Place<'_>, secret: &[u8]) -> String {
        let mark = self.marks.clone().chain_update(place.bytes()).chain_update(secret).finalize();
        hex::encode(&mark.into_bytes()[..MARK])
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(&self, place: Place<'_>, text: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let opened = || {
            let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(FORM)?).ok()?;
            let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
            let nonce = XNonce::try_from(nonce).ok()?;
            self.cipher.decrypt(&nonce, Payload { msg: sealed, aad: &place.bytes() }).ok()
        };
        opened().map(Zeroizing::new).ok_or_else(|| SealError::Opening {
            table: place.table.into(),
            column: place.column.into(),
            row: place.row.into(),
        })
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any length is a key")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place<'_> = Place { table: "apps", column: "api_token", row: "cigar" };

    fn sealer() -> Sealer {
        Sealer::new([7; 32])
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_to_the_same(secret: Vec<u8>, row in ".*") {
            let place = Place { row: &row, ..PLACE };
            let text = sealer().seal(place, &secret).unwrap();
            prop_assert_eq!(sealer().open(place, &text).unwrap().to_vec(), secret);
        }

        /// Security case 82.
        #[test]
        fn it_does_not_open_in_another_place(a in "[a-z]{0,3}", b in "[a-z]{0,3}", c in "[a-z]{0,3}",
                                             d in "[a-z]{0,3}", e in "[a-z]{0,3}", f in "[a-z]{0,3}") {
            prop_assume!((&a, &b, &c) != (&d, &e, &f));
            let text = sealer().seal(Place { table: &a, column: &b, row: &c }, b"canary").unwrap();
            let opened = sealer().open(Place { table: &d, column: &e, row: &f }, &text);
            prop_assert!(opened.is_err());
        }

        #[test]
        fn one_changed_character_spoils_it(at in 5usize..60, to in "[A-Za-z0-9_-]") {
            let text = sealer().seal(PLACE, b"canary").unwrap();
            let at = at.min(text.len() - 1);
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            prop_assert!(changed == text || sealer().open(PLACE, &changed).is_err());
        }

        #[test]
        fn nonsense_is_an_error_and_no_panic(text in "(hms1:)?.{0,80}") {
            prop_assert!(sealer().open(PLACE, &text).is_err());
        }
    }

    #[test]
    fn a_mark_is_that_of_one_secret_at_one_place_under_one_key() {
        let mark = sealer().mark(PLACE, b"canary");
        assert_eq!((mark.len(), &mark), (32, &sealer().mark(PLACE, b"canary")));
        let others = [
            sealer().mark(PLACE, b"canary2"),
            sealer().mark(Place { row: "rum", ..PLACE }, b"canary"),
            sealer().mark(Place { row: "cigarcan", ..PLACE }, b"ary"),
            Sealer::new([8; 32]).mark(PLACE, b"canary"),
        ];
        assert!(others.iter().all(|other| *other != mark), "{mark} {others:?}");
    }

    #[test]
    fn it_shows_nothing_and_needs_the_same_key() {
        let text = sealer().seal(PLACE, b"canary").unwrap();
        assert!(text.starts_with("hms1:") && !text.contains("canary"));
        assert_ne!(text, sealer().seal(PLACE, b"canary").unwrap());
        let error = Sealer::new([8; 32]).open(PLACE, &text).unwrap_err().to_string();
        assert!(error.contains("apps.api_token of `cigar`") && !error.contains("canary"), "{error}");
        // Moved by one between the parts, the places would have the same bytes if they were only joined.
        assert!(sealer().open(Place { table: "app", column: "sapi_token", row: "cigar" }, &text).is_err());
    }
}
