//! Parsers that are not ours on the same files: video.js' m3u8-parser and mpd-parser, and GPAC's mp4box, by
//! `e2e/opinions` (`make opinions` installs them and sets `OPINIONS`). What can be compared must agree; each
//! difference that is known stands in `DIFFERENCES` with whose it is.
//!
//! Files: the fuzzer's seeds, our test media, and the corpora beside the checkout where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use drmwatch_media::{
    bmff,
    dash::{self, Addressing},
    hls::{self, Playlist},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// End of a path, field, and why the two differ.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "schema-mpds/example_G25.mpd",
        "bandwidths",
        "two representations have one id, and theirs takes them for one",
    ),
    (
        "schema-mpds/example_G3.mpd",
        "bandwidths",
        "theirs takes no MPEG-2 TS, which is what this has",
    ),
    (
        "sample-playlists/master-not-ending-in-newline.m3u8",
        "variants",
        "URIs without EXT-X-STREAM-INF are variants to theirs, and a problem to ours",
    ),
    (
        "sample-playlists/masterplaylist.m3u8",
        "variants",
        "URIs without EXT-X-STREAM-INF are variants to theirs, and a problem to ours",
    ),
    (
        "integration/zeroDuration.m3u8",
        "seconds",
        "theirs puts 0.01 s in the place of a duration of nothing",
    ),
];

fn files(root: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(root) else {
        return;
    };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|e| ["m3u8", "mpd", "mp4", "cmfv"].iter().any(|x| e == *x))
        {
            found.push(path);
        }
    }
}

fn m3u8(bytes: &[u8]) -> Option<Value> {
    let document = hls::parse(bytes).ok()?;
    let problems = document.problems.len();
    Some(match document.playlist {
        Playlist::Multivariant(list) => json!({ "kind": "multivariant", "variants": list.variants.len() }),
        Playlist::Media(media) => json!({
            "kind": "media",
            "problems": problems,
            "segments": media.segments.len(),
            "seconds": media.segments.iter().map(|s| s.duration).sum::<f64>(),
            "target": media.target_duration,
            "sequence": media.media_sequence,
            "discontinuities": media.discontinuity_sequence,
            "first": media.segments.first().map(|s| s.uri.clone()),
            "last": media.segments.last().map(|s| s.uri.clone()),
            "ended": media.end_list,
            "parts": media.segments.iter().map(|s| s.parts.len()).sum::<usize>(),
        }),
    })
}

fn mpd(bytes: &[u8]) -> Option<Value> {
    let mpd = dash::parse(bytes).ok()?;
    let period = mpd.periods.first()?;
    let of = |kind: &str| {
        let sets = period.sets.iter().filter(|s| s.content_type == kind);
        sets.flat_map(|s| &s.representations).collect::<Vec<_>>()
    };
    let mut bandwidths: Vec<u64> = of("video").iter().map(|r| r.bandwidth).collect();
    bandwidths.sort_unstable();
    bandwidths.dedup();
    let templated = of("video")
        .iter()
        .all(|r| matches!(&r.segments, Addressing::Template(t) if t.timeline.is_some()));
    let now = jiff::Timestamp::UNIX_EPOCH;
    let segments: Vec<u64> = of("video")
        .iter()
        .filter_map(|r| r.available(&mpd, period, now))
        .map(|(first, last)| last - first + 1)
        .collect();
    Some(json!({
        "dynamic": mpd.dynamic,
        "video": of("video").len(),
        "bandwidths": bandwidths,
        "segments": (templated && !mpd.dynamic).then_some(segments),
        "periods": mpd.periods.len(),
    }))
}

fn mp4(bytes: &[u8]) -> Option<Value> {
    let init = bmff::Init::parse(bytes).ok()?;
    let track = |t: &bmff::Track| json!({ "id": t.id, "codec": t.codec_string, "timescale": t.timescale });
    Some(json!({ "tracks": init.tracks.iter().map(track).collect::<Vec<_>>() }))
}

/// Where two digests differ.
fn differences(path: &Path, ours: &Value, theirs: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut compare = |field: &str, a: &Value, b: &Value| {
        let near = a
            .as_f64()
            .zip(b.as_f64())
            .is_some_and(|(a, b)| (a - b).abs() < 0.01);
        if a != b && !near {
            found.push((
                field.to_owned(),
                format!("{}: {field}: ours {a}, theirs {b}", path.display()),
            ));
        }
    };
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension {
        "m3u8" => {
            compare("kind", &ours["kind"], &theirs["kind"]);
            if ours["kind"] == theirs["kind"] {
                for field in ["variants", "segments", "first", "last", "ended", "parts"] {
                    compare(field, &ours[field], &theirs[field]);
                }
                // What can't be read ours tells as a problem, and takes as nothing; theirs puts in a guess.
                if ours["problems"] == json!(0) {
                    for field in ["seconds", "sequence", "discontinuities"] {
                        compare(field, &ours[field], &theirs[field]);
                    }
                }
                // Theirs leaves out what is not there, ours is 0 then.
                if !theirs["target"].is_null() {
                    compare("target", &ours["target"], &theirs["target"]);
                }
            }
        }
        // Theirs merges periods into one list of renditions.
        "mpd" if ours["periods"] == json!(1) => {
            // Theirs tells a dynamic MPD by its update period alone.
            if theirs["updates"] == json!(true) {
                compare("dynamic", &ours["dynamic"], &json!(true));
            }
            compare("bandwidths", &ours["bandwidths"], &theirs["bandwidths"]);
            if !ours["segments"].is_null() {
                compare("segments", &ours["segments"], &theirs["segments"]);
            }
        }
        "mpd" => {}
        _ => {
            let (a, b) = (
                ours["tracks"].as_array().unwrap(),
                theirs["tracks"].as_array().unwrap(),
            );
            compare("count", &json!(a.len()), &json!(b.len()));
            for (a, b) in a.iter().zip(b) {
                compare("id", &a["id"], &b["id"]);
                compare("timescale", &a["timescale"], &b["timescale"]);
                // Theirs does not look into an encrypted entry; hexadecimal digits have no case.
                let codec = |v: &Value| v["codec"].as_str().map(str::to_ascii_lowercase);
                let theirs = codec(b).filter(|c| c != "encv" && c != "enca");
                if let (Some(a), Some(b)) = (codec(a), theirs) {
                    compare("codec", &json!(a), &json!(b));
                }
            }
        }
    }
    found
}

#[test]
fn other_peoples_parsers_agree() {
    let Some(folder) = std::env::var_os("OPINIONS").map(PathBuf::from) else {
        println!("skipped: needs Node.js and npm packages; `make opinions` sees to them");
        return;
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for root in ["../testkit/media", "../../../shared/corpora"] {
        if !here.join(root).is_dir() {
            println!("SKIPPED: {root} is not beside this checkout");
        }
        files(&here.join(root), &mut all);
    }
    // Seeds have no extension.
    let work = tempfile::tempdir().unwrap();
    for (kind, extension) in [("hls", "m3u8"), ("dash", "mpd")] {
        for name in ["master", "cbcs", "parts", "aes", "manifest", "vod", "low"] {
            let seed = here.join("../../fuzz/corpus").join(kind).join(name);
            if seed.is_file() {
                let copy = work.path().join(format!("{name}.{extension}"));
                std::fs::copy(&seed, &copy).unwrap();
                all.push(copy);
            }
        }
    }
    all.sort();
    let (mut agreed, mut wrong, mut seen, mut refused) = (0, Vec::new(), BTreeSet::new(), 0);
    // Their crash must not be ours, so each file has a process of its own.
    let asked: Vec<(PathBuf, Value)> = all
        .chunks(16)
        .flat_map(|chunk| {
            let asking: Vec<_> = chunk
                .iter()
                .map(|path| {
                    let (path, folder) = (path.clone(), folder.clone());
                    thread::spawn(move || {
                        let output = Command::new("timeout")
                            .args(["20", "node", "--max-old-space-size=512", "digest.mjs"])
                            .arg(&path)
                            .current_dir(folder)
                            .stderr(Stdio::null())
                            .output()
                            .unwrap();
                        let crash = json!({ "error": "it crashed" });
                        let found = serde_json::from_slice(&output.stdout).unwrap_or(crash);
                        (path, found)
                    })
                })
                .collect();
            asking.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    for (path, theirs) in asked {
        let bytes = std::fs::read(&path).unwrap();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let ours = match extension {
            "m3u8" => m3u8(&bytes),
            "mpd" => mpd(&bytes),
            _ => mp4(&bytes),
        };
        // What one of them refuses can't be compared; that ours refuses nothing good is shown elsewhere.
        let Some(ours) = ours.filter(|_| theirs["error"].is_null()) else {
            refused += 1;
            println!("not compared: {} ({})", path.display(), theirs["error"]);
            continue;
        };
        let found = differences(&path, &ours, &theirs);
        if found.is_empty() {
            agreed += 1;
        }
        for (field, text) in found {
            let known = DIFFERENCES
                .iter()
                .position(|d| path.ends_with(d.0) && d.1 == field);
            match known {
                Some(n) => drop(seen.insert(n)),
                None => wrong.push(text),
            }
        }
    }
    println!(
        "{agreed} files agree, {refused} can't be compared, {} differences are known",
        seen.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stale = (0..DIFFERENCES.len())
        .filter(|n| !seen.contains(n))
        .map(|n| DIFFERENCES[n].0);
    let stale: Vec<&str> = stale.filter(|_| agreed > 100).collect();
    assert!(stale.is_empty(), "no longer different: {stale:?}");
    assert!(agreed > 10);
}

/// threefive3's reading of cues (`vectors/scte35.py`) and ours.
#[test]
fn threefive_agrees_on_cues() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use drmwatch_media::scte35::{Command as Splicing, Splice};
    let vectors: Value = serde_json::from_str(include_str!("vectors/scte35.json")).unwrap();
    let seconds = |ticks: Option<u64>| json!(ticks.map(|t| t as f64 / 90_000.0));
    let near = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-5,
        _ => a == b,
    };
    for cue in vectors.as_array().unwrap() {
        let bytes = STANDARD.decode(cue["cue"].as_str().unwrap()).unwrap();
        // Theirs reads on where the checksum is wrong; ours does not.
        if cue["whole"] == json!(false) {
            assert!(Splice::parse(&bytes).is_err(), "{cue}");
            continue;
        }
        let splice = Splice::parse(&bytes).unwrap();
        let (kind, pts, duration, out) = match splice.command {
            Splicing::Null => (0, None, None, Value::Null),
            Splicing::Insert {
                pts, duration, out, ..
            } => (5, pts, duration, json!(out)),
            Splicing::TimeSignal(pts) => (6, pts, None, Value::Null),
            Splicing::Other(kind) => (kind, None, None, Value::Null),
        };
        assert_eq!(json!(kind), cue["command"], "{cue}");
        assert!(near(&seconds(pts), &cue["pts"]), "{pts:?} {cue}");
        assert!(near(&seconds(duration), &cue["duration"]), "{duration:?} {cue}");
        assert_eq!(out, cue["out"], "{cue}");
        let types: Vec<u8> = splice.segmentations.iter().map(|s| s.kind).collect();
        assert_eq!(json!(types), cue["types"], "{cue}");
        // A byte that changed is told.
        let mut broken = bytes.clone();
        broken[10] ^= 1;
        assert!(Splice::parse(&broken).is_err());
    }
}
