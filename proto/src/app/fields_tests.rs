//! Each field of a specification, inside and outside its range.

use proptest::prelude::*;

use super::*;
use crate::app::{TEXT_MOST, complete};

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

fn spec() -> AppSpec {
    complete(AppSpec { key: "cigar".into(), ..AppSpec::default() }).unwrap()
}

type Edit = fn(&mut AppSpec, &str);

/// What each field makes of a text.
const TEXTS: &[(&str, Edit)] = &[
    ("root", |s, t| s.root = format!("/srv/x{t}")),
    ("server_names", |s, t| s.server_names = vec![format!("a.org{t}")]),
    ("git_url", |s, t| s.git_url = format!("https://a.org/x{t}")),
    ("branch", |s, t| s.branch = format!("main{t}")),
    ("health_path", |s, t| s.health_path = format!("/up{t}")),
    ("ruby_path", |s, t| s.ruby_path = format!("/usr/bin{t}")),
    ("rails_env", |s, t| s.rails_env = format!("production{t}")),
    ("asset_tasks", |s, t| s.asset_tasks = vec![format!("assets:precompile{t}")]),
    ("release_tasks", |s, t| s.release_tasks = vec![format!("db:migrate{t}")]),
    ("shared_paths", |s, t| s.shared_paths = vec![format!("storage{t}")]),
    ("database_name", |s, t| s.database_name = format!("x{t}")),
    ("database_user", |s, t| {
        (s.database_name, s.database_user) = ("x".into(), format!("x{t}"));
        s.set_database_auth(DatabaseAuth::Scram);
    }),
    ("cert_path", |s, t| (s.cert_path, s.key_path) = (format!("/etc/ssl/x{t}"), "/etc/ssl/y".into())),
    ("key_path", |s, t| (s.cert_path, s.key_path) = ("/etc/ssl/x".into(), format!("/etc/ssl/y{t}"))),
    ("environment", |s, t| drop(s.environment.insert(format!("NAME{t}"), "x".into()))),
    ("git_known_hosts", |s, t| s.git_known_hosts = format!("a.org{t},b.org {ED25519}")),
];

/// Security cases 35, 52 and 76.
#[test]
fn hostile_texts_are_refused_before_any_file_is_written() {
    let marks = [
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\u{2028}",
        "\u{85}",
        "\u{202e}",
        "\t",
        ";",
        "{",
        "}",
        "\"",
        "'",
        "\\",
        " #x",
        "$x",
        "$(id)",
        "`id`",
        " ",
        " x",
        "%",
        "%h",
        "%%",
        "<",
        ">",
        "(",
        ")",
        "^",
        "ä",
        "\u{1b}[2J",
        "\nExecStart=/bin/sh",
        "; return 200 x",
    ];
    for (field, edit) in TEXTS {
        let mut good = spec();
        edit(&mut good, "");
        assert!(complete(good).is_ok(), "{field}");
        for mark in marks {
            let mut bad = spec();
            edit(&mut bad, mark);
            let fault = complete(bad).expect_err(&format!("{field} took {mark:?}"));
            assert!(fault.message.starts_with(&format!("{field}: ")), "{}", fault.message);
            assert!(!fault.message.contains(['\n', '\r', '\u{1b}', '\u{202e}']), "{:?}", fault.message);
        }
    }
}

#[test]
fn numbers_have_limits_and_the_fault_names_the_field() {
    type Change = fn(&mut AppSpec);
    let cases: &[(&str, Change)] = &[
        ("port", |s| s.port = 80),
        ("port", |s| s.port = 65_536),
        ("workers", |s| s.workers = 65),
        ("threads_min", |s| (s.threads_min, s.threads_max) = (0, 5)),
        ("threads_min", |s| (s.threads_min, s.threads_max) = (129, 129)),
        ("threads_max", |s| (s.threads_min, s.threads_max) = (6, 5)),
        ("threads_max", |s| s.threads_max = 129),
        ("health_timeout_s", |s| s.health_timeout_s = 601),
        ("keep_releases", |s| s.keep_releases = 1),
        ("keep_releases", |s| s.keep_releases = 51),
        ("timeout_s", |s| s.timeout_s = 59),
        ("timeout_s", |s| s.timeout_s = 14_401),
        ("memory_max_bytes", |s| s.memory_max_bytes = 1),
        ("memory_max_bytes", |s| s.memory_max_bytes = u64::MAX),
        ("gems", |s| s.gems = 9),
        ("database_auth", |s| s.database_auth = -1),
        ("secret_delivery", |s| s.secret_delivery = 3),
        ("server_names", |s| s.server_names = (0..51).map(|n| format!("a{n}.org")).collect()),
        ("environment", |s| s.environment = (0..501).map(|n| (format!("A{n}"), String::new())).collect()),
    ];
    for (field, edit) in cases {
        let mut bad = spec();
        edit(&mut bad);
        let fault = complete(bad).expect_err(field);
        assert!(fault.message.starts_with(&format!("{field}: ")), "{}", fault.message);
    }
}

#[test]
fn paths_are_where_they_may_be() {
    for bad in [
        "/",
        "/srv",
        "/srv/",
        "/etc",
        "/srv/../etc",
        "/srv/git",
        "/srv/git/x",
        "/opt",
        "srv/x",
        "/SRV/x",
        "/srv//x",
        "/root/x",
        "/var/lib/x",
    ] {
        assert!(complete(AppSpec { root: bad.into(), ..spec() }).is_err(), "{bad}");
    }
    for good in ["/srv/cigar", "/srv/gitea", "/var/www/cigar", "/opt/apps/cigar", "/home/ada/apps/cigar"] {
        assert!(complete(AppSpec { root: good.into(), ..spec() }).is_ok(), "{good}");
    }
    let with =
        |cert: &str, key: &str| complete(AppSpec { cert_path: cert.into(), key_path: key.into(), ..spec() });
    let live = "/etc/letsencrypt/live/a.org";
    assert!(with(&format!("{live}/fullchain.pem"), &format!("{live}/privkey.pem")).is_ok());
    for bad in [
        "",
        "/etc/shadow",
        "/etc/sslx/y",
        "/etc/ssl",
        "/etc/ssl/../shadow",
        "/etc/ssl/",
        "/proc/self/mem",
        "etc/ssl/x",
    ] {
        assert!(with(bad, "/etc/ssl/x.key").is_err() && with("/etc/ssl/x.pem", bad).is_err(), "{bad}");
    }
    for bad in ["/u p", "up", "//evil", "/../x", "/x/..", "/up?..", "/up#x", "http://x/up", "*"] {
        assert!(complete(AppSpec { health_path: bad.into(), ..spec() }).is_err(), "{bad:?}");
    }
    for good in ["/", "/up", "/health/live.json", "/up?deep=1&x=a+b", "/~ada/up"] {
        assert!(complete(AppSpec { health_path: good.into(), ..spec() }).is_ok(), "{good:?}");
    }
}

#[test]
fn what_is_shared_is_shared_once_and_is_not_ours() {
    let with = |paths: &[&str]| {
        complete(AppSpec { shared_paths: paths.iter().map(|p| (*p).to_owned()).collect(), ..spec() })
    };
    for bad in [
        &["config"][..],
        &["home"],
        &["bundle"],
        &["bundle/x"],
        &["home/.ssh"],
        &["config/puma.rb"],
        &["storage", "storage"],
        &["storage", "storage/a"],
        &["a/b/c", "a"],
        &["log/x"],
    ] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
    for good in [
        &["config/credentials"][..],
        &["storage", "storage2"],
        &["tmp/pids", "tmp/cache"],
        &["vendor/bundle"],
        &["log"],
    ] {
        assert!(with(good).is_ok(), "{good:?}");
    }
}

#[test]
fn names_of_servers_are_those_of_dns() {
    for bad in [
        "*", "*.", "*.org", "a..b", "-a.org", "A.org", "~^x", "_", "", "*.*.org", "a.*.org", "www.*",
        "a_b.org", "a.org:80", "[::1]",
    ] {
        assert!(server_name(bad).is_err(), "{bad:?}");
    }
    for good in ["localhost", "a.org", "www.a.org", "*.example.org", "xn--bcher-kva.example", "10.0.0.7"] {
        assert!(server_name(good).is_ok(), "{good:?}");
    }
    let twice = vec!["a.org".to_owned(), "a.org".to_owned()];
    assert!(complete(AppSpec { server_names: twice, ..spec() }).is_err());
}

/// Security case 65.
#[test]
fn only_whole_lines_say_which_server_is_believed() {
    let with = |text: &str| complete(AppSpec { git_known_hosts: text.into(), ..spec() });
    let key = ED25519.split(' ').nth(1).unwrap();
    for good in [
        String::new(),
        format!("github.com {ED25519}"),
        format!("# github\n\ngithub.com,140.82.121.4 {ED25519} comment\n"),
        format!("[git.example.org]:2222 {ED25519}"),
        format!("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {ED25519}"),
        format!("@revoked a.org {ED25519}"),
        format!("@cert-authority *.example.org {ED25519}"),
        format!("a.org {ED25519}\nb.org {ED25519}"),
    ] {
        assert!(with(&good).is_ok(), "{good}");
    }
    for bad in [
        "a.org".to_owned(),
        "a.org ssh-ed25519".into(),
        format!("a.org {key}"),
        format!("a.org ssh-rsa {key}"),
        format!("a.org ssh-dss {key}"),
        format!("* {ED25519}"),
        format!("*,a.org {ED25519}"),
        format!("-x {ED25519}"),
        format!("a.org\u{a0}{ED25519}"),
        format!("a.org {}", &ED25519[..ED25519.len() - 2]),
        format!("a.org {ED25519}\0"),
        format!("a.org {ED25519}\nb.org x y"),
        "-----BEGIN OPENSSH PRIVATE KEY-----".into(),
        "x".repeat(TEXT_MOST + 1),
    ] {
        assert!(with(&bad).is_err(), "{bad}");
    }
}

#[test]
fn files_of_ones_own_show_all_that_they_say() {
    let with = |name: &str, text: &str| {
        complete(AppSpec { overrides: [(name.to_owned(), text.to_owned())].into(), ..spec() })
    };
    assert!(with("service", "[Service]\n\tUser=x\n# ä 日本\n").is_ok());
    for bad in [
        "a\0",
        "a\r\n",
        "\u{2028}",
        "a\u{202e}b",
        "a\u{200b}",
        "\u{1b}[2J",
        "",
        "\u{feff}a",
        &"x".repeat(TEXT_MOST + 1),
    ] {
        assert!(with("service", bad).is_err(), "{bad:?}");
    }
    for bad in ["", "sites", "../service", "service\n", "Service"] {
        assert!(with(bad, "x").is_err(), "{bad:?}");
    }
}

/// Security case 76.
#[test]
fn values_are_any_text_up_to_a_size_and_never_shown() {
    for good in [
        "",
        " ",
        "-----BEGIN KEY-----\nabc\n-----END KEY-----\n",
        "a\"b'c\\d",
        "%h %% $x ${y} `z`",
        "日本\u{202e}",
        &"x".repeat(TEXT_MOST),
    ] {
        assert!(check_value("A", good).is_ok(), "{good:?}");
        let environment = [("A".to_owned(), good.to_owned())].into();
        assert_eq!(complete(AppSpec { environment, ..spec() }).unwrap().environment["A"], good);
    }
    for bad in ["geheim\0", &format!("geheim{}", "x".repeat(TEXT_MOST))] {
        let fault = check_value("A", bad).unwrap_err();
        assert!(
            fault.message.contains("value of A") && !fault.message.contains("geheim"),
            "{}",
            fault.message
        );
    }
    let environment = (0..20).map(|n| (format!("A{n}"), "x".repeat(TEXT_MOST))).collect();
    assert!(complete(AppSpec { environment, ..spec() }).unwrap_err().message.contains("1 MiB"));
}

proptest! {
    /// What was completed is complete, and is said of no other app.
    #[test]
    fn completing_twice_changes_nothing(
        key in "[a-z]([a-z0-9-]{0,48}[a-z0-9])?",
        database in prop::sample::select(vec!["", "x", "x_production"]),
        user in prop::sample::select(vec!["", "y"]),
        auth in 0..3i32,
        paths in prop::collection::btree_set("(log|storage|tmp/pids|public/x)", 0..4),
        threads in (0..3u32, 0..9u32),
    ) {
        let given = AppSpec {
            key,
            database_name: database.into(),
            database_user: user.into(),
            database_auth: auth,
            shared_paths: paths.into_iter().collect(),
            threads_min: threads.0,
            threads_max: threads.1,
            ..AppSpec::default()
        };
        if let Ok(once) = complete(given) {
            prop_assert_eq!(complete(once.clone()).unwrap(), once);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), field in 0..TEXTS.len()) {
        let mut given = spec();
        TEXTS[field].1(&mut given, &text);
        drop(complete(given));
        drop(complete(AppSpec { key: text, ..spec() }));
    }
}
