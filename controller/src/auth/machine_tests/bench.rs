//! Takes the steps at the real port, and compares.

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, ensure};
use axum::{Router, body::Body, extract::ConnectInfo};
use hms_proto::controller::v1::{EditUserRequest, ResetUserRequest};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{
    super::{clock::Hand, web},
    model::{Account, Given, Means, Model, Session, Waiting, picked},
    steps::{Code, Deed, Key, Step, Wait, Who},
    *,
};
use crate::{
    api,
    gate::Gate,
    seal::Place,
    state::{Core, State},
};

/// Longer than a step of an authenticator, and than what an account or a network waits for its next attempt.
const BETWEEN: TimeDelta = TimeDelta::seconds(31);

/// An installation with a clock.
pub(super) struct Bench {
    pub(super) auth: Arc<Auth>,
    router: Router,
    hand: Hand,
    db: PgPool,
    made: AtomicU32,
    /// How many sessions were given, by all sequences.
    pub(super) given: AtomicU32,
}

/// An answer of the port.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) to: String,
    pub(super) body: String,
    cookies: Vec<String>,
}

impl Answer {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A cookie that was given.
    fn cookie(&self, name: &str) -> Option<String> {
        let given = |cookie: &String| Some(cookie.strip_prefix(name)?.split_once(';')?.0.to_owned());
        self.cookies.iter().find_map(given).filter(|value| !value.is_empty())
    }
}

/// A request that is on its way.
pub(super) struct Asking<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) header: Option<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) fn form(path: &str, pairs: &[(&str, &str)]) -> (Method, String, Vec<u8>) {
    let coded: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{name}={}", hms_web::text::encode(value))).collect();
    (Method::POST, path.to_owned(), coded.join("&").into())
}

impl Bench {
    pub(super) async fn open(state: &State, db: PgPool) -> anyhow::Result<Self> {
        let hand = Hand::default();
        let mut auth = Auth::with(&db, state.pki.sealer().clone(), hand.clock()).await?;
        auth.passwords = Passwords::cheap().await?;
        let auth = Arc::new(auth);
        let core = Arc::new(Core {
            auth: auth.clone(),
            fleet: state.fleet.clone(),
            jobs: Default::default(),
            audit: Default::default(),
            nginx: Default::default(),
            db: db.clone(),
            pki: state.pki.clone(),
            reach: state.reach.clone(),
            database_up: true.into(),
            stop: state.stop.clone(),
        });
        let gate = Gate::new(core.clone(), api::grpc::services(&core)?);
        let router = api::router(State { gate, core });
        Ok(Self { auth, router, hand, db, made: AtomicU32::new(0), given: AtomicU32::new(0) })
    }

    pub(super) async fn close(&self) {
        self.db.close().await;
    }

    fn next(&self) -> u32 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks, from another network each time.
    pub(super) async fn ask(&self, asking: Asking<'_>) -> anyhow::Result<Answer> {
        let network = (0x2001_0db8_u128 << 96) | (u128::from(self.next()) << 64);
        let kind = if asking.path.starts_with("/api/") {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let mut request = Request::builder()
            .method(asking.method)
            .uri(asking.path)
            .header(header::HOST, "localhost")
            .header(header::ORIGIN, "https://localhost")
            .header(header::ACCEPT, "text/html; fragment=1")
            .header(header::CONTENT_TYPE, kind)
            .extension(ConnectInfo(SocketAddr::from((Ipv6Addr::from(network), 40_000))));
        if let Some((name, value)) = asking.header {
            request = request.header(name, value);
        }
        let answer = self.router.clone().oneshot(request.body(Body::from(asking.body))?).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        let all =
            |name| answer.headers().get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned);
        let (to, cookies) = (all(header::LOCATION).collect(), all(header::SET_COOKIE).collect());
        let status = answer.status();
        let body = String::from_utf8(answer.into_body().collect().await?.to_bytes().into())?;
        ensure!(!status.is_server_error(), "{} was answered with {status}: {body}", asking.path);
        ensure!(status != StatusCode::TOO_MANY_REQUESTS, "{} has to wait: {body}", asking.path);
        Ok(Answer { status, to, body, cookies })
    }

    pub(super) async fn send(
        &self,
        (method, path, body): (Method, String, Vec<u8>),
        header: Option<(&'static str, String)>,
    ) -> anyhow::Result<Answer> {
        self.ask(Asking { method, path: &path, header, body }).await
    }

    /// Takes a sequence of steps with two new accounts, and looks after each.
    pub(super) async fn run(&self, factors: [bool; 2], sequence: &[Step]) -> anyhow::Result<()> {
        let n = self.next();
        let mut model = Model {
            now: self.auth.clock.now(),
            accounts: [self.account(format!("ada-{n}")).await?, self.account(format!("bob-{n}")).await?],
            sessions: Vec::new(),
            waiting: Vec::new(),
        };
        for (account, _) in model.accounts.iter_mut().zip(factors).filter(|(_, factor)| *factor) {
            self.begin_with_factor(account).await?;
        }
        // Whatever was done: at the end the password is tried, which else would be seen by nobody.
        let last = [0, 1].map(|who| Step::Enter { who, key: Key::Right });
        for (at, step) in sequence.iter().chain(&last).enumerate() {
            self.hand.advance(BETWEEN);
            model.now = self.auth.clock.now();
            let told = async {
                self.take(&mut model, *step).await?;
                self.compare(&model, at > sequence.len()).await
            };
            told.await.map_err(|error| error.context(format!("step {}, {step:?}", at + 1)))?;
        }
        for account in &model.accounts {
            self.auth.remove_user(&account.name).await?;
        }
        Ok(())
    }

    async fn account(&self, name: String) -> anyhow::Result<Account> {
        let password = format!("the first of {name}, and long");
        let hash = self.auth.passwords.hash(&Password::new(password.clone())).await?;
        db::users::add(&self.db, &name, hms_proto::Role::Viewer, &hash).await?;
        Ok(Account {
            name,
            role: "viewer",
            locked: false,
            password: Some(password),
            before: "it never had another".into(),
            secret: None,
            factor: false,
            last: 0,
            recovery: Vec::new(),
            given: Vec::new(),
            links: Vec::new(),
            link_until: None,
        })
    }

    async fn begin_with_factor(&self, account: &mut Account) -> anyhow::Result<()> {
        let id = db::users::get_by_name(&self.db, &account.name).await?.context("no account")?.id;
        let (secret, row) = (rand::random::<[u8; 20]>(), id.to_string());
        let place = Place { table: "users", column: "totp_secret", row: &row };
        let codes: Vec<String> = (0..3).map(|_| super::super::totp::recovery_code()).collect();
        let hashes: Vec<_> = codes.iter().map(|code| hash_of(&code.replace('-', ""))).collect();
        db::users::begin_totp(&self.db, id, &self.auth.sealer.seal(place, &secret)?).await?;
        db::users::enable_totp(&self.db, id, self.auth.clock.now()).await?;
        db::users::put_recovery_codes(&mut *self.db.acquire().await?, id, &hashes).await?;
        (account.secret, account.factor) = (Some(secret.into()), true);
        (account.recovery, account.given) = (codes.clone(), codes);
        Ok(())
    }

    async fn take(&self, model: &mut Model, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Enter { who, key } => self.enter(model, who, key).await,
            Step::Code { of, whose, code } => {
                let at = of.and_then(|pick| picked(&model.waiting, pick));
                let typed = model.accounts[whose].typed(code, model.now);
                self.code(model, at, &typed).await
            }
            Step::Login { who, key, code } => self.login(model, who, key, code).await,
            Step::Admin { who, deed } => self.admin(model, who, deed).await,
            Step::Accept { who, link } => self.accept(model, who, link).await,
            Step::Wait(wait) => {
                self.hand.advance(match wait {
                    Wait::Minutes => TimeDelta::minutes(6),
                    Wait::QuarterHour => TimeDelta::minutes(16),
                    Wait::HalfDay => TimeDelta::hours(13),
                    Wait::Day => TimeDelta::hours(25),
                });
                model.now = self.auth.clock.now();
                Ok(())
            }
            own => self.own(model, own).await,
        }
    }

    async fn enter(&self, model: &mut Model, who: Who, key: Key) -> anyhow::Result<()> {
        let (account, password) = (&model.accounts[who], model.key(who, key));
        let asking = form("/login", &[("username", &account.name), ("password", &password)]);
        let (wanted, answer) = (account.enters(&password), self.send(asking, None).await?);
        self.entered(model, who, wanted, &answer).await
    }

    /// A code, for a login that waits or for what is none.
    async fn code(&self, model: &mut Model, at: Option<usize>, typed: &str) -> anyhow::Result<()> {
        let session = model.sessions.last().and_then(|session| match &session.means {
            Means::Cookie(token) => Some(token.clone()),
            Means::Tokens(..) => None,
        });
        let token =
            at.map_or_else(|| session.unwrap_or_else(new_secret), |at| model.waiting[at].token.clone());
        let (wanted, owner) = match at {
            Some(at) => (model.code(at, typed), model.waiting[at].owner),
            None => (Given::Nothing, 0),
        };
        let cookie = ("cookie", format!("__Host-hms-step={token}"));
        let answer = self.send(form("/login/code", &[("code", typed)]), Some(cookie)).await?;
        self.entered(model, owner, wanted, &answer).await
    }

    /// What an answer gave a browser must be what the model says, and is kept.
    async fn entered(
        &self,
        model: &mut Model,
        who: Who,
        wanted: Given,
        answer: &Answer,
    ) -> anyhow::Result<()> {
        let (session, step) = (answer.cookie("__Host-hms="), answer.cookie("__Host-hms-step="));
        let given = match (&session, &step) {
            (None, None) => Given::Nothing,
            (None, Some(_)) => Given::Step,
            (Some(_), None) => Given::Session,
            (Some(_), Some(_)) => anyhow::bail!("a session and a step"),
        };
        ensure!(given == wanted, "gave {given:?}, and not {wanted:?}: {}", answer.status);
        if let Some(token) = step {
            let until = model.now + TimeDelta::minutes(5);
            model.waiting.push(Waiting { owner: who, token, until, tries: 0 });
        }
        if let Some(token) = session {
            let live = self.auth.web_owner(&token_of(&token)?, None).await?;
            let id = live.and_then(|caller| caller.session).context("the session that was given is none")?;
            self.begun(model, who, id, Means::Cookie(token));
        }
        Ok(())
    }

    fn begun(&self, model: &mut Model, owner: Who, id: Uuid, means: Means) {
        let now = model.now;
        self.given.fetch_add(1, Ordering::Relaxed);
        model.sessions.push(Session { owner, id, means, begun: now, seen: now, confirmed: now, ended: None });
    }

    async fn login(
        &self,
        model: &mut Model,
        who: Who,
        key: Key,
        code: Option<(Who, Code)>,
    ) -> anyhow::Result<()> {
        let password = model.key(who, key);
        let typed = code.map(|(whose, code)| model.accounts[whose].typed(code, model.now));
        let (now, account) = (model.now, &mut model.accounts[who]);
        let wanted = match (account.enters(&password), &typed) {
            (Given::Step, Some(typed)) => account.takes(typed, now),
            (given, _) => given == Given::Session,
        };
        let body = serde_json::json!({ "username": account.name, "password": password, "code": typed });
        let asking = (Method::POST, "/api/auth/login".to_owned(), body.to_string().into());
        let answer = self.send(asking, None).await?;
        ensure!((answer.status == StatusCode::OK) == wanted, "{}: {}", answer.status, answer.body);
        if wanted {
            let (id, means) = self.tokens(&answer, now, Vec::new())?;
            self.begun(model, who, id, means);
        }
        Ok(())
    }

    /// The tokens of an answer, with those before.
    pub(super) fn tokens(
        &self,
        answer: &Answer,
        now: DateTime<Utc>,
        mut refresh: Vec<String>,
    ) -> anyhow::Result<(Uuid, Means)> {
        let told = answer.json();
        let text = |name: &str| told[name].as_str().map(str::to_owned).context("a token is missing");
        let access = text("access_token")?;
        let id = self.auth.signer.read(&access, now).context("the access token is none")?.session;
        refresh.push(text("refresh_token")?);
        Ok((id, Means::Tokens(access, (now + TimeDelta::minutes(10)).timestamp(), refresh)))
    }

    async fn admin(&self, model: &mut Model, who: Who, deed: Deed) -> anyhow::Result<()> {
        let name = model.accounts[who].name.clone();
        let locked = model.accounts[who].locked;
        let edit = |role: &str| EditUserRequest { username: name.clone(), role: role.into(), scope: None };
        match deed {
            Deed::Lock => {
                self.auth.set_disabled(&name, true).await?;
                model.accounts[who].locked = true;
                if !locked {
                    model.accounts[who].link_until = None;
                    model.end_all(who, None);
                    model.end_waiting(who);
                }
            }
            Deed::Unlock => {
                self.auth.set_disabled(&name, false).await?;
                model.accounts[who].locked = false;
            }
            Deed::Reset { totp } => {
                let link = self.auth.reset(&ResetUserRequest { username: name, totp }, "").await?.code;
                model.set_password(who, None);
                model.end_all(who, None);
                model.end_waiting(who);
                let account = &mut model.accounts[who];
                account.links.push(link);
                account.link_until = Some(model.now + TimeDelta::hours(24));
                if totp {
                    account.forget_factor();
                }
            }
            Deed::Lower | Deed::Raise => {
                let role = if matches!(deed, Deed::Lower) { "viewer" } else { "operator" };
                self.auth.edit(&edit(role)).await?;
                model.accounts[who].role = role;
            }
            Deed::EndSessions => {
                self.auth.end_sessions(&name, "").await?;
                model.end_all(who, None);
            }
        }
        Ok(())
    }

    /// A new password by a link, which also logs in.
    async fn accept(&self, model: &mut Model, who: Who, link: usize) -> anyhow::Result<()> {
        let account = &model.accounts[who];
        let link = picked(&account.links, link).map_or_else(new_secret, |at| account.links[at].clone());
        let password = format!("chosen with a link at {}", model.now.timestamp_millis());
        let holds = account.holds(&link, model.now);
        if holds {
            model.set_password(who, Some(password.clone()));
            model.end_all(who, None);
            model.end_waiting(who);
            model.accounts[who].link_until = None;
        }
        let wanted = if holds { model.accounts[who].enters(&password) } else { Given::Nothing };
        let pairs = [("code", link.as_str()), ("password", &password), ("again", &password)];
        let answer = self.send(form("/login/invitation", &pairs), None).await?;
        self.entered(model, who, wanted, &answer).await
    }

    /// Everything that there is must be what the model says. At the end, sessions that ended earlier are looked at once more.
    async fn compare(&self, model: &Model, at_the_end: bool) -> anyhow::Result<()> {
        let lately = model.now - BETWEEN * 2;
        for (at, session) in model.sessions.iter().enumerate() {
            if session.ended.is_some_and(|ended| ended < lately) && !at_the_end {
                continue;
            }
            let live = db::sessions::lives(&self.db, session.id, model.now, IDLE).await?;
            ensure!(live.is_some() == session.lives(model.now), "session {at} lives: {}", live.is_some());
            let Some(live) = live else { continue };
            let caller = Auth::caller(&live, Source::Web, None, model.now);
            let account = &model.accounts[session.owner];
            let is_theirs =
                caller.name == account.name && hms_proto::access::role_word(caller.role) == account.role;
            ensure!(is_theirs, "session {at} is of {} {}", caller.role.as_str_name(), caller.name);
            let confirmed = caller.confirmed.is_some();
            ensure!(confirmed == session.is_confirmed(model.now), "session {at} is confirmed: {confirmed}");
        }
        if let Some(waiting) = model.waiting.last() {
            let live = self.auth.web_owner(&token_of(&waiting.token)?, None).await?;
            ensure!(live.is_none(), "a login that waits for its code is a session");
        }
        for (who, account) in model.accounts.iter().enumerate() {
            let told = self.auth.user(&account.name).await?;
            let wanted = (account.state(), account.factor, model.alive(who) as u32);
            ensure!(
                (told.state.as_str(), told.totp, told.sessions) == wanted,
                "{told:?}, and not {wanted:?}"
            );
        }
        Ok(())
    }
}

/// The value of a cookie as the port reads it.
fn token_of(value: &str) -> anyhow::Result<web::Token> {
    let headers = http::HeaderMap::from_iter([(header::COOKIE, format!("__Host-hms={value}").parse()?)]);
    web::token_of(&headers).context("a cookie that is none")
}
