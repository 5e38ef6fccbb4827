//! A fault as a page, or as the few words that a script shows.

use axum::response::{IntoResponse, Redirect, Response};
use hms_proto::fault::{Fault, FaultKind};
use hms_web::pages::{ProblemKind, ProblemPage};
use http::StatusCode;
use tonic::Status;

/// A fault on its way to a browser.
#[derive(Debug)]
pub(crate) struct Problem {
    fault: Fault,
    request_id: String,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self { fault, request_id: String::new() }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Fault::from_status(&status).into()
    }
}

impl From<hms_proto::names::NameError> for Problem {
    fn from(error: hms_proto::names::NameError) -> Self {
        Fault::from(error).into()
    }
}

impl Problem {
    /// With what finds it in the log.
    pub(super) fn of(fault: Fault, caller: &crate::auth::Caller) -> Self {
        Self { fault, request_id: caller.request_id.to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = match self.fault.kind() {
            FaultKind::Unauthenticated => return Redirect::to("/login").into_response(),
            FaultKind::Invalid => ProblemKind::BadRequest,
            FaultKind::Denied | FaultKind::ProofNeeded => ProblemKind::Denied,
            FaultKind::NotFound => ProblemKind::NotFound,
            FaultKind::Conflict | FaultKind::Failed => ProblemKind::Unfit,
            FaultKind::Unreachable | FaultKind::Unknown => ProblemKind::Unreachable,
            FaultKind::Throttled => ProblemKind::Throttled,
            FaultKind::Unavailable => ProblemKind::Unavailable,
            FaultKind::Internal | FaultKind::Unspecified => ProblemKind::Internal,
        };
        let status = StatusCode::from_u16(self.fault.row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let hint = self.fault.next().to_owned();
        let shown = ProblemPage { kind, message: self.fault.message, hint, request_id: self.request_id };
        (status, super::page(&shown)).into_response()
    }
}

/// An address that leads nowhere.
pub(crate) fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, super::page(&ProblemPage::default())).into_response()
}
