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
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tonic::Request;
use tonic::transport::Channel;

use super::honest::Honest;
use super::meter::Meter;
use super::wire::Target;

/// The name of the only host.
pub(crate) const HOST: &str = "asterra";

const UNITS: [&str; 2] = ["hms-controller.service", "hms-agent.service"];

/// A method that takes a message, at the controller and at the agent.
pub(crate) const METHOD: &str = "/hms.host.v1.UnitService/Get";

/// What is attacked, and who works on it meanwhile.
pub(crate) struct Scene {
    // Before the world in which they work.
    pub(crate) honest: Honest,
    /// Of the controller and the agent.
    pub(crate) meters: [Meter; 2],
    pub(crate) visitor: Visitor,
}

impl Scene {
    pub(crate) async fn set() -> Result<Self> {
        raise_file_limit()?;
        let world = World::start(&Testbed::new().await?, &Plan::new().host(HOST, &[]), &|_| {}).await?;
        let (admin, world) = (Arc::new(log_in_as_admin(&world).await?), Arc::new(world));
        attackers_stand_back()?;
        let honest = Honest::begin(&world).await?;
        let meters = meters(&world)?;
        Ok(Self { honest, meters, visitor: Visitor { world, admin } })
    }

    /// Restarts controller and agent with at most so many files and connections for each.
    pub(crate) async fn restart_with_files(&mut self, most: usize) -> Result<()> {
        let Visitor { world, .. } = &self.visitor;
        let host = world.controller_host();
        for unit in UNITS {
            let drop_in = format!("/run/systemd/system/{unit}.d/50-files.conf");
            host.write_file(drop_in, format!("[Service]\nLimitNOFILE={most}\n")).await?;
        }
        host.run(&["systemctl", "daemon-reload"]).await?;
        host.run(&["systemctl", "restart", UNITS[0], UNITS[1]]).await?;
        world.wait_until_ready().await?;
        world.wait_until_agents_are_connected().await?;
        self.meters = meters(world)?;
        self.honest = Honest::begin(world).await?;
        Ok(())
    }

    pub(crate) fn host(&self) -> &Host {
        self.visitor.world.controller_host()
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
        let Visitor { world, admin } = &self.visitor;
        let root = CertificateDer::from_pem_slice(&std::fs::read(world.ca_file())?)?.into_owned();
        let web = pinned_client_config(move |der| der == root.as_ref())?;
        let party = |kind| client_config(&admin.trust, &admin.credentials, kind, None);
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
}

/// Somebody who may log in, and comes anew.
#[derive(Clone)]
pub(crate) struct Visitor {
    world: Arc<World>,
    admin: Arc<Party>,
}

impl Visitor {
    /// A new connection to a gRPC port, as tonic makes it.
    pub(crate) fn channel(&self, target: &str) -> Result<Channel> {
        match target {
            "agent" => {
                let address = self.world.controller_host().address();
                self.admin.channel(&format!("{address}:9444"), Kind::Agent)
            }
            _ => self.admin.channel(&self.world.grpc(), Kind::Controller),
        }
    }

    /// Gets in on a new connection, from an address that is known.
    pub(crate) async fn get_in(&self, target: &str) -> Result<()> {
        if target == "pages" {
            let asked = self.client()?.get(format!("{}/livez", self.url())).send();
            asked.await?.error_for_status()?;
            return Ok(());
        }
        let mut request = Request::new(GetUnitRequest { unit: "dbus.service".into() });
        request.metadata_mut().insert(HOST_KEY, HOST.parse()?);
        UnitServiceClient::new(self.channel(target)?).get(request).await?;
        Ok(())
    }

    /// Runs a program on the host.
    pub(crate) async fn run(&self, argv: &[&str]) -> Result<String> {
        self.world.controller_host().run(argv).await
    }

    pub(crate) fn client(&self) -> Result<reqwest::Client> {
        self.world.client()
    }

    pub(crate) fn url(&self) -> String {
        self.world.url()
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

/// Attackers have machines of their own: here they leave more time of the processors to others.
fn attackers_stand_back() -> Result<()> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let thread = Pid::from_raw(task?.file_name().to_string_lossy().parse()?).context("a thread")?;
        setpriority_process(Some(thread), 5)?;
    }
    Ok(())
}
