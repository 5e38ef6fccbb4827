//! Trouble with certificates, in words: what TLS says is hidden several causes deep, and says little.

use std::{error::Error, io};

use hms_proto::{
    fault::{Fault, FaultKind},
    transport::NotConnected,
};
use rustls::{AlertDescription, CertificateError};

use crate::output::measure::{now_usec, relative};

/// The login stored here has ended.
pub(crate) fn login_ended(expires_usec: i64, url: &str) -> Fault {
    let when = relative(expires_usec.min(now_usec()), now_usec());
    Fault::new(FaultKind::Unauthenticated, format!("your login ended {when}"))
        .hint(format!("hmsctl login {url}"))
}

/// An error of the system without its number, which says nothing to people.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

/// The fault behind an error, where it is about certificates.
pub(crate) fn with_tls(
    error: &(dyn Error + 'static),
    whom: &str,
    url: &str,
    expires_usec: i64,
) -> Option<Fault> {
    let again = format!("hmsctl login {url}");
    let refused = |what: String| Fault::new(FaultKind::Unauthenticated, what).hint(again.clone());
    Some(match tls_error(error)? {
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired if expires_usec < now_usec() => {
                login_ended(expires_usec, url)
            }
            AlertDescription::CertificateExpired => {
                refused(format!("{whom} takes your certificate for expired: compare the clocks"))
            }
            AlertDescription::CertificateRevoked => {
                refused(format!("{whom} says that your login was revoked"))
            }
            AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                refused(format!("{whom} belongs to another installation than your login"))
            }
            other => refused(format!("{whom} refused your certificate ({other:?})")),
        },
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            impostor(format!("{whom} shows a certificate of another installation"))
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(why)) => {
            impostor(format!("{whom} is not who it should be: {why}"))
        }
        rustls::Error::InvalidCertificate(why) => {
            impostor(format!("the certificate of {whom} is not valid: {why}"))
        }
        other => impostor(format!("no secure connection to {whom}: {other}")),
    })
}

fn impostor(what: String) -> Fault {
    Fault::new(FaultKind::Unreachable, what)
        .hint("check the address; if the installation is a new one, log in to it again")
}

/// Looks for an error of TLS among the causes. An `io::Error` hides what it wraps from `source()`, and so does
/// `NotConnected`.
pub(crate) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = if let Some(NotConnected { cause, .. }) = error.downcast_ref() {
            Some(cause)
        } else {
            match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            }
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(error: rustls::Error) -> Fault {
        let status = tonic::Status::from_error(Box::new(io::Error::other(io::Error::other(error))));
        with_tls(&status, "the controller at c:9443", "https://c:8443", now_usec() - 10_800_000_000).unwrap()
    }

    #[test]
    fn alerts_are_told_in_words() {
        let text = |alert| {
            let fault = behind(rustls::Error::AlertReceived(alert));
            format!("{} | {} | exit {}", fault.message, fault.hint, fault.row().exit)
        };
        assert_eq!(
            text(AlertDescription::CertificateExpired),
            "your login ended 3 h ago | hmsctl login https://c:8443 | exit 4"
        );
        assert!(text(AlertDescription::CertificateRevoked).contains("your login was revoked"));
        assert!(text(AlertDescription::UnknownCA).contains("another installation"));
        let foreign = behind(CertificateError::UnknownIssuer.into());
        assert_eq!(foreign.row().exit, 5);
        assert!(with_tls(&tonic::Status::internal("x"), "c", "u", 0).is_none());
    }
}
