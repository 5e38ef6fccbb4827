//! Passwords as PostgreSQL keeps them: verifiers of SCRAM-SHA-256 (RFC 5802, RFC 5803), so that it is never told a password.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hms_proto::fault::Fault;
use sha2::{Digest as _, Sha256};

/// As PostgreSQL itself (scram_iterations).
const ITERATIONS: u32 = 4096;

/// The verifier for a password (RFC 5803), unless the role has one for it already.
pub(super) fn new_verifier(password: &str, known: &str) -> Result<Option<String>, Fault> {
    // Others would have to be prepared as RFC 4013 says, on both sides alike.
    if password.is_empty() || !password.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(Fault::invalid("DATABASE_PASSWORD must be of printable ASCII characters")
            .hint("`rotate` makes a good one."));
    }
    let salt_of = |known: &str| {
        let (iterations, salt) = known.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?.0.split_once(':')?;
        Some((iterations.parse().ok().filter(|n| *n <= 1_000_000)?, STANDARD.decode(salt).ok()?))
    };
    if let Some((iterations, salt)) = salt_of(known)
        && verifier(password, &salt, iterations) == known
    {
        return Ok(None);
    }
    Ok(Some(verifier(password, &rand::random::<[u8; 16]>(), ITERATIONS)))
}

fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    let salted = hi(password.as_bytes(), salt, iterations);
    let stored = Sha256::digest(mac(&salted, &[b"Client Key"]));
    let server = mac(&salted, &[b"Server Key"]);
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!("SCRAM-SHA-256${iterations}:{}${}:{}", text(salt), text(&stored), text(&server))
}

/// `Hi()` of RFC 5802: PBKDF2 with HMAC, for one block.
fn hi(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut last = mac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut all = last;
    for _ in 1..iterations {
        last = mac(password, &[&last]);
        all.iter_mut().zip(last).for_each(|(a, b)| *a ^= b);
    }
    all
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn a_verifier_is_what_the_standard_says() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = verifier("pencil", &salt, 4096);
        let server = verifier.rsplit_once(':').unwrap().1;
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = mac(&STANDARD.decode(server).unwrap(), &[message]);
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(verifier.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
    }

    #[test]
    fn a_password_is_set_when_it_is_another_one() {
        let known = new_verifier("pencil", "").unwrap().unwrap();
        assert_eq!(new_verifier("pencil", &known).unwrap(), None);
        assert!(new_verifier("Pencil", &known).unwrap().is_some());
        assert_ne!(new_verifier("pencil", "md5x").unwrap().unwrap(), known, "the salt is the same");
        for bad in ["", "ä", "a\n", "\u{7f}"] {
            assert!(new_verifier(bad, "").is_err(), "{bad:?}");
        }
    }
}
