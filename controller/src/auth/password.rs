//! Passwords: which are good enough, and how they are checked.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use hms_proto::fault::{Fault, FaultKind};
use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// As the only proof, a password has at least so many characters (NIST SP 800-63B-4, section 3.1.1.2).
pub(crate) const SHORTEST: usize = 15;
/// With a second factor.
pub(crate) const SHORTEST_OF_TWO: usize = 12;
/// Argon2 takes any length; a form field should not.
const LONGEST: usize = 1024;
/// One hash takes 19 MiB and some 30 ms of a CPU: more at once would only take memory.
const AT_ONCE: usize = 2;

/// Passwords that are tried first, of those that are long enough. Lower case, one a line.
static COMMON: &str = include_str!("common_passwords.txt");

/// A password as somebody typed it. Shows itself to nobody, and leaves no copy behind.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether nothing was typed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same, as when one is typed twice.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Whether it may be set for this user, who has a second factor or not. The error says why not, in a sentence for people.
    pub(crate) fn check_new(&self, username: &str, second_factor: bool) -> Result<(), Fault> {
        let shortest = if second_factor { SHORTEST_OF_TWO } else { SHORTEST };
        let lower = Zeroizing::new(self.0.to_lowercase());
        let count = self.0.chars().count();
        let weak = |why: &str| Err(Fault::invalid(format!("the password {why}")));
        if count < shortest {
            return weak(&format!("has {count} characters; it must have at least {shortest}"));
        }
        if self.0.len() > LONGEST {
            return weak(&format!("is longer than {LONGEST} bytes"));
        }
        if COMMON.lines().any(|common| common == lower.as_str()) {
            return weak("is one of those that are tried first");
        }
        if lower.replace(username, "").chars().count() < SHORTEST / 2
            || lower.chars().all(|c| lower.starts_with(c))
        {
            return weak("is little more than the user name or one character, repeated");
        }
        Ok(())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

/// Hashes and checks passwords (Argon2id), a few at a time.
#[derive(Clone)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    /// Of no password: checked for users who do not exist, so that they take as long as those who do.
    nobody: Arc<str>,
    hasher: Argon2<'static>,
}

impl Passwords {
    /// Argon2id, 19 MiB, 2 passes, 1 lane: the crate's defaults, which are OWASP's.
    pub(crate) async fn new() -> Result<Self, Fault> {
        Self::with(Argon2::default()).await
    }

    /// That cost next to nothing, for tests of what comes after the password.
    #[cfg(test)]
    pub(crate) async fn cheap() -> Result<Self, Fault> {
        let least = argon2::Params::new(8, 1, 1, None).expect("the least there is");
        Self::with(Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, least)).await
    }

    async fn with(hasher: Argon2<'static>) -> Result<Self, Fault> {
        let mut made = Self { places: Arc::new(Semaphore::new(AT_ONCE)), nobody: "".into(), hasher };
        made.nobody = made.hash(&Password::new(super::new_secret())).await?.into();
        Ok(made)
    }

    /// The hash of a password, in PHC form, with a salt of its own.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, Fault> {
        let (password, hasher) = (password.clone(), self.hasher.clone());
        self.work(move || hasher.hash_password(password.0.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| {
                tracing::error!(%error, "cannot hash a password");
                Fault::new(FaultKind::Internal, "something went wrong inside HMS")
            })
    }

    /// Whether this is the password of the hash. Without a hash it takes as long, and is not.
    pub(crate) async fn fits(&self, password: &Password, hash: Option<&str>) -> Result<bool, Fault> {
        if password.0.len() > LONGEST {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash: Arc<str> = hash.map_or_else(|| self.nobody.clone(), Into::into);
        let (password, hasher) = (password.clone(), self.hasher.clone());
        let fits = move || {
            let hash = PasswordHash::new(&hash).ok()?;
            hasher.verify_password(password.0.as_bytes(), &hash).ok()
        };
        Ok(self.work(fits).await?.is_some() && known)
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let busy = || Fault::new(FaultKind::Unavailable, "too many logins at once");
        let place = tokio::time::timeout(Duration::from_secs(10), self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| busy())?.map_err(|_| busy())?;
        // The place is held by the work itself: who goes away does not make room before it is done.
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.map_err(|_| busy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new().await.unwrap();
        let right = Password::new("a perfectly fine one".into());
        let (one, two) = (passwords.hash(&right).await.unwrap(), passwords.hash(&right).await.unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != two);
        assert!(passwords.fits(&right, Some(&one)).await.unwrap());
        assert!(!passwords.fits(&Password::new("A perfectly fine one".into()), Some(&one)).await.unwrap());
        assert!(!passwords.fits(&right, None).await.unwrap());
        assert!(!passwords.fits(&right, Some("not a hash")).await.unwrap());
        assert!(!passwords.fits(&Password::new("x".repeat(2000)), Some(&one)).await.unwrap());
    }

    #[test]
    fn bad_passwords_are_refused_with_the_reason() {
        let why = |text: &str| Password::new(text.into()).check_new("ada", false).err().map(|f| f.message);
        assert_eq!(why("tooshort").unwrap(), "the password has 8 characters; it must have at least 15");
        assert_eq!(why("PasswordPassword").unwrap(), "the password is one of those that are tried first");
        let short = Password::new("twelve chars".into());
        assert!(short.check_new("ada", true).is_ok() && short.check_new("ada", false).is_err());
        assert!(why("adaadaadaadaadaada").unwrap().contains("user name"));
        assert!(why("xxxxxxxxxxxxxxxxxxx").unwrap().contains("repeated"));
        assert!(why(&"x1".repeat(600)).unwrap().contains("longer"));
        for fine in
            ["correct donkey battery", "nur kleine buchstaben", "þetta er gott lykilorð", "               x"]
        {
            assert_eq!(why(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_password_does_not_show() {
        assert!(!format!("{:?}", Password::new("canary".into())).contains("canary"));
        assert!(
            COMMON.lines().all(|line| line.chars().count() >= SHORTEST - 1 && line == line.to_lowercase())
        );
    }
}
