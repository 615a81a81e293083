//! What is fuzzed: each function takes any bytes. The replay test of `drmwatch-drm` calls the same ones with
//! what the fuzzer has kept.

use drmwatch_drm::{clearkey, cpix, fairplay, init_data, playready, widevine, wrapper};
use drmwatch_media::{SegmentKind, bmff, dash, hds, hls, scte35, signal, smooth, text, ts};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("hls", hls),
    ("dash", dash),
    ("smooth", smooth),
    ("hds", hds),
    ("init", init),
    ("segment", segment),
    ("ts", ts),
    ("text", text),
    ("scte35", scte35),
    ("signal", signal),
    ("widevine", widevine_messages),
    ("playready", playready_messages),
    ("xmr", xmr),
    ("chain", chain),
    ("cpix", cpix_documents),
    ("licences", licences),
];

fn hls(bytes: &[u8]) {
    // A delta update is merged into what stands before a line of its own.
    let at = bytes.windows(3).position(|w| w == b"\n~\n");
    let (before, after) = at.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 3..]));
    let parsed = (hls::parse(before), hls::parse(after));
    if let (Ok(before), Ok(after)) = parsed
        && let (hls::Playlist::Media(before), hls::Playlist::Media(after)) = (before.playlist, after.playlist)
    {
        let _ = hls::merge(&before, &after);
        let _ = (before.newest(), before.live_edge());
    }
}

fn dash(bytes: &[u8]) {
    let _ = dash::parse_patch(bytes);
    let Ok(mpd) = dash::parse(bytes) else { return };
    for now in [jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX] {
        let _ = mpd.current(now);
        for period in &mpd.periods {
            for representation in period.sets.iter().flat_map(|s| &s.representations) {
                let _ = representation.available(&mpd, period, now);
                let _ = representation.newest(&mpd, period, now);
                let _ = representation.oldest(&mpd, period, now);
                let _ = representation.init_url();
            }
        }
    }
}

fn smooth(bytes: &[u8]) {
    if let Ok(manifest) = smooth::parse(bytes) {
        for stream in &manifest.streams {
            for quality in stream.qualities.iter().take(4) {
                let _ = stream.fragment_url(quality, u64::MAX);
            }
        }
    }
}

fn hds(bytes: &[u8]) {
    let _ = hds::parse(bytes);
    if let Ok(bootstrap) = hds::Bootstrap::parse(bytes) {
        let _ = (
            bootstrap.ended(),
            bootstrap.newest().map(|n| bootstrap.segment_of(n.0)),
        );
    }
}

fn init(bytes: &[u8]) {
    let _ = bmff::Init::parse(bytes).map(|init| init.kids());
    let _ = bmff::pssh_boxes(bytes);
}

fn segment(bytes: &[u8]) {
    let _ = SegmentKind::of(bytes);
    let _ = bmff::Head::parse(bytes, None);
    let _ = bmff::SegmentIndex::parse(bytes, 0);
    for size in [0, 8, 16] {
        let _ = bmff::fragments(bytes, size);
    }
}

fn ts(bytes: &[u8]) {
    let _ = ts::TsHead::scan(bytes);
}

fn text(bytes: &[u8]) {
    let _ = (text::webvtt(bytes), text::ttml(bytes));
}

fn scte35(bytes: &[u8]) {
    let _ = scte35::Splice::parse(bytes).map(|s| s.opens());
}

fn signal(bytes: &[u8]) {
    let _ = signal::widevine_kids(bytes);
    let _ = signal::PlayReadyHeader::from_object(bytes);
}

fn widevine_messages(bytes: &[u8]) {
    let _ = widevine::SignedMessage::parse(bytes).map(|m| m.error());
    let _ = widevine::License::parse(bytes).map(|l| l.kids());
    let _ = widevine::Challenge::parse(bytes);
    let _ = widevine::ServiceCertificate::parse(bytes).map(|c| c.verify(widevine::GOOGLE_ROOT));
    let _ = widevine::cloud::Answer::parse(bytes).map(|a| a.license());
}

fn playready_messages(bytes: &[u8]) {
    let (unwrapped, _) = playready::unwrap_key_message(bytes);
    let challenge = playready::Challenge::parse(&unwrapped);
    if let (Ok(playready::Answer::Granted(response)), Ok(challenge)) =
        (playready::Answer::parse(bytes), &challenge)
    {
        let _ = response.fresh(challenge);
    }
    // The signature's canonical forms are made of whatever document there is.
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = playready::Chain::parse(CHAIN).map(|chain| chain.verify(None))
        && let Ok(key) = key
    {
        let _ = playready::verify(text.as_bytes(), &key);
    }
}

/// A chain of the test world's.
const CHAIN: &[u8] = include_bytes!("../corpus/chain/world");

fn xmr(bytes: &[u8]) {
    let _ = playready::License::parse(bytes);
}

fn chain(bytes: &[u8]) {
    let _ = playready::Chain::parse(bytes).map(|c| {
        (
            c.verify(None).is_ok(),
            c.verify(Some(&[7; 64])).is_ok(),
            c.expires(),
        )
    });
}

fn cpix_documents(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(document) = cpix::Document::parse(text, b"salt") else {
        return;
    };
    let keys = document.keys.iter().take(2).map(|k| cpix::AskedKey {
        kid: k.kid,
        track: "ALL".into(),
    });
    let mut ask = cpix::Ask {
        version: cpix::Version::Speke20,
        content_id: document.content_id.clone().unwrap_or_default(),
        keys: keys.collect(),
        systems: vec![cpix::System::Widevine, cpix::System::PlayReady],
        scheme: "cenc".into(),
        recipient: None,
    };
    let _ = cpix::check(&ask, &document);
    ask.recipient = Some(Vec::new());
    let _ = (cpix::check(&ask, &document), ask.request());
}

fn licences(bytes: &[u8]) {
    let _ = clearkey::parse(bytes).map(|l| l.kids());
    let _ = (
        fairplay::Spc::parse(bytes),
        fairplay::Ckc::parse(bytes),
        fairplay::Certificate::parse(bytes),
    );
    let _ = (
        init_data::cenc(bytes),
        init_data::keyids(bytes),
        init_data::webm(bytes),
    );
    for form in [
        wrapper::Extraction::Auto,
        wrapper::Extraction::Base64,
        wrapper::Extraction::Json {
            pointer: "/license".into(),
        },
        wrapper::Extraction::Xml {
            element: "ckc".into(),
        },
    ] {
        let _ = form.extract(bytes);
    }
    if let Ok(document) = serde_json::from_slice(bytes) {
        let _ = fairplay::sdk_answer(&document);
    }
}
