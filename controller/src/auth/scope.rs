//! What somebody may act on: the whole installation, or some hosts and apps.

use std::{collections::BTreeSet, sync::Arc};

use hms_proto::{
    controller::v1,
    fault::Fault,
    names::{AppKey, HostName},
};

/// One limit: of an account, or of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Limit {
    /// None: all there is, and all that will be.
    Everything,
    /// What is on these hosts, and these apps wherever they are.
    Named { hosts: BTreeSet<String>, apps: BTreeSet<String> },
}

impl Limit {
    /// As the database has it.
    pub(crate) fn of_row(all: bool, hosts: &[String], apps: &[String]) -> Self {
        match all {
            true => Self::Everything,
            false => {
                Self::Named { hosts: hosts.iter().cloned().collect(), apps: apps.iter().cloned().collect() }
            }
        }
    }

    /// For the database: all, hosts, apps.
    pub(crate) fn to_row(&self) -> (bool, Vec<String>, Vec<String>) {
        match self {
            Self::Everything => (true, Vec::new(), Vec::new()),
            Self::Named { hosts, apps } => {
                (false, hosts.iter().cloned().collect(), apps.iter().cloned().collect())
            }
        }
    }

    /// As somebody asked for it. The names must be names; that there is such a host or app is not needed.
    pub(crate) fn parse(scope: &v1::Scope) -> Result<Self, Fault> {
        if scope.all && !(scope.hosts.is_empty() && scope.apps.is_empty()) {
            return Err(Fault::invalid("a scope is either all, or some hosts and apps"));
        }
        if scope.all {
            return Ok(Self::Everything);
        }
        if scope.hosts.is_empty() && scope.apps.is_empty() {
            return Err(Fault::invalid("the scope names nothing")
                .hint("Name hosts or apps, or say that it is the whole installation."));
        }
        let host = |name: &String| HostName::try_from(name.as_str()).map(|host| host.to_string());
        let app = |key: &String| AppKey::try_from(key.as_str()).map(|app| app.to_string());
        Ok(Self::Named {
            hosts: scope.hosts.iter().map(host).collect::<Result<_, _>>()?,
            apps: scope.apps.iter().map(app).collect::<Result<_, _>>()?,
        })
    }

    /// As the contract has it.
    pub(crate) fn to_proto(&self) -> v1::Scope {
        let (all, hosts, apps) = self.to_row();
        v1::Scope { all, hosts, apps }
    }

    fn has_host(&self, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Named { hosts, .. } => hosts.contains(name),
        }
    }

    fn has_app(&self, key: &str, host: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Named { hosts, apps } => apps.contains(key) || hosts.contains(host),
        }
    }
}

/// What a caller may act on: within all of its limits. Without one: nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope(Arc<[Limit]>);

impl Scope {
    /// The whole installation.
    pub(crate) fn everything() -> Self {
        Self(Arc::new([Limit::Everything]))
    }

    /// Within all of these.
    pub(crate) fn within(limits: impl Into<Arc<[Limit]>>) -> Self {
        Self(limits.into())
    }

    /// Whether it is the whole installation.
    pub(crate) fn is_everything(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|limit| *limit == Limit::Everything)
    }

    /// Whether all that is on this host belongs to it.
    pub(crate) fn has_host(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|limit| limit.has_host(name))
    }

    /// Whether an app, which is on `host`, belongs to it.
    pub(crate) fn has_app(&self, key: &str, host: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|limit| limit.has_app(key, host))
    }

    /// As the contract has it: the first limit, which is that of the token where there is one.
    pub(crate) fn to_proto(&self) -> v1::Scope {
        self.0.first().map(Limit::to_proto).unwrap_or_default()
    }

    /// The limits, for queries that leave out what is beyond them.
    pub(crate) fn limits(&self) -> &[Limit] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(hosts: &[&str], apps: &[&str]) -> Limit {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Limit::of_row(false, &owned(hosts), &owned(apps))
    }

    #[test]
    fn a_scope_is_what_all_of_its_limits_have_in_common() {
        let all = Scope::everything();
        assert!(all.is_everything() && all.has_host("a") && all.has_app("x", "b"));
        let host = Scope::within([named(&["a"], &[])]);
        assert!(
            host.has_host("a") && host.has_app("x", "a") && !host.has_host("b") && !host.has_app("x", "b")
        );
        let app = Scope::within([named(&[], &["x"])]);
        assert!(app.has_app("x", "b") && !app.has_app("y", "b") && !app.has_host("b"));
        let both = Scope::within([named(&["a"], &[]), named(&[], &["x"])]);
        assert!(both.has_app("x", "a") && !both.has_app("x", "b") && !both.has_app("y", "a"));
        assert!(!both.has_host("a"), "a token for an app does not reach its owner's host");
    }

    #[test]
    fn no_limit_at_all_and_an_empty_one_let_nothing_in() {
        for nothing in [Scope::within([]), Scope::within([named(&[], &[])])] {
            assert!(!nothing.is_everything() && !nothing.has_host("a") && !nothing.has_app("x", "a"));
        }
    }

    #[test]
    fn what_somebody_asks_for_is_parsed() {
        let ask = |all, hosts: &[&str], apps: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            Limit::parse(&v1::Scope { all, hosts: owned(hosts), apps: owned(apps) })
        };
        assert_eq!(ask(true, &[], &[]).unwrap(), Limit::Everything);
        assert_eq!(ask(false, &["a"], &["x"]).unwrap(), named(&["a"], &["x"]));
        for (all, hosts, apps) in
            [(false, &[][..], &[][..]), (true, &["a"], &[]), (false, &["-x"], &[]), (false, &[], &["a b"])]
        {
            assert!(ask(all, hosts, apps).is_err(), "{all} {hosts:?} {apps:?}");
        }
        let limit = named(&["a"], &["x"]);
        let (all, hosts, apps) = limit.to_row();
        assert_eq!(Limit::of_row(all, &hosts, &apps), limit);
        assert_eq!(Limit::parse(&limit.to_proto()).unwrap(), limit);
    }
}
