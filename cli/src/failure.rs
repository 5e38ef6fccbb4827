//! How a command ends when it does not end well: the words on stderr and the exit code.

use std::{fmt::Write as _, io};

use hms_proto::{
    fault::{Fault, FaultKind},
    names::NameError,
    when::WhenError,
};

use crate::output::escape::{inline, visible};

/// What a command returns.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One thing went wrong.
    Fault(Box<Fault>),
    /// Several things were tried and each was reported; this is the exit code.
    Reported(u8),
    /// The reader of our output has gone. It has what it wanted.
    ReaderGone,
}

/// Some succeeded and some did not.
pub(crate) const PARTIAL: u8 = 3;
/// A plan that was asked for with `--exit-code` would change something.
pub(crate) const CHANGES: u8 = 6;
/// Ctrl-C, by the custom of shells: 128 and the number of the signal.
pub(crate) const DETACHED: u8 = 130;

impl Failure {
    /// Something on this machine went wrong.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Fault::new(FaultKind::Failed, message).into()
    }

    /// What `hmsctl` exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Fault(fault) => fault.row().exit,
            Self::Reported(code) => *code,
            Self::ReaderGone => 0,
        }
    }
}

/// The exit code of several outcomes: that of all of them, or partial where some went well.
pub(crate) fn exit_of_many(codes: &[u8]) -> u8 {
    match codes {
        [] => 0,
        [first, rest @ ..] if rest.iter().all(|code| code == first) => *first,
        _ if codes.contains(&0) => PARTIAL,
        _ => 1,
    }
}

/// A fault as people read it: `error: …`, what the unit left behind, `hint: …`.
pub(crate) fn render(fault: &Fault) -> String {
    let mut text = format!("error: {}", inline(&fault.message));
    if let Some(unit) = &fault.unit {
        let ended = match (unit.killed_by_signal, unit.exit_status) {
            (true, signal) => format!("killed by signal {signal}"),
            (false, status) => format!("exit status {status}"),
        };
        if !unit.result.is_empty() {
            let _ = write!(text, "\n  result: {} ({ended})", inline(&unit.result));
        }
        if !unit.log_lines.is_empty() {
            let _ = write!(text, "\n  last log lines of {}:", inline(&unit.unit));
        }
        for line in &unit.log_lines {
            let _ = write!(text, "\n    {}", visible(line).replace('\n', "\n    "));
        }
    }
    // The hint of this kind speaks of log lines; without any it would mislead.
    let hint = match fault.kind() {
        FaultKind::Failed if fault.hint.is_empty() && fault.unit.is_none() => "",
        _ => fault.next(),
    };
    if !hint.is_empty() {
        let _ = write!(text, "\nhint: {}", inline(hint));
    }
    text
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Fault::from(error).into()
    }
}

impl From<WhenError> for Failure {
    fn from(error: WhenError) -> Self {
        Fault::invalid(error.to_string()).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::local(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::fault::UnitFailure;

    use super::*;

    #[test]
    fn a_failed_unit_is_told_with_its_last_lines() {
        let unit = UnitFailure {
            unit: "puma-cigar.service".into(),
            result: "exit-code".into(),
            exit_status: 1,
            log_lines: vec!["boot\x1b[31m".into(), "cannot load such file -- rack\nfrom x".into()],
            ..Default::default()
        };
        let fault = Fault::new(FaultKind::Failed, "puma-cigar.service did not start").hint("fix it");
        insta::assert_snapshot!(render(&Fault { unit: Some(unit), ..fault }));
    }

    #[test]
    fn a_local_failure_speaks_of_no_log_lines() {
        assert_eq!(render(&Fault::new(FaultKind::Failed, "disk full")), "error: disk full");
        assert_eq!(
            render(&Fault::not_found("app", "x")),
            "error: there is no app named `x`\nhint: Check the name; the list shows what there is."
        );
    }

    #[test]
    fn exit_codes_of_many() {
        assert_eq!(exit_of_many(&[]), 0);
        assert_eq!(exit_of_many(&[0, 0]), 0);
        assert_eq!(exit_of_many(&[0, 5]), PARTIAL);
        assert_eq!(exit_of_many(&[5, 5]), 5);
        assert_eq!(exit_of_many(&[1, 5]), 1);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit_code(), 0);
    }
}
