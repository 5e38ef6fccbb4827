//! What is known of the releases of an app: a file of each, beside what the release itself says. They are written by HMS alone:
//! the folders of releases belong to the app.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{AppSpec, Release},
    names::{CommitId, ReleaseId},
};
use serde::{Deserialize, Serialize};

use super::migrations::Migration;
use crate::{
    apps::{App, Files},
    files,
};

/// Specification and files several times over.
const RECORD_MOST: u64 = 32 * 1024 * 1024;
const LEDGER: &str = "migrated.json";

/// A release, with all that is needed to go back to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// As the contract has it. Which one is live is told by the link.
    pub(crate) release: Release,
    /// The specification that it went live with.
    pub(crate) spec: AppSpec,
    /// The files that it went live with.
    pub(crate) files: Files,
    /// Its migrations.
    pub(crate) migrations: Vec<Migration>,
    /// Whether its puma tells systemd when it is ready.
    pub(crate) notify: bool,
}

impl Record {
    /// Its id.
    pub(crate) fn id(&self) -> Result<ReleaseId, Fault> {
        Ok(ReleaseId::try_from(self.release.id.as_str())?)
    }
}

/// A new id. `others`: those that there are.
pub(crate) fn new_id(now_usec: i64, commit: &CommitId, others: &[Record]) -> Result<ReleaseId, Fault> {
    let mut seconds = now_usec / 1_000_000;
    loop {
        let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let id = format!("{}-{}", time.format("%Y%m%dT%H%M%S"), commit.short());
        // Releases are told apart, and put in order, by their second.
        let taken = others.iter().any(|other| other.release.id.get(..15) == id.get(..15));
        if !taken {
            return Ok(ReleaseId::try_from(id.as_str())?);
        }
        seconds += 1;
    }
}

/// All releases that the host knows of, newest first.
pub(crate) fn all(app: &App) -> Result<Vec<Record>, Fault> {
    let folder = app.folder().join("releases");
    let read = || {
        let mut records: Vec<Record> = Vec::new();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(records),
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            let is_record = path.extension().is_some_and(|e| e == "json");
            let text = if is_record { files::read_if_there(&path, RECORD_MOST)? } else { None };
            if let Some(text) = text {
                records.push(serde_json::from_slice(&text)?);
            }
        }
        records.sort_by(|a, b| b.release.id.cmp(&a.release.id));
        io::Result::Ok(records)
    };
    read().map_err(|error| broken(&folder, &error))
}

/// Writes down what is known of a release.
pub(crate) fn save(app: &App, record: &Record) -> Result<(), Fault> {
    let path = app.record(&record.id()?);
    let write = || {
        files::make_folder(path.parent().unwrap_or(&path))?;
        files::replace(&path, &serde_json::to_vec(record)?)
    };
    write().map_err(|error| broken(&path, &error))
}

/// Removes a release with everything that is known of it. Links in it are not followed.
pub(crate) fn remove(app: &App, id: &ReleaseId) -> Result<(), Fault> {
    let (folder, record) = (app.release(id), app.record(id));
    files::remove_folder(&folder).map_err(|error| broken(&folder, &error))?;
    match fs::remove_file(&record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(broken(&record, &error)),
        _ => Ok(()),
    }
}

/// The release that `current` points at. A link that was made by hand to anywhere else is none.
pub(crate) fn live(app: &App) -> Option<ReleaseId> {
    let target = fs::read_link(app.current()).ok()?;
    let name = target.file_name()?.to_str()?;
    let id = ReleaseId::try_from(name).ok()?;
    let (whole, short) = (app.release(&id), Path::new("releases").join(name));
    (target == whole || target == short).then_some(id)
}

/// Has `current` point at a release, or takes it away. It is the one or the other at each moment.
pub(crate) fn set_live(app: &App, id: Option<&ReleaseId>) -> Result<(), Fault> {
    let current = app.current();
    let switch = || -> io::Result<()> {
        match id {
            Some(id) => {
                let staged = app.root().join(".current.new");
                drop(fs::remove_file(&staged));
                std::os::unix::fs::symlink(Path::new("releases").join(id.as_str()), &staged)?;
                super::fail::point("switch-staged");
                fs::rename(&staged, &current)?;
            }
            None => match fs::remove_file(&current) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        files::sync_folder(&app.root())
    };
    switch().map_err(|error| broken(&current, &error))
}

/// The release to go back to: the one that is named, or the last one that was well before the live one.
pub(crate) fn target(records: &[Record], live: Option<&ReleaseId>, wanted: &str) -> Result<Record, Fault> {
    let live = live.map(ReleaseId::as_str).unwrap_or_default();
    let none = |message: String| {
        Err(Fault::new(FaultKind::Failed, message).hint("`hmsctl apps releases` shows what the host has."))
    };
    if !wanted.is_empty() {
        let Some(found) = records.iter().find(|record| record.release.id == wanted) else {
            return Err(Fault::not_found("release", wanted)
                .hint("It may have been pruned. `hmsctl apps releases` shows what the host has."));
        };
        return match found.release.id == live {
            true => none(format!("`{wanted}` is live already")),
            false => Ok(found.clone()),
        };
    }
    let before = |record: &&Record| record.release.healthy && record.release.id.as_str() < live;
    match records.iter().find(before) {
        Some(found) => Ok(found.clone()),
        None => none("the host has no healthy release before the live one".to_owned()),
    }
}

/// Which releases may go: all but so many of the newest, the live one, and the last one before it that was well.
pub(crate) fn surplus(records: &[Record], live: &ReleaseId, keep: usize) -> Vec<String> {
    let previous = target(records, Some(live), "").map(|record| record.release.id).unwrap_or_default();
    let needed = |id: &str| id == live.as_str() || id == previous;
    let spare = keep.saturating_sub(records.iter().filter(|r| needed(&r.release.id)).count());
    let others = records.iter().map(|r| r.release.id.clone()).filter(|id| !needed(id));
    others.skip(spare).collect()
}

/// Where the secrets of a version are, sealed.
pub(crate) fn secrets_path(state: &Path, key: &str, version: u32) -> PathBuf {
    state.join("apps").join(key).join(format!("secrets-{version}.cred"))
}

/// The migrations that ran on this host, by all releases, also by those that did not stay.
pub(crate) fn migrated(app: &App) -> Result<Vec<Migration>, Fault> {
    let path = app.folder().join(LEDGER);
    let read = files::read_if_there(&path, RECORD_MOST);
    let parsed = read.and_then(|text| text.map_or(Ok(Vec::new()), |t| Ok(serde_json::from_slice(&t)?)));
    parsed.map_err(|error| broken(&path, &error))
}

/// Adds migrations to those that ran.
pub(crate) fn add_migrated(app: &App, ran: &[Migration]) -> Result<(), Fault> {
    let mut all = migrated(app)?;
    let new: Vec<_> = ran.iter().filter(|m| !all.iter().any(|known| known.name == m.name)).cloned().collect();
    if new.is_empty() {
        return Ok(());
    }
    all.extend(new);
    let path = app.folder().join(LEDGER);
    let write = || files::replace(&path, &serde_json::to_vec(&all)?);
    write().map_err(|error| broken(&path, &error))
}

/// Migrations that a release does not know, and that ran.
pub(crate) fn unknown_to(record: &Record, ran: &[Migration]) -> Vec<Migration> {
    let known = |m: &&Migration| !record.migrations.iter().any(|own| own.name == m.name);
    ran.iter().filter(known).cloned().collect()
}

fn broken(path: &Path, error: &io::Error) -> Fault {
    Fault::new(FaultKind::Failed, format!("`{}` cannot be used: {error}", path.display()))
        .hint("Look at the host: is its disk full, or was the file changed by hand?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, healthy: bool) -> Record {
        Record { release: Release { id: id.into(), healthy, ..Release::default() }, ..Record::default() }
    }

    const IDS: [&str; 5] = [
        "20261125T100005-aaaaaa5",
        "20261125T100004-aaaaaa4",
        "20261125T100003-aaaaaa3",
        "20261125T100002-aaaaaa2",
        "20261125T100001-aaaaaa1",
    ];

    fn records() -> Vec<Record> {
        IDS.iter().map(|id| record(id, !id.ends_with('3'))).collect()
    }

    fn id(n: usize) -> ReleaseId {
        ReleaseId::try_from(IDS[n]).unwrap()
    }

    /// Pitfall P15.
    #[test]
    fn going_back_twice_goes_further_back() {
        let back = |live: usize| target(&records(), Some(&id(live)), "").map(|r| r.release.id);
        assert_eq!(back(0).unwrap(), IDS[1]);
        // Not to the one that never was well, and not forth to the one that was left.
        assert_eq!(back(1).unwrap(), IDS[3]);
        assert_eq!(back(3).unwrap(), IDS[4]);
        assert_eq!(back(4).unwrap_err().message, "the host has no healthy release before the live one");
        let chosen = |wanted: &str| target(&records(), Some(&id(0)), wanted);
        assert_eq!(chosen(IDS[2]).unwrap().release.id, IDS[2]);
        assert_eq!(chosen("20261125T100009-aaaaaa9").unwrap_err().kind(), FaultKind::NotFound);
        assert!(chosen(IDS[0]).unwrap_err().message.contains("live already"));
    }

    /// Security case 75.
    #[test]
    fn the_live_release_and_the_one_before_are_never_pruned() {
        assert_eq!(surplus(&records(), &id(0), 2), IDS[2..]);
        assert_eq!(surplus(&records(), &id(0), 4), IDS[4..]);
        // After going back, what came after the live one goes before it.
        assert_eq!(surplus(&records(), &id(3), 2), IDS[..3]);
        assert!(surplus(&records(), &id(4), 5).is_empty());
        assert_eq!(surplus(&records(), &id(4), 0), IDS[..4]);
    }

    #[test]
    fn ids_are_in_order_and_never_the_same() {
        let commit = CommitId::try_from("c".repeat(40).as_str()).unwrap();
        let first = new_id(1_795_600_000_000_000, &commit, &[]).unwrap();
        let second = new_id(1_795_600_000_900_000, &commit, &[record(first.as_str(), true)]).unwrap();
        assert!(first.as_str() < second.as_str() && first.as_str().ends_with("-ccccccc"));
    }

    /// Security case 74.
    #[test]
    fn current_leads_to_a_release_of_ours_or_is_none() {
        let state = tempfile::tempdir().unwrap();
        let root = tempfile::Builder::new().prefix("hms-test-").tempdir_in("/srv").unwrap();
        let spec = AppSpec {
            key: "cigar".into(),
            root: root.path().to_string_lossy().into_owned(),
            ..AppSpec::default()
        };
        let app = App::new(spec, state.path()).unwrap();
        assert_eq!(live(&app), None);
        set_live(&app, Some(&id(1))).unwrap();
        assert_eq!(live(&app), Some(id(1)));
        set_live(&app, Some(&id(0))).unwrap();
        assert_eq!(live(&app), Some(id(0)));
        set_live(&app, None).unwrap();
        set_live(&app, None).unwrap();
        assert_eq!(live(&app), None);
        std::os::unix::fs::symlink("/etc", app.current()).unwrap();
        assert_eq!(live(&app), None);
    }

    #[test]
    fn what_ran_stays_known() {
        let state = tempfile::tempdir().unwrap();
        let app = App::new(AppSpec { key: "cigar".into(), ..AppSpec::default() }, state.path()).unwrap();
        crate::files::make_folder(app.folder()).unwrap();
        let migration = |name: &str, is_destructive| Migration { name: name.into(), is_destructive };
        add_migrated(&app, &[migration("1_a.rb", false)]).unwrap();
        add_migrated(&app, &[migration("1_a.rb", false), migration("2_b.rb", true)]).unwrap();
        let old = Record { migrations: vec![migration("1_a.rb", false)], ..record(IDS[4], true) };
        assert_eq!(unknown_to(&old, &migrated(&app).unwrap()), [migration("2_b.rb", true)]);
        save(&app, &old).unwrap();
        assert_eq!(all(&app).unwrap(), std::slice::from_ref(&old));
        remove(&app, &old.id().unwrap()).unwrap();
        assert!(all(&app).unwrap().is_empty());
    }
}
