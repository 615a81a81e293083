//! The media of `media/make.sh`, put into an endless timeline: each loop of twelve seconds is shifted by the
//! decode times of those before it.

use super::Timing;

/// Seconds of one loop.
pub(super) const LOOP: f64 = 12.0;

/// One track of one kind.
pub(super) struct Track {
    pub name: &'static str,
    /// Codec (RFC 6381).
    pub codec: &'static str,
    /// Width and height.
    pub size: Option<(u32, u32)>,
    /// Bits per second that MPDs declare.
    pub bandwidth: u32,
    /// Ticks per second.
    pub scale: u64,
    /// Seconds of each segment of a loop.
    pub durations: &'static [f64],
    pub init: &'static [u8],
    pub segments: &'static [&'static [u8]],
}

const EVEN: &[f64] = &[2.0; 6];
/// As `-force_key_frames` in `make.sh` has it.
const UNEVEN: &[f64] = &[2.0, 1.0, 3.0, 2.0, 1.0, 3.0];

macro_rules! files {
    ($($directory:literal)/+, $extension:literal) => {
        &[
            include_bytes!(concat!("../../media/", $($directory, "/",)+ "1.", $extension)),
            include_bytes!(concat!("../../media/", $($directory, "/",)+ "2.", $extension)),
            include_bytes!(concat!("../../media/", $($directory, "/",)+ "3.", $extension)),
            include_bytes!(concat!("../../media/", $($directory, "/",)+ "4.", $extension)),
            include_bytes!(concat!("../../media/", $($directory, "/",)+ "5.", $extension)),
            include_bytes!(concat!("../../media/", $($directory, "/",)+ "6.", $extension)),
        ]
    };
}

macro_rules! track {
    ($kind:literal, $track:literal, $like:expr) => {
        Track {
            init: include_bytes!(concat!("../../media/", $kind, "/", $track, "/init.mp4")),
            segments: files!($kind / $track, "m4s"),
            ..$like
        }
    };
}

const LOW: Track = Track {
    name: "low",
    codec: "avc1.4d400c",
    size: Some((192, 108)),
    bandwidth: 44_000,
    scale: 12_800,
    durations: EVEN,
    init: &[],
    segments: &[],
};
const HIGH: Track = Track {
    name: "high",
    codec: "avc1.4d4015",
    size: Some((320, 180)),
    bandwidth: 82_000,
    ..LOW
};
const AUDIO: Track = Track {
    name: "audio",
    codec: "mp4a.40.2",
    size: None,
    bandwidth: 24_000,
    scale: 48_000,
    ..LOW
};

static CLEAR: [Track; 3] = [
    track!("clear", "low", LOW),
    track!("clear", "high", HIGH),
    track!("clear", "audio", AUDIO),
];
static CENC: [Track; 3] = [
    track!("cenc", "low", LOW),
    track!("cenc", "high", HIGH),
    track!("cenc", "audio", AUDIO),
];
static CBCS: [Track; 2] = [track!("cbcs", "low", LOW), track!("cbcs", "audio", AUDIO)];
static PARTS: [Track; 2] = [track!("parts", "low", LOW), track!("parts", "audio", AUDIO)];
static UNEVEN_TRACKS: [Track; 1] = [track!(
    "uneven",
    "low",
    Track {
        durations: UNEVEN,
        bandwidth: 60_000,
        ..LOW
    }
)];
/// Video and audio in one.
pub(super) static TS: Track = Track {
    name: "ts",
    codec: "avc1.4d400c,mp4a.40.2",
    bandwidth: 140_000,
    segments: files!("ts", "ts"),
    ..LOW
};
pub(super) static SMOOTH: [Track; 2] = [
    Track {
        name: "video",
        scale: 10_000_000,
        // The last two fragments of the muxer announce nothing behind them.
        segments: SMOOTH_VIDEO.split_at(4).0,
        ..LOW
    },
    Track {
        name: "audio",
        scale: 10_000_000,
        segments: SMOOTH_AUDIO.split_at(4).0,
        ..AUDIO
    },
];
const SMOOTH_VIDEO: &[&[u8]] = files!("smooth" / "video", "ismv");
const SMOOTH_AUDIO: &[&[u8]] = files!("smooth" / "audio", "ismv");
pub(super) static HDS: Track = Track {
    name: "stream",
    bandwidth: 80_000,
    scale: 1000,
    segments: files!("hds", "f4f"),
    ..LOW
};

/// The tracks of a kind of CMAF.
pub(super) fn tracks(kind: &str) -> Option<&'static [Track]> {
    Some(match kind {
        "clear" => &CLEAR,
        "cenc" => &CENC,
        "cbcs" => &CBCS,
        "parts" => &PARTS,
        "uneven" => &UNEVEN_TRACKS,
        _ => return None,
    })
}

impl Track {
    /// Seconds of segment `number`.
    pub fn duration(&self, number: u64) -> f64 {
        self.durations[(number % self.durations.len() as u64) as usize]
    }

    /// Seconds from the beginning of the stream to that of segment `number`.
    pub fn begin(&self, number: u64) -> f64 {
        let (loops, rest) = (
            number / self.durations.len() as u64,
            number % self.durations.len() as u64,
        );
        loops as f64 * LOOP + self.durations[..rest as usize].iter().sum::<f64>()
    }

    pub fn longest(&self) -> f64 {
        self.durations.iter().copied().fold(0.0, f64::max)
    }

    /// Number of the newest segment that is published at so many seconds.
    pub fn newest(&self, seconds: f64, timing: &Timing) -> u64 {
        // From one that surely is.
        let mut number = ((seconds / LOOP - 2.0).max(0.0) as u64) * self.durations.len() as u64;
        while self.published(number + 1, timing) <= seconds {
            number += 1;
        }
        number
    }

    /// When segment `number` is listed, in seconds of the stream.
    pub fn published(&self, number: u64, timing: &Timing) -> f64 {
        self.begin(number + 1) + timing.delay(self.name, number)
    }

    /// Segment `number`, with the decode times of its place in the endless stream.
    pub fn segment(&self, number: u64) -> Vec<u8> {
        let files = self.segments.len() as u64;
        let mut bytes = self.segments[(number % files) as usize].to_vec();
        let shift = (number / self.durations.len() as u64) * (LOOP * self.scale as f64) as u64;
        for at in decode_times(&bytes) {
            let long = bytes[at - 4] == 1;
            let field = &mut bytes[at..at + if long { 8 } else { 4 }];
            let old = field.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            let new = old.wrapping_add(shift).to_be_bytes();
            let length = field.len();
            field.copy_from_slice(&new[8 - length..]);
        }
        bytes
    }

    /// The fragments of segment `number`, each with what stands before it.
    pub fn fragments(&self, number: u64) -> Vec<Vec<u8>> {
        let bytes = self.segment(number);
        let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
        for (kind, range) in boxes(&bytes) {
            if let Some(part) = parts.last_mut() {
                part.extend_from_slice(&bytes[range]);
            }
            if kind == *b"mdat" {
                parts.push(Vec::new());
            }
        }
        parts.retain(|p| !p.is_empty());
        parts
    }
}

/// Boxes of the top level: kind and place.
pub(super) fn boxes(bytes: &[u8]) -> Vec<([u8; 4], std::ops::Range<usize>)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&[a, b, c, d, k0, k1, k2, k3]) = bytes.get(at..at + 8).and_then(|h| h.first_chunk::<8>()) {
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        if size < 8 || at + size > bytes.len() {
            break;
        }
        found.push(([k0, k1, k2, k3], at..at + size));
        at += size;
    }
    found
}

/// Offsets of the decode times of all `tfdt`, version 0 and 1.
fn decode_times(bytes: &[u8]) -> Vec<usize> {
    let headers = bytes.windows(8).enumerate();
    headers
        .filter(|(_, w)| w[4..] == *b"tfdt" && matches!(w[..4], [0, 0, 0, 16 | 20]))
        .map(|(n, _)| n + 12)
        .collect()
}

/// The `pssh` boxes of an init segment: system id, whole box, data.
pub(super) fn pssh(init: &[u8]) -> Vec<([u8; 16], &[u8], &[u8])> {
    let starts = init.windows(4).enumerate().filter(|(_, w)| *w == b"pssh");
    starts
        .filter_map(|(at, _)| {
            let begin = at.checked_sub(4)?;
            let size = u32::from_be_bytes(*init.get(begin..at)?.first_chunk()?) as usize;
            let whole = init.get(begin..begin + size)?;
            let system = *whole.get(12..28)?.first_chunk::<16>()?;
            // Version 1 lists key ids before the data.
            let mut data = 28;
            if whole[8] == 1 {
                data += 4 + 16 * u32::from_be_bytes(*whole.get(28..32)?.first_chunk()?) as usize;
            }
            Some((system, whole, whole.get(data + 4..)?))
        })
        .collect()
}
