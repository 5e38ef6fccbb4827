//! Changes that come from files: `put`, `new`, `apply`, `diff`, `test`; and those of a word: `enable`, `rm` and the like.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{fault::Fault, host::v1::nginx_change::Action};

use super::{
    change::{self, Edit, How, carry_out, sha256},
    complete, folder,
    path::ConfigPath,
    problem,
    target::Target,
};
use crate::{
    dialog::{diff, file::read_text},
    failure::Result,
    output::confirm,
};

#[derive(Debug, Args)]
pub(super) struct PutFile {
    /// The file, or the name of a site
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    path: ConfigPath,
    /// Where its content comes from; `-` is stdin
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true, add = ArgValueCompleter::new(PathCompleter::file()))]
    file: PathBuf,
    /// Only if the file has this hash; by default the one that it has now
    #[arg(long, value_name = "SHA256", value_parser = sha256)]
    expect: Option<String>,
    #[command(flatten)]
    how: How,
}

impl PutFile {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let after = read_text(target.session, &self.file)?;
        let live = target.editable(&self.path).await?.unwrap_or_default();
        if after == live.content && !live.sha256.is_empty() && self.expect.is_none() {
            target.session.out.note(&format!("{} is so already", self.path));
            return Ok(());
        }
        let expected = self.expect.unwrap_or(live.sha256);
        carry_out(target, &self.how, vec![Edit::content(self.path, expected, live.content, after)]).await
    }
}

#[derive(Debug, Args)]
pub(super) struct NewSite {
    /// Name of the site
    #[arg(value_name = "SITE")]
    path: ConfigPath,
    /// Where its content comes from; `-` is stdin
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true, add = ArgValueCompleter::new(PathCompleter::file()))]
    file: PathBuf,
    /// Enable it in the same step
    #[arg(long)]
    enable: bool,
    #[command(flatten)]
    how: How,
}

impl NewSite {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let text = read_text(target.session, &self.file)?;
        let mut edits = vec![Edit::content(self.path.clone(), String::new(), String::new(), text)];
        if self.enable {
            edits.push(Edit {
                path: self.path,
                action: Action::Enable(true),
                expected: String::new(),
                before: None,
            });
        }
        carry_out(target, &self.how, edits).await
    }
}

#[derive(Debug, Args)]
pub(super) struct ApplyFiles {
    /// A folder that is laid out as /etc/nginx, a file in such a folder, or PATH=FILE
    #[arg(value_name = "FOLDER|FILE", required = true, add = ArgValueCompleter::new(PathCompleter::any()))]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

impl ApplyFiles {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let found = folder::find(target.session, &self.sources)?;
        let tree = target.tree().await?;
        let mut edits = Vec::new();
        for (path, file) in found.files {
            let after = read_text(target.session, &file)?;
            let live = match tree.files.iter().any(|f| f.path == path.as_str()) {
                true => target.editable(&path).await?.unwrap_or_default(),
                false => Default::default(),
            };
            if live.sha256.is_empty() || live.content != after {
                edits.push(Edit::content(path, live.sha256, live.content, after));
            }
        }
        for path in found.enabled {
            if !tree.files.iter().any(|f| f.path == path.as_str() && f.enabled) {
                edits.push(Edit {
                    path,
                    action: Action::Enable(true),
                    expected: String::new(),
                    before: None,
                });
            }
        }
        if edits.is_empty() {
            target.session.out.note(&format!("all of it is so already on {}", target.label));
            return Ok(());
        }
        carry_out(target, &self.how, edits).await
    }
}

#[derive(Debug, Args)]
pub(super) struct DiffFile {
    /// The file, or the name of a site
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    path: ConfigPath,
    /// What to compare it with; `-` is stdin
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true, add = ArgValueCompleter::new(PathCompleter::file()))]
    file: PathBuf,
}

impl DiffFile {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let after = read_text(target.session, &self.file)?;
        let live = target.editable(&self.path).await?.unwrap_or_default();
        let text = diff::unified(self.path.as_str(), &live.content, &after);
        if target.session.out.data(&serde_json::json!({ "path": self.path.as_str(), "diff": text }))? {
            return Ok(());
        }
        if text.is_empty() {
            target.session.out.note("they are the same");
        }
        change::show_diff(target, &text)
    }
}

#[derive(Debug, Args)]
pub(super) struct TestFiles {
    /// The file that is to be tested with another content; without it, the tree as it is
    #[arg(value_name = "PATH", requires = "file", add = ArgValueCompleter::new(complete::paths))]
    path: Option<ConfigPath>,
    /// That content; `-` is stdin
    #[arg(value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: Option<PathBuf>,
    /// Take this directive although it is not an ordinary one; may be repeated
    #[arg(long, value_name = "DIRECTIVE")]
    accept: Vec<String>,
}

impl TestFiles {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let edits = match (self.path, &self.file) {
            (Some(path), Some(file)) => vec![edit_of(target, path, file).await?],
            _ => Vec::new(),
        };
        let tested = change::test(target, &edits, &self.accept).await?;
        let out = &target.session.out;
        if !out.data(&tested)? {
            change::tell(target, &edits, &tested).await;
        }
        if !tested.ok {
            return Err(change::refused(&tested));
        }
        let tally = problem::tally(&tested.problems);
        let warnings = if tally.is_empty() { tally } else { format!(", with {tally}") };
        out.note(&format!("the configuration of {} is good{warnings}", target.label));
        Ok(())
    }
}

async fn edit_of(target: &Target<'_>, path: ConfigPath, file: &Path) -> Result<Edit> {
    let after = read_text(target.session, file)?;
    let live = target.editable(&path).await?.unwrap_or_default();
    Ok(Edit::content(path, live.sha256, live.content, after))
}

#[derive(Debug, Args)]
pub(super) struct OneSite {
    /// Name of the site
    #[arg(value_name = "SITE", add = ArgValueCompleter::new(complete::sites))]
    path: ConfigPath,
    #[command(flatten)]
    how: How,
}

impl OneSite {
    /// Makes or removes the link to the site.
    pub(super) async fn enable(self, target: &Target<'_>, enable: bool) -> Result<()> {
        let edit =
            Edit { path: self.path, action: Action::Enable(enable), expected: String::new(), before: None };
        carry_out(target, &self.how, vec![edit]).await
    }

    /// Moves the file out of nginx's sight, or back.
    pub(super) async fn quarantine(self, target: &Target<'_>, away: bool) -> Result<()> {
        // A file in quarantine may have another name meanwhile; the host finds it.
        let expected = target.editable(&self.path).await?.unwrap_or_default().sha256;
        let edit = Edit { path: self.path, action: Action::Quarantine(away), expected, before: None };
        carry_out(target, &self.how, vec![edit]).await
    }
}

#[derive(Debug, Args)]
pub(super) struct RemoveFile {
    /// The file, or the name of a site
    #[arg(value_name = "SITE", add = ArgValueCompleter::new(complete::paths))]
    path: ConfigPath,
    /// Only if the file has this hash; by default the one that it has now
    #[arg(long, value_name = "SHA256", value_parser = sha256)]
    expect: Option<String>,
    #[command(flatten)]
    how: How,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl RemoveFile {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let live = target.existing(&self.path).await?;
        let served = match live.server_names.as_slice() {
            [] => String::new(),
            names => format!(" It serves {}.", names.join(", ")),
        };
        let question = format!("Remove {} from {}?{served}", self.path, target.label);
        if !self.how.dry_run && !confirm(&question, self.yes, true)? {
            target.session.out.note("nothing was removed");
            return Ok(());
        }
        let expected = self.expect.unwrap_or(live.sha256);
        if expected.is_empty() {
            return Err(Fault::invalid(format!("{} has no content that could be removed", self.path)).into());
        }
        let edit =
            Edit { path: self.path, action: Action::Delete(true), expected, before: Some(live.content) };
        carry_out(target, &self.how, vec![edit]).await
    }
}
