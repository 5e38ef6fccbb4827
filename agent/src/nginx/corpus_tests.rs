//! Ordinary configurations pass lint without a word, and hostile ones do not pass in any disguise.

use super::{
    folder::{Entry, Folder},
    lint::lint,
};

/// The base configuration of Debian, which all sites stand in.
const MAIN: &str = "user www-data;\nworker_processes auto;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\n\
    include /etc/nginx/modules-enabled/*.conf;\nevents { worker_connections 768; }\nhttp {\n sendfile on;\n tcp_nopush on;\n \
    types_hash_max_size 2048;\n include /etc/nginx/mime.types;\n default_type application/octet-stream;\n \
    ssl_protocols TLSv1.2 TLSv1.3;\n ssl_prefer_server_ciphers on;\n access_log /var/log/nginx/access.log;\n gzip on;\n \
    include /etc/nginx/conf.d/*.conf;\n include /etc/nginx/sites-enabled/*;\n}\n";

fn tree(main: &str, site: &str) -> Folder {
    let mut folder = Folder::default();
    let mut add = |path: &str, entry: Entry| drop(folder.entries.insert(path.to_owned(), entry));
    add("nginx.conf", Entry::file(main));
    add("mime.types", Entry::file("types { text/html html; }"));
    add("fastcgi_params", Entry::file("fastcgi_param QUERY_STRING $query_string;"));
    add(
        "modules-enabled/50-mod-http-echo.conf",
        Entry::link("/usr/share/nginx/modules-available/mod-http-echo.conf"),
    );
    add("sites-available/x", Entry::file(site));
    add("sites-enabled/x", Entry::link("../sites-available/x"));
    folder
}

fn errors(folder: &Folder) -> Vec<String> {
    let problems = lint(folder).problems.into_iter().filter(|p| p.severity == "error");
    problems.map(|p| format!("{}:{} {} [{}]", p.path, p.line, p.message, p.directive)).collect()
}

#[test]
fn ordinary_configurations_pass() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/nginx");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let folder = if text.starts_with("# main") { tree(&text, "") } else { tree(MAIN, &text) };
        let problems = lint(&folder).problems;
        assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
        count += 1;
    }
    assert!(count >= 40, "{count}");
}

/// Directives for the top level. Security case 51.
const TOP: &[&str] = &[
    "load_module /tmp/evil.so",
    "load_module modules/../../../tmp/evil.so",
    "load_module /etc/nginx/modules/evil.so",
    "user root",
    "env LD_PRELOAD=/tmp/x.so",
    "working_directory /tmp",
    "daemon off",
    "master_process off",
    "worker_rlimit_core 500m",
    "ssl_engine evil",
    "google_perftools_profiles /etc/x",
    "pid /etc/cron.d/x",
    "lock_file /etc/x",
    "debug_points abort",
    "quic_bpf on",
    "worker_processes 10000",
    "error_log /root/.ssh/authorized_keys",
    "error_log /var/log/nginx/../../../etc/x",
    "js_import /tmp/x.js",
    "perl_modules /tmp",
];

/// Directives for a location. Security cases 51 to 58.
const INNER: &[&str] = &[
    "root /",
    "root /etc",
    "root /root",
    "root /srv/../etc",
    "alias /proc/self/root/",
    "alias /var/lib/hms-agent/",
    "access_log /etc/cron.d/x",
    "access_log /var/log/nginx/$http_x",
    "access_log syslog:server=10.0.0.1",
    "error_log /srv/www/x.php",
    "proxy_pass http://169.254.169.254/latest/meta-data/",
    "proxy_pass http://2852039166/",
    "proxy_pass http://[::ffff:169.254.169.254]/",
    "proxy_pass http://metadata.google.internal/",
    "proxy_pass https://127.0.0.1:9444",
    "proxy_pass https://localhost:9443",
    "proxy_pass http://unix:/run/docker.sock",
    "proxy_pass http://unix:/run/systemd/private",
    "proxy_pass http://$http_target",
    "fastcgi_pass unix:/run/dbus/system_bus_socket",
    "content_by_lua_file /tmp/x.lua",
    "set_by_lua $x 'return os.execute()'",
    "perl Evil::handler",
    "js_content evil",
    "dav_methods PUT DELETE",
    "proxy_store /srv/www/x",
    "client_body_temp_path /etc/x",
    "auth_basic_user_file /etc/shadow",
    "include /etc/shadow",
    "include ../../etc/shadow",
    "include /root/*",
    "include /etc/nginx/../shadow",
    "image_filter resize 1 1",
    "xslt_stylesheet /etc/x",
    "postgres_pass x",
];

/// The same words, written so that a careless reader does not know them again. `HOST` is where they stand.
type Disguise = fn(&str, &str) -> String;
const DISGUISES: &[(&str, Disguise)] = &[
    ("plain", |name, args| format!("{name} {args};")),
    ("quoted name", |name, args| format!("\"{name}\" {args};")),
    ("single quotes", |name, args| format!("'{name}' {args};")),
    ("tabs and breaks", |name, args| format!("{name}\t\r\n\n  {args}\n;")),
    ("CRLF", |name, args| format!("\r\n{name} {args};\r\n")),
    ("after a comment", |name, args| format!("# harmless {{\n{name} {args};")),
    ("comment between", |name, args| format!("{name} # ;\n {args} # }}\n;")),
    ("same line", |name, args| format!("default_type text/plain;{name} {args};default_type text/html;")),
    ("no space before the end", |name, args| format!("{name} {args};;").replacen(";;", ";", 1)),
    ("behind a fake end", |name, args| format!("default_type \"text/plain;}}\";{name} {args};")),
    ("behind an escape", |name, args| format!("default_type a\\;b;{name} {args};")),
    ("behind a dollar brace", |name, args| format!("default_type ${{x}};{name} {args};")),
    ("upper case", |name, args| format!("{} {args};", name.to_uppercase())),
    ("escaped name", |name, args| format!("{}\\{} {args};", &name[..1], &name[1..])),
    ("quoted arguments", |name, args| {
        let args: Vec<String> = args
            .split(' ')
            .map(|a| if a.contains(['\'', '$']) { a.to_owned() } else { format!("\"{a}\"") })
            .collect();
        format!("{name} {};", args.join(" "))
    }),
];

fn disguised(line: &str) -> impl Iterator<Item = (&'static str, String)> {
    let (name, args) = line.split_once(' ').unwrap();
    DISGUISES.iter().map(move |(how, disguise)| (*how, disguise(name, args)))
}

#[test]
fn hostile_directives_are_refused_in_every_disguise() {
    assert!(DISGUISES.len() >= 12);
    for line in TOP {
        for (how, text) in disguised(line) {
            // `default_type` does not belong to the top level: take it out, so that only the line itself is refused.
            let main = MAIN.replacen(
                "user www-data;",
                &format!("pcre_jit on;\n{}", text.replace("default_type", "timer_resolution")),
                1,
            );
            assert!(!errors(&tree(&main, "")).is_empty(), "{how}: {text}");
        }
    }
    for line in INNER {
        for (how, text) in disguised(line) {
            let site = format!("server {{ listen 80; location / {{ {text}\n }} }}");
            assert!(!errors(&tree(MAIN, &site)).is_empty(), "{how}: {text}");
            let mut folder = tree(MAIN, "server { listen 80; location / { include snippets/x.conf; } }");
            folder.entries.insert("snippets/x.conf".into(), Entry::file(text.as_str()));
            assert!(!errors(&folder).is_empty(), "in an included file, {how}: {text}");
        }
    }
}

/// Without the hostile line, what the disguises put around it is fine; so it is the line that is refused.
#[test]
fn the_disguises_themselves_are_harmless() {
    for (how, text) in disguised("keepalive_timeout 10") {
        let found = errors(&tree(MAIN, &format!("server {{ listen 80; location / {{ {text}\n }} }}")));
        assert_eq!(found.is_empty(), !matches!(how, "upper case" | "escaped name"), "{how}: {found:?}");
    }
}

/// Security cases 54 and 59.
#[test]
fn includes_that_never_end_and_trees_without_measure_are_refused() {
    let site = "include snippets/a.conf;";
    let mut folder = tree(MAIN, site);
    folder.entries.insert("snippets/a.conf".into(), Entry::file("include snippets/b.conf;"));
    folder.entries.insert("snippets/b.conf".into(), Entry::file("include snippets/a.conf;"));
    assert!(errors(&folder).iter().any(|e| e.contains("includes itself")));
    let mut folder = tree(MAIN, "include snippets/0.conf;");
    for n in 0..12 {
        folder
            .entries
            .insert(format!("snippets/{n}.conf"), Entry::file(format!("include snippets/{}.conf;", n + 1)));
    }
    assert!(errors(&folder).iter().any(|e| e.contains("deeper than 8")));
    let mut folder = tree(MAIN, &"include snippets/many.conf;".repeat(200));
    folder.entries.insert("snippets/many.conf".into(), Entry::file("gzip on;".repeat(1000)));
    assert!(errors(&folder).iter().any(|e| e.contains("more than")));
    let servers = "server { listen 80; }".repeat(60_000);
    assert!(errors(&tree(MAIN, &servers)).iter().any(|e| e.contains("more than")));
}

#[test]
fn an_alias_that_leads_out_of_its_folder_is_warned_of() {
    let problems = lint(&tree(MAIN, "server { location /img { alias /srv/img/; } }")).problems;
    assert!(
        problems.iter().any(|p| p.severity == "warning" && p.message.contains("leads out of the folder")),
        "{problems:?}"
    );
    let problems = lint(&tree(MAIN, "server { location ~ ^(a+)+$ { return 200; } }")).problems;
    assert!(
        problems.iter().any(|p| p.severity == "warning" && p.message.contains("repeats")),
        "{problems:?}"
    );
}
