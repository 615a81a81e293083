//! How a request of the ladder is put together, and what is taken out of its answer: wrappers and Google's cloud form.

use super::{
    Ask, Ladder, MAX_LICENSE,
    model::{Message, Purpose},
    read::{Known, read},
    token::Carrier,
    unusable,
};
use crate::run::Context;
use drmwatch_api::{BodyEncoding, DrmSystem, Extraction, LicenseStep, Method};
use drmwatch_drm::{playready, widevine::cloud, wrapper};
use drmwatch_net::{Failure, Request, Response};

impl Ladder<'_> {
    pub(super) fn request(&self, context: &Context<'_, '_>, ask: &Ask<'_>) -> Result<Request, Failure> {
        let license = self.license;
        let options = license.request.clone().unwrap_or_default();
        let encoding = match options.encoding.unwrap_or_default() {
            BodyEncoding::Raw => wrapper::Encoding::Raw,
            BodyEncoding::Base64 => wrapper::Encoding::Base64,
            BodyEncoding::Form => wrapper::Encoding::Form {
                field: options.field.clone().unwrap_or_default(),
            },
            BodyEncoding::Json => {
                let text = context.scope.fill(options.body.as_deref().unwrap_or("{}"))?;
                wrapper::Encoding::Json {
                    template: serde_json::from_str(&text)
                        .map_err(|_| unusable("request.body must be a JSON object"))?,
                    pointer: options.field.clone().unwrap_or_default(),
                }
            }
        };
        let (body, encoded) = match &self.signer {
            Some(signer) => {
                let parse_only = license
                    .widevine
                    .as_ref()
                    .and_then(|w| w.cloud.as_ref())
                    .is_some_and(|c| c.parse_only);
                let asked = cloud::Ask {
                    payload: &ask.challenge.bytes,
                    content_id: None,
                    parse_only,
                };
                (signer.request(&asked), Some("application/json"))
            }
            None => encoding.encode(&ask.challenge.bytes),
        };
        let mut headers = context.headers(&license.headers)?;
        for own in context.headers(ask.headers)? {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(&own.0));
            headers.push(own);
        }
        let mut url = context.scope.fill(&license.url)?;
        let mut query = context.headers(&options.query)?;
        match ask.token.as_ref().unwrap_or(&self.token) {
            Some(Carrier::Header(name, value)) => headers.push((name.clone(), value.clone())),
            Some(Carrier::Query(name, value)) => query.push((name.clone(), value.clone())),
            None => {}
        }
        if !query.is_empty() {
            let mut parsed = drmwatch_net::parse(&url)?;
            parsed.query_pairs_mut().extend_pairs(&query);
            url = parsed.to_string();
        }
        for (name, value) in &ask.challenge.headers {
            add(&mut headers, name, value);
        }
        let (kind, action) = match license.system {
            DrmSystem::ClearKey | DrmSystem::Proprietary => ("application/json", None),
            DrmSystem::PlayReady => (playready::CONTENT_TYPE, Some(playready::SOAP_ACTION)),
            DrmSystem::Widevine | DrmSystem::FairPlay => ("application/octet-stream", None),
        };
        add(
            &mut headers,
            "content-type",
            options.content_type.as_deref().or(encoded).unwrap_or(kind),
        );
        if let Some(action) = action {
            add(&mut headers, "soapaction", action);
        }
        Ok(Request {
            method: options.method.map_or(hyper::Method::POST, crate::http::method_of),
            url,
            headers,
            body: if options.method == Some(Method::Get) {
                Vec::new()
            } else {
                body
            },
            max_redirects: 5,
            max_body: MAX_LICENSE,
            truncate: false,
            address: None,
        })
    }
}

/// Adds a header that is not there.
fn add(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

pub(super) fn extraction(license: &LicenseStep) -> wrapper::Extraction {
    let Some(options) = &license.response else {
        return match license.system {
            // Their answers are JSON and XML by themselves.
            DrmSystem::ClearKey | DrmSystem::PlayReady => wrapper::Extraction::Raw,
            _ => wrapper::Extraction::Auto,
        };
    };
    let field = options.field.clone().unwrap_or_default();
    match options.extraction {
        Extraction::Auto => wrapper::Extraction::Auto,
        Extraction::Raw => wrapper::Extraction::Raw,
        Extraction::Base64 => wrapper::Extraction::Base64,
        Extraction::JsonPointer => wrapper::Extraction::Json { pointer: field },
        Extraction::XmlElement => wrapper::Extraction::Xml { element: field },
    }
}

pub(super) fn cloud_signer(
    context: &Context<'_, '_>,
    options: &drmwatch_api::WidevineCloud,
) -> Result<cloud::Signer, Failure> {
    let hex = |name: &str, length: usize| -> Result<Vec<u8>, Failure> {
        let text = context.scope.credential(name)?;
        let digits: Vec<u8> = text.trim().bytes().collect();
        let nibble = |c: u8| (c as char).to_digit(16);
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => Some((nibble(*a)? << 4 | nibble(*b)?) as u8),
                _ => None,
            })
            .collect();
        bytes.filter(|b| b.len() == length).ok_or_else(|| {
            unusable(format!(
                "the credential {name} must be {length} bytes in hexadecimal"
            ))
        })
    };
    let (key, iv) = (
        hex(&options.key_credential, 32)?,
        hex(&options.iv_credential, 16)?,
    );
    Ok(cloud::Signer {
        provider: options.provider.clone(),
        key: key.try_into().unwrap_or([0; 32]),
        iv: iv.try_into().unwrap_or([0; 16]),
    })
}

/// An answer of Google's cloud: a status in JSON, with the licence in it.
pub(super) fn from_cloud(response: &Response, purpose: Purpose, known: &Known<'_>) -> Message {
    use drmwatch_api::LicenseReason;
    let Ok(answer) = cloud::Answer::parse(&response.body) else {
        return Message::Unread;
    };
    if answer.status != "OK" {
        let revoked = answer.status.contains("REVOKED");
        let reason = match answer.status.as_str() {
            _ if revoked => LicenseReason::DeviceRevoked,
            "SIGNATURE_FAILED" | "INVALID_LICENSE_CHALLENGE" | "MALFORMED_REQUEST" => {
                LicenseReason::ChallengeRefused
            }
            "INVALID_CONTENT_KEY_DATA" | "CONTENT_ID_MISSING" | "INVALID_CONTENT_ID" => {
                LicenseReason::KeyNotFound
            }
            "ACCESS_DENIED" => LicenseReason::LicenseDenied,
            _ => LicenseReason::LicenseServerError,
        };
        return Message::Refusal {
            code: format!("status {}", answer.status.chars().take(64).collect::<String>()),
            text: answer
                .internal_status
                .map_or(String::new(), |s| format!("internal status {s}")),
            reason,
        };
    }
    match answer.license() {
        Ok(Some(licence)) => read(
            DrmSystem::Widevine,
            purpose,
            &response.body,
            Some(&licence),
            known,
        ),
        // A look at the request only.
        Ok(None) => Message::License(Box::default()),
        Err(error) => Message::Broken {
            problem: error.to_string(),
        },
    }
}
