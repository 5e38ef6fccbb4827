//! What the arguments of directives must not say: files out of their place, targets that are the host itself, numbers
//! out of proportion. Values are compared as nginx sees them, after quotes and escapes.

use super::{
    paths::{self, Standing, is_in},
    tree::Directive,
    upstream::{self, Verdict},
    uris,
};

/// Something that is wrong with a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// In words.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: &'static str,
    /// The name under which it can be accepted; empty: never.
    pub(crate) accept: String,
    /// It is odd, and does no harm.
    pub(crate) warning: bool,
}

impl Finding {
    pub(super) fn never(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), hint, accept: String::new(), warning: false }
    }

    pub(super) fn named(accept: String, message: impl Into<String>) -> Self {
        let hint = "If it is meant, accept it by this name.";
        Self { message: message.into(), hint, accept, warning: false }
    }

    fn warning(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), hint, accept: String::new(), warning: true }
    }
}

const ROOTS: [&str; 12] = [
    "/srv",
    "/var/www",
    "/usr/share",
    "/usr/local/share",
    "/usr/local/www",
    "/opt",
    "/var/lib",
    "/var/opt",
    "/home",
    "/data",
    "/mnt",
    "/var/cache/nginx",
];
/// Of these, only a folder in it: everybody keeps something there.
const SHARED: [&str; 4] = ["/home", "/var/lib", "/var/opt", "/usr/share"];
const LOGS: [&str; 1] = ["/var/log/nginx"];
const KEYS: [&str; 6] =
    ["/etc/letsencrypt", "/etc/ssl", "/etc/nginx", "/etc/pki", "/var/lib/acme", "/usr/share/ca-certificates"];
const CACHES: [&str; 7] = ["/var/cache", "/var/lib/nginx", "/var/tmp", "/tmp", "/dev/shm", "/srv", "/data"];
const PIDS: [&str; 2] = ["/run", "/var/run"];
const DATA: [&str; 5] = ["/etc/nginx", "/usr/share", "/usr/local/share", "/var/lib", "/opt"];
/// Whom nginx's workers may run as.
const USERS: [&str; 5] = ["www-data", "nginx", "http", "nobody", "www"];

/// Directives whose first argument is a file with a key, a certificate or the like.
const KEY_FILES: [&str; 22] = [
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_client_certificate",
    "ssl_crl",
    "ssl_dhparam",
    "ssl_password_file",
    "ssl_session_ticket_key",
    "ssl_stapling_file",
    "ssl_trusted_certificate",
    "quic_host_key",
    "proxy_ssl_certificate",
    "proxy_ssl_certificate_key",
    "proxy_ssl_crl",
    "proxy_ssl_password_file",
    "proxy_ssl_trusted_certificate",
    "grpc_ssl_certificate",
    "grpc_ssl_certificate_key",
    "grpc_ssl_trusted_certificate",
    "uwsgi_ssl_certificate",
    "uwsgi_ssl_certificate_key",
    "uwsgi_ssl_trusted_certificate",
    "auth_basic_user_file",
];

/// Looks at the arguments of a directive. `around` are the blocks that it stands in, the innermost last.
pub(crate) fn check(directive: &Directive, around: &[&Directive]) -> Vec<Finding> {
    let (name, first) = (directive.name.value.as_str(), directive.arg(0));
    let mut found = Vec::new();
    let mut add = |finding: Option<Finding>| found.extend(finding);
    if directive.args.iter().any(|w| w.value.contains('\0')) {
        add(Some(Finding::never(format!("an argument of `{name}` has a NUL in it"), "Remove it.")));
    } else if is_one_line(name) && directive.args.iter().any(|w| w.raw.contains('\n')) {
        add(Some(Finding::warning(
            format!("an argument of `{name}` goes on over a line break"),
            "A quote may be missing.",
        )));
    }
    match name {
        "root" | "alias" => {
            add(root(directive, around));
            add(slash(directive, around));
        }
        "error_log" | "access_log" => add(log(name, first)),
        "load_module" => add(module(first)),
        "user" => add(user(directive)),
        "pid" | "lock_file" => add(own_pid(name, first)),
        "try_files" | "index" | "rewrite" | "error_page" | "auth_request" | "mirror" | "add_before_body"
        | "add_after_body" => {
            uris::check(directive).into_iter().for_each(|finding| add(Some(finding)));
            directive.args.iter().filter(|_| name == "rewrite").for_each(|w| add(pattern(name, &w.value)));
        }
        "worker_processes" => add(number(name, first, 512)),
        "worker_connections" => add(number(name, first, 1_048_576)),
        "worker_rlimit_nofile" => add(number(name, first, 1_048_576)),
        "thread_pool" => directive.args.iter().for_each(|w| add(threads(&w.value))),
        "proxy_cache_path" | "fastcgi_cache_path" | "uwsgi_cache_path" | "scgi_cache_path" => {
            add(cache(name, first));
            let rest = directive.args.iter().skip(1);
            rest.filter_map(|w| w.value.strip_prefix("temp_path=")).for_each(|path| add(cache(name, path)));
        }
        "client_body_temp_path"
        | "proxy_temp_path"
        | "fastcgi_temp_path"
        | "uwsgi_temp_path"
        | "scgi_temp_path" => {
            add(cache(name, first));
        }
        "geoip_country" | "geoip_city" | "geoip_org" | "geoip2" => add(file(name, first, &DATA, paths::ROOT)),
        "proxy_pass" | "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "grpc_pass" | "memcached_pass" => {
            add(target(name, first))
        }
        "server" if !directive.args.is_empty() => add(target("server", first)),
        "ssl_ocsp_responder" | "ssl_stapling_responder" => add(target(name, first)),
        "listen" => add(listen(first)),
        "fastcgi_param" => {
            add(php(directive));
            add(script(directive));
        }
        "uwsgi_param" | "uwsgi_modifier1" => add(uwsgi(directive)),
        "ssl_conf_command" | "proxy_ssl_conf_command" => add(command(name, first)),
        "location" | "server_name" | "if" | "map" => {
            directive.args.iter().for_each(|w| add(pattern(name, &w.value)))
        }
        _ if KEY_FILES.contains(&name) => add(key(name, first)),
        _ => {}
    }
    found
}

/// Directives whose values nobody writes over several lines.
fn is_one_line(name: &str) -> bool {
    matches!(
        name,
        "root"
            | "alias"
            | "listen"
            | "server_name"
            | "index"
            | "try_files"
            | "location"
            | "error_log"
            | "access_log"
    ) || name.ends_with("_pass")
        || KEY_FILES.contains(&name)
}

/// The folder that files are served from.
fn root(directive: &Directive, around: &[&Directive]) -> Option<Finding> {
    let (name, path) = (directive.name.value.as_str(), directive.arg(0));
    let whole =
        if path.starts_with(['/', '$']) { path.to_owned() } else { format!("/usr/share/nginx/{path}") };
    let variable =
        |why: &str| Some(Finding::named(format!("{name}:variable"), format!("the path of `{name}` {why}")));
    match paths::judge(&whole, &ROOTS) {
        _ if path.starts_with('$') => variable("begins with a variable"),
        Standing::Good if whole.contains('$') && !is_plain_variable(&whole, around) => {
            variable("depends on what a client sends")
        }
        Standing::Good if !SHARED.contains(&paths::clean(&whole).as_str()) => None,
        Standing::Never => {
            let hint = "Files are served from /srv, /var/www, /home and the like.";
            Some(Finding::never(format!("`{name}` must not lead there"), hint))
        }
        _ => Some(outside(name)),
    }
}

fn outside(name: &str) -> Finding {
    Finding::named(format!("{name}:outside"), format!("`{name}` names a place that is not an ordinary one"))
}

fn file(name: &str, path: &str, places: &[&str], relative_to: &str) -> Option<Finding> {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{relative_to}/{path}") };
    if path.contains('$') {
        return Some(Finding::named(
            format!("{name}:variable"),
            format!("the path of `{name}` depends on a variable"),
        ));
    }
    match paths::judge(&whole, places) {
        Standing::Good => None,
        Standing::Unusual => Some(outside(name)),
        Standing::Never => Some(Finding::never(format!("`{name}` must not lead there"), "")),
    }
}

/// nginx makes these folders as root and gives them to its workers: they must be its own.
fn cache(name: &str, path: &str) -> Option<Finding> {
    let clean = paths::clean(path);
    let own = match clean.strip_prefix("/var/cache/") {
        Some(rest) => rest.starts_with("nginx"),
        None => {
            is_in(&clean, "/var/lib/nginx")
                || ["nginx", "cache", "/tmp/", "temp"].iter().any(|w| last_parts(&clean).contains(w))
        }
    };
    match paths::judge(path, &CACHES) {
        Standing::Good if own && !path.contains('$') => None,
        Standing::Never => Some(Finding::never(
            format!("`{name}` must not lead there"),
            "Caches are kept below /var/cache/nginx.",
        )),
        _ => Some(outside(name)),
    }
}

/// What follows the top folder: `/nginx/x` of `/srv/nginx/x`.
fn last_parts(clean: &str) -> &str {
    let top = CACHES.iter().filter(|place| is_in(clean, place)).map(|place| place.len()).max().unwrap_or(0);
    &clean[top..]
}

/// nginx writes its number into this file as root, and removes the file of before.
fn own_pid(name: &str, path: &str) -> Option<Finding> {
    let clean = paths::clean(path);
    let file = PIDS.iter().find_map(|place| clean.strip_prefix(place)?.strip_prefix('/'));
    let own = file
        .is_some_and(|file| file.starts_with("nginx") && (file.ends_with(".pid") || file.ends_with(".lock")));
    match paths::judge(path, &PIDS) {
        Standing::Good if own => None,
        Standing::Never => Some(Finding::never(
            format!("`{name}` must not lead there"),
            "Leave it out, or use /run/nginx.pid.",
        )),
        _ => Some(outside(name)),
    }
}

/// Variables that hold no slash: those that nginx has checked, and parts of a host name.
fn is_plain_variable(path: &str, around: &[&Directive]) -> bool {
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        let name: String = rest[at + 1..]
            .trim_start_matches('{')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let safe = matches!(name.as_str(), "host" | "server_name" | "server_port" | "scheme")
            || uris::is_of_host_name(&name, around);
        if !safe {
            return false;
        }
        rest = &rest[at + 1..];
    }
    true
}

/// `location /img { alias /srv/img/; }` serves `/img../secret`, too.
fn slash(directive: &Directive, around: &[&Directive]) -> Option<Finding> {
    let location = around.last().filter(|d| d.name.value == "location" && directive.name.value == "alias")?;
    let prefix = match location.args.as_slice() {
        [prefix] => &prefix.value,
        [modifier, prefix] if modifier.value == "^~" => &prefix.value,
        _ => return None,
    };
    let open = directive.arg(0).ends_with('/') && !prefix.ends_with('/');
    open.then(|| {
        Finding::warning(
            format!("`location {prefix}` has no slash at its end and its alias has: `{prefix}../` leads out of the folder"),
            "Write the location with a slash at its end.",
        )
    })
}

fn log(name: &str, value: &str) -> Option<Finding> {
    if matches!(value, "off" | "stderr" | "/dev/null" | "/dev/stdout" | "/dev/stderr") {
        return None;
    }
    if value.starts_with("syslog:") {
        return Some(Finding::named(
            format!("{name}:syslog"),
            "the log goes to another program, maybe on another host",
        ));
    }
    if value.contains('$') || value.starts_with("memory:") || value.contains('|') {
        return Some(
            Finding::named(format!("{name}:variable"), format!("where `{name}` writes to is not fixed"))
                .filter_path(value),
        );
    }
    match paths::judge(value, &LOGS) {
        Standing::Good => None,
        _ if is_in(value, "/var/log") && paths::judge(value, &["/var/log"]) == Standing::Good => Some(
            Finding::named(format!("{name}:outside"), format!("`{name}` writes outside of /var/log/nginx")),
        ),
        _ => Some(Finding::never(
            format!("`{name}` must write below /var/log/nginx"),
            "Or say `off`, where the log is not wanted.",
        )),
    }
}

impl Finding {
    /// A variable does not make a path outside of the log folder acceptable.
    fn filter_path(self, value: &str) -> Self {
        let inside = value.split('$').next().is_some_and(|fixed| {
            is_in(fixed.trim_end_matches('/'), "/var/log/nginx") || fixed.starts_with("/var/log/nginx/")
        });
        if inside && !value.contains("..") && !value.contains('|') {
            return self;
        }
        Self::never(
            "a log must go to a file below /var/log/nginx",
            "Or say `off`, where the log is not wanted.",
        )
    }
}

fn module(path: &str) -> Option<Finding> {
    let name = ["modules/", "/usr/lib/nginx/modules/", "/usr/lib64/nginx/modules/", "/etc/nginx/modules/"]
        .iter()
        .find_map(|place| path.strip_prefix(place));
    let plain = |name: &str| {
        name.strip_suffix(".so")
            .is_some_and(|stem| stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
    };
    match name {
        // The folder of the configuration is no place for programs.
        Some(name) if plain(name) && !path.starts_with("/etc") => None,
        _ => Some(Finding::never(
            "a module is loaded only from nginx's own folder",
            "Install the module's package: it goes to /usr/lib/nginx/modules.",
        )),
    }
}

fn user(directive: &Directive) -> Option<Finding> {
    let odd = directive.args.iter().find(|w| !USERS.contains(&w.value.as_str()))?;
    if odd.value == "root" || odd.value == "0" || odd.value.contains('$') {
        return Some(Finding::never("nginx's workers must not run as root", "Use www-data."));
    }
    Some(Finding::named("user".to_owned(), "nginx's workers would run as another user than usual"))
}

fn number(name: &str, value: &str, most: u64) -> Option<Finding> {
    if value == "auto" || value.parse::<u64>().is_ok_and(|n| n <= most) {
        return None;
    }
    Some(Finding::never(format!("`{name}` must be a number up to {most}"), ""))
}

fn threads(value: &str) -> Option<Finding> {
    value.strip_prefix("threads=").and_then(|n| number("threads", n, 512))
}

fn target(name: &str, value: &str) -> Option<Finding> {
    match upstream::judge(value) {
        Verdict::Good => None,
        Verdict::Named(kind, why) => Some(Finding::named(format!("{name}:{kind}"), why)),
        Verdict::Never(why) => Some(Finding::never(why, "Pass requests to the app's own port or socket.")),
    }
}

fn listen(value: &str) -> Option<Finding> {
    let path = value.strip_prefix("unix:")?;
    match paths::judge(path, &["/run", "/srv", "/tmp", "/var/lib/nginx"]) {
        Standing::Good => None,
        _ => Some(Finding::never("nginx must not make its socket there", "Use a path below /run.")),
    }
}

/// Parameters with which PHP can be made to run other files than those that were asked for.
fn php(directive: &Directive) -> Option<Finding> {
    let is_setting = matches!(
        directive.arg(0).to_ascii_uppercase().as_str(),
        "PHP_VALUE" | "PHP_ADMIN_VALUE" | "PHP_FLAG" | "PHP_ADMIN_FLAG"
    );
    let value = directive.arg(1).to_ascii_lowercase();
    let runs = [
        "prepend",
        "append_file",
        "extension",
        "allow_url",
        "disable_functions",
        "open_basedir",
        "sendmail_path",
        "$",
    ];
    (is_setting && runs.iter().any(|word| value.contains(word))).then(|| {
        Finding::named(
            "fastcgi_param:PHP_VALUE".to_owned(),
            "this setting makes PHP run, or load, other files",
        )
    })
}

/// Which file PHP runs is not for the client to say.
fn script(directive: &Directive) -> Option<Finding> {
    let names_file =
        matches!(directive.arg(0).to_ascii_uppercase().as_str(), "SCRIPT_FILENAME" | "DOCUMENT_ROOT");
    (names_file && uris::is_of_client(directive.arg(1))).then(|| {
        Finding::named(
            "fastcgi_param:SCRIPT_FILENAME".to_owned(),
            "a client would choose the file that is run",
        )
    })
}

/// Parameters and modes with which uWSGI loads other apps, or runs what it is sent.
fn uwsgi(directive: &Directive) -> Option<Finding> {
    let first = directive.arg(0).to_ascii_uppercase();
    let runs = match directive.name.value.as_str() {
        "uwsgi_modifier1" => !matches!(first.as_str(), "0" | "5" | "6" | "7" | "9" | "14"),
        _ => first.starts_with("UWSGI_") && first != "UWSGI_SCHEME",
    };
    let accept = if first.starts_with("UWSGI_") { "uwsgi_param:UWSGI" } else { "uwsgi_modifier1" };
    runs.then(|| Finding::named(accept.to_owned(), "this makes uWSGI load, or run, something else"))
}

/// Commands of SSL_CONF_cmd(3) that only tune TLS.
fn command(name: &str, value: &str) -> Option<Finding> {
    let tunes = [
        "Ciphersuites",
        "CipherString",
        "Options",
        "Curves",
        "Groups",
        "SignatureAlgorithms",
        "MinProtocol",
        "MaxProtocol",
        "ClientSignatureAlgorithms",
        "NumTickets",
        "RecordPadding",
    ];
    (!tunes.contains(&value)).then(|| {
        Finding::never(
            format!("`{name} {}` may name files", super::tree::shown(value)),
            "Use nginx's own directives for files.",
        )
    })
}

fn key(name: &str, value: &str) -> Option<Finding> {
    if name == "auth_basic_user_file" && value == "off" {
        return None;
    }
    if value.starts_with("engine:") || value.starts_with("store:") {
        return Some(Finding::never(format!("`{name}` must be a file"), ""));
    }
    if value.starts_with("data:") || value.contains('$') {
        return Some(Finding::named(format!("{name}:variable"), format!("`{name}` depends on a variable")));
    }
    let whole = if value.starts_with('/') { value.to_owned() } else { format!("{}/{value}", paths::ROOT) };
    // The one hidden file that everybody has.
    let whole = if name == "auth_basic_user_file" { whole.replace("/.htpasswd", "/htpasswd") } else { whole };
    match paths::judge(&whole, &KEYS) {
        Standing::Good => None,
        Standing::Unusual => Some(Finding::named(
            format!("{name}:outside"),
            format!("`{name}` names a file in an unusual place"),
        )),
        Standing::Never
            if is_in(&whole, "/etc")
                && whole.contains("/ssl/")
                && paths::judge(&whole, &["/etc"]) == Standing::Good =>
        {
            Some(Finding::named(
                format!("{name}:outside"),
                format!("`{name}` names a file in an unusual place"),
            ))
        }
        Standing::Never => Some(Finding::never(
            format!("`{name}` must not name that file"),
            "Use /etc/letsencrypt, /etc/ssl or /etc/nginx.",
        )),
    }
}

/// Security case 59: patterns that may take for ever.
fn pattern(name: &str, value: &str) -> Option<Finding> {
    if value.len() > 4096 {
        return Some(Finding::never(format!("an argument of `{name}` is longer than 4,096 characters"), ""));
    }
    let nested = [")+)+", ")*)*", ")+)*", ")*)+", "+)+", "*)*", "+)*", "*)+"];
    let is_pattern = value.contains(['^', '$', '\\', '+', '*']) && value.contains('(');
    (is_pattern && nested.iter().any(|n| value.contains(n)) && value.len() < 4096 && bombs(value))
        .then(|| Finding::warning(format!("a pattern of `{name}` repeats what already repeats: some texts may keep nginx busy for long"), "Write it without the inner repetition."))
}

/// Whether a group that consists of one repeated piece is repeated itself, as in `(a+)+`.
fn bombs(value: &str) -> bool {
    value.match_indices(['+', '*']).any(|(at, _)| {
        let Some(before) = value[..at].strip_suffix(')') else { return false };
        let Some(open) = before.rfind('(') else { return false };
        let group = &before[open + 1..];
        group.ends_with(['+', '*']) && !group.contains(['/', '-'])
    })
}
