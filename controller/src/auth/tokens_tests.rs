//! What a token is read as. The corpus of those that must not get in is in `forge`.

use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};

use super::*;

const INSTALL: &str = "6f2c1d0e-0000-4000-8000-000000000001";
const USER: Uuid = Uuid::from_u128(7);
const SESSION: Uuid = Uuid::from_u128(8);

struct Forge {
    signer: Signer,
    pem: String,
    now: DateTime<Utc>,
}

fn forge() -> Forge {
    let pem = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
    Forge { signer: Signer::new(pem.as_bytes(), INSTALL).unwrap(), pem, now: Utc::now() }
}

impl Forge {
    fn good(&self) -> String {
        self.signer.access(USER, SESSION, self.now).unwrap()
    }

    fn claims(&self) -> Value {
        let now = self.now.timestamp();
        json!({ "iss": format!("hms:{INSTALL}"), "aud": "hms-rest", "sub": USER, "sid": SESSION, "jti": Uuid::nil(),
                "iat": now, "nbf": now, "exp": now + 600 })
    }

    /// With our own key and our own header: only the claims are wrong.
    fn claiming(&self, claims: &Value) -> String {
        jsonwebtoken::encode(
            &Signer::header(),
            claims,
            &EncodingKey::from_ed_pem(self.pem.as_bytes()).unwrap(),
        )
        .unwrap()
    }

    /// A header of somebody else's making, signed with our own key.
    fn headed(&self, header: &str) -> String {
        let good = self.good();
        let body = good.split('.').nth(1).unwrap();
        let message = format!("{}.{body}", URL_SAFE_NO_PAD.encode(header));
        let key = EncodingKey::from_ed_pem(self.pem.as_bytes()).unwrap();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn opens(&self, token: &str) -> bool {
        self.signer.read(token, self.now).is_some()
    }
}

#[test]
fn our_own_token_is_read_in_its_time() {
    let forge = forge();
    let good = forge.good();
    assert_eq!(forge.signer.read(&good, forge.now), Some(Access { user: USER, session: SESSION }));
    assert!(forge.opens(&forge.claiming(&forge.claims())), "the corpus begins with a good one");
    assert!(forge.opens(&forge.headed(r#"{"typ":"at+jwt","alg":"EdDSA"}"#)), "and this way too");
    assert!(forge.signer.read(&good, forge.now + TimeDelta::seconds(599)).is_some());
    assert!(forge.signer.read(&good, forge.now + TimeDelta::seconds(601)).is_none());
    assert!(forge.signer.read(&good, forge.now - TimeDelta::seconds(60)).is_none());
}

#[test]
fn refresh_tokens_have_one_successor_that_only_the_key_tells() {
    let (one, other) = (forge(), forge());
    let first = Signer::first_refresh();
    assert!(Signer::is_refresh(&first) && Signer::is_refresh(&one.signer.next_refresh(&first)));
    assert_eq!(one.signer.next_refresh(&first), one.signer.next_refresh(&first));
    assert_ne!(one.signer.next_refresh(&first), other.signer.next_refresh(&first));
    assert!(!Signer::is_refresh(&one.good()), "an access token");
    assert!(!Signer::is_refresh("hmsr_x") && !Signer::is_refresh(&format!("{first}\n")));
}

proptest! {
    #[test]
    fn one_changed_character_spoils_a_token(at in 0usize..600, to in "[A-Za-z0-9_.-]") {
        let forge = forge();
        let good = forge.good();
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..=at, &to);
        prop_assert!(changed == good || !forge.opens(&changed));
    }

    #[test]
    fn nonsense_is_refused_without_a_panic(text in "\\PC{0,60}(\\.\\PC{0,60}){0,3}") {
        prop_assert!(!forge().opens(&text));
    }
}
