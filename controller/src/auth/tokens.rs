//! Access tokens (JWT, signed with Ed25519) and refresh tokens (random), for REST.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hms_proto::fault::{Fault, FaultKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    db::{self, config::Config},
    seal::{Place, Sealer},
};

/// An access token that was stolen is good for no longer, and ends with its session before that.
pub(super) const ACCESS: TimeDelta = TimeDelta::minutes(10);
/// Between two controllers, whose clocks may differ a little.
const LEEWAY: i64 = 5;
/// No token of ours is longer.
const LONGEST: usize = 2048;
const AUDIENCE: &str = "hms-rest";
const TYPE: &str = "at+jwt";
const REFRESH: &str = "hmsr_";

/// What an access token says. The session is looked up for everything else.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    /// The user.
    sub: Uuid,
    /// The session.
    sid: Uuid,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What an access token that holds tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) user: Uuid,
    pub(super) session: Uuid,
}

/// Makes and reads tokens.
pub(super) struct Signer {
    issuer: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// The one header that our tokens have, as it is encoded.
    header: String,
    refresh_key: Zeroizing<[u8; 32]>,
}

impl Signer {
    /// Reads the key, or makes it where there is none.
    pub(super) async fn open(pool: &PgPool, sealer: &Sealer, config: &Config) -> Result<Self, Fault> {
        let install = config.install_id.to_string();
        let place = Place { table: "hms_config", column: "jwt_secret", row: &install };
        let sealed = match &config.jwt_secret {
            Some(sealed) => sealed.clone(),
            None => {
                let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| broken(&e))?;
                let pem = Zeroizing::new(key.serialize_pem());
                let sealed = sealer.seal(place, pem.as_bytes()).map_err(|e| broken(&e))?;
                db::config::keep_jwt_secret(pool, &sealed).await?
            }
        };
        let pem = sealer.open(place, &sealed).map_err(|e| broken(&e))?;
        Self::new(&pem, &install)
    }

    fn new(pem: &[u8], install: &str) -> Result<Self, Fault> {
        let text = std::str::from_utf8(pem).map_err(|e| broken(&e))?;
        let public = rcgen::KeyPair::from_pem(text).map_err(|e| broken(&e))?.public_key_pem();
        let header = serde_json::to_vec(&Self::header()).map_err(|e| broken(&e))?;
        let refresh_key = Sha256::new().chain_update(b"hms refresh tokens\0").chain_update(pem).finalize();
        Ok(Self {
            issuer: format!("hms:{install}"),
            signing: EncodingKey::from_ed_pem(pem).map_err(|e| broken(&e))?,
            verifying: DecodingKey::from_ed_pem(public.as_bytes()).map_err(|e| broken(&e))?,
            header: URL_SAFE_NO_PAD.encode(header),
            refresh_key: Zeroizing::new(refresh_key.into()),
        })
    }

    fn header() -> Header {
        Header { typ: Some(TYPE.into()), ..Header::new(Algorithm::EdDSA) }
    }

    /// An access token for a session.
    pub(super) fn access(&self, user: Uuid, session: Uuid, now: DateTime<Utc>) -> Result<String, Fault> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.into(),
            sub: user,
            sid: session,
            jti: Uuid::new_v4(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + ACCESS).timestamp(),
        };
        jsonwebtoken::encode(&Self::header(), &claims, &self.signing).map_err(|e| broken(&e))
    }

    /// Reads an access token. All of it must be right; why it is not, nobody is told.
    pub(super) fn read(&self, token: &str, now: DateTime<Utc>) -> Option<Access> {
        // Our tokens have one header, to the byte: no other algorithm, key, type or extension is even considered.
        let (header, _) = token.split_once('.')?;
        if token.len() > LONGEST || header != self.header {
            return None;
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[AUDIENCE]);
        // Times are checked below, by our clock and as the numbers they have to be.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims: Claims = jsonwebtoken::decode(token, &self.verifying, &validation).ok()?.claims;
        let now = now.timestamp();
        let in_time = claims.nbf <= now + LEEWAY && claims.iat <= now + LEEWAY && now < claims.exp;
        let short = claims.exp.checked_sub(claims.iat)? <= ACCESS.num_seconds();
        let ours = claims.iss == self.issuer && claims.aud == AUDIENCE;
        (in_time && short && ours).then_some(Access { user: claims.sub, session: claims.sid })
    }

    /// The first refresh token of a session.
    pub(super) fn first_refresh() -> String {
        format!("{REFRESH}{}", super::new_secret())
    }

    /// The one successor of a refresh token. Who asks twice gets the same, and none of them need be kept to tell it
    /// again; without the key it cannot be guessed.
    pub(super) fn next_refresh(&self, token: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.refresh_key.as_slice()).expect("any length is a key");
        mac.update(token.as_bytes());
        format!("{REFRESH}{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    /// Whether a text has the form of a refresh token.
    pub(super) fn is_refresh(text: &str) -> bool {
        text.strip_prefix(REFRESH).is_some_and(|secret| {
            secret.len() == 43 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
    }
}

fn broken(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "the key for access tokens cannot be used");
    Fault::new(FaultKind::Internal, "something went wrong inside HMS")
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
