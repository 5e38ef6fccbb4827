//! The unit of a job that works on an app. Its process is root and writes to a few places of the host, which the agent itself
//! cannot; what comes from the app's repository runs in units of its own (`deploy/sandbox.rs`).

use std::{os::fd::OwnedFd, path::Path};

use hms_proto::{fault::Fault, names::JobId};
use zbus::Fd;

use super::{
    capabilities,
    record::{Record, Store},
    unit::{Set, program, words},
};
use crate::{deploy::Request, internal, systemd::transient::Properties};

/// Putting back includes a restart of the app, which has its time to get well.
const PUT_BACK_S: u64 = 180;
/// A quarter of what a service has: work on the host comes first.
const WEIGHT: u64 = 25;
/// It gives files to the app's user, and looks at what belongs to that user.
const CAPABILITIES: [&str; 4] = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER"];
/// Where it writes. A dash: not every host has it.
const WRITES: [&str; 4] = ["/etc/systemd/system", "/run/systemd", "-/etc/nginx", "-/etc/logrotate.d"];

/// Where a test wants the process to die, and where it writes what of its code was run.
const FAIL_AT: &str = "HMS_FAIL_AT";
const COVERAGE: &str = "LLVM_PROFILE_FILE";

/// The properties of the unit.
pub(super) fn properties(store: &Store, id: &JobId, record: &Record) -> Result<Properties, Fault> {
    let broken = |e: &dyn std::fmt::Display| internal(format!("cannot describe the unit of a job: {e}"));
    let text = store.request(id).map_err(|e| broken(&e))?.unwrap_or_default();
    let request: Request = serde_json::from_slice(&text).map_err(|e| broken(&e))?;
    let (output, notes) = store.streams(id).map_err(|e| broken(&e))?;
    let mut set = Set::default();
    commands(&mut set, id, record, &program().map_err(|e| broken(&e))?, store.state());
    if let Some(env) = request.env(store, id) {
        set.add("LoadCredentialEncrypted", vec![("env".to_owned(), env.to_string_lossy().into_owned())]);
    }
    limits(&mut set, record, &request);
    sandbox(&mut set, &request, store.state())?;
    set.add("StandardInput", "null");
    for (name, file) in [("StandardOutputFileDescriptor", output), ("StandardErrorFileDescriptor", notes)] {
        set.add(name, Fd::from(OwnedFd::from(file)));
    }
    set.finish()
}

fn commands(set: &mut Set, id: &JobId, record: &Record, run: &str, state: &Path) {
    let state = state.to_string_lossy();
    let one = |verb: &str| vec![(run.to_owned(), words(&[run, verb, id.as_str(), "--state", &state]), false)];
    set.add("Description", format!("HMS job {id}, app {}", record.job.app));
    set.add("Type", "exec");
    set.add("ExecStart", one("run-app-job"));
    // Puts back what the job left half done, and then notes its end, however the job ended.
    set.add("ExecStopPost", one("end-app-job"));
    set.add("CollectMode", "inactive-or-failed");
    set.add("WorkingDirectory", "/");
    set.add("UMask", 0o022_u32);
    let told: Vec<_> = [FAIL_AT, COVERAGE]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", of_tests(name)?)))
        .collect();
    if !told.is_empty() {
        set.add("Environment", told);
    }
}

/// What a test has told the agent; release builds do not listen.
fn of_tests(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|_| cfg!(debug_assertions))
}

fn limits(set: &mut Set, record: &Record, request: &Request) {
    let put_back = PUT_BACK_S + u64::from(request.spec.health_timeout_s);
    set.add("RuntimeMaxUSec", u64::from(record.timeout_s) * 1_000_000);
    set.add("TimeoutStopUSec", put_back * 1_000_000);
    set.add("KillMode", "mixed");
    set.add("SendSIGKILL", true);
    set.add("OOMPolicy", "stop");
    set.add("MemoryMax", record.memory_limit);
    set.add("TasksMax", 64_u64);
    set.add("LimitCORE", 0_u64);
    set.add("CPUWeight", WEIGHT);
    set.add("IOWeight", WEIGHT);
}

fn sandbox(set: &mut Set, request: &Request, state: &Path) -> Result<(), Fault> {
    // As with the agent, not ProtectControlGroups= nor ProtectKernelTunables=: with a /proc of its own, a container sees the
    // boot id of its machine.
    set.switch_on(&[
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectClock",
        "ProtectHostname",
        "RestrictRealtime",
        "LockPersonality",
    ]);
    set.add("ProtectSystem", "strict");
    let root = &request.spec.root;
    set.add("ProtectHome", if root.starts_with("/home/") { "no" } else { "yes" });
    set.add("RestrictNamespaces", 0_u64);
    set.add("SystemCallArchitectures", words(&["native"]));
    set.add("RestrictAddressFamilies", (true, words(&["AF_UNIX", "AF_INET", "AF_INET6"])));
    let mut writes = words(&WRITES);
    writes.push(state.to_string_lossy().into_owned());
    writes.push(parent_that_is_there(Path::new(root)).to_string_lossy().into_owned());
    let coverage = of_tests(COVERAGE);
    writes.extend(coverage.and_then(|file| Some(Path::new(&file).parent()?.to_string_lossy().into_owned())));
    set.add("ReadWritePaths", writes);
    // Below /etc: not every host has it from the start.
    set.add("ConfigurationDirectory", words(&["logrotate.d"]));
    // /var/lib/hms-acme, which nginx serves for certificate authorities.
    set.add("StateDirectory", words(&["hms-acme"]));
    set.add("StateDirectoryMode", 0o755_u32);
    set.add("CapabilityBoundingSet", capabilities::set(&words(&CAPABILITIES))?);
    Ok(())
}

/// The folder in which the app's folder is, or has to be made with those above it.
fn parent_that_is_there(root: &Path) -> &Path {
    root.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or(Path::new("/srv"))
}
