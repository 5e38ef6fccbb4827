//! The life of the agent: wait for an identity, serve with it, take over a new one, stop cleanly.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hms_proto::{
    fault::{Fault, FaultKind},
    identity::{Kind, server_config},
};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustls::ServerConfig;
use sd_notify::NotifyState;
use tokio::{
    io::unix::AsyncFd,
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Spool,
    identity::{self, Identity, Own},
    internal, renew,
    server::{self, Place},
};

/// How long calls may take to end when the agent stops.
const STOP: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(listen: SocketAddr, state: &Path) -> Result<(), Fault> {
    let stop = stop_signal().map_err(|e| internal(format!("cannot watch for signals: {e}")))?;
    let spool = Arc::new(Spool::open(state).map_err(|e| state_fault(state, &e))?);
    let mut changes = Changes::of(state).map_err(|e| state_fault(state, &e))?;
    notify(&[NotifyState::Ready]);
    tokio::spawn(watchdog());
    loop {
        let current = tokio::select! {
            current = wait_for_identity(state, &mut changes) => current,
            () = stop.cancelled() => break,
        };
        let (identity, own) = current;
        notify(&[NotifyState::Status(&format!("{} on {listen}", identity.membership.host))]);
        let listener = bind(listen).await?;
        tracing::info!(%listen, host = identity.membership.host, identity = %own.credentials.identity, "serving");
        member(listener, &spool, state, &mut changes, (identity, own), &stop).await?;
        if stop.is_cancelled() {
            break;
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Takes the port. After joining anew, the last connections to the old one may need a moment to give it back.
async fn bind(listen: SocketAddr) -> Result<TcpListener, Fault> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && tries < 20 => tries += 1,
            Err(error) => {
                return Err(Fault::new(FaultKind::Failed, format!("cannot listen on {listen}: {error}"))
                    .hint("Another program may have the port; `ss -ltnp` shows which."));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Serves as a member of one installation, until the agent stops or the host joins another one.
async fn member(
    listener: TcpListener,
    spool: &Arc<Spool>,
    state: &Path,
    changes: &mut Changes,
    (mut identity, mut own): (Identity, Own),
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let tls = Arc::new(ArcSwap::from_pointee(tls_of(&own)?));
    let end = stop.child_token();
    let mut serving = tokio::spawn({
        let (tls, spool, end) = (tls.clone(), spool.clone(), end.clone());
        let place = Place {
            host: identity.membership.host.clone(),
            state: state.to_owned(),
            controller: own.controller.host().to_owned(),
        };
        server::serve(listener, tls, spool, place, end)
    });
    loop {
        tokio::select! {
            ended = &mut serving => return served(ended),
            () = end.cancelled() => break,
            () = renew::renew(state, &identity, &own) => {}
            () = changes.next() => {}
        }
        let Some((new, new_own)) = read(state) else { continue };
        if new == identity {
            continue;
        }
        if new_own.credentials.identity != own.credentials.identity {
            tracing::info!("the host has joined anew");
            end.cancel();
            break;
        }
        tls.store(Arc::new(tls_of(&new_own)?));
        (identity, own) = (new, new_own);
    }
    match tokio::time::timeout(STOP, serving).await {
        Ok(ended) => served(ended),
        Err(_) => {
            tracing::warn!("calls did not end in time, leaving them");
            Ok(())
        }
    }
}

fn served(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> Result<(), Fault> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(internal(format!("the server failed: {error:#}"))),
        Err(error) => Err(internal(format!("the server failed: {error}"))),
    }
}

fn tls_of(own: &Own) -> Result<ServerConfig, Fault> {
    server_config(&own.trust, &own.credentials, &[Kind::Controller, Kind::Operator])
        .map_err(|e| internal(format!("cannot set up TLS: {e}")))
}

async fn wait_for_identity(state: &Path, changes: &mut Changes) -> (Identity, Own) {
    let mut told = false;
    loop {
        if let Some(found) = read(state) {
            return found;
        }
        if !told {
            told = true;
            notify(&[NotifyState::Status("waiting to join a controller")]);
            tracing::info!(
                "this host has not joined: run `hms-agent join --controller https://HOST:8443` with the token that \
                 `hmsctl host add` prints"
            );
        }
        changes.next().await;
    }
}

/// The identity on the disk, if it can be used.
fn read(state: &Path) -> Option<(Identity, Own)> {
    let identity = match identity::load(state) {
        Ok(identity) => identity?,
        Err(error) => {
            tracing::error!(%error, "cannot read the identity; join again");
            return None;
        }
    };
    match identity.check() {
        Ok(own) => Some((identity, own)),
        Err(fault) => {
            tracing::error!(reason = fault.message, "the identity cannot be used; join again");
            None
        }
    }
}

/// Tells when something is put into the state folder.
struct Changes {
    inotify: AsyncFd<rustix::fd::OwnedFd>,
}

impl Changes {
    fn of(state: &Path) -> std::io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, state, WatchFlags::MOVED_TO)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe to call; this one owns the descriptor and never lends it"
        )]
        let inotify = AsyncFd::new(fd)?;
        Ok(Self { inotify })
    }

    async fn next(&mut self) {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else {
                return std::future::pending().await;
            };
            let mut buffer = [0; 4096];
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut buffer)?));
            if matches!(read, Ok(Ok(_))) {
                return;
            }
        }
    }
}

fn stop_signal() -> std::io::Result<CancellationToken> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        notify(&[NotifyState::Stopping]);
        tracing::info!("stopping");
        token.cancel();
    });
    Ok(stop)
}

/// Tells systemd that the runtime still turns.
async fn watchdog() {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        notify(&[NotifyState::Watchdog]);
        tokio::time::sleep(period / 2).await;
    }
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

fn state_fault(state: &Path, error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Failed, format!("cannot use {}: {error}", state.display()))
        .hint("The agent runs as root and needs this folder for itself.")
}
