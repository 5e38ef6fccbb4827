//! What the pages and REST share about nginx: which host, which file, and what to do when somebody else was faster.

use hms_proto::{
    controller::v1::NginxVersion,
    fault::{Fault, FaultKind},
    host::v1::{GetNginxRequest, NginxFile, PendingNginx},
    names::HostName,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Caller, db, nginx, state::State};

/// The host that is meant. It may be left out where there is only one.
pub(super) fn host(state: &State, caller: &Caller, name: Option<&str>) -> Result<HostName, Fault> {
    let seen = state.fleet.seen_by(caller);
    let hosts = seen.hosts();
    match (name.filter(|n| !n.is_empty()), hosts.as_slice()) {
        (Some(name), _) => {
            let name = HostName::try_from(name)?;
            seen.host(name.as_str())?;
            Ok(name)
        }
        (None, [only]) => Ok(HostName::try_from(only.row.name.as_str())?),
        (None, []) => Err(Fault::new(FaultKind::NotFound, "there is no host yet")),
        (None, several) => {
            let names: Vec<&str> = several.iter().take(20).map(|h| h.row.name.as_str()).collect();
            Err(Fault::invalid("there are several hosts, and none is named")
                .hint(format!("Add ?host= with one of: {}.", names.join(", "))))
        }
    }
}

/// The file that a site's name stands for: `cigar` is `sites-available/cigar`. A path is taken as it is; one without a
/// slash begins with `./`.
pub(super) fn path_of(site: &str) -> String {
    match site.strip_prefix("./") {
        Some(path) => path.to_owned(),
        None if site.contains('/') || site == "nginx.conf" => site.to_owned(),
        None => format!("sites-available/{site}"),
    }
}

/// Both sides of a conflict: somebody else changed the file meanwhile.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Clash {
    /// The file as it is now; none: it is gone.
    pub(super) current: Option<NginxFile>,
    /// Who made it so, as far as known.
    pub(super) by: Option<NginxVersion>,
    /// What both changes began with; none: not known.
    pub(super) base: Option<String>,
    /// Both changes in one text; none where there is no common beginning.
    pub(super) merged: Option<String>,
    /// Both changed the same lines: `merged` has marks where somebody must choose.
    pub(super) overlaps: bool,
}

/// What is known of the other side, for `mine`, which began with the content of hash `base`.
pub(super) async fn clash(
    state: &State,
    caller: &Caller,
    host: &HostName,
    path: &str,
    base: &str,
    mine: &str,
) -> Result<Clash, Fault> {
    let current = current(state, caller, host, path).await?;
    let base = match base.is_empty() {
        true => None,
        false => db::nginx::content(&state.db, base).await?.and_then(|c| String::from_utf8(c).ok()),
    };
    let by = newest(state, host, path).await?;
    let by = by.filter(|v| v.sha256 == current.as_ref().map(|f| f.sha256.clone()).unwrap_or_default());
    let theirs = current.as_ref().map(|f| f.content.clone()).unwrap_or_default();
    let texts = base.clone().map(|base| (base, mine.to_owned(), theirs));
    let merged = match texts {
        Some((base, mine, theirs)) => {
            tokio::task::spawn_blocking(move || nginx::merge(&base, &mine, &theirs)).await.unwrap_or_default()
        }
        None => None,
    };
    Ok(Clash {
        current,
        by,
        base,
        overlaps: merged.as_ref().is_some_and(|m| m.overlaps),
        merged: merged.map(|m| m.text),
    })
}

/// The newest version of a file, after a look at the host: an edit made there a moment ago is one.
async fn newest(state: &State, host: &HostName, path: &str) -> Result<Option<NginxVersion>, Fault> {
    if let Some(known) = state.fleet.host(host.as_str()) {
        nginx::sync(state, &known).await?;
    }
    let filter = db::nginx::Filter { host: host.as_str(), path, before: 0, limit: 1 };
    Ok(db::nginx::list(&state.db, filter).await?.pop())
}

/// A file as it is on the host now.
pub(super) async fn current(
    state: &State,
    caller: &Caller,
    host: &HostName,
    path: &str,
) -> Result<Option<NginxFile>, Fault> {
    let asked = state.gate.nginx(caller, host).get(GetNginxRequest { path: path.to_owned() }).await;
    match asked.map_err(|status| Fault::from_status(&status)) {
        Ok(file) => Ok(Some(file.into_inner())),
        Err(fault) if fault.kind() == FaultKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The change that waits to be confirmed: by its id, or the only one there is.
pub(super) fn pending(state: &State, host: &HostName, id: Option<String>) -> Result<String, Fault> {
    if let Some(id) = id.filter(|id| !id.is_empty()) {
        return Ok(id);
    }
    let known = state.fleet.host(host.as_str()).map(|h| state.nginx.of(h.row.id));
    let waiting = known.and_then(|picture| picture.tree.pending.clone());
    waiting
        .map(|PendingNginx { id, .. }| id)
        .ok_or_else(|| Fault::not_found("change of nginx that waits to be confirmed on", host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_named_by_its_name_and_any_file_by_its_path() {
        for (site, path) in [
            ("cigar", "sites-available/cigar"),
            ("example.com.conf", "sites-available/example.com.conf"),
            ("nginx.conf", "nginx.conf"),
            ("conf.d/gzip.conf", "conf.d/gzip.conf"),
            ("./mime.types", "mime.types"),
        ] {
            assert_eq!(path_of(site), path);
        }
    }
}
