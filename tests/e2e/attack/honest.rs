//! People who work while others attack: whatever they ask for is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{GetUnitRequest, unit_service_client::UnitServiceClient};
use hms_proto::identity::Kind;
use reqwest::Client;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::Request;

use hms_tests::people::{Party, log_in_to_web};
use hms_tests::world::World;

/// An answer that comes later than this is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// An administrator who is logged in everywhere, and asks again and again.
pub(crate) struct Honest {
    asking: Vec<JoinHandle<Result<()>>>,
    answered: Vec<Arc<AtomicUsize>>,
}

impl Honest {
    /// Begins to ask: the pages, the controller and the agent, each on a connection that stays.
    pub(crate) async fn begin(world: &World, admin: &Party) -> Result<Self> {
        let mut honest = Self { asking: Vec::new(), answered: Vec::new() };
        let (browser, url) = (world.client()?, world.url());
        log_in_to_web(world, &browser).await?;
        honest.ask(move || page(browser.clone(), url.clone()));
        let host = world.controller_host();
        for (address, kind) in
            [(world.grpc(), Kind::Controller), (format!("{}:9444", host.address()), Kind::Agent)]
        {
            let (client, name) =
                (UnitServiceClient::new(admin.channel(&address, kind)?), host.name().to_owned());
            honest.ask(move || {
                let (mut client, name) = (client.clone(), name.clone());
                async move {
                    let mut request = Request::new(GetUnitRequest { unit: "dbus.service".into() });
                    request.metadata_mut().insert(HOST_KEY, name.parse()?);
                    client.get(request).await.with_context(|| format!("the {kind:?}"))?;
                    Ok(())
                }
            });
        }
        honest.all_go_on().await?;
        Ok(honest)
    }

    fn ask<F: Future<Output = Result<()>> + Send>(&mut self, question: impl Fn() -> F + Send + 'static) {
        let answered = Arc::new(AtomicUsize::new(0));
        self.answered.push(answered.clone());
        self.asking.push(tokio::spawn(async move {
            loop {
                timeout(PATIENCE, question()).await.context("no answer")??;
                answered.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
            }
        }));
    }

    /// Waits until each has got another two answers: the second was asked for after the call.
    pub(crate) async fn all_go_on(&mut self) -> Result<()> {
        let before: Vec<_> = self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        for (index, before) in before.into_iter().enumerate() {
            let asking = &mut self.asking[index];
            while self.answered[index].load(Ordering::Relaxed) < before + 2 {
                if asking.is_finished() {
                    asking.await??;
                    bail!("one who asks has stopped");
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// How many answers there were.
    pub(crate) fn answers(&self) -> usize {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.asking.iter().for_each(JoinHandle::abort);
    }
}

async fn page(browser: Client, url: String) -> Result<()> {
    let answer = browser.get(format!("{url}/settings")).send().await?;
    ensure!(answer.status().is_success() && answer.url().path() == "/settings", "{answer:?}");
    Ok(())
}
