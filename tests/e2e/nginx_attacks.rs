//! What stands in nginx's folder, or is sent there, to do harm: nothing is followed, and a test leaves no trace.

use anyhow::{Result, ensure};
use hms_proto::fault::FaultKind;
use hms_proto::host::v1::NginxChange;
use hms_proto::host::v1::nginx_change::Action;
use uuid::Uuid;

use crate::nginx::{Bench, SOON, content, enable, new_site, refused, site};
use crate::support::eventually;

async fn sh(bench: &Bench, script: &str) -> Result<String> {
    bench.host().run(&["sh", "-ec", script]).await
}

/// Security cases 38, 40 and 41.
#[tokio::test]
async fn links_pipes_and_open_folders_are_not_written_through() -> Result<()> {
    let bench = Bench::new().await?;
    sh(&bench, "cd /etc/nginx; echo secret > /root/secret; chmod 600 /root/secret; mkdir /root/outside; \
        ln -s /etc/shadow sites-available/shadow; ln -s /root/outside snippets/out; ln /root/secret sites-available/twice; \
        mkfifo sites-available/pipe; mkdir wide; chmod 777 wide; echo 'gzip on;' > wide/x; \
        mkdir mounted; mount --bind /root/outside mounted; printf 'x' > sites-available/foreign; chown www-data sites-available/foreign; \
        echo '-----BEGIN PRIVATE KEY-----' > key.pem; chmod 644 key.pem")
    .await?;
    let tree = bench.list().await?;
    for path in [
        "sites-available/shadow",
        "snippets/out",
        "sites-available/twice",
        "sites-available/pipe",
        "wide/x",
        "sites-available/foreign",
        "key.pem",
    ] {
        let file = tree.files.iter().find(|f| f.path == path);
        ensure!(file.is_some_and(|f| !f.locked.is_empty()), "{path}: {file:?}");
        let file = bench
            .client()
            .get(hms_proto::host::v1::GetNginxRequest { path: path.into() })
            .await?
            .into_inner();
        ensure!(!file.content.contains("root:") && !file.content.contains("PRIVATE"), "{file:?}");
    }
    let before = bench.picture(&["/etc/nginx", "/root"]).await?;
    let secret = sh(&bench, "cat /root/secret; sha256sum /etc/shadow").await?;
    for path in [
        "sites-available/shadow",
        "snippets/out/x",
        "sites-available/twice",
        "sites-available/pipe",
        "wide/x",
        "wide/new",
        "mounted/new",
        "sites-available/foreign",
    ] {
        let sha = bench.sha(path).await.unwrap_or_default();
        let answer = bench.apply(vec![content(path, "gzip on;\n", &sha)]).await;
        ensure!(answer.is_err(), "{path} was written");
    }
    assert_eq!(bench.picture(&["/etc/nginx", "/root"]).await?, before);
    assert_eq!(sh(&bench, "cat /root/secret; sha256sum /etc/shadow").await?, secret);
    // Words of a file outside are not told.
    sh(&bench, "ln -s /etc/shadow /etc/nginx/conf.d/shadow.conf").await?;
    let told = format!("{:?}", bench.list().await?);
    ensure!(!told.contains("root:") && told.contains("outside of the tree"), "{told}");
    Ok(())
}

/// Security case 53.
#[tokio::test]
async fn a_test_leaves_no_trace() -> Result<()> {
    let bench = Bench::new().await?;
    bench.list().await?;
    sh(&bench, "mkdir -p /var/cache/nginx /run/own; systemctl stop cron.service 2>/dev/null || true").await?;
    const SEEN: [&str; 9] = [
        "/etc",
        "/root",
        "/srv",
        "/var/log/nginx",
        "/var/lib/nginx",
        "/var/cache",
        "/opt",
        "/home",
        "/run/own",
    ];
    let before = bench.picture(&SEEN).await?;
    let good = "proxy_cache_path /var/cache/nginx/new levels=1:2 keys_zone=z:1m;\nserver {\n listen 8085;\n server_name trace.test;\n \
        access_log /var/log/nginx/new.access.log;\n error_log /var/log/nginx/new.error.log;\n client_body_temp_path /var/lib/nginx/new;\n \
        location / { proxy_cache z; proxy_pass http://localhost:1; }\n}\n";
    let changes =
        |text: &str| vec![content("sites-available/t", text, ""), enable("sites-available/t", true)];
    let errors = bench.errors(changes(good)).await?;
    ensure!(errors.is_empty(), "{errors:?}");
    assert_eq!(bench.picture(&SEEN).await?, before);
    let ports = sh(&bench, "ss -ltn").await?;
    ensure!(!ports.contains(":8085"), "{ports}");
    // Addresses that only the host has, and names, are judged as the host would.
    let address = bench.host().address();
    ensure!(bench.errors(changes(&format!("server {{ listen {address}:8086; }}"))).await?.is_empty());
    ensure!(!bench.errors(changes("server { listen 192.0.2.77:8086; }")).await?.is_empty());
    ensure!(
        bench
            .errors(changes("server { listen 8086; location / { proxy_pass http://asterra:81; } }"))
            .await?
            .is_empty()
    );
    let unknown = bench
        .errors(changes("server { listen 8086; location / { proxy_pass http://nowhere.invalid; } }"))
        .await?;
    ensure!(unknown.iter().any(|e| e.contains("host not found")), "{unknown:?}");
    for bad in [
        "load_module /tmp/evil.so;",
        "error_log /root/x;",
        "server { access_log /etc/cron.d/x; }",
        "proxy_cache_path /etc/x keys_zone=y:1m;",
        "client_body_temp_path /etc/x;",
        "server { listen unix:/etc/x.sock; }",
        "include /etc/shadow;",
        "server { location / { root /etc; } }",
        "server { location / { proxy_pass http://169.254.169.254; } }",
        "server { \"lo\"ad 1; }",
        "pid /etc/x;",
    ] {
        ensure!(!bench.errors(changes(bad)).await?.is_empty(), "{bad} passed");
        ensure!(bench.apply(changes(bad)).await.is_err(), "{bad} was applied");
    }
    assert_eq!(bench.picture(&SEEN).await?, before);
    Ok(())
}

/// Security case 44.
#[tokio::test]
async fn a_full_disk_changes_nothing() -> Result<()> {
    let bench = Bench::new().await?;
    bench.apply(new_site("full.test", "before")).await?;
    let path = "sites-available/full.test";
    let large = format!(
        "{}{}",
        site("full.test", "after"),
        "# Nothing but space, line after line after line.\n".repeat(12_000)
    );
    // First the agent's own disk, then the one of the configuration.
    sh(&bench, "systemctl stop hms-agent; cp -a /var/lib/hms-agent/nginx /root/kept; mount -t tmpfs -o size=512k,mode=700 tmpfs /var/lib/hms-agent/nginx; \
        cp -a /root/kept/. /var/lib/hms-agent/nginx/; systemctl start hms-agent").await?;
    let sha = eventually(SOON, async || bench.sha(path).await).await?;
    let before = bench.etc().await?;
    let fault = bench.apply(vec![content(path, &large, &sha)]).await.err();
    ensure!(fault.as_ref().is_some_and(|f| f.hint.contains("disk")), "{fault:?}");
    assert_eq!(bench.etc().await?, before);
    assert_eq!(bench.ask("full.test").await?, "before");
    sh(&bench, "systemctl stop hms-agent; umount /var/lib/hms-agent/nginx; cp -a /etc/nginx /root/etc; mount -t tmpfs -o size=512k,mode=755 tmpfs /etc/nginx; \
        cp -a /root/etc/. /etc/nginx/; systemctl start hms-agent").await?;
    eventually(SOON, async || Ok(bench.list().await.map(drop)?)).await?;
    let before = bench.etc().await?;
    let fault = refused(bench.apply(vec![content(path, &large, &sha)]).await, FaultKind::Failed)?;
    ensure!(fault.message.contains("space") && fault.message.contains("put back"), "{fault:?}");
    assert_eq!(bench.etc().await?, before);
    assert_eq!(bench.ask("full.test").await?, "before");
    bench.apply(vec![content(path, &site("full.test", "small"), &sha)]).await?;
    assert_eq!(bench.ask("full.test").await?, "small");
    Ok(())
}

/// Pitfall P23.
#[tokio::test]
async fn a_site_that_was_broken_before_does_not_stop_the_others() -> Result<()> {
    let bench = Bench::new().await?;
    bench.apply(new_site("a.test", "a1")).await?;
    bench.apply(new_site("b.test", "b1")).await?;
    ensure!(bench.list().await?.problems.is_empty());
    // B is broken by hand; C comes broken into the world.
    let broken = site("b.test", "b2").replace("return 200", "retrun 200");
    bench.host().write_file("/etc/nginx/sites-available/b.test", &broken).await?;
    bench
        .host()
        .write_file(
            "/etc/nginx/sites-available/c.test",
            "server { listen 80; server_name c.test; return 200 $nothing; }\n",
        )
        .await?;
    sh(&bench, "ln -s ../sites-available/c.test /etc/nginx/sites-enabled/c.test").await?;
    let tree = bench.list().await?;
    ensure!(
        tree.problems.iter().any(|p| p.path == "sites-available/b.test" && p.severity == "error"),
        "{:?}",
        tree.problems
    );

    let change =
        content("sites-available/a.test", &site("a.test", "a2"), &bench.sha("sites-available/a.test").await?);
    let answer = bench.apply(vec![change]).await?;
    let named: Vec<&str> = answer
        .problems
        .iter()
        .filter(|p| p.message.contains("broken before"))
        .map(|p| p.path.as_str())
        .collect();
    ensure!(
        named.contains(&"sites-available/b.test") && named.contains(&"sites-available/c.test"),
        "{:?}",
        answer.problems
    );
    assert_eq!(bench.ask("a.test").await?, "a2");
    assert_eq!(bench.ask("b.test").await?, "b1");
    assert_eq!(bench.host().read_file("/etc/nginx/sites-available/b.test.broken").await?, broken);
    let tree = bench.list().await?;
    ensure!(tree.problems.iter().all(|p| p.severity != "error"), "{:?}", tree.problems);
    let c = tree.files.iter().find(|f| f.path == "sites-available/c.test");
    ensure!(c.is_some_and(|c| c.quarantined && !c.enabled), "{c:?}");
    bench.host().run(&["nginx", "-t"]).await?;

    // Mended, it comes back.
    let back = |on: bool| NginxChange {
        path: "sites-available/c.test".into(),
        action: Some(Action::Quarantine(on)),
        expected_sha256: String::new(),
    };
    refused(bench.apply(vec![back(false)]).await, FaultKind::Failed)?;
    let mended =
        content("sites-available/c.test", &site("c.test", "c"), &bench.sha("sites-available/c.test").await?);
    bench.apply_as(Uuid::new_v4(), vec![mended, back(false)], 0).await?;
    assert_eq!(bench.ask("c.test").await?, "c");
    bench.apply(vec![back(true)]).await?;
    ensure!(bench.ask("c.test").await? != "c");
    Ok(())
}
