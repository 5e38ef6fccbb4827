//! What the files say, and that nothing an app has makes them say something else.

use hms_proto::host::v1::{AppSpec, SecretDelivery};

use super::{super::layout::tests::app, unit::words, *};

fn facts() -> Facts {
    Facts {
        web_user: Some("www-data".into()),
        web_group: Some("www-data".into()),
        ipv6: true,
        http2_directive: false,
        logrotate: true,
        notify: true,
    }
}

fn spec() -> AppSpec {
    AppSpec {
        server_names: vec!["cigar.test".into(), "*.cigar.test".into()],
        database_name: "cigar".into(),
        ..AppSpec::default()
    }
}

fn written(spec: AppSpec, version: u32) -> Files {
    files(&app(spec), &facts(), version).unwrap()
}

fn value(files: &Files, item: Item, section: &str, name: &str) -> Vec<String> {
    let unit = unit::parse(files.get(item).unwrap()).unwrap();
    unit.values(section, name).map(str::to_owned).collect()
}

/// Security case 36.
#[test]
fn variables_reach_the_service_as_they_are() {
    let mut spec = spec();
    let hostile = [
        ("A", "a\nExecStart=/bin/sh"),
        ("B", "\" B=2 \\"),
        ("C", "%h %n %%"),
        ("D", "$HOME ${X}"),
        ("E", "tab\there\u{1}\u{7f}"),
        ("F", ""),
        ("G", "ends with \\"),
        ("H", "\u{2028}\u{85}ä"),
    ];
    for (name, value) in hostile {
        spec.environment.insert(name.into(), value.into());
    }
    let files = written(spec, 0);
    let read: Vec<String> = value(&files, Item::Service, "Service", "Environment")
        .iter()
        .flat_map(|line| words(line).unwrap())
        .collect();
    for (name, value) in hostile {
        assert!(read.contains(&format!("{name}={value}")), "{name}");
    }
    assert_eq!(value(&files, Item::Service, "Service", "ExecStart").len(), 1);
}

#[test]
fn a_service_that_needs_its_secrets_does_not_start_without() {
    let none = written(spec(), 0);
    assert!(none.get(Item::Secrets).is_none() && none.get(Item::Environment).is_none());
    assert_eq!(
        value(&none, Item::Service, "Service", "ExecStart"),
        ["/usr/bin/bundle \"exec\" \"puma\" \"-C\" \"/srv/cigar/shared/config/puma.rb\""]
    );
    let sealed = written(spec(), 3);
    let start = value(&sealed, Item::Service, "Service", "ExecStart").remove(0);
    assert!(start.starts_with("/usr/bin/hms-exec \"--with\" \"env\" \"--\" \"/usr/bin/bundle\""), "{start}");
    let load = value(&sealed, Item::Secrets, "Service", "LoadCredentialEncrypted");
    assert_eq!(load, ["env:/var/lib/hms-agent/apps/cigar/secrets-3.cred"]);
    let mut plain = spec();
    plain.set_secret_delivery(SecretDelivery::Environment);
    let plain = written(plain, 3);
    assert!(plain.get(Item::Secrets).is_none());
    assert!(!plain.get(Item::Service).unwrap().contains("hms-exec"));
    let needs = value(&plain, Item::Service, "Unit", "AssertPathExists");
    assert_eq!(needs, ["/run/systemd/system/puma-cigar.service.d/50-hms-secrets.conf"]);
    assert_eq!(value(&plain, Item::Environment, "Service", "LoadCredentialEncrypted"), load);
}

/// Security case 79: what is in plain text is written by the host itself, to memory, and the modes are for root only.
#[test]
fn files_with_a_way_to_secrets_are_for_root_only() {
    assert_eq!([Item::Secrets.mode(), Item::Environment.mode()], [0o600, 0o600]);
    let mut plain = spec();
    plain.set_secret_delivery(SecretDelivery::Environment);
    let app = app(plain);
    assert!(app.environment_drop_in().starts_with("/run"));
    let variables = [("A".to_owned(), "a\n[Service]\nUser=root \"%h\"".to_owned())];
    let text = environment_drop_in(&app, &variables).unwrap();
    let unit = unit::parse(&text).unwrap();
    let read: Vec<_> = unit.values("Service", "Environment").flat_map(|line| words(line).unwrap()).collect();
    assert_eq!(read, [format!("A={}", variables[0].1)]);
    assert_eq!(unit.values("Service", "User").count(), 0);
}

#[test]
fn the_app_can_write_to_what_it_shares_and_nowhere_else() {
    let files = written(spec(), 1);
    let one = |name: &str| value(&files, Item::Service, "Service", name).concat();
    assert_eq!(one("ReadWritePaths"), "/srv/cigar/shared");
    assert_eq!((one("ProtectSystem"), one("NoNewPrivileges")), ("strict".into(), "yes".into()));
    assert_eq!(
        (one("User"), one("LimitCORE"), one("CapabilityBoundingSet")),
        ("app-cigar".into(), "0".into(), String::new())
    );
    assert_eq!(one("ProtectHome"), "yes");
    let home = written(AppSpec { root: "/home/apps/cigar".into(), ..spec() }, 0);
    assert_eq!(value(&home, Item::Service, "Service", "ProtectHome"), ["no"]);
}

#[test]
fn the_socket_is_for_nginx() {
    let files = written(AppSpec { port: 3000, ..spec() }, 0);
    assert_eq!(
        value(&files, Item::Socket, "Socket", "ListenStream"),
        ["/run/puma-cigar/puma.sock", "127.0.0.1:3000"]
    );
    assert_eq!(value(&files, Item::Socket, "Socket", "SocketGroup"), ["www-data"]);
    assert!(files.get(Item::Puma).unwrap().contains("bind 'tcp://127.0.0.1:3000'\n"));
    assert!(files.get(Item::Sysusers).unwrap().ends_with("m www-data app-cigar\n"));
}

#[test]
fn a_cluster_says_whether_it_preloads() {
    let puma = |spec: AppSpec| written(spec, 0).get(Item::Puma).unwrap().to_owned();
    assert!(!puma(spec()).contains("worker_boot"));
    let cluster = puma(AppSpec { workers: 2, ..spec() });
    assert!(
        cluster.contains("\nworkers 2\n")
            && cluster.contains("\npreload_app! false\n")
            && cluster.contains("before_worker_boot")
    );
    assert!(puma(AppSpec { workers: 2, preload: true, ..spec() }).contains("\npreload_app!\n"));
    let trial = trial_puma(
        &app(AppSpec { workers: 2, ..spec() }),
        Path::new("/srv/cigar/releases/x"),
        Path::new("/run/x/t.sock"),
    )
    .unwrap();
    assert!(
        trial.contains("directory '/srv/cigar/releases/x'\n")
            && trial.contains("\nworkers 0\n")
            && !trial.contains("control_app")
    );
}

/// Sites pass HMS's own lint with nothing to accept.
#[test]
fn sites_are_ordinary() {
    let tls = AppSpec {
        cert_path: "/etc/letsencrypt/live/cigar.test/fullchain.pem".into(),
        key_path: "/etc/letsencrypt/live/cigar.test/privkey.pem".into(),
        ..spec()
    };
    for spec in [spec(), tls.clone(), AppSpec { root: "/var/www/x".into(), ..spec() }] {
        for facts in [facts(), Facts { ipv6: false, http2_directive: true, ..facts() }] {
            let files = files(&app(spec.clone()), &facts, 0).unwrap();
            let site = files.get(Item::Site).unwrap();
            let problems = crate::nginx::problems_of_site(site);
            assert!(problems.is_empty(), "{problems:?}\n{site}");
        }
    }
    let files = written(tls, 0);
    let site = files.get(Item::Site).unwrap();
    assert!(
        site.contains("listen 443 ssl http2;") && site.contains("return 308 https://$host$request_uri;"),
        "{site}"
    );
    assert!(written(AppSpec { server_names: Vec::new(), ..spec() }, 0).get(Item::Site).is_none());
}

#[test]
fn texts_of_ones_own_take_the_place_of_what_would_be_written() {
    let mut own = spec();
    own.overrides.insert("puma".into(), "workers 1\n".into());
    own.overrides.insert("service".into(), "[Service]\nExecStart=/bin/true\n".into());
    let files = written(own.clone(), 0);
    assert_eq!(files.get(Item::Puma), Some("workers 1\n"));
    own.overrides.insert("service".into(), "ExecStart=/bin/true\n".into());
    assert!(super::files(&app(own), &facts(), 0).is_err(), "no unit file");
}
