//! `/api/jobs`: one host's part of a run, and its output.

use axum::{
    Json,
    body::Body,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt as _;
use hms_proto::{
    controller::v1::GetJobRequest,
    fault::Fault,
    host::v1::{Job, JobOutput, JobOutputRequest},
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    problem::{Details, Problem},
};
use crate::state::State;

/// The answer is one document in memory.
const MOST: usize = 256 * 1024;

/// How the job of one host is.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "runs", params(("id" = String, Path, description = "Id of the job")), security(("bearer" = [])),
    responses((status = 200, body = Job), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Job>, Problem> {
    let job = state.gate.jobs(&caller).get_job(GetJobRequest { id: id?.0 }).await;
    Ok(Json(job.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// How many bytes you have: `next_offset` of the answer before. Default 0.
    #[param(required = false)]
    offset: u64,
}

/// A part of what a job wrote.
#[derive(Serialize, ToSchema)]
pub(super) struct Part {
    /// Where it begins, in bytes.
    offset: u64,
    /// Where the next part begins. The same as `offset`: there is no more so far.
    next_offset: u64,
    /// stdout and stderr in their order. What is not UTF-8 is replaced.
    data: String,
    /// Whether this is the last part: the job has ended, and nothing follows.
    ended: bool,
}

/// What a job wrote, from an offset on: a part of at most 256 KiB as JSON, or with `Accept: text/plain` all of it as it
/// was written.
#[utoipa::path(get, path = "/api/jobs/{id}/output", tag = "runs", params(("id" = String, Path, description = "Id of the job"), From), security(("bearer" = [])),
    responses((status = 200, content((Part = "application/json"), (String = "text/plain"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn output(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Problem> {
    let offset = from.map_err(Problem::of(&caller))?.0.offset;
    let request = JobOutputRequest { id: id?.0, offset, follow: false };
    let name = request.id.clone();
    let stream = state.gate.jobs(&caller).output(request).await;
    let stream = stream.map_err(Problem::of(&caller))?.into_inner();
    if wants_text(&headers) {
        return Ok(download(&name, stream));
    }
    let part = part(offset, stream).await.map_err(|status| Fault::from_status(&status));
    Ok(Json(part.map_err(Problem::of(&caller))?).into_response())
}

fn wants_text(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/plain"))
}

/// Bytes as they were written; no browser may take them for a page.
fn download(id: &str, stream: tonic::Streaming<JobOutput>) -> Response {
    let name = uuid::Uuid::try_parse(id).unwrap_or_default();
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"job-{name}.txt\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (head, Body::from_stream(stream.map_ok(|piece| piece.data))).into_response()
}

async fn part(offset: u64, mut stream: tonic::Streaming<JobOutput>) -> Result<Part, tonic::Status> {
    let (mut bytes, mut ended) = (Vec::new(), false);
    while let Some(message) = stream.message().await? {
        bytes.extend_from_slice(&message.data);
        if bytes.len() >= MOST {
            break;
        }
        ended = message.job.is_some_and(|job| job.ended_usec > 0);
    }
    bytes.truncate(whole(&bytes, ended));
    Ok(Part {
        offset,
        next_offset: offset + bytes.len() as u64,
        data: String::from_utf8_lossy(&bytes).into_owned(),
        ended,
    })
}

/// How much of it can be shown: a character that is cut off at the end waits for its rest, unless there is none.
fn whole(bytes: &[u8], ended: bool) -> usize {
    let cut = (1..=3.min(bytes.len())).find(|back| {
        std::str::from_utf8(&bytes[bytes.len() - back..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    });
    bytes.len() - cut.filter(|_| !ended).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_is_cut_off_waits_for_its_rest() {
        let text = "aé€😀";
        for end in 0..=text.len() {
            let bytes = &text.as_bytes()[..end];
            let shown = whole(bytes, false);
            assert!(text.is_char_boundary(shown) && end - shown < 4, "{end} {shown}");
            assert_eq!(whole(bytes, true), end);
        }
        assert_eq!(whole(b"a\xff", false), 2, "what never becomes a character is replaced");
    }

    #[test]
    fn text_is_for_who_asks_for_it() {
        let accepts = |value: &'static str| {
            wants_text(&HeaderMap::from_iter([(header::ACCEPT, value.parse().unwrap())]))
        };
        assert!(accepts("text/plain") && accepts("application/xml, Text/Plain;q=0.5"));
        assert!(!accepts("*/*") && !accepts("application/json") && !wants_text(&HeaderMap::new()));
    }
}
