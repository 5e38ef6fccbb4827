//! The fields of an app's settings: what they are called, what they do, and what is taken when they are left empty.

/// How a field is put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    #[default]
    Text,
    /// One line of something technical.
    Mono,
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Yes or no.
    Check,
    /// One of these: value and label.
    Choice(&'static [(&'static str, &'static str)]),
    /// One of the hosts.
    Host,
    /// One thing a line.
    Lines,
    /// A whole file.
    File,
}

/// One field.
pub(super) struct FieldDef {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) placeholder: &'static str,
    /// Cannot be changed once the app is there.
    pub(super) only_new: bool,
}

/// Fields that belong together.
pub(super) struct GroupDef {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) help: &'static str,
    pub(super) folded: bool,
    pub(super) fields: &'static [FieldDef],
}

const fn field(name: &'static str, label: &'static str, help: &'static str, kind: Kind) -> FieldDef {
    FieldDef { name, label, help, kind, placeholder: "", only_new: false }
}

impl FieldDef {
    const fn or(self, placeholder: &'static str) -> Self {
        Self { placeholder, ..self }
    }

    const fn only_new(self) -> Self {
        Self { only_new: true, ..self }
    }
}

const fn number(min: u64, max: u64) -> Kind {
    Kind::Number { min, max }
}

pub(super) const GROUPS: &[GroupDef] = &[
    GroupDef {
        id: "app",
        title: "App",
        help: "",
        folded: false,
        fields: &[
            field("key", "Key", "Lower-case letters, digits and dashes. It names the unit, the user and the folder, and stays.", Kind::Mono).only_new(),
            field("host", "Host", "Where it runs.", Kind::Host).only_new(),
            field("name", "Name", "What people call it.", Kind::Text).or("the key with a capital"),
            field("subdomain", "Subdomain", "Together with the domain: the name that its site answers to.", Kind::Mono).or("the key"),
            field("domain", "Domain", "Empty: the domain of this installation.", Kind::Mono).or("that of the installation"),
            field("enabled", "Deployments are allowed", "Turned off, every deployment is refused; what runs goes on.", Kind::Check),
        ],
    },
    GroupDef {
        id: "code",
        title: "Code",
        help: "",
        folded: false,
        fields: &[
            field("git_url", "Repository", "https://…, ssh://…, git@host:path, or file:///srv/git/… on the host.", Kind::Mono).or("git@example.org:team/app.git"),
            field("branch", "Branch", "What is deployed unless another is asked for.", Kind::Mono).or("main"),
            field("git_known_hosts", "Keys of the git server", "For ssh: lines of known_hosts. The server is known by these only; ssh-keyscan shows them, compare before you trust them.", Kind::Lines),
            field("local_code_path", "Folder on your laptop", "HMS only remembers it.", Kind::Mono),
        ],
    },
    GroupDef {
        id: "build",
        title: "Build",
        help: "What is done for each new release before it goes live.",
        folded: false,
        fields: &[
            field("gems", "Gems", "Where they come from.", Kind::Choice(&[("rubygems", "the sources of the Gemfile"), ("system", "packages of the host, nothing is downloaded")])),
            field("ruby_path", "Folder of ruby", "With ruby and bundle.", Kind::Mono).or("/usr/bin"),
            field("rails_env", "Rails environment", "", Kind::Mono).or("production"),
            field("asset_tasks", "Asset tasks", "Tasks of rake, one a line: assets:precompile.", Kind::Lines),
            field("release_tasks", "Release tasks", "Tasks of rake, one a line, run once before it goes live: db:migrate. They are not undone by a rollback.", Kind::Lines),
            field("shared_paths", "Kept between releases", "Paths in the release, one a line: storage, tmp/pids, public/uploads. log always is.", Kind::Lines),
        ],
    },
    GroupDef {
        id: "process",
        title: "Process",
        help: "How puma runs, and when it counts as well.",
        folded: false,
        fields: &[
            field("workers", "Workers", "Processes of puma. 0: one, without a master, so without phased restarts.", number(0, 64)).or("0"),
            field("threads_min", "Threads, least", "", number(0, 128)).or("5"),
            field("threads_max", "Threads, most", "", number(0, 128)).or("5"),
            field("preload", "Load the app before forking", "Saves memory, and excludes phased restarts.", Kind::Check),
            field("port", "Port on 127.0.0.1", "0: it is reached through its unix socket only.", number(0, 65_535)).or("0"),
            field("memory_max_mib", "Most memory, MiB", "The app is killed above it and started again. 0: no limit.", number(0, 1 << 22)).or("0"),
            field("health_path", "Health path", "Answers 200 when the app is well.", Kind::Mono).or("/up"),
            field("health_timeout_s", "Seconds to get well", "", number(0, 600)).or("60"),
        ],
    },
    GroupDef {
        id: "database",
        title: "Database",
        help: "Made on this host's PostgreSQL with the first deployment. Left empty, HMS makes none.",
        folded: false,
        fields: &[
            field("database_name", "Database", "", Kind::Mono),
            field("database_auth", "Login", "How the app proves who it is.", Kind::Choice(&[("peer", "by its system user; no password exists"), ("scram", "with DATABASE_PASSWORD")])),
            field("database_user", "Role", "With a password only; else it is the system user of the app.", Kind::Mono),
        ],
    },
    GroupDef {
        id: "environment",
        title: "Environment",
        help: "",
        folded: false,
        fields: &[
            field("environment", "Variables", "NAME=value, one a line. For what is no secret: these are readable on the host.", Kind::Lines),
            field("secret_delivery", "Secrets reach the app", "", Kind::Choice(&[("credential", "as a credential of systemd, encrypted on the disk"), ("environment", "as Environment= on tmpfs, which local users can read through systemd")])),
        ],
    },
    GroupDef {
        id: "releases",
        title: "Releases and site",
        help: "",
        folded: true,
        fields: &[
            field("root", "Folder", "Holds releases, shared files and the link to the live one. Below /srv, /var/www, /opt or /home.", Kind::Mono).or("/srv/KEY"),
            field("keep_releases", "Releases kept", "", number(0, 50)).or("5"),
            field("timeout_s", "Seconds a deployment may take", "", number(0, 14_400)).or("1800"),
            field("cert_path", "Certificate", "The site answers over TLS when certificate and key are given.", Kind::Mono),
            field("key_path", "Key of the certificate", "", Kind::Mono),
        ],
    },
    GroupDef {
        id: "backups",
        title: "Backups",
        help: "",
        folded: true,
        fields: &[
            field("backup_enabled", "Back up this app", "", Kind::Check),
            field("backup_schedule", "When, in UTC", "Minute, hour, day, month, day of the week.", Kind::Mono).or("0 2 * * *"),
            field("backup_retention_days", "Days they are kept", "", number(0, 3_650)).or("30"),
        ],
    },
    GroupDef {
        id: "files",
        title: "Own texts of files",
        help: "Each takes the place of what HMS would write. Empty: what HMS writes.",
        folded: true,
        fields: &[
            field("overrides.service", "Service", "/etc/systemd/system/puma-KEY.service", Kind::File),
            field("overrides.socket", "Socket", "/etc/systemd/system/puma-KEY.socket", Kind::File),
            field("overrides.puma", "puma.rb", "shared/config/puma.rb", Kind::File),
            field("overrides.site", "nginx site", "/etc/nginx/sites-available/KEY", Kind::File),
            field("overrides.logrotate", "logrotate", "/etc/logrotate.d/hms-KEY", Kind::File),
        ],
    },
];
