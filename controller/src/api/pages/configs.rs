//! `/configs`: nginx of a host, the editor of a file, and its versions.

mod edit;
mod host;
mod shown;

use axum::{
    extract::{Path, State as Shared},
    response::{Html, Response},
};
use hms_proto::{
    controller::v1::{DriftRequest, GetVersionRequest, ListVersionsRequest},
    fault::Fault,
    names::HostName,
};
use hms_web::{
    frame::{PaletteEntry, Place},
    pages::ConfigVersionPage,
    parts::{AttentionItem, ConfigList, ConfigPending, ConfigResult, ConfigVersion, DiffLine},
};

use super::{Problem, frame, page, session::Session};
use crate::{auth::Caller, state::State};

pub(super) use edit::{change, open};
pub(super) use host::{act, new, show};
pub(super) use shown::{list, pending};

/// Versions shown beside the editor.
const VERSIONS: u32 = 30;

fn fault(status: tonic::Status) -> Fault {
    Fault::from_status(&status)
}

/// What every action of a host answers to a script: the result, and what it changed.
async fn answer(state: &State, caller: &Caller, host: &HostName, result: ConfigResult) -> String {
    let view = super::view(caller);
    let list = with_diffs(state, caller, host, shown::list(state, host.as_str())).await;
    let parts = [
        ConfigResult::fragment(&Some(result), view),
        ConfigPending::fragment(&shown::pending(state, host.as_str()), view),
        list.fragment(view),
    ];
    parts.map(|part| part.html).concat()
}

/// The list with what differs in each file that drifted.
async fn with_diffs(state: &State, caller: &Caller, host: &HostName, mut list: ConfigList) -> ConfigList {
    if list.drifts.is_empty() {
        return list;
    }
    let asked = state.gate.nginx_history(caller).drift(DriftRequest { host: host.to_string() }).await;
    if let Ok(drifts) = asked {
        list.drifts = drifts.into_inner().drifts.into_iter().map(shown::drift).collect();
    }
    list
}

/// All that is known of nginx on this host, with what differs in each file that drifted.
pub(super) async fn full_list(state: &State, caller: &Caller, host: &str) -> ConfigList {
    let list = shown::list(state, host);
    match HostName::try_from(host) {
        Ok(name) => with_diffs(state, caller, &name, list).await,
        Err(_) => list,
    }
}

async fn versions(
    state: &State,
    caller: &Caller,
    host: &HostName,
    path: &str,
) -> Result<Vec<ConfigVersion>, Fault> {
    let request =
        ListVersionsRequest { host: host.to_string(), path: path.to_owned(), limit: VERSIONS, before_id: 0 };
    let versions = state.gate.nginx_history(caller).list(request).await.map_err(fault)?.into_inner();
    Ok(versions.versions.into_iter().map(shown::version).collect())
}

/// One version and what it changed.
pub(super) async fn version(
    Shared(state): Shared<State>,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Response, Problem> {
    let version = state.gate.nginx_history(&session.caller).get(GetVersionRequest { id }).await?.into_inner();
    let title = format!("Version {id} of {}", version.path);
    Ok(page(&ConfigVersionPage {
        frame: frame(&state, &session.caller, Place::Configs, &title).await,
        diff: DiffLine::of(&version.diff),
        content: version.content.clone(),
        version: shown::version(version),
    }))
}

/// So many files of all hosts are within reach of the palette.
const REACHED: usize = 200;

/// The sites of every host.
pub(super) fn palette(state: &State, caller: &Caller) -> Vec<PaletteEntry> {
    let hosts = state.fleet.seen_by(caller).hosts();
    let pictures = hosts.iter().map(|host| (&host.row.name, state.nginx.of(host.row.id)));
    let sites = pictures.flat_map(|(name, picture)| {
        let sites = picture.tree.files.iter().filter(|f| f.path.starts_with("sites-available/"));
        sites.map(|site| PaletteEntry::config(name, &site.path)).collect::<Vec<_>>()
    });
    sites.take(REACHED).collect()
}

/// What of nginx needs somebody.
pub(super) fn attention(state: &State, caller: &Caller) -> Vec<AttentionItem> {
    let hosts = state.fleet.seen_by(caller).hosts();
    hosts.iter().flat_map(|host| shown::attention(&host.row.name, &state.nginx.of(host.row.id))).collect()
}

fn html(text: String) -> Html<String> {
    Html(text)
}
