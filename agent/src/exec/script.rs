//! The launcher of a script, `hms-agent run-script`: the main process of a job's unit. It runs the very bytes whose hash
//! it checked, in an environment built from nothing, and keeps their output up to a limit.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
};

use hms_proto::script::{LONGEST, sha256};
use rustix::fs::{MemfdFlags, SealFlags};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::launch::{End, LAUNCH, Launch, Note, Notebook, SCRIPT};
use crate::{files, now_usec};

/// Where programs are looked for.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As shells have it, for a script that could not be run.
const CANNOT_RUN: u8 = 127;
const LAUNCH_MOST: u64 = 1 << 20;
const BUFFER: usize = 64 * 1024;

/// Runs the script that the unit's credentials hold. Standard output is the job's output, standard error its notes.
pub(crate) fn run() -> ExitCode {
    let mut notes = Notebook(io::stderr());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| runtime.block_on(run_credentials(&mut notes)));
    match ended {
        Ok(status) => exit_code(status),
        Err(error) => {
            notes.write(&Note::Failed(error.to_string()));
            ExitCode::from(CANNOT_RUN)
        }
    }
}

async fn run_credentials(notes: &mut Notebook<io::Stderr>) -> io::Result<ExitStatus> {
    // Its notes and its output are not for the script, which may run as the same user.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("systemd handed over no credentials"))?;
    let launch: Launch = serde_json::from_slice(&credential(&folder, LAUNCH, LAUNCH_MOST)?)?;
    let script = credential(&folder, SCRIPT, LONGEST as u64 + 1)?;
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    run_script(&launch, &script, output, notes).await
}

fn credential(folder: &Path, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let read = files::read_if_there(&folder.join(name), most)?;
    read.ok_or_else(|| io::Error::other(format!("systemd handed over no credential `{name}`")))
}

/// Runs a script to its end.
pub(super) async fn run_script<W: io::Write>(
    launch: &Launch,
    script: &[u8],
    output: File,
    notes: &mut Notebook<W>,
) -> io::Result<ExitStatus> {
    // systemd sends SIGTERM to all processes of the unit: what the script says to it must still be written down. It
    // is caught and not ignored, because the script would inherit that.
    let _term = signal(SignalKind::terminate())?;
    notes.write(&Note::Began(now_usec()));
    let (mut child, mut pipe) = spawn(launch, script)?;
    let mut kept = Kept::new(output, launch.output_limit);
    let status = pump(&mut child, &mut pipe, &mut kept, notes).await?;
    let ended_usec = now_usec();
    if let Err(error) = kept.file.sync_data() {
        kept.give_up(notes, &error);
    }
    notes.write(&Note::Ended(end_of(status, ended_usec)));
    Ok(status)
}

fn spawn(launch: &Launch, script: &[u8]) -> io::Result<(Child, Receiver)> {
    if sha256(script) != launch.sha256 {
        return Err(io::Error::other(format!(
            "`{}` was changed between its delivery and its start",
            launch.script
        )));
    }
    let sealed = seal(&launch.script, script)?;
    let (interpreter, option) = interpreter(script)?;
    let (reader, writer) = io::pipe()?;
    #[expect(clippy::disallowed_methods, reason = "this is the module that starts processes")]
    let mut command = Command::new(interpreter);
    command
        .args(option)
        .arg(format!("/proc/self/fd/{}", sealed.as_raw_fd()))
        .args(&launch.arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/")
        .env("HMS_JOB", &launch.id)
        .env("HMS_HOST", &launch.host)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let child = command
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("cannot start {}: {e}", interpreter.display())))?;
    // The command holds the writing end, which would keep the pipe open.
    drop(command);
    Ok((child, Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

/// The script in memory, where nobody can change it any more.
fn seal(name: &str, script: &[u8]) -> io::Result<OwnedFd> {
    // Not closed on exec: the interpreter opens it by its number.
    let fd = rustix::fs::memfd_create(name, MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(script)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// The program on the first line and its one argument, as the kernel reads them (execve(2)). The kernel is not asked to
/// run the script itself: it may be set up to run nothing that is only in memory (vm.memfd_noexec).
fn interpreter(script: &[u8]) -> io::Result<(&Path, Option<&std::ffi::OsStr>)> {
    let line = script.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_prefix(b"#!").ok_or_else(|| io::Error::other("the script has no `#!` line"))?;
    let line = line.trim_ascii();
    let end = line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    let option = line[end..].trim_ascii();
    let text = std::ffi::OsStr::from_bytes;
    Ok((Path::new(text(&line[..end])), (!option.is_empty()).then(|| text(option))))
}

/// Copies output until the script has ended.
async fn pump<W: io::Write>(
    child: &mut Child,
    pipe: &mut Receiver,
    kept: &mut Kept,
    notes: &mut Notebook<W>,
) -> io::Result<ExitStatus> {
    let mut buffer = vec![0; BUFFER];
    let status = loop {
        tokio::select! {
            read = pipe.read(&mut buffer) => match read? {
                // Closed by the script and everything it started, which may go on without a word.
                0 => return child.wait().await,
                n => kept.take(&buffer[..n], notes),
            },
            status = child.wait() => break status?,
        }
    };
    // What it wrote before it ended is in the pipe now. There may be no end of file: what it left behind has the pipe.
    let mut left = usize::try_from(rustix::io::ioctl_fionread(pipe.as_fd())?).unwrap_or(0);
    while left > 0 {
        match rustix::io::read(pipe.as_fd(), &mut buffer[..left.min(BUFFER)]) {
            Ok(0) => break,
            Ok(n) => {
                kept.take(&buffer[..n], notes);
                left -= n;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    Ok(status)
}

/// The output that is kept.
struct Kept {
    file: File,
    room: u64,
    dropping: bool,
}

impl Kept {
    fn new(file: File, limit: u64) -> Self {
        Self { file, room: limit, dropping: false }
    }

    /// Keeps what there is room for.
    fn take<W: io::Write>(&mut self, bytes: &[u8], notes: &mut Notebook<W>) {
        if self.dropping {
            return;
        }
        let fits = bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
        if let Err(error) = self.file.write_all(&bytes[..fits]) {
            return self.give_up(notes, &error);
        }
        self.room -= fits as u64;
        if fits < bytes.len() {
            self.dropping = true;
            notes.write(&Note::Dropping(String::new()));
        }
    }

    /// The script goes on, but its output cannot be kept: a full disk, most likely.
    fn give_up<W: io::Write>(&mut self, notes: &mut Notebook<W>, error: &io::Error) {
        self.dropping = true;
        notes.write(&Note::Dropping(error.to_string()));
    }
}

fn end_of(status: ExitStatus, at: i64) -> End {
    let killed_by_signal = status.code().is_none();
    let status = status.code().or_else(|| status.signal()).unwrap_or(-1);
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    let Ok(usage) = usage else { return End { at, status, killed_by_signal, ..End::default() } };
    let usec = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let cpu = usec(usage.user_time()) + usec(usage.system_time());
    End {
        at,
        status,
        killed_by_signal,
        peak_memory: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
        cpu_usec: u64::try_from(cpu).unwrap_or(0),
    }
}

/// As shells say it: 128 and the number for a signal. The notes tell the two apart.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
