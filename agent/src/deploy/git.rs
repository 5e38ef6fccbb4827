//! git, as the app's user in a sandbox. Nothing that a repository or its server says makes it run a program, read a configuration
//! that is not written here, or speak to anybody else.

use std::{path::Path, time::Duration};

use hms_proto::{
    fault::Fault,
    names::{BranchName, CommitId, GitUrl, Transport},
};

use super::sandbox::{Confined, Quota};

const GIT: &str = "/usr/bin/git";
/// github.com as its owner publishes it (docs.github.com, "GitHub's SSH key fingerprints").
const GITHUB: &str =
    "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SaG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
/// The credentials of a unit that fetches.
pub(crate) const KEY: &str = "git-private-key";
pub(crate) const TOKEN: &str = "git-token";
const KNOWN_HOSTS: &str = "known-hosts";
/// The one configuration file that is read. Repositories on the host itself are root's, or those of a user for git; what git
/// starts for them takes this word from a file only.
const CONFIG: &str = "git-config";
const OWN_REPOSITORIES: &[u8] = b"[safe]\n\tdirectory = *\n";
/// A mirror, and its files: objects that are not packed yet count.
const MIRROR: Quota = Quota { bytes: 4 << 30, entries: 300_000 };
/// A release as it is in the repository.
pub(super) const RELEASE: Quota = Quota { bytes: 2 << 30, entries: 200_000 };
const FETCH: Duration = Duration::from_secs(900);
const LOCAL: Duration = Duration::from_secs(300);

/// Settings that no configuration file can change: they are on the command line.
const SETTINGS: [&str; 22] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.askPass=",
    "core.pager=cat",
    "core.gitProxy=",
    "core.sshCommand=/bin/false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "credential.helper=",
    "protocol.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "http.followRedirects=false",
    "http.sslVerify=true",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "safe.bareRepository=all",
];

/// A repository, and the mirror of it on this host.
#[derive(Debug, Clone)]
pub(crate) struct Git<'a> {
    /// Where the repository is.
    pub(crate) url: GitUrl,
    /// The mirror.
    pub(crate) mirror: &'a Path,
    /// What ssh servers are known by.
    pub(crate) known_hosts: &'a str,
    /// This program, which hands out the token.
    pub(crate) helper: &'a str,
}

impl Git<'_> {
    fn command(&self, settings: &[String], words: &[&str]) -> Vec<String> {
        let mut argv = vec![
            GIT.to_owned(),
            format!("--git-dir={}", self.mirror.display()),
            "--no-replace-objects".into(),
        ];
        let all = SETTINGS.iter().map(|s| (*s).to_owned()).chain(settings.iter().cloned());
        argv.extend(all.flat_map(|setting| ["-c".to_owned(), setting]));
        argv.extend(words.iter().map(|w| (*w).to_owned()));
        argv
    }

    /// The settings for speaking to this one server. `credentials`: the folder in which the unit finds them.
    fn remote(&self, credentials: &str) -> Vec<String> {
        match self.url.transport() {
            Transport::File => vec!["protocol.file.allow=always".into()],
            Transport::Https => {
                vec![
                    "protocol.https.allow=always".into(),
                    format!("credential.helper={} git-credential", self.helper),
                ]
            }
            // No word of it is anybody's but ours. The user, the host and the port come from git, each as an argument.
            Transport::Ssh => vec![
                "protocol.ssh.allow=always".into(),
                "ssh.variant=ssh".into(),
                format!(
                    "core.sshCommand=/usr/bin/ssh -F none -T -a -x -o BatchMode=yes -o StrictHostKeyChecking=yes \
                     -o UserKnownHostsFile={credentials}/{KNOWN_HOSTS} -o GlobalKnownHostsFile=/dev/null \
                     -o UpdateHostKeys=no -o IdentitiesOnly=yes -o IdentityAgent=none -o ProxyCommand=none \
                     -o PermitLocalCommand=no -o ControlMaster=no -o ConnectTimeout=30 -o ServerAliveInterval=15 \
                     -i {credentials}/{KEY}"
                ),
            ],
        }
    }

    /// Makes the mirror if there is none, and brings a branch into it.
    pub(crate) fn fetch(&self, branch: &BranchName, confined: Confined) -> Confined {
        let credentials = format!("/run/credentials/{}", confined.unit);
        let spec = format!("+{0}:{0}", branch.full());
        let fetch =
            ["fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc", "--"];
        let fetch = [&fetch[..], &[self.url.as_str(), &spec]].concat();
        let known_hosts = match (self.known_hosts, self.url.server()) {
            ("", "github.com") => GITHUB,
            (given, _) => given,
        };
        let mut commands = vec![self.command(&self.remote(&credentials), &fetch)];
        if !self.mirror.join("HEAD").exists() {
            commands.insert(0, self.command(&[], &["init", "--quiet", "--bare", "--initial-branch=hms"]));
        }
        Confined {
            commands,
            public: vec![
                (KNOWN_HOSTS.to_owned(), known_hosts.as_bytes().to_vec()),
                (CONFIG.to_owned(), OWN_REPOSITORIES.to_vec()),
            ],
            environment: environment(&format!("{credentials}/{CONFIG}")),
            writes: vec![self.mirror.to_owned()],
            network: self.url.transport() != Transport::File,
            limit: FETCH,
            quota: Some((self.mirror.to_owned(), MIRROR)),
            ..confined
        }
    }

    /// Prints what is known of a commit; without one, of the one that the branch points at.
    pub(crate) fn look(
        &self,
        branch: &BranchName,
        commit: Option<&CommitId>,
        confined: Confined,
    ) -> Confined {
        let full = branch.full();
        let show = [
            "log",
            "-1",
            "--no-show-signature",
            "--no-color",
            "--encoding=UTF-8",
            "--format=%H%x00%s%x00%an",
        ];
        let wanted = commit.map_or(full.as_str(), CommitId::as_str);
        let show = self.command(&[], &[&show[..], &["--end-of-options", wanted, "--"]].concat());
        let mut commands = vec![show];
        if let Some(commit) = commit {
            let words = ["merge-base", "--is-ancestor", "--end-of-options", commit.as_str(), &full];
            commands.insert(0, self.command(&[], &words));
        }
        Confined { commands, environment: environment("/dev/null"), limit: LOCAL, ..confined }
    }

    /// Puts the files of a commit into an empty folder.
    pub(crate) fn checkout(&self, commit: &CommitId, release: &Path, confined: Confined) -> Confined {
        let tree = format!("--work-tree={}", release.display());
        let mut command = self.command(&[], &["checkout", "--force", "--no-recurse-submodules"]);
        command.insert(2, tree);
        command.extend([commit.to_string(), "--".to_owned(), ".".to_owned()]);
        Confined {
            commands: vec![command],
            environment: environment("/dev/null"),
            folder: release.to_owned(),
            writes: vec![release.to_owned()],
            limit: LOCAL,
            quota: Some((release.to_owned(), RELEASE)),
            ..confined
        }
    }
}

/// The environment of git: nothing but this.
fn environment(config: &str) -> Vec<(String, String)> {
    [
        ("PATH", "/usr/bin:/bin"),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/tmp"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", config),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "/bin/false"),
        ("GIT_SSH_VARIANT", "ssh"),
        ("GIT_PROTOCOL_FROM_USER", "0"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_ADVICE", "0"),
        // The index is the unit's own: the mirror is not written to by a checkout.
        ("GIT_INDEX_FILE", "/tmp/hms-index"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A commit, as git tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its whole id.
    pub(crate) id: CommitId,
    /// First line of its message.
    pub(crate) subject: String,
    /// Its author's name.
    pub(crate) author: String,
}

/// Reads what [`Git::look`] printed.
pub(crate) fn commit(printed: &[u8]) -> Result<Commit, Fault> {
    let text = String::from_utf8_lossy(printed);
    let mut parts = text.trim_end_matches('\n').split('\0');
    let mut next = |most: usize| {
        let part = parts.next().unwrap_or_default();
        part.chars().filter(|c| !c.is_control()).take(most).collect::<String>()
    };
    let id = CommitId::try_from(next(64).as_str())
        .map_err(|_| crate::internal("git did not say which commit the branch points at"))?;
    Ok(Commit { id, subject: next(200), author: next(100) })
}

/// `hms-agent git-credential get`: tells git the token for the server that it asks about (gitcredentials(7)).
pub(crate) fn credential(verb: &str) {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from).unwrap_or_default();
    let token =
        crate::files::read_if_there(&folder.join(TOKEN), 64 * 1024).ok().flatten().unwrap_or_default();
    let token = String::from_utf8_lossy(&token);
    if verb == "get" && !token.trim().is_empty() {
        // Any user will do where a token is taken; some servers want it not to be empty.
        println!("username=git\npassword={}", token.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str) -> Git<'static> {
        let (mirror, helper) = (Path::new("/srv/cigar/repo"), "/usr/bin/hms-agent");
        Git { url: GitUrl::try_from(url).unwrap(), mirror, known_hosts: "", helper }
    }

    fn unit() -> Confined {
        Confined { unit: "hms-job-7-fetch.service".into(), ..Confined::default() }
    }

    fn settings(command: &[String]) -> Vec<&str> {
        command.windows(2).filter(|w| w[0] == "-c").map(|w| w[1].as_str()).collect()
    }

    /// Security cases 61, 65 and 66.
    #[test]
    fn only_the_one_way_to_the_server_is_open() {
        let main = BranchName::try_from("main").unwrap();
        let https = git("https://git.example.org/a.git").fetch(&main, unit());
        let fetch = settings(&https.commands[1]);
        let allowed: Vec<_> = fetch.iter().filter(|s| s.starts_with("protocol.")).collect();
        assert_eq!(allowed, [&"protocol.allow=never", &"protocol.https.allow=always"]);
        for setting in [
            "http.followRedirects=false",
            "core.hooksPath=/dev/null",
            "submodule.recurse=false",
            "core.fsmonitor=false",
        ] {
            assert!(https.commands.iter().all(|c| settings(c).contains(&setting)), "{setting}");
        }
        // An empty helper forgets those before it: only ours is asked.
        let helpers: Vec<_> = fetch.iter().filter(|s| s.starts_with("credential.")).collect();
        assert_eq!(helpers, [&"credential.helper=", &"credential.helper=/usr/bin/hms-agent git-credential"]);
        let end = https.commands[1].iter().position(|w| w == "--").unwrap();
        assert_eq!(
            https.commands[1][end..],
            ["--", "https://git.example.org/a.git", "+refs/heads/main:refs/heads/main"]
        );
        assert!(https.network && !git("file:///srv/git/a.git").fetch(&main, unit()).network);
    }

    #[test]
    fn ssh_believes_only_the_keys_that_are_pinned() {
        let main = BranchName::try_from("main").unwrap();
        let ssh = git("git@github.com:a/b.git").fetch(&main, unit());
        let command =
            *settings(&ssh.commands[1]).iter().rfind(|s| s.starts_with("core.sshCommand=")).unwrap();
        for option in
            ["-F none", "StrictHostKeyChecking=yes", "BatchMode=yes", "GlobalKnownHostsFile=/dev/null"]
        {
            assert!(command.contains(option), "{command}");
        }
        assert!(command.contains("/run/credentials/hms-job-7-fetch.service/known-hosts"));
        assert!(ssh.public[0].1.starts_with(b"github.com ssh-ed25519 "));
        let other = git("git@git.example.org:a/b.git").fetch(&main, unit());
        assert_eq!(other.public[0].1, b"");
    }

    /// Security case 63.
    #[test]
    fn a_commit_is_taken_by_its_whole_id() {
        let id = "c".repeat(40);
        let commit_id = CommitId::try_from(id.as_str()).unwrap();
        let main = BranchName::try_from("main").unwrap();
        let look = git("file:///srv/git/a.git").look(&main, Some(&commit_id), unit());
        assert!(look.commands[0].ends_with(&[
            "--end-of-options".into(),
            id.clone(),
            "refs/heads/main".into()
        ]));
        let release = Path::new("/srv/cigar/releases/x");
        let checkout = git("file:///srv/git/a.git").checkout(&commit_id, release, unit());
        assert!(checkout.commands[0].ends_with(&[id.clone(), "--".into(), ".".into()]));
        assert_eq!(checkout.commands[0][2], "--work-tree=/srv/cigar/releases/x");
        assert_eq!(checkout.writes, [release]);
        let seen = commit(format!("{id}\0Add \u{7}a box\0Ada\n").as_bytes()).unwrap();
        assert_eq!(
            (seen.id.as_str(), seen.subject.as_str(), seen.author.as_str()),
            (id.as_str(), "Add a box", "Ada")
        );
        assert!(commit(b"main\0x\0y").is_err() && commit(b"").is_err());
    }
}
