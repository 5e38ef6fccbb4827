//! `/audit`: every change and every refusal.

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use hms_proto::{
    controller::v1::{ChainRequest, ListAuditRequest},
    fault::Fault,
    when,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{AuditPage, AuditQuery, Chain},
};
use serde::Deserialize;

use super::{Problem, frame, page, session::Session, view};
use crate::{api::audit, state::State};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    actor: String,
    host: String,
    result: String,
    method: String,
    since: String,
    until: String,
    source: String,
    text: String,
    before: Option<i64>,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let mut shown = AuditPage {
        frame: frame(&state, &session.caller, Place::Audit, "Audit").await,
        hosts: state.fleet.seen_by(&session.caller).hosts().iter().map(|h| h.row.name.clone()).collect(),
        ..AuditPage::default()
    };
    match request(&asked) {
        Ok(request) => {
            let answer = state.gate.audit(&session.caller).list(request).await?.into_inner();
            shown.rows = answer.records.into_iter().map(view::activity).collect();
            shown.next_before = answer.next_before_seq;
        }
        Err(fault) => {
            let hint = fault.next().to_owned();
            shown.problem = Some(Notice { tone: Tone::Bad, message: fault.message, hint });
        }
    }
    shown.chain = chain(&state, &session).await;
    let Asked { actor, host, result, method, since, until, source, text, before } = asked;
    let before = before.unwrap_or(0);
    shown.query = AuditQuery { actor, host, result, method, since, until, source, text, before };
    Ok(page(&shown))
}

/// All records that fit, as a table.
pub(super) async fn csv(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    Ok(audit::file(&state, &session.caller, request(&asked)?, audit::Form::Csv).await?)
}

/// All records that fit, one in a line.
pub(super) async fn ndjson(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    Ok(audit::file(&state, &session.caller, request(&asked)?, audit::Form::Ndjson).await?)
}

/// What is known of the chain; nothing, when the database is away.
async fn chain(state: &State, session: &Session) -> Option<Chain> {
    let chain = state.gate.audit(&session.caller).chain(ChainRequest {}).await.ok()?.into_inner();
    let alarms = chain.held.iter().filter(|head| !head.alarm.is_empty());
    Some(Chain {
        verified: chain.verified_seq,
        rows: chain.seq,
        hosts: chain.held.iter().filter(|head| head.alarm.is_empty()).count(),
        broken: chain.broken,
        alarms: alarms.map(|head| format!("{}: {}", head.host, head.alarm)).collect(),
    })
}

fn request(asked: &Asked) -> Result<ListAuditRequest, Fault> {
    Ok(ListAuditRequest {
        actor: asked.actor.trim().into(),
        host: asked.host.clone(),
        method: asked.method.trim().into(),
        outcome: asked.result.clone(),
        before_seq: asked.before.unwrap_or(0),
        limit: 50,
        since_usec: time(&asked.since)?,
        until_usec: time(&asked.until)?,
        source: asked.source.clone(),
        text: asked.text.trim().into(),
    })
}

/// A time as typed; nothing typed is no limit.
pub(super) fn time(text: &str) -> Result<i64, Fault> {
    match text.trim() {
        "" => Ok(0),
        text => when::parse_utc(text).map_err(|error| Fault::invalid(error.to_string())),
    }
}
