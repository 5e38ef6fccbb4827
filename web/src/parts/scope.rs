//! What somebody may act on: in words, and as a field of a form.

/// The whole installation, or some hosts and apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The whole installation; then the other two are empty.
    pub all: bool,
    /// All that is on these hosts.
    pub hosts: Vec<String>,
    /// These apps, wherever they are.
    pub apps: Vec<String>,
}

impl Scope {
    /// The whole installation.
    pub fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// For a table: `everything`, `host asterra, app cigar`.
    pub fn words(&self) -> String {
        if self.all {
            return "everything".into();
        }
        let some = |one: &str, names: &[String]| match names {
            [] => None,
            [name] => Some(format!("{one} {name}")),
            names => Some(format!("{one}s {}", names.join(", "))),
        };
        let parts: Vec<String> =
            [some("host", &self.hosts), some("app", &self.apps)].into_iter().flatten().collect();
        if parts.is_empty() { "nothing".into() } else { parts.join("; ") }
    }
}

/// One host or app that can be picked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeChoice {
    /// Its name.
    pub name: String,
    /// Whether it is picked.
    pub picked: bool,
    /// Whether there is one of this name now.
    pub exists: bool,
}

/// The field: radio buttons `on` (`all`, `some`) and boxes `host` and `app`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopePicker {
    /// What is picked to begin with.
    pub scope: Scope,
    /// Hosts to pick from.
    pub hosts: Vec<ScopeChoice>,
    /// Apps to pick from.
    pub apps: Vec<ScopeChoice>,
}

impl ScopePicker {
    /// A picker of these hosts and apps. What is picked and gone can still be seen and taken away.
    pub fn new(scope: Scope, hosts: &[String], apps: &[String]) -> Self {
        let hosts = choices(&scope.hosts, hosts);
        let apps = choices(&scope.apps, apps);
        Self { scope, hosts, apps }
    }

    /// Whether there is anything to pick.
    pub fn has_choices(&self) -> bool {
        !(self.hosts.is_empty() && self.apps.is_empty())
    }

    /// Two hosts and two apps, one app picked.
    pub fn sample() -> Self {
        let scope = Scope { apps: vec!["cigar".into(), "humidor".into()], ..Scope::default() };
        let names = |names: [&str; 2]| names.map(ToOwned::to_owned);
        Self::new(scope, &names(["asterra", "borealis"]), &names(["cigar", "tobacco"]))
    }
}

fn choices(picked: &[String], there: &[String]) -> Vec<ScopeChoice> {
    let gone = picked.iter().filter(|name| !there.contains(name));
    let choice =
        |name: &String, exists| ScopeChoice { name: name.clone(), picked: picked.contains(name), exists };
    there.iter().map(|name| choice(name, true)).chain(gone.map(|name| choice(name, false))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_told_in_words() {
        let scope = |hosts: &[&str], apps: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
            Scope { all: false, hosts: own(hosts), apps: own(apps) }.words()
        };
        assert_eq!(Scope::everything().words(), "everything");
        assert_eq!(scope(&["asterra"], &["cigar", "tobacco"]), "host asterra; apps cigar, tobacco");
        assert_eq!(scope(&[], &[]), "nothing");
    }

    #[test]
    fn what_is_gone_stays_in_sight_while_it_is_picked() {
        let humidor = ScopePicker::sample().apps.into_iter().find(|app| app.name == "humidor").unwrap();
        assert!(humidor.picked && !humidor.exists);
    }
}
