//! Checks whether the values of Secrets can be what the steps that name them need: a recorded license request, a device key, a
//! root key, a signing key, a certificate. The operator and `--check` look before the first run, so that a wrong Secret is
//! reported as such and not as a failure of the service.

use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_api::{DrmSystem, LicenseStep, TokenAlgorithm};
use drmwatch_drm::{
    fairplay::Spc,
    playready,
    widevine::{self, Device},
};
use drmwatch_plan::{Plan, Secrets};
use drmwatch_tokens::{JwtAlgorithm, JwtSigner};
use std::fmt::Display;

/// A credential whose value cannot be what its step needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableCredential {
    /// Name of the credential.
    pub credential: String,
    /// Name of the Secret.
    pub secret: String,
    /// Key in the Secret.
    pub key: String,
    /// What is wrong. It never quotes the value.
    pub problem: String,
}

impl Display for UnusableCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the credential {}, key {} of the Secret {}: {}",
            self.credential, self.key, self.secret, self.problem
        )
    }
}

/// Every credential of a plan that can't be what its steps need.
pub fn check_credentials(plan: &Plan, secrets: &Secrets) -> Vec<UnusableCredential> {
    let mut found = Vec::new();
    let tls = [
        (&plan.tls.ca_credential, "CERTIFICATE", "certificates"),
        (
            &plan.tls.client_certificate_credential,
            "CERTIFICATE",
            "certificates",
        ),
        (&plan.tls.client_key_credential, "PRIVATE KEY", "a private key"),
    ];
    for (name, label, what) in tls {
        let Some((name, value)) = name.as_ref().and_then(|n| Some((n, secrets.get(n)?))) else {
            continue;
        };
        // What is in it is the runner's to judge, which has the libraries for it.
        if let (false, Some(at)) = (
            value.contains(&format!("{label}-----")),
            plan.credentials.get(name),
        ) {
            found.push(UnusableCredential {
                credential: name.clone(),
                secret: at.name.clone(),
                key: at.key.clone(),
                problem: format!("must be {what} in PEM"),
            });
        }
    }
    let licenses = plan.steps.iter().flat_map(|s| s.license.as_ref().map(|l| (s, l)));
    for (step, license) in licenses {
        let mut check = |name: &str, look: &dyn Fn(&str) -> Result<(), String>| {
            let Some(value) = secrets.get(name) else { return };
            if let (Err(problem), Some(at)) = (look(value), plan.credentials.get(name)) {
                found.push(UnusableCredential {
                    credential: name.to_owned(),
                    secret: at.name.clone(),
                    key: at.key.clone(),
                    problem,
                });
            }
        };
        let variants = step.expect_denied.iter().flat_map(|d| &d.variants);
        let source = license.challenge.as_ref();
        let recorded = source
            .and_then(|c| c.recorded_credential.as_ref())
            .into_iter()
            .chain(variants.filter_map(|v| v.challenge_credential.as_ref()));
        for name in recorded {
            check(name, &|value| challenge(license.system, value));
        }
        if let Some(device) = source.and_then(|c| c.device.as_ref()) {
            let identity = secrets.get(&device.client_id_credential).unwrap_or_default();
            // Each is looked at beside the other; what is wrong with one must not be told of both.
            check(
                &device.client_id_credential,
                &|value| match Device::from_texts(value, "") {
                    Err(
                        error @ (widevine::DeviceError::Identity
                        | widevine::DeviceError::Base64("the client id")),
                    ) => Err(error.to_string()),
                    _ => Ok(()),
                },
            );
            check(
                &device.private_key_credential,
                &|value| match Device::from_texts(identity, value) {
                    Err(
                        error @ (widevine::DeviceError::Key
                        | widevine::DeviceError::Base64("the private key")),
                    ) => Err(error.to_string()),
                    _ => Ok(()),
                },
            );
        }
        roots(license, &mut check);
        if let Some(mint) = license.token.as_ref().and_then(|t| t.mint.as_ref()) {
            let algorithm = match mint.algorithm {
                TokenAlgorithm::Hs256 => JwtAlgorithm::Hs256,
                TokenAlgorithm::Rs256 => JwtAlgorithm::Rs256,
                TokenAlgorithm::Es256 => JwtAlgorithm::Es256,
            };
            check(&mint.key_credential, &|value| {
                JwtSigner::new(algorithm, value, None)
                    .map(drop)
                    .map_err(|e| e.to_string())
            });
        }
    }
    found
}

type Check<'a> = dyn FnMut(&str, &dyn Fn(&str) -> Result<(), String>) + 'a;

fn roots(license: &LicenseStep, check: &mut Check<'_>) {
    if let Some(widevine) = &license.widevine {
        if let Some(name) = &widevine.root_credential {
            check(name, &|value| {
                let usable = base64(value).is_some_and(|der| widevine::is_root(&der));
                usable
                    .then_some(())
                    .ok_or("must be an RSA public key in PKCS #1 DER, Base64".into())
            });
        }
        if let Some(cloud) = &widevine.cloud {
            for (name, bytes) in [(&cloud.key_credential, 32), (&cloud.iv_credential, 16)] {
                check(name, &|value| {
                    let digits = value.trim();
                    let usable = digits.len() == 2 * bytes && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    usable
                        .then_some(())
                        .ok_or(format!("must be {bytes} bytes in hexadecimal"))
                });
            }
        }
    }
    if let Some(name) = license
        .play_ready
        .as_ref()
        .and_then(|p| p.root_credential.as_ref())
    {
        check(name, &|value| {
            let usable = base64(value).is_some_and(|key| playready::is_root(&key));
            usable
                .then_some(())
                .ok_or("must be a P-256 public key, X and Y, 64 bytes, Base64".into())
        });
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_whitespace().collect();
    STANDARD.decode(compact).ok()
}

fn challenge(system: DrmSystem, value: &str) -> Result<(), String> {
    let bytes = base64(value).ok_or("must be Base64")?;
    let looked = match system {
        DrmSystem::Widevine => widevine::Challenge::parse(&bytes)
            .map(drop)
            .map_err(|e| e.to_string()),
        DrmSystem::PlayReady => playready::Challenge::parse(&playready::unwrap_key_message(&bytes).0)
            .map(drop)
            .map_err(|e| e.to_string()),
        DrmSystem::FairPlay => Spc::parse(&bytes).map(drop).map_err(|e| e.to_string()),
        DrmSystem::ClearKey | DrmSystem::Proprietary => Ok(()),
    };
    looked.map_err(|e| format!("must be a recorded licence request of {system:?}: {e}"))
}
