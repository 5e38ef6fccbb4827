//! Tokens that are spoiled in their form, whatever they claim.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::json;
use uuid::Uuid;

use super::{Bad, Forge, HEADER};

/// The order of Ed25519's group, little-endian (RFC 8032, 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

impl Forge {
    /// Security case 6.
    pub(super) fn algorithms(&self) -> Vec<Bad> {
        let claims = self.claims();
        let body = claims.to_string();
        let mut bad = Vec::new();
        for alg in [
            "none", "None", "nOnE", "NONE", "HS256", "HS512", "RS256", "PS512", "ES256", "ES512", "Ed25519",
            "", "eddsa", "EDDSA", "EdDSA ", "null",
        ] {
            let header = format!(r#"{{"typ":"at+jwt","alg":"{alg}"}}"#);
            let unsigned = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&body));
            bad.push((format!("alg {alg:?}, signed"), self.signed(&header, &body)));
            bad.push((format!("alg {alg:?}, empty signature"), format!("{unsigned}.")));
            bad.push((format!("alg {alg:?}, no signature"), unsigned));
        }
        let own = KeyPair::from_pem(&self.pem).unwrap();
        let publics =
            [own.public_key_pem().into_bytes(), own.subject_public_key_info(), own.public_key_raw().to_vec()];
        for (n, public) in publics.iter().chain([&Vec::new()]).enumerate() {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let header = Header { typ: Some("at+jwt".into()), ..Header::new(algorithm) };
                let token =
                    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(public)).unwrap();
                bad.push((format!("{algorithm:?} with the public key in form {n}"), token));
            }
        }
        let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        let ec = EncodingKey::from_ec_pem(ec.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &ec).unwrap();
        bad.push(("ES256 with a key of one's own".into(), token));
        bad
    }

    /// Security case 7.
    pub(super) fn headers(&self) -> Vec<Bad> {
        let body = self.claims().to_string();
        let evil = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let x = URL_SAFE_NO_PAD.encode(evil.public_key_raw());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let mut bad = Vec::new();
        for (name, value) in [
            ("kid", json!("../../../../etc/passwd")),
            ("kid", json!("/dev/null")),
            ("kid", json!("/proc/self/environ")),
            ("kid", json!("' UNION SELECT 'x' --")),
            ("kid", json!("1; DROP TABLE users")),
            ("kid", json!("https://evil.example/key")),
            ("kid", json!("file:///etc/shadow")),
            ("kid", json!("| touch /tmp/canary")),
            ("kid", json!("\0")),
            ("kid", json!("unknown")),
            ("kid", json!(0)),
            ("kid", json!("x".repeat(1_000_000))),
            ("jku", json!("https://evil.example/jwks.json")),
            ("jku", json!("https://localhost/static/../jwks.json")),
            ("x5u", json!("https://evil.example/cert.pem")),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAA")),
            ("jwk", jwk),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("cty", json!("JWT")),
            ("iss", json!("hms")),
        ] {
            let header = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","{name}":{value}}}"#);
            bad.push((format!("{name} {:.40}", value.to_string()), self.signed(&header, &body)));
            let theirs = Self::signed_with(&evil.serialize_pem(), &header, &body);
            bad.push((format!("{name} {:.40}, another key", value.to_string()), theirs));
        }
        for header in [
            r#"{"alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
            r#"{"typ":"at+jwt", "alg":"EdDSA"}"#,
            r#"{"typ":"at+jwt","alg":"EdDSA","alg":"none"}"#,
            r#"{"typ":"at+jwt","alg":["EdDSA"]}"#,
            r#"{"typ":"at+jwt"}"#,
            r#"{"typ":"AT+JWT","alg":"EdDSA"}"#,
            r#"{"typ":"JWT","alg":"EdDSA"}"#,
            r#"{"typ":"rt+jwt","alg":"EdDSA"}"#,
            r#"{"typ":"application/at+jwt","alg":"EdDSA"}"#,
            r#"{"typ":7,"alg":"EdDSA"}"#,
            "{}",
            "[]",
            "null",
            "",
        ] {
            bad.push((format!("header {header}"), self.signed(header, &body)));
        }
        bad
    }

    pub(super) fn signatures(&self) -> Vec<Bad> {
        let good = self.good();
        let (message, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let with = |what: &str, bytes: &[u8]| {
            (format!("signature: {what}"), format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes)))
        };
        let mut bad = vec![
            with("zeros", &[0; 64]),
            with("ones", &[0xff; 64]),
            with("longer", &[&signature[..], &[0]].concat()),
            with("twice", &signature.repeat(2)),
            with("R alone", &signature[..32]),
            with("S alone", &signature[32..]),
            with("S before R", &[&signature[32..], &signature[..32]].concat()),
            with(
                "S of the same residue, but larger",
                &[&signature[..32], &plus_order(&signature[32..])].concat(),
            ),
        ];
        for at in (0..64).step_by(3) {
            let mut changed = signature.clone();
            changed[at] ^= 1 << (at % 8);
            bad.push(with(&format!("a bit of byte {at}"), &changed));
        }
        let mut other = self.claims();
        other["jti"] = json!(Uuid::from_u128(1));
        let other = self.claiming(&other);
        bad.push(("the signature of another one".into(), format!("{message}.{}", last(&other))));
        let foreign = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
        let foreign = Self::signed_with(&foreign, HEADER, self.claims().to_string());
        bad.push(("another installation's key".into(), foreign));
        bad
    }

    pub(super) fn pieces(&self) -> Vec<Bad> {
        let good = self.good();
        let parts: Vec<&str> = good.split('.').collect();
        let (header, body, signature) = (parts[0], parts[1], parts[2]);
        let padded = |bytes: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(bytes).unwrap());
        let plain = |bytes: &str| STANDARD.encode(URL_SAFE_NO_PAD.decode(bytes).unwrap());
        let mut bad: Vec<String> = vec![
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            format!("{header}..{signature}"),
            format!(".{body}.{signature}"),
            format!("{body}.{header}.{signature}"),
            format!("{header}.{body}.{signature}.{signature}"),
            format!("{good}."),
            format!(".{good}"),
            format!("{good}{good}"),
            format!("{good},{good}"),
            format!("{header}.{header}.{signature}"),
            format!("{header}.{}.{signature}.x", padded(body)),
            format!("{}.{body}.{signature}", padded(header) + "="),
            format!("{header}.{body}.{}", padded(signature)),
            format!("{header}.{body}.{}", plain(signature)),
            format!("{header}.{body}=.{signature}"),
            format!("{header}.{body} .{signature}"),
            format!("{header}. {body}.{signature}"),
            format!("{header}\t.{body}.{signature}"),
            format!("{header}.{body}.{}", with_spare_bits(signature)),
            good.replace('.', "%2e"),
            good.replace('.', "\u{ff0e}"),
            good.replacen('e', "\u{0435}", 1),
            good.to_uppercase(),
            good.to_lowercase(),
            good.chars().rev().collect(),
            hex::encode(&good),
            STANDARD.encode(&good),
            format!("\"{good}\""),
            format!("Bearer {good}"),
            format!("{good};role=admin"),
            format!("{good}\0"),
        ];
        bad.extend((0..good.len()).step_by(good.len() / 25).map(|end| good[..end].to_owned()));
        for at in (0..body.len()).step_by(body.len() / 20) {
            let to = if body.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = body.to_owned();
            changed.replace_range(at..=at, to);
            bad.push(format!("{header}.{changed}.{signature}"));
        }
        bad.into_iter().enumerate().map(|(n, token)| (format!("piece {n}: {token:.60}"), token)).collect()
    }
}

fn last(token: &str) -> &str {
    token.rsplit('.').next().unwrap_or_default()
}

/// The same number for the group, and not the one that RFC 8032 has verifiers take (5.1.7).
fn plus_order(scalar: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let sum = scalar.iter().zip(ORDER).map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(b) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    sum.collect()
}

/// The same bytes in base64, with other bits where none count.
fn with_spare_bits(signature: &str) -> String {
    let (start, end) = signature.split_at(signature.len() - 1);
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = DIGITS.find(end).unwrap();
    format!("{start}{}", &DIGITS[digit ^ 1..=(digit ^ 1)])
}

/// What was never a token.
pub(super) fn strangers() -> Vec<Bad> {
    let texts = [
        "",
        " ",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "undefined",
        "true",
        "0",
        "admin",
        "Bearer",
        "' OR '1'='1",
        "../../etc/passwd",
        "{}",
        "eyJ",
        "eyJhbGciOiJub25lIn0.e30.",
        "hmsr_",
        "hmst_",
        "hmst_x",
        "HMST_",
        "hms1...",
        "\u{1b}[2J",
        "ключ",
        "%00",
        "*",
        "\\",
    ];
    let made = [crate::auth::tokens::Signer::first_refresh(), crate::auth::new_secret(), "A".repeat(5_000)];
    let all = texts.into_iter().map(ToOwned::to_owned).chain(made);
    all.map(|token| (format!("never a token: {token:.60}"), token)).collect()
}
