//! Where a secret could come to light: on the disk and in the memory of a host, in what it says, and in what HMS answers.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::testbed::Host;

use super::forms::{CONTROL, forms};
use super::tape::{HEADS, HMSCTL, PAGES, REST, Tape};

/// Between two looks at all processes.
const GLANCE: Duration = Duration::from_millis(10);

/// A place: its name, and the files and folders that it is.
pub(super) type Place = (&'static str, Vec<PathBuf>);

/// Folders of the host.
const FOLDERS: &[(&str, &[&str])] = &[
    ("state of the agent", &["/var/lib/hms-agent"]),
    ("state of the controller", &["/var/lib/hms-controller"]),
    ("files of the database", &["/var/lib/postgresql"]),
    ("units", &["/etc/systemd", "/run/systemd/system", "/run/systemd/transient", "/run/systemd/generator"]),
    ("nginx", &["/etc/nginx", "/var/log/nginx"]),
    ("logs", &["/var/log"]),
    ("the app's folder", &["/srv"]),
    ("settings of the host", &["/etc"]),
    ("temporary files, core dumps", &["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib/systemd", "/root"]),
];

/// A path of a host as the machine sees it.
fn seen_from_here(host: &Host, path: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(format!("/proc/{}/root{path}", host.leader()?.as_raw_nonzero())))
}

/// All forms of what must be found.
pub(super) fn control_text(control: &str) -> String {
    forms(control.as_bytes()).into_iter().map(|(_, form)| format!("{form}\n")).collect()
}

/// Puts the control into each place that it does not come to by itself.
pub(super) async fn plant(host: &Host, tape: &Tape, control: &str) -> Result<()> {
    let text = control_text(control);
    for (_, folders) in FOLDERS {
        for folder in folders.iter().filter(|folder| **folder != "/run/systemd/generator") {
            host.run(&["mkdir", "-p", folder]).await?;
            host.write_file_mode(format!("{folder}/{CONTROL}"), &text, 0o600).await?;
        }
    }
    host.run_with(&["logger", "--tag", CONTROL], text.as_bytes()).await?;
    let one_line = text.replace('\n', ",");
    let variable = format!("--setenv=CONTROL={one_line}");
    let sleeps = ["/bin/sh", "-c", "sleep 900; exit", &one_line];
    host.run(&[&["systemd-run", "--unit=control", &variable], &sleeps[..]].concat()).await?;
    let keep = format!("CREATE TABLE control AS SELECT '{text}' AS value; CHECKPOINT");
    host.run(&["runuser", "-u", "postgres", "--", "psql", "-qc", &keep, "hosting_production"]).await?;
    for place in ["output of jobs", "output of programs on the host", "files of hmsctl", "live streams"] {
        tape.keep(place, &text)?;
    }
    Ok(())
}

/// What is only there while somebody asks for it is written to the tape, and all places are named.
pub(super) async fn all(host: &Host, tape: &Tape, terminals: &Path) -> Result<Vec<Place>> {
    said(host, tape, "journal", &["journalctl", "--no-pager", "--output=export"]).await?;
    said(host, tape, "database", &["runuser", "-u", "postgres", "--", "pg_dump", "hosting_production"])
        .await?;
    said(host, tape, "systemctl", &["systemctl", "show", "--all", "*"]).await?;
    said(
        host,
        tape,
        "systemctl",
        &["sh", "-c", "systemctl cat 'hms-*' 'puma-*'; systemctl status --lines=50; true"],
    )
    .await?;
    for unit in ["control.service", "puma-tobacco.service", "hms-agent.service", "hms-controller.service"] {
        let path = format!("/org/freedesktop/systemd1/unit/{}", bus_label(unit));
        let ask = ["busctl", "introspect", "--full", "org.freedesktop.systemd1", &path];
        said(host, tape, "D-Bus, as nobody", &[&["runuser", "-u", "nobody", "--"], &ask[..]].concat())
            .await?;
    }
    let taped = [
        PAGES,
        REST,
        HEADS,
        HMSCTL,
        "journal",
        "database",
        "systemctl",
        "D-Bus, as nobody",
        "command lines",
        "environments",
        "output of jobs",
        "output of programs on the host",
        "live streams",
    ];
    let mut places: Vec<Place> = taped.iter().map(|place| (*place, vec![tape.folder(place)])).collect();
    places.push(("files of hmsctl", vec![terminals.to_owned(), tape.folder("files of hmsctl")]));
    for (name, folders) in FOLDERS {
        let seen = folders.iter().map(|folder| seen_from_here(host, folder)).collect::<Result<_>>()?;
        places.push((*name, seen));
    }
    Ok(places)
}

async fn said(host: &Host, tape: &Tape, place: &str, argv: &[&str]) -> Result<()> {
    let mut command = host.command(argv)?;
    // Bytes as they are, and too many for memory.
    let file = File::create(tape.file(place)?)?;
    let status = command.stdout(file.try_clone()?).stderr(file).status().await?;
    ensure!(status.success(), "{argv:?} ended with {status}");
    Ok(())
}

/// systemd's escaping of unit names in object paths (sd_bus_path_encode(3)).
fn bus_label(unit: &str) -> String {
    let escape =
        |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:02x}", u32::from(c)) };
    unit.chars().map(escape).collect()
}

/// Looks at the command lines and the environments of all processes of a host, over and over.
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

#[derive(Default)]
struct Seen {
    looks: usize,
    arguments: HashSet<Vec<u8>>,
    /// With whose process had it.
    variables: HashSet<(u32, Vec<u8>)>,
}

impl Watcher {
    pub(super) fn start(host: &Host) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, leader) = (stop.clone(), host.leader()?.as_raw_nonzero());
        let thread = std::thread::spawn(move || {
            let space = fs::read_link(format!("/proc/{leader}/ns/pid"))?;
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                seen.look(&space)?;
                std::thread::sleep(GLANCE);
            }
            Ok(seen)
        });
        Ok(Self { stop, thread })
    }

    /// Ends it, and keeps all that it saw; says how often it looked. Environments of this user are left out: an app's secrets must be
    /// in those of the app.
    pub(super) fn end(self, tape: &Tape, but: u32) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().ok().context("the watcher broke off")??;
        let variables = seen.variables.iter().filter(|(owner, _)| *owner != but).map(|(_, word)| word);
        write(tape, "command lines", seen.arguments.iter())?;
        write(tape, "environments", variables)?;
        Ok(seen.looks)
    }
}

impl Seen {
    fn look(&mut self, space: &Path) -> Result<()> {
        self.looks += 1;
        for process in fs::read_dir("/proc")?.flatten().map(|entry| entry.path()) {
            // Processes come and go while somebody looks.
            let is_there = fs::read_link(process.join("ns/pid")).is_ok_and(|of| of == space);
            let Some(owner) = fs::metadata(&process).ok().filter(|_| is_there) else { continue };
            let words = |name| fs::read(process.join(name)).unwrap_or_default();
            self.arguments.extend(words("cmdline").split(|byte| *byte == 0).map(<[u8]>::to_vec));
            let environment = words("environ");
            let variables = environment.split(|byte| *byte == 0);
            self.variables.extend(variables.map(|word| (owner.uid(), word.to_vec())));
        }
        Ok(())
    }
}

fn write<'a>(tape: &Tape, place: &str, words: impl Iterator<Item = &'a Vec<u8>>) -> Result<()> {
    let mut file = File::create(tape.file(place)?)?;
    for word in words {
        file.write_all(word)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}
