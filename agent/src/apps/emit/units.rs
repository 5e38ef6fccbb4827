//! The units of an app: its service and socket, and what brings its secrets to it.

use hms_proto::{fault::Fault, host::v1::SecretDelivery};

use super::{
    shown, text,
    unit::{Unit, argument},
};
use crate::apps::{
    App, Facts, environment,
    secrets::{CREDENTIAL, HMS_EXEC},
};

/// What waits while the app is restarted. somaxconn is the kernel's own limit.
const BACKLOG: u32 = 4096;
/// puma pings twice as often. A master that is only busy must not be taken for one that hangs.
const WATCHDOG_S: u32 = 60;
/// Requests that are under way may take so long. puma stops when they are done.
const STOP_S: u32 = 45;

/// `puma-KEY.service`
pub(super) fn service(app: &App, facts: &Facts, secrets_version: u32) -> Result<String, Fault> {
    let has_secrets = secrets_version > 0;
    let plain = has_secrets && app.has_plain_environment();
    let unit = Unit::default().section("Unit").set("Description", format!("Rails app {}", app.key()));
    let unit = unit
        .set("Documentation", "man:systemd.service(5)")
        .set("Requires", app.socket_unit())
        .set_if(plain, "Wants", app.environment_unit())
        .set("After", after(app, plain))
        // Without its secrets it must not run: not even with those of another version.
        .set_if(plain, "AssertPathExists", shown(&app.environment_drop_in()))
        // It comes back whatever happens: what it waits for may take its time.
        .set("StartLimitIntervalSec", "0");
    let unit = run(unit.section("Service"), app, facts, has_secrets && !plain);
    let unit = sandbox(limits(unit, app), app);
    unit.section("Install").set("WantedBy", "multi-user.target").text(&text::head(app.key()))
}

fn after(app: &App, plain: bool) -> String {
    let mut after = vec!["network.target".to_owned(), app.socket_unit()];
    if plain {
        after.push(app.environment_unit());
    }
    if !app.spec().database_name.is_empty() {
        after.push("postgresql.service".to_owned());
    }
    after.join(" ")
}

fn run(unit: Unit, app: &App, facts: &Facts, sealed: bool) -> Unit {
    let spec = app.spec();
    let variables = environment::of_service(app);
    let mut command = vec![];
    if sealed {
        command.extend([HMS_EXEC.to_owned(), "--with".into(), CREDENTIAL.into(), "--".into()]);
    }
    command.push(format!("{}/bundle", spec.ruby_path));
    command.extend(["exec", "puma", "-C"].map(str::to_owned));
    command.push(shown(&app.puma_config()));
    // The program itself is not quoted: systemd takes no specifiers there.
    let command: Vec<String> = command
        .iter()
        .enumerate()
        .map(|(n, word)| if n == 0 { word.clone() } else { argument(word) })
        .collect();
    unit.set("Type", if facts.notify { "notify" } else { "exec" })
        .set_if(facts.notify, "WatchdogSec", WATCHDOG_S.to_string())
        .set("User", app.user())
        .set("Group", app.user())
        .set("WorkingDirectory", shown(&app.current()))
        .environment(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .set("ExecStart", command.join(" "))
        .set("RuntimeDirectory", app.control_folder())
        .set("RuntimeDirectoryMode", "0700")
        .set("UMask", "0027")
        .set("KillMode", "mixed")
        .set("Restart", "always")
        .set("RestartSec", "2")
        .set("TimeoutStartSec", spec.health_timeout_s.to_string())
        .set("TimeoutStopSec", STOP_S.to_string())
        // What it prints is its log: nothing of it is dropped.
        .set("LogRateLimitIntervalSec", "0")
        .set("SyslogIdentifier", app.key().as_str())
}

fn limits(unit: Unit, app: &App) -> Unit {
    let memory = app.spec().memory_max_bytes;
    unit.set_if(memory > 0, "MemoryMax", memory.to_string())
        .set("OOMPolicy", "continue")
        .set("LimitNOFILE", "65536")
        .set("TasksMax", "1024")
        // Secrets are in memory.
        .set("LimitCORE", "0")
}

fn sandbox(unit: Unit, app: &App) -> Unit {
    let in_home = app.spec().root.starts_with("/home/");
    unit.switch_on(&[
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "RestrictRealtime",
        "RestrictNamespaces",
        "RestrictSUIDSGID",
        "LockPersonality",
        "RemoveIPC",
    ])
    .set("ProtectSystem", "strict")
    .set("ProtectHome", if in_home { "no" } else { "yes" })
    .set("ProtectProc", "invisible")
    // Its releases are not among them: a running app cannot change its own code.
    .set("ReadWritePaths", shown(&app.shared()))
    .set("InaccessiblePaths", "-/var/lib/hms-agent -/var/lib/hms -/etc/hms -/var/log/nginx")
    .set("CapabilityBoundingSet", "")
    .set("AmbientCapabilities", "")
    .set("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK")
    .set("SystemCallArchitectures", "native")
    .set("SystemCallFilter", "@system-service")
    .set("SystemCallErrorNumber", "EPERM")
}

/// `puma-KEY.socket`
pub(super) fn socket(app: &App, facts: &Facts) -> Result<String, Fault> {
    let port = app.spec().port;
    let group = facts.web_group.as_deref().unwrap_or(app.user());
    Unit::default()
        .section("Unit")
        .set("Description", format!("Socket of the Rails app {}", app.key()))
        .section("Socket")
        .set("ListenStream", shown(&app.socket()))
        .set_if(port > 0, "ListenStream", format!("127.0.0.1:{port}"))
        // Root's: the app cannot make another one in its place.
        .set("SocketUser", "root")
        .set("SocketGroup", group)
        .set("SocketMode", "0660")
        .set("DirectoryMode", "0755")
        .set("Backlog", BACKLOG.to_string())
        .set("RemoveOnStop", "yes")
        .set_if(port > 0, "NoDelay", "yes")
        .section("Install")
        .set("WantedBy", "sockets.target")
        .text(&text::head(app.key()))
}

/// The drop-in that names the sealed secrets. systemd opens them for the service, and a service whose secrets cannot be
/// opened does not start.
pub(super) fn secrets(app: &App, version: u32) -> Result<String, Fault> {
    Unit::default()
        .section("Service")
        .set("LoadCredentialEncrypted", format!("{CREDENTIAL}:{}", shown(&app.sealed(version))))
        .text(&text::head(app.key()))
}

/// What writes the drop-in with the secrets themselves to memory, at boot and when they have changed.
pub(super) fn environment(app: &App, version: u32) -> Result<String, Fault> {
    let state = app.folder().ancestors().nth(2).map(shown).unwrap_or_default();
    Unit::default()
        .section("Unit")
        .set("Description", format!("Secrets of the Rails app {}", app.key()))
        .set("Before", app.service())
        .set("After", "dbus.socket")
        .set("Requires", "dbus.socket")
        .section("Service")
        .set("Type", "oneshot")
        .set("RemainAfterExit", "yes")
        .set("LoadCredentialEncrypted", format!("{CREDENTIAL}:{}", shown(&app.sealed(version))))
        .set(
            "ExecStart",
            format!(
                "/usr/bin/hms-agent write-environment {} --state {}",
                argument(app.key().as_str()),
                argument(&state)
            ),
        )
        .set("UMask", "0077")
        .set("LimitCORE", "0")
        .switch_on(&[
            "NoNewPrivileges",
            "PrivateTmp",
            "PrivateDevices",
            "PrivateNetwork",
            "ProtectControlGroups",
            "ProtectKernelModules",
            "ProtectKernelLogs",
            "RestrictNamespaces",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "LockPersonality",
            "MemoryDenyWriteExecute",
        ])
        .set("ProtectSystem", "strict")
        .set("ProtectHome", "yes")
        .set("ReadWritePaths", "/run/systemd")
        .set("CapabilityBoundingSet", "")
        .set("RestrictAddressFamilies", "AF_UNIX")
        .set("SystemCallArchitectures", "native")
        .text(&text::head(app.key()))
}

/// The drop-in with the secrets themselves. It is in memory only, and for root only; systemd shows what it says.
pub(crate) fn environment_drop_in(app: &App, variables: &[(String, String)]) -> Result<String, Fault> {
    debug_assert_eq!(app.spec().secret_delivery(), SecretDelivery::Environment);
    Unit::default()
        .section("Service")
        .environment(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .text(&text::head(app.key()))
}
