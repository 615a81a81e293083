//! DRM signalling of every format, in one shape.

use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_checks::model::Signal;
use drmwatch_media::{
    Kid,
    bmff::pssh_boxes,
    dash::ContentProtection,
    hls::Key,
    signal::{PLAYREADY_FORMAT, PlayReadyHeader, system},
    smooth::ProtectionHeader,
};

/// The keys of an HLS segment.
pub(super) fn of_keys(keys: &[Key]) -> Vec<Signal> {
    keys.iter().map(of_key).collect()
}

fn of_key(key: &Key) -> Signal {
    let data = data_uri(&key.uri);
    let system = key
        .format
        .strip_prefix("urn:uuid:")
        .and_then(|id| Kid::parse(id).ok())
        .map(|k| k.0);
    let mut signal = Signal {
        system,
        method: Some(key.method.clone()),
        format: Some(key.format.clone()),
        uri: data.is_none().then(|| key.uri.clone()),
        has_iv: key.iv.is_some(),
        kids: key.kid.into_iter().collect(),
        line: key.line,
        ..Signal::default()
    };
    let Some(data) = data else { return signal };
    if key.format == PLAYREADY_FORMAT {
        signal.system = Some(system::PLAYREADY);
        signal.playready.push(PlayReadyHeader::from_object(&data));
    } else if system.is_some() {
        add_boxes(&mut signal, &data);
    }
    signal
}

fn add_boxes(signal: &mut Signal, bytes: &[u8]) {
    match pssh_boxes(bytes) {
        Ok(boxes) => signal.pssh.extend(boxes.into_iter().map(Ok)),
        Err(error) => signal.pssh.push(Err(error)),
    }
}

/// Bytes of a `data:` URI in Base64 (RFC 2397).
fn data_uri(uri: &str) -> Option<Vec<u8>> {
    let (head, data) = uri.strip_prefix("data:")?.split_once(',')?;
    head.ends_with("base64")
        .then(|| STANDARD.decode(data.trim()).ok())
        .flatten()
}

/// The ContentProtection of a representation: of its set and its own.
pub(super) fn of_protection<'a>(found: impl Iterator<Item = &'a ContentProtection>) -> Vec<Signal> {
    found
        .map(|p| {
            let mut signal = Signal {
                scheme: (p.is_common() && !p.value.is_empty()).then(|| p.value.to_ascii_lowercase()),
                system: p.system(),
                kids: p.kids.clone(),
                playready: p.pro.iter().map(|b| PlayReadyHeader::from_object(b)).collect(),
                line: p.line,
                ..Signal::default()
            };
            p.pssh.iter().for_each(|b| add_boxes(&mut signal, b));
            signal
        })
        .collect()
}

/// The ProtectionHeader of a Smooth manifest.
pub(super) fn of_headers(headers: &[ProtectionHeader]) -> Vec<Signal> {
    headers
        .iter()
        .map(|h| {
            let mut signal = Signal {
                system: Some(h.system),
                line: h.line,
                ..Signal::default()
            };
            match h.system {
                system::PLAYREADY => signal.playready.push(PlayReadyHeader::from_object(&h.data)),
                _ => add_boxes(&mut signal, &h.data),
            }
            signal
        })
        .collect()
}
