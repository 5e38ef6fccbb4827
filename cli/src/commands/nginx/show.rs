//! `hmsctl nginx list`, `get`, `reload` and `route`: how nginx is, and what it does with a URL.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::host::v1::{
    NginxFile, NginxFileKind, NginxPlace, NginxTree, ReloadNginxRequest, RouteNginxRequest,
    RouteNginxResponse,
};

use super::{complete, path::ConfigPath, problem, target::Target};
use crate::{
    connect::Pace,
    failure::{Failure, Result},
    output::{
        escape::{inline, visible},
        measure::{full, now_usec, relative, size, took},
        table::{Cell, Look, Table},
    },
};

#[derive(Debug, Default, Args)]
pub(super) struct ListFiles {
    /// Only files with problems, and what these are
    #[arg(long)]
    problems: bool,
}

impl ListFiles {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let mut tree = target.tree().await?;
        if self.problems {
            tree.files.retain(|f| !f.problems.is_empty() || f.quarantined || !f.locked.is_empty());
        }
        let out = &target.session.out;
        if out.data(&tree)? {
            return Ok(());
        }
        out.write(&head(&tree, &target.label, now_usec(), out.colour))?;
        let empty = if self.problems { "No file has a problem." } else { "There are no files." };
        out.table(&table(&tree.files, now_usec()), empty)?;
        if !self.problems {
            return Ok(());
        }
        let all: Vec<_> = tree.files.into_iter().flat_map(|f| f.problems).chain(tree.problems).collect();
        let sources = target.sources_of(&all, problem::Sources::new()).await;
        out.write(&problem::rendered(&all, &sources, out.colour))
    }
}

/// How nginx is, what waits to be confirmed, and how the last change ended.
fn head(tree: &NginxTree, host: &str, now: i64, colour: bool) -> String {
    let mut text = match (tree.version.as_str(), tree.running) {
        ("", _) => format!("{} on {host}\n", Look::Bad.paint("▲ nginx is not installed", colour)),
        (version, true) => {
            format!("{} {} on {host}\n", Look::Good.paint("● running", colour), inline(version))
        }
        (version, false) => {
            format!("{} {} on {host}\n", Look::Bad.paint("▲ not running", colour), inline(version))
        }
    };
    if !tree.problems.is_empty() {
        let line = format!("▲ the tree as it is has {}", problem::tally(&tree.problems));
        text += &format!("{}: hmsctl nginx test\n", Look::Bad.paint(&line, colour));
    }
    if let Some(pending) = &tree.pending {
        let line = format!(
            "◐ {} by {} is put back {}, at {}",
            inline(&pending.paths.join(", ")),
            inline(&pending.actor),
            relative(pending.deadline_usec, now),
            full(pending.deadline_usec)
        );
        text +=
            &format!("{}: hmsctl nginx confirm {}\n", Look::Busy.paint(&line, colour), inline(&pending.id));
    }
    if let Some(last) = &tree.last {
        let detail =
            if last.detail.is_empty() { String::new() } else { format!(": {}", inline(&last.detail)) };
        text += &format!(
            "last change: {} {} by {} {}{detail}\n",
            inline(&last.paths.join(", ")),
            inline(&last.result),
            inline(&last.actor),
            relative(last.time_usec, now)
        );
    }
    text + "\n"
}

/// Files as a table: sites first, as they are what people look for.
fn table(files: &[NginxFile], now: i64) -> Table {
    let rank = |file: &NginxFile| match file.kind() {
        NginxFileKind::Site => 0,
        NginxFileKind::Main => 1,
        NginxFileKind::Conf => 2,
        NginxFileKind::Snippet => 3,
        _ => 4,
    };
    let mut sorted: Vec<&NginxFile> = files.iter().collect();
    sorted.sort_by_key(|file| (rank(file), file.path.as_str()));
    let mut table = Table::new(&["FILE", "!STATE", "NAMES", "LISTENS", ">SIZE", "CHANGED", "!PROBLEMS"]);
    for file in sorted {
        table.row(vec![
            Cell::new(&brief(&file.path), Look::Strong),
            state(file),
            file.server_names.join(" ").into(),
            file.listens.join(" ").into(),
            size(file.size_bytes).into(),
            relative(file.modified_usec, now).into(),
            problems(file),
        ]);
    }
    table
}

fn brief(path: &str) -> String {
    ConfigPath::whole(path).map_or_else(|_| path.to_owned(), |path| path.brief().to_owned())
}

fn state(file: &NginxFile) -> Cell {
    let (text, look) = match (file.quarantined, file.enabled, file.kind()) {
        (true, ..) => ("▲ quarantined", Look::Bad),
        (_, true, NginxFileKind::Site) => ("● enabled", Look::Good),
        (_, true, _) => ("● used", Look::Good),
        (_, false, NginxFileKind::Site) => ("○ disabled", Look::Faint),
        (_, false, _) => ("○ not used", Look::Faint),
    };
    Cell::new(text, look)
}

fn problems(file: &NginxFile) -> Cell {
    match (file.locked.as_str(), problem::tally(&file.problems)) {
        ("", tally) if file.problems.iter().any(problem::is_error) => Cell::new(&tally, Look::Bad),
        ("", tally) => Cell::new(&tally, Look::Busy),
        (locked, _) => Cell::new(&format!("locked: {locked}"), Look::Busy),
    }
}

#[derive(Debug, Args)]
pub(super) struct GetFile {
    /// The file, or the name of a site
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    path: ConfigPath,
}

impl GetFile {
    /// The content alone on stdout; the hash, for `--expect`, on stderr.
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let file = target.file(self.path.as_str()).await?;
        let out = &target.session.out;
        if out.data(&file)? {
            return Ok(());
        }
        if !file.locked.is_empty() {
            return Err(Failure::local(format!("{} cannot be shown: {}", self.path, file.locked)));
        }
        if super::on_terminal() {
            out.write(&visible(&file.content))?
        } else {
            out.write(&file.content)?
        }
        out.note(&format!("{} sha256 {}", self.path, inline(&file.sha256)));
        Ok(())
    }
}

/// Has nginx read its configuration again.
pub(super) async fn reload(target: &Target<'_>) -> Result<()> {
    let out = &target.session.out;
    let done = {
        let _progress = out.progress(format!("reloading nginx on {}", target.label));
        target.link.answer(Pace::Act, target.nginx(Pace::Act).reload(ReloadNginxRequest {})).await
    };
    let done = match done {
        Ok(done) => done,
        Err(failure) => return Err(super::change::told(target, &[], failure).await?),
    };
    if out.data(&done)? {
        return Ok(());
    }
    target.tell(&done.problems, problem::Sources::new()).await;
    let reloaded = Look::Good.paint("reloaded", out.colour);
    out.line(&format!("{reloaded} nginx on {} in {}", target.label, took(done.took_ms)))
}

#[derive(Debug, Args)]
pub(super) struct Route {
    /// A URL, such as `https://cigars.example.org/posts?id=1`
    #[arg(value_name = "URL")]
    url: String,
}

impl Route {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let request = RouteNginxRequest { url: self.url };
        let route = target.link.answer(Pace::Look, target.nginx(Pace::Look).route(request)).await?;
        let out = &target.session.out;
        if out.data(&route)? {
            return Ok(());
        }
        out.write(&way(&route).render(out.width, out.colour))
    }
}

/// The way of a request, step by step.
fn way(route: &RouteNginxResponse) -> Table {
    let mut table = Table::new(&["", "", "!", ""]);
    let mut say = |what: &str, look: Look, place: &NginxPlace, why: &str| {
        let at = if place.path.is_empty() { String::new() } else { format!("{}:{}", place.path, place.line) };
        let cells = [
            Cell::new(what, Look::Faint),
            Cell::new(&place.text, look),
            at.into(),
            Cell::new(why, Look::Faint),
        ];
        table.row(cells.into());
    };
    if !route.listen.is_empty() {
        let listen = NginxPlace { text: route.listen.clone(), ..NginxPlace::default() };
        say("listens", Look::Plain, &listen, "");
    }
    if let Some(server) = &route.server {
        say("server", Look::Strong, server, &route.server_reason);
    }
    if let Some(location) = &route.location {
        say("location", Look::Strong, location, &route.location_reason);
    }
    for action in &route.actions {
        say("does", Look::Good, action, "");
    }
    for other in &route.considered {
        say("looked at", Look::Faint, other, "");
    }
    table
}

#[cfg(test)]
mod tests {
    use hms_proto::{
        fault::ConfigProblem,
        host::v1::{NginxOutcome, PendingNginx},
    };

    use super::*;

    fn file(path: &str, kind: NginxFileKind, enabled: bool) -> NginxFile {
        NginxFile {
            path: path.into(),
            kind: kind as i32,
            enabled,
            size_bytes: 1_200,
            modified_usec: 1_000_000,
            ..NginxFile::default()
        }
    }

    #[test]
    fn files_as_a_table() {
        let problem = ConfigProblem { severity: "error".into(), ..ConfigProblem::default() };
        let cigar = NginxFile {
            server_names: vec!["cigars.example.org".into(), "www.cigars.example.org".into()],
            listens: vec!["443 ssl".into()],
            ..file("sites-available/cigar", NginxFileKind::Site, true)
        };
        let broken = NginxFile {
            quarantined: true,
            problems: vec![problem.clone()],
            ..file("sites-available/old", NginxFileKind::Site, false)
        };
        let locked = NginxFile {
            locked: "it is a link out of the tree".into(),
            ..file("sites-available/zz\x1b[2J", NginxFileKind::Site, false)
        };
        let files = [
            file("nginx.conf", NginxFileKind::Main, true),
            locked,
            broken,
            cigar,
            file("snippets/x", NginxFileKind::Snippet, false),
        ];
        insta::assert_snapshot!(table(&files, 301_000_000).render(None, false));
    }

    #[test]
    fn the_head_says_what_waits_and_what_was() {
        let pending = PendingNginx {
            id: "0b6f".into(),
            actor: "ada".into(),
            paths: vec!["sites-available/cigar".into()],
            deadline_usec: 61_000_000,
            ..PendingNginx::default()
        };
        let last = NginxOutcome {
            actor: "ben".into(),
            paths: vec!["nginx.conf".into()],
            time_usec: 1_000_000,
            result: "rolled-back".into(),
            detail: "port 443 is taken".into(),
            ..NginxOutcome::default()
        };
        let mut tree = NginxTree {
            version: "nginx/1.22.1".into(),
            running: true,
            pending: Some(pending),
            last: Some(last),
            problems: vec![ConfigProblem::default()],
            ..NginxTree::default()
        };
        // The moment itself is told in the zone of the reader.
        let head_of =
            |tree: &NginxTree| head(tree, "asterra", 21_000_000, false).replace(&full(61_000_000), "TIME");
        insta::assert_snapshot!(head_of(&tree));
        tree = NginxTree { version: tree.version, ..NginxTree::default() };
        assert_eq!(head_of(&tree), "▲ not running nginx/1.22.1 on asterra\n\n");
        tree.version.clear();
        assert_eq!(head_of(&tree), "▲ nginx is not installed on asterra\n\n");
    }

    #[test]
    fn a_route_is_told_step_by_step() {
        let place =
            |text: &str, line| NginxPlace { text: text.into(), path: "sites-available/cigar".into(), line };
        let route = RouteNginxResponse {
            listen: "443 ssl".into(),
            server: Some(place("server_name cigars.example.org", 3)),
            server_reason: "exact name".into(),
            location: Some(place("location /posts", 12)),
            location_reason: "longest prefix".into(),
            actions: vec![place("proxy_pass http://cigar", 14)],
            considered: vec![place("location /", 8)],
        };
        insta::assert_snapshot!(way(&route).render(None, false));
    }
}
