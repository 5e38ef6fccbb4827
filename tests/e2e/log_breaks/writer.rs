//! Who writes: each line to the journal, through a unit that repeats what it is given, and to a log of an app.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hms_tests::testbed::Host;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The unit that writes to the journal.
pub(super) const UNIT: &str = "numbers.service";
/// Of the app.
pub(super) const LOG: &str = "numbers.log";
const FIFO: &str = "/run/numbers";
/// So many lines are written at once.
const AT_ONCE: u32 = 60;
const PAUSE: Duration = Duration::from_millis(12);
/// Rotated logs that are kept.
const KEPT: u32 = 7;

/// What is to be done next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Lines(u32),
    /// Rotation, as logrotate does it.
    Create,
    CopyTruncate,
    Delete,
}

pub(super) struct Writer {
    orders: Sender<Order>,
    ordered: u32,
    written: Arc<AtomicU32>,
    thread: JoinHandle<Result<()>>,
}

impl Writer {
    pub(super) async fn start(host: &Host) -> Result<Self> {
        let limits =
            "[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\nSystemMaxUse=12G\nSystemMaxFiles=2000\n";
        host.write_file("/etc/systemd/journald.conf.d/20-all.conf", limits).await?;
        host.run(&["systemctl", "restart", "systemd-journald.service"]).await?;
        host.run(&["mkfifo", FIFO]).await?;
        let unit = format!("--unit={UNIT}");
        let keep =
            ["systemd-run", "--quiet", &unit, "--remain-after-exit", "--property=LogRateLimitIntervalSec=0"];
        host.run(&[&keep[..], &["bash", "-c", &format!("exec cat < {FIFO}")]].concat()).await?;
        // The pipe is the one that the host's own processes see.
        let fifo = format!("/proc/{}/root{FIFO}", host.leader()?.as_raw_nonzero());
        let log = host.root().join("srv/cigar/shared/log").join(LOG);
        let (orders, todo) = channel();
        let written = Arc::new(AtomicU32::new(0));
        let count = written.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let fifo = OpenOptions::new().write(true).open(fifo)?;
            Pen { fifo, file: append(&log)?, log, count }.work(&todo)
        });
        Ok(Self { orders, ordered: 0, written, thread })
    }

    pub(super) fn order(&mut self, order: Order) -> Result<()> {
        if let Order::Lines(lines) = order {
            self.ordered += lines;
        }
        self.orders.send(order).map_err(|_| anyhow!("nobody writes any more"))
    }

    pub(super) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until all that was ordered is written.
    pub(super) async fn idle(&self) -> Result<()> {
        while self.written() < self.ordered {
            ensure!(!self.thread.is_finished(), "nobody writes any more");
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) async fn end(self) -> Result<()> {
        drop(self.orders);
        self.thread.await?
    }
}

struct Pen {
    fifo: File,
    file: File,
    log: PathBuf,
    count: Arc<AtomicU32>,
}

fn append(log: &PathBuf) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())
}

impl Pen {
    fn work(mut self, todo: &Receiver<Order>) -> Result<()> {
        while let Ok(order) = todo.recv() {
            match order {
                Order::Lines(lines) => self.write(lines)?,
                Order::Create => {
                    self.shift()?;
                    fs::rename(&self.log, self.rotated(1))?;
                    // Its writer goes on with the old one until it is told.
                    let new = append(&self.log)?;
                    self.file = new;
                }
                Order::CopyTruncate => {
                    // Clocks of files are coarse: within one tick, the copy would be as old as what it is copied from.
                    thread::sleep(Duration::from_millis(20));
                    self.shift()?;
                    fs::copy(&self.log, self.rotated(1))?;
                    self.file.set_len(0)?;
                }
                Order::Delete => {
                    fs::remove_file(&self.log)?;
                    self.file = append(&self.log)?;
                }
            }
        }
        Ok(())
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.log.with_file_name(format!("{LOG}.{number}"))
    }

    fn shift(&self) -> Result<()> {
        for number in (1..=KEPT).rev() {
            let from = self.rotated(number);
            if !from.exists() {
                continue;
            }
            match number == KEPT {
                true => fs::remove_file(from)?,
                false => fs::rename(from, self.rotated(number + 1))?,
            }
        }
        Ok(())
    }

    fn write(&mut self, lines: u32) -> Result<()> {
        let first = self.count.load(Ordering::Relaxed) + 1;
        let last = first + lines - 1;
        let mut next = first;
        while next <= last {
            let end = last.min(next + AT_ONCE - 1);
            let (mut plain, mut dated) = (String::new(), String::new());
            for number in next..=end {
                let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ");
                plain += &format!("number {number}\n");
                dated += &format!("{now} number {number}\n");
            }
            self.fifo.write_all(plain.as_bytes())?;
            self.file.write_all(dated.as_bytes())?;
            self.count.store(end, Ordering::Relaxed);
            next = end + 1;
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
