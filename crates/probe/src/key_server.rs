//! The `keyServer` step: keys of canary content, as a packager asks for them (level 5).

use crate::{
    license::{
        gather::exchange,
        model::{Exchange, Expected, KeyProblem, Message, Purpose, TokenKnown},
    },
    run::{Context, Found},
    stream::Finding,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_api::{KeyServerProtocol, KeyServerStep, ProtectionScheme, SignalledSystem, Step, UserPassword};
use drmwatch_drm::cpix::{Ask, AskedKey, Document, KeyValue, System, Version, Violation, check};
use drmwatch_media::Kid;
use drmwatch_net::{Failure, Request, Response};
use drmwatch_outcome::Reason;
use drmwatch_tokens::{DigestChallenge, DigestRequest, SigV4};
use hyper::header;
use serde_json::json;
use std::{collections::BTreeMap, sync::OnceLock};

/// Largest document.
const MAX_DOCUMENT: usize = 4 << 20;
/// Most seconds between the clocks.
const MAX_SKEW: i64 = 300;

/// A certificate whose private key was thrown away when it was made: keys that are encrypted to it are lost, and that is
/// the point. One for the life of the process.
fn throwaway() -> Option<&'static [u8]> {
    static CERTIFICATE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    CERTIFICATE
        .get_or_init(|| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).ok()?;
            let parameters =
                rcgen::CertificateParams::new(vec!["drmwatch-throwaway.invalid".to_owned()]).ok()?;
            Some(parameters.self_signed(&key).ok()?.der().to_vec())
        })
        .as_deref()
}

fn unusable(message: String) -> Failure {
    Failure::inconclusive(Reason::ConfigurationInvalid, message)
}

fn ask_of(context: &Context<'_, '_>, spec: &KeyServerStep) -> Result<Ask, Failure> {
    let keys = spec.keys.iter().map(|key| {
        Ok(AskedKey {
            kid: Kid::parse(&key.kid).map_err(|e| unusable(e.to_string()))?,
            track: key.track.clone(),
        })
    });
    let recipient = match spec.encrypted_keys {
        false => None,
        true => {
            let made = throwaway().ok_or_else(|| Failure::internal("no certificate could be made"))?;
            Some(made.to_vec())
        }
    };
    Ok(Ask {
        version: match spec.protocol {
            KeyServerProtocol::Speke10 => Version::Speke1,
            KeyServerProtocol::Speke20 => Version::Speke20,
            KeyServerProtocol::Speke21 => Version::Speke21,
        },
        content_id: context.scope.fill(&spec.content_id)?,
        keys: keys.collect::<Result<_, Failure>>()?,
        systems: spec
            .systems
            .iter()
            .map(|s| match s {
                SignalledSystem::Widevine => System::Widevine,
                SignalledSystem::PlayReady => System::PlayReady,
                SignalledSystem::FairPlay => System::FairPlay,
                SignalledSystem::ClearKey => System::ClearKey,
            })
            .collect(),
        scheme: match spec.scheme {
            ProtectionScheme::Cenc => "cenc".into(),
            ProtectionScheme::Cbcs => "cbcs".into(),
        },
        recipient,
    })
}

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    spec: &KeyServerStep,
    findings: &mut BTreeMap<String, Finding>,
) -> Result<Found, Failure> {
    context.facts.license_system = Some("KeyServer".to_owned());
    let ask = ask_of(context, spec)?;
    if let Some(url) = &spec.heartbeat_url {
        let request = Request {
            method: hyper::Method::GET,
            url: context.scope.fill(url)?,
            headers: context.headers(&spec.headers)?,
            body: Vec::new(),
            max_redirects: 0,
            max_body: MAX_DOCUMENT,
            truncate: false,
            address: None,
        };
        send(context, spec, Purpose::Heartbeat, &ask, request, |_| {
            Message::Unread
        })
        .await?;
    }
    // Hashes of keys are comparable within this run alone.
    let salt: [u8; 16] = rand::random();
    let mut first = BTreeMap::new();
    let request = document(context, spec, &ask)?;
    let response = send(context, spec, Purpose::Keys, &ask, request, |response| {
        let (message, keys) = read(&ask, response, &salt);
        first = keys;
        message
    })
    .await?;
    // The same content and key id must give the same key: to be told where keys come in the clear.
    if !spec.encrypted_keys {
        let request = document(context, spec, &ask)?;
        send(context, spec, Purpose::KeysAgain, &ask, request, |response| {
            let (mut message, keys) = read(&ask, response, &salt);
            let differs = keys
                .iter()
                .any(|(kid, hash)| first.get(kid).is_some_and(|f| f != hash));
            if let Message::Keys { changed, .. } = &mut message {
                *changed = differs;
            }
            message
        })
        .await?;
    }
    let kids: Vec<Kid> = ask.keys.iter().map(|k| k.kid).collect();
    let text: Vec<String> = kids.iter().map(Kid::to_string).collect();
    context.scope.output(&step.name, "kids", text.join(","), false);
    findings.insert(
        step.name.clone(),
        Finding {
            kids,
            of_key_server: true,
            canary: None,
        },
    );
    Ok(Found {
        variables: json!({
            "status": response.status.as_u16(),
            "keys": text.len(),
            "durationSeconds": context.facts.license_latency_seconds.unwrap_or(0.0),
        }),
    })
}

fn document(context: &Context<'_, '_>, spec: &KeyServerStep, ask: &Ask) -> Result<Request, Failure> {
    let mut headers = context.headers(&spec.headers)?;
    headers.push(("content-type".into(), "application/xml".into()));
    if let Some(version) = ask.version.header() {
        headers.push(("x-speke-version".into(), version.into()));
    }
    Ok(Request {
        method: hyper::Method::POST,
        url: context.scope.fill(&spec.url)?,
        headers,
        body: ask.request().into_bytes(),
        max_redirects: 0,
        max_body: MAX_DOCUMENT,
        truncate: false,
        address: None,
    })
}

/// What a document says, and salted hashes of its keys.
fn read(ask: &Ask, response: &Response, salt: &[u8]) -> (Message, BTreeMap<Kid, [u8; 32]>) {
    let nothing = BTreeMap::new();
    let Ok(text) = std::str::from_utf8(&response.body) else {
        return (Message::Unread, nothing);
    };
    if !response.status.is_success() {
        return (Message::Unread, nothing);
    }
    let document = match Document::parse(text, salt) {
        Ok(document) => document,
        Err(error @ drmwatch_drm::cpix::CpixError::Field { .. }) => {
            let problem = error.to_string();
            return (Message::Broken { problem }, nothing);
        }
        Err(_) => return (Message::Unread, nothing),
    };
    let problem = check(ask, &document).err().map(|violation| KeyProblem {
        kids: matches!(
            violation,
            Violation::KeyMissing { .. } | Violation::ByteOrder { .. }
        ),
        text: violation.to_string(),
    });
    let hashes = document.keys.iter().filter_map(|key| match key.value {
        KeyValue::Plain(hash) => Some((key.kid, hash)),
        _ => None,
    });
    let message = Message::Keys {
        kids: document.keys.iter().map(|k| k.kid).collect(),
        problem,
        changed: false,
    };
    (message, hashes.collect())
}

async fn send(
    context: &mut Context<'_, '_>,
    spec: &KeyServerStep,
    purpose: Purpose,
    ask: &Ask,
    mut request: Request,
    read: impl FnOnce(&Response) -> Message,
) -> Result<Response, Failure> {
    let expected = Expected {
        purpose,
        system: None,
        kids: ask.keys.iter().map(|k| k.kid).collect(),
        recorded: false,
        token: TokenKnown::Fresh,
        policy: None,
        provider: None,
        max_clock_skew_seconds: MAX_SKEW,
        statuses: Vec::new(),
        reasons: Vec::new(),
    };
    authenticate(context, spec, &mut request, &expected).await?;
    let answered = exchange(context, expected, request, None, read).await?;
    Ok(answered.response)
}

async fn authenticate(
    context: &mut Context<'_, '_>,
    spec: &KeyServerStep,
    request: &mut Request,
    expected: &Expected,
) -> Result<(), Failure> {
    let Some(auth) = &spec.auth else { return Ok(()) };
    let credential = |context: &Context<'_, '_>, name: &str| {
        let filled = context.scope.credential(name);
        filled.map(|v| v.trim().to_owned())
    };
    if let Some(UserPassword {
        user_credential,
        password_credential,
    }) = &auth.basic
    {
        let (user, password) = (
            credential(context, user_credential)?,
            credential(context, password_credential)?,
        );
        let text = STANDARD.encode(format!("{user}:{password}"));
        context.scope.redactor.add(&text);
        request
            .headers
            .push(("authorization".into(), format!("Basic {text}")));
    }
    if let Some(aws) = &auth.aws {
        let session = aws.session_token_credential.as_ref();
        let signer = SigV4 {
            access_key: credential(context, &aws.access_key_credential)?,
            secret_key: credential(context, &aws.secret_key_credential)?,
            session_token: session.map(|name| credential(context, name)).transpose()?,
            region: aws.region.clone(),
            service: aws.service.clone(),
        };
        let url = drmwatch_net::parse(&request.url)?;
        let now = (context.clock)();
        let signed = signer.headers(request.method.as_str(), &url, &request.body, now);
        request.headers.extend(signed);
    }
    if let Some(who) = &auth.digest {
        let url = drmwatch_net::parse(&request.url)?;
        // The first request asks for the nonce.
        let sent = context.client.send(request, context.deadline, context.hops).await;
        let response = match sent {
            Ok(response) => response,
            Err(failure) => {
                let at = (context.clock)();
                let record =
                    Exchange::problem(expected.clone(), at, failure.verdict, failure.message.clone());
                context.exchanges.push(record);
                return Err(failure);
            }
        };
        let offered = response.headers.get_all(header::WWW_AUTHENTICATE);
        let challenge = offered
            .iter()
            .filter_map(|v| v.to_str().ok())
            .find_map(DigestChallenge::parse);
        // A server that does not ask is answered without: its answer is judged as it is.
        if let (401, Some(challenge)) = (response.status.as_u16(), challenge) {
            let (user, password) = (
                credential(context, &who.user_credential)?,
                credential(context, &who.password_credential)?,
            );
            let cnonce = nonce();
            let asked = DigestRequest {
                method: request.method.as_str(),
                target: &url[url::Position::BeforePath..url::Position::AfterQuery],
                cnonce: &cnonce,
            };
            let answer = challenge.answer(&user, &password, asked);
            let answer = answer.ok_or_else(|| {
                unusable("the key server's Digest challenge is not MD5 or SHA-256 with qop=auth".into())
            })?;
            request.headers.push(("authorization".into(), answer));
        }
    }
    Ok(())
}

fn nonce() -> String {
    let bytes: [u8; 8] = rand::random();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
