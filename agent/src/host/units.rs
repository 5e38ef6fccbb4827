//! How the processes of a service are doing: by its control group where systemd accounts for it, else by /proc.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use hms_proto::{host::v1::UnitMetrics, names::UnitName};
use procfs::process::Process;

use crate::systemd::{Session, accounting, path_of_name};

/// A service has some hundreds of processes at most; a runaway one is not followed for ever.
const PROCESSES_MAX: usize = 4096;
const DEPTH_MAX: usize = 8;

/// Measures units, each against its last measure.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    last: HashMap<UnitName, Last>,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    cpu: Cpu,
}

/// CPU time used so far.
#[derive(Debug)]
enum Cpu {
    /// Of the control group, in nanoseconds.
    Group(u64),
    /// Of each process, in clock ticks.
    Processes(HashMap<i32, u64>),
}

struct Measured {
    memory: u64,
    processes: u32,
    cpu: Cpu,
    source: &'static str,
}

impl Meter {
    /// Measures one unit. A unit without processes has zeros.
    pub(crate) async fn measure(&mut self, session: &Session, unit: &UnitName) -> UnitMetrics {
        let now = Instant::now();
        let empty =
            UnitMetrics { unit: unit.to_string(), source: "none".to_owned(), ..UnitMetrics::default() };
        let Ok((group, accounted)) = accounting(session, &path_of_name(unit.as_str())).await else {
            self.last.remove(unit);
            return empty;
        };
        if group.is_empty() {
            self.last.remove(unit);
            return empty;
        }
        let measured = measure(&group, accounted);
        let cpu = self.last.get(unit).map_or(0.0, |last| rate(last, &measured.cpu, now));
        self.last.insert(unit.clone(), Last { at: now, cpu: measured.cpu });
        UnitMetrics {
            memory_bytes: measured.memory,
            cpu,
            processes: measured.processes,
            source: measured.source.to_owned(),
            ..empty
        }
    }
}

fn measure(group: &str, accounted: Option<(u64, u64)>) -> Measured {
    let pids = pids_of(group);
    let processes = u32::try_from(pids.len()).unwrap_or(u32::MAX);
    if let Some((memory, nanoseconds)) = accounted {
        return Measured { memory, processes, cpu: Cpu::Group(nanoseconds), source: "cgroup" };
    }
    let (mut memory, mut ticks) = (0, HashMap::new());
    for pid in pids {
        // It may have ended meanwhile.
        let Ok(stat) = Process::new(pid).and_then(|p| p.stat()) else { continue };
        memory += stat.rss * procfs::page_size();
        ticks.insert(pid, stat.utime + stat.stime);
    }
    Measured { memory, processes, cpu: Cpu::Processes(ticks), source: "proc" }
}

/// CPUs in use since then.
fn rate(last: &Last, cpu: &Cpu, now: Instant) -> f64 {
    let seconds = now.duration_since(last.at).as_secs_f64();
    let used = match (&last.cpu, cpu) {
        (Cpu::Group(before), Cpu::Group(after)) => after.saturating_sub(*before) as f64 / 1e9,
        (Cpu::Processes(before), Cpu::Processes(after)) => {
            let ticks: u64 =
                after.iter().map(|(pid, n)| n.saturating_sub(before.get(pid).copied().unwrap_or(0))).sum();
            ticks as f64 / procfs::ticks_per_second() as f64
        }
        _ => 0.0,
    };
    if seconds > 0.0 { used / seconds } else { 0.0 }
}

/// The processes of a control group and of those below it, wherever this host has its hierarchy.
fn pids_of(group: &str) -> Vec<i32> {
    let roots = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let relative = group.trim_start_matches('/');
    let folder = roots.iter().map(|r| Path::new(r).join(relative)).find(|p| p.join("cgroup.procs").exists());
    let mut pids = Vec::new();
    if let Some(folder) = folder {
        collect(&folder, DEPTH_MAX, &mut pids);
    }
    pids
}

fn collect(folder: &PathBuf, depth: usize, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let room = PROCESSES_MAX.saturating_sub(pids.len());
    pids.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()).take(room));
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            collect(&entry.path(), depth - 1, pids);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn cpu_is_counted_by_process() {
        let now = Instant::now();
        let tick = procfs::ticks_per_second();
        let last = Last { at: now, cpu: Cpu::Processes(HashMap::from([(1, tick), (2, 50 * tick)])) };
        // Process 2 has ended, process 3 is new.
        let cpu = Cpu::Processes(HashMap::from([(1, 2 * tick), (3, tick)]));
        let rate = rate(&last, &cpu, now + Duration::from_secs(2));
        assert!((rate - 1.0).abs() < 1e-9, "{rate}");
    }
}
