//! What is fuzzed: each function takes any bytes. The replay test of `drmwatch-media` calls the same ones with
//! what the fuzzer has kept.

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
