//! Brings an app to its host: user, folders and database, which are only added to; and files, which come and go as a whole.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};

use hms_proto::fault::{Fault, FaultKind};
use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    App, Facts, database,
    emit::{self, Files, Item},
    folders::{self, Owner},
    installed,
    layout::{unreadable, unwritable},
};
use crate::{
    files,
    systemd::{
        Session, fault_of, transient,
        work::{self, Work},
    },
};

const FILE_MOST: u64 = 1024 * 1024;
const USERS: Duration = Duration::from_secs(30);
/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID: shadow(5) belongs to a group of its own.
const USERS_CAPABILITIES: &[u8] = &[0, 1, 3, 4];

/// Makes what is missing, and changes nothing that is there. Says what it did.
pub(crate) async fn prepare(
    session: &Session,
    app: &App,
    facts: &Facts,
    database_password: Option<&str>,
) -> Result<Vec<String>, Fault> {
    has_room_of_its_own(app)?;
    let mut did = Vec::new();
    let known = Owner::of(app);
    let sysusers = emit::sysusers(app, facts)?;
    if known.is_none() || read(&app.path_of(Item::Sysusers))?.as_deref() != Some(sysusers.as_str()) {
        put_file(&app.path_of(Item::Sysusers), &sysusers, Item::Sysusers.mode())?;
        installed::change(app, |installed| installed.files.set(Item::Sysusers, Some(sysusers)))?;
        make_user(session, app).await?;
    }
    let owner = Owner::of(app).ok_or_else(|| {
        Fault::new(FaultKind::Failed, format!("systemd-sysusers did not make the user `{}`", app.user()))
    })?;
    if known.is_none() {
        did.push(format!("made the user {}", app.user()));
    }
    did.extend(folders::make(app, owner)?.iter().map(|path| format!("made {}", path.display())));
    did.extend(database::prepare(session, app, database_password).await?);
    Ok(did)
}

/// The app's user and group in numbers. `None`: its user is not there.
pub(crate) fn ids(app: &App) -> Option<(u32, u32)> {
    Owner::of(app).map(|owner| (owner.uid, owner.gid))
}

/// Two apps in one folder would take each other apart.
fn has_room_of_its_own(app: &App) -> Result<(), Fault> {
    let state = app.folder().ancestors().nth(2).unwrap_or(Path::new("/"));
    let touches = |other: &App| app.root().starts_with(other.root()) || other.root().starts_with(app.root());
    match App::all(state)?.iter().find(|other| other.key() != app.key() && touches(other)) {
        Some(other) => Err(Fault::new(
            FaultKind::Conflict,
            format!(
                "`{}` is within the folder of the app {}, or around it",
                app.root().display(),
                other.key()
            ),
        )
        .hint("Give each app a root of its own.")),
        None => Ok(()),
    }
}

async fn make_user(session: &Session, app: &App) -> Result<(), Fault> {
    let file = app.path_of(Item::Sysusers).to_string_lossy().into_owned();
    let command = vec!["/usr/bin/systemd-sysusers".to_owned(), file];
    users(session, command, &format!("the user `{}` cannot be made", app.user())).await
}

/// Runs a program that writes to passwd(5) and group(5).
async fn users(session: &Session, command: Vec<String>, failed: &str) -> Result<(), Fault> {
    let work = Work {
        unit: format!("hms-users-{}.service", uuid::Uuid::new_v4().simple()),
        description: "HMS keeps the users of apps".to_owned(),
        command,
        writable: vec!["/etc".to_owned()],
        capabilities: USERS_CAPABILITIES,
        limit: USERS,
        ..Work::default()
    };
    let done = work::run(session, &work).await?;
    if done.result == "done" {
        return Ok(());
    }
    let said = done.output.lines().last().unwrap_or("it says not why");
    Err(Fault::new(FaultKind::Failed, format!("{failed}: {said}")))
}

/// The texts that are there now; of the files that HMS writes for the app, and its site.
pub(crate) fn on_host(app: &App) -> Result<Files, Fault> {
    let mut files = Files::default();
    for item in Item::ALL {
        files.set(item, read(&app.path_of(item))?);
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Option<String>, Fault> {
    let content = match files::read_if_there(path, FILE_MOST) {
        // A part of the path is a file.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        other => other.map_err(|e| unreadable(path, &e))?,
    };
    Ok(content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Brings the host's files to these: those that are left out are removed. The site is left to nginx's pipeline. Then
/// systemd reads its own, what starts at boot is enabled, and an environment in memory is what the sealed one says.
/// `true`: something was different. Calling it again does what is left to do.
pub(crate) async fn put(session: &Session, app: &App, files: &Files) -> Result<bool, Fault> {
    let mut is_changed = false;
    for item in Item::ALL.into_iter().filter(|item| *item != Item::Site) {
        is_changed |= put_one(app, item, files.get(item))?;
        // One by one: what was written and not noted would be taken for somebody else's.
        installed::change(app, |installed| installed.files.set(item, files.get(item).map(str::to_owned)))?;
        crate::deploy::fail::point(&format!("put-{}", item.name()));
    }
    let version = secrets_version(app, files);
    installed::change(app, |installed| installed.secrets_version = version)?;
    let is_plain = files.get(Item::Environment).is_some();
    let drop_in = app.environment_drop_in();
    if !is_plain && drop_in.exists() {
        remove_file(&drop_in).map_err(|e| unwritable(&drop_in, &e))?;
        transient::stop(session, &app.environment_unit(), transient::STOP).await?;
    }
    // Also when nothing differs: one that was killed may have written the files, and gone no further.
    reload(session, app).await?;
    if is_plain {
        // It writes the environment to memory, and has systemd read it.
        transient::restart(session, &app.environment_unit()).await?;
    }
    enable(session, app).await?;
    Ok(is_changed)
}

fn put_one(app: &App, item: Item, text: Option<&str>) -> Result<bool, Fault> {
    let path = app.path_of(item);
    let now = read(&path)?;
    match text {
        Some(text) if now.as_deref() == Some(text) && has_mode(&path, item.mode()) => Ok(false),
        Some(text) => put_file(&path, text, item.mode()).map(|()| true),
        None if now.is_none() => Ok(false),
        None => remove_file(&path).map_err(|e| unwritable(&path, &e)).map(|()| true),
    }
}

fn has_mode(path: &Path, mode: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|about| about.mode() & 0o7777 == mode && about.uid() == 0)
}

fn put_file(path: &Path, text: &str, mode: u32) -> Result<(), Fault> {
    place(path, text, mode).map_err(|e| unwritable(path, &e))
}

/// The version of the secrets that these files deliver: the number in the name of the sealed file.
fn secrets_version(app: &App, files: &Files) -> u32 {
    let sealed = [Item::Secrets, Item::Environment].iter().find_map(|item| files.get(*item));
    let prefix = app.folder().join("secrets-").to_string_lossy().into_owned();
    let number = sealed.and_then(|text| text.split_once(&prefix)?.1.split_once(".cred")?.0.parse().ok());
    number.unwrap_or(0)
}

async fn reload(session: &Session, app: &App) -> Result<(), Fault> {
    session.manager.reload().await.map_err(|e| fault_of(&e, &app.service()))
}

/// What is started at boot.
async fn enable(session: &Session, app: &App) -> Result<(), Fault> {
    let units = vec![app.service(), app.socket_unit()];
    let enabled = session.manager.enable_unit_files(units, false, true).await;
    let (_, changes) = enabled.map_err(|e| fault_of(&e, &app.service()))?;
    if changes.is_empty() { Ok(()) } else { reload(session, app).await }
}

/// Takes the app's units and other files away. The units were stopped, and the site removed, before.
pub(crate) async fn remove_units(session: &Session, app: &App) -> Result<(), Fault> {
    let units = vec![app.service(), app.socket_unit()];
    transient::stop(session, &app.environment_unit(), transient::STOP).await?;
    match session.manager.disable_unit_files(units, false).await.map_err(|e| fault_of(&e, &app.service())) {
        Err(fault) if fault.kind() != FaultKind::NotFound => return Err(fault),
        _ => {}
    }
    for item in Item::ALL.into_iter().filter(|item| !matches!(item, Item::Site | Item::Sysusers)) {
        put_one(app, item, None)?;
        installed::change(app, |installed| installed.files.set(item, None))?;
    }
    for folder in [app.path_of(Item::Secrets), app.environment_drop_in()] {
        remove_file(&folder).map_err(|e| unwritable(&folder, &e))?;
        // Somebody's own drop-ins stay.
        drop(folder.parent().map(std::fs::remove_dir));
    }
    installed::change(app, |installed| (installed.secrets_version, installed.running) = (0, None))?;
    reload(session, app).await
}

/// Deletes all that is left: database and role, the app's folder, its user, and what the agent knows of it.
pub(crate) async fn remove_data(session: &Session, app: &App) -> Result<(), Fault> {
    database::remove(session, app).await?;
    remove_root(app).map_err(|e| unwritable(&app.root(), &e))?;
    let sysusers = app.path_of(Item::Sysusers);
    remove_file(&sysusers).map_err(|e| unwritable(&sysusers, &e))?;
    if Owner::of(app).is_some() {
        let command = vec!["/usr/sbin/userdel".to_owned(), "--".to_owned(), app.user().to_owned()];
        users(session, command, &format!("the user `{}` cannot be removed", app.user())).await?;
    }
    files::remove_folder(app.folder()).map_err(|e| unwritable(app.folder(), &e))
}

/// The folder may be a mount: then what is in it goes, and it stays.
fn remove_root(app: &App) -> io::Result<()> {
    let root = app.root();
    match folders::open(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => drop(other?),
    }
    for entry in std::fs::read_dir(&root)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    match std::fs::remove_dir(&root) {
        Err(error) if error.kind() != io::ErrorKind::ResourceBusy => Err(error),
        _ => files::sync_parent(&root),
    }
}

/// Puts a file in its place as a whole: beside it first, on the disk, then renamed. The folder of a drop-in is made.
pub(super) fn place(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let (folder, name) = open_parent(path, true)?;
    let temporary = format!(".hms-{:016x}", rand::random::<u64>());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let written = (|| -> io::Result<()> {
        let mut file =
            File::from(rustix::fs::openat(&folder, &temporary, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(text.as_bytes())?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all()?;
        rustix::fs::renameat(&folder, &temporary, &folder, &name)?;
        Ok(())
    })();
    if written.is_err() {
        rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty()).ok();
    }
    written?;
    rustix::fs::fsync(&folder).map_err(Into::into)
}

/// Removes a file that may be gone.
fn remove_file(path: &Path) -> io::Result<()> {
    let (folder, name) = match open_parent(path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match rustix::fs::unlinkat(&folder, &name, AtFlags::empty()) {
        Ok(()) => rustix::fs::fsync(&folder).map_err(Into::into),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open_parent(path: &Path, make: bool) -> io::Result<(OwnedFd, String)> {
    let parent = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = if make { folders::open_making(parent)? } else { folders::open(parent)? };
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use hms_proto::host::v1::{AppSpec, SecretDelivery};

    use super::{super::layout::tests::app, *};

    #[test]
    fn a_file_is_there_as_a_whole_and_no_link_is_written_through() {
        let top = tempfile::Builder::new().prefix("hms").tempdir_in("/var/lib").unwrap();
        let path = top.path().join("x.service.d/50.conf");
        place(&path, "one", 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        std::fs::remove_file(&path).unwrap();
        let other = top.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        symlink(&other, &path).unwrap();
        place(&path, "two", 0o644).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "something is left over");
        remove_file(&path).unwrap();
        remove_file(&path).unwrap();
        remove_file(&top.path().join("none/x")).unwrap();
        symlink("/etc", top.path().join("away")).unwrap();
        assert!(place(&top.path().join("away/hms-test"), "x", 0o644).is_err());
        assert!(!Path::new("/etc/hms-test").exists());
    }

    #[test]
    fn files_tell_which_secrets_they_deliver() {
        let facts = Facts {
            web_user: None,
            web_group: None,
            ipv6: false,
            http2_directive: false,
            logrotate: true,
            notify: true,
        };
        let mut spec = AppSpec::default();
        for delivery in [SecretDelivery::Credential, SecretDelivery::Environment] {
            spec.set_secret_delivery(delivery);
            let app = app(spec.clone());
            for version in [0, 1, 42] {
                let files = emit::files(&app, &facts, version).unwrap();
                assert_eq!(secrets_version(&app, &files), version);
            }
        }
    }
}
