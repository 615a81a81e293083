//! Any bytes give a value or an error: never a panic, never a hang. Other people's files are read where
//! they are at hand; mutations of real documents reach deeper than noise does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

use drmwatch_media::{SegmentKind, bmff, dash, hds, hls, scte35, signal, smooth, text, ts};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn parse_all(bytes: &[u8]) {
    let _ = hls::parse(bytes);
    let _ = dash::parse(bytes).map(|mpd| {
        let now = jiff::Timestamp::UNIX_EPOCH;
        for period in &mpd.periods {
            for representation in period.sets.iter().flat_map(|s| &s.representations) {
                let _ = representation.newest(&mpd, period, now);
                let _ = representation.oldest(&mpd, period, now);
                let _ = representation.init_url();
            }
        }
    });
    let _ = dash::parse_patch(bytes);
    let _ = smooth::parse(bytes);
    let _ = hds::parse(bytes);
    let _ = hds::Bootstrap::parse(bytes).map(|b| b.newest().map(|n| b.segment_of(n.0)));
    let _ = (ts::TsHead::scan(bytes), text::webvtt(bytes), text::ttml(bytes));
    let _ = scte35::Splice::parse(bytes).map(|s| s.opens());
    let _ = signal::widevine_kids(bytes);
    let _ = signal::PlayReadyHeader::from_object(bytes);
    let _ = bmff::Head::parse(bytes, None);
    let _ = bmff::SegmentIndex::parse(bytes, 0);
    let _ = bmff::pssh_boxes(bytes);
    let _ = bmff::Init::parse(bytes).map(|init| init.kids());
    for iv_size in [0, 8, 16] {
        let _ = bmff::fragments(bytes, iv_size);
    }
    let _ = SegmentKind::of(bytes);
}

fn media(path: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../testkit/media")
            .join(path),
    )
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        parse_all(&bytes);
    }

    #[test]
    fn playlists_of_noise_are_survived(lines in proptest::collection::vec(
        "(#EXTINF:[0-9.,]{0,6}|#EXT-X-KEY:METHOD=[A-Z]{0,4},URI=\"?x|#EXT-X-[A-Z-]{0,20}:[ -~]{0,20}|[a-z]{0,5})", 0..60)) {
        parse_all(format!("#EXTM3U\n{}", lines.join("\n")).as_bytes());
    }

    #[test]
    fn mutations_of_real_boxes_are_survived(at in any::<prop::sample::Index>(), to in any::<u32>(), cut in any::<prop::sample::Index>()) {
        for file in ["cenc/audio/init.mp4", "cenc/low/2.m4s"] {
            let mut bytes = media(file);
            let at = at.index(bytes.len() - 4);
            bytes[at..at + 4].copy_from_slice(&to.to_be_bytes());
            bytes.truncate(cut.index(bytes.len()));
            parse_all(&bytes);
        }
    }
}

#[test]
fn init_and_media_segments_of_the_packager_are_understood() {
    for (track, codec, handler) in [("audio", b"mp4a", b"soun"), ("low", b"avc1", b"vide")] {
        let init = bmff::Init::parse(&media(&format!("cenc/{track}/init.mp4"))).unwrap();
        assert_eq!((&init.tracks[0].codec, &init.tracks[0].handler), (codec, handler));
        assert_eq!(init.kids()[0].to_string(), "a7e61c373e219033c21091fa607bf3b8");
        let iv_size = init.tracks[0].protection.as_ref().unwrap().iv_size;
        let segment = media(&format!("cenc/{track}/2.m4s"));
        let fragments = bmff::fragments(&segment, iv_size).unwrap();
        let last = fragments.last().unwrap().samples.last().unwrap();
        assert_eq!(
            last.offset + u64::from(last.size),
            segment.len() as u64,
            "samples must fill mdat to its end"
        );
        assert!(
            fragments[0]
                .samples
                .iter()
                .all(|s| s.iv.len() == usize::from(iv_size))
        );
        assert_eq!(init.pssh[0].kids, init.kids());
    }
    assert_eq!(
        bmff::Init::parse(&media("clear/low/init.mp4")).unwrap().kids(),
        []
    );
}

fn corpus() -> Option<Vec<PathBuf>> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => walk(&path, found),
                path => found.push(path),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    root.is_dir().then(|| {
        let mut found = Vec::new();
        walk(&root, &mut found);
        found
    })
}

#[test]
fn other_peoples_files_are_survived_and_most_are_understood() {
    let Some(files) = corpus() else {
        eprintln!("SKIPPED: the corpora folder is not beside this checkout");
        return;
    };
    let (mut understood, mut total) = (0, 0);
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        parse_all(&bytes);
        let good = match path.extension().and_then(|e| e.to_str()) {
            Some("m3u8") => hls::parse(&bytes).is_ok_and(|d| d.problems.is_empty()),
            Some("mpd") => dash::parse(&bytes).is_ok_and(|d| d.problems.is_empty()),
            _ => continue,
        };
        total += 1;
        understood += usize::from(good);
    }
    // Many are broken on purpose; a parser that refuses half of the world's manifests would be ours.
    assert!(
        understood * 10 >= total * 6,
        "only {understood} of {total} understood"
    );
    println!("{understood} of {total} playlists and MPDs understood");
}

/// Each problem of each file names a line that is there, and what it complains about stands on it. What is
/// missing from a document as a whole is told at its first line, and at its last what is missing at the end.
#[test]
fn problems_of_other_peoples_files_point_at_the_place() {
    let Some(files) = corpus() else {
        eprintln!("SKIPPED: the corpora folder is not beside this checkout");
        return;
    };
    let (mut wrong, mut pointed) = (Vec::new(), 0);
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let problems = match path.extension().and_then(|e| e.to_str()) {
            Some("m3u8") => hls::parse(&bytes).map(|d| d.problems).unwrap_or_default(),
            Some("mpd") => dash::parse(&bytes).map(|d| d.problems).unwrap_or_default(),
            _ => continue,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        for problem in problems {
            let drmwatch_media::Place::Line(line) = problem.place else {
                panic!("{problem} has no line");
            };
            let there = lines.get(line.wrapping_sub(1));
            let subject = problem.subject.as_str();
            // An element may be written with a prefix; a URI is a line without a tag.
            let fits = there.is_some_and(|l| {
                // What must stand before a URI is told at the URI; what mixes two kinds, at the second.
                let bare = problem.message.contains("before this URI") && !l.starts_with('#');
                let mixed = subject == "the playlist" && l.starts_with('#');
                let other = !subject.starts_with("EXT") && !l.starts_with('#');
                l.contains(subject) || bare || mixed || other || line == 1 || line == lines.len()
            });
            if fits {
                pointed += 1;
            } else {
                wrong.push(format!("{}: {problem}\n  {there:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{pointed} problems point at their place");
}
