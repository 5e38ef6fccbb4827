//! Samples of the host, each against the last one.

use hms_proto::{host::v1::Metrics, names::UnitName};
use procfs::{Current as _, CurrentSI as _};

use super::{filesystems, units::Meter};
use crate::{now_usec, systemd::Bus};

/// Takes samples.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    /// Ticks of all CPUs so far: all, and those that did work.
    cpu: Option<(u64, u64)>,
    meter: Meter,
}

impl Sampler {
    /// Takes one.
    pub(crate) async fn sample(&mut self, bus: &Bus, units: &[UnitName]) -> procfs::ProcResult<Metrics> {
        let load = procfs::LoadAverage::current()?;
        let memory = procfs::Meminfo::current()?;
        let cpu = self.cpu(&procfs::KernelStats::current()?.total);
        let mut measured = Vec::with_capacity(units.len());
        if !units.is_empty()
            && let Ok(session) = bus.session().await
        {
            for unit in units {
                measured.push(self.meter.measure(&session, unit).await);
            }
        }
        let available = memory.mem_available.unwrap_or(memory.mem_free);
        Ok(Metrics {
            time_usec: now_usec(),
            load1: f64::from(load.one),
            load5: f64::from(load.five),
            load15: f64::from(load.fifteen),
            cpu,
            memory_total_bytes: memory.mem_total,
            memory_used_bytes: memory.mem_total.saturating_sub(available),
            filesystems: filesystems::read(),
            units: measured,
        })
    }

    fn cpu(&mut self, total: &procfs::CpuTime) -> f64 {
        let idle = total.idle + total.iowait.unwrap_or(0);
        let stolen = total.steal.unwrap_or(0);
        let busy =
            total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
        let now = (busy + idle + stolen, busy + stolen);
        let before = self.cpu.replace(now);
        before.map_or(0.0, |before| share(before, now))
    }
}

fn share(before: (u64, u64), now: (u64, u64)) -> f64 {
    let (all, busy) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    if all == 0 { 0.0 } else { (busy as f64 / all as f64).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_cpu_in_use() {
        assert!((share((100, 50), (300, 100)) - 0.25).abs() < 1e-9);
        assert_eq!(share((100, 50), (100, 50)), 0.0);
        assert_eq!(share((100, 50), (90, 40)), 0.0);
    }
}
