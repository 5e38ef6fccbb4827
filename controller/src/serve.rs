//! Runs the controller: brings its parts up in order, and down again.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::Context as _;
use axum::middleware;
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hms_proto::transport::{Limits, Places};
use sd_notify::NotifyState;
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{
        self,
        door::{Door, hurry, watch},
    },
    audit,
    auth::Auth,
    config::Serve,
    db, directory,
    fleet::Fleet,
    gate::Gate,
    jobs::{self, Jobs},
    nginx,
    pki::Authority,
    seal::Sealer,
    state::{Core, Reach, State},
};

/// How long open requests may take to end when the controller stops.
const DRAIN: Duration = Duration::from_secs(5);

/// How long a connection may take to ask for something, from when its handshake is done.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// What may come of bodies before somebody reads it.
const WINDOW: u32 = 64 * 1024;

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(database: &str, options: Serve) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    tokio::spawn(watch_signals(stop.clone()));
    let Some(core) =
        stop.run_until_cancelled(assemble(database, &options, stop.clone())).await.transpose()?
    else {
        return Ok(());
    };
    let state = State { gate: Gate::new(core.clone(), api::grpc::services(&core)?), core };
    let grpc = TcpListener::bind(options.grpc)
        .await
        .with_context(|| format!("cannot listen on {}", options.grpc))?;
    let web = std::net::TcpListener::bind(options.web)
        .with_context(|| format!("cannot listen on {}", options.web))?;
    web.set_nonblocking(true)?;

    let tls = RustlsConfig::from_config(state.core.pki.web_server()?);
    tokio::spawn(directory::follow(state.core.clone()));
    jobs::start(&state);
    tokio::spawn(audit::follow(state.core.clone()));
    tokio::spawn(nginx::follow(state.core.clone()));
    tokio::spawn(renew_own(state.core.clone(), tls.clone()));
    let handle = Handle::new();
    let serving_web = tokio::spawn(serve_web(web, tls, handle.clone(), api::router(state.clone())));
    let serving_grpc = tokio::spawn(api::grpc::serve(
        state.gate.clone(),
        state.core.clone(),
        grpc,
        stop.clone().cancelled_owned(),
    ));
    tracing::info!(web = %options.web, grpc = %options.grpc, "serving");
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("serving")])?;
    tokio::spawn(watchdog());

    stop.cancelled().await;
    sd_notify::notify(&[NotifyState::Stopping])?;
    handle.graceful_shutdown(Some(DRAIN));
    // Calls that follow a log never end by themselves.
    let ended = tokio::time::timeout(DRAIN, async { (serving_web.await, serving_grpc.await) }).await;
    if let Ok((web, grpc)) = ended {
        web??;
        grpc??;
    }
    Ok(())
}

async fn assemble(database: &str, options: &Serve, stop: CancellationToken) -> anyhow::Result<Arc<Core>> {
    let sealer = Arc::new(Sealer::from_credential()?);
    let db = db::connect(database)?;
    wait_for_database(&db).await?;
    let names = names_of(options);
    let pki = Arc::new(Authority::open(&db, sealer, &names).await?);
    let auth = Arc::new(Auth::open(&db, &pki).await?);
    let unfinished = db::audit::close_unfinished(&db).await?;
    if unfinished > 0 {
        tracing::warn!(
            unfinished,
            "calls had no outcome when the controller stopped; they are recorded as unknown"
        );
    }
    let name = names.first().cloned().unwrap_or_else(|| "localhost".into());
    let reach = Reach { name, web_port: options.web.port(), grpc_port: options.grpc.port() };
    let core = Core {
        fleet: Fleet::new(pki.clone()),
        jobs: Jobs::default(),
        db,
        pki,
        auth,
        audit: Default::default(),
        nginx: Default::default(),
        reach,
        database_up: AtomicBool::new(true),
        stop,
    };
    core.reload().await?;
    Ok(Arc::new(core))
}

/// The names it was told, else the host's own.
fn names_of(options: &Serve) -> Vec<String> {
    match options.names.is_empty() {
        false => options.names.clone(),
        true => vec![rustix::system::uname().nodename().to_string_lossy().into_owned()],
    }
}

/// PostgreSQL may start after the controller, and the schema be brought up to date beside it: that is no failure.
async fn wait_for_database(db: &PgPool) -> anyhow::Result<()> {
    loop {
        match db::schema::check(db).await {
            Ok(()) => return Ok(()),
            Err(error @ (db::Error::Unavailable(_) | db::Error::Outdated)) => {
                tracing::warn!(%error, "waiting for the database");
                sd_notify::notify(&[
                    NotifyState::Status("waiting for the database"),
                    NotifyState::ExtendTimeoutUsec(30_000_000),
                ])?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error).context("cannot use the database"),
        }
    }
}

/// Brings the database up to date, as soon as it is there.
pub(crate) async fn migrate(database: &str) -> anyhow::Result<()> {
    let db = db::connect(database)?;
    loop {
        match db::schema::migrate(&db).await {
            Ok(()) => return Ok(()),
            Err(error @ db::Error::Unavailable(_)) => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error).context("cannot bring the database up to date"),
        }
    }
}

async fn serve_web(
    listener: std::net::TcpListener,
    tls: RustlsConfig,
    handle: Handle<SocketAddr>,
    router: axum::Router,
) -> anyhow::Result<()> {
    // Browsers open several connections each, and many people may sit behind one address. Anybody can come here: 384 strangers with
    // some 64 KiB of buffers each, and what their requests take up, are less than 64 MiB.
    let limits = Limits { connections: 1024, reserved: 640, per_address: 256, ..Limits::default() };
    let acceptor = RustlsAcceptor::new(tls).handshake_timeout(limits.handshake);
    let door = Door::new(acceptor, Places::new(limits));
    // Until the first request nothing else watches a connection that says nothing.
    let mut server =
        axum_server::from_tcp(listener)?.acceptor(door).handle(handle).first_request_timeout(FIRST_REQUEST);
    let http = server.http_builder();
    http.http1()
        .header_read_timeout(Duration::from_secs(5))
        .timer(hyper_util::rt::TokioTimer::new())
        .max_buf_size(32 * 1024);
    http.http2()
        .timer(hyper_util::rt::TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024)
        .max_pending_accept_reset_streams(32)
        .max_local_error_reset_streams(64)
        .max_send_buf_size(64 * 1024)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10));
    let router = router.layer(middleware::map_request(hurry)).layer(middleware::from_fn(watch));
    Ok(server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

/// The controller's own certificates live a day, and are replaced at half their life.
async fn renew_own(core: Arc<Core>, web: RustlsConfig) {
    loop {
        tokio::time::sleep(core.pki.renew_in()).await;
        match core.pki.renew().and_then(|()| core.pki.web_server()) {
            Ok(config) => web.reload_from_config(config),
            Err(error) => {
                tracing::error!(%error, "cannot renew the controller's certificates, trying again in a minute");
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        }
    }
}

async fn watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval(patience / 3);
    loop {
        beat.tick().await;
        if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
            tracing::warn!(%error, "cannot tell systemd that all is well");
        }
    }
}

async fn watch_signals(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen for signals");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    stop.cancel();
}
