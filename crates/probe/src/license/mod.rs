//! The `license` step: what a licence server's success is worth is seen in the licence.
//!
//! Gather ([`gather`]: one request and its record), parse ([`read`]) and judge ([`judge`]); this file climbs the
//! ladder.

mod canary;
mod challenge;
pub(crate) mod gather;
pub mod judge;
pub mod model;
mod read;
mod request;
mod shape;
mod token;

use crate::{
    run::{Context, Found},
    state::LicenseState,
    stream::Finding,
};
use challenge::{Challenge, Facts};
use drmwatch_api::{DeniedVariant, DrmSystem, Flaw, LicenseStep, Step};
use drmwatch_drm::{
    clearkey, fairplay, playready,
    widevine::{Device, MALFORMED, SERVICE_CERTIFICATE_REQUEST, ServiceCertificate, cloud},
};
use drmwatch_media::Kid;
use drmwatch_net::{Failure, Request};
use drmwatch_outcome::Reason;
use gather::{Answered, exchange};
use model::{Expected, Message, Purpose, TokenKnown};
use read::{Known, read};
use request::{cloud_signer, extraction, from_cloud};
use serde_json::json;
use std::collections::BTreeMap;
use token::{Carrier, Validity};

/// Largest licence.
const MAX_LICENSE: usize = 1 << 20;

fn unusable(message: impl Into<String>) -> Failure {
    Failure::inconclusive(Reason::ConfigurationInvalid, message)
}

/// What holds for all requests of a step.
struct Ladder<'s> {
    step: &'s Step,
    license: &'s LicenseStep,
    kids: Vec<Kid>,
    root: Option<Vec<u8>>,
    token: Option<Carrier>,
    token_known: TokenKnown,
    device: Option<Device>,
    certificate: Option<ServiceCertificate>,
    signer: Option<cloud::Signer>,
}

/// One request, where it differs from the others.
struct Ask<'a> {
    purpose: Purpose,
    challenge: &'a Challenge,
    kids: Vec<Kid>,
    /// In place of the step's token: `Some(None)` is without one.
    token: Option<Option<Carrier>>,
    headers: &'a [drmwatch_api::Header],
    variant: Option<&'a DeniedVariant>,
    before: Option<&'a str>,
}

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    license: &LicenseStep,
    findings: &BTreeMap<String, Finding>,
    state: &mut LicenseState,
) -> Result<Found, Failure> {
    context.facts.license_system = Some(license.system.as_str().to_owned());
    let finding = license.kids_from.as_ref().and_then(|from| findings.get(from));
    let mut ladder = Ladder::new(context, step, license, finding)?;
    let source = license.challenge.as_ref();
    let recorded = match source.and_then(|c| c.recorded_credential.as_ref()) {
        Some(name) => Some(challenge::recorded(context, license.system, name)?),
        None => None,
    };
    let refused = step.expect_denied.as_ref().is_some_and(|d| d.variants.is_empty());
    // A step that must be refused sends its request alone: the others need no entitlement. A fresh request in privacy
    // mode can't do without the certificate.
    if !refused || ladder.device.is_some() {
        ladder.certificate(context, recorded.as_ref()).await?;
    }
    if !refused && license.malformed_challenge {
        ladder.malformed(context).await?;
    }
    let challenge = match recorded {
        Some(recorded) => recorded,
        None => match ladder.fresh(context, &ladder.kids.clone()).await? {
            Some(fresh) => fresh,
            None => return Ok(found(context, 0)),
        },
    };
    let purpose = if refused {
        Purpose::Refused
    } else {
        Purpose::License
    };
    let first = ladder.send(context, ladder.ask(purpose, &challenge)).await?;
    if refused {
        return Ok(found(context, first.response.status.as_u16()));
    }
    let status = first.response.status.as_u16();
    if let Some(Message::License(licence)) = context.exchanges.last().map(|x| &x.message)
        && licence.signer_expires.is_some()
    {
        context.facts.drm_certificate_not_after = licence.signer_expires;
    }
    if license.open_canary {
        canary::open(context, finding, &first.response.body)?;
    }
    ladder.rehearse(context, &challenge, &first, state).await?;
    for variant in step.expect_denied.iter().flat_map(|d| &d.variants) {
        ladder.denied(context, &challenge, variant).await?;
    }
    Ok(found(context, status))
}

/// The variables of expressions: those of the licence itself.
fn found(context: &Context<'_, '_>, status: u16) -> Found {
    let licence = context
        .exchanges
        .iter()
        .rev()
        .find(|x| matches!(x.expected.purpose, Purpose::License | Purpose::Refused));
    let (latency, keys, policy) = match licence {
        None => (0.0, 0, json!({})),
        Some(x) => match &x.message {
            Message::License(summary) => (
                x.latency_seconds,
                summary.kids.as_ref().map_or(0, Vec::len),
                json!(summary),
            ),
            _ => (x.latency_seconds, 0, json!({})),
        },
    };
    Found {
        variables: json!({
            "status": if status == 0 { 200 } else { status },
            "keys": keys,
            "durationSeconds": latency,
            "level": context.facts.license_level.unwrap_or(0),
            "policy": policy,
        }),
    }
}

/// Key ids to ask for: those that the step names, or those of the stream or key server.
fn wanted(license: &LicenseStep, finding: Option<&Finding>) -> Result<Vec<Kid>, Failure> {
    if let Some(texts) = &license.kids {
        return parsed(texts);
    }
    if license.kids_from.is_none() {
        return Ok(Vec::new());
    }
    let kids = finding.map(|f| f.kids.clone()).unwrap_or_default();
    match kids.is_empty() {
        true => Err(Failure::fail(
            Reason::KidMissing,
            "the stream signals no key id to ask a licence for",
        )),
        false => Ok(kids),
    }
}

fn parsed(texts: &[String]) -> Result<Vec<Kid>, Failure> {
    texts
        .iter()
        .map(|text| Kid::parse(text).map_err(|e| unusable(e.to_string())))
        .collect()
}

impl<'s> Ladder<'s> {
    fn new(
        context: &mut Context<'_, '_>,
        step: &'s Step,
        license: &'s LicenseStep,
        finding: Option<&Finding>,
    ) -> Result<Ladder<'s>, Failure> {
        let root = license
            .widevine
            .as_ref()
            .and_then(|w| w.root_credential.as_ref())
            .or_else(|| {
                license
                    .play_ready
                    .as_ref()
                    .and_then(|p| p.root_credential.as_ref())
            });
        let root = root.map(|name| challenge::decoded(context, name)).transpose()?;
        let (token, token_known) = match &license.token {
            None => (None, TokenKnown::Fresh),
            Some(options) => {
                let (value, known) = token::good(context, options)?;
                (Some(token::carry(options, value)), known)
            }
        };
        let device = license.challenge.as_ref().and_then(|c| c.device.as_ref());
        let device = device.map(|d| challenge::device(context, d)).transpose()?;
        let signer = match license.widevine.as_ref().and_then(|w| w.cloud.as_ref()) {
            None => None,
            Some(options) => Some(cloud_signer(context, options)?),
        };
        Ok(Ladder {
            step,
            license,
            kids: wanted(license, finding)?,
            root,
            token,
            token_known,
            device,
            certificate: None,
            signer,
        })
    }

    fn ask<'a>(&self, purpose: Purpose, challenge: &'a Challenge) -> Ask<'a> {
        Ask {
            purpose,
            challenge,
            kids: self.kids.clone(),
            token: None,
            headers: &[],
            variant: None,
            before: None,
        }
    }

    fn expected(&self, purpose: Purpose) -> Expected {
        let statuses = self.step.expect_denied.as_ref().map(|d| d.statuses.clone());
        Expected {
            purpose,
            system: Some(self.license.system),
            kids: Vec::new(),
            recorded: false,
            token: self.token_known,
            policy: None,
            provider: self.license.widevine.as_ref().and_then(|w| w.provider.clone()),
            max_clock_skew_seconds: i64::from(self.license.max_clock_skew_seconds),
            statuses: statuses.unwrap_or_default(),
            reasons: Vec::new(),
        }
    }

    /// Level 1: the system's own certificate of the server.
    async fn certificate(
        &mut self,
        context: &mut Context<'_, '_>,
        recorded: Option<&Challenge>,
    ) -> Result<(), Failure> {
        let expected = self.expected(Purpose::Certificate);
        match self.license.system {
            DrmSystem::Widevine if self.signer.is_none() => {
                let plain = Challenge {
                    bytes: SERVICE_CERTIFICATE_REQUEST.to_vec(),
                    recorded: false,
                    headers: Vec::new(),
                    facts: Facts::Plain,
                };
                let request = self.request(context, &self.ask(Purpose::Certificate, &plain))?;
                let known = Known {
                    widevine: recorded.and_then(|r| match &r.facts {
                        Facts::Widevine(challenge) => Some(challenge),
                        _ => None,
                    }),
                    root: self.root.as_deref(),
                    ..Known::default()
                };
                let extraction = extraction(self.license);
                let answered = exchange(context, expected, request, None, |response| {
                    let licence = extraction.extract(&response.body).ok();
                    read(
                        DrmSystem::Widevine,
                        Purpose::Certificate,
                        &response.body,
                        licence.as_deref(),
                        &known,
                    )
                })
                .await;
                note_expiry(context);
                let licence = extraction.extract(&answered?.response.body).unwrap_or_default();
                self.certificate = ServiceCertificate::parse(&licence).ok();
            }
            DrmSystem::FairPlay => {
                let Some(url) = self
                    .license
                    .fair_play
                    .as_ref()
                    .and_then(|f| f.certificate_url.as_ref())
                else {
                    return Ok(());
                };
                let request = Request {
                    method: hyper::Method::GET,
                    url: context.scope.fill(url)?,
                    headers: Vec::new(),
                    body: Vec::new(),
                    max_redirects: 5,
                    max_body: MAX_LICENSE,
                    truncate: false,
                    address: None,
                };
                let recorded_hash = recorded.and_then(|r| match &r.facts {
                    Facts::FairPlay(spc) => spc.certificate_hash.map(|h| read::hex(&h)),
                    _ => None,
                });
                let answered = exchange(context, expected, request, None, |response| {
                    let mut message = read(
                        DrmSystem::FairPlay,
                        Purpose::Certificate,
                        &response.body,
                        None,
                        &Known::default(),
                    );
                    if let Message::ApplicationCertificate {
                        hash, recording_hash, ..
                    } = &mut message
                    {
                        *recording_hash = recorded_hash.filter(|r| r != hash);
                    }
                    message
                })
                .await;
                note_expiry(context);
                answered?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Level 2: a request that nobody signed must be refused.
    async fn malformed(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let cloud = self.license.widevine.as_ref().and_then(|w| w.cloud.as_ref());
        if cloud.is_some_and(|c| c.parse_only) {
            // Nothing is granted there, so nothing can be refused.
            return Ok(());
        }
        let bytes = match self.license.system {
            DrmSystem::Widevine => MALFORMED.to_vec(),
            DrmSystem::PlayReady => playready::MALFORMED.as_bytes().to_vec(),
            DrmSystem::FairPlay => fairplay::malformed_spc(),
            DrmSystem::ClearKey | DrmSystem::Proprietary => return Ok(()),
        };
        let challenge = Challenge {
            bytes,
            recorded: false,
            headers: Vec::new(),
            facts: Facts::Plain,
        };
        self.send(context, self.ask(Purpose::Malformed, &challenge))
            .await
            .map(drop)
    }

    /// A challenge that is made now, where the step has the means.
    async fn fresh(&self, context: &mut Context<'_, '_>, kids: &[Kid]) -> Result<Option<Challenge>, Failure> {
        let plain = |bytes: Vec<u8>| {
            Ok(Some(Challenge {
                bytes,
                recorded: false,
                headers: Vec::new(),
                facts: Facts::Plain,
            }))
        };
        match self.license.system {
            DrmSystem::ClearKey => return plain(clearkey::request(kids)),
            DrmSystem::Proprietary => {
                let body = self.license.request.as_ref().and_then(|r| r.body.as_ref());
                let body = body.map(|b| context.scope.fill(b)).transpose()?;
                return plain(body.unwrap_or_default().into_bytes());
            }
            _ => {}
        }
        let Some(source) = &self.license.challenge else {
            return Ok(None);
        };
        if let (Some(device), Some(options)) = (&self.device, &source.device) {
            return challenge::fresh(context, device, options, kids, self.certificate.as_ref()).map(Some);
        }
        challenge::provided(context, source, self.license.system, kids).await
    }

    /// What is rehearsed besides the licence itself.
    async fn rehearse(
        &self,
        context: &mut Context<'_, '_>,
        challenge: &Challenge,
        first: &Answered,
        state: &mut LicenseState,
    ) -> Result<(), Failure> {
        let rehearse = self.license.rehearse;
        if rehearse.freshness {
            let ask = Ask {
                before: Some(&first.sha256),
                ..self.ask(Purpose::Again, challenge)
            };
            self.send(context, ask).await?;
        }
        if rehearse.renewal
            && let Some(again) = self.fresh(context, &self.kids).await?
        {
            self.send(context, self.ask(Purpose::Renewal, &again)).await?;
        }
        let previous = state.rotated(&self.kids);
        if rehearse.rotation
            && !previous.is_empty()
            && let Some(before) = self.fresh(context, &previous).await?
        {
            let ask = Ask {
                kids: previous,
                ..self.ask(Purpose::PreviousPeriod, &before)
            };
            self.send(context, ask).await?;
        }
        Ok(())
    }

    /// A wrong request.
    async fn denied(
        &self,
        context: &mut Context<'_, '_>,
        right: &Challenge,
        variant: &DeniedVariant,
    ) -> Result<(), Failure> {
        let options = self.license.token.as_ref();
        let carrier = |value: String| options.map(|o| token::carry(o, value));
        let own = |context: &Context<'_, '_>, name: &str| {
            context.scope.credential(name).map(|v| v.trim().to_owned())
        };
        let minted = async |context: &mut Context<'_, '_>, claims: Option<&str>, validity| {
            let mint = options.and_then(|o| o.mint.as_ref());
            let mint = mint.ok_or_else(|| unusable("the token of a wrong request needs token.mint"))?;
            token::mint_token(context, mint, claims, validity)
        };
        let token = match (variant.flaw, &variant.token_credential) {
            (Flaw::NoToken, _) => Some(None),
            (_, Some(name)) => Some(carrier(own(context, name)?)),
            (Flaw::ExpiredToken, _) => Some(carrier(minted(context, None, Validity::Before).await?)),
            (Flaw::NotYetValidToken, _) => Some(carrier(minted(context, None, Validity::Later).await?)),
            (Flaw::TamperedToken, _) => {
                let good = match options {
                    Some(options) => token::good(context, options)?.0,
                    None => String::new(),
                };
                Some(carrier(drmwatch_tokens::tampered(&good)))
            }
            (_, None) if variant.claims.is_some() => {
                let claims = variant.claims.as_deref();
                Some(carrier(minted(context, claims, Validity::Now).await?))
            }
            _ => None,
        };
        let kids = match &variant.kids {
            Some(texts) => parsed(texts)?,
            None => self.kids.clone(),
        };
        let other = match (&variant.challenge_credential, &variant.kids) {
            (Some(name), _) => Some(challenge::recorded(context, self.license.system, name)?),
            // A request that was made for one licence is not for another.
            (None, Some(_)) => self.fresh(context, &kids).await?,
            _ if !right.recorded => self.fresh(context, &kids).await?,
            _ => None,
        };
        let ask = Ask {
            kids,
            token,
            headers: variant.headers.as_deref().unwrap_or_default(),
            variant: Some(variant),
            ..self.ask(Purpose::Denied(variant.flaw), other.as_ref().unwrap_or(right))
        };
        self.send(context, ask).await.map(drop)
    }

    /// Sends one request of the ladder.
    async fn send(&self, context: &mut Context<'_, '_>, ask: Ask<'_>) -> Result<Answered, Failure> {
        let request = self.request(context, &ask)?;
        let mut expected = self.expected(ask.purpose);
        expected.kids.clone_from(&ask.kids);
        expected.recorded = ask.challenge.recorded;
        expected.policy.clone_from(&self.license.policy);
        if let Some(variant) = ask.variant {
            expected.statuses = variant.statuses.clone().unwrap_or(expected.statuses);
            expected.reasons.clone_from(&variant.reasons);
        }
        let mut known = Known {
            root: self.root.as_deref(),
            ..Known::default()
        };
        match (&ask.challenge.facts, &self.device) {
            (Facts::Fresh(signed), Some(device)) => known.signed = Some((device, signed)),
            (Facts::Widevine(challenge), _) => known.widevine = Some(challenge),
            (Facts::PlayReady(challenge), _) => known.playready = Some(challenge),
            _ => {}
        }
        let extraction = extraction(self.license);
        let (system, purpose, cloud) = (self.license.system, ask.purpose, self.signer.is_some());
        exchange(context, expected, request, ask.before, |response| {
            if cloud {
                return from_cloud(response, purpose, &known);
            }
            let licence = extraction.extract(&response.body).ok();
            read(system, purpose, &response.body, licence.as_deref(), &known)
        })
        .await
    }
}

/// Expiry of the certificate that the last exchange showed, whatever came of it.
fn note_expiry(context: &mut Context<'_, '_>) {
    if let Some(
        Message::ServiceCertificate { expires, .. } | Message::ApplicationCertificate { expires, .. },
    ) = context.exchanges.last().map(|x| &x.message)
    {
        context.facts.drm_certificate_not_after = *expires;
    }
}
