//! Faults as problem details (RFC 9457).

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use hms_proto::fault::{Fault, FaultKind, UnitFailure};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every answer that is not a success: `application/problem+json`.
#[derive(Serialize, ToSchema)]
pub(super) struct Details {
    /// What kind of problem it is: `urn:hms:problem:not_found`.
    r#type: String,
    /// The kind in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What, and why.
    detail: String,
    /// What to do next.
    hint: String,
    /// What a unit left behind when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<UnitFailure>,
}

/// A fault on its way to a REST client.
#[derive(Debug)]
pub(super) struct Problem(Fault);

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl From<tonic::Status> for Problem {
    fn from(status: tonic::Status) -> Self {
        Self(Fault::from_status(&status))
    }
}

impl From<hms_proto::names::NameError> for Problem {
    fn from(error: hms_proto::names::NameError) -> Self {
        Self(error.into())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self(Fault::invalid(rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self(Fault::invalid(rejection.body_text()))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self(Fault::invalid(rejection.body_text()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        with_status(
            StatusCode::from_u16(self.0.row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &self.0,
        )
    }
}

/// The fault as an answer with this status.
pub(super) fn with_status(status: StatusCode, fault: &Fault) -> Response {
    let details = Details {
        r#type: format!(
            "urn:hms:problem:{}",
            fault.kind().as_str_name().trim_start_matches("FAULT_KIND_").to_ascii_lowercase()
        ),
        title: fault.row().title,
        status: status.as_u16(),
        detail: fault.message.clone(),
        hint: fault.next().to_owned(),
        unit: fault.unit.clone(),
    };
    let mut response = (status, Json(details)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    match fault.kind() {
        FaultKind::Throttled => drop(headers.insert(header::RETRY_AFTER, fault.retry_after_s.max(1).into())),
        FaultKind::Unavailable => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"))),
        // RFC 9110, section 11.6.1.
        FaultKind::Unauthenticated => {
            drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
        _ => {}
    }
    response
}
