//! From what went wrong below to a reason.

use drmwatch_outcome::{Reason, Verdict};
use rustls::CertificateError;
use std::{error::Error, io};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What it means.
    pub verdict: Verdict,
    /// What to tell a person. It is redacted where it leaves the run.
    pub message: String,
}

impl Failure {
    /// The tenant's failure.
    pub fn fail(reason: Reason, message: impl Into<String>) -> Failure {
        Failure {
            verdict: Verdict::Fail(reason),
            message: message.into(),
        }
    }

    /// Not the tenant's failure.
    pub fn inconclusive(reason: Reason, message: impl Into<String>) -> Failure {
        Failure {
            verdict: Verdict::Inconclusive(reason),
            message: message.into(),
        }
    }

    /// A bug of ours.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::inconclusive(Reason::InternalError, message)
    }
}

/// A TCP connection that could not be made.
pub(super) fn of_connect(error: &io::Error, host: &str) -> Failure {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => Failure::fail(
            Reason::ConnectionRefused,
            format!("{host} refused the connection"),
        ),
        // Only our own routing table says "unreachable network"; a far router says "unreachable host".
        K::NetworkUnreachable | K::NetworkDown | K::AddrNotAvailable | K::PermissionDenied => {
            Failure::inconclusive(
                Reason::LocalNetwork,
                format!("this runner has no way to {host}: {error}"),
            )
        }
        // EMFILE and ENFILE have no kind of their own yet.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => Failure::inconclusive(
            Reason::LocalNetwork,
            format!("this runner has no socket left: {error}"),
        ),
        _ => Failure::fail(
            Reason::ConnectionFailed,
            format!("no connection to {host}: {error}"),
        ),
    }
}

/// A TLS handshake that failed.
pub(super) fn of_tls(error: &io::Error, host: &str) -> Failure {
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(error) => of_rustls(error, host),
        None => Failure::fail(
            Reason::TlsHandshakeFailed,
            format!("{host} ended the TLS handshake: {error}"),
        ),
    }
}

/// A certificate that is refused, or another failure of TLS.
pub(super) fn of_rustls(error: &rustls::Error, host: &str) -> Failure {
    use CertificateError as C;
    let (reason, what) = match error {
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            (Reason::CertificateExpired, "has expired".to_owned())
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            (Reason::CertificateNotYetValid, "is not valid yet".to_owned())
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            (Reason::CertificateNameMismatch, "is for another name".to_owned())
        }
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => (
            Reason::CertificateUntrusted,
            "does not lead to a trusted root".to_owned(),
        ),
        rustls::Error::InvalidCertificate(other) => {
            (Reason::CertificateUntrusted, format!("is refused: {other}"))
        }
        other => return Failure::fail(Reason::TlsHandshakeFailed, format!("no TLS with {host}: {other}")),
    };
    Failure::fail(reason, format!("the certificate of {host} {what}"))
}

/// An HTTP exchange that broke off.
pub(super) fn of_http(error: &hyper::Error, host: &str) -> Failure {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            if io.get_ref().is_some_and(|e| e.is::<rustls::Error>()) {
                return of_tls(io, host);
            }
            return match io.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => closed(host),
                _ => protocol(error, host),
            };
        }
        source = cause.source();
    }
    match error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        true => closed(host),
        false => protocol(error, host),
    }
}

fn closed(host: &str) -> Failure {
    Failure::fail(
        Reason::ConnectionClosed,
        format!("{host} closed the connection before its answer was whole"),
    )
}

fn protocol(error: &hyper::Error, host: &str) -> Failure {
    let cause = error.source().map(|s| format!(": {s}")).unwrap_or_default();
    Failure::fail(
        Reason::ProtocolError,
        format!("the answer of {host} is broken HTTP ({error}{cause})"),
    )
}
