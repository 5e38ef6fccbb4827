//! People who work while others attack: whatever they ask for is answered, and it is measured how soon.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{GetUnitRequest, unit_service_client::UnitServiceClient};
use hms_proto::identity::Kind;
use reqwest::Client;
use rustix::process::setpriority_process;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tonic::Request;
use tonic::transport::Channel;

use hms_tests::people::{log_in_as_admin, log_in_to_web};
use hms_tests::world::World;

use super::latency::Took;

/// An answer that comes later than this is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom they ask.
pub(crate) const ASKED: [&str; 3] = ["pages", "controller", "agent"];

/// How long each answer of each took, in their order.
type Times = Arc<[Mutex<Vec<Duration>>; 3]>;

/// An administrator who is logged in everywhere, and asks again and again.
pub(crate) struct Honest {
    times: Times,
    asking: Option<JoinHandle<Result<()>>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Honest {
    /// Begins to ask: the pages, the controller and the agent, each on a connection that stays.
    pub(crate) async fn begin(world: &Arc<World>) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let times = Times::default();
        let (world, told) = (world.clone(), times.clone());
        // On a thread of their own: what attackers do here is not to be measured.
        let asking = std::thread::spawn(move || {
            setpriority_process(None, 0)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::select! {
                    ended = ask_all(&world, &told) => ended,
                    _ = stopped => Ok(()),
                }
            })
        });
        let mut honest = Self { times, asking: Some(asking), stop: Some(stop) };
        honest.all_go_on().await?;
        Ok(honest)
    }

    /// Waits until each has got another two answers: the second was asked for after the call.
    pub(crate) async fn all_go_on(&mut self) -> Result<()> {
        let before = self.counts();
        while self.counts().iter().zip(before).any(|(now, before)| *now < before + 2) {
            if self.asking.as_ref().is_none_or(JoinHandle::is_finished) {
                let ended = self.asking.take().context("nobody asks")?.join();
                ended.ok().context("who asks broke off")??;
                bail!("who asks has stopped");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// How many answers each has got.
    pub(crate) fn counts(&self) -> [usize; 3] {
        std::array::from_fn(|asker| lock(&self.times[asker]).len())
    }

    /// How long the answers took that came after there were so many.
    pub(crate) fn since(&self, counts: [usize; 3]) -> [Took; 3] {
        std::array::from_fn(|asker| Took::of(&lock(&self.times[asker])[counts[asker]..]))
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(asking) = self.asking.take() {
            asking.join().ok();
        }
    }
}

fn lock(times: &Mutex<Vec<Duration>>) -> MutexGuard<'_, Vec<Duration>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask_all(world: &World, times: &Times) -> Result<()> {
    // With a certificate of their own: calls of one caller wait for each other.
    let admin = log_in_as_admin(world).await?;
    let (browser, url) = (world.client()?, world.url());
    log_in_to_web(world, &browser).await?;
    let host = world.controller_host();
    let unit = |address: &str, kind| anyhow::Ok(UnitServiceClient::new(admin.channel(address, kind)?));
    let controller = unit(&world.grpc(), Kind::Controller)?;
    let agent = unit(&format!("{}:9444", host.address()), Kind::Agent)?;
    tokio::try_join!(
        ask(&times[0], || page(&browser, &url)),
        ask(&times[1], || get(controller.clone(), host.name())),
        ask(&times[2], || get(agent.clone(), host.name())),
    )?;
    Ok(())
}

async fn ask<F: Future<Output = Result<()>>>(
    times: &Mutex<Vec<Duration>>,
    question: impl Fn() -> F,
) -> Result<()> {
    loop {
        let began = Instant::now();
        timeout(PATIENCE, question()).await.context("no answer")??;
        lock(times).push(began.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
}

async fn page(browser: &Client, url: &str) -> Result<()> {
    let answer = browser.get(format!("{url}/settings")).send().await?;
    ensure!(answer.status().is_success() && answer.url().path() == "/settings", "{answer:?}");
    answer.bytes().await?;
    Ok(())
}

async fn get(mut client: UnitServiceClient<Channel>, host: &str) -> Result<()> {
    let mut request = Request::new(GetUnitRequest { unit: "dbus.service".into() });
    request.metadata_mut().insert(HOST_KEY, host.parse()?);
    client.get(request).await?;
    Ok(())
}
