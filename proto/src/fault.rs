//! What went wrong, in one form; and one table that says what each face makes of it.

use prost::Message as _;
use tonic::{Code, Status};

pub use crate::contract::hms::{ConfigProblem, Fault, FaultKind, UnitFailure};

const TYPE_URL: &str = "type.googleapis.com/hms.Fault";

/// What the faces make of a kind of fault.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The kind.
    pub kind: FaultKind,
    /// As gRPC has it.
    pub code: Code,
    /// As HTTP has it (RFC 9110).
    pub http: u16,
    /// Exit code of `hmsctl`.
    pub exit: u8,
    /// A few words for a heading.
    pub title: &'static str,
    /// How an audit record says it.
    pub outcome: &'static str,
    /// What to do next, when the fault itself says nothing better.
    pub next: &'static str,
}

const fn row(
    kind: FaultKind,
    code: Code,
    (http, exit): (u16, u8),
    outcome: &'static str,
    title: &'static str,
    next: &'static str,
) -> Row {
    Row { kind, code, http, exit, title, outcome, next }
}

/// All kinds. Exit codes: 1 failed, 2 usage, 3 partial (only of many hosts), 4 denied, 5 unreachable.
pub const TABLE: [Row; 12] = [
    row(
        FaultKind::Invalid,
        Code::InvalidArgument,
        (400, 2),
        "failed",
        "Not valid",
        "Correct the input and try again.",
    ),
    row(
        FaultKind::Unauthenticated,
        Code::Unauthenticated,
        (401, 4),
        "denied",
        "Not logged in",
        "Log in and try again.",
    ),
    row(
        FaultKind::ProofNeeded,
        Code::Unauthenticated,
        (401, 4),
        "denied",
        "One more proof is needed",
        "Confirm who you are, and do it again.",
    ),
    row(
        FaultKind::Denied,
        Code::PermissionDenied,
        (403, 4),
        "denied",
        "Not allowed",
        "Ask an administrator for a role that may do this.",
    ),
    row(
        FaultKind::NotFound,
        Code::NotFound,
        (404, 1),
        "failed",
        "Not found",
        "Check the name; the list shows what there is.",
    ),
    row(
        FaultKind::Conflict,
        Code::AlreadyExists,
        (409, 1),
        "failed",
        "Conflict",
        "Look at what is there now, then try again.",
    ),
    row(
        FaultKind::Failed,
        Code::FailedPrecondition,
        (422, 1),
        "failed",
        "Failed on the host",
        "Read the last log lines for the cause.",
    ),
    row(
        FaultKind::Unreachable,
        Code::Unavailable,
        (502, 5),
        "unreachable",
        "Host unreachable",
        "Check that the host is up and hms-agent runs on it.",
    ),
    row(
        FaultKind::Unknown,
        Code::Unknown,
        (504, 5),
        "unknown",
        "Outcome unknown",
        "Look at the state before you try again: it may have happened.",
    ),
    row(
        FaultKind::Throttled,
        Code::ResourceExhausted,
        (429, 1),
        "denied",
        "Too many attempts",
        "Wait a moment and try again.",
    ),
    row(
        FaultKind::Unavailable,
        Code::Aborted,
        (503, 1),
        "failed",
        "HMS is not ready",
        "Try again in a moment; it recovers by itself.",
    ),
    row(
        FaultKind::Internal,
        Code::Internal,
        (500, 1),
        "failed",
        "Internal error",
        "Find the request id in the controller's log.",
    ),
];

impl FaultKind {
    /// What the faces make of this kind.
    pub fn row(self) -> &'static Row {
        TABLE.iter().find(|r| r.kind == self).unwrap_or(&TABLE[TABLE.len() - 1])
    }
}

impl Fault {
    /// A fault with its one sentence.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind: kind as i32, message: message.into(), ..Self::default() }
    }

    /// Bad input: names the input and says why.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Invalid, message)
    }

    /// There is no such thing.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(FaultKind::NotFound, format!("there is no {what} named `{name}`"))
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// What the faces make of it.
    pub fn row(&self) -> &'static Row {
        self.kind().row()
    }

    /// What to do next: its own hint, or that of its kind.
    pub fn next(&self) -> &str {
        if self.hint.is_empty() { self.row().next } else { &self.hint }
    }

    /// Reads a fault back from a status. Statuses that carry none, such as those of the transport, become the
    /// fault that fits their code.
    pub fn from_status(status: &Status) -> Self {
        let sent = tonic_types::Status::decode(status.details()).ok();
        let detail = sent.and_then(|s| s.details.into_iter().find(|d| d.type_url == TYPE_URL));
        if let Some(fault) = detail.and_then(|d| Self::decode(d.value.as_slice()).ok()) {
            return fault;
        }
        if let Some(cause) =
            std::error::Error::source(status).and_then(|e| crate::transport::NotConnected::behind(e))
        {
            return Self::new(FaultKind::Unreachable, cause.to_string());
        }
        let kind = match status.code() {
            // tonic says "Cancelled" for an expired grpc-timeout.
            Code::DeadlineExceeded | Code::Cancelled => FaultKind::Unknown,
            Code::OutOfRange => FaultKind::Invalid,
            Code::Unimplemented => FaultKind::NotFound,
            Code::Unknown if std::error::Error::source(status).is_some() => FaultKind::Unreachable,
            code => TABLE.iter().find(|r| r.code == code).map_or(FaultKind::Internal, |r| r.kind),
        };
        Self::new(kind, cause_of(status))
    }
}

impl Fault {
    /// The call never left: the host cannot be reached. Anything else that breaks may have arrived.
    pub fn from_transport(error: &(dyn std::error::Error + 'static)) -> Self {
        match crate::transport::NotConnected::behind(error) {
            Some(cause) => Self::new(FaultKind::Unreachable, cause.to_string()),
            None => {
                Self::new(FaultKind::Unknown, format!("the connection broke before the answer came: {error}"))
            }
        }
    }
}

/// The message of a status with the causes behind it, where the transport hides them.
fn cause_of(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let said = error.to_string();
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        source = error.source();
    }
    text
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let row = fault.row();
        let any = prost_types::Any { type_url: TYPE_URL.into(), value: fault.encode_to_vec() };
        let details =
            tonic_types::Status { code: row.code as i32, message: fault.message.clone(), details: vec![any] };
        Self::with_details(row.code, fault.message, details.encode_to_vec().into())
    }
}

impl From<crate::names::NameError> for Fault {
    fn from(error: crate::names::NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_as_reviewed() {
        let lines = TABLE.map(|r| {
            format!(
                "{:<16}{:<20}{} exit {} {:<12}{} → {}",
                format!("{:?}", r.kind),
                format!("{:?}", r.code),
                r.http,
                r.exit,
                r.outcome,
                r.title,
                r.next
            )
        });
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_kind_has_a_row_and_codes_are_not_shared() {
        for n in 1..=12 {
            let kind = FaultKind::try_from(n).unwrap();
            assert_eq!(kind.row().kind, kind);
        }
        // RFC 9470 asks for one more proof with the status of a missing one.
        let shared = |row: &&Row| row.kind == FaultKind::ProofNeeded;
        let rows: Vec<_> = TABLE.iter().filter(|row| !shared(row)).collect();
        for (i, a) in rows.iter().enumerate() {
            assert!(rows[i + 1..].iter().all(|b| b.code != a.code && b.http != a.http));
        }
    }

    #[test]
    fn a_fault_survives_the_way_through_a_status() {
        let unit = UnitFailure {
            unit: "x.service".into(),
            exit_status: 3,
            log_lines: vec!["a".into()],
            ..Default::default()
        };
        let fault =
            Fault { unit: Some(unit), ..Fault::new(FaultKind::Failed, "x.service failed").hint("look") };
        assert_eq!(Fault::from_status(&Status::from(fault.clone())), fault);
    }

    #[test]
    fn a_foreign_status_becomes_the_fault_that_fits() {
        let of = |code| Fault::from_status(&Status::new(code, "m")).kind();
        assert_eq!(of(Code::Unavailable), FaultKind::Unreachable);
        assert_eq!(of(Code::Cancelled), FaultKind::Unknown);
        assert_eq!(of(Code::DataLoss), FaultKind::Internal);
    }
}
