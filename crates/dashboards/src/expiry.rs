//! What expires, and when.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, ORANGE, RED, YELLOW, of, tenants},
    tenant::ROW,
};
use drmwatch_metrics::{CERTIFICATE_EXPIRY, CREDENTIAL_EXPIRY, DRM_CERTIFICATE_EXPIRY, Metric};

/// A day.
const DAY: f64 = 86400.0;

pub(crate) fn dashboard() -> Dashboard {
    let left = |metric: &Metric| {
        format!(
            "min by (tenant_namespace, tenant, probe, step) ({}) - time()",
            of(metric, "")
        )
    };
    let table = |title, description, metric, days: f64| {
        Panel::new(Kind::Table, title, "s", description)
            .ask_if(format!("sort({})", left(metric)), "Good for")
            .steps(&[
                (None, RED),
                (Some(days / 2.0 * DAY), ORANGE),
                (Some(days * DAY), YELLOW),
                (Some(2.0 * days * DAY), GREEN),
            ])
            .link("Probe", ROW)
            .size(8, 12)
    };
    let stat = |title, description, metric: &Metric, days: f64| {
        Panel::new(Kind::Stat, title, "s", description)
            .ask_if(format!("min({})", left(metric)), "soonest")
            .steps(&[(None, RED), (Some(days * DAY), GREEN)])
            .size(8, 4)
    };
    Dashboard {
        name: "expiry",
        title: "Certificates and credentials",
        description: "What expires, and when: certificates of servers, those of DRM systems, stored tokens.",
        variables: tenants(true),
        rows: vec![
            Row {
                title: "Soonest",
                panels: vec![
                    stat(
                        "Server certificate",
                        "How long the first server certificate to expire is good for. CertificateExpiring fires at 14 days.",
                        &CERTIFICATE_EXPIRY,
                        14.0,
                    ),
                    stat(
                        "DRM certificate",
                        "The same of the DRM systems' own certificates. CertificateExpiring fires at 30 days.",
                        &DRM_CERTIFICATE_EXPIRY,
                        30.0,
                    ),
                    stat(
                        "Credential",
                        "The same of stored tokens, by their own date. CredentialExpiring fires at 7 days.",
                        &CREDENTIAL_EXPIRY,
                        7.0,
                    ),
                ],
            },
            Row {
                title: "All",
                panels: vec![
                    table(
                        "Server certificates",
                        "Certificates that probes met, refused ones too. Empty: nothing is asked by HTTPS.",
                        &CERTIFICATE_EXPIRY,
                        14.0,
                    ),
                    table(
                        "DRM certificates",
                        "Widevine service certificates, FairPlay application certificates, PlayReady chains. Empty: no system with one is asked.",
                        &DRM_CERTIFICATE_EXPIRY,
                        30.0,
                    ),
                    table(
                        "Credentials",
                        "Stored JSON Web Tokens. Empty: none is used.",
                        &CREDENTIAL_EXPIRY,
                        7.0,
                    ),
                ],
            },
        ],
    }
}
