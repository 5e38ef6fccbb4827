//! One unit as the contract has it, read from systemd.

use futures_util::future::try_join_all;
use hms_proto::{fault::Fault, host::v1::Unit, names::UnitName};
use zbus::OwnedObjectPath;

use super::bus::{Session, fault_of};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PREFIX: &str = "/org/freedesktop/systemd1/unit/";
/// How many units are asked about at once: enough to keep the socket busy, too few to fill it.
const AT_ONCE: usize = 16;

/// The unit that an object path stands for.
pub(crate) fn name_of_path(path: &str) -> Option<String> {
    let escaped = path.strip_prefix(PREFIX)?.as_bytes();
    let mut name = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'_', [high, low, ..]) => {
                let digits = [*high, *low];
                name.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = &after[2..];
            }
            (b'_', _) => return None,
            _ => {
                name.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(name).ok()
}

/// The object path of a unit. It need not be loaded.
pub(crate) fn path_of_name(name: &str) -> OwnedObjectPath {
    let mut path = String::from(PREFIX);
    for (i, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (i > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    OwnedObjectPath::try_from(path).expect("only letters, digits and underscores")
}

/// A unit that is loaded now, or was for this.
pub(crate) struct Loaded {
    /// Where it is.
    pub(crate) path: OwnedObjectPath,
    /// All its names: the first is its own, the others are aliases.
    pub(crate) names: Vec<String>,
}

/// Loads a unit. An unknown one is an error that names it.
pub(crate) async fn load(session: &Session, name: &UnitName) -> Result<Loaded, Fault> {
    let fault = |e| fault_of(&e, name.as_str());
    let path = session.manager.load_unit(name.to_string()).await.map_err(fault)?;
    let get = async {
        tokio::try_join!(
            session.property::<String>(&path, UNIT, "Id"),
            session.property::<Vec<String>>(&path, UNIT, "Names"),
            session.property::<String>(&path, UNIT, "LoadState"),
            session.property::<String>(&path, UNIT, "ActiveState"),
        )
    };
    let (id, names, load_state, active_state) = get.await.map_err(fault)?;
    // One whose file was removed while it runs can still be looked at, and stopped.
    if load_state == "not-found" && active_state == "inactive" {
        return Err(Fault::not_found("unit", name.as_str()));
    }
    let others = names.into_iter().filter(|n| *n != id).collect::<Vec<_>>();
    Ok(Loaded { path, names: std::iter::once(id).chain(others).collect() })
}

/// The state of one unit. `None` when systemd knows nothing about it.
pub(crate) async fn read(session: &Session, path: &OwnedObjectPath) -> zbus::Result<Option<Unit>> {
    let text = |name| session.property::<String>(path, UNIT, name);
    let (name, description, load_state, active_state, sub_state, since) = tokio::try_join!(
        text("Id"),
        text("Description"),
        text("LoadState"),
        text("ActiveState"),
        text("SubState"),
        session.property::<u64>(path, UNIT, "ActiveEnterTimestamp"),
    )?;
    if is_ghost(&load_state, &active_state) {
        return Ok(None);
    }
    let active_since_usec = i64::try_from(since).unwrap_or(0);
    let unit =
        Unit { name, description, load_state, active_state, sub_state, active_since_usec, ..Unit::default() };
    with_service(session, path, unit).await.map(Some)
}

/// A name that others mention, with no unit behind it.
fn is_ghost(load_state: &str, active_state: &str) -> bool {
    load_state == "not-found" && active_state == "inactive"
}

/// Adds what only services have.
async fn with_service(session: &Session, path: &OwnedObjectPath, unit: Unit) -> zbus::Result<Unit> {
    if !unit.name.ends_with(".service") {
        return Ok(unit);
    }
    let (result, main_pid, restarts, code, exit_status) = tokio::try_join!(
        session.property::<String>(path, SERVICE, "Result"),
        session.property::<u32>(path, SERVICE, "MainPID"),
        session.property::<u32>(path, SERVICE, "NRestarts"),
        session.property::<i32>(path, SERVICE, "ExecMainCode"),
        session.property::<i32>(path, SERVICE, "ExecMainStatus"),
    )?;
    // CLD_KILLED and CLD_DUMPED of waitid(2): the status is then a signal.
    let killed_by_signal = matches!(code, 2 | 3);
    Ok(Unit { result, main_pid, restarts, exit_status, killed_by_signal, ..unit })
}

/// The `Type=` of a service; empty for other units.
pub(crate) async fn service_type(session: &Session, path: &OwnedObjectPath) -> zbus::Result<String> {
    match name_of_path(path.as_str()) {
        Some(name) if name.ends_with(".service") => session.property(path, SERVICE, "Type").await,
        _ => Ok(String::new()),
    }
}

/// Whether the unit starts at boot, in systemd's words.
pub(crate) async fn unit_file_state(session: &Session, path: &OwnedObjectPath) -> zbus::Result<String> {
    session.property(path, UNIT, "UnitFileState").await
}

/// The memory and CPU time that systemd accounts to a unit, where it can; its control group in any case.
pub(crate) async fn accounting(
    session: &Session,
    path: &OwnedObjectPath,
) -> zbus::Result<(String, Option<(u64, u64)>)> {
    let (group, memory, cpu) = tokio::try_join!(
        session.property::<String>(path, SERVICE, "ControlGroup"),
        session.property::<u64>(path, SERVICE, "MemoryCurrent"),
        session.property::<u64>(path, SERVICE, "CPUUsageNSec"),
    )?;
    let known = memory != u64::MAX && cpu != u64::MAX;
    Ok((group, known.then_some((memory, cpu))))
}

/// All loaded units of the kinds that HMS acts on, in order of name.
pub(crate) async fn read_all(session: &Session, wanted: impl Fn(&str) -> bool) -> zbus::Result<Vec<Unit>> {
    let listed = session.manager.list_units().await?;
    let mut paths: Vec<OwnedObjectPath> = listed
        .into_iter()
        .filter(|(name, _, load, active, ..)| {
            UnitName::try_from(name.as_str()).is_ok() && !is_ghost(load, active) && wanted(name)
        })
        .map(|(_, _, _, _, _, _, path, ..)| path)
        .collect();
    paths.sort_by_cached_key(|path| name_of_path(path.as_str()));
    let mut units = Vec::with_capacity(paths.len());
    for some in paths.chunks(AT_ONCE) {
        let read = try_join_all(some.iter().map(|path| read_if_there(session, path))).await?;
        units.extend(read.into_iter().flatten());
    }
    Ok(units)
}

/// Like [`read`], for a unit that may be unloaded at this moment.
pub(crate) async fn read_if_there(session: &Session, path: &OwnedObjectPath) -> zbus::Result<Option<Unit>> {
    match read(session, path).await {
        Err(zbus::Error::MethodError(..)) => Ok(None),
        Err(zbus::Error::FDO(error))
            if !matches!(*error, zbus::fdo::Error::NoReply(_) | zbus::fdo::Error::Disconnected(_)) =>
        {
            Ok(None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_paths_stand_for_names() {
        let path = "/org/freedesktop/systemd1/unit/puma_2dcigar_2eservice";
        assert_eq!(name_of_path(path).as_deref(), Some("puma-cigar.service"));
        for name in
            ["puma-cigar.service", "getty@tty1.service", "systemd-fsck@dev-x\\x2dy.service", "1a.timer"]
        {
            assert_eq!(name_of_path(path_of_name(name).as_str()).as_deref(), Some(name));
        }
        for bad in [
            "/org/freedesktop/systemd1",
            "/org/freedesktop/systemd1/unit/a_2",
            "/org/freedesktop/systemd1/unit/_zz",
        ] {
            assert_eq!(name_of_path(bad), None, "{bad}");
        }
    }
}
