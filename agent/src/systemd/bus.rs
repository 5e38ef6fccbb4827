//! The connection to systemd. There is one while anybody needs it, and none when nobody does: systemd tells whoever
//! subscribed of every change, which would wake an idle agent.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::StreamExt as _;
use hms_proto::fault::{Fault, FaultKind};
use tokio::sync::{Mutex, broadcast};
use tokio_util::task::AbortOnDropHandle;
use zbus::{Connection, MessageStream, OwnedObjectPath, message::Type, proxy::CacheProperties};
use zbus_systemd::systemd1::ManagerProxy;

use super::unit::name_of_path;
use crate::internal;

/// EnableUnitFiles and Reload may take seconds on a busy host; nothing takes this long.
const CALL: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
/// Signals that a slow reader may leave unread before it has to look at everything anew.
const SIGNALS: usize = 4096;

/// What systemd tells without being asked.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// A job has ended.
    JobRemoved {
        /// The job.
        job: OwnedObjectPath,
        /// done, failed, timeout, dependency, canceled, skipped.
        result: String,
    },
    /// Something about the unit changed, or it was loaded.
    Changed(String),
    /// The unit is no longer loaded.
    Removed(String),
    /// All units may have changed.
    Reloaded,
}

/// Hands out the connection.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    current: Mutex<Weak<Session>>,
}

/// A connection to systemd.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// Calls of the manager.
    pub(crate) manager: ManagerProxy<'static>,
    signals: broadcast::WeakSender<Signal>,
    _reader: AbortOnDropHandle<()>,
}

impl Bus {
    /// The connection. It closes when the last holder drops it.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Fault> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.upgrade().filter(|s| !s.is_closed()) {
            return Ok(session);
        }
        let connecting = tokio::time::timeout(CONNECT, Session::connect()).await;
        let session = connecting.unwrap_or(Err(zbus::Error::Failure("no answer within 5 s".into())));
        let session = Arc::new(session.map_err(|e| {
            Fault::new(FaultKind::Unavailable, format!("systemd cannot be reached: {e}"))
                .hint("Look at the host: `systemctl status` and `systemctl status dbus`.")
        })?);
        *current = Arc::downgrade(&session);
        Ok(session)
    }
}

impl Session {
    async fn connect() -> zbus::Result<Self> {
        let (connection, stream) = connect().await?;
        let manager =
            ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        manager.subscribe().await?;
        let (sender, _) = broadcast::channel(SIGNALS);
        let signals = sender.downgrade();
        let reader = AbortOnDropHandle::new(tokio::spawn(read(stream, sender)));
        Ok(Self { connection, manager, signals, _reader: reader })
    }

    /// Whether the connection was lost.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed() || self.signals.strong_count() == 0
    }

    /// Signals from now on. They end when the connection is lost.
    pub(crate) fn signals(&self) -> broadcast::Receiver<Signal> {
        // A sender that is gone gives a receiver that is at its end.
        self.signals.upgrade().map_or_else(|| broadcast::channel(1).1, |s| s.subscribe())
    }

    /// One property of an object.
    pub(crate) async fn property<T>(
        &self,
        path: &OwnedObjectPath,
        interface: &str,
        name: &str,
    ) -> zbus::Result<T>
    where
        T: TryFrom<zbus::OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        let reply = self
            .connection
            .call_method(
                Some("org.freedesktop.systemd1"),
                path,
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &(interface, name),
            )
            .await?;
        let value: zbus::OwnedVariant = reply.body().deserialize()?;
        T::try_from(value).map_err(Into::into)
    }
}

/// The system bus: systemd's own socket would be faster, but there it signs with a name that zbus takes for malformed.
async fn connect() -> zbus::Result<(Connection, MessageStream)> {
    let connection = zbus::connection::Builder::system().method_timeout(CALL).build().await?;
    let rule =
        zbus::MatchRule::builder().msg_type(Type::Signal).sender("org.freedesktop.systemd1").build()?;
    let stream = MessageStream::for_match_rule(rule, &connection, None).await?;
    Ok((connection, stream))
}

/// Passes signals on until the connection is lost, which drops the only sender.
async fn read(mut stream: MessageStream, signals: broadcast::Sender<Signal>) {
    while let Some(Ok(message)) = stream.next().await {
        if message.message_type() != Type::Signal {
            continue;
        }
        if let Some(signal) = signal_of(&message) {
            // Nobody may be listening.
            drop(signals.send(signal));
        }
    }
}

fn signal_of(message: &zbus::Message) -> Option<Signal> {
    let header = message.header();
    let body = message.body();
    match header.member()?.as_str() {
        "PropertiesChanged" => name_of_path(header.path()?.as_str()).map(Signal::Changed),
        "JobRemoved" => {
            let (_, job, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize().ok()?;
            Some(Signal::JobRemoved { job, result })
        }
        "UnitNew" => {
            body.deserialize().ok().map(|(name, _): (String, OwnedObjectPath)| Signal::Changed(name))
        }
        "UnitRemoved" => {
            body.deserialize().ok().map(|(name, _): (String, OwnedObjectPath)| Signal::Removed(name))
        }
        // Sent with `true` before a reload, and with `false` after it.
        "Reloading" => body.deserialize::<bool>().ok().filter(|begins| !begins).map(|_| Signal::Reloaded),
        _ => None,
    }
}

/// What systemd's refusal means for the caller. `unit` is what it was asked about.
pub(crate) fn fault_of(error: &zbus::Error, unit: &str) -> Fault {
    let zbus::Error::MethodError(name, said, _) = error else {
        return match error {
            zbus::Error::InputOutput(_) => lost(error),
            zbus::Error::FDO(fdo) => fault_of_fdo(fdo, unit),
            _ => internal(format!("systemd answered in an unexpected way: {error}")),
        };
    };
    let said = said.as_deref().unwrap_or("no reason given").trim_end_matches('.');
    let failed = || Fault::new(FaultKind::Failed, format!("systemd refused: {said}"));
    match name.as_str().rsplit('.').next().unwrap_or_default() {
        "NoSuchUnit" => Fault::not_found("unit", unit),
        "UnitMasked" => failed().hint("The unit is masked: `systemctl unmask` on the host undoes that."),
        "OnlyByDependency" => {
            Fault::new(FaultKind::Denied, format!("`{unit}` is not made to be started or stopped by hand"))
        }
        "JobTypeNotApplicable" => Fault::new(FaultKind::Conflict, format!("`{unit}` cannot do that: {said}")),
        "LoadFailed" | "BadUnitSetting" => {
            failed().hint("The unit file has an error: `systemd-analyze verify` shows it.")
        }
        _ => failed(),
    }
}

fn fault_of_fdo(error: &zbus::fdo::Error, unit: &str) -> Fault {
    match error {
        zbus::fdo::Error::UnknownObject(_) | zbus::fdo::Error::FileNotFound(_) => {
            Fault::not_found("unit", unit)
        }
        zbus::fdo::Error::InvalidArgs(said) => {
            Fault::invalid(format!("systemd does not take `{unit}`: {said}"))
        }
        zbus::fdo::Error::NoReply(_)
        | zbus::fdo::Error::Timeout(_)
        | zbus::fdo::Error::TimedOut(_)
        | zbus::fdo::Error::Disconnected(_) => lost(error),
        _ => Fault::new(FaultKind::Failed, format!("systemd refused: {error}")),
    }
}

fn lost(error: &dyn std::fmt::Display) -> Fault {
    Fault::new(FaultKind::Unavailable, format!("the connection to systemd was lost: {error}"))
}
