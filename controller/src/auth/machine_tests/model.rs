//! What should be so, in plain data. Of the controller's code it has only the sum that an authenticator does.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    super::totp::Secret,
    steps::{Code, Key, Pick, Who},
};

/// An account.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) locked: bool,
    /// None after a reset.
    pub(super) password: Option<String>,
    pub(super) before: String,
    pub(super) secret: Option<Vec<u8>>,
    /// Whether a code of it is asked for.
    pub(super) factor: bool,
    /// The step of the last code that was taken.
    pub(super) last: i64,
    /// Recovery codes that hold, and all that were ever given out.
    pub(super) recovery: Vec<String>,
    pub(super) given: Vec<String>,
    /// Links with which a password is chosen; the last may hold until then.
    pub(super) links: Vec<String>,
    pub(super) link_until: Option<DateTime<Utc>>,
}

/// With what a session is used.
pub(super) enum Means {
    Cookie(String),
    /// The access token and its end, and all refresh tokens.
    Tokens(String, i64, Vec<String>),
}

/// A session that was begun.
pub(super) struct Session {
    pub(super) owner: Who,
    pub(super) id: Uuid,
    pub(super) means: Means,
    pub(super) begun: DateTime<Utc>,
    pub(super) seen: DateTime<Utc>,
    pub(super) confirmed: DateTime<Utc>,
    /// When it was ended by something other than time.
    pub(super) ended: Option<DateTime<Utc>>,
}

impl Session {
    pub(super) fn lives(&self, now: DateTime<Utc>) -> bool {
        let idle = matches!(self.means, Means::Cookie(_)) && now >= self.seen + TimeDelta::minutes(15);
        self.ended.is_none() && !idle && now < self.begun + TimeDelta::hours(12)
    }

    pub(super) fn is_confirmed(&self, now: DateTime<Utc>) -> bool {
        now < self.confirmed + TimeDelta::minutes(5)
    }

    pub(super) fn end(&mut self, now: DateTime<Utc>) {
        self.ended.get_or_insert(now);
    }

    /// Whether it lets somebody in; it counts as use.
    pub(super) fn acts(&mut self, now: DateTime<Utc>) -> bool {
        let in_time = match &self.means {
            Means::Cookie(_) => true,
            Means::Tokens(_, until, _) => now.timestamp() < *until,
        };
        let acts = in_time && self.lives(now);
        if acts {
            self.seen = now;
        }
        acts
    }
}

/// A login that waits for its code.
pub(super) struct Waiting {
    pub(super) owner: Who,
    pub(super) token: String,
    pub(super) until: DateTime<Utc>,
    pub(super) tries: u32,
}

/// What a login gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    Nothing,
    /// It waits for a code.
    Step,
    Session,
}

/// Everything.
pub(super) struct Model {
    pub(super) now: DateTime<Utc>,
    pub(super) accounts: [Account; 2],
    pub(super) sessions: Vec<Session>,
    pub(super) waiting: Vec<Waiting>,
}

/// The n-th from the end; none where there are none.
pub(super) fn picked<T>(all: &[T], pick: Pick) -> Option<usize> {
    (!all.is_empty()).then(|| all.len() - 1 - pick % all.len())
}

impl Account {
    fn shown(&self, step: i64) -> Option<String> {
        Some(Secret::of_bytes(self.secret.as_deref()?).code(step))
    }

    fn window(now: DateTime<Utc>) -> std::ops::RangeInclusive<i64> {
        let step = now.timestamp().div_euclid(30);
        step - 1..=step + 1
    }

    /// What somebody types who has this code.
    pub(super) fn typed(&self, code: Code, now: DateTime<Utc>) -> String {
        let step = now.timestamp().div_euclid(30);
        let near: Vec<_> = (step - 1..=step + 1).filter_map(|step| self.shown(step)).collect();
        let wrong = (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap();
        match code {
            Code::Shown(away) => self.shown(step + away).unwrap_or(wrong),
            Code::Recovery(pick) => picked(&self.given, pick).map_or(wrong, |at| self.given[at].clone()),
            Code::Wrong => wrong,
        }
    }

    /// Whether the authenticator shows this now, and it was not taken before; it is used up.
    pub(super) fn takes_shown(&mut self, typed: &str, now: DateTime<Utc>) -> bool {
        let fits = |step: &i64| *step > self.last && self.shown(*step).as_deref() == Some(typed);
        let step = Self::window(now).filter(fits).max();
        self.last = step.unwrap_or(self.last);
        step.is_some()
    }

    /// Whether this code counts where one is asked for; it is used up.
    pub(super) fn takes(&mut self, typed: &str, now: DateTime<Utc>) -> bool {
        if !self.factor {
            return false;
        }
        match self.recovery.iter().position(|code| code == typed) {
            Some(at) => {
                self.recovery.remove(at);
                true
            }
            None => self.takes_shown(typed, now),
        }
    }

    /// What this password gives.
    pub(super) fn enters(&self, password: &str) -> Given {
        match (self.is_of(password), self.factor) {
            (false, _) => Given::Nothing,
            (true, true) => Given::Step,
            (true, false) => Given::Session,
        }
    }

    pub(super) fn is_of(&self, password: &str) -> bool {
        !self.locked && self.password.as_deref() == Some(password)
    }

    pub(super) fn forget_factor(&mut self) {
        (self.secret, self.factor, self.last) = (None, false, 0);
        self.recovery.clear();
    }

    /// Whether a link holds.
    pub(super) fn holds(&self, link: &str, now: DateTime<Utc>) -> bool {
        let newest = self.links.last().is_some_and(|last| last == link);
        !self.locked && newest && self.link_until.is_some_and(|until| now < until)
    }

    pub(super) fn state(&self) -> &'static str {
        match (self.locked, &self.password) {
            (true, _) => "disabled",
            (false, None) => "invited",
            (false, Some(_)) => "active",
        }
    }
}

impl Model {
    /// What is typed as somebody's password.
    pub(super) fn key(&self, who: Who, key: Key) -> String {
        let of = |account: &Account| account.password.clone().unwrap_or_else(|| account.before.clone());
        match key {
            Key::Right => of(&self.accounts[who]),
            Key::Before => self.accounts[who].before.clone(),
            Key::OfTheOther => of(&self.accounts[1 - who]),
            Key::Wrong => "nobody has this one".into(),
        }
    }

    /// A new password, chosen by the owner of a session or with a link.
    pub(super) fn set_password(&mut self, who: Who, password: Option<String>) {
        let account = &mut self.accounts[who];
        if let Some(old) = std::mem::replace(&mut account.password, password) {
            account.before = old;
        }
    }

    /// All sessions of somebody end, but one.
    pub(super) fn end_all(&mut self, who: Who, but: Option<usize>) {
        let now = self.now;
        let theirs =
            self.sessions.iter_mut().enumerate().filter(|(at, s)| s.owner == who && Some(*at) != but);
        theirs.for_each(|(_, session)| session.end(now));
    }

    /// No login of somebody waits any more. What it was is kept, to be tried.
    pub(super) fn end_waiting(&mut self, who: Who) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.owner == who) {
            waiting.until = DateTime::UNIX_EPOCH;
        }
    }

    /// What a code gives a login that waits.
    pub(super) fn code(&mut self, at: usize, typed: &str) -> Given {
        let waiting = &mut self.waiting[at];
        if self.now >= waiting.until || waiting.tries == 5 {
            return Given::Nothing;
        }
        waiting.tries += 1;
        let owner = waiting.owner;
        if !self.accounts[owner].takes(typed, self.now) {
            return Given::Nothing;
        }
        self.end_waiting(owner);
        Given::Session
    }

    /// How many sessions of somebody live.
    pub(super) fn alive(&self, who: Who) -> usize {
        self.sessions.iter().filter(|s| s.owner == who && s.lives(self.now)).count()
    }
}
