//! The fleet: one link to each host, and the live picture that the links draw.
//!
//! Nothing here is the truth: the database says which hosts there are, the agents say how they are. After a restart
//! both draw the same picture again.

mod link;
mod picture;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use hms_proto::{
    controller::v1::Deployment,
    host::v1::{Facts, Metrics, RevokedCertificate, Unit},
    identity::{Identity, Kind},
    names::{Address, AppKey, UnitName},
    transport::{ClientTls, endpoint},
};
use tokio::{
    sync::{Notify, broadcast, watch},
    task::AbortHandle,
};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{db, pki};
pub(crate) use link::{as_controller, in_time};
pub(crate) use picture::{LinkState, Picture, Point, now_usec};

/// Something in the picture changed. Receivers that lag redraw everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The link, the facts or the metrics of this host.
    Host(Uuid),
    /// This unit of this host.
    Unit(Uuid, String),
    /// Which hosts or apps there are.
    Directory,
    /// What is known of nginx on this host.
    Configs(Uuid),
    /// Something was added to the audit.
    Activity,
}

/// One host, and the way to it.
#[derive(Debug)]
pub(crate) struct Host {
    /// As it was when the link was opened: who it is never changes.
    pub(crate) row: db::hosts::Host,
    /// As the database has it now.
    latest: ArcSwap<db::hosts::Host>,
    pub(crate) channel: Channel,
    picture: RwLock<Picture>,
    /// Services whose processes are measured: those of its apps.
    measured: watch::Sender<Vec<UnitName>>,
    /// Try to connect now.
    retry: Notify,
    task: RwLock<Option<AbortHandle>>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Host {
    /// Its row as the database has it now.
    pub(crate) fn latest(&self) -> Arc<db::hosts::Host> {
        self.latest.load_full()
    }

    /// Whether its picture is live.
    pub(crate) fn is_connected(&self) -> bool {
        self.look(|picture| picture.link == LinkState::Connected)
    }

    /// A copy of nothing: looks at the picture while it cannot change.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Picture) -> T) -> T {
        at(&self.picture.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn draw<T>(&self, change: impl FnOnce(&mut Picture) -> T) -> T {
        change(&mut self.picture.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the wait between two attempts to connect.
    pub(crate) fn retry_now(&self) {
        self.retry.notify_one();
    }

    fn stop(&self) {
        if let Some(task) = self.task.write().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// One app as the database has it.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) key: AppKey,
    pub(crate) row: db::apps::App,
}

impl App {
    /// The unit it runs as.
    pub(crate) fn unit(&self) -> UnitName {
        UnitName::of_app(&self.key)
    }

    /// The name of the host it runs on; empty when it has none.
    pub(crate) fn host(&self) -> &str {
        self.row.deployed_server.as_deref().unwrap_or_default()
    }
}

/// What was deployed of an app, and what is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Deployed {
    /// What went live last.
    pub(crate) live: Option<Deployment>,
    /// What works on it now.
    pub(crate) work: Option<Deployment>,
}

/// All hosts and apps, as the database has them, with their live state.
#[derive(Debug)]
pub(crate) struct Fleet {
    authority: Arc<pki::Authority>,
    hosts: RwLock<BTreeMap<String, Arc<Host>>>,
    apps: RwLock<Arc<Vec<Arc<App>>>>,
    /// By key.
    deployed: RwLock<HashMap<String, Deployed>>,
    /// Certificates of people that no agent may take. `None` until the database has said.
    revoked: watch::Sender<Option<Arc<Vec<RevokedCertificate>>>>,
    changes: broadcast::Sender<Change>,
}

impl Fleet {
    pub(crate) fn new(authority: Arc<pki::Authority>) -> Arc<Self> {
        let (changes, _) = broadcast::channel(1024);
        Arc::new(Self {
            authority,
            hosts: RwLock::default(),
            apps: RwLock::default(),
            deployed: RwLock::default(),
            revoked: watch::Sender::new(None),
            changes,
        })
    }

    /// The host with this name.
    pub(crate) fn host(&self, name: &str) -> Option<Arc<Host>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All hosts, by name.
    pub(crate) fn hosts(&self) -> Vec<Arc<Host>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// All apps, by key.
    pub(crate) fn apps(&self) -> Arc<Vec<Arc<App>>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was deployed of an app, and what is.
    pub(crate) fn deployed(&self, key: &str) -> Deployed {
        self.deployed.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }

    /// What changes from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Tells everybody who looks.
    pub(crate) fn tell(&self, change: Change) {
        // No receiver is no fault: nobody is looking.
        let _ = self.changes.send(change);
    }

    /// Every agent is told, now or as soon as it is reached.
    pub(crate) fn revoke(&self, certificates: Vec<RevokedCertificate>) {
        let certificates = Arc::new(certificates);
        self.revoked.send_if_modified(|old| {
            let is_new = old.as_ref() != Some(&certificates);
            *old = Some(certificates);
            is_new
        });
    }

    /// Takes over what the database says: starts links to new hosts, ends those to removed ones.
    pub(crate) fn reconcile(
        self: &Arc<Self>,
        rows: Vec<db::hosts::Host>,
        apps: Vec<db::apps::App>,
        deployed: HashMap<String, Deployed>,
    ) -> anyhow::Result<()> {
        let apps: Vec<Arc<App>> = apps.into_iter().filter_map(known).map(Arc::new).collect();
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        let wanted: HashMap<&str, &db::hosts::Host> = rows.iter().map(|r| (r.name.as_str(), r)).collect();
        // An agent that joined anew, or moved, is another party: its link starts over.
        hosts.retain(|name, host| wanted.get(name.as_str()).is_some_and(|row| host.row.is_same_party(row)));
        for row in &rows {
            match hosts.get(&row.name) {
                Some(host) => host.latest.store(Arc::new(row.clone())),
                None => drop(hosts.insert(row.name.clone(), self.open(row.clone())?)),
            }
        }
        for host in hosts.values() {
            let units: Vec<UnitName> =
                apps.iter().filter(|a| a.host() == host.row.name).map(|a| a.unit()).collect();
            host.measured.send_if_modified(|old| (*old != units).then(|| *old = units).is_some());
        }
        drop(hosts);
        *self.apps.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(apps);
        *self.deployed.write().unwrap_or_else(PoisonError::into_inner) = deployed;
        self.tell(Change::Directory);
        Ok(())
    }

    fn open(self: &Arc<Self>, row: db::hosts::Host) -> anyhow::Result<Arc<Host>> {
        let whom = Identity { install: self.authority.install(), kind: Kind::Agent, id: row.id, role: None };
        let tls: ClientTls = self.authority.agent_client(whom)?;
        let address = Address::try_from(row.address.as_str())?;
        let host = Arc::new(Host {
            channel: endpoint(&address, tls),
            picture: RwLock::new(Picture::new(row.joined_at.is_some())),
            measured: watch::Sender::new(Vec::new()),
            retry: Notify::new(),
            task: RwLock::new(None),
            latest: ArcSwap::from_pointee(row.clone()),
            row,
        });
        if host.row.joined_at.is_some() {
            let task = tokio::spawn(link::run(Arc::downgrade(&host), Arc::downgrade(self))).abort_handle();
            *host.task.write().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
        Ok(host)
    }

    fn drew_unit(&self, host: &Host, unit: Unit) {
        let name = unit.name.clone();
        host.draw(|p| p.put_unit(unit));
        self.tell(Change::Unit(host.row.id, name));
    }

    fn drew_metrics(&self, host: &Host, metrics: Metrics) {
        host.draw(|p| p.put_metrics(metrics));
        self.tell(Change::Host(host.row.id));
    }

    fn drew_facts(&self, host: &Host, facts: Facts) {
        host.draw(|p| p.facts = Some(facts));
        self.tell(Change::Host(host.row.id));
    }

    fn drew_state(&self, host: &Host, state: LinkState) {
        if host.draw(|p| p.put_state(state)) {
            self.tell(Change::Host(host.row.id));
        }
    }
}

/// A row that was not written by HMS may have a key that is none.
fn known(row: db::apps::App) -> Option<App> {
    match AppKey::try_from(row.app_key.as_str()) {
        Ok(key) => Some(App { key, row }),
        Err(error) => {
            tracing::warn!(%error, "left out an app");
            None
        }
    }
}
