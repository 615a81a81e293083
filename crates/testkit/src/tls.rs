//! A CA of its own and certificates in every state.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use std::{net::IpAddr, sync::Arc};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Certificates of a world.
pub struct Certificates {
    /// The CA, PEM.
    pub ca_pem: String,
    /// A client certificate that `https_mutual` accepts, PEM.
    pub client_pem: String,
    /// Its key, PEM.
    pub client_key_pem: String,
    configs: [Arc<ServerConfig>; 5],
}

impl Certificates {
    /// Makes them for a world that listens on `ip`.
    pub(crate) fn make(ip: IpAddr) -> Result<Certificates, Error> {
        let ca = authority("drmwatch test CA")?;
        let stranger = authority("a CA that nobody trusts")?;
        let names = vec![
            SanType::IpAddress(ip),
            SanType::DnsName("localhost".try_into()?),
            SanType::DnsName("world".try_into()?),
            SanType::DnsName("world.world.svc".try_into()?),
        ];
        let (good, good_key) = leaf(&ca, names.clone(), 2025..2036)?;
        let (expired, expired_key) = leaf(&ca, names.clone(), 2020..2021)?;
        let other = vec![SanType::DnsName("elsewhere.example".try_into()?)];
        let (wrong, wrong_key) = leaf(&ca, other, 2025..2036)?;
        let (untrusted, untrusted_key) = leaf(&stranger, names, 2025..2036)?;
        let (client, client_key) = leaf(&ca, vec![SanType::DnsName("client".try_into()?)], 2025..2036)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        let mutual = Some(Arc::new(roots));
        Ok(Certificates {
            ca_pem: ca.pem(),
            client_pem: client.pem(),
            client_key_pem: client_key.serialize_pem(),
            configs: [
                config(&good, &good_key, None)?,
                config(&expired, &expired_key, None)?,
                config(&wrong, &wrong_key, None)?,
                config(&untrusted, &untrusted_key, None)?,
                config(&good, &good_key, mutual)?,
            ],
        })
    }

    pub(crate) fn good(&self) -> Arc<ServerConfig> {
        self.configs[0].clone()
    }
    pub(crate) fn expired(&self) -> Arc<ServerConfig> {
        self.configs[1].clone()
    }
    pub(crate) fn wrong_name(&self) -> Arc<ServerConfig> {
        self.configs[2].clone()
    }
    pub(crate) fn untrusted(&self) -> Arc<ServerConfig> {
        self.configs[3].clone()
    }
    pub(crate) fn mutual(&self) -> Arc<ServerConfig> {
        self.configs[4].clone()
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    names: Vec<SanType>,
    years: std::ops::Range<i32>,
) -> Result<(rcgen::Certificate, KeyPair), Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    Ok((params.signed_by(&key, issuer)?, key))
}

fn config(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    clients: Option<Arc<RootCertStore>>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(roots) => builder
            .with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots, provider).build()?),
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(Error::from)?;
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
