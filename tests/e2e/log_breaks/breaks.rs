//! What breaks between a line and who reads it.

use std::time::Duration;

use anyhow::Result;
use hms_tests::testbed::Host;
use hms_tests::world::World;
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::time::sleep;

use super::readers::Readers;
use super::writer::Order;

const AGENT: &str = "hms-agent.service";
const CONTROLLER: &str = "hms-controller.service";
const JOURNALD: &str = "systemd-journald.service";

/// A break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    AgentKilled,
    /// The page of a browser is loaded again.
    Reload,
    Create,
    ControllerKilled,
    Rotate,
    NetworkCut,
    CopyTruncate,
    AgentRestarted,
    JournaldKilled,
    ControllerRestarted,
    Delete,
}

/// Each of them; the last one leaves journald alone, so that it keeps the last line.
pub(super) const KINDS: [Break; 11] = [
    Break::AgentKilled,
    Break::Create,
    Break::Reload,
    Break::ControllerKilled,
    Break::Rotate,
    Break::NetworkCut,
    Break::CopyTruncate,
    Break::JournaldKilled,
    Break::AgentRestarted,
    Break::ControllerRestarted,
    Break::Delete,
];

impl Break {
    /// What the writer does at it.
    pub(super) fn rotation(self) -> Option<Order> {
        match self {
            Self::Create => Some(Order::Create),
            Self::CopyTruncate => Some(Order::CopyTruncate),
            Self::Delete => Some(Order::Delete),
            _ => None,
        }
    }

    pub(super) async fn act(self, world: &World, readers: &Readers, random: &mut StdRng) -> Result<()> {
        let host = world.controller_host();
        match self {
            Self::AgentKilled => kill(host, AGENT).await,
            Self::ControllerKilled => kill(host, CONTROLLER).await,
            Self::JournaldKilled => kill(host, JOURNALD).await,
            Self::AgentRestarted => host.run(&["systemctl", "restart", AGENT]).await.map(drop),
            Self::ControllerRestarted => host.run(&["systemctl", "restart", CONTROLLER]).await.map(drop),
            Self::Rotate => {
                host.run_until(Duration::from_secs(10), &["journalctl", "--rotate"]).await.map(drop)
            }
            Self::NetworkCut => {
                host.partition()?;
                sleep(Duration::from_millis(random.random_range(50..1_500))).await;
                readers.cut();
                host.heal()
            }
            Self::Reload => {
                readers.cut();
                Ok(())
            }
            Self::Create | Self::CopyTruncate | Self::Delete => compress(host).await,
        }
    }
}

async fn kill(host: &Host, unit: &str) -> Result<()> {
    host.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", unit]).await.map(drop)
}

/// As logrotate does with `compress` and `delaycompress`.
async fn compress(host: &Host) -> Result<()> {
    host.exec(&["gzip", "--quiet", "--force", "/srv/cigar/shared/log/numbers.log.2"]).await.map(drop)
}
