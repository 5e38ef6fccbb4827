//! File systems that can fill up: the local ones, each once.

use std::{collections::BTreeMap, path::Path};

use hms_proto::host::v1::Filesystem;

/// Types that live on a disk of this host. Squashfs and iso9660 are always full, and never fill up.
const ON_DISK: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "vfat", "reiserfs", "jfs"];

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    device: &'a str,
    point: String,
    kind: &'a str,
}

/// The file systems with their use.
pub(crate) fn read() -> Vec<Filesystem> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts(&text, |point| Path::new(point).is_dir()).into_iter().filter_map(|point| measure(&point)).collect()
}

fn measure(mount_point: &str) -> Option<Filesystem> {
    let stat = rustix::fs::statvfs(mount_point).ok()?;
    let (used, free) = (stat.f_blocks.checked_sub(stat.f_bfree)?, stat.f_bavail);
    room(used, free, stat.f_frsize).map(|(total_bytes, used_bytes)| Filesystem {
        mount_point: mount_point.to_owned(),
        total_bytes,
        used_bytes,
    })
}

/// How much room programs have, and how much of it is taken. What is reserved for root is neither: a disk is full when
/// programs find it full, and df(1) says the same.
fn room(used: u64, free: u64, block: u64) -> Option<(u64, u64)> {
    let total = used.checked_add(free)?.checked_mul(block)?;
    (total > 0).then_some((total, used * block))
}

/// The mount points to measure. A device that is mounted several times, as sandboxes do, is measured at the shortest;
/// single files that are mounted, as containers do, are of a file system of somebody else.
fn mounts(mountinfo: &str, is_folder: impl Fn(&str) -> bool) -> Vec<String> {
    let mut points: BTreeMap<&str, String> = BTreeMap::new();
    for mount in mountinfo.lines().filter_map(parse) {
        let is_root_overlay = mount.kind == "overlay" && mount.point == "/";
        // What is mounted below /run was put there by programs for themselves.
        if mount.point.starts_with("/run/") || !is_root_overlay && !ON_DISK.contains(&mount.kind) {
            continue;
        }
        if !is_folder(&mount.point) {
            continue;
        }
        let point = points.entry(mount.device).or_insert_with(|| mount.point.clone());
        if mount.point.len() < point.len() {
            *point = mount.point;
        }
    }
    let mut points: Vec<String> = points.into_values().collect();
    points.sort();
    points
}

fn parse(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let (device, point) = (fields.next()?, fields.nth(1)?);
    Some(Mount { device, point: unescape(point), kind: after.split(' ').next()? })
}

/// Space, tab, newline and backslash are written as octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 blocks, of which 50 are reserved: `df` says 50 % of the one, and 100 % of the other.
    #[test]
    fn what_is_reserved_for_root_is_not_room() {
        assert_eq!(room(475, 475, 4096), Some((950 * 4096, 475 * 4096)));
        assert_eq!(room(950, 0, 4096), Some((950 * 4096, 950 * 4096)));
        assert_eq!(room(0, 0, 4096), None);
        assert_eq!(room(u64::MAX, 1, 1), None);
    }

    #[test]
    fn each_local_disk_once() {
        let text = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
24 22 8:1 /var/lib/hms-agent /var/lib/hms-agent rw - ext4 /dev/sda1 rw
25 22 8:2 / /srv/my\\040data rw shared:2 master:1 - xfs /dev/sda2 rw
26 22 0:40 / /run tmpfs - tmpfs tmpfs rw
27 22 7:1 / /snap/x ro - squashfs /dev/loop1 ro
28 22 0:50 / /mnt/nfs rw - nfs4 server:/x rw
30 22 8:9 / /run/host/incoming rw - ext4 /dev/sdb rw
31 22 8:7 /tools/x /usr/bin/x ro - ext4 /dev/sdc rw
29 22 0:51 / /var/lib/docker/x rw - overlay overlay rw";
        let is_folder = |point: &str| !point.starts_with("/usr/bin/");
        assert_eq!(mounts(text, is_folder), ["/", "/srv/my data"]);
        assert_eq!(mounts("600 500 0:99 / / rw - overlay overlay rw,lowerdir=/a\nrubbish", is_folder), ["/"]);
    }
}
