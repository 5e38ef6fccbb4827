//! What whoever has a session does with it: in a browser with forms, over REST with JSON.

use anyhow::ensure;
use http::{Method, StatusCode};
use serde_json::json;

use super::{
    bench::{Answer, Bench, form},
    model::{Means, Model, picked},
    steps::{Key, Proof, Step},
};

/// A request as both faces have it: the form with its pairs, and the method and path of REST with its JSON.
struct Deed<'a> {
    form: (&'a str, &'a [(&'a str, &'a str)]),
    rest: (Method, &'a str, serde_json::Value),
}

impl Bench {
    pub(super) async fn own(&self, model: &mut Model, step: Step) -> anyhow::Result<()> {
        let with = match step {
            Step::Use { with }
            | Step::BeginFactor { with }
            | Step::NewCodes { with }
            | Step::Logout { with } => with,
            Step::Refresh { with, .. } | Step::Confirm { with, .. } | Step::Revoke { with, .. } => with,
            Step::ChangePassword { with, .. } | Step::EnableFactor { with, .. } => with,
            Step::DisableFactor { with, .. } => with,
            _ => return Ok(()),
        };
        let Some(at) = picked(&model.sessions, with) else { return Ok(()) };
        match step {
            Step::Use { .. } => self.use_it(model, at).await,
            Step::Refresh { again, .. } => self.refresh(model, at, again).await,
            Step::Confirm { by, .. } => self.confirm(model, at, by).await,
            Step::ChangePassword { key, .. } => self.change_password(model, at, key).await,
            Step::BeginFactor { .. } => self.begin_factor(model, at).await,
            Step::EnableFactor { code, .. } => {
                let typed = model.accounts[model.sessions[at].owner].typed(code, model.now);
                self.enable_factor(model, at, &typed).await
            }
            Step::DisableFactor { key, .. } => self.disable_factor(model, at, key).await,
            Step::NewCodes { .. } => self.new_codes(model, at).await,
            Step::Logout { .. } => self.log_out(model, at).await,
            Step::Revoke { other, .. } => self.revoke(model, at, other).await,
            _ => Ok(()),
        }
    }

    /// Does something with a session.
    async fn with(&self, model: &Model, at: usize, deed: Deed<'_>) -> anyhow::Result<Answer> {
        match &model.sessions[at].means {
            Means::Cookie(token) => {
                let (path, pairs) = deed.form;
                self.send(form(path, pairs), Some(("cookie", format!("__Host-hms={token}")))).await
            }
            Means::Tokens(access, ..) => {
                let (method, path, body) = deed.rest;
                let body = if body.is_null() { Vec::new() } else { body.to_string().into() };
                let bearer = ("authorization", format!("Bearer {access}"));
                self.send((method, path.to_owned(), body), Some(bearer)).await
            }
        }
    }

    async fn use_it(&self, model: &mut Model, at: usize) -> anyhow::Result<()> {
        let acts = model.sessions[at].acts(model.now);
        let answer = match &model.sessions[at].means {
            Means::Cookie(token) => {
                let cookie = Some(("cookie", format!("__Host-hms={token}")));
                self.send((Method::GET, "/jobs/none/output".into(), Vec::new()), cookie).await?
            }
            Means::Tokens(access, ..) => {
                let bearer = Some(("authorization", format!("Bearer {access}")));
                self.send((Method::GET, "/api/account/whoami".into(), Vec::new()), bearer).await?
            }
        };
        let is_in = !answer.to.starts_with("/login") && answer.status != StatusCode::UNAUTHORIZED;
        ensure!(is_in == acts, "{} {}", answer.status, answer.to);
        Ok(())
    }

    async fn refresh(&self, model: &mut Model, at: usize, again: bool) -> anyhow::Result<()> {
        let (now, session) = (model.now, &mut model.sessions[at]);
        let lives = session.lives(now);
        let Means::Tokens(_, _, refresh) = &mut session.means else { return Ok(()) };
        let used = again && refresh.len() > 1;
        let token = &refresh[refresh.len() - 1 - usize::from(used)];
        let body = json!({ "refresh_token": token }).to_string().into();
        let answer = self.send((Method::POST, "/api/auth/refresh".into(), body), None).await?;
        ensure!((answer.status == StatusCode::OK) == (lives && !used), "{}: {}", answer.status, answer.body);
        if answer.status == StatusCode::OK {
            let (id, means) = self.tokens(&answer, now, std::mem::take(refresh))?;
            ensure!(id == session.id, "the token of another session");
            session.means = means;
        }
        // A token that was used before is a thief's, or the owner's after a thief: both are out.
        if used {
            session.end(now);
        }
        Ok(())
    }

    async fn confirm(&self, model: &mut Model, at: usize, by: Proof) -> anyhow::Result<()> {
        let (name, typed) = match by {
            Proof::Key(key) => ("password", model.key(model.sessions[at].owner, key)),
            Proof::Code(whose, code) => ("code", model.accounts[whose].typed(code, model.now)),
        };
        let (now, session) = (model.now, &mut model.sessions[at]);
        let account = &mut model.accounts[session.owner];
        let proved = session.acts(now)
            && match by {
                Proof::Key(_) => account.is_of(&typed),
                Proof::Code(..) => account.takes(&typed, now),
            };
        if proved {
            session.confirmed = now;
        }
        let deed = Deed {
            form: ("/confirm", &[(name, &typed)]),
            rest: (Method::POST, "/api/account/confirm", json!({ name: typed })),
        };
        let answer = self.with(model, at, deed).await?;
        ensure!(answer.status.is_success() == proved, "{}: {}", answer.status, answer.body);
        Ok(())
    }

    /// Whether this session does what needs a confirmation. A form that has the password in it confirms by it.
    fn acts_confirmed(model: &mut Model, at: usize, password: Option<&str>) -> bool {
        let (now, session) = (model.now, &mut model.sessions[at]);
        let right = password.is_none_or(|password| model.accounts[session.owner].is_of(password));
        let acts = session.acts(now);
        if acts && right && password.is_some() && matches!(session.means, Means::Cookie(_)) {
            session.confirmed = now;
        }
        acts && right && session.is_confirmed(now)
    }

    async fn change_password(&self, model: &mut Model, at: usize, key: Key) -> anyhow::Result<()> {
        let owner = model.sessions[at].owner;
        let (current, new) =
            (model.key(owner, key), format!("chosen by hand at {}", model.now.timestamp_millis()));
        let done = Self::acts_confirmed(model, at, Some(&current));
        if done {
            model.set_password(owner, Some(new.clone()));
            model.end_all(owner, Some(at));
            model.end_waiting(owner);
        }
        let deed = Deed {
            form: ("/settings/password", &[("current", &current), ("new", &new), ("again", &new)]),
            rest: (Method::PUT, "/api/account/password", json!({ "current": current, "new": new })),
        };
        let answer = self.with(model, at, deed).await?;
        let says =
            answer.status == StatusCode::NO_CONTENT || answer.body.contains("The new password is set.");
        ensure!(says == done, "{}: {}", answer.status, answer.body);
        Ok(())
    }

    async fn begin_factor(&self, model: &mut Model, at: usize) -> anyhow::Result<()> {
        let done = Self::acts_confirmed(model, at, None) && !model.accounts[model.sessions[at].owner].factor;
        let deed = Deed {
            form: ("/settings/totp", &[("do", "begin")]),
            rest: (Method::POST, "/api/account/totp", serde_json::Value::Null),
        };
        let answer = self.with(model, at, deed).await?;
        let shown = match answer.json()["secret"].as_str() {
            Some(secret) => Some(secret.to_owned()),
            None => within(&answer.body, "<pre tabindex=\"0\">").map(|groups| groups.replace(' ', "")),
        };
        ensure!(shown.is_some() == done, "{}: {}", answer.status, answer.body);
        if let Some(secret) = shown {
            let account = &mut model.accounts[model.sessions[at].owner];
            account.secret = Some(data_encoding::BASE32_NOPAD.decode(secret.as_bytes())?);
            account.last = 0;
        }
        Ok(())
    }

    async fn enable_factor(&self, model: &mut Model, at: usize, typed: &str) -> anyhow::Result<()> {
        let may = Self::acts_confirmed(model, at, None);
        let (now, account) = (model.now, &mut model.accounts[model.sessions[at].owner]);
        let done = may && !account.factor && account.takes_shown(typed, now);
        account.factor |= done;
        let deed = Deed {
            form: ("/settings/totp", &[("do", "enable"), ("code", typed)]),
            rest: (Method::POST, "/api/account/totp/enable", json!({ "code": typed })),
        };
        let answer = self.with(model, at, deed).await?;
        self.codes(model, at, done, &answer)
    }

    async fn new_codes(&self, model: &mut Model, at: usize) -> anyhow::Result<()> {
        let done = Self::acts_confirmed(model, at, None) && model.accounts[model.sessions[at].owner].factor;
        let deed = Deed {
            form: ("/settings/totp", &[("do", "codes")]),
            rest: (Method::POST, "/api/account/recovery-codes", serde_json::Value::Null),
        };
        let answer = self.with(model, at, deed).await?;
        self.codes(model, at, done, &answer)
    }

    /// Takes the recovery codes out of an answer. Those before are void.
    fn codes(&self, model: &mut Model, at: usize, done: bool, answer: &Answer) -> anyhow::Result<()> {
        let told = answer.json();
        let codes: Vec<String> = match told["codes"].as_array() {
            Some(codes) => codes.iter().filter_map(|code| Some(code.as_str()?.to_owned())).collect(),
            None => {
                within(&answer.body, " data-codes>").unwrap_or_default().lines().map(Into::into).collect()
            }
        };
        ensure!(codes.len() == if done { 10 } else { 0 }, "{} codes: {}", codes.len(), answer.body);
        if done {
            let account = &mut model.accounts[model.sessions[at].owner];
            account.given.extend(codes.iter().cloned());
            account.recovery = codes;
        }
        Ok(())
    }

    async fn disable_factor(&self, model: &mut Model, at: usize, key: Key) -> anyhow::Result<()> {
        let owner = model.sessions[at].owner;
        let password = model.key(owner, key);
        if Self::acts_confirmed(model, at, Some(&password)) {
            model.accounts[owner].forget_factor();
            model.end_waiting(owner);
        }
        let deed = Deed {
            form: ("/settings/totp", &[("do", "disable"), ("password", &password)]),
            rest: (Method::POST, "/api/account/totp/disable", json!({ "password": password })),
        };
        self.with(model, at, deed).await.map(drop)
    }

    async fn log_out(&self, model: &mut Model, at: usize) -> anyhow::Result<()> {
        let acts = model.sessions[at].acts(model.now);
        if acts {
            model.sessions[at].end(model.now);
        }
        let rest = (Method::POST, "/api/auth/logout", serde_json::Value::Null);
        self.with(model, at, Deed { form: ("/logout", &[]), rest }).await.map(drop)
    }

    async fn revoke(&self, model: &mut Model, at: usize, other: usize) -> anyhow::Result<()> {
        let Some(other) = picked(&model.sessions, other) else { return Ok(()) };
        let acts = model.sessions[at].acts(model.now);
        let own = model.sessions[other].owner == model.sessions[at].owner;
        if acts && own {
            model.sessions[other].end(model.now);
        }
        let id = model.sessions[other].id;
        let (page, path) = (format!("/settings/sessions/{id}/revoke"), format!("/api/sessions/{id}"));
        let rest = (Method::DELETE, path.as_str(), serde_json::Value::Null);
        self.with(model, at, Deed { form: (&page, &[]), rest }).await.map(drop)
    }
}

/// What stands in an element that begins like this.
fn within<'a>(page: &'a str, begin: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(begin)?;
    Some(rest.split_once("</pre>")?.0.trim())
}
