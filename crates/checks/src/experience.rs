//! What a viewer would notice, computed from what a run measured.

use crate::model::{Kind, Rendition, Snapshot};

/// Seconds from pressing play to the first picture, and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Startup {
    /// Name resolution, connection and TLS of the first request.
    pub connect: f64,
    /// The manifest, without that.
    pub manifest: f64,
    /// The slower of the video and audio playlists.
    pub playlist: f64,
    /// The slower of the init segments.
    pub init: f64,
    /// The segments that fill the buffer.
    pub media: f64,
}

impl Startup {
    /// The sum.
    pub fn total(&self) -> f64 {
        self.connect + self.manifest + self.playlist + self.init + self.media
    }
}

/// SmartLabs SmartCARE's download quality: how fast a chunk came against how fast it plays, in percent,
/// 100 at most. `None` below 1 kB, as there.
///
/// Their formula is `(bytes × 8 / playlist_bitrate) / download_seconds × 100`. The playing time that it
/// estimates from the bit rate is what the manifest says outright, so that is taken.
pub fn quality_percent(bytes: u64, duration: f64, download_seconds: f64) -> Option<f64> {
    let dropped = bytes < 1000 || duration <= 0.0 || download_seconds <= 0.0;
    (!dropped).then(|| (duration / download_seconds * 100.0).min(100.0))
}

/// Throughput in bits per second, of the whole segments of a run.
pub fn throughput(snapshot: &Snapshot) -> Option<f64> {
    let whole = || snapshot.renditions.iter().filter_map(|r| r.whole.as_ref());
    let bits: f64 = whole().map(|(e, _)| e.wire_bytes as f64 * 8.0).sum();
    let seconds: f64 = whole().map(|(e, _)| e.seconds).sum();
    (seconds > 0.0 && bits > 0.0).then(|| bits / seconds)
}

/// The part of the throughput that a player dares to use: Media3's bandwidth fraction.
const DARED: f64 = 0.7;

/// How often the throughput that a player dares to use covers a rung; below 1 it can't be played.
pub fn headroom(throughput: f64, bandwidth: u64) -> Option<f64> {
    (bandwidth > 0).then(|| throughput * DARED / bandwidth as f64)
}

/// Index, among the rungs sorted from low to high, of the best that can be sustained.
pub fn top_rung(throughput: f64, rungs: &[u64]) -> Option<usize> {
    rungs
        .iter()
        .rposition(|b| headroom(throughput, *b).is_some_and(|h| h >= 1.0))
}

/// Startup time, by what the run measured. Buffers of two segments are common (hls.js and Shaka begin
/// sooner, Safari later).
pub fn startup(snapshot: &Snapshot) -> Startup {
    let of = |kind: Kind| snapshot.renditions.iter().find(|r| r.kind == kind);
    let first: Vec<&Rendition> = [of(Kind::Video), of(Kind::Audio)].into_iter().flatten().collect();
    let slowest = |seconds: &dyn Fn(&Rendition) -> f64| first.iter().map(|r| seconds(r)).fold(0.0, f64::max);
    let after = |e: &crate::model::Exchange| (e.seconds - e.setup_seconds).max(0.0);
    Startup {
        connect: snapshot.entry.setup_seconds,
        manifest: after(&snapshot.entry),
        playlist: slowest(&|r| r.exchange.as_ref().map_or(0.0, after)),
        init: 0.0,
        media: slowest(&|r| {
            let whole = r.whole.as_ref().map(|(e, _)| e.seconds);
            2.0 * whole
                .or(r.newest.found().map(|s| s.exchange.seconds))
                .unwrap_or(0.0)
        }),
    }
}

/// A player that began a while ago: what is left in its buffer after one more segment, seconds. Below zero
/// it stalls.
pub fn buffer(before: Option<f64>, hold_back: f64, duration: f64, download_seconds: f64) -> f64 {
    // It fills up to what it holds back from the live edge, and no further.
    (before.unwrap_or(hold_back).max(0.0) + duration - download_seconds).min(hold_back + duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_how_much_faster_than_playing_a_download_is_capped_at_hundred() {
        assert_eq!(quality_percent(1_000_000, 6.0, 3.0), Some(100.0));
        assert_eq!(quality_percent(1_000_000, 6.0, 12.0), Some(50.0));
        assert_eq!(quality_percent(999, 6.0, 12.0), None);
        assert_eq!(quality_percent(1000, 6.0, 0.0), None);
    }

    #[test]
    fn a_player_stalls_when_segments_come_more_slowly_than_they_play() {
        let mut left = None;
        for _ in 0..3 {
            left = Some(buffer(left, 18.0, 6.0, 1.0));
        }
        assert_eq!(left, Some(24.0));
        for _ in 0..5 {
            left = Some(buffer(left, 18.0, 6.0, 12.0));
        }
        assert!(left < Some(0.0));
    }

    #[test]
    fn the_best_rung_leaves_a_margin() {
        assert_eq!(
            top_rung(10_000_000.0, &[1_000_000, 6_900_000, 7_100_000]),
            Some(1)
        );
        assert_eq!(top_rung(1.0, &[1_000_000]), None);
    }
}
