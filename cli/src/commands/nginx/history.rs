//! `hmsctl nginx history`, `show`, `restore`, `drift` and `adopt`: configurations over time.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{
        AdoptRequest, DriftRequest, DriftResponse, GetVersionRequest, ListVersionsRequest,
        ListVersionsResponse, NginxDrift, NginxVersion,
    },
    fault::Fault,
};

use super::{
    change::{self, Edit, How, carry_out},
    complete,
    path::ConfigPath,
    target::Target,
};
use crate::{
    commands::pages,
    connect::Pace,
    dialog::{ask::choose, diff},
    failure::Result,
    output::{
        escape::{inline, visible},
        measure::{full, now_usec, relative},
        table::{Cell, Look, Table},
    },
};

#[derive(Debug, Args)]
pub(super) struct History {
    /// Only of this file, or of the site of this name
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    path: Option<ConfigPath>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl History {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let path = self.path.as_ref().map(ToString::to_string).unwrap_or_default();
        let page = async |limit, before_id| {
            let (host, path) = (target.label.clone(), path.clone());
            let request = ListVersionsRequest { host, path, limit, before_id };
            let page = target.link.answer(Pace::Look, target.history()?.list(request)).await?;
            Ok((page.versions, page.next_before_id))
        };
        let (rows, next_before_id) = pages::up_to(self.limit, page).await?;
        let list = ListVersionsResponse { versions: rows, next_before_id };
        if target.session.out.data(&list)? {
            return Ok(());
        }
        target.session.out.table(&versions(&list.versions, now_usec()), "There are no versions yet.")
    }
}

fn versions(versions: &[NginxVersion], now: i64) -> Table {
    let mut table = Table::new(&[">VERSION", "WHEN", "WHO", "!EVENT", "FILE", "REASON"]);
    for version in versions {
        let look = match version.event.as_str() {
            "outside" => Look::Busy,
            "rolled-back" | "reverted" => Look::Bad,
            _ => Look::Plain,
        };
        table.row(vec![
            version.id.to_string().into(),
            Cell::new(&relative(version.time_usec, now), Look::Faint),
            Cell::new(&version.author, Look::Strong),
            Cell::new(&version.event, look),
            version.path.as_str().into(),
            version.reason.as_str().into(),
        ]);
    }
    table
}

#[derive(Debug, Args)]
pub(super) struct ShowVersion {
    /// Number of the version, as `history` shows it
    #[arg(value_name = "VERSION", add = ArgValueCompleter::new(complete::versions))]
    version: i64,
    /// What it changed, instead of its content
    #[arg(long)]
    diff: bool,
}

impl ShowVersion {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let version = version(target, self.version).await?;
        let out = &target.session.out;
        if out.data(&version)? {
            return Ok(());
        }
        let reason = if version.reason.is_empty() { String::new() } else { format!(": {}", version.reason) };
        let (time, who) = (full(version.time_usec), &version.author);
        let head =
            format!("{} on {}, {} by {who}, {time}{reason}", version.path, version.host, version.event);
        out.note(&inline(&head));
        match self.diff {
            true => change::show_diff(target, &version.diff),
            false if super::on_terminal() => out.write(&visible(&version.content)),
            false => out.write(&version.content),
        }
    }
}

/// A version of a file of this host.
async fn version(target: &Target<'_>, id: i64) -> Result<NginxVersion> {
    let version: NginxVersion =
        target.link.answer(Pace::Look, target.history()?.get(GetVersionRequest { id })).await?;
    match version.host == target.label {
        true => Ok(version),
        false => {
            let what = format!("version {id} is of {}, not of {}", version.host, target.label);
            Err(Fault::invalid(what).hint(format!("add --host {}", version.host)).into())
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The file, or the name of a site
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    path: ConfigPath,
    /// Number of the version, as `history` shows it
    #[arg(long, value_name = "VERSION", add = ArgValueCompleter::new(complete::versions))]
    version: i64,
    #[command(flatten)]
    how: How,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Restore {
    pub(super) async fn run(mut self, target: &Target<'_>) -> Result<()> {
        let version = version(target, self.version).await?;
        if version.path != self.path.as_str() {
            return Err(Fault::invalid(format!("version {} is of {}", version.id, version.path)).into());
        }
        if version.event == "deleted" {
            let what = format!("version {} is the removal of the file", version.id);
            return Err(Fault::invalid(what)
                .hint("name an earlier version, or use `hmsctl nginx rm`")
                .into());
        }
        let out = &target.session.out;
        let live = target.editable(&self.path).await?.unwrap_or_default();
        if live.content == version.content && !live.sha256.is_empty() {
            out.note(&format!("{} is so already", self.path));
            return Ok(());
        }
        let edits = vec![Edit::content(self.path, live.sha256, live.content, version.content)];
        if !self.how.dry_run && !self.yes {
            out.say(diff::shown(&change::diffs(&edits), out.colour).trim_end());
            let question = format!("Restore version {} on {}?", version.id, target.label);
            if choose(&question, &["yes", "no"], "yes").await? == "no" {
                out.note("nothing was restored");
                return Ok(());
            }
        }
        if self.how.reason.is_empty() {
            self.how.reason = format!("restore version {}", version.id);
        }
        carry_out(target, &self.how, edits).await
    }
}

#[derive(Debug, Args)]
pub(super) struct Drift {
    /// Show the differences themselves
    #[arg(long)]
    diff: bool,
}

impl Drift {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let request = DriftRequest { host: target.label.clone() };
        let found = target.link.answer(Pace::Look, target.history()?.drift(request)).await?;
        let out = &target.session.out;
        if out.data(&found)? {
            return Ok(());
        }
        if self.diff {
            for drift in &found.drifts {
                change::show_diff(target, &drift.diff)?;
            }
            return Ok(());
        }
        let empty = format!("Nothing on {} was changed outside HMS.", target.label);
        out.table(&drifts(&found.drifts, now_usec()), &empty)?;
        if let Some(drift) = found.drifts.first() {
            let path = inline(&drift.path);
            out.note("\nTo keep it:     hmsctl nginx adopt");
            out.note(&format!(
                "To put it back: hmsctl nginx restore {path} --version {}",
                drift.known_version_id
            ));
        }
        Ok(())
    }
}

fn drifts(drifts: &[NginxDrift], now: i64) -> Table {
    let mut table =
        Table::new(&["FILE", "!WHAT", "CHANGED", "BY UID", "NOTICED", ">LINES", ">KNOWN VERSION"]);
    for drift in drifts {
        table.row(vec![
            Cell::new(&drift.path, Look::Strong),
            Cell::new(&format!("◐ {}", drift.kind), Look::Busy),
            relative(drift.modified_usec, now).into(),
            drift.owner_uid.to_string().into(),
            relative(drift.noticed_usec, now).into(),
            diff::size(&drift.diff).into(),
            drift.known_version_id.to_string().into(),
        ]);
    }
    table
}

#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// Only these files; without any, all that differ
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    paths: Vec<ConfigPath>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

impl Adopt {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let request = AdoptRequest {
            host: target.label.clone(),
            paths: self.paths.iter().map(ToString::to_string).collect(),
            reason: self.reason,
        };
        let left: DriftResponse = target.link.answer(Pace::Look, target.history()?.adopt(request)).await?;
        let out = &target.session.out;
        if out.data(&left)? {
            return Ok(());
        }
        out.line(&match left.drifts.len() {
            0 => format!("what is on {} is now the known state", target.label),
            n => format!("taken over on {}; {n} more differ: hmsctl nginx drift", target.label),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_a_table() {
        let version = |id, event: &str, author: &str, reason: &str| NginxVersion {
            id,
            path: "sites-available/cigar".into(),
            time_usec: 1_000_000,
            author: author.into(),
            reason: reason.into(),
            event: event.into(),
            ..NginxVersion::default()
        };
        let list = [
            version(112, "applied", "ada", "longer timeout\nforged"),
            version(9, "outside", "uid 0", ""),
            version(1, "first-seen", "", ""),
        ];
        insta::assert_snapshot!(versions(&list, 301_000_000).render(None, false));
    }

    #[test]
    fn drift_as_a_table() {
        let drift = NginxDrift {
            path: "sites-available/cigar".into(),
            kind: "changed".into(),
            diff: diff::unified("sites-available/cigar", "a\nb\n", "a\nc\nd\n"),
            modified_usec: 1_000_000,
            noticed_usec: 61_000_000,
            known_version_id: 12,
            ..NginxDrift::default()
        };
        insta::assert_snapshot!(drifts(&[drift], 301_000_000).render(None, false));
    }
}
