//! Short pieces of work in a unit of their own, which systemd starts, confines and cleans up after.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::fd::AsFd as _,
    time::Duration,
};

use hms_proto::fault::{Fault, FaultKind};
use rustix::fs::MemfdFlags;
use zbus::{Fd, Variant};

use super::{
    bus::{Session, fault_of},
    transient::{Properties, job_ended},
};

/// How much a piece of work may print, unless it says otherwise.
const OUTPUT_MAX: u64 = 256 * 1024;
const MIB: u64 = 1024 * 1024;

/// A program to run, and what it may see.
#[derive(Default)]
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
    /// What it reads. It is passed in memory.
    pub(crate) input: Vec<u8>,
    /// Folders and files that it may write to.
    pub(crate) writable: Vec<String>,
    /// Whom it runs as. Empty: root.
    pub(crate) user: String,
    /// How much it may print, and write to any file; 0: what is usual.
    pub(crate) output_most: u64,
    /// Capabilities it needs, as numbers of linux/capability.h.
    pub(crate) capabilities: &'static [u8],
    /// It is killed after this.
    pub(crate) limit: Duration,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it reads may be secret.
        f.debug_struct("Work")
            .field("unit", &self.unit)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// done, failed, timeout.
    pub(crate) result: String,
    /// What it printed, mixed.
    pub(crate) output: String,
}

impl Work {
    fn output_most(&self) -> u64 {
        if self.output_most == 0 { OUTPUT_MAX } else { self.output_most }
    }
}

/// Runs it to its end. It has no network, sees a system that it cannot write to, and its output is kept apart.
pub(crate) async fn run(session: &Session, work: &Work) -> Result<Done, Fault> {
    let broken = |e: io::Error| {
        Fault::new(FaultKind::Failed, format!("cannot hold the output of `{}`: {e}", work.unit))
    };
    let output = memfd(&[]).map_err(broken)?;
    let input = memfd(&work.input).map_err(broken)?;
    let mut signals = session.signals();
    let properties = properties(work, &input, &output)?;
    let job = session
        .manager
        .start_transient_unit(work.unit.clone(), "fail".to_owned(), properties, Vec::new())
        .await
        .map_err(|e| fault_of(&e, &work.unit))?;
    // systemd ends it by itself; this is for the day it does not.
    let limit = work.limit + Duration::from_secs(10);
    let result = job_ended(&mut signals, &job, limit).await?;
    Ok(Done { result, output: read(output, work.output_most()).map_err(broken)? })
}

fn memfd(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("hms-work", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

fn read(mut file: File, most: u64) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn properties(work: &Work, input: &File, output: &File) -> Result<Properties, Fault> {
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
    let mut values: Vec<(&str, Variant<'_>)> = vec![
        ("Description", text(&work.description)),
        ("Type", text("oneshot")),
        ("CollectMode", text("inactive-or-failed")),
        ("ExecStart", Variant::from(commands)),
        ("TimeoutStartUSec", Variant::from(micros)),
        ("StandardInputFileDescriptor", Variant::from(Fd::from(input.as_fd()))),
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
        ("LimitFSIZE", Variant::from(work.output_most())),
        ("LimitCORE", Variant::from(0_u64)),
        ("ReadWritePaths", Variant::from(work.writable.clone())),
    ];
    if !work.user.is_empty() {
        values.push(("User", text(&work.user)));
    }
    let own = |(name, value): (&str, Variant<'_>)| {
        let value = value
            .try_to_owned()
            .map_err(|e| crate::internal(format!("cannot pass {name} to systemd: {e}")))?;
        Ok((name.to_owned(), value))
    };
    values.into_iter().map(own).collect()
}
