//! Whether what a call names is within the scope of its caller.
//!
//! Names of things that are not there get the same answer as names of things beyond the scope.

use hms_proto::{
    access::{self, Audience, Named, Object, Reach as Bound, Rule, role_word},
    controller::v1::{ExplainRequest, Explanation},
    fault::{Fault, FaultKind},
    host::v1::ParameterKind,
    names::{AppKey, HostName, UnitName},
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    auth::{Caller, Scope},
    db,
    fleet::Fleet,
    jobs,
    state::Core,
};

/// Where a piece of work takes place.
struct Place {
    host: String,
    app: String,
}

/// What a call is about, as far as it is known.
pub(crate) struct Reach<'a> {
    pub(crate) db: &'a PgPool,
    pub(crate) fleet: &'a Fleet,
    pub(crate) scope: &'a Scope,
}

impl Reach<'_> {
    /// Refuses a call of the controller's own methods that names something beyond the scope, or nothing at all.
    pub(crate) async fn controller(&self, named: &[Named]) -> Result<(), Fault> {
        if self.scope.is_everything() {
            return Ok(());
        }
        if named.is_empty() {
            return Err(whole());
        }
        for one in named {
            if !self.has(one, named).await? {
                return Err(beyond(one));
            }
        }
        Ok(())
    }

    /// Refuses a run of a script whose values name an app or a host beyond the scope. Units are those of the hosts that it is on.
    pub(crate) async fn values(&self, path: &str, message: &[u8]) -> Result<(), Fault> {
        let Some((script, values)) = jobs::request::values_of(path, message) else { return Ok(()) };
        // What is not there is not run.
        let Some(script) = db::scripts::get(self.db, &script).await? else { return Ok(()) };
        for parameter in &script.script().parameters {
            let object = match parameter.kind() {
                ParameterKind::App => Object::App,
                ParameterKind::Host => Object::Host,
                _ => continue,
            };
            let value = values.get(&parameter.name).filter(|value| !value.is_empty());
            let Some(one) = value.map(|name| Named { object, name: name.clone() }) else { continue };
            if !self.has(&one, &[]).await? {
                return Err(beyond(&one));
            }
        }
        Ok(())
    }

    /// Refuses a call to a host that is beyond the scope, unless all that it names are apps on it that are not.
    pub(crate) async fn host(&self, host: &HostName, named: &[Named]) -> Result<(), Fault> {
        if self.scope.has_host(host.as_str()) {
            return Ok(());
        }
        let host_is_beyond = || {
            denied(format!("the host {host} is not among what you may act on"))
                .hint("Ask an administrator to add it to your scope.")
        };
        if named.is_empty() {
            return Err(host_is_beyond());
        }
        for one in named {
            let app = match one.object {
                Object::App => Some(one.name.clone()),
                Object::Unit => self.app_of_unit(&one.name, host),
                Object::Work => self.work(&one.name).await?.into_iter().map(|place| place.app).next(),
                _ => None,
            };
            let here = |key: &String| self.host_of(key).as_deref() == Some(host.as_str());
            match app.filter(here) {
                Some(key) if self.scope.has_app(&key, host.as_str()) => {}
                _ if one.object == Object::Whole => return Err(host_is_beyond()),
                _ => return Err(beyond(one)),
            }
        }
        Ok(())
    }

    async fn has(&self, one: &Named, all: &[Named]) -> Result<bool, Fault> {
        let name = one.name.as_str();
        Ok(match one.object {
            Object::Host => {
                // An app may name the host that it is on.
                let apps = all.iter().filter(|other| other.object == Object::App);
                let of_app = apps
                    .map(|app| &app.name)
                    .any(|key| self.host_of(key).as_deref() == Some(name) && self.scope.has_app(key, name));
                self.scope.has_host(name) || of_app
            }
            Object::App => {
                let planned = || all.iter().find(|other| other.object == Object::Host);
                let host = self.host_of(name).or_else(|| planned().map(|host| host.name.clone()));
                self.scope.has_app(name, &host.unwrap_or_default())
            }
            Object::Work => {
                let places = self.work(name).await?;
                !places.is_empty() && places.iter().all(|place| self.scope.has_app(&place.app, &place.host))
            }
            Object::Schedule => {
                let hosts = match Uuid::try_parse(name) {
                    Ok(id) => db::reach::hosts_of_schedule(self.db, id).await?,
                    Err(_) => Vec::new(),
                };
                !hosts.is_empty() && hosts.iter().all(|host| self.scope.has_host(host))
            }
            Object::Version => {
                let host = match name.parse() {
                    Ok(id) => db::reach::host_of_version(self.db, id).await?,
                    Err(_) => None,
                };
                host.is_some_and(|host| self.scope.has_host(&host))
            }
            Object::Unit | Object::Whole | Object::Unspecified => false,
        })
    }

    async fn work(&self, id: &str) -> Result<Vec<Place>, Fault> {
        let Ok(id) = Uuid::try_parse(id) else { return Ok(Vec::new()) };
        let places = db::reach::places_of_work(self.db, id).await?;
        Ok(places.into_iter().map(|(host, app)| Place { host, app }).collect())
    }

    fn host_of(&self, key: &str) -> Option<String> {
        let apps = self.fleet.apps();
        apps.iter().find(|app| app.key.as_str() == key).map(|app| app.host().to_owned())
    }

    fn app_of_unit(&self, unit: &str, host: &HostName) -> Option<String> {
        let unit = UnitName::try_from(unit).ok()?;
        let apps = self.fleet.apps();
        let app = apps.iter().find(|app| app.host() == host.as_str() && app.unit() == unit)?;
        Some(app.key.to_string())
    }
}

/// Whether a caller could make a call, and what that was decided by: the rules of the gate, asked beforehand.
pub(crate) async fn explain(
    core: &Core,
    caller: &Caller,
    asked: &ExplainRequest,
) -> Result<Explanation, Fault> {
    let rule = rule_of(&asked.method)?;
    let mut told = Explanation { method: rule.path(), ..Explanation::default() };
    let (has, needs) = (role_word(caller.role), role_word(rule.role));
    if rule.audience != Audience::User {
        told.reasons.push("no person may call this method, whatever their role".into());
        return Ok(told);
    }
    told.reasons.push(format!("{} is {has}, and this needs {needs}", caller.name));
    if !rule.allows(caller.role) {
        return Ok(told);
    }
    if let Err(fault) = within(core, caller, rule, asked, &mut told.reasons).await {
        if fault.kind() != FaultKind::Denied {
            return Err(fault);
        }
        told.reasons.push(fault.message);
        return Ok(told);
    }
    told.allowed = !rule.confirm || caller.session.is_some();
    match (rule.confirm, caller.session, caller.confirmed) {
        (false, ..) => {}
        (true, None, _) => told.reasons.push("it needs a person who confirms it, and a token is none".into()),
        (true, _, Some(_)) => told.reasons.push("it needs a confirmation, which was given".into()),
        (true, _, None) => told.reasons.push("it will ask to confirm who you are".into()),
    }
    Ok(told)
}

async fn within(
    core: &Core,
    caller: &Caller,
    rule: &Rule,
    asked: &ExplainRequest,
    reasons: &mut Vec<String>,
) -> Result<(), Fault> {
    let reach = Reach { db: &core.db, fleet: &core.fleet, scope: &caller.scope };
    let mut named = Vec::new();
    let mut name = |object, name: String| named.push(Named { object, name });
    if !asked.app.is_empty() {
        name(Object::App, AppKey::try_from(asked.app.as_str())?.to_string());
    }
    if !asked.unit.is_empty() {
        name(Object::Unit, UnitName::try_from(asked.unit.as_str())?.to_string());
    }
    match rule.reach {
        Bound::Filtered => {
            reasons.push("everybody may ask, and gets what is within their scope".into());
            return Ok(());
        }
        Bound::Self_ => {
            reasons.push("it is about your own account".into());
            return Ok(());
        }
        Bound::Named => {}
    }
    let of_host = rule.path().starts_with("/hms.host.");
    let host = match asked.host.as_str() {
        "" if of_host => reach.host_of(&asked.app).unwrap_or_default(),
        host => host.to_owned(),
    };
    if of_host {
        if host.is_empty() {
            return Err(Fault::invalid("it is done on a host").hint("Name a host, or an app that is on one."));
        }
        reach.host(&HostName::try_from(host.as_str())?, &named).await?;
    } else {
        if !host.is_empty() {
            named.push(Named { object: Object::Host, name: HostName::try_from(host.as_str())?.to_string() });
        }
        reach.controller(&named).await?;
    }
    reasons.push(match caller.scope.is_everything() {
        true => "you may act on the whole installation".into(),
        false => "what it names is among what you may act on".into(),
    });
    Ok(())
}

/// A method by its full path, or by its end: `UnitService/Restart`. Where hosts and the controller have one of the same name, the
/// controller's.
fn rule_of(method: &str) -> Result<&'static Rule, Fault> {
    let unknown = || {
        let method: String = method.chars().take(100).flat_map(char::escape_debug).collect();
        Fault::not_found("method", &method)
            .hint("Methods are named as the audit has them, such as UnitService/Restart.")
    };
    if method.is_empty() {
        return Err(Fault::invalid("which method?")
            .hint("Name one as the audit has it, such as UnitService/Restart."));
    }
    let short = method.trim_start_matches('/');
    let mut fitting = access::rules().filter(|(path, _)| {
        *path == method || path.strip_suffix(short).is_some_and(|before| before.ends_with('.'))
    });
    let first = fitting.next().ok_or_else(unknown)?;
    let best = fitting.chain([first]).min_by_key(|(path, _)| *path).ok_or_else(unknown)?;
    Ok(best.1)
}

fn denied(message: String) -> Fault {
    Fault::new(FaultKind::Denied, message)
}

fn whole() -> Fault {
    denied("this is about the whole installation, and you may act on a part of it only".into())
        .hint("Name the hosts or apps that are yours, or ask somebody with the whole installation.")
}

fn beyond(named: &Named) -> Fault {
    let what = match named.object {
        Object::Host => "the host",
        Object::App => "the app",
        Object::Unit => "the unit",
        Object::Work => "the run or job",
        Object::Schedule => "the schedule",
        Object::Version => "the version",
        Object::Whole | Object::Unspecified => return whole(),
    };
    let name: String = named.name.chars().take(64).flat_map(char::escape_debug).collect();
    denied(format!("{what} `{name}` is not among what you may act on"))
        .hint("Ask an administrator to add it to your scope.")
}
