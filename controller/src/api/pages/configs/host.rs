//! `/configs`, and what is done to nginx of a host as a whole.

use std::time::Duration;

use axum::{
    Form,
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::{IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{AdoptRequest, GetVersionRequest, NginxDrift},
    fault::Fault,
    host::v1::{
        ApplyNginxRequest, ApplyNginxResponse, ConfirmNginxRequest, NginxChange, ReloadNginxRequest,
        RevertNginxRequest, RouteNginxRequest, nginx_change::Action,
    },
    names::HostName,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::ConfigsPage,
    parts::{ConfigResult, config_href, host_href},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    super::{Problem, frame, nothing_here, page, session::Session, wants_fragment},
    answer, fault, html, shown, with_diffs,
};
use crate::{api::configs, auth::Caller, fleet::LinkState, nginx, state::State};

/// How long a page waits for a look at its host.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Asked {
    host: String,
    /// A URL of which it is asked who answers it.
    route: String,
}

/// nginx of one host.
pub(in super::super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let mut shown = blank(&state, &session.caller, &asked.host).await?;
    if let (Some(list), false) = (&shown.list, asked.route.is_empty()) {
        let host = HostName::try_from(list.host.as_str())?;
        let url = match asked.route.contains("://") {
            true => asked.route.clone(),
            false => format!("http://{}", asked.route),
        };
        let route = state.gate.nginx(&session.caller, &host).route(RouteNginxRequest { url }).await;
        match route.map_err(fault) {
            Ok(route) => shown.route = Some(shown::route(route.into_inner())),
            Err(fault) => shown.route_problem = Some(notice(&fault)),
        }
    }
    shown.url = asked.route;
    Ok(page(&shown))
}

fn notice(fault: &Fault) -> Notice {
    Notice { tone: Tone::Bad, message: fault.message.clone(), hint: fault.next().to_owned() }
}

/// Who opens the page sees what is there now, or what was seen last when that takes longer than anybody waits.
async fn look_now(state: &State, name: &str) {
    let Some(host) = state.fleet.host(name) else { return };
    if host.look(|p| p.link == LinkState::Connected) {
        let looked = tokio::time::timeout(PATIENCE, nginx::sync(state, &host)).await;
        tracing::debug!(host = name, in_time = looked.is_ok(), "looked at nginx for a page");
    }
}

/// The page of a host; without a name that of the first one that needs somebody.
async fn blank(state: &State, caller: &Caller, name: &str) -> Result<ConfigsPage, Problem> {
    let hosts = shown::hosts(state, caller, name);
    let first = hosts.iter().find(|h| !h.mark.is_empty()).or(hosts.first()).map(|h| h.name.clone());
    let mut shown = ConfigsPage {
        frame: frame(state, caller, Place::Configs, "Configs").await,
        ..ConfigsPage::default()
    };
    let name = if name.is_empty() { first.unwrap_or_default() } else { name.to_owned() };
    if name.is_empty() {
        return Ok(shown);
    }
    let host = configs::host(state, caller, Some(&name))?;
    shown.frame.events = format!("/events?view=configs&host={}", hms_web::text::encode(&name));
    shown.hosts = shown::hosts(state, caller, &name);
    look_now(state, &name).await;
    shown.list = Some(with_diffs(state, caller, &host, shown::list(state, &name)).await);
    shown.pending = shown::pending(state, &name);
    Ok(shown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct New {
    name: String,
    #[serde(default)]
    template: String,
}

/// Leads to the editor of a new site.
pub(in super::super) async fn new(
    Shared(state): Shared<State>,
    session: Session,
    Path(name): Path<String>,
    Query(new): Query<New>,
) -> Result<Response, Problem> {
    let host = configs::host(&state, &session.caller, Some(&name))?;
    let site = new.name.trim();
    let fits = !site.is_empty()
        && site.len() <= 100
        && !site.starts_with(['.', '-'])
        && site.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !fits {
        let mut shown = blank(&state, &session.caller, host.as_str()).await?;
        shown.new_problem = Some(notice(
            &Fault::invalid(format!("`{site}` cannot be the name of a site's file"))
                .hint("Use letters, digits, dots, dashes and underscores: `cigars.example.org`."),
        ));
        shown.new_name = new.name;
        return Ok(page(&shown));
    }
    let href = config_href(host.as_str(), &format!("sites-available/{site}"));
    let template = hms_web::text::encode(&new.template);
    Ok(Redirect::to(&format!("{href}?template={template}")).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Wanted {
    r#do: String,
    /// Of the change that waits to be confirmed.
    #[serde(default)]
    id: String,
    /// Of the file that drifted; none: all.
    #[serde(default)]
    path: String,
}

/// Reloads, confirms, reverts, adopts, puts back.
pub(in super::super) async fn act(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    let host = configs::host(&state, &session.caller, Some(&name))?;
    let caller = &session.caller;
    let result = match wanted.r#do.as_str() {
        "reload" => reload(&state, caller, &host).await,
        "confirm" => confirm(&state, caller, &host, wanted.id).await,
        "revert" => revert(&state, caller, &host, wanted.id).await,
        "adopt" => adopt(&state, caller, &host, &wanted.path).await,
        "put-back" => put_back(&state, caller, &host, &wanted.path).await,
        _ => return Ok(nothing_here()),
    };
    if !wants_fragment(&headers) {
        return match result.kind {
            hms_web::parts::OutcomeKind::Ok => Ok(Redirect::to(&host_href(host.as_str())).into_response()),
            _ => {
                let mut shown = blank(&state, caller, host.as_str()).await?;
                shown.result = Some(result);
                Ok(page(&shown))
            }
        };
    }
    Ok(html(answer(&state, caller, &host, result).await).into_response())
}

async fn reload(state: &State, caller: &Caller, host: &HostName) -> ConfigResult {
    let done = state.gate.nginx(caller, host).reload(ReloadNginxRequest {}).await.map_err(fault);
    told(
        caller,
        host,
        "nginx has read its files again",
        "Not reloaded",
        done.map(tonic::Response::into_inner),
    )
}

async fn confirm(state: &State, caller: &Caller, host: &HostName, id: String) -> ConfigResult {
    let done = state.gate.nginx(caller, host).confirm(ConfirmNginxRequest { id }).await.map_err(fault);
    told(caller, host, "Kept", "Not kept", done.map(|_| ApplyNginxResponse::default()))
}

async fn revert(state: &State, caller: &Caller, host: &HostName, id: String) -> ConfigResult {
    let done = state.gate.nginx(caller, host).revert(RevertNginxRequest { id }).await.map_err(fault);
    told(caller, host, "Put back", "Not put back", done.map(|_| ApplyNginxResponse::default()))
}

async fn adopt(state: &State, caller: &Caller, host: &HostName, path: &str) -> ConfigResult {
    let paths = Some(path.to_owned()).filter(|p| !p.is_empty()).into_iter().collect();
    let request = AdoptRequest { host: host.to_string(), paths, reason: String::new() };
    let done = state.gate.nginx_history(caller).adopt(request).await.map_err(fault);
    let what = if path.is_empty() { "all edits made outside HMS" } else { path };
    told(caller, host, &format!("Adopted {what}"), "Not adopted", done.map(|_| ApplyNginxResponse::default()))
}

/// Brings back what HMS knows, through the same tests as any change.
async fn put_back(state: &State, caller: &Caller, host: &HostName, path: &str) -> ConfigResult {
    let done = putting_back(state, caller, host, path).await;
    told(caller, host, &format!("Put {path} back"), "Not put back", done)
}

async fn putting_back(
    state: &State,
    caller: &Caller,
    host: &HostName,
    path: &str,
) -> Result<ApplyNginxResponse, Fault> {
    let picture = state.fleet.host(host.as_str()).map(|h| state.nginx.of(h.row.id)).unwrap_or_default();
    let drift = picture.drifts.iter().find(|d| d.path == path);
    let drift = drift.ok_or_else(|| Fault::not_found("drift of", path))?;
    let request = ApplyNginxRequest {
        id: Uuid::now_v7().to_string(),
        changes: vec![undoing(state, caller, drift).await?],
        reason: format!("put back what was {} outside HMS", drift.kind),
        ..ApplyNginxRequest::default()
    };
    Ok(state.gate.nginx(caller, host).apply(request).await.map_err(fault)?.into_inner())
}

async fn undoing(state: &State, caller: &Caller, drift: &NginxDrift) -> Result<NginxChange, Fault> {
    let action = match drift.kind.as_str() {
        "added" => Action::Delete(true),
        "enabled" => Action::Enable(false),
        "disabled" => Action::Enable(true),
        _ => {
            let request = GetVersionRequest { id: drift.known_version_id };
            let known = state.gate.nginx_history(caller).get(request).await.map_err(fault)?.into_inner();
            Action::Content(known.content)
        }
    };
    Ok(NginxChange {
        path: drift.path.clone(),
        expected_sha256: drift.live_sha256.clone(),
        action: Some(action),
    })
}

fn told(
    caller: &Caller,
    host: &HostName,
    good: &str,
    bad: &str,
    done: Result<ApplyNginxResponse, Fault>,
) -> ConfigResult {
    match done {
        Ok(applied) => shown::done(caller, host.as_str(), good.to_owned(), applied),
        Err(fault) => shown::failed(caller, host.as_str(), bad, &fault),
    }
}
