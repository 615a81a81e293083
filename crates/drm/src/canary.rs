//! Whether a canary segment opens with the key of a licence.
//!
//! Decryption as such always "succeeds": a wrong key gives noise. What tells the two apart is the
//! plaintext. An AAC access unit ends with the element `ID_END` (ISO/IEC 14496-3, table 4.85: three set
//! bits, then zeros to the byte boundary); noise does so in about one of four units, so that a segment
//! of [`ENOUGH`] units leaves no doubt. H.264 and others keep their telling bytes in the clear (slice
//! headers, by ISO/IEC 23001-7 section 9.5): for them the answer is honest and says so.

use crate::clearkey::License;
use aes::cipher::{KeyIvInit, StreamCipher};
use drmwatch_media::{
    Kid,
    bmff::{BoxError, Protection, Sample, Track, fragments},
};
use secrecy::ExposeSecret;
use thiserror::Error;

/// Access units that are enough to tell plaintext from noise: 4^-16 by chance.
pub const ENOUGH: usize = 16;

/// Why a canary can't be judged.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum CanaryError {
    /// The segment is broken.
    #[error(transparent)]
    Segment(#[from] BoxError),
    /// The licence has no key for it.
    #[error("the licence must hold a key for {0}")]
    NoKey(Kid),
    /// The plaintext of this codec or scheme does not tell.
    #[error("{0} does not show whether it was opened; use a canary with an AAC track and scheme cenc")]
    NotVerifiable(String),
    /// Too little to tell.
    #[error("there must be at least {ENOUGH} access units in the segment, and there are {0}")]
    TooShort(usize),
}

/// Whether this codec and scheme can be judged at all.
pub fn verifiable(track: &Track) -> bool {
    &track.codec == b"mp4a" && track.protection.as_ref().is_some_and(|p| &p.scheme == b"cenc")
}

/// Whether `segment` of `track` opens with its key in `license`.
pub fn opens(track: &Track, segment: &[u8], license: &License) -> Result<bool, CanaryError> {
    let text = |code: &[u8; 4]| String::from_utf8_lossy(code).into_owned();
    let Some(protection) = track.protection.as_ref().filter(|_| verifiable(track)) else {
        let scheme = track
            .protection
            .as_ref()
            .map_or("the clear".into(), |p| text(&p.scheme));
        return Err(CanaryError::NotVerifiable(format!(
            "{} in {scheme}",
            text(&track.codec)
        )));
    };
    let key = license
        .key(&protection.kid)
        .ok_or(CanaryError::NoKey(protection.kid))?;
    let samples: Vec<Sample> = fragments(segment, protection.iv_size)?
        .into_iter()
        .filter(|f| f.track == track.id)
        .flat_map(|f| f.samples)
        .collect();
    let whole: Vec<_> = samples
        .iter()
        .filter_map(|s| Some((s, bytes(segment, s)?)))
        .collect();
    if whole.len() < ENOUGH {
        return Err(CanaryError::TooShort(whole.len()));
    }
    Ok(whole.into_iter().all(|(sample, data)| {
        let opened = decrypt(key.expose_secret(), protection, sample, data);
        ends_like_aac(&opened)
    }))
}

fn bytes<'a>(segment: &'a [u8], sample: &Sample) -> Option<&'a [u8]> {
    let start = usize::try_from(sample.offset).ok()?;
    segment.get(start..start.checked_add(sample.size as usize)?)
}

/// Scheme `cenc`: AES-128-CTR over the protected bytes of a sample, one counter for all of them
/// (ISO/IEC 23001-7 section 9.4 to 9.6).
fn decrypt(key: &[u8; 16], protection: &Protection, sample: &Sample, data: &[u8]) -> Vec<u8> {
    let mut counter = [0; 16];
    let iv = if sample.iv.is_empty() {
        &protection.constant_iv
    } else {
        &sample.iv
    };
    let length = iv.len().min(16);
    counter[..length].copy_from_slice(&iv[..length]);
    let mut cipher = ctr::Ctr64BE::<aes::Aes128>::new(&(*key).into(), &counter.into());
    let mut out = data.to_vec();
    if sample.subsamples.is_empty() {
        cipher.apply_keystream(&mut out);
        return out;
    }
    let mut at = 0;
    for (clear, protected) in &sample.subsamples {
        let start = (at + usize::from(*clear)).min(out.len());
        let end = start.saturating_add(*protected as usize).min(out.len());
        cipher.apply_keystream(&mut out[start..end]);
        at = end;
    }
    out
}

fn ends_like_aac(unit: &[u8]) -> bool {
    let [.., before, last] = unit else { return false };
    if *last == 0 {
        return false; // alignment is seven bits at most
    }
    let word = u16::from_be_bytes([*before, *last]);
    word >> word.trailing_zeros() & 0b111 == 0b111
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clearkey;
    use drmwatch_media::bmff::Init;

    fn media(path: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../testkit/media/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    /// The canary key of `crates/testkit/media/make.sh`, or one bit beside it.
    fn license(key: &str) -> License {
        let kid = "p-YcNz4hkDPCEJH6YHvzuA";
        clearkey::parse(
            format!(r#"{{"keys":[{{"kty":"oct","k":"{key}","kid":"{kid}"}}],"type":"temporary"}}"#)
                .as_bytes(),
        )
        .unwrap()
    }

    fn check(track: &str, key: &str) -> Result<bool, CanaryError> {
        let init = Init::parse(&media(&format!("cenc/{track}/init.mp4"))).unwrap();
        opens(
            &init.tracks[0],
            &media(&format!("cenc/{track}/3.m4s")),
            &license(key),
        )
    }

    #[test]
    fn the_packagers_audio_opens_with_its_key_and_with_no_other() {
        assert_eq!(check("audio", "Go0aL2_ZQSydSmw_Clt-kQ"), Ok(true));
        assert_eq!(check("audio", "Go0aL2_ZQSydSmw_Clt-kA"), Ok(false));
        assert_eq!(check("audio", "AAAAAAAAAAAAAAAAAAAAAA"), Ok(false));
    }

    #[test]
    fn video_is_said_to_be_not_verifiable() {
        assert!(matches!(
            check("low", "Go0aL2_ZQSydSmw_Clt-kQ"),
            Err(CanaryError::NotVerifiable(_))
        ));
    }
}
