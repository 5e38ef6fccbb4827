//! Journal files for tests and measurements, made by systemd itself from the export format.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

/// Who writes in them.
pub const UNITS: [&str; 6] =
    ["puma-cigar.service", "nginx.service", "cron.service", "ssh.service", "init.scope", "x@1.service"];

/// Journals of several boots in three files, with so many entries in each.
pub fn small(form: &[(&str, &str)], entries: u32) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let mut random = StdRng::seed_from_u64(7);
    let mut clock = 1_790_000_000_000_000_u64;
    for file in 0..3 {
        let mut export = Vec::new();
        let (boot, mut monotonic) = (random.random::<u128>(), 1_000_000_u64);
        for _ in 0..entries {
            let step = random.random_range(1..400_000);
            clock += step;
            monotonic += step;
            entry(&mut export, &mut random, boot, (clock, monotonic))?;
        }
        write(&folder.path().join(format!("file{file}.journal")), &export, form)?;
    }
    Ok(folder)
}

/// Has systemd-journal-remote make a file from the export format.
///
/// # Errors
/// When it refuses.
pub fn write(path: &Path, export: &[u8], form: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new("/usr/lib/systemd/systemd-journal-remote");
    command.args(["-o", &path.to_string_lossy(), "-"]).envs(form.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("stdin")?.write_all(export)?;
    ensure!(child.wait()?.success(), "systemd-journal-remote failed");
    Ok(())
}

fn entry(out: &mut Vec<u8>, random: &mut StdRng, boot: u128, (clock, monotonic): (u64, u64)) -> Result<()> {
    let unit = UNITS[random.random_range(0..UNITS.len())];
    let mut text =
        format!("__REALTIME_TIMESTAMP={clock}\n__MONOTONIC_TIMESTAMP={monotonic}\n_BOOT_ID={boot:032x}\n");
    writeln!(
        text,
        "PRIORITY={}\n_PID={}\n_UID={}",
        random.random_range(0..8),
        random.random_range(1..3),
        random.random_range(0..2)
    )?;
    writeln!(text, "_SYSTEMD_UNIT={unit}\nSYSLOG_IDENTIFIER={unit}")?;
    if random.random_bool(0.1) {
        writeln!(text, "UNIT={}", UNITS[random.random_range(0..UNITS.len())])?;
    }
    if random.random_bool(0.05) {
        writeln!(text, "OBJECT_SYSTEMD_UNIT={}", UNITS[random.random_range(0..UNITS.len())])?;
    }
    out.extend_from_slice(text.as_bytes());
    let length = *[3_usize, 40, 700, 9000].get(random.random_range(0..4)).context("length")?;
    // Not UTF-8, with a line break: the export format has the length of such a field in front.
    let message: Vec<u8> =
        (0..length).map(|n| if n % 50 == 49 { b'\n' } else { random.random_range(30..=255) }).collect();
    out.extend_from_slice(b"MESSAGE\n");
    out.extend_from_slice(&(message.len() as u64).to_le_bytes());
    out.extend_from_slice(&message);
    out.extend_from_slice(b"\n\n");
    Ok(())
}
