//! Access tokens that must not be taken: a good one of this installation, spoiled in every way that has worked somewhere.

mod shapes;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

const HEADER: &str = r#"{"typ":"at+jwt","alg":"EdDSA"}"#;
const CLAIMS: [&str; 8] = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"];
/// Makes tokens with the key of an installation, as nobody can who has not stolen it.
pub(super) struct Forge {
    pub(super) pem: String,
    pub(super) install: Uuid,
    pub(super) user: Uuid,
    pub(super) session: Uuid,
    pub(super) now: DateTime<Utc>,
}

/// A token with what is wrong with it.
pub(super) type Bad = (String, String);

impl Forge {
    pub(super) fn claims(&self) -> Value {
        let now = self.now.timestamp();
        json!({ "iss": format!("hms:{}", self.install), "aud": "hms-rest", "sub": self.user, "sid": self.session,
                "jti": Uuid::nil(), "iat": now, "nbf": now, "exp": now + 600 })
    }

    fn signed_with(pem: &str, header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn signed(&self, header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
        Self::signed_with(&self.pem, header, body)
    }

    /// Signed as it should be: only the claims are wrong, if they are.
    pub(super) fn claiming(&self, claims: &Value) -> String {
        self.signed(HEADER, claims.to_string())
    }

    pub(super) fn good(&self) -> String {
        self.claiming(&self.claims())
    }

    /// All of them.
    pub(super) fn corpus(&self) -> Vec<Bad> {
        let parts = [
            self.algorithms(),
            self.headers(),
            self.kinds_of_claims(),
            self.times_and_names(),
            self.bodies(),
        ];
        parts
            .into_iter()
            .flatten()
            .chain(self.signatures())
            .chain(self.pieces())
            .chain(shapes::strangers())
            .collect()
    }

    /// Security case 8: each claim missing, and of every wrong type.
    fn kinds_of_claims(&self) -> Vec<Bad> {
        let (good, now) = (self.claims(), self.now.timestamp());
        let mut bad = Vec::new();
        for name in CLAIMS {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(name);
            bad.push((format!("no {name}"), self.claiming(&claims)));
            let wrong = [
                json!(null),
                json!({}),
                json!([]),
                json!([good[name]]),
                json!({ "value": good[name] }),
                json!(true),
                json!(false),
                json!(""),
                json!("\0"),
                json!("x".repeat(700)),
                json!(-1),
                json!(1.5),
                json!(1e300),
                json!(u64::MAX),
                json!(i64::MIN),
            ];
            for value in wrong {
                let mut claims = good.clone();
                claims[name] = value.clone();
                bad.push((format!("{name} {:.40}", value.to_string()), self.claiming(&claims)));
            }
        }
        for name in ["iat", "nbf", "exp"] {
            for value in [json!((now + 300).to_string()), json!(now as f64 + 300.5), json!("9999999999")] {
                let mut claims = good.clone();
                claims[name] = value.clone();
                bad.push((format!("{name} {value}"), self.claiming(&claims)));
            }
        }
        bad
    }

    /// Security case 8: tokens of another time, for somebody else.
    fn times_and_names(&self) -> Vec<Bad> {
        let (good, now) = (self.claims(), self.now.timestamp());
        let install = self.install;
        [
            ("exp", json!(now)),
            ("exp", json!(now - 1)),
            ("exp", json!(0)),
            ("exp", json!(now + 601)),
            ("exp", json!(now + 31_536_000)),
            ("exp", json!(i64::MAX)),
            ("nbf", json!(now + 60)),
            ("nbf", json!(i64::MAX)),
            ("iat", json!(now + 60)),
            ("iat", json!(now - 60)),
            ("iat", json!(0)),
            ("iss", json!(format!("hms:{}", Uuid::from_u128(2)))),
            ("iss", json!(format!("HMS:{install}"))),
            ("iss", json!(install)),
            ("iss", json!(format!("hms:{install} "))),
            ("iss", json!([format!("hms:{install}"), "x"])),
            ("aud", json!("hms-web")),
            ("aud", json!("HMS-REST")),
            ("aud", json!("*")),
            ("aud", json!(["hms-rest", "other"])),
            ("sub", json!(Uuid::from_u128(99))),
            ("sub", json!("ada")),
            ("sub", json!("' OR '1'='1")),
            ("sid", json!(Uuid::nil())),
            ("sid", json!(Uuid::from_u128(99))),
            ("role", json!("admin")),
            ("scope", json!({ "all": true })),
        ]
        .into_iter()
        .map(|(name, value)| {
            let mut claims = good.clone();
            claims[name] = value.clone();
            (format!("{name} {value}"), self.claiming(&claims))
        })
        .collect()
    }

    /// Bodies that two readers could read in two ways.
    fn bodies(&self) -> Vec<Bad> {
        let good = self.claims().to_string();
        let inside = good.trim_matches(['{', '}']);
        let exp = self.now.timestamp() + 9999;
        [
            format!("{{{inside},\"exp\":{exp}}}"),
            format!("{{\"exp\":{exp},{inside}}}"),
            format!("{{{inside},\"sub\":\"{}\"}}", self.user),
            format!("{good}{good}"),
            format!("{good} x"),
            format!("\u{feff}{good}"),
            format!("[{good}]"),
            format!("{{\"claims\":{good}}}"),
            format!("{}1{}", "[".repeat(300), "]".repeat(300)),
            "null".into(),
            "{}".into(),
            String::new(),
            "\"eyJ\"".into(),
            good.replace('"', "'"),
        ]
        .into_iter()
        .map(|body| (format!("body {body:.60}"), self.signed(HEADER, body)))
        .chain([("a body that is no UTF-8".to_owned(), self.signed(HEADER, [0xff, 0xfe, b'{', b'}']))])
        .collect()
    }
}
