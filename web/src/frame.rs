//! What surrounds every page: who looks, where they are, where they can go, and how fresh it all is.

/// What the user may do; a higher role includes the lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    #[default]
    Viewer,
    /// Also starts, stops, restarts and runs scripts.
    Operator,
    /// Does everything.
    Admin,
}

impl Role {
    /// All of them, from the least on.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// What somebody with it may do, for whoever gives it away.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Viewer => "sees apps, logs, configurations and runs; changes nothing",
            Self::Operator => "also deploys, starts and stops apps, and runs scripts",
            Self::Admin => "also changes configurations, secrets, hosts and people",
        }
    }

    /// What the reader may do with it.
    pub fn own_meaning(self) -> &'static str {
        match self {
            Self::Viewer => "You see what is within your reach, and change nothing.",
            Self::Operator => "You deploy, start and stop apps, and run scripts, within your reach.",
            Self::Admin => "You may change everything within your reach.",
        }
    }

    /// The role of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether actions on apps are offered.
    pub fn operates(&self) -> bool {
        *self >= Self::Operator
    }

    /// Whether hosts and the like can be changed.
    pub fn administers(&self) -> bool {
        *self >= Self::Admin
    }
}

/// For whom and for when something is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What the reader may do.
    pub role: Role,
    /// Now, in microseconds since the epoch.
    pub now_us: i64,
}

/// Where a page stands in the rail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// `/`
    #[default]
    Dashboard,
    /// `/logs`
    Logs,
    /// `/configs`
    Configs,
    /// `/scripts`, `/runs` and `/schedules`
    Scripts,
    /// `/deploy`, `/apps/…` and `/deployments/…`
    Deploy,
    /// `/hosts`
    Hosts,
    /// `/audit`
    Audit,
    /// `/settings`
    Settings,
    /// None of them: an error page.
    Nowhere,
}

/// One entry of the rail.
#[derive(Clone, Copy, Debug)]
pub struct RailEntry {
    /// Which page it is.
    pub place: Place,
    /// Where it leads.
    pub href: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// Its icon, of `frontend/icons.mjs`.
    pub icon: &'static str,
    /// The key after `g` that goes there.
    pub key: &'static str,
}

/// The pages there are, in order.
pub fn rail() -> [RailEntry; 8] {
    let entry = |place, href, name, icon, key| RailEntry { place, href, name, icon, key };
    [
        entry(Place::Dashboard, "/", "Dashboard", "dashboard", "d"),
        entry(Place::Logs, "/logs", "Logs", "logs", "l"),
        entry(Place::Configs, "/configs", "Configs", "configs", "c"),
        entry(Place::Scripts, "/scripts", "Scripts", "scripts", "r"),
        entry(Place::Deploy, "/deploy", "Deploy", "deploy", "p"),
        entry(Place::Hosts, "/hosts", "Hosts", "hosts", "h"),
        entry(Place::Audit, "/audit", "Audit", "audit", "a"),
        entry(Place::Settings, "/settings", "Settings", "settings", "s"),
    ]
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Something to know.
    #[default]
    Info,
    /// It was done.
    Good,
    /// It was not done, or is about to go wrong.
    Warn,
    /// It failed.
    Bad,
}

impl Tone {
    /// Class and icon name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A message on top of a page: the result of a form sent without scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// How it is meant.
    pub tone: Tone,
    /// What happened.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// Something that the palette (Ctrl-K) reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaletteEntry {
    /// A place.
    Go {
        /// `app`, `host`, `script` or `page`.
        kind: String,
        /// What is searched and shown.
        name: String,
        /// Where it is.
        href: String,
    },
    /// An action on an app.
    Act {
        /// `restart cigar`.
        name: String,
        /// Where the form is sent.
        action: String,
        /// What is asked first; empty: done at once.
        confirm: String,
    },
}

impl PaletteEntry {
    /// The places that every user has.
    pub fn places() -> Vec<Self> {
        let go = |entry: RailEntry| Self::Go {
            kind: "page".into(),
            name: entry.name.into(),
            href: entry.href.into(),
        };
        let more = [
            ("Runs", "/runs"),
            ("Schedules", "/schedules"),
            ("New API token", "/settings/tokens/new"),
            ("API", "/settings/api"),
        ];
        let more =
            more.map(|(name, href)| Self::Go { kind: "page".into(), name: name.into(), href: href.into() });
        rail().into_iter().map(go).chain(more).collect()
    }

    /// The places that admins have.
    pub fn admin_places() -> Vec<Self> {
        let places = [("Users", "/settings/users"), ("Invite somebody", "/settings/invite")];
        places
            .map(|(name, href)| Self::Go { kind: "page".into(), name: name.into(), href: href.into() })
            .into()
    }

    /// What the palette offers for one script.
    pub fn script(name: &str, title: &str) -> Self {
        Self::Go {
            kind: "script".into(),
            name: format!("{title} ({name})"),
            href: format!("/scripts/{}", crate::text::encode(name)),
        }
    }

    /// What the palette offers for one app on `host`.
    pub fn app(key: &str, host: &str, role: Role) -> Vec<Self> {
        let slug = crate::text::encode(key);
        let go = |name: String, href: String| Self::Go { kind: "app".into(), name, href };
        let page = |word: &str| go(format!("{key} {word}"), format!("/apps/{slug}/{word}"));
        let mut entries = vec![
            go(key.to_owned(), format!("/apps/{slug}")),
            go(format!("{key} logs"), format!("/logs?source=app:{slug}&follow=1")),
        ];
        entries.extend(["settings", "secrets", "plan"].map(page));
        if role.operates() {
            entries.push(go(format!("roll back {key}"), format!("/apps/{slug}/rollback")));
            entries.push(Self::Act {
                name: format!("deploy {key}"),
                action: format!("/apps/{slug}/deploy"),
                confirm: format!("A new release is made on {host}, and goes live when it is well."),
            });
            for verb in ["restart", "start", "stop"] {
                let confirm = match verb {
                    "stop" => {
                        format!("Stop {key} on {host}? Its users get errors until it is started again.")
                    }
                    _ => String::new(),
                };
                entries.push(Self::Act {
                    name: format!("{verb} {key}"),
                    action: format!("/apps/{slug}/{verb}"),
                    confirm,
                });
            }
        }
        entries
    }

    /// What the palette offers for one nginx file of a host: `cigar config`.
    pub fn config(host: &str, path: &str) -> Self {
        let name = path.strip_prefix("sites-available/").unwrap_or(path);
        Self::Go {
            kind: "config".into(),
            name: format!("{name} on {host}"),
            href: crate::parts::config_href(host, path),
        }
    }

    /// What the palette offers for one host.
    pub fn host(name: &str) -> Self {
        Self::Go {
            kind: "host".into(),
            name: format!("{name} logs"),
            href: format!("/logs?source=host:{}&follow=1", crate::text::encode(name)),
        }
    }
}

/// What surrounds a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// For whom and when.
    pub view: View,
    /// Which page it is.
    pub place: Place,
    /// Name of the page, for the tab and the top bar.
    pub title: String,
    /// Who is logged in.
    pub username: String,
    /// The stream of this page, such as `/events?view=dashboard`; empty when nothing on it moves.
    pub events: String,
    /// What the palette reaches.
    pub palette: Vec<PaletteEntry>,
    /// Result of what was just done, when it was done without scripts.
    pub notice: Option<Notice>,
    /// Since when the shown data is old because the database is down, in microseconds since the epoch.
    pub stale_since_us: Option<i64>,
}

impl Frame {
    /// The rail.
    pub fn rail(&self) -> [RailEntry; 8] {
        rail()
    }

    /// Whether this is the entry of the page that is shown.
    pub fn is_at(&self, place: &Place) -> bool {
        self.place == *place
    }

    /// The frame of the samples: an admin on a quiet evening.
    pub fn sample(place: Place, title: &str) -> Self {
        let mut palette = PaletteEntry::places();
        palette.extend(PaletteEntry::admin_places());
        for (key, host) in [("cigar", "asterra"), ("tobacco", "borealis")] {
            palette.extend(PaletteEntry::app(key, host, Role::Admin));
        }
        palette.extend(["asterra", "borealis"].map(PaletteEntry::host));
        palette.push(PaletteEntry::script("parse_logs", "Parse logs for errors"));
        palette.push(PaletteEntry::config("asterra", "sites-available/cigar"));
        Self {
            view: View { role: Role::Admin, now_us: SAMPLE_NOW_US },
            place,
            title: title.to_owned(),
            username: "henrik".to_owned(),
            palette,
            ..Self::default()
        }
    }
}

/// The now of the samples: 2026-11-24 18:40:00 UTC.
pub const SAMPLE_NOW_US: i64 = 1_795_545_600_000_000;
