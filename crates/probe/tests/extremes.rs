//! Extreme numbers in other people's manifests and segments: each number of each file, one after the other,
//! becomes 0, -1, or more than any type holds, and the whole engine looks at it: parsers, addressing and judges.
//! Tests check overflow, release builds do not: what would panic here is a wrong verdict there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant};
use drmwatch_media::{dash, hls};
use drmwatch_net::{Door, Failure, Request, Resolver, Response};
use drmwatch_outcome::{Hop, Reason, Verdict};
use drmwatch_plan::{Secrets, compile};
use drmwatch_probe::{Engine, Prepared, ProbeState};
use drmwatch_testkit::stage::{Ask, Mood, Stage, Timing};
use futures::{FutureExt, future::BoxFuture};
use hyper::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::time::Instant;
use url::Url;

/// What stands where a number stood.
const EXTREMES: [&str; 8] = [
    "0",
    "-1",
    "0.0000001",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999999999999999999999999",
];

/// The instants at which it is looked at: the ends of what can be told, and a day in between.
const INSTANTS: [&str; 3] = [
    "-009999-01-03T00:00:00Z",
    "2026-11-23T10:00:00Z",
    "9999-12-30T00:00:00Z",
];

/// One manifest of each kind that the stage makes.
const STAGED: [&str; 14] = [
    "clear/master.m3u8",
    "clear/low.m3u8",
    "parts/low.m3u8",
    "ts/master.m3u8",
    "cenc/manifest.mpd",
    "clear/number.mpd",
    "clear/periods.mpd",
    "clear/bases.mpd",
    "clear/vod.mpd",
    "parts/low.mpd",
    "uneven/manifest.mpd",
    "smooth/Manifest",
    "hds/manifest.f4m",
    "clear/pathways.m3u8",
];

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

fn now() -> Timestamp {
    NOW.get()
}

fn files(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => files(&path, found),
            path => found.push(path),
        }
    }
    found.sort();
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Name and text of every manifest at hand: this repository's, and other people's.
fn manifests() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for format in ["dash", "hls", "smooth", "hds"] {
        files(&here("fuzz/corpus").join(format), &mut found);
    }
    let corpora = here("../shared/corpora");
    if corpora.is_dir() {
        files(&corpora, &mut found);
    } else {
        println!("SKIPPED: the corpora folder is not beside this checkout");
    }
    let start: Timestamp = INSTANTS[1].parse().unwrap();
    let stage = Stage::new(start, Timing::Exact);
    let made = STAGED.map(|path| {
        let ask = Ask {
            path,
            query: "",
            now: start + SignedDuration::from_secs(3),
            mood: Mood::default(),
        };
        let answer = stage
            .answer(ask)
            .unwrap_or_else(|| panic!("{path} is not on the stage"));
        (path.to_owned(), String::from_utf8(answer.body).unwrap())
    });
    let read = found.into_iter().filter_map(|path| {
        let text = std::fs::read_to_string(&path).ok()?;
        let manifest = ["#EXTM3U", "<MPD", "<SmoothStreamingMedia", "<manifest"]
            .iter()
            .any(|sign| text.contains(sign));
        manifest.then(|| (path.display().to_string(), text))
    });
    made.into_iter().chain(read).collect()
}

/// Where a number stands, and what it is the number of: the words before it.
struct Number {
    from: usize,
    to: usize,
    of: String,
}

/// The element and attribute, or the tag and attribute, whose value a number is.
fn kind(before: &str) -> String {
    let name = |text: &str| -> String {
        let from = text.rfind(|c: char| !c.is_ascii_alphabetic() && c != '-');
        text[from.map_or(0, |at| at + 1)..].to_owned()
    };
    // A duration and a date have several numbers in one value.
    let last = before.chars().next_back().filter(|c| c.is_ascii_uppercase());
    if let Some(element) = before.rfind('<').map(|at| &before[at..]) {
        let place = element.split([' ', '\n', '>']).next().unwrap_or_default();
        let value = element.rfind("=\"").filter(|_| !element.contains('>'));
        return format!("{place} {:?} {last:?}", value.map(|at| name(&element[..at])));
    }
    let line = before.rsplit('\n').next().unwrap_or_default();
    let Some((tag, values)) = line.split_once(':').filter(|_| line.starts_with("#EXT")) else {
        return "a URI".to_owned();
    };
    let attributes = values.rmatch_indices('=').map(|(at, _)| name(&values[..at]));
    let attribute = attributes
        .into_iter()
        .find(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    format!("{tag} {attribute:?}")
}

fn numbers(text: &str) -> Vec<Number> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let from = at;
        while at < bytes.len() && (bytes[at].is_ascii_digit() || bytes[at] == b'.') {
            at += 1;
        }
        found.push(Number {
            from,
            to: at,
            of: kind(&text[..from]),
        });
    }
    found
}

/// Every manifest, and every kind of number in them with each extreme. A kind that stands in many places is taken
/// at the first few of them; manifests with other signs of `apart` have kinds of their own.
fn mutants(apart: &[&str]) -> Vec<(String, String)> {
    // How many places of each kind are taken: EXTREMES=20 takes minutes.
    let most = std::env::var("EXTREMES").map_or(1, |most| most.parse().unwrap());
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut mutants = Vec::new();
    for (name, text) in manifests() {
        mutants.push((name.clone(), text.clone()));
        if text.len() > 16 << 10 {
            continue;
        }
        let has: Vec<bool> = apart.iter().map(|sign| text.contains(sign)).collect();
        for number in numbers(&text) {
            let count = seen.entry(format!("{} {has:?}", number.of)).or_default();
            *count += 1;
            if *count > most {
                continue;
            }
            for extreme in EXTREMES {
                let mutant = format!("{}{extreme}{}", &text[..number.from], &text[number.to..]);
                mutants.push((format!("{name}: {:?} = {extreme}", number.of), mutant));
            }
        }
    }
    mutants
}

/// What each path answers with.
type Answers = Arc<Mutex<BTreeMap<&'static str, Vec<u8>>>>;

struct Canned(Answers);

impl Canned {
    fn body(&self, path: &str) -> Option<Vec<u8>> {
        let answers = self.0.lock().unwrap();
        let name = match path {
            "/manifest" => "manifest",
            path if path.ends_with("m3u8") => "playlist",
            path if path.contains("bootstrap") || path.ends_with("abst") => "bootstrap",
            path if path.contains("init") => "init",
            _ => "segment",
        };
        answers.get(name).cloned()
    }
}

impl Door for Canned {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        _: Instant,
        hops: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            let url: Url = request.url.parse().unwrap();
            let body = self.body(url.path());
            let status = if body.is_some() { 200 } else { 404 };
            hops.push(Hop {
                host: "origin".into(),
                status: Some(status),
                ..Hop::default()
            });
            Ok(Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: body.unwrap_or_default().into(),
                url,
            })
        })
    }

    fn addresses<'a>(&'a self, _: &'a Url, _: Instant) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async { Ok(vec!["192.0.2.1".parse().unwrap()]) })
    }
}

struct Probe {
    engine: Engine,
    prepared: Prepared,
    answers: Answers,
}

impl Probe {
    fn new() -> Probe {
        let tenant: MonitoredTenant = serde_saphyr::from_str(
            "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: n}\nspec: {displayName: T}",
        )
        .unwrap();
        let probe: DrmProbe = serde_saphyr::from_str(
            "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {name: p, namespace: n}\nspec:\n  tenantRef: {name: t}\n  schedule: {intervalSeconds: 60}\n  timeoutSeconds: 55\n  steps:\n  - name: s\n    stream: {url: \"https://origin/manifest\", expected: {minRungs: 2, bitratesKbps: [80, 120]}}",
        )
        .unwrap();
        let plan = compile(&tenant, &probe, "test", &EgressPolicy::default()).unwrap();
        let answers: Answers = Arc::default();
        let media = |path: &str| std::fs::read(here("crates/testkit/media").join(path)).unwrap();
        answers.lock().unwrap().extend([
            ("init", media("cenc/low/init.mp4")),
            ("segment", media("cenc/low/2.m4s")),
            ("playlist", b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n1.m4s\n#EXTINF:2,\n2.m4s\n".to_vec()),
        ]);
        Probe {
            engine: Engine::new(Resolver::system().unwrap(), now),
            prepared: Prepared::behind(plan, Secrets::default(), Box::new(Canned(answers.clone()))).unwrap(),
            answers,
        }
    }

    fn answer(&self, name: &'static str, body: impl Into<Vec<u8>>) {
        self.answers.lock().unwrap().insert(name, body.into());
    }

    /// A look: what went wrong on our side, if anything did.
    async fn look(&self, at: &str, state: &mut ProbeState) -> Option<String> {
        NOW.set(at.parse().unwrap());
        let run = AssertUnwindSafe(self.engine.run(&self.prepared, state)).catch_unwind();
        match run.await {
            Err(panic) => Some(
                panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                    .unwrap_or_default(),
            ),
            Ok(outcome) => match outcome.verdict {
                Verdict::Inconclusive(Reason::InternalError) => Some(outcome.message),
                _ => None,
            },
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_number_in_a_manifest_breaks_a_judge() {
    let probe = Probe::new();
    let (mut broken, mut looks) = (Vec::new(), 0);
    let mut state = ProbeState::default();
    for (what, mutant) in mutants(&[]) {
        probe.answer("manifest", mutant);
        // What is remembered is of the one before, which differs in one number or two.
        let at = INSTANTS[looks % INSTANTS.len()];
        looks += 1;
        if let Some(how) = probe.look(at, &mut state).await {
            broken.push(format!("{what} at {at}: {how}"));
        }
    }
    assert!(looks > 300, "only {looks} looks");
    assert!(
        broken.is_empty(),
        "{} of {looks}:\n{}",
        broken.len(),
        broken.join("\n")
    );
    println!("{looks} looks at manifests");
}

#[test]
fn every_number_of_every_manifest_is_survived_by_parsers_and_addressing() {
    let (mut broken, mut read) = (Vec::new(), 0);
    let instants = INSTANTS.map(|at| at.parse::<Timestamp>().unwrap());
    for (what, mutant) in mutants(&["dynamic", "<SegmentTimeline", "<SegmentList", " duration=\""]) {
        read += 1;
        let found = std::panic::catch_unwind(|| segments(mutant.as_bytes(), &instants));
        if found.is_err() {
            broken.push(what);
        }
    }
    assert!(read > 300, "only {read} manifests");
    assert!(
        broken.is_empty(),
        "{} of {read}:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

/// Reads a manifest as every format, and lists its segments.
fn segments(bytes: &[u8], instants: &[Timestamp]) {
    if let Ok(mpd) = dash::parse(bytes) {
        for period in &mpd.periods {
            for of in period.sets.iter().flat_map(|s| &s.representations) {
                let _ = of.init_url();
                for now in instants {
                    if let Some((oldest, newest)) = of.available(&mpd, period, *now) {
                        assert!(oldest <= newest);
                        let _ = (of.segment(period, oldest), of.segment(period, newest));
                    }
                    let _ = mpd.current(*now);
                }
                if let dash::Addressing::Template(dash::Template {
                    timeline: Some(timeline),
                    ..
                }) = &of.segments
                {
                    let _ = timeline.jumps().count();
                }
            }
        }
    }
    if let Ok(manifest) = drmwatch_media::smooth::parse(bytes) {
        for stream in &manifest.streams {
            let _ = stream.jumps().count();
        }
    }
    let _ = drmwatch_media::hds::parse(bytes);
    if let Ok(hls::Document {
        playlist: hls::Playlist::Media(media),
        ..
    }) = hls::parse(bytes)
    {
        let _ = (media.live_edge(), media.newest(), media.window());
        let _ = hls::merge(&media, &media);
    }
}

#[tokio::test(start_paused = true)]
async fn no_number_in_a_box_breaks_a_judge() {
    let media = |path: &str| std::fs::read(here("crates/testkit/media").join(path)).unwrap();
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n1.m4s\n#EXTINF:2,\n2.m4s\n#EXTINF:2,\n3.m4s\n";
    let f4m = "<manifest xmlns=\"http://ns.adobe.com/f4m/1.0\"><streamType>live</streamType><bootstrapInfo id=\"b\" url=\"bootstrap\"/><media url=\"m\" bitrate=\"100\" bootstrapInfoId=\"b\"/></manifest>";
    let mut broken = Vec::new();
    let mut looks = 0;
    for (manifest, name, bytes) in [
        (playlist, "init", media("cenc/low/init.mp4")),
        (playlist, "segment", media("cenc/low/2.m4s")),
        (f4m, "bootstrap", bootstrap()),
    ] {
        let probe = Probe::new();
        probe.answer("manifest", manifest);
        let mut known = ProbeState::default();
        assert_eq!(probe.look(INSTANTS[1], &mut known).await, None);
        // What describes the samples, not the samples.
        let end = bytes
            .windows(4)
            .position(|w| w == b"mdat")
            .unwrap_or(bytes.len())
            .min(1200);
        for at in (0..end.saturating_sub(4)).step_by(4) {
            for extreme in [0, 0x7fff_ffff, u32::MAX] {
                let mut mutant = bytes.clone();
                mutant[at..at + 4].copy_from_slice(&u32::to_be_bytes(extreme));
                probe.answer(name, mutant);
                looks += 1;
                if let Some(how) = probe.look(INSTANTS[1], &mut known.clone()).await {
                    broken.push(format!("{name} at byte {at} = {extreme}: {how}"));
                }
            }
        }
    }
    assert!(looks > 500, "only {looks} looks");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    println!("{looks} looks at boxes");
}

/// A bootstrap with two segment runs and two fragment runs.
fn bootstrap() -> Vec<u8> {
    let full = |kind: &[u8; 4], body: &[u8]| {
        let size = u32::try_from(body.len() + 12).unwrap();
        [&size.to_be_bytes(), kind.as_slice(), &[0; 4], body].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let asrt = full(b"asrt", &[vec![0], words(&[2, 1, 3, 3, 3])].concat());
    let afrt = full(
        b"afrt",
        &[
            words(&[1000]),
            vec![0],
            words(&[2, 1, 0, 0, 2000, 4, 0, 6000, 2000]),
        ]
        .concat(),
    );
    let head = [
        words(&[1]),
        vec![0x20],
        words(&[1000, 0, 12_000, 0, 0]),
        vec![0; 5],
    ]
    .concat();
    full(b"abst", &[head, vec![1], asrt, vec![1], afrt].concat())
}
