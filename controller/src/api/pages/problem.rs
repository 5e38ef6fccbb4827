//! A fault as a page, or as the few words that a script shows.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use hms_proto::fault::{Fault, FaultKind};
use hms_web::{
    frame::{Notice, Tone},
    pages::{ProblemKind, ProblemPage},
};
use http::{HeaderValue, StatusCode, header};
use tonic::Status;

/// A fault on its way to a browser.
#[derive(Debug)]
pub(crate) struct Problem {
    fault: Fault,
    request_id: String,
    /// Where the form is that asks for a confirmation.
    form: Option<String>,
}

/// On an answer: it waits for a proof of who somebody is.
#[derive(Debug, Clone)]
pub(super) struct Unproved {
    /// The form to go back to; else the page that it was sent from.
    pub(super) form: Option<String>,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self { fault, request_id: String::new(), form: None }
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
        Self { fault, request_id: caller.request_id.to_string(), form: None }
    }

    /// Asks for a confirmation, and leads back to a form.
    pub(super) fn unproved(form: &str) -> Self {
        let fault = Fault::new(FaultKind::ProofNeeded, "this needs a confirmation of who you are");
        Self { form: Some(form.to_owned()), ..fault.into() }
    }

    /// The fault as a notice beside the form; what needs a confirmation, or a login, is no matter of the form.
    pub(super) fn beside(fault: Fault, form: Option<String>) -> Result<Notice, Self> {
        match fault.kind() {
            FaultKind::ProofNeeded | FaultKind::Unauthenticated => {
                Err(Self { fault, request_id: String::new(), form })
            }
            _ => Ok(notice(&fault)),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = match self.fault.kind() {
            FaultKind::Unauthenticated => return Redirect::to("/login").into_response(),
            FaultKind::Invalid => ProblemKind::BadRequest,
            FaultKind::Denied => ProblemKind::Denied,
            FaultKind::ProofNeeded => {
                let mut response = StatusCode::FORBIDDEN.into_response();
                response.extensions_mut().insert(Unproved { form: self.form });
                return response;
            }
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

/// A fault as people read it beside a form: with a capital letter and a full stop.
pub(super) fn notice(fault: &Fault) -> Notice {
    let mut chars = fault.message.chars();
    let first = chars.next().map(|char| char.to_uppercase().to_string()).unwrap_or_default();
    let message = format!("{first}{}.", chars.as_str().trim_end_matches('.'));
    Notice { tone: Tone::Bad, message, hint: fault.next().to_owned() }
}

/// Makes a page of an error that something before the handlers answered with, for a browser that opened it. A script reads the status.
pub(crate) async fn as_page(request: Request, next: Next) -> Response {
    let accepted = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let opened =
        accepted.is_some_and(|accept| accept.contains("text/html") && !accept.contains("fragment=1"));
    let opened = opened && !request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let bare = kind.is_none_or(|kind| kind.starts_with(b"text/plain"));
    let Some(shown) = bare_page(response.status()).filter(|_| opened && bare) else { return response };
    let mut page = (response.status(), super::page(&shown)).into_response();
    for name in [header::ALLOW, header::ACCEPT_ENCODING] {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

fn bare_page(status: StatusCode) -> Option<ProblemPage> {
    let (kind, message, hint) = match status {
        StatusCode::BAD_REQUEST => (ProblemKind::BadRequest, "", ""),
        // Whoever may not do something has a page that says so; here it was where the request came from.
        StatusCode::FORBIDDEN => {
            let message = "It was sent from another site, or by something that is no browser.";
            (ProblemKind::Denied, message, "Open HMS itself and do it there.")
        }
        StatusCode::METHOD_NOT_ALLOWED => (ProblemKind::WrongMethod, "", ""),
        StatusCode::PAYLOAD_TOO_LARGE => (ProblemKind::TooLarge, "", ""),
        StatusCode::UNPROCESSABLE_ENTITY => (ProblemKind::Unfit, "", ""),
        StatusCode::INTERNAL_SERVER_ERROR => (ProblemKind::Internal, "", ""),
        _ => return None,
    };
    Some(ProblemPage { kind, message: message.into(), hint: hint.into(), ..ProblemPage::default() })
}

/// An address that leads nowhere.
pub(crate) fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, super::page(&ProblemPage::default())).into_response()
}
