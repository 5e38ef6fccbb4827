//! Sessions of browsers: a random token in a cookie, its hash in the database.

use std::net::IpAddr;

use hms_proto::{Role, fault::Fault};
use http::{HeaderMap, header};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    ABSOLUTE, Attempt, Auth, Caller, IDLE, Password, Record, Scope, Source, TOUCH, hash_of,
    login::{self, Proved},
    new_secret,
};
use crate::db::{
    self,
    sessions::{Live, NewSession, Proof},
    users::User,
};

/// The prefix has browsers insist on Secure, on Path=/, and on this very host (RFC 6265bis, 4.1.3.2).
const NAME: &str = "__Host-hms";

/// Waits for the second factor.
const STEP_NAME: &str = "__Host-hms-step";

/// What a browser gets for a right password.
#[derive(Debug)]
pub(crate) enum Entered {
    /// A session.
    Session(Token),
    /// A step, which becomes one with a code of the second factor.
    CodeNeeded(Token),
}

/// The value of the cookie. Shows itself to nobody.
#[derive(Clone)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The token that a request carries. Two cookies of that name are none: somebody else set one of them.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<Token> {
    cookie_of(headers, NAME)
}

/// The step that a request carries.
pub(crate) fn step_of(headers: &HeaderMap) -> Option<Token> {
    cookie_of(headers, STEP_NAME)
}

fn cookie_of(headers: &HeaderMap, wanted: &str) -> Option<Token> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut ours = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| (name == wanted).then_some(value));
    let token = ours.next()?;
    // 32 bytes in base64 without padding.
    let fits =
        token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (fits && ours.next().is_none()).then(|| Token(token.to_owned()))
}

/// The cookie that logs a browser in.
pub(crate) fn cookie(token: &Token) -> String {
    let life = ABSOLUTE.num_seconds();
    format!("{NAME}={}; Path=/; Max-Age={life}; Secure; HttpOnly; SameSite=Lax", token.0)
}

/// The cookie of a login that waits for the second factor: five minutes, and for the pages of the login alone.
pub(crate) fn step_cookie(token: &Token) -> String {
    format!("{STEP_NAME}={}; Path=/; Max-Age=300; Secure; HttpOnly; SameSite=Strict", token.0)
}

/// Takes that cookie away.
pub(crate) fn step_gone() -> String {
    format!("{STEP_NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
}

/// The cookie that logs it out.
pub(crate) fn cookie_gone() -> String {
    format!("{NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

impl Auth {
    /// Logs a browser in: always with a new token.
    pub(crate) async fn web_login(
        &self,
        username: &str,
        password: &Password,
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Entered, Fault> {
        let attempt = Attempt { username, password, code: None, address, source: Source::Web };
        self.enter(attempt, async |proved| match proved {
            Proved::All(user) => {
                let mut tx = self.held(&user).await?;
                let token = self.begin_web(&mut tx, user.id, address, user_agent).await?;
                tx.commit().await.map_err(db::Error::from)?;
                Ok(Entered::Session(token))
            }
            Proved::Password(user) => {
                let (step, mut tx) = (Token(new_secret()), self.held(&user).await?);
                db::invitations::begin_step(&mut *tx, user.id, &hash_of(&step.0), self.clock.now()).await?;
                tx.commit().await.map_err(db::Error::from)?;
                Ok(Entered::CodeNeeded(step))
            }
        })
        .await
    }

    /// Ends the login that `step` began, with a code. Without that step no code counts, and after five wrong ones neither does the
    /// step: then there is none, and it begins again with the password.
    pub(crate) async fn web_code(
        &self,
        step: &Token,
        code: &str,
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Option<Token>, Fault> {
        let (step, now) = (hash_of(&step.0), self.clock.now());
        let Some(name) = db::invitations::waits(&self.db, &step, now).await? else { return Ok(None) };
        // An attempt that has to wait is none: it does not count for the step either.
        let counted = self.count(&name, address)?;
        let Some(user) = db::invitations::try_step(&self.db, &step, now).await? else { return Ok(None) };
        let record =
            Record::open(&self.db, &login::intent(login::METHOD, Source::Web, address, Some(&user))).await?;
        let result = match self.fits_code(&user, code).await {
            Ok(true) => self.end_step(&user, &step, address, user_agent).await,
            Ok(false) => Err(login::wrong_code()),
            Err(fault) => Err(fault),
        };
        if matches!(result, Ok(Some(_))) {
            self.throttle.forgive(&counted);
        }
        record.close(&self.db, result).await
    }

    /// Makes a session of a step. Of two right codes at once, one gets it.
    async fn end_step(
        &self,
        user: &User,
        step: &[u8; 32],
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Option<Token>, Fault> {
        let mut tx = self.held(user).await?;
        if !db::invitations::use_step(&mut tx, user.id, step, self.clock.now()).await? {
            return Ok(None);
        }
        let token = self.begin_web(&mut tx, user.id, address, user_agent).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(Some(token))
    }

    async fn begin_web(
        &self,
        tx: &mut PgConnection,
        user: Uuid,
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Token, Fault> {
        let (token, now) = (Token(new_secret()), self.clock.now());
        let session = NewSession {
            user,
            proof: Proof::Web(hash_of(&token.0)),
            now,
            expires: now + ABSOLUTE,
            address: address.to_canonical().to_string(),
            user_agent,
        };
        db::sessions::begin(tx, &session).await?;
        Ok(token)
    }

    /// Whose browser this is. Counts as use.
    pub(crate) async fn web_session(
        &self,
        token: &Token,
        address: Option<IpAddr>,
    ) -> Result<Option<Caller>, Fault> {
        let now = self.clock.now();
        let Some(live) = self.live(token).await? else { return Ok(None) };
        if now - live.last_seen_at > TOUCH {
            db::sessions::touch(&self.db, live.id, now).await?;
        }
        Ok(Some(Self::caller(&live, Source::Web, address, now)))
    }

    /// The same for a request that is refused: whoever sent it, it was not a person who uses the session.
    pub(crate) async fn web_owner(
        &self,
        token: &Token,
        address: Option<IpAddr>,
    ) -> Result<Option<Caller>, Fault> {
        let live = self.live(token).await?;
        Ok(live.map(|live| Self::caller(&live, Source::Web, address, self.clock.now())))
    }

    async fn live(&self, token: &Token) -> Result<Option<Live>, Fault> {
        Ok(db::sessions::by_token(&self.db, &hash_of(&token.0), self.clock.now(), IDLE).await?)
    }

    /// What the session's owner may do at this moment, while it lives. Does not count as use: an open page is not a person.
    pub(crate) async fn web_peek(&self, token: &Token) -> Result<Option<(Role, Scope)>, Fault> {
        let live = self.live(token).await?;
        Ok(live.map(|live| (live.role(), live.scope())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|c| (header::COOKIE, c.parse().unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_and_nothing_that_only_looks_like_it() {
        let token = new_secret();
        let ours = format!("{NAME}={token}");
        assert_eq!(token_of(&headers(&[&format!("a=b; {ours}; c=d")])).unwrap().0, token);
        assert!(token_of(&headers(&["a=b", &ours])).is_some(), "HTTP/2 may split them");
        for bad in [
            vec![],
            vec![format!("hms={token}")],
            vec![format!("__host-hms={token}")],
            vec![format!("x{ours}")],
            vec![format!("{ours}x")],
            vec![format!("{ours}; {ours}")],
            vec![ours.clone(), ours.clone()],
            vec![format!("{NAME}=")],
            vec![format!("{NAME}={}%0d%0a", &token[..37])],
            vec![format!("{NAME}=\"{token}\"")],
        ] {
            let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
            assert!(token_of(&headers(&bad)).is_none(), "{bad:?}");
        }
    }

    /// Security case 11.
    #[test]
    fn the_cookie_is_kept_from_scripts_other_sites_and_plain_http() {
        let cookie = cookie(&Token("t".into()));
        assert_eq!(cookie, "__Host-hms=t; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax");
        assert!(cookie_gone().contains("Max-Age=0"));
        assert!(!format!("{:?}", Token("canary".into())).contains("canary"));
    }
}
