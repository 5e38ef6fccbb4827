//! What the forms about people and tokens have in common: a role, and a scope that is picked.

use hms_proto::{controller::v1, fault::Fault};
use hms_web::{
    Role,
    parts::{Scope, ScopePicker},
};

use crate::{auth::Caller, state::State};

/// The fields, as sent; boxes of the same name several times.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl From<Vec<(String, String)>> for Fields {
    fn from(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }
}

impl Fields {
    /// One value, without blanks around it; empty when it is not there.
    pub(super) fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Refuses a field that no form has.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Fault> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(Fault::invalid(format!("the form has no field `{}`", name.escape_debug())))
            }
            None => Ok(()),
        }
    }

    /// The role that is picked; the least, when none is.
    pub(super) fn role(&self) -> Role {
        Role::of_word(self.one("role")).unwrap_or_default()
    }

    /// The scope that is picked.
    pub(super) fn scope(&self) -> Scope {
        match self.one("on") {
            "all" => Scope::everything(),
            _ => Scope { all: false, hosts: self.all("host"), apps: self.all("app") },
        }
    }

    /// The form with these values: what was typed is not lost on the way to a confirmation. It holds no secret.
    pub(super) fn href(&self, path: &str) -> String {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value)).collect::<Vec<_>>();
        hms_web::text::href(path, &pairs)
    }
}

/// For the contract.
pub(super) fn to_proto(scope: Scope) -> v1::Scope {
    v1::Scope { all: scope.all, hosts: scope.hosts, apps: scope.apps }
}

/// A picker of the hosts and apps that the caller reaches.
pub(super) fn picker(state: &State, caller: &Caller, scope: Scope) -> ScopePicker {
    let seen = state.fleet.seen_by(caller);
    let hosts: Vec<String> = seen.hosts().iter().map(|host| host.row.name.clone()).collect();
    let apps: Vec<String> = seen.apps().iter().map(|app| app.key.to_string()).collect();
    ScopePicker::new(scope, &hosts, &apps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect())
    }

    #[test]
    fn boxes_beside_everything_do_not_count() {
        let typed = [("role", "operator"), ("on", "all"), ("host", "asterra"), ("app", "cigar")];
        let all = fields(&typed);
        assert_eq!((all.role(), all.scope()), (Role::Operator, Scope::everything()));
        let some = fields(&[("on", "some"), ("app", "cigar"), ("app", "tobacco")]).scope();
        assert_eq!((some.all, some.apps.len(), some.hosts.len()), (false, 2, 0));
        assert_eq!(fields(&[("role", "root")]).role(), Role::Viewer);
    }

    #[test]
    fn a_form_is_kept_in_its_address() {
        let typed =
            fields(&[("username", "maria"), ("on", "some"), ("app", "a&b"), ("app", "c"), ("host", "")]);
        assert_eq!(typed.href("/settings/invite"), "/settings/invite?username=maria&on=some&app=a%26b&app=c");
    }

    /// Security case 19.
    #[test]
    fn fields_that_no_form_has_are_refused() {
        let typed = fields(&[("username", "maria"), ("is_admin", "1")]);
        assert!(typed.only(&["username"]).unwrap_err().message.contains("is_admin"));
        assert!(typed.only(&["username", "is_admin"]).is_ok());
    }
}
