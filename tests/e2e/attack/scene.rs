//! One host with controller and agent, somebody who may log in, and rounds of attacks on all ports at once.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{GetUnitRequest, unit_service_client::UnitServiceClient};
use hms_proto::identity::{Kind, client_config, pinned_client_config};
use hms_tests::command::run;
use hms_tests::people::{Party, log_in_as_admin};
use hms_tests::testbed::{Host, Testbed};
use hms_tests::world::{Plan, World};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tonic::Request;
use tonic::transport::Channel;

use super::honest::Honest;
use super::meter::Meter;
use super::wire::Target;
use crate::support::tell;

/// The name of the only host.
pub(crate) const HOST: &str = "asterra";

const UNITS: [&str; 2] = ["hms-controller.service", "hms-agent.service"];

/// A method that takes a message, at the controller and at the agent.
pub(crate) const METHOD: &str = "/hms.host.v1.UnitService/Get";

/// A size that is fit for each run, or the one of a real attack.
pub(crate) fn size(usual: usize, long: usize) -> usize {
    if std::env::var_os("HMS_LONG").is_some() { long } else { usual }
}

/// What is attacked, and who works on it meanwhile.
pub(crate) struct Scene {
    pub(crate) world: World,
    admin: Party,
    pub(crate) honest: Honest,
    /// Of the controller and the agent.
    pub(crate) meters: [Meter; 2],
}

impl Scene {
    pub(crate) async fn set() -> Result<Self> {
        raise_file_limit()?;
        let world = World::start(&Testbed::new().await?, &Plan::new().host(HOST, &[]), &|_| {}).await?;
        let admin = log_in_as_admin(&world).await?;
        let honest = Honest::begin(&world, &admin).await?;
        let meters = meters(&world)?;
        Ok(Self { world, admin, honest, meters })
    }

    /// Restarts controller and agent with at most so many files and connections for each.
    pub(crate) async fn restart_with_files(&mut self, most: usize) -> Result<()> {
        let host = self.world.controller_host();
        for unit in UNITS {
            let drop_in = format!("/run/systemd/system/{unit}.d/50-files.conf");
            host.write_file(drop_in, format!("[Service]\nLimitNOFILE={most}\n")).await?;
        }
        host.run(&["systemctl", "daemon-reload"]).await?;
        host.run(&["systemctl", "restart", UNITS[0], UNITS[1]]).await?;
        self.world.wait_until_ready().await?;
        self.world.wait_until_agents_are_connected().await?;
        self.meters = meters(&self.world)?;
        self.honest = Honest::begin(&self.world, &self.admin).await?;
        Ok(())
    }

    pub(crate) fn host(&self) -> &Host {
        self.world.controller_host()
    }

    /// One attack: says what was sent. Both processes stay within their bound, and all who work go on.
    pub(crate) async fn round(
        &mut self,
        what: &str,
        attack: impl Future<Output = Result<usize>>,
    ) -> Result<()> {
        self.meters.iter_mut().try_for_each(Meter::begin)?;
        let (began, answered) = (std::time::Instant::now(), self.honest.answers());
        let sent = attack.await.with_context(|| what.to_owned())?;
        self.honest.all_go_on().await.with_context(|| what.to_owned())?;
        let [controller, agent] = &self.meters;
        let (controller, agent) = (controller.end(what)?, agent.end(what)?);
        let good = self.honest.answers() - answered;
        let took = began.elapsed();
        eprintln!(
            "{what}: {sent} sent in {took:.1?}; controller +{controller} KiB, agent +{agent} KiB; {good} good answers"
        );
        let note =
            format!("controller +{controller} KiB, agent +{agent} KiB; {good} answers to others meanwhile");
        tell(&format!("attacks: {what}"), sent, 0, &note)
    }

    /// An address on the machine's end of the hosts' network.
    pub(crate) fn attacker(&self, number: u8) -> Result<Ipv4Addr> {
        let [a, b, slot, _] = self.host().address().octets();
        let address = Ipv4Addr::new(a, b, slot, 100 + number);
        run(&["ip", "address", "replace", &format!("{address}/32"), "dev", &format!("hmsbr{slot}")])?;
        Ok(address)
    }

    /// The three ports, for somebody who may log in.
    pub(crate) fn targets(&self) -> Result<[Target; 3]> {
        let root = CertificateDer::from_pem_slice(&std::fs::read(self.world.ca_file())?)?.into_owned();
        let web = pinned_client_config(move |der| der == root.as_ref())?;
        let party = |kind| client_config(&self.admin.trust, &self.admin.credentials, kind, None);
        let from = self.attacker(0)?;
        let port = |name, port: u16, tls, path| Target {
            name,
            address: (self.host().address(), port).into(),
            tls: Arc::new(tls),
            path,
            from,
        };
        Ok([
            port("pages", 8443, web, "/login"),
            port("controller", 9443, party(Kind::Controller)?, METHOD),
            port("agent", 9444, party(Kind::Agent)?, METHOD),
        ])
    }

    /// A new connection to a gRPC port, as tonic makes it.
    pub(crate) fn channel(&self, target: &str) -> Result<Channel> {
        match target {
            "agent" => self.admin.channel(&format!("{}:9444", self.host().address()), Kind::Agent),
            _ => self.admin.channel(&self.world.grpc(), Kind::Controller),
        }
    }

    /// Who is known at another address gets in on a new connection.
    pub(crate) async fn newcomer(&self, target: &str) -> Result<()> {
        if target == "pages" {
            self.world
                .client()?
                .get(format!("{}/livez", self.world.url()))
                .send()
                .await?
                .error_for_status()?;
            return Ok(());
        }
        let mut request = Request::new(GetUnitRequest { unit: "dbus.service".into() });
        request.metadata_mut().insert(HOST_KEY, HOST.parse()?);
        UnitServiceClient::new(self.channel(target)?).get(request).await?;
        Ok(())
    }
}

fn meters(world: &World) -> Result<[Meter; 2]> {
    let meter = |program| Meter::of(world.controller_host(), program);
    Ok([meter("hms-controller")?, meter("hms-agent")?])
}

/// An attacker has more connections than a program usually may.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}
