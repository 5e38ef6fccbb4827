//! What HMS makes on a host for an app: its user, folders, files, database with a password, and a site over TLS; and that
//! nothing of it is left when the app is removed with its data.

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::{ApplyRequest, PlanRequest, RemoveAppRequest, RotateSecretRequest};
use hms_proto::host::v1::{ChangeAction, DatabaseAuth, JobKind, JobState};
use hms_tests::repository::Change;
use hms_tests::yard::Yard;

const APP: &str = "snuff";
const PORT: u32 = 3456;
const UNITS: [&str; 2] = ["puma-snuff.service", "puma-snuff.socket"];
/// How exposed the app's service may be, from 0 (not) to 10.
const EXPOSED_MOST: f64 = 1.6;

#[tokio::test]
async fn an_app_gets_all_it_needs_and_leaves_nothing_behind() -> Result<()> {
    let yard = Yard::new().await?;
    certificate(&yard).await?;
    let repository = yard
        .add(APP, "cigar", |spec| {
            spec.set_database_auth(DatabaseAuth::Scram);
            spec.database_user = "snuff_web".into();
            spec.workers = 2;
            spec.port = PORT;
            spec.shared_paths = vec!["public/uploads".into()];
            spec.cert_path = "/etc/ssl/snuff.pem".into();
            spec.key_path = "/etc/ssl/private/snuff.key".into();
        })
        .await?;
    let change =
        Change::new("Serve files").file("public/assets/a.css", "a{}\n").file("public/plain.txt", "plain\n");
    repository.commit(yard.host(), &change.link("public/passwd.txt", "/etc/passwd")).await?;
    yard.deploy_well(APP).await?;

    folders_belong_to_whom_they_should(&yard).await?;
    systemd_nginx_and_logrotate_take_the_files(&yard).await?;
    the_site_serves_files_of_the_release_and_no_others(&yard).await?;
    the_database_lets_in_the_app_alone(&yard).await?;
    a_second_plan_changes_nothing(&yard).await?;
    a_new_password_reaches_database_and_app(&yard).await?;
    nothing_is_left(&yard).await
}

async fn certificate(yard: &Yard) -> Result<()> {
    let argv =
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=snuff.test"];
    let files = [
        "-addext",
        "subjectAltName=DNS:snuff.test",
        "-out",
        "/etc/ssl/snuff.pem",
        "-keyout",
        "/etc/ssl/private/snuff.key",
    ];
    yard.host().run(&["mkdir", "-p", "/etc/ssl/private"]).await?;
    yard.host().run(&[&argv[..], &files].concat()).await?;
    Ok(())
}

async fn out(yard: &Yard, argv: &[&str]) -> Result<String> {
    Ok(yard.host().run(argv).await?.trim().to_owned())
}

/// Security case 74.
async fn folders_belong_to_whom_they_should(yard: &Yard) -> Result<()> {
    for (path, expected) in [
        ("/srv/snuff", "755 root root"),
        ("/srv/snuff/releases", "755 root root"),
        ("/srv/snuff/shared", "750 root app-snuff"),
        ("/srv/snuff/shared/config", "750 root app-snuff"),
        ("/srv/snuff/shared/config/puma.rb", "644 root root"),
        ("/srv/snuff/shared/public", "750 root app-snuff"),
        ("/srv/snuff/shared/public/uploads", "750 app-snuff app-snuff"),
        ("/srv/snuff/shared/log", "750 app-snuff app-snuff"),
        ("/srv/snuff/shared/home", "700 app-snuff app-snuff"),
        ("/var/lib/hms-agent/apps/snuff", "700 root root"),
        ("/run/puma-snuff", "755 root root"),
        ("/run/puma-snuff/puma.sock", "660 root www-data"),
        ("/run/puma-snuff-control", "700 app-snuff app-snuff"),
    ] {
        let is = out(yard, &["stat", "-c", "%a %U %G", path]).await?;
        ensure!(is == expected, "{path}: {is}, not {expected}");
    }
    // The app can swap neither its release nor its code.
    let release = yard.live_release(APP).await?;
    let code = format!("/srv/snuff/releases/{release}/config.ru");
    let pid = out(yard, &["systemctl", "show", UNITS[0], "--value", "-p", "MainPID"]).await?;
    let inside = ["nsenter", "--mount", "--target", &pid, "runuser", "-u", "app-snuff", "--"];
    for touched in ["/srv/snuff/current", "/srv/snuff/x", "/srv/snuff/shared/x", "/etc/x", &code] {
        let tried =
            yard.host().exec(&[&inside[..], &["sh", "-c", "echo >> \"$0\"", touched]].concat()).await?;
        ensure!(!tried.success(), "the app can write to {touched}");
    }
    yard.host().run(&[&inside[..], &["touch", "/srv/snuff/current/tmp/x"]].concat()).await?;
    Ok(())
}

async fn systemd_nginx_and_logrotate_take_the_files(yard: &Yard) -> Result<()> {
    let host = yard.host();
    for unit in UNITS {
        let said = host.exec(&["systemd-analyze", "verify", "--man=no", unit]).await?;
        let own: Vec<&str> = said.stderr.lines().filter(|line| line.contains("snuff")).collect();
        ensure!(said.success() && own.is_empty(), "{unit}: {own:?}");
        ensure!(out(yard, &["systemctl", "is-enabled", unit]).await? == "enabled", "{unit} is not enabled");
    }
    let said = out(yard, &["systemd-analyze", "security", "--no-pager", UNITS[0]]).await?;
    let score = said.lines().find(|line| line.contains("Overall exposure level")).context("no score")?;
    let score: f64 = score.split_whitespace().find_map(|word| word.parse().ok()).context("no number")?;
    eprintln!("exposure of the app: {score}");
    ensure!(score <= EXPOSED_MOST, "the app's service is exposed at {score}");
    // Security case 52: nginx has read what HMS meant to write.
    let dump = out(yard, &["nginx", "-T", "-q"]).await?;
    let site = host.read_file("/etc/nginx/sites-available/snuff").await?;
    ensure!(dump.contains(site.trim()), "nginx reads another site");
    host.run(&["runuser", "-u", "app-snuff", "--", "sh", "-c", "echo line > /srv/snuff/shared/log/x.log"])
        .await?;
    host.run(&["logrotate", "--force", "/etc/logrotate.d/hms-snuff"]).await?;
    let rotated = out(yard, &["stat", "-c", "%U", "/srv/snuff/shared/log/x.log.1"]).await?;
    ensure!(rotated == "app-snuff", "{rotated}");
    Ok(())
}

/// What the site answers to a path: the status, and the body.
async fn ask(yard: &Yard, path: &str) -> Result<(String, String)> {
    let url = format!("https://snuff.test{path}");
    let argv = [
        "curl",
        "--silent",
        "--path-as-is",
        "--cacert",
        "/etc/ssl/snuff.pem",
        "--resolve",
        "snuff.test:443:127.0.0.1",
    ];
    let said =
        out(yard, &[&argv[..], &["--write-out", "\n%{http_code} %header{cache-control}", &url]].concat())
            .await?;
    let (body, status) = said.rsplit_once('\n').context("no status")?;
    Ok((status.trim().to_owned(), body.trim().to_owned()))
}

/// Security cases 55 and 69.
async fn the_site_serves_files_of_the_release_and_no_others(yard: &Yard) -> Result<()> {
    let host = yard.host();
    let (status, body) = ask(yard, "/version").await?;
    ensure!(status.starts_with("200") && body.contains(&yard.live_release(APP).await?), "{status} {body}");
    let (status, body) = ask(yard, "/assets/a.css").await?;
    ensure!(status == "200 public, max-age=31536000, immutable" && body == "a{}", "{status} {body}");
    let (status, body) = ask(yard, "/plain.txt").await?;
    ensure!(status.starts_with("200") && body == "plain", "{status} {body}");
    let upload = "echo uploaded > /srv/snuff/shared/public/uploads/u.txt";
    host.run(&["runuser", "-u", "app-snuff", "--", "sh", "-c", upload]).await?;
    let (status, body) = ask(yard, "/uploads/u.txt").await?;
    ensure!(status.starts_with("200") && body == "uploaded", "{status} {body}");
    for path in [
        "/passwd.txt",
        "/.git/config",
        "/../config/database.yml",
        "/%2e%2e/config.ru",
        "/uploads/../../config.ru",
    ] {
        let (status, body) = ask(yard, path).await?;
        ensure!(!status.starts_with("200") && !body.contains("root:"), "{path}: {status} {body}");
    }
    // Challenges are answered before anything is sent elsewhere.
    host.run(&["mkdir", "-p", "/var/lib/hms-acme/.well-known/acme-challenge"]).await?;
    host.write_file("/var/lib/hms-acme/.well-known/acme-challenge/token", "answer").await?;
    let plain = ["curl", "--silent", "--header", "Host: snuff.test", "--write-out", " %{http_code}"];
    let said =
        out(yard, &[&plain[..], &["http://127.0.0.1/.well-known/acme-challenge/token"]].concat()).await?;
    ensure!(said == "answer 200", "{said}");
    let said = out(yard, &[&plain[..], &["--output", "/dev/null", "http://127.0.0.1/x"]].concat()).await?;
    ensure!(said == "308", "{said}");
    let port = format!("http://127.0.0.1:{PORT}/up");
    ensure!(out(yard, &["curl", "--silent", "--fail", &port]).await? == "up");
    Ok(())
}

async fn sql(yard: &Yard, sql: &str) -> Result<String> {
    out(yard, &["runuser", "-u", "postgres", "--", "psql", "-AtX", "-c", sql]).await
}

async fn the_database_lets_in_the_app_alone(yard: &Yard) -> Result<()> {
    let owner = sql(yard, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'snuff'").await?;
    ensure!(owner == "snuff_web", "{owner}");
    let role = sql(
        yard,
        "SELECT rolsuper, rolcreatedb, left(rolpassword, 19) FROM pg_authid WHERE rolname = 'snuff_web'",
    )
    .await?;
    ensure!(role == "f|f|SCRAM-SHA-256$4096:", "{role}");
    let as_hms = ["runuser", "-u", "hms", "--", "psql", "-AtX", "-d", "snuff", "-c", "SELECT 1"];
    ensure!(!yard.host().exec(&as_hms).await?.success(), "others can connect to the app's database");
    Ok(())
}

async fn a_second_plan_changes_nothing(yard: &Yard) -> Result<()> {
    let mut request = PlanRequest { key: APP.into(), ..PlanRequest::default() };
    request.set_kind(JobKind::Apply);
    let plan = yard.deployments().plan(request).await?.into_inner();
    let changes: Vec<_> =
        plan.changes.iter().filter(|change| change.action() != ChangeAction::None).collect();
    ensure!(changes.is_empty() && plan.refusals.is_empty(), "{changes:?} {:?}", plan.refusals);
    ensure!(
        plan.changes.iter().any(|c| c.item == "database") && !plan.sha256.is_empty(),
        "{:?}",
        plan.changes
    );
    Ok(())
}

async fn a_new_password_reaches_database_and_app(yard: &Yard) -> Result<()> {
    let known = sql(yard, "SELECT rolpassword FROM pg_authid WHERE rolname = 'snuff_web'").await?;
    yard.secrets().rotate(RotateSecretRequest { key: APP.into(), name: "DATABASE_PASSWORD".into() }).await?;
    let begun = yard.deployments().apply(ApplyRequest { key: APP.into(), ..ApplyRequest::default() }).await?;
    let applied = yard.end(&begun.into_inner().id).await?;
    yard.must_be(&applied, JobState::Succeeded).await?;
    ensure!(
        sql(yard, "SELECT rolpassword FROM pg_authid WHERE rolname = 'snuff_web'").await? != known,
        "it is the old one"
    );
    let (status, body) = ask(yard, "/version").await?;
    ensure!(status.starts_with("200"), "{status} {body}");
    Ok(())
}

async fn nothing_is_left(yard: &Yard) -> Result<()> {
    let request = RemoveAppRequest { key: APP.into(), from_host: true, delete_data: true };
    let removed = yard.apps().remove(request).await?.into_inner();
    let ended = yard.end(&removed.deployment_id).await?;
    yard.must_be(&ended, JobState::Succeeded).await?;
    for path in [
        "/srv/snuff",
        "/etc/systemd/system/puma-snuff.service",
        "/etc/systemd/system/puma-snuff.socket",
        "/etc/systemd/system/puma-snuff.service.d",
        "/etc/systemd/system/sockets.target.wants/puma-snuff.socket",
        "/etc/nginx/sites-available/snuff",
        "/etc/nginx/sites-enabled/snuff",
        "/etc/logrotate.d/hms-snuff",
        "/var/lib/hms-agent/apps/snuff",
        "/run/puma-snuff/puma.sock",
    ] {
        ensure!(!yard.host().exec(&["test", "-e", path]).await?.success(), "{path} is left");
    }
    ensure!(!yard.host().exec(&["id", "app-snuff"]).await?.success(), "its user is left");
    let left = sql(yard, "SELECT rolname FROM pg_roles WHERE rolname = 'snuff_web' UNION SELECT datname FROM pg_database WHERE datname = 'snuff'").await?;
    ensure!(left.is_empty(), "{left} is left");
    let said = out(yard, &["systemctl", "list-units", "--all", "--plain", "--no-legend", "*snuff*"]).await?;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}
