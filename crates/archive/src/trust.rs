//! Whose certificates are believed by who holds keys and copies of results.

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::path::Path;

/// TLS that trusts the public authorities, and those in a file (PEM); or what is wrong, with the file where it is its fault.
pub fn tls(authorities: Option<&Path>) -> Result<ClientConfig, String> {
    // Inside of reqwest a provider is looked for; programs choose theirs first thing, tests and libraries have none.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = authorities {
        let wrong = |why: String| format!("{}: {why}", file.display());
        for found in CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))? {
            let root = found.map_err(|e| wrong(e.to_string()))?;
            roots.add(root).map_err(|e| wrong(e.to_string()))?;
        }
    }
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
