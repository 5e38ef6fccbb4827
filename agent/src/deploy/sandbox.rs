//! What comes out of a repository runs in units of its own: as the app's user, without capabilities, with the few folders that it
//! may write to. Such a unit ends with the job that it belongs to.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use hms_proto::fault::{Fault, FaultKind};
use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver, task::JoinHandle};
use zbus::Fd;

use super::output::Output;
use crate::{
    internal,
    jobs::{Set, words},
    systemd::{
        Session, fault_of, path_of_name,
        transient::{self, Properties, WALLS, job_ended},
    },
};

const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// A quarter of what a service has: visitors come first.
const WEIGHT: u64 = 25;
const STOP_USEC: u64 = 10_000_000;
const TASKS: u64 = 512;
/// No file of a release is as large; a pack of git may be.
const FILE_MOST: u64 = 4 * 1024 * 1024 * 1024;
const GIB: u64 = 1024 * 1024 * 1024;
/// After a unit is gone, what it printed is here in a moment.
const REST: Duration = Duration::from_secs(10);
/// How often the room that a step takes is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A program, or several one after the other, and what it may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Confined {
    /// Name of the unit.
    pub(crate) unit: String,
    /// The unit of the job that it belongs to.
    pub(crate) job: String,
    /// For whoever lists units.
    pub(crate) description: String,
    /// Programs with their arguments.
    pub(crate) commands: Vec<Vec<String>>,
    /// Who runs it.
    pub(crate) user: String,
    /// All of its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Sealed credentials: name and file.
    pub(crate) sealed: Vec<(String, PathBuf)>,
    /// Public ones: name and content.
    pub(crate) public: Vec<(String, Vec<u8>)>,
    /// Where it begins.
    pub(crate) folder: PathBuf,
    /// The app's folder.
    pub(crate) root: PathBuf,
    /// What it may write to.
    pub(crate) writes: Vec<PathBuf>,
    /// What it must not even see, besides the usual.
    pub(crate) hidden: Vec<String>,
    /// A folder below /run that it gets for itself.
    pub(crate) runtime: String,
    /// Whether it has the host's network.
    pub(crate) network: bool,
    /// It is killed after this.
    pub(crate) limit: Duration,
    /// Memory that it may use; 0: the usual.
    pub(crate) memory: u64,
    /// A folder that may not grow beyond so many bytes and entries.
    pub(crate) quota: Option<(PathBuf, Quota)>,
}

/// How much room something may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Files and folders.
    pub(crate) entries: u64,
}

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// systemd's word: success, exit-code, signal, timeout, oom-kill, ...
    pub(crate) result: String,
    /// Exit status, or the signal.
    pub(crate) status: i32,
}

impl Ended {
    /// As in "`rake db:migrate` …".
    pub(crate) fn words(&self, limit: Duration) -> String {
        match self.result.as_str() {
            "exit-code" => format!("ended with exit status {}", self.status),
            "signal" | "core-dump" => format!("was ended by signal {}", self.status),
            "timeout" => format!("took longer than {} s", limit.as_secs()),
            "oom-kill" => "needed more memory than there is for it".to_owned(),
            "resources" => "could not be set up by systemd".to_owned(),
            other => format!("ended as {other}"),
        }
    }
}

/// Runs it to its end; what it prints goes to the output as it comes.
pub(crate) async fn run(session: &Session, confined: &Confined, output: &Output) -> Result<Ended, Fault> {
    let unit = confined.unit.clone();
    let (reader, writer) = io::pipe().map_err(broken)?;
    let mut signals = session.signals();
    let properties = properties(confined, "oneshot", OwnedFd::from(writer))?;
    let job =
        session.manager.start_transient_unit(unit.clone(), "fail".to_owned(), properties, Vec::new()).await;
    let job = job.map_err(|e| fault_of(&e, &unit))?;
    let pump = pump(reader, output.clone())?;
    let limit = confined.limit + Duration::from_secs(60);
    let result = tokio::select! {
        result = job_ended(&mut signals, &job, limit) => result,
        fault = grows_too_large(confined) => {
            transient::stop(session, &unit, transient::STOP).await?;
            Err(fault)
        }
    };
    let ended = read(session, &unit).await;
    // It was kept for this look; with it goes systemd's end of the pipe.
    drop(session.manager.unref_unit(unit).await);
    drop(tokio::time::timeout(REST, pump).await);
    match (result?.as_str(), ended) {
        ("done", _) => Ok(Ended { result: "success".to_owned(), status: 0 }),
        (_, Ok(ended)) if ended.result != "success" => Ok(ended),
        (word, _) => Ok(Ended { result: word.to_owned(), status: 0 }),
    }
}

/// Runs it, and makes a fault of any end but a good one.
pub(crate) async fn run_well(
    session: &Session,
    confined: &Confined,
    output: &Output,
    what: &str,
) -> Result<(), Fault> {
    let ended = run(session, confined, output).await?;
    if ended.result == "success" {
        return Ok(());
    }
    if ended.result == "canceled" {
        // Whoever stops the job stops this first. The job is told in a moment.
        tokio::time::sleep(REST).await;
    }
    Err(Fault::new(FaultKind::Failed, format!("{what} {}", ended.words(confined.limit))))
}

/// A program that goes on until it is stopped.
pub(crate) struct Running<'a> {
    session: &'a Session,
    unit: String,
    pump: JoinHandle<()>,
}

/// Starts it.
pub(crate) async fn start<'a>(
    session: &'a Session,
    confined: &Confined,
    output: &Output,
) -> Result<Running<'a>, Fault> {
    let (reader, writer) = io::pipe().map_err(broken)?;
    let properties = properties(confined, "exec", OwnedFd::from(writer))?;
    let started = transient::start(session, &confined.unit, properties).await?;
    let running = Running { session, unit: confined.unit.clone(), pump: pump(reader, output.clone())? };
    if started {
        return Ok(running);
    }
    let ended = running.ended().await?;
    running.stop().await?;
    let words = ended.unwrap_or_default().words(confined.limit);
    Err(Fault::new(FaultKind::Failed, format!("it could not be started: it {words}")))
}

impl Running<'_> {
    /// How it ended, if it has.
    pub(crate) async fn ended(&self) -> Result<Option<Ended>, Fault> {
        let alive = transient::alive(self.session, vec![self.unit.clone()]).await?;
        if !alive.is_empty() {
            return Ok(None);
        }
        read(self.session, &self.unit).await.map(Some).map_err(|e| fault_of(&e, &self.unit))
    }

    /// Stops it, and waits until nothing of it is left.
    pub(crate) async fn stop(self) -> Result<(), Fault> {
        transient::stop(self.session, &self.unit, transient::STOP).await?;
        drop(self.session.manager.unref_unit(self.unit).await);
        drop(tokio::time::timeout(REST, self.pump).await);
        Ok(())
    }
}

fn broken(error: io::Error) -> Fault {
    internal(format!("cannot take what a program prints: {error}"))
}

fn pump(reader: io::PipeReader, output: Output) -> Result<JoinHandle<()>, Fault> {
    let mut pipe = Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(broken)?;
    Ok(tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
            output.take(&buffer[..length]);
        }
    }))
}

async fn read(session: &Session, unit: &str) -> zbus::Result<Ended> {
    let path = path_of_name(unit);
    let result = session.property(&path, SERVICE, "Result").await?;
    let status = session.property(&path, SERVICE, "ExecMainStatus").await?;
    Ok(Ended { result, status })
}

/// Comes back when what the program makes is larger than it may be.
async fn grows_too_large(confined: &Confined) -> Fault {
    let Some((folder, quota)) = confined.quota.clone() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        let folder = folder.clone();
        let fits = crate::blocking(move || Ok(fits(&folder, quota))).await;
        if let Ok(false) = fits {
            let (mib, entries) = (quota.bytes / 1024 / 1024, quota.entries);
            let message = format!("it is larger than {mib} MiB, or has more than {entries} files");
            return Fault::new(FaultKind::Failed, message);
        }
    }
}

/// Whether a folder keeps within its room. Links are not followed.
pub(crate) fn fits(folder: &Path, quota: Quota) -> bool {
    let (mut bytes, mut entries, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        // What goes away meanwhile takes no room.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            (bytes, entries) = (bytes + about.len(), entries + 1);
            if bytes > quota.bytes || entries > quota.entries {
                return false;
            }
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    true
}

fn properties(confined: &Confined, kind: &str, output: OwnedFd) -> Result<Properties, Fault> {
    let mut set = Set::default();
    let command = |argv: &Vec<String>| (argv.first().cloned().unwrap_or_default(), argv.clone(), false);
    set.add("Description", confined.description.clone());
    set.add("Type", kind);
    set.add("ExecStart", confined.commands.iter().map(command).collect::<Vec<_>>());
    set.add("CollectMode", "inactive-or-failed");
    set.add("AddRef", true);
    set.add("BindsTo", vec![confined.job.clone()]);
    set.add("After", vec![confined.job.clone()]);
    set.add("StandardInput", "null");
    set.add("StandardOutputFileDescriptor", Fd::from(output.try_clone().map_err(broken)?));
    set.add("StandardErrorFileDescriptor", Fd::from(output));
    set.add("User", confined.user.clone());
    set.add("WorkingDirectory", confined.folder.to_string_lossy().into_owned());
    set.add("UMask", 0o022_u32);
    let pair = |(name, value): &(String, String)| format!("{name}={value}");
    set.add("Environment", confined.environment.iter().map(pair).collect::<Vec<_>>());
    let sealed =
        confined.sealed.iter().map(|(name, file)| (name.clone(), file.to_string_lossy().into_owned()));
    set.add("LoadCredentialEncrypted", sealed.collect::<Vec<_>>());
    set.add("SetCredential", confined.public.clone());
    if !confined.runtime.is_empty() {
        set.add("RuntimeDirectory", vec![confined.runtime.clone()]);
        set.add("RuntimeDirectoryMode", 0o700_u32);
    }
    limits(&mut set, confined, kind);
    walls(&mut set, confined);
    set.finish()
}

fn limits(set: &mut Set, confined: &Confined, kind: &str) {
    let limit = u64::try_from(confined.limit.as_micros()).unwrap_or(u64::MAX);
    set.add(if kind == "oneshot" { "TimeoutStartUSec" } else { "RuntimeMaxUSec" }, limit);
    set.add("TimeoutStopUSec", STOP_USEC);
    set.add("KillMode", "control-group");
    set.add("SendSIGKILL", true);
    set.add("OOMPolicy", "stop");
    set.add("OOMScoreAdjust", 300_i32);
    set.add("MemoryMax", confined.memory.max(2 * GIB));
    set.add("TasksMax", TASKS);
    set.add("LimitFSIZE", FILE_MOST);
    set.add("LimitCORE", 0_u64);
    set.add("CPUWeight", WEIGHT);
    set.add("IOWeight", WEIGHT);
}

fn walls(set: &mut Set, confined: &Confined) {
    set.switch_on(&WALLS);
    set.add("CapabilityBoundingSet", 0_u64);
    set.add("AmbientCapabilities", 0_u64);
    set.add("ProtectSystem", "strict");
    set.add("ProtectProc", "invisible");
    set.add("RestrictNamespaces", 0_u64);
    set.add("SystemCallArchitectures", words(&["native"]));
    set.add("RestrictAddressFamilies", (true, words(&["AF_UNIX", "AF_INET", "AF_INET6"])));
    set.add("PrivateNetwork", !confined.network);
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    if confined.root.starts_with("/home") {
        set.add("ProtectHome", "tmpfs");
        let root = text(&confined.root);
        set.add("BindReadOnlyPaths", vec![(root.clone(), root, false, 0_u64)]);
    } else {
        set.add("ProtectHome", "yes");
    }
    set.add("ReadWritePaths", confined.writes.iter().map(text).collect::<Vec<_>>());
    let mut hidden = words(&[
        "-/var/lib/hms-agent",
        "-/var/lib/hms",
        "-/var/log/nginx",
        "-/run/dbus",
        "-/var/lib/systemd/credential.secret",
    ]);
    hidden.extend(confined.hidden.iter().map(|path| format!("-{path}")));
    set.add("InaccessiblePaths", hidden);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 70.
    #[test]
    fn a_folder_that_grows_too_large_is_seen_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let quota = |bytes, entries| fits(folder.path(), Quota { bytes, entries });
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), [0; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        assert!(quota(1_000_000, 3) && !quota(99_999, 3) && !quota(1_000_000, 2));
    }

    #[test]
    fn how_a_program_ended_is_put_in_words() {
        let words =
            |result: &str, status| Ended { result: result.into(), status }.words(Duration::from_secs(60));
        assert_eq!(words("exit-code", 3), "ended with exit status 3");
        assert_eq!(words("signal", 9), "was ended by signal 9");
        assert_eq!(words("timeout", 15), "took longer than 60 s");
        assert_eq!(words("oom-kill", 9), "needed more memory than there is for it");
    }
}
