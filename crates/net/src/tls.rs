//! TLS: trust, client identity, and a verifier that records before it enforces, so that an expired
//! certificate still yields its expiry.

use super::{Failure, failure};
use drmwatch_outcome::{Hop, Reason, Verdict};
use jiff::Timestamp;
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};
use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Why the credentials of a client can't be used. No value is quoted.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum PrepareError {
    /// A credential that `tls` names is not there.
    #[error("the credential {0} is not there")]
    Missing(String),
    /// It is not the PEM that it must be.
    #[error("the credential {name} must be {what} in PEM")]
    NotPem {
        /// Name of the credential.
        name: String,
        /// What was expected.
        what: &'static str,
    },
    /// Certificate and key do not fit, or nothing can be trusted.
    #[error("the TLS credentials can't be used: {0}")]
    Unusable(String),
}

impl PrepareError {
    /// What it means for the probe: nothing that its tenant did.
    pub fn verdict(&self) -> Verdict {
        Verdict::Inconclusive(match self {
            PrepareError::Missing(_) => Reason::CredentialMissing,
            _ => Reason::ConfigurationInvalid,
        })
    }
}

/// A credential: its name, for messages, and its value, if it is there.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// Name of the credential.
    pub name: &'a str,
    /// PEM text. None: it is not there.
    pub value: Option<&'a str>,
}

impl<'a> Credential<'a> {
    fn value(self) -> Result<&'a str, PrepareError> {
        self.value
            .ok_or_else(|| PrepareError::Missing(self.name.to_owned()))
    }
}

/// Whom a client trusts, and who it is.
#[derive(Clone, Copy, Default)]
pub struct Identity<'a> {
    /// Certificates that are trusted instead of Mozilla's roots.
    pub ca: Option<Credential<'a>>,
    /// Certificate chain of the client. It needs `key`.
    pub certificate: Option<Credential<'a>>,
    /// Private key of the client. It needs `certificate`.
    pub key: Option<Credential<'a>>,
}

/// Trust and identity of one client. Clients that have the same share them: a set of roots is larger than all the rest of a
/// plan.
#[derive(Clone)]
pub struct TlsSetup(Arc<Setup>);

struct Setup {
    base: ClientConfig,
    verifier: Arc<WebPkiServerVerifier>,
}

/// Cipher suites in the order in which Chrome offers them on machines with AES instructions (BoringSSL's): a server that
/// leaves the choice to its client does with a probe what it does with a player.
const OFFERED: [CipherSuite; 9] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The cryptography of a probe's connections.
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let place = |suite: CipherSuite| OFFERED.iter().position(|offered| *offered == suite);
    provider
        .cipher_suites
        .sort_by_key(|suite| place(suite.suite()).unwrap_or(OFFERED.len()));
    provider
}

/// Every setup that a client has, by a hash of what it was made from.
static SHARED: Mutex<BTreeMap<[u8; 32], Weak<Setup>>> = Mutex::new(BTreeMap::new());

impl TlsSetup {
    /// The setup of an identity. Trust is the given CA alone, or else Mozilla's roots.
    pub fn new(identity: Identity<'_>) -> Result<TlsSetup, PrepareError> {
        let mut hash = Sha256::new();
        for credential in [identity.ca, identity.certificate, identity.key] {
            let parts = credential.map(|c| (c.name, c.value.unwrap_or_default()));
            hash.update(serde_json::to_vec(&parts).unwrap_or_default());
        }
        let key: [u8; 32] = hash.finalize().into();
        let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(setup) = shared.get(&key).and_then(Weak::upgrade) {
            return Ok(TlsSetup(setup));
        }
        let setup = Arc::new(Setup::new(identity)?);
        shared.retain(|_, setup| setup.strong_count() > 0);
        shared.insert(key, Arc::downgrade(&setup));
        Ok(TlsSetup(setup))
    }
}

impl Setup {
    fn new(identity: Identity<'_>) -> Result<Setup, PrepareError> {
        let unusable = |e: &dyn std::fmt::Display| PrepareError::Unusable(e.to_string());
        let provider = Arc::new(provider());
        let mut roots = RootCertStore::empty();
        match identity.ca {
            Some(ca) => {
                for certificate in certificates(ca)? {
                    roots.add(certificate).map_err(|e| unusable(&e))?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|e| unusable(&e))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(&e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut base = match (identity.certificate, identity.key) {
            (Some(chain), Some(key)) => {
                let value = key.value()?;
                let not_pem = || PrepareError::NotPem {
                    name: key.name.to_owned(),
                    what: "a private key",
                };
                let private = PrivateKeyDer::from_pem_slice(value.as_bytes()).map_err(|_| not_pem())?;
                builder
                    .with_client_auth_cert(certificates(chain)?, private)
                    .map_err(|e| unusable(&e))?
            }
            _ => builder.with_no_client_auth(),
        };
        base.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Every run makes the whole handshake: a resumed session does not look at the certificate.
        base.resumption = Resumption::disabled();
        Ok(Setup { base, verifier })
    }
}

impl TlsSetup {
    /// Makes the handshake; the hop gets the phase `tls` and the certificate's expiry.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
        deadline: Instant,
        hop: &mut Hop,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| {
            Failure::inconclusive(
                Reason::ConfigurationInvalid,
                "the host must be a name or an address",
            )
        })?;
        let recorder = Arc::new(Recorder {
            inner: self.0.verifier.clone(),
            not_after: Mutex::new(None),
        });
        let mut config = self.0.base.clone();
        config.dangerous().set_certificate_verifier(recorder.clone());
        let started = Instant::now();
        let result = timeout_at(
            deadline,
            TlsConnector::from(Arc::new(config)).connect(name, stream),
        )
        .await;
        hop.phases.tls = Some(started.elapsed().as_secs_f64());
        hop.certificate_not_after = *recorder.not_after.lock().unwrap_or_else(|e| e.into_inner());
        match result {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failure::of_tls(&error, host)),
            Err(_) => Err(Failure::fail(
                Reason::Timeout,
                format!("{host} did not finish the TLS handshake in time"),
            )),
        }
    }
}

fn certificates(credential: Credential<'_>) -> Result<Vec<CertificateDer<'static>>, PrepareError> {
    let value = credential.value()?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(value.as_bytes())
        .flatten()
        .collect();
    match found.is_empty() {
        true => Err(PrepareError::NotPem {
            name: credential.name.to_owned(),
            what: "certificates",
        }),
        false => Ok(found),
    }
}

#[derive(Debug)]
struct Recorder {
    inner: Arc<WebPkiServerVerifier>,
    not_after: Mutex<Option<Timestamp>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A certificate that this parser can't read is still judged by the one that matters.
        if let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) {
            *self.not_after.lock().unwrap_or_else(|e| e.into_inner()) =
                Timestamp::from_second(parsed.validity().not_after.timestamp()).ok();
        }
        self.inner.verify_server_cert(leaf, chain, name, ocsp, now)
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
