//! How fast manifests are parsed, beside the parsers that are used most: m3u8-rs and dash-mpd-core, in the same
//! run, turn by turn, on the same bytes. What is printed are medians of each and the ratio; time on its own says
//! little on a machine that others use.
//!
//! Ours gives more for it: every problem with its line, all keys of a segment, low latency. Theirs stop at the
//! first error. `cargo bench -p drmwatch-media`, or `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

/// A window of 10,000 segments: more than five hours, with a date and a key every hundred.
fn playlist() -> String {
    let mut out = String::from(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1000\n#EXT-X-MAP:URI=\"init.mp4\"\n",
    );
    for n in 0..10_000 {
        if n % 100 == 0 {
            let _ = write!(
                out,
                "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://key-{n}\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T{:02}:{:02}:00.000Z\n",
                n / 1800 % 24,
                n / 30 % 60
            );
        }
        let _ = write!(
            out,
            "#EXTINF:2.000,\nvideo/1080p/segment-{n:08}.m4s?session=0123456789abcdef\n"
        );
    }
    out
}

/// 24 hours of 2 s in a SegmentTimeline whose runs are short, as encoders with uneven audio frames write them:
/// four representations, two timelines.
fn mpd() -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:cenc=\"urn:mpeg:cenc:2013\" type=\"dynamic\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" availabilityStartTime=\"2026-11-22T00:00:00Z\" publishTime=\"2026-11-23T00:00:00Z\" minimumUpdatePeriod=\"PT2S\" timeShiftBufferDepth=\"PT24H\" minBufferTime=\"PT2S\">\n <Period id=\"1\" start=\"PT0S\">\n",
    );
    for (content, scale, step) in [("video", 90_000u64, 180_000u64), ("audio", 48_000, 96_000)] {
        let _ = write!(
            out,
            "  <AdaptationSet contentType=\"{content}\" mimeType=\"{content}/mp4\" segmentAlignment=\"true\">\n   <ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cenc\" cenc:default_KID=\"a7e61c37-3e21-9033-c210-91fa607bf3b8\"/>\n   <SegmentTemplate timescale=\"{scale}\" initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Time$.m4s\">\n    <SegmentTimeline>\n"
        );
        let mut time = 0;
        for n in 0..43_200u64 / 3 {
            // Two of one length and one of another.
            let _ = writeln!(
                out,
                "     <S t=\"{time}\" d=\"{step}\" r=\"1\"/>\n     <S d=\"{}\"/>",
                step + n % 7
            );
            time += 3 * step + n % 7;
        }
        out += "    </SegmentTimeline>\n   </SegmentTemplate>\n";
        for rate in [800_000, 2_400_000] {
            let _ = writeln!(
                out,
                "   <Representation id=\"{content}-{rate}\" bandwidth=\"{rate}\" codecs=\"avc1.4d401f\" width=\"1280\" height=\"720\"/>"
            );
        }
        out += "  </AdaptationSet>\n";
    }
    out + " </Period>\n</MPD>\n"
}

struct Measured {
    median: Duration,
    allocations: u64,
    peak: u64,
}

/// Turn by turn, so that what disturbs one disturbs the other.
fn paired(rounds: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (Measured, Measured) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let at = Instant::now();
        ours();
        times.0.push(at.elapsed());
        let at = Instant::now();
        theirs();
        times.1.push(at.elapsed());
    }
    let measured = |times: &mut Vec<Duration>, run: &mut dyn FnMut()| {
        times.sort_unstable();
        let counted = allocation_counter::measure(run);
        Measured {
            median: times[times.len() / 2],
            allocations: counted.count_total,
            peak: counted.bytes_max,
        }
    };
    (
        measured(&mut times.0, &mut ours),
        measured(&mut times.1, &mut theirs),
    )
}

fn report(what: &str, bytes: usize, name: &str, (ours, theirs): (Measured, Measured)) {
    let speed = theirs.median.as_secs_f64() / ours.median.as_secs_f64();
    println!("{what}: {} KiB", bytes / 1024);
    for (name, m) in [("drmwatch", &ours), (name, &theirs)] {
        println!(
            "  {name:14} {:8.2} ms  {:7.0} MiB/s  {:8} allocations  {:6} KiB at most",
            m.median.as_secs_f64() * 1000.0,
            bytes as f64 / 1_048_576.0 / m.median.as_secs_f64(),
            m.allocations,
            m.peak / 1024
        );
    }
    println!(
        "  ratio          {speed:8.2} times as fast, {:.2} times the allocations, {:.2} times the memory",
        ours.allocations as f64 / theirs.allocations as f64,
        ours.peak as f64 / theirs.peak as f64
    );
}

/// The worst that the door lets through, 16 MiB: a document must take a second at most.
fn hostile() {
    const SIZE: usize = 16 << 20;
    let repeated = |head: &str, part: &str, tail: &str| {
        head.to_owned() + &part.repeat((SIZE - head.len() - tail.len()) / part.len()) + tail
    };
    let mpd = "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"dynamic\"><Period><AdaptationSet><SegmentTemplate media=\"$Time$\"><SegmentTimeline>";
    let documents = [
        (
            "playlist of the shortest segments",
            repeated("#EXTM3U\n", "#EXTINF:1,\na\n", ""),
        ),
        (
            "playlist of tags that can't be read",
            repeated("#EXTM3U\n", "#EXTINF:x,\na\n", ""),
        ),
        (
            "playlist of keys",
            repeated("#EXTM3U\n", "#EXT-X-KEY:METHOD=NONE\n", ""),
        ),
        ("playlist that is one line", repeated("#EXTM3U\n#", "x", "")),
        (
            "timeline of single segments",
            repeated(
                mpd,
                "<S d=\"1\"/>",
                "</SegmentTimeline></SegmentTemplate></AdaptationSet></Period></MPD>",
            ),
        ),
        (
            "timeline that repeats without end",
            repeated(
                mpd,
                "<S t=\"0\" d=\"1\" r=\"4294967295\"/>",
                "</SegmentTimeline></SegmentTemplate></AdaptationSet></Period></MPD>",
            ),
        ),
        ("elements without end", repeated("<MPD>", "<Period>", "")),
        ("attributes without end", repeated("<MPD ", "a=\"\" ", "></MPD>")),
        (
            "entities",
            repeated("<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\">]><MPD>", "&a;", "</MPD>"),
        ),
    ];
    println!("16 MiB that mean harm, the slower of both parsers");
    for (name, text) in documents {
        let mut slowest = Duration::ZERO;
        let mut peak = 0;
        for parse in [
            (|b| drop(black_box(drmwatch_media::hls::parse(b)))) as fn(&[u8]),
            |b| drop(black_box(drmwatch_media::dash::parse(b))),
        ] {
            let at = Instant::now();
            let counted = allocation_counter::measure(|| parse(text.as_bytes()));
            slowest = slowest.max(at.elapsed());
            peak = peak.max(counted.bytes_max);
        }
        println!(
            "  {name:38} {:7.0} ms  {:5} MiB at most",
            slowest.as_secs_f64() * 1000.0,
            peak >> 20
        );
    }
}

fn main() {
    // `cargo test` runs benches with --test: then once is enough.
    let rounds = if std::env::args().any(|a| a == "--test") {
        1
    } else {
        41
    };
    let text = playlist();
    let ours = || {
        let found = drmwatch_media::hls::parse(text.as_bytes()).unwrap();
        assert!(found.problems.is_empty());
        black_box(found);
    };
    let theirs = || {
        black_box(m3u8_rs::parse_playlist_res(text.as_bytes()).unwrap());
    };
    report(
        "HLS, 10,000 segments",
        text.len(),
        "m3u8-rs",
        paired(rounds, ours, theirs),
    );
    let text = mpd();
    let ours = || {
        let found = drmwatch_media::dash::parse(text.as_bytes()).unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        black_box(found);
    };
    let theirs = || {
        black_box(dash_mpd_core::parse(&text).unwrap());
    };
    report(
        "MPD, 24 hours",
        text.len(),
        "dash-mpd-core",
        paired(rounds.min(15), ours, theirs),
    );
    hostile();
}
