//! What the host is like, as far as the files of an app depend on it.

use std::{fs, time::Duration};

use hms_proto::fault::Fault;

use crate::{
    nginx::tree::parse,
    systemd::{
        Session,
        work::{self, Work},
    },
};

/// From this version on `http2` is a directive, and no longer a word of `listen`.
const HTTP2_DIRECTIVE: (u32, u32, u32) = (1, 25, 1);
/// Who nginx usually is.
const WEB_USERS: [&str; 3] = ["www-data", "nginx", "http"];
const CONFIG: &str = "/etc/nginx/nginx.conf";

/// What is known of the host, and of the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whom nginx's workers run as. `None`: there is no nginx.
    pub(crate) web_user: Option<String>,
    /// Their group.
    pub(crate) web_group: Option<String>,
    /// Whether the host has IPv6.
    pub(crate) ipv6: bool,
    /// Whether nginx knows `http2 on`.
    pub(crate) http2_directive: bool,
    /// Whether the host rotates logs.
    pub(crate) logrotate: bool,
    /// Whether the app's puma tells systemd when it is ready.
    pub(crate) notify: bool,
}

impl Facts {
    /// Looks at the host. Of the release it is assumed that its puma is a new one.
    pub(crate) async fn of_host(session: &Session) -> Result<Self, Fault> {
        let (config, users, groups) = (read(CONFIG), read("/etc/passwd"), read("/etc/group"));
        let web_user = web_user(&config, &users);
        Ok(Self {
            web_group: web_user.as_ref().and_then(|user| group_of(user, &users, &groups)),
            web_user,
            ipv6: !read("/proc/net/if_inet6").is_empty(),
            http2_directive: nginx_version(session).await?.is_some_and(|version| version >= HTTP2_DIRECTIVE),
            logrotate: std::path::Path::new("/etc/logrotate.d").is_dir(),
            notify: true,
        })
    }

    /// The same, for a release with this Gemfile.lock.
    pub(crate) fn with_lockfile(self, lockfile: &str) -> Self {
        Self { notify: can_notify(lockfile), ..self }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What nginx.conf says, or else the usual user that the host has.
fn web_user(config: &str, users: &str) -> Option<String> {
    let is_there = |user: &str| line_of(users, user).is_some();
    if config.is_empty() {
        return None;
    }
    let said =
        parse(config).directives.into_iter().find(|d| d.name.value == "user").map(|d| d.arg(0).to_owned());
    let usual = WEB_USERS.iter().map(|user| (*user).to_owned());
    said.into_iter().chain(usual).find(|user| is_there(user))
}

fn group_of(user: &str, users: &str, groups: &str) -> Option<String> {
    let gid = line_of(users, user)?.get(3).copied()?;
    let group = groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|line| line.get(2) == Some(&gid))?;
    group.first().map(|name| (*name).to_owned())
}

/// The fields of a line of passwd(5) or group(5).
pub(super) fn line_of<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line.first() == Some(&name))
}

/// `None`: there is no nginx.
async fn nginx_version(session: &Session) -> Result<Option<(u32, u32, u32)>, Fault> {
    if fs::metadata("/usr/sbin/nginx").is_err() {
        return Ok(None);
    }
    let work = Work {
        unit: format!("hms-nginx-version-{}.service", uuid::Uuid::new_v4().simple()),
        description: "HMS asks nginx for its version".to_owned(),
        command: ["/usr/sbin/nginx", "-v"].map(str::to_owned).to_vec(),
        limit: Duration::from_secs(10),
        ..Work::default()
    };
    Ok(version(&work::run(session, &work).await?.output))
}

fn version(said: &str) -> Option<(u32, u32, u32)> {
    let text = said.split_once("nginx/")?.1;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?, numbers.next()?))
}

/// puma does it by itself since 6.0, and before with the gem `sd_notify`, which must be in the bundle.
fn can_notify(lockfile: &str) -> bool {
    lockfile.lines().filter_map(|line| line.strip_prefix("    ")).any(|gem| {
        let major = gem.strip_prefix("puma (").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        gem.starts_with("sd_notify (") || major.is_some_and(|major| major >= 6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_found_by_what_it_says_itself() {
        let users = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/x\nweb:x:7:8::/:/x\n";
        assert_eq!(web_user("user web;\nhttp {}\n", users).as_deref(), Some("web"));
        assert_eq!(web_user("events {}", users).as_deref(), Some("www-data"));
        assert_eq!(web_user("user gone;", users).as_deref(), Some("www-data"));
        assert_eq!(web_user("", users), None);
        assert_eq!(group_of("web", users, "www-data:x:33:\nstaff:x:8:\n").as_deref(), Some("staff"));
        assert_eq!(version("nginx version: nginx/1.22.1\n"), Some((1, 22, 1)));
        assert_eq!(version("nginx version: nginx/1.27.3 (Ubuntu)"), Some((1, 27, 3)));
        assert_eq!(version("what?"), None);
    }

    #[test]
    fn a_lockfile_tells_whether_puma_will_report() {
        for (lockfile, can) in [
            ("GEM\n  specs:\n    puma (6.4.2)\n      nio4r (~> 2.0)\n", true),
            ("GEM\n  specs:\n    puma (5.6.5)\n", false),
            ("GEM\n  specs:\n    puma (5.6.5)\n    sd_notify (0.1.1)\n", true),
            ("GEM\n  specs:\n    foo (1)\n      puma (6.0)\n", false),
            ("    puma (10.0.0-java)\n", true),
            ("", false),
        ] {
            assert_eq!(can_notify(lockfile), can, "{lockfile}");
        }
    }
}
