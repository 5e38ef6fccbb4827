//! Corpora of what names of apps must and must not let through.

use proptest::prelude::*;

use super::*;
use crate::names::corpus_line as unescaped;

#[test]
fn each_app_has_a_user_of_its_own() {
    let user = |key: &str| AppKey::try_from(key).unwrap().user();
    assert_eq!(user("cigar"), "app-cigar");
    let (one, two) = (user(&"a".repeat(40)), user(&"a".repeat(41)));
    assert!(one.len() == 31 && two.len() == 31 && one != two, "{one} {two}");
}

/// Security cases 49 and 76.
#[test]
fn hostile_variables_are_refused() {
    let denied = "PATH HOME USER SHELL IFS ENV BASH_ENV CDPATH PS4 SHELLOPTS BASHOPTS PROMPT_COMMAND BASH_FUNC_id BASH_XTRACEFD \
        LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG LD_ LD_BIND_NOW GCONV_PATH GETCONF_DIR GLIBC_TUNABLES LOCPATH NLSPATH \
        HOSTALIASES RES_OPTIONS LOCALDOMAIN MALLOC_TRACE TZDIR TMPDIR TMP TEMP \
        RUBYOPT RUBYLIB RUBYSHELL RUBYPATH GEM_HOME GEM_PATH GEM_SPEC_CACHE RUBYGEMS_GEMDEPS RAKEOPT \
        BUNDLE_GEMFILE BUNDLE_PATH BUNDLE_BIN BUNDLE_APP_CONFIG BUNDLE_USER_HOME BUNDLE_WITHOUT BUNDLE_BUILD__NOKOGIRI \
        BUNDLE_LOCAL__RACK BUNDLE_MIRROR__ALL BUNDLE_ BUNDLE___ BUNDLE_A__ BUNDLE___A BUNDLER_VERSION BUNDLER_ORIG_PATH \
        GIT_SSH GIT_SSH_COMMAND GIT_EXEC_PATH GIT_DIR GIT_CONFIG_GLOBAL GIT_CONFIG_COUNT GIT_ASKPASS GIT_PROXY_COMMAND GIT_TRACE \
        GIT_ALLOW_PROTOCOL GIT_EXTERNAL_DIFF SSH_ASKPASS SSH_AUTH_SOCK PAGER EDITOR VISUAL BROWSER \
        PERLLIB PERL5LIB PERL5OPT PERL5DB PYTHONPATH PYTHONHOME PYTHONSTARTUP NODE_OPTIONS NODE_PATH NPM_CONFIG_PREFIX \
        JAVA_TOOL_OPTIONS OPENSSL_CONF OPENSSL_MODULES OPENSSL_ENGINES SSLKEYLOGFILE XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS \
        NOTIFY_SOCKET CREDENTIALS_DIRECTORY LISTEN_FDS LISTEN_PID LISTEN_FDNAMES WATCHDOG_USEC MAINPID INVOCATION_ID \
        JOURNAL_STREAM RUNTIME_DIRECTORY SYSTEMD_LOG_LEVEL HMS_RELEASE HMS_COMMIT HMS_X RAILS_ENV RACK_ENV PIDFILE";
    let malformed: Vec<String> =
        include_str!("corpus/hostile_variables.txt").lines().map(unescaped).collect();
    let long = "A".repeat(129);
    let hostile: Vec<&str> = denied
        .split_ascii_whitespace()
        .chain(malformed.iter().map(String::as_str))
        .chain([long.as_str()])
        .collect();
    assert!(hostile.len() >= 150);
    for text in hostile {
        assert!(EnvName::try_from(text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn ordinary_variables_are_accepted() {
    let ordinary = "SECRET_KEY_BASE DATABASE_URL DATABASE_PASSWORD REDIS_URL API_TOKEN SMTP_PASSWORD SMTP_USER_NAME MAILER_SENDER \
        RAILS_MASTER_KEY RAILS_MAX_THREADS RAILS_SERVE_STATIC_FILES RAILS_LOG_LEVEL RAILS_RELATIVE_URL_ROOT WEB_CONCURRENCY \
        MALLOC_ARENA_MAX MALLOC_CONF RUBY_YJIT_ENABLE RUBY_GC_HEAP_GROWTH_FACTOR RUBY_THREAD_VM_STACK_SIZE JEMALLOC_OPTS \
        AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION S3_BUCKET STRIPE_SECRET_KEY STRIPE_WEBHOOK_SECRET SENTRY_DSN \
        OAUTH2_CLIENT_ID GOOGLE_CLIENT_SECRET OPENAI_API_KEY SLACK_WEBHOOK_URL NEW_RELIC_LICENSE_KEY DD_API_KEY HONEYBADGER_API_KEY \
        HTTP_PROXY HTTPS_PROXY NO_PROXY TZ LANG LC_ALL LANGUAGE SSL_CERT_FILE SSL_CERT_DIR NODE_ENV PGHOST PGSSLMODE PGAPPNAME \
        ELASTICSEARCH_URL MEMCACHE_SERVERS CABLE_URL ACTION_MAILER_HOST HOST PORT DEBUG A _A _ A1 A_1_B X__Y PATHS HOMEPAGE MY_PATH \
        GITHUB_TOKEN GITLAB_TOKEN LDAP_HOST LDAP_PASSWORD ENVIRONMENT USERNAME_FIELD SHELLS BUNDLED BUNDLE_GEMS__EXAMPLE__ORG \
        BUNDLE_ENTERPRISE__CONTRIBSYS__COM BUNDLE_RUBYGEMS__PKG__GITHUB__COM BUNDLE_MY___HOST__ORG";
    let ordinary: Vec<&str> = ordinary.split_ascii_whitespace().collect();
    assert!(ordinary.len() >= 70, "{}", ordinary.len());
    for text in ordinary {
        assert_eq!(EnvName::try_from(text).map_err(|e| e.to_string()).unwrap().as_str(), text);
    }
    assert!(EnvName::try_from("A".repeat(128).as_str()).is_ok());
}

/// Security case 74.
#[test]
fn a_release_is_a_time_and_a_commit() {
    for good in ["20261125T101502-1a2b3c4", "20240229T235959-0000000", "19700101T000000-fffffff"] {
        assert_eq!(ReleaseId::try_from(good).unwrap().as_str(), good);
    }
    for bad in [
        "",
        ".",
        "..",
        "/",
        "current",
        "../20261125T101502-1a2b3c4",
        "20261125T101502-1a2b3c4/..",
        "20261125T101502-1a2b3c4/",
        "20261125T101502-../../x",
        "20261125T101502-1a2b3c",
        "20261125T101502-1a2b3c45",
        "20261125T101502-1A2B3C4",
        "20261125T101502-1a2b3cg",
        "20261125T101502_1a2b3c4",
        "20261125 101502-1a2b3c4",
        "20261125t101502-1a2b3c4",
        "20261325T101502-1a2b3c4",
        "20261132T101502-1a2b3c4",
        "20260229T101502-1a2b3c4",
        "20261125T241502-1a2b3c4",
        "20261125T106002-1a2b3c4",
        "20261125T1015-02-1a2b3c4",
        "2026112T5101502-1a2b3c4",
        "+0261125T101502-1a2b3c4",
        " 20261125T101502-1a2b3c",
        "20261125T101502-1a2b3c4\n",
        "20261125T101502-1a2b3c\0",
        "２0261125T101502-1a2b",
        "-rf",
        "*",
    ] {
        assert!(ReleaseId::try_from(bad).is_err(), "{bad:?} was accepted");
    }
}

/// Security cases 64 and 69.
#[test]
fn paths_stay_inside_a_release() {
    let good = "log tmp tmp/pids tmp/cache/bootsnap storage public/uploads public/system vendor/bundle node_modules db/sqlite \
        config/credentials a A 0 a.b a-b a_b a..b a. _a a/b/c/d/e/f/g public/assets.v2 Import-2026";
    for text in good.split_ascii_whitespace() {
        assert_eq!(RelPath::try_from(text).unwrap().as_str(), text);
    }
    for text in include_str!("corpus/hostile_paths.txt").lines().map(unescaped) {
        assert!(RelPath::try_from(text.as_str()).is_err(), "{text:?} was accepted");
    }
    assert!(RelPath::try_from("a".repeat(201).as_str()).is_err());
}

#[test]
fn tasks_are_names_and_no_options() {
    for text in [
        "db:migrate",
        "assets:precompile",
        "tailwindcss:build",
        "a",
        "db:migrate:primary",
        "release_2",
        "x:y_z:a1",
    ] {
        assert_eq!(RakeTask::try_from(text).unwrap().as_str(), text);
    }
    for bad in [
        "",
        ":",
        "db:",
        ":migrate",
        "db::migrate",
        "-T",
        "--trace",
        "-e",
        "-rmalice",
        "-f/etc/x",
        "db:-x",
        "db migrate",
        "db:migrate\n",
        "db:migrate;id",
        "db:migrate[1]",
        "db:migrate[$(id)]",
        "A=b",
        "RAILS_ENV=test",
        "DB:Migrate",
        "db/migrate",
        "../x",
        "1a",
        "_a",
        "db:1a",
        "db.migrate",
        "db-migrate",
        "ä",
        "a\0",
        "a'b",
        "a\"b",
        "$x",
        "`id`",
        "a\u{202e}b",
    ] {
        assert!(RakeTask::try_from(bad).is_err(), "{bad:?} was accepted");
    }
    assert!(RakeTask::try_from("a".repeat(101).as_str()).is_err());
}

#[test]
fn databases_are_plain_names() {
    for text in [
        "cigar",
        "cigar_production",
        "app-cigar",
        "_x",
        "a",
        "cigar2",
        "public_site",
        "postgres_exporter",
        &"a".repeat(63),
    ] {
        assert_eq!(DatabaseName::try_from(text).unwrap().as_str(), text);
    }
    for bad in [
        "",
        "postgres",
        "template0",
        "template1",
        "public",
        "none",
        "pg_x",
        "pg_monitor",
        "pg_read_server_files",
        "Cigar",
        "1a",
        "-x",
        "--host=x",
        "a b",
        "a\"b",
        "a'b",
        "a;b",
        "a;drop database x",
        "\"; drop",
        "a\n",
        "a\0",
        "a.b",
        "a/b",
        "a\\b",
        "$1",
        "$$",
        "a=b",
        "host=x dbname=y",
        "postgres://x",
        "ä",
        "a\u{202e}",
        "a,b",
        "(a)",
        "a%b",
        "a@b",
        "*",
        "a:b",
        &"a".repeat(64),
    ] {
        assert!(DatabaseName::try_from(bad).is_err(), "{bad:?} was accepted");
    }
}

proptest! {
    #[test]
    fn what_was_parsed_parses_again_and_is_plain(text in prop_oneof![
        "[A-Z0-9_a-z]{0,12}", "[a-z0-9._/-]{0,20}", "[a-z:_0-9-]{0,16}", "[0-9]{8}T[0-9]{6}-[0-9a-g]{7}", "\\PC{0,20}", any::<String>(),
    ]) {
        let again = |name: Result<String, NameError>| match name {
            Ok(name) => name == text && text.bytes().all(|b| b.is_ascii_graphic()) && !text.starts_with('-'),
            Err(error) => error.to_string().chars().count() < 1_000 && !error.to_string().contains('\n'),
        };
        prop_assert!(again(text.parse().map(|n: EnvName| n.to_string())));
        prop_assert!(again(text.parse().map(|n: ReleaseId| n.to_string())));
        prop_assert!(again(text.parse().map(|n: RelPath| n.to_string())));
        prop_assert!(again(text.parse().map(|n: RakeTask| n.to_string())));
        prop_assert!(again(text.parse().map(|n: DatabaseName| n.to_string())));
    }

    #[test]
    fn users_of_apps_are_login_names(key in "[a-z]([a-z0-9-]{0,48}[a-z0-9])?") {
        let user = AppKey::try_from(key.as_str()).unwrap().user();
        prop_assert!(user.len() <= 31 && user.starts_with("app-") && !user.ends_with('-'), "{}", user);
    }
}
