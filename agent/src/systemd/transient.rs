//! Short pieces of work in a unit of their own, which systemd starts, confines and cleans up after.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::fd::AsFd as _,
    time::Duration,
};

use hms_proto::fault::{Fault, FaultKind};
use rustix::fs::MemfdFlags;
use tokio::sync::broadcast;
use zbus::{Fd, OwnedObjectPath, OwnedVariant, Variant};

use super::{
    action::job_result,
    bus::{Session, Signal, fault_of},
};

/// How much a piece of work may print.
const OUTPUT_MAX: u64 = 256 * 1024;
const MIB: u64 = 1024 * 1024;

/// A program to run, and what it may see.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Name of the unit.
    pub(crate) unit: String,
    /// For whoever lists units.
    pub(crate) description: String,
    /// The program with its arguments.
    pub(crate) command: Vec<String>,
    /// Folders and files that it sees in the place of others: from, to.
    pub(crate) binds: Vec<(String, String)>,
    /// Folders that are empty and in memory for it.
    pub(crate) empty: Vec<String>,
    /// Capabilities it needs, as numbers of linux/capability.h.
    pub(crate) capabilities: &'static [u8],
    /// It is killed after this.
    pub(crate) limit: Duration,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// done, failed, timeout.
    pub(crate) result: String,
    /// What it printed, mixed.
    pub(crate) output: String,
}

/// Runs it to its end. It has no network, sees a system that it cannot write to, and its output is kept apart.
pub(crate) async fn run(session: &Session, work: &Work) -> Result<Done, Fault> {
    let broken = |e: io::Error| {
        Fault::new(FaultKind::Failed, format!("cannot hold the output of `{}`: {e}", work.unit))
    };
    let output = memfd().map_err(broken)?;
    let mut signals = session.signals();
    let properties = properties(work, &output)?;
    let job = session
        .manager
        .start_transient_unit(work.unit.clone(), "fail".to_owned(), properties, Vec::new())
        .await
        .map_err(|e| fault_of(&e, &work.unit))?;
    // systemd ends it by itself; this is for the day it does not.
    let limit = work.limit + Duration::from_secs(10);
    let result = job_ended(&mut signals, &job, limit).await?;
    Ok(Done { result, output: read(output).map_err(broken)? })
}

/// How a job ended, if it does within this time.
pub(crate) async fn job_ended(
    signals: &mut broadcast::Receiver<Signal>,
    job: &OwnedObjectPath,
    limit: Duration,
) -> Result<String, Fault> {
    let ended = tokio::time::timeout(limit, job_result(signals, job)).await;
    ended.map_err(|_| Fault::new(FaultKind::Unknown, "a job of systemd did not end in time"))?
}

fn memfd() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("hms-output", MemfdFlags::CLOEXEC)?))
}

fn read(mut file: File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn properties(work: &Work, output: &File) -> Result<Vec<(String, OwnedVariant)>, Fault> {
    let micros = u64::try_from(work.limit.as_micros()).unwrap_or(u64::MAX);
    let program = work.command.first().cloned().unwrap_or_default();
    let commands: Vec<(String, Vec<String>, bool)> = vec![(program, work.command.clone(), false)];
    let binds: Vec<(String, String, bool, u64)> =
        work.binds.iter().map(|(from, to)| (from.clone(), to.clone(), false, 0)).collect();
    let empty: Vec<(String, String)> =
        work.empty.iter().map(|path| (path.clone(), "mode=0755".to_owned())).collect();
    let capabilities = work.capabilities.iter().fold(0_u64, |set, bit| set | 1 << bit);
    let text = |text: &str| Variant::from(text.to_owned());
    let fd = || Variant::from(Fd::from(output.as_fd()));
    let values: Vec<(&str, Variant<'_>)> = vec![
        ("Description", text(&work.description)),
        ("Type", text("oneshot")),
        ("CollectMode", text("inactive-or-failed")),
        ("ExecStart", Variant::from(commands)),
        ("TimeoutStartUSec", Variant::from(micros)),
        ("StandardInput", text("null")),
        ("StandardOutputFileDescriptor", fd()),
        ("StandardErrorFileDescriptor", fd()),
        ("Environment", Variant::from(vec!["LC_ALL=C.UTF-8".to_owned()])),
        ("BindReadOnlyPaths", Variant::from(binds)),
        ("TemporaryFileSystem", Variant::from(empty)),
        ("CapabilityBoundingSet", Variant::from(capabilities)),
        ("NoNewPrivileges", Variant::from(true)),
        ("PrivateNetwork", Variant::from(true)),
        ("PrivateDevices", Variant::from(true)),
        ("PrivateTmp", Variant::from(true)),
        ("ProtectSystem", text("strict")),
        ("ProtectHome", text("yes")),
        ("ProtectControlGroups", Variant::from(true)),
        ("ProtectKernelTunables", Variant::from(true)),
        ("RestrictSUIDSGID", Variant::from(true)),
        ("MemoryMax", Variant::from(512 * MIB)),
        ("TasksMax", Variant::from(64_u64)),
        ("LimitFSIZE", Variant::from(OUTPUT_MAX)),
        ("LimitCORE", Variant::from(0_u64)),
    ];
    let own = |(name, value): (&str, Variant<'_>)| {
        let value = value
            .try_to_owned()
            .map_err(|e| crate::internal(format!("cannot pass {name} to systemd: {e}")))?;
        Ok((name.to_owned(), value))
    };
    values.into_iter().map(own).collect()
}
