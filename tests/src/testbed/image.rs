//! The base image: a Debian of the machine's own release with everything a managed host has.
//!
//! It is made once, in minutes, and then shared by all hosts as the lower layer of their disks.
//! Its folder is named after what went into it, so that a changed recipe makes a new one.

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::disk::path;
use crate::command::{run, run_with};
use crate::paths;

/// What debootstrap itself installs; it fails when given all of [`PACKAGES`].
const BOOTSTRAP: &str = "systemd,systemd-sysv,dbus,iproute2,openssl,ca-certificates,git";

/// What apt installs afterwards: the services of a production host and the tools of tests.
const PACKAGES: &[&str] = &[
    "bundler",
    "certbot",
    "curl",
    "fcgiwrap",
    "logrotate",
    "nginx-light",
    "openssh-server",
    "pebble",
    "postgresql",
    "procps",
    "puma",
    "rake",
    "ruby-actionpack",
    "ruby-activerecord",
    "ruby-pg",
    "ruby-railties",
    "ruby-sd-notify",
    "ruby-sprockets-rails",
    "sudo",
];

/// Files of the image, besides those of the packages.
const FILES: &[(&str, &str)] = &[
    // Logs outlive a reboot, as on a production host.
    ("etc/systemd/journald.conf.d/10-persistent.conf", "[Journal]\nStorage=persistent\n"),
    ("etc/default/locale", "LANG=C.UTF-8\n"),
];

/// systemd runs all of its generators at each boot and each reload. These are for what no host here has: disks of its own, a kernel
/// command line, suspending.
const NO_GENERATORS: &[&str] = &[
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-veritysetup-generator",
];

/// What is done in the image once the packages are there.
const STEPS: &[&[&str]] = &[
    &[
        "useradd",
        "--system",
        "--no-create-home",
        "--home-dir",
        "/var/lib/hms",
        "--shell",
        "/usr/sbin/nologin",
        "hms",
    ],
    &[
        "useradd",
        "--system",
        "--no-create-home",
        "--home-dir",
        "/",
        "--shell",
        "/usr/sbin/nologin",
        "hms-owner",
    ],
    &["pg_ctlcluster", "--skip-systemctl-redirect", "15", "main", "start"],
    &["runuser", "-u", "postgres", "--", "createuser", "hms"],
    &["runuser", "-u", "postgres", "--", "createuser", "hms-owner"],
    &["runuser", "-u", "postgres", "--", "createdb", "--owner=hms-owner", "hosting_production"],
    &["pg_ctlcluster", "--skip-systemctl-redirect", "15", "main", "stop"],
    &["systemctl", "enable", "systemd-networkd.service"],
    // A host runs these only when its test asks for them.
    &["systemctl", "disable", "postgresql.service", "ssh.service", "fcgiwrap.service", "fcgiwrap.socket"],
    &[
        "systemctl",
        "mask",
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "certbot.timer",
        "dpkg-db-backup.timer",
    ],
    &[
        "systemctl",
        "mask",
        "e2scrub_all.timer",
        "e2scrub_reap.service",
        "logrotate.timer",
        "systemd-resolved.service",
    ],
    &[
        "rm",
        "-f",
        "/etc/nginx/sites-enabled/default",
        "/etc/ssh/ssh_host_rsa_key",
        "/etc/ssh/ssh_host_rsa_key.pub",
    ],
    &["apt-get", "clean"],
];

/// An image this young is kept when another is made: a work tree beside this one may have made it.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// A base image that is ready for use.
#[derive(Clone, Debug)]
pub struct Image {
    /// The folder with its files.
    pub path: PathBuf,
    /// Names the recipe it was made from.
    pub id: String,
}

/// Finds the base image, or makes it; `report` hears of each slow step.
pub(super) fn ensure(report: &dyn Fn(&str)) -> Result<Image> {
    let codename = codename()?;
    let id = id(&codename);
    let image = Image { path: paths::cache().join(format!("base-{id}")), id };
    if image.path.exists() {
        return Ok(image);
    }
    fs::create_dir_all(paths::cache())?;
    let lock =
        OpenOptions::new().create(true).write(true).truncate(false).open(paths::cache().join("base.lock"))?;
    lock.lock().context("cannot lock the base image")?;
    if !image.path.exists() {
        build(&image.path, &codename, report)?;
        remove_old_images(&image.path)?;
    }
    Ok(image)
}

fn build(target: &Path, codename: &str, report: &dyn Fn(&str)) -> Result<()> {
    let staging = paths::cache().join("base.new");
    remove_image(&staging)?;
    let mirror = mirror(codename)?;
    report(&format!("installing Debian {codename} (1 of 3; takes a minute, once)"));
    let include = format!("--include={BOOTSTRAP}");
    run(&["debootstrap", "--variant=minbase", &include, codename, path(&staging)?, &mirror])?;
    report("installing nginx, PostgreSQL, Rails and the rest (2 of 3; takes a minute, once)");
    let chroot = Chroot::enter(&staging)?;
    chroot.borrow_apt_settings()?;
    chroot.run(&["apt-get", "update", "-q"])?;
    chroot.run(&[&["apt-get", "install", "-q", "-y", "--no-install-recommends"], PACKAGES].concat())?;
    report("setting it up (3 of 3)");
    chroot.set_up()?;
    drop(chroot);
    fs::rename(&staging, target).context("cannot put the base image in its place")?;
    Ok(())
}

/// The image while it is being made, with what programs in it need from the machine.
struct Chroot<'a> {
    root: &'a Path,
}

impl<'a> Chroot<'a> {
    fn enter(root: &'a Path) -> Result<Self> {
        run(&["mount", "-t", "proc", "proc", path(&root.join("proc"))?])?;
        let chroot = Self { root };
        // Packages must not start their services in a folder.
        chroot.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")?;
        run(&["chmod", "755", path(&root.join("usr/sbin/policy-rc.d"))?])?;
        Ok(chroot)
    }

    /// The machine's way to its package mirror: proxy settings and name servers.
    fn borrow_apt_settings(&self) -> Result<()> {
        fs::copy("/etc/resolv.conf", self.root.join("etc/resolv.conf"))?;
        for entry in fs::read_dir("/etc/apt/apt.conf.d")? {
            let entry = entry?;
            let text = fs::read_to_string(entry.path())?;
            if text.contains("Acquire::") && !text.contains("DPkg::") {
                fs::write(self.root.join("etc/apt/apt.conf.d").join(entry.file_name()), text)?;
            }
        }
        Ok(())
    }

    fn set_up(&self) -> Result<()> {
        for (file, text) in FILES {
            self.write(file, text)?;
        }
        for step in STEPS {
            self.run(step)?;
        }
        let generators = self.root.join("etc/systemd/system-generators");
        fs::create_dir_all(&generators)?;
        for generator in NO_GENERATORS {
            symlink("/dev/null", generators.join(generator))?;
        }
        fs::create_dir_all(self.root.join("var/log/journal"))?;
        for file in ["usr/sbin/policy-rc.d", "etc/resolv.conf", "var/lib/dbus/machine-id"] {
            let file = self.root.join(file);
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let file = self.root.join(file);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    fn run(&self, argv: &[&str]) -> Result<()> {
        let environment = |command: &mut Command| {
            command
                .env("DEBIAN_FRONTEND", "noninteractive")
                .env("LC_ALL", "C.UTF-8") // the database cluster takes its encoding from here
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .env_remove("TMPDIR");
        };
        run_with(&[&["chroot", path(self.root)?], argv].concat(), environment)?;
        Ok(())
    }
}

impl Drop for Chroot<'_> {
    fn drop(&mut self) {
        if let Err(error) = run(&["umount", "--lazy", &self.root.join("proc").to_string_lossy()]) {
            eprintln!("{error:#}");
        }
    }
}

/// The release of the machine: programs built here must find the same C library in the hosts.
fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release")?;
    let value = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(value
        .context("/etc/os-release names no VERSION_CODENAME: this needs Debian")?
        .trim_matches('"')
        .to_owned())
}

/// The mirror that the machine itself installs this release from.
fn mirror(codename: &str) -> Result<String> {
    let targets = run(&["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"])?;
    let wanted = format!("{codename} main ");
    let found = targets.lines().find_map(|line| line.strip_prefix(&wanted));
    Ok(found.unwrap_or("http://deb.debian.org/debian").to_owned())
}

fn id(codename: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (codename, BOOTSTRAP, PACKAGES, FILES, NO_GENERATORS, STEPS).hash(&mut hasher);
    format!("{codename}-{:016x}", hasher.finish())
}

/// Removes images of earlier recipes that are old and that no host runs from.
fn remove_old_images(current: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for entry in fs::read_dir(paths::cache())? {
        let folder = entry?.path();
        let is_image =
            folder.is_dir() && folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with("base-"));
        // From the future is young, too.
        let is_old = |age: Result<Duration, _>| age.is_ok_and(|age| age > KEPT_FOR);
        let in_use = mounts.contains(&format!("lowerdir={}", folder.display()));
        if is_image && folder != current && !in_use && is_old(fs::metadata(&folder)?.modified()?.elapsed()) {
            remove_image(&folder)?;
        }
    }
    Ok(())
}

/// Deletes an image, but never what is still mounted in it.
fn remove_image(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let prefix = format!("{}/", path(folder)?);
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| point.starts_with(&prefix)) {
        run(&["umount", "--lazy", point])?;
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
