//! One host on the dashboard: disks, memory, load.

use super::Sparkline;
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View, text};

/// What is known of the way to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostState {
    /// Its agent has not joined yet.
    #[default]
    Pending,
    /// Its agent answers.
    Connected,
    /// Its agent does not answer.
    Unreachable,
}

impl HostState {
    /// What is shown beside the shape.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Not joined yet",
            Self::Connected => "Connected",
            Self::Unreachable => "Unreachable",
        }
    }

    /// Class of the shape and its colour.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Pending => "stopped",
            Self::Connected => "running",
            Self::Unreachable => "unknown",
        }
    }
}

/// One file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// `/`
    pub mount: String,
    /// Bytes in use.
    pub used: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Disk {
    /// How much of it is in use, of 1.
    pub fn share(&self) -> f64 {
        text::share(self.used, self.total)
    }

    /// How much of it is in use, of 100: the width of the bar.
    pub fn width(&self) -> String {
        width(self.share())
    }

    /// `full`, `high` or `fine`.
    pub fn level(&self) -> &'static str {
        level(self.share())
    }
}

fn width(share: f64) -> String {
    format!("{:.1}", share.clamp(0.0, 1.0) * 100.0)
}

/// From 80 % on people should plan, from 90 % on act.
fn level(share: f64) -> &'static str {
    match share {
        0.9.. => "full",
        0.8.. => "high",
        _ => "fine",
    }
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostCard {
    /// `asterra`
    pub name: String,
    /// Whether it answers.
    pub state: HostState,
    /// Since when it is in this state, in microseconds since the epoch.
    pub state_since_us: Option<i64>,
    /// Why it is unreachable; may be empty.
    pub reason: String,
    /// `Debian GNU/Linux 12 (bookworm)`; may be empty.
    pub os: String,
    /// Version of its agent; may be empty.
    pub agent_version: String,
    /// When it was booted, in microseconds since the epoch.
    pub booted_us: Option<i64>,
    /// How many CPUs it has.
    pub cpus: u32,
    /// CPU in use, of 1.
    pub cpu: Option<f64>,
    /// The same over the last minutes.
    pub cpu_line: Sparkline,
    /// Load over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// The first of them over the last minutes.
    pub load_line: Sparkline,
    /// Bytes in use.
    pub memory_used: u64,
    /// Bytes in all; 0 when not known.
    pub memory_total: u64,
    /// Bytes in use over the last minutes.
    pub memory_line: Sparkline,
    /// Its file systems.
    pub disks: Vec<Disk>,
    /// How many apps it has.
    pub apps: u32,
    /// Its labels.
    pub labels: Vec<String>,
}

#[derive(Template)]
#[template(path = "parts/host_card.html")]
struct HostCardPart<'a> {
    host: &'a HostCard,
    view: View,
}

impl HostCard {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("host-{}", super::slug(&self.name))
    }

    /// The card as it replaces the one in the page.
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph(self.id(), &HostCardPart { host: self, view })
    }

    /// Whether its measures are of now.
    pub fn is_connected(&self) -> bool {
        self.state == HostState::Connected
    }

    /// How much memory is in use, of 1.
    pub fn memory_share(&self) -> f64 {
        text::share(self.memory_used, self.memory_total)
    }

    /// `full`, `high` or `fine`.
    pub fn memory_level(&self) -> &'static str {
        level(self.memory_share())
    }

    /// A host that is well.
    pub fn sample() -> Self {
        let wave = |base: f64, swing: f64| {
            (0..40)
                .map(|step| base + swing * ((f64::from(step) * 0.5).sin() + (f64::from(step) * 0.17).cos()))
                .collect()
        };
        let disk = |mount: &str, used: u64, total: u64| Disk {
            mount: mount.into(),
            used: used << 20,
            total: total << 20,
        };
        Self {
            name: "asterra".into(),
            state: HostState::Connected,
            state_since_us: Some(SAMPLE_NOW_US - 7_200 * 1_000_000),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            agent_version: "0.1.0".into(),
            booted_us: Some(SAMPLE_NOW_US - 1_900_000 * 1_000_000),
            cpus: 2,
            cpu: Some(0.12),
            cpu_line: Sparkline::up_to(1.0, wave(0.12, 0.04)),
            load: Some([0.42, 0.38, 0.31]),
            load_line: Sparkline::new(wave(0.42, 0.12)),
            memory_used: 2_411 << 20,
            memory_total: 3_934 << 20,
            memory_line: Sparkline::up_to(3_934.0, wave(2_411.0, 40.0)),
            disks: vec![disk("/", 21_800, 49_152), disk("/var/lib/postgresql", 84_000, 102_400)],
            apps: 1,
            labels: vec!["env=production".into(), "web".into()],
            ..Self::default()
        }
    }

    /// A host that does not answer; what is shown is what was last seen.
    pub fn sample_unreachable() -> Self {
        Self {
            name: "borealis".into(),
            state: HostState::Unreachable,
            state_since_us: Some(SAMPLE_NOW_US - 130 * 1_000_000),
            reason: "connection refused (10.213.0.11:9444)".into(),
            ..Self::sample()
        }
    }
}
