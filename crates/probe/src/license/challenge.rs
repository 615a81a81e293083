//! Where challenges come from: a recording, the operator's own test credential, or a hook to their licensed client.

use crate::{plugin, run::Context};
use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_api::{Challenge as Source, DrmSystem, WidevineDevice};
use drmwatch_drm::{
    fairplay::Spc,
    playready,
    protobuf::Writer,
    widevine::{self, Ask, Device, ServiceCertificate, Signed},
};
use drmwatch_media::Kid;
use drmwatch_net::Failure;
use drmwatch_outcome::Reason;
use serde_json::json;

/// A challenge, ready to be sent.
pub(super) struct Challenge {
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// It was recorded, not made now.
    pub recorded: bool,
    /// Headers that the recording holds.
    pub headers: Vec<(String, String)>,
    /// What is known of it.
    pub facts: Facts,
}

/// What is known of a challenge.
pub(super) enum Facts {
    /// ClearKey and proprietary ones.
    Plain,
    Widevine(widevine::Challenge),
    /// With what signed it.
    Fresh(Signed),
    PlayReady(playready::Challenge),
    FairPlay(Spc),
}

fn unusable(message: String) -> Failure {
    Failure::inconclusive(Reason::ConfigurationInvalid, message)
}

/// Base64 of a credential.
pub(super) fn decoded(context: &Context<'_, '_>, name: &str) -> Result<Vec<u8>, Failure> {
    let text = context.scope.credential(name)?;
    let text: String = text.split_whitespace().collect();
    STANDARD
        .decode(text)
        .map_err(|_| unusable(format!("the credential {name} must be Base64")))
}

/// A challenge of bytes that came from outside.
fn read(system: DrmSystem, bytes: Vec<u8>, whose: &str, recorded: bool) -> Result<Challenge, Failure> {
    let wrong = |e: String| {
        let message = format!("{whose} must be a licence request of {system:?}: {e}");
        match recorded {
            true => unusable(message),
            false => Failure::inconclusive(Reason::ChallengeUnavailable, message),
        }
    };
    let mut headers = Vec::new();
    let mut bytes = bytes;
    let facts = match system {
        DrmSystem::Widevine => {
            Facts::Widevine(widevine::Challenge::parse(&bytes).map_err(|e| wrong(e.to_string()))?)
        }
        DrmSystem::PlayReady => {
            (bytes, headers) = playready::unwrap_key_message(&bytes);
            Facts::PlayReady(playready::Challenge::parse(&bytes).map_err(|e| wrong(e.to_string()))?)
        }
        DrmSystem::FairPlay => Facts::FairPlay(Spc::parse(&bytes).map_err(|e| wrong(e.to_string()))?),
        DrmSystem::ClearKey | DrmSystem::Proprietary => Facts::Plain,
    };
    Ok(Challenge {
        bytes,
        recorded,
        headers,
        facts,
    })
}

/// A recorded challenge.
pub(super) fn recorded(
    context: &Context<'_, '_>,
    system: DrmSystem,
    name: &str,
) -> Result<Challenge, Failure> {
    let bytes = decoded(context, name)?;
    read(system, bytes, &format!("the credential {name}"), true)
}

/// The operator's test credential.
pub(super) fn device(context: &Context<'_, '_>, options: &WidevineDevice) -> Result<Device, Failure> {
    let text = |name: &str| context.scope.credential(name);
    let (identity, key) = (
        text(&options.client_id_credential)?,
        text(&options.private_key_credential)?,
    );
    Device::from_texts(&identity, &key).map_err(|e| {
        let (id, key) = (&options.client_id_credential, &options.private_key_credential);
        unusable(format!("the credentials {id} and {key}: {e}"))
    })
}

/// A fresh Widevine request for these key ids.
pub(super) fn fresh(
    context: &Context<'_, '_>,
    device: &Device,
    options: &WidevineDevice,
    kids: &[Kid],
    certificate: Option<&ServiceCertificate>,
) -> Result<Challenge, Failure> {
    let pssh = kids
        .iter()
        .fold(Writer::default(), |writer, kid| writer.bytes(2, &kid.0))
        .finish();
    let mut rng = rand::rng();
    let ask = Ask {
        pssh: &pssh,
        offline: options.offline,
        request_id: rand::random(),
        nonce: rand::random(),
        time: (context.clock)(),
        privacy: certificate.filter(|_| options.privacy),
    };
    let signed = device
        .request(&ask, &mut rng)
        .map_err(|e| unusable(e.to_string()))?;
    Ok(Challenge {
        bytes: signed.bytes.clone(),
        recorded: false,
        headers: Vec::new(),
        facts: Facts::Fresh(signed),
    })
}

/// A challenge of the operator's hook.
pub(super) async fn provided(
    context: &mut Context<'_, '_>,
    source: &Source,
    system: DrmSystem,
    kids: &[Kid],
) -> Result<Option<Challenge>, Failure> {
    let Some(hook) = &source.provider else {
        return Ok(None);
    };
    let ask = json!({
        "system": system,
        "kids": kids.iter().map(|k| drmwatch_drm::cpix::uuid(&k.0)).collect::<Vec<_>>(),
    });
    let answer = plugin::call(context, hook, "challenge", ask)
        .await
        .map_err(|failure| Failure::inconclusive(Reason::ChallengeUnavailable, failure.message))?;
    let refused = |what: &str| {
        Failure::inconclusive(
            Reason::ChallengeUnavailable,
            format!("the challenge provider {what}"),
        )
    };
    let text = answer
        .get("challenge")
        .and_then(|c| c.as_str())
        .ok_or_else(|| refused("must answer with a challenge"))?;
    let bytes = STANDARD
        .decode(text.trim())
        .map_err(|_| refused("must give its challenge in Base64"))?;
    read(system, bytes, "the provider's challenge", false).map(Some)
}
