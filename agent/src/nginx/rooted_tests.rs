//! What is put is read, and nothing leads out of the folder.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

impl Rooted {
    fn put(&self, path: &str, entry: Option<&Entry>) -> io::Result<()> {
        self.put_all(&[Edit { path: path.into(), before: None, after: entry.cloned() }])
    }
}

fn tree() -> (tempfile::TempDir, Rooted) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sites-available", "sites-enabled"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let rooted = Rooted::open(folder.path()).unwrap();
    (folder, rooted)
}

#[test]
fn what_is_put_is_read() {
    let (folder, rooted) = tree();
    rooted.put("sites-available/x", Some(&Entry::file("a;"))).unwrap();
    rooted.put("sites-enabled/x", Some(&Entry::link("../sites-available/x"))).unwrap();
    rooted.put("snippets/deep/y", Some(&Entry::file("b;"))).unwrap();
    let read = rooted.read().unwrap();
    assert_eq!(
        read.entries.keys().collect::<Vec<_>>(),
        ["sites-available/x", "sites-enabled/x", "snippets/deep/y"]
    );
    assert!(read.entries.values().all(|e| e.locked.is_empty()), "{read:?}");
    assert_eq!(
        fs::metadata(folder.path().join("snippets/deep/y")).unwrap().permissions().mode() & 0o777,
        0o644
    );
    rooted.put("sites-enabled/x", None).unwrap();
    rooted.put("sites-enabled/x", None).unwrap();
    assert!(!folder.path().join("sites-enabled/x").exists());
    fs::write(folder.path().join("sites-available/.hms-123"), "x").unwrap();
    rooted.remove_temporary().unwrap();
    assert!(!folder.path().join("sites-available/.hms-123").exists());
}

/// Security cases 38, 40 and 41.
#[test]
fn nothing_is_read_or_written_through_what_leads_out() {
    let (folder, rooted) = tree();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink(&secret, at("sites-available/link")).unwrap();
    symlink(outside.path(), at("linked")).unwrap();
    fs::write(at("twice"), "x").unwrap();
    fs::hard_link(at("twice"), at("again")).unwrap();
    fs::write(at("open"), "x").unwrap();
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::create_dir(at("wide")).unwrap();
    fs::set_permissions(at("wide"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(at("wide/x"), "x").unwrap();
    fs::write(at("binary"), [0xff, 0xfe]).unwrap();
    rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let read = rooted.read().unwrap();
    for (path, why) in [
        ("sites-available/link", "link out of the tree"),
        ("linked", "link out"),
        ("twice", "hard link"),
        ("open", "written by others"),
        ("wide/x", "its folder can be written"),
        ("binary", "UTF-8"),
        ("pipe", "regular"),
    ] {
        assert!(read.entries[path].locked.contains(why), "{path}: {}", read.entries[path].locked);
    }
    assert!(rooted.put("linked/x", Some(&Entry::file("x"))).is_err());
    assert!(rooted.put("../x", Some(&Entry::file("x"))).is_err());
    assert!(rooted.put("wide/y", Some(&Entry::file("x"))).is_err());
    // A link is replaced, never followed.
    rooted.put("sites-available/link", Some(&Entry::file("mine"))).unwrap();
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::read_to_string(at("sites-available/link")).unwrap(), "mine");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

/// Security case 39.
#[test]
fn a_folder_that_is_swapped_for_a_link_meanwhile_is_never_left() {
    const FLIPS: usize = 100_000;
    // In memory: a disk would be asked to sync each time.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let outside = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (real, link) = (folder.path().join("sites-available"), folder.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(outside.path(), &link).unwrap();
    let rooted = Rooted::open(folder.path()).unwrap();
    let flips = AtomicUsize::new(0);
    let (mut written, mut refused) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while flips.fetch_add(1, Ordering::Relaxed) < FLIPS {
                rustix::fs::renameat_with(CWD, &real, CWD, &link, rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        while flips.load(Ordering::Relaxed) < FLIPS {
            match rooted.put("sites-available/x", Some(&Entry::file("x"))) {
                Ok(()) => written += 1,
                Err(_) => refused += 1,
            }
        }
    });
    assert!(written > 0 && refused > 0, "{written} written, {refused} refused");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}
