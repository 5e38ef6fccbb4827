//! Git repositories on hosts, and what the developers of an app put into them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths;
use crate::testbed::Host;

/// Where HMS takes repositories from that are on the host itself.
const FOLDER: &str = "/srv/git";

/// Versions of gems are those of the host: its Debian may be newer than the one that a lock file was made on.
const LOCK: &str = "cd \"$(mktemp -d)\"; cat > Gemfile; bundle lock --local >/dev/null; cat Gemfile.lock";

/// A bare repository on a host, below /srv/git.
#[derive(Clone, Debug)]
pub struct Repository {
    name: String,
}

impl Repository {
    /// Makes a repository without a commit.
    pub async fn empty(host: &Host, name: &str) -> Result<Self> {
        let repository = Self { name: name.to_owned() };
        let folder = repository.folder();
        host.run(&["git", "init", "--quiet", "--bare", "--initial-branch=main", &folder]).await?;
        Ok(repository)
    }

    /// Makes a repository whose first commit is one of the apps in tests/rails.
    pub async fn of_app(host: &Host, name: &str, app: &str) -> Result<Self> {
        let repository = Self::empty(host, name).await?;
        repository.commit(host, &Change::of_app(host, app).await?).await?;
        Ok(repository)
    }

    /// A repository that is there already.
    #[must_use]
    pub fn known(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its name, without the ending.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder on its host.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{FOLDER}/{}.git", self.name)
    }

    /// Its address on its own host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.folder())
    }

    /// Adds a commit to a branch and returns its id.
    pub async fn commit(&self, host: &Host, change: &Change) -> Result<String> {
        let branch = format!("refs/heads/{}", change.branch);
        let begins = self.git(host, &["rev-parse", "--verify", "--quiet", &branch], b"").await.is_err();
        self.git(host, &["fast-import", "--quiet", "--force", "--date-format=now"], &change.stream(begins))
            .await?;
        // Servers of plain files need it.
        self.git(host, &["update-server-info"], b"").await?;
        Ok(self.git(host, &["rev-parse", &branch], b"").await?.trim().to_owned())
    }

    /// Moves a branch to a commit, as a forced push does.
    pub async fn move_branch(&self, host: &Host, branch: &str, commit: &str) -> Result<()> {
        self.git(host, &["update-ref", &format!("refs/heads/{branch}"), commit], b"").await?;
        Ok(())
    }

    async fn git(&self, host: &Host, words: &[&str], input: &[u8]) -> Result<String> {
        let folder = format!("--git-dir={}", self.folder());
        host.run_with(&[&["git", &folder], words].concat(), input).await
    }
}

/// One commit: what it changes, and who says what about it.
#[derive(Clone, Debug)]
pub struct Change {
    subject: String,
    author: String,
    branch: String,
    // The mode, the path, and the content; nothing: it is removed.
    entries: Vec<(&'static str, String, Option<Vec<u8>>)>,
}

impl Change {
    /// A commit on `main` that changes nothing yet.
    #[must_use]
    pub fn new(subject: &str) -> Self {
        let (author, branch) = ("Robin Weber".to_owned(), "main".to_owned());
        Self { subject: subject.to_owned(), author, branch, entries: Vec::new() }
    }

    /// A new version of one of the apps: it says so itself.
    #[must_use]
    pub fn version(version: &str) -> Self {
        Self::new(&format!("Version {version}")).file("VERSION", format!("{version}\n"))
    }

    /// All files of an app, with the gems of a host.
    pub async fn of_app(host: &Host, app: &str) -> Result<Self> {
        let root = paths::repository().join("tests/rails").join(app);
        let mut change = Self::new(&format!("Begin {app}"));
        for path in files(&root)? {
            let name = path.strip_prefix(&root)?.to_str().context("a file's name is not valid UTF-8")?;
            let content = fs::read(&path)?;
            change = match name.starts_with("bin/") {
                true => change.program(name, content),
                false => change.file(name, content),
            };
        }
        let gemfile = fs::read(root.join("Gemfile"))?;
        let lock = host.run_with(&["sh", "-ec", LOCK], &gemfile).await?;
        Ok(change.file("Gemfile.lock", lock))
    }

    /// Who wrote it.
    #[must_use]
    pub fn by(mut self, author: &str) -> Self {
        author.clone_into(&mut self.author);
        self
    }

    /// What its first line says.
    #[must_use]
    pub fn saying(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// The branch that it goes to.
    #[must_use]
    pub fn on(mut self, branch: &str) -> Self {
        branch.clone_into(&mut self.branch);
        self
    }

    /// Writes a file.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.entry("100644", path, Some(content.into()))
    }

    /// Writes a program.
    #[must_use]
    pub fn program(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.entry("100755", path, Some(content.into()))
    }

    /// Makes a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry("120000", path, Some(target.into()))
    }

    /// Names a commit of another repository, as a submodule does.
    #[must_use]
    pub fn module(self, path: &str, commit: &str) -> Self {
        self.entry("160000", path, Some(commit.into()))
    }

    /// Removes a file.
    #[must_use]
    pub fn without(self, path: &str) -> Self {
        self.entry("", path, None)
    }

    fn entry(mut self, mode: &'static str, path: &str, content: Option<Vec<u8>>) -> Self {
        self.entries.push((mode, path.to_owned(), content));
        self
    }

    /// As git-fast-import(1) reads it: no work tree is needed, and paths that no work tree could have are taken.
    fn stream(&self, begins: bool) -> Vec<u8> {
        let who =
            format!("{} <{}@example.org> now", self.author, self.author.replace(' ', ".").to_lowercase());
        let mut stream =
            format!("commit refs/heads/{}\nauthor {who}\ncommitter {who}\n", self.branch).into_bytes();
        data(&mut stream, self.subject.as_bytes());
        if !begins {
            stream.extend(format!("from refs/heads/{}^0\n", self.branch).bytes());
        }
        for (mode, path, content) in &self.entries {
            let path = path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            match content {
                Some(commit) if *mode == "160000" => {
                    stream
                        .extend(format!("M {mode} {} \"{path}\"\n", String::from_utf8_lossy(commit)).bytes());
                }
                Some(content) => {
                    stream.extend(format!("M {mode} inline \"{path}\"\n").bytes());
                    data(&mut stream, content);
                }
                None => stream.extend(format!("D \"{path}\"\n").bytes()),
            }
        }
        stream
    }
}

fn data(stream: &mut Vec<u8>, content: &[u8]) {
    stream.extend(format!("data {}\n", content.len()).bytes());
    stream.extend(content);
    stream.push(b'\n');
}

/// All files below a folder, in the order of their names.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}
