//! `/hosts`: the hosts, adding one, a new token, removing one.

use axum::{
    Form,
    extract::{Path, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{
        AddHostRequest, AddHostResponse, LabelHostRequest, ListHostsRequest, NewJoinTokenRequest,
        RemoveHostRequest,
    },
    fault::Fault,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::HostsPage,
    parts::{AddHost, HostList, JoinToken},
};
use serde::Deserialize;

use super::{Problem, frame, page, session::Session, view, wants_fragment};
use crate::{auth::Caller, state::State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHost {
    name: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirm {
    confirm: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Labels {
    labels: String,
}

pub(super) async fn show(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    shown(&state, &session.caller, AddHost::default()).await
}

pub(super) async fn add(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Form(new): Form<NewHost>,
) -> Result<Response, Problem> {
    let request = AddHostRequest { name: new.name.trim().into(), address: new.address.trim().into() };
    let done = state.gate.fleet(&session.caller).add_host(request).await;
    let result = match done {
        Ok(added) => token_shown(&state, added.into_inner()),
        Err(status) => AddHost {
            name: new.name,
            address: new.address,
            error: Some(notice(&Fault::from_status(&status))),
            token: None,
        },
    };
    answer(&state, &session.caller, &headers, result).await
}

pub(super) async fn token(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let done = state.gate.fleet(&session.caller).new_join_token(NewJoinTokenRequest { name }).await;
    let result = match done {
        Ok(made) => token_shown(&state, made.into_inner()),
        Err(status) => AddHost { error: Some(notice(&Fault::from_status(&status))), ..AddHost::default() },
    };
    answer(&state, &session.caller, &headers, result).await
}

/// The labels as they are typed become those to add and those to take away.
pub(super) async fn label(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(typed): Form<Labels>,
) -> Result<Response, Problem> {
    let known = state.fleet.host(&name).map(|host| host.latest().labels.clone()).unwrap_or_default();
    let wanted: Vec<String> =
        typed.labels.split([' ', ',']).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    let without =
        |all: &[String], some: &[String]| all.iter().filter(|l| !some.contains(l)).cloned().collect();
    let request = LabelHostRequest { add: without(&wanted, &known), remove: without(&known, &wanted), name };
    let done = state.gate.fleet(&session.caller).label_host(request).await;
    let error = done.err().map(|status| notice(&Fault::from_status(&status)));
    if error.is_none() && !wants_fragment(&headers) {
        return Ok(Redirect::to("/hosts").into_response());
    }
    answer(&state, &session.caller, &headers, AddHost { error, ..AddHost::default() }).await
}

pub(super) async fn remove(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(confirm): Form<Confirm>,
) -> Result<Response, Problem> {
    let error = if confirm.confirm == name {
        let done = state.gate.fleet(&session.caller).remove_host(RemoveHostRequest { name }).await;
        done.err().map(|status| Fault::from_status(&status))
    } else {
        Some(
            Fault::invalid(format!(
                "`{}` is not the name of the host, so nothing was removed",
                confirm.confirm
            ))
            .hint("Type the name exactly."),
        )
    };
    if error.is_none() && !wants_fragment(&headers) {
        return Ok(Redirect::to("/hosts").into_response());
    }
    answer(
        &state,
        &session.caller,
        &headers,
        AddHost { error: error.as_ref().map(notice), ..AddHost::default() },
    )
    .await
}

/// All hosts as rows of the list.
pub(super) async fn list(state: &State, caller: &Caller) -> Result<HostList, Problem> {
    let hosts = state.gate.fleet(caller).list_hosts(ListHostsRequest {}).await?.into_inner().hosts;
    Ok(HostList { rows: hosts.iter().map(view::host_row).collect() })
}

async fn answer(
    state: &State,
    caller: &Caller,
    headers: &HeaderMap,
    add: AddHost,
) -> Result<Response, Problem> {
    match wants_fragment(headers) {
        true => Ok(Html(add.answer(&list(state, caller).await?, super::view(caller))).into_response()),
        false => shown(state, caller, add).await,
    }
}

async fn shown(state: &State, caller: &Caller, add: AddHost) -> Result<Response, Problem> {
    let mut shown = HostsPage {
        frame: frame(state, caller, Place::Hosts, "Hosts").await,
        hosts: list(state, caller).await?,
        add,
    };
    shown.frame.events = "/events?view=hosts".into();
    Ok(page(&shown))
}

fn token_shown(state: &State, made: AddHostResponse) -> AddHost {
    let token = JoinToken {
        host: made.host.map(|h| h.name).unwrap_or_default(),
        token: made.join_token,
        controller_url: state.reach.origin(),
        expires_us: made.expires_usec,
    };
    AddHost { token: Some(token), ..AddHost::default() }
}

fn notice(fault: &Fault) -> Notice {
    Notice { tone: Tone::Bad, message: fault.message.clone(), hint: fault.next().to_owned() }
}
