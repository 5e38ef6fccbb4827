//! Faults as problem details (RFC 9457).

use axum::{
    Json,
    extract::rejection::{PathRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use hms_proto::fault::{ConfigProblem, Fault, FaultKind, UnitFailure};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{api::configs::Clash, auth::Caller};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `max_age`: for how many seconds a confirmation counts.
const STEP_UP: &str = "Bearer error=\"insufficient_user_authentication\", \
    error_description=\"One more proof of who is calling is needed\", max_age=300";

/// The body of every answer that is not a success: `application/problem+json`.
#[derive(Serialize, ToSchema)]
pub(super) struct Details {
    /// What kind of problem it is: `urn:hms:problem:not_found`.
    r#type: String,
    /// The kind in one word, for programs: `not_found`, `proof_needed`.
    code: String,
    /// The kind in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What, and why.
    detail: String,
    /// What to do next.
    hint: String,
    /// Finds the call in the audit and in the controller's log.
    request_id: Uuid,
    /// What a unit left behind when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<UnitFailure>,
    /// What is wrong with a configuration, by file and line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ConfigProblem>,
    /// What the caller needs to bring two changes of one file together.
    #[serde(skip_serializing_if = "Option::is_none")]
    clash: Option<Box<Clash>>,
}

/// A fault on its way to a REST client.
#[derive(Debug)]
pub(super) struct Problem {
    fault: Fault,
    request_id: Uuid,
    clash: Option<Box<Clash>>,
    /// Where that of its kind is not exact enough.
    status: Option<StatusCode>,
}

impl Problem {
    /// With a status that says more than that of its kind.
    pub(super) fn answered_with(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Under the id that another call has.
    pub(super) fn about(self, request_id: Uuid) -> Self {
        Self { request_id, ..self }
    }

    /// With both sides of a conflict.
    pub(super) fn with_clash(self, clash: Option<Box<Clash>>) -> Self {
        Self { clash, ..self }
    }

    /// Of a call whose caller is known: under the id that the call has.
    pub(super) fn of<F: Into<Self>>(caller: &Caller) -> impl Fn(F) -> Self + use<F> {
        let request_id = caller.request_id;
        move |fault| Self { request_id, ..fault.into() }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self { fault, request_id: Uuid::now_v7(), clash: None, status: None }
    }
}

impl From<tonic::Status> for Problem {
    fn from(status: tonic::Status) -> Self {
        Fault::from_status(&status).into()
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Fault::invalid(rejection.body_text()).into()
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Fault::invalid(rejection.body_text()).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status.or_else(|| StatusCode::from_u16(self.fault.row().http).ok());
        with_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self)
    }
}

/// The problem as an answer with this status.
pub(super) fn with_status(status: StatusCode, problem: Problem) -> Response {
    let Problem { fault, request_id, clash, status: _ } = problem;
    let code = fault.kind().as_str_name().trim_start_matches("FAULT_KIND_").to_ascii_lowercase();
    let details = Details {
        r#type: format!("urn:hms:problem:{code}"),
        code,
        title: fault.row().title,
        status: status.as_u16(),
        detail: fault.message.clone(),
        hint: fault.next().to_owned(),
        request_id,
        unit: fault.unit.clone(),
        problems: fault.problems.clone(),
        clash,
    };
    let mut response = (status, Json(details)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(REQUEST_ID, HeaderValue::from_str(&request_id.to_string()).expect("a UUID is ASCII"));
    match fault.kind() {
        FaultKind::Throttled => drop(headers.insert(header::RETRY_AFTER, fault.retry_after_s.max(1).into())),
        FaultKind::Unavailable => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"))),
        // RFC 9110, section 11.6.1.
        FaultKind::Unauthenticated => {
            drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
        // RFC 9470, section 3: a login is there, and is not enough.
        FaultKind::ProofNeeded => {
            drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(STEP_UP)))
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use hms_proto::fault::TABLE;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn every_kind_of_fault_has_its_status_and_tells_what_to_do() {
        for row in &TABLE {
            let response = Problem::from(Fault::new(row.kind, "why")).into_response();
            assert_eq!(response.status().as_u16(), row.http);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["detail"], &body["hint"]), (&"why".into(), &row.next.into()));
            assert_eq!(body["request_id"], id);
            assert_eq!(body["type"], format!("urn:hms:problem:{}", body["code"].as_str().unwrap()));
            assert!(body.get("unit").is_none());
        }
    }

    /// RFC 9470.
    #[test]
    fn who_must_prove_more_is_told_so_in_the_header() {
        let response = Problem::from(Fault::new(FaultKind::ProofNeeded, "why")).into_response();
        let told = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(told.starts_with("Bearer error=\"insufficient_user_authentication\""), "{told}");
    }

    #[test]
    fn a_throttled_client_is_told_when_to_come_back() {
        let fault = Fault { retry_after_s: 31, ..Fault::new(FaultKind::Throttled, "too many") };
        let response = Problem::from(fault).into_response();
        assert_eq!(response.status().as_u16(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "31");
    }
}
