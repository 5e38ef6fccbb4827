//! Tokens that must not get in (security cases 6, 7, 8), and the one that does.

use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
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

    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[name] = value;
        self.claiming(&claims)
    }

    fn without(&self, name: &str) -> String {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(name);
        self.claiming(&claims)
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

/// Security cases 6 and 7.
#[test]
fn other_algorithms_keys_and_headers_do_not_get_in() {
    let forge = forge();
    let (good, public) = (forge.good(), KeyPair::from_pem(&forge.pem).unwrap().public_key_pem());
    let parts: Vec<&str> = good.split('.').collect();
    let mut bad = Vec::new();
    for alg in ["none", "None", "nOnE", "NONE", "HS256", "RS256", "ES256", "PS512", "Ed25519", "", "eddsa"] {
        let header = format!(r#"{{"typ":"at+jwt","alg":"{alg}"}}"#);
        bad.push(forge.headed(&header));
        bad.push(format!("{}.{}.", URL_SAFE_NO_PAD.encode(&header), parts[1]));
        bad.push(format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), parts[1]));
    }
    let hmac = EncodingKey::from_secret(public.as_bytes());
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header { typ: Some(TYPE.into()), ..Header::new(algorithm) };
        bad.push(jsonwebtoken::encode(&header, &forge.claims(), &hmac).unwrap());
    }
    let ec = EncodingKey::from_ec_pem(
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem().as_bytes(),
    );
    bad.push(jsonwebtoken::encode(&Header::new(Algorithm::ES256), &forge.claims(), &ec.unwrap()).unwrap());
    for (name, value) in [
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("' OR '1'='1")),
        ("kid", json!("https://evil.example/key")),
        ("kid", json!("x".repeat(1_000_000))),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" })),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("typ", json!("JWT")),
        ("typ", json!("rt+jwt")),
        ("typ", json!(7)),
        ("cty", json!("JWT")),
    ] {
        bad.push(forge.headed(&format!(r#"{{"typ":"at+jwt","alg":"EdDSA","{name}":{value}}}"#)));
    }
    bad.push(forge.headed(r#"{"alg":"EdDSA"}"#));
    bad.push(forge.headed(r#"{"typ":"at+jwt","alg":"EdDSA","typ":"at+jwt"}"#));
    bad.push(forge.headed("{}"));
    bad.push(forge.headed(""));
    // Of another installation's key, and pieces of our own.
    bad.push(self::forge().good());
    bad.extend([String::new(), ".".into(), "..".into(), "...".into(), "a.b.c".into(), "Bearer ".into()]);
    bad.push(format!("{}.{}.", parts[0], parts[1]));
    bad.push(format!("{}..{}", parts[0], parts[2]));
    bad.push(format!("{good}="));
    bad.push(format!("{good}.{}", parts[2]));
    bad.push(format!(" {good}"));
    bad.push(good.replace('.', "%2e"));
    bad.push(Signer::first_refresh());
    assert!(bad.len() >= 60);
    for token in bad {
        assert!(!forge.opens(&token), "{}", &token[..token.len().min(200)]);
    }
}

/// Security case 8.
#[test]
fn claims_that_are_missing_of_the_wrong_type_or_of_somebody_else_do_not_get_in() {
    let forge = forge();
    let now = forge.now.timestamp();
    let mut bad: Vec<String> = Vec::new();
    for name in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"] {
        bad.push(forge.without(name));
        for value in [json!(null), json!({}), json!([]), json!(true), json!(""), json!(-1)] {
            bad.push(forge.with(name, value));
        }
    }
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!((now + 300).to_string()),
            json!(now as f64 + 300.5),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1e300),
        ] {
            bad.push(forge.with(name, value));
        }
    }
    bad.push(forge.with("exp", json!(now)));
    bad.push(forge.with("exp", json!(now + 100_000)));
    bad.push(forge.with("nbf", json!(now + 60)));
    bad.push(forge.with("iss", json!("hms:6f2c1d0e-0000-4000-8000-000000000002")));
    bad.push(forge.with("aud", json!("hms-web")));
    bad.push(forge.with("aud", json!(["hms-rest", "other"])));
    bad.push(forge.with("role", json!("admin")));
    for token in &bad {
        assert!(
            !forge.opens(token),
            "{}",
            String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap())
        );
    }
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
