//! Adobe HTTP Dynamic Streaming, live: f4m, bootstrap and F4F fragments.

use super::{Answer, Scene, WINDOW, media};

pub(super) fn answer(scene: &Scene<'_>, parts: &[&str]) -> Option<Answer> {
    let track = &media::HDS;
    match parts {
        ["manifest.f4m"] => {
            let kind = if scene.ask.mood.ended { "recorded" } else { "live" };
            Some(Answer::new(
                "application/f4m+xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<manifest xmlns=\"http://ns.adobe.com/f4m/1.0\">\n <id>stage</id>\n <streamType>{kind}</streamType>\n <deliveryType>streaming</deliveryType>\n <bootstrapInfo profile=\"named\" url=\"stream.abst\" id=\"b\"/>\n <media bitrate=\"{}\" url=\"stream\" bootstrapInfoId=\"b\" width=\"192\" height=\"108\"/>\n</manifest>\n",
                    track.bandwidth / 1000
                ),
            ))
        }
        ["stream.abst"] => {
            let (first, last) = scene.window(track, WINDOW);
            Some(Answer::new(
                "video/abst",
                bootstrap(first, last, !scene.ask.mood.ended),
            ))
        }
        [fragment] => {
            let number: u64 = fragment.strip_prefix("streamSeg1-Frag")?.parse().ok()?;
            let number = number.checked_sub(1)?;
            scene
                .there(track, number)
                .then(|| Answer::media("video/f4f", track.segments[(number % 6) as usize]))
        }
        _ => None,
    }
}

fn full_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = (12 + content.len()) as u32;
    [&size.to_be_bytes(), &kind[..], &[0; 4], content].concat()
}

/// `abst` with one segment and one run of fragments, which are counted from 1 (Adobe Flash Video File Format
/// Specification 10.1, annex C).
fn bootstrap(first: u64, last: u64, live: bool) -> Vec<u8> {
    let asrt = [
        &[0][..],
        &1u32.to_be_bytes(),
        &1u32.to_be_bytes(),
        &(last as u32 + 1).to_be_bytes(),
    ]
    .concat();
    let afrt = [
        &1000u32.to_be_bytes()[..],
        &[0],
        &1u32.to_be_bytes(),
        &(first as u32 + 1).to_be_bytes(),
        &(first * 2000).to_be_bytes(),
        &2000u32.to_be_bytes(),
    ]
    .concat();
    let content = [
        &(last as u32).to_be_bytes()[..],
        &[if live { 0x20 } else { 0 }],
        &1000u32.to_be_bytes(),
        &((last + 1) * 2000).to_be_bytes(),
        &[0; 8],
        // No movie, no servers, no qualities, no DRM data, no metadata.
        &[0, 0, 0, 0, 0],
        &[1],
        &full_box(b"asrt", &asrt),
        &[1],
        &full_box(b"afrt", &afrt),
    ]
    .concat();
    full_box(b"abst", &content)
}
