//! `/api/audit`: who did what, and how it ended.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Query, State as Shared, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use futures_util::TryStreamExt as _;
use hms_proto::{
    controller::v1::{
        AuditRecord, AuditRow, ChainRequest, ChainResponse, ExportAuditRequest, ListAuditRequest,
    },
    fault::Fault,
    names::HostName,
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    problem::Problem,
    query,
    shape::{self, Page},
};
use crate::{api::audit, state::State};

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only this user's.
    #[param(required = false)]
    actor: String,
    /// Only on this host.
    #[serde(deserialize_with = "query::named::<HostName, _>")]
    #[param(required = false)]
    host: String,
    /// Only methods that contain this text.
    #[param(required = false)]
    method: String,
    /// Only what came this way: web, rest, cli, direct, agent, system or schedule.
    #[param(required = false)]
    source: String,
    /// Only records that contain this text: in their target, parameters, address, request id, or why they failed.
    #[param(required = false)]
    text: String,
    /// Only with this outcome.
    #[param(required = false, inline)]
    outcome: Outcome,
    /// At or after this time, in microseconds since the epoch.
    #[serde(deserialize_with = "query::from_zero")]
    #[param(required = false, minimum = 0)]
    since_usec: i64,
    /// Before or at this time, in microseconds since the epoch.
    #[serde(deserialize_with = "query::from_zero")]
    #[param(required = false, minimum = 0)]
    until_usec: i64,
    /// 1 to 500. Default 50.
    #[serde(deserialize_with = "query::up_to::<500, _>")]
    #[param(required = false, minimum = 1, maximum = 500)]
    limit: u32,
    /// `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
}

/// How a call ended.
#[derive(Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    #[default]
    #[serde(alias = "")]
    Any,
    Ok,
    Failed,
    Denied,
    Unreachable,
    Unknown,
    Running,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Running => "running",
        }
    }
}

/// A part of the record.
#[derive(Serialize, ToSchema)]
pub(super) struct Records {
    records: Vec<AuditRecord>,
    /// Pass as `cursor` for the next page. Empty: this was the last.
    next_cursor: String,
}

impl Asked {
    fn request(self) -> Result<ListAuditRequest, Fault> {
        let before_seq = match self.cursor.as_str() {
            "" => 0,
            cursor => cursor.parse().ok().filter(|seq| *seq > 0).ok_or_else(|| {
                Fault::invalid("this is no cursor").hint("Pass `next_cursor` as it was given.")
            })?,
        };
        Ok(ListAuditRequest {
            actor: self.actor,
            host: self.host,
            method: self.method,
            outcome: self.outcome.word().to_owned(),
            before_seq,
            limit: self.limit,
            since_usec: self.since_usec,
            until_usec: self.until_usec,
            source: self.source,
            text: self.text,
        })
    }
}

/// Records of calls, newest first, page by page.
#[utoipa::path(get, path = "/api/audit", tag = "audit", params(Asked), security(("bearer" = [])), responses((status = 200, body = Records)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    uri: shape::Asked,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let request = asked.map_err(Problem::of(&caller))?.0.request().map_err(Problem::of(&caller))?;
    let found = state.gate.audit(&caller).list(request).await;
    let found = found.map_err(Problem::of(&caller))?.into_inner();
    let next = Some(found.next_before_seq).filter(|seq| *seq > 0).map(|seq| seq.to_string());
    let next = next.unwrap_or_default();
    let body = Records { records: found.records, next_cursor: next.clone() };
    Ok(Page { body, next, uri: uri.0 }.into_response())
}

/// All records that fit as a file, newest first: NDJSON, or with `Accept: text/csv` a table. `limit` is for pages only.
#[utoipa::path(get, path = "/api/audit/records", tag = "audit", params(Asked), security(("bearer" = [])), responses((status = 200, description = "One record in a line", content((AuditRecord = "application/x-ndjson"), (String = "text/csv")))))]
pub(super) async fn records(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let request = asked.map_err(Problem::of(&caller))?.0.request().map_err(Problem::of(&caller))?;
    let form = audit::Form::accepted(&headers);
    audit::file(&state, &caller, request, form).await.map_err(Problem::of(&caller))
}

/// How the chain of the record is, and which hosts hold its head.
#[utoipa::path(get, path = "/api/audit/chain", tag = "audit", security(("bearer" = [])), responses((status = 200, body = ChainResponse)))]
pub(super) async fn chain(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ChainResponse>, Problem> {
    let chain = state.gate.audit(&caller).chain(ChainRequest {}).await;
    Ok(Json(chain.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Rows {
    /// The first row. Left out, or 0: from the beginning.
    #[param(required = false, minimum = 0)]
    from_seq: i64,
    /// The last row. Left out, or 0: to the end.
    #[param(required = false, minimum = 0)]
    to_seq: i64,
}

/// The rows of the chain as they are stored, oldest first, one in a line: whoever has them can compute every hash again.
#[utoipa::path(get, path = "/api/audit/export", tag = "audit", params(Rows), security(("bearer" = [])), responses((status = 200, description = "One row in a line", content((AuditRow = "application/x-ndjson")))))]
pub(super) async fn export(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    rows: Result<Query<Rows>, QueryRejection>,
) -> Result<Response, Problem> {
    let Rows { from_seq, to_seq } = rows.map_err(Problem::of(&caller))?.0;
    let stream = state.gate.audit(&caller).export(ExportAuditRequest { from_seq, to_seq }).await;
    let stream = stream.map_err(Problem::of(&caller))?.into_inner();
    let head = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.ndjson\""),
    ];
    Ok((head, Body::from_stream(stream.map_ok(|part| lines(&part.rows)))).into_response())
}

fn lines(rows: &[AuditRow]) -> Bytes {
    let line = |row: &AuditRow| serde_json::to_string(row).map(|text| text + "\n").unwrap_or_default();
    rows.iter().map(line).collect::<String>().into()
}
