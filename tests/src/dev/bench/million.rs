//! What the log rows are measured on: a journal of a million entries over seven days, and an access log, made from numbers.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use hms_tests::paths;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Entries of the journal, and how many of 1000 are of the one unit.
pub(super) const ENTRIES: u64 = 1_000_000;
const OF_UNIT: u32 = 306;
/// The unit that is asked for.
pub(super) const UNIT: &str = "puma-cigar.service";
const DAYS: u64 = 7;
const USEC_A_DAY: u64 = 86_400_000_000;
/// One of so many entries says what is looked for.
const RARE: u32 = 20_000;
/// Bytes of the access log.
const ACCESS: u64 = 1 << 30;

/// The folder with the journal, which ended at a time (microseconds since the epoch) and is kept between runs.
pub(super) fn journal() -> Result<(PathBuf, u64)> {
    let folder = paths::cache().join(format!("bench-journal-{ENTRIES}"));
    let stamp = folder.join("end");
    if let Ok(end) = fs::read_to_string(&stamp) {
        return Ok((folder, end.trim().parse()?));
    }
    fs::create_dir_all(&folder)?;
    let now = std::time::UNIX_EPOCH.elapsed()?;
    let end = u64::try_from(now.as_micros())? - USEC_A_DAY / 24;
    let path = folder.join("million.journal");
    let mut command = Command::new("/usr/lib/systemd/systemd-journal-remote");
    command.args(["-o", &path.to_string_lossy(), "-"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut out = BufWriter::with_capacity(1 << 20, child.stdin.take().context("stdin")?);
    write_entries(&mut out, end)?;
    out.into_inner()?.flush()?;
    ensure!(child.wait()?.success(), "systemd-journal-remote failed");
    fs::write(stamp, end.to_string())?;
    Ok((folder, end))
}

fn write_entries(out: &mut impl Write, end: u64) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(1);
    let mut clock = end - DAYS * USEC_A_DAY;
    let mut trace = 0;
    for number in 0..ENTRIES {
        clock += random.random_range(1..2 * DAYS * USEC_A_DAY / ENTRIES);
        let is_app = random.random_ratio(OF_UNIT, 1000);
        let other = random.random_range(0..19);
        let unit = if is_app { UNIT.to_owned() } else { format!("worker-{other:02}.service") };
        if is_app && trace == 0 && random.random_ratio(1, 1000) {
            trace = random.random_range(8..24);
        }
        let priority = if random.random_ratio(1, 50) { random.random_range(2..5) } else { 6 };
        let (pid, name) = (1000 + u32::from(is_app) * 7 + other, unit.trim_end_matches(".service"));
        write!(
            out,
            "__REALTIME_TIMESTAMP={clock}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
             _TRANSPORT=stdout\nPRIORITY={priority}\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER={name}\n_PID={pid}\n_UID=998\n_GID=998\n\
             _COMM=ruby\n_EXE=/usr/bin/ruby3.1\n_CMDLINE=puma: {name} 6.4.2\n_CAP_EFFECTIVE=0\n_SELINUX_CONTEXT=unconfined\n\
             _SYSTEMD_CGROUP=/system.slice/{unit}\n_SYSTEMD_UNIT={unit}\n_SYSTEMD_SLICE=system.slice\n\
             _SYSTEMD_INVOCATION_ID=abcdef0123456789abcdef0123456789\n_STREAM_ID={pid:032x}\n_MACHINE_ID=fedcba9876543210fedcba9876543210\n\
             _HOSTNAME=asterra\nMESSAGE=",
            clock - (end - DAYS * USEC_A_DAY) + 1_000_000
        )?;
        message(out, &mut random, number, trace)?;
        trace = if is_app { trace.saturating_sub(1) } else { trace };
        out.write_all(b"\n\n")?;
    }
    Ok(())
}

/// As Rails writes: 80 to 300 bytes.
fn message(out: &mut impl Write, random: &mut SmallRng, number: u64, trace: u32) -> Result<()> {
    if trace > 0 {
        let line = random.random_range(1..400);
        write!(
            out,
            "app/models/order.rb:{line}:in `total_with_tax' called from vendor/bundle/ruby/3.1.0/gems/activerecord-7.1.3/lib/active_record/base.rb:{number}"
        )?;
        return Ok(());
    }
    let id = random.random::<u128>();
    let (item, taken) = (random.random_range(1..100_000), random.random_range(1..2000));
    match random.random_range(0..4) {
        0 => write!(
            out,
            "[{id:032x}] Started GET \"/products/{item}?page={number}\" for 10.213.{}.{} at 2026-11-24 18:30:{:02} +0000",
            taken % 255,
            item % 255,
            taken % 60
        )?,
        1 => write!(
            out,
            "[{id:032x}] Processing by ProductsController#show as HTML; Parameters: {{\"id\"=>\"{item}\", \"page\"=>\"{number}\", \"locale\"=>\"en\"}}"
        )?,
        2 => write!(
            out,
            "[{id:032x}]   Product Load ({}.{}ms)  SELECT \"products\".* FROM \"products\" WHERE \"products\".\"id\" = $1 LIMIT $2  [[\"id\", {item}], [\"LIMIT\", 1]] ↳ app/controllers/products_controller.rb:{}:in `set_product' ({number})",
            taken % 10,
            taken % 7,
            taken % 90
        )?,
        _ => write!(
            out,
            "[{id:032x}] Completed 200 OK in {taken}ms (Views: {}.1ms | ActiveRecord: {}.4ms | Allocations: {item}) {number}",
            taken / 2,
            taken / 3
        )?,
    }
    if random.random_ratio(1, RARE) {
        write!(out, " PaymentGatewayTimeout order {item}")?;
    }
    Ok(())
}

/// An access log of 1 GiB in the combined form, and its first quarter, compressed; kept between runs.
pub(super) fn access() -> Result<PathBuf> {
    let folder = paths::cache().join("bench-access");
    let (plain, part) = (folder.join("access.log"), folder.join("quarter.log"));
    if folder.join("quarter.log.gz").exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    write_access(&plain, ACCESS)?;
    write_access(&part, ACCESS / 4)?;
    let status = Command::new("gzip").args(["--force", "-6"]).arg(&part).status()?;
    ensure!(status.success(), "gzip failed");
    Ok(folder)
}

fn write_access(path: &Path, size: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut random = SmallRng::seed_from_u64(2);
    let (mut written, mut second) = (0, 0_u64);
    while written < size {
        second += u64::from(random.random_ratio(1, 10));
        let (day, of_day) = (1 + second / 86_400 % 20, second % 86_400);
        let (status, item) =
            (if random.random_ratio(1, 200) { 502 } else { 200 }, random.random_range(1..100_000));
        let line = format!(
            "10.{}.{}.{} - - [{day:02}/Nov/2026:{:02}:{:02}:{:02} +0000] \"GET /products/{item}?page={} HTTP/1.1\" {status} {} \"https://shop.example/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0\"{}\n",
            random.random_range(0..255),
            random.random_range(0..255),
            random.random_range(0..255),
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
            random.random_range(1..40),
            random.random_range(200..40_000),
            if random.random_ratio(1, 100_000) { " wp-login-probe" } else { "" },
        );
        written += line.len() as u64;
        out.write_all(line.as_bytes())?;
    }
    Ok(out.flush()?)
}
