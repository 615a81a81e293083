//! The judges: one file for each group of the catalogue.

mod ads;
mod delivery;
mod drm;
mod ladder;
mod live_edge;
mod low_latency;
mod manifest;
mod remember;
mod renditions;
mod segment;

pub use drm::all_kids;

use crate::{
    Check, Findings, Settings,
    model::{Edge, Manifest, Rendition, Snapshot},
    state::{RenditionState, StreamState},
};
use jiff::Timestamp;

/// What one look at a stream means.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// What each check says; every check of the catalogue is there.
    pub findings: Findings,
    /// Seconds after which to look again before this is believed: the dates look old but nothing is
    /// remembered, or the edge went backwards, as it does between servers of a CDN.
    pub again: Option<f64>,
    /// The second look is to be a whole one: this one was at a server that is behind.
    pub anew: bool,
    /// What to remember.
    pub state: StreamState,
}

/// All that a judge may look at.
pub(crate) struct Case<'a> {
    pub snapshot: &'a Snapshot,
    pub before: &'a StreamState,
    pub settings: &'a Settings,
    pub findings: Findings,
    /// Renditions whose edge stands still or went backwards: what follows from that is not told twice.
    pub stuck: Vec<usize>,
    /// The edge is not to be believed yet.
    pub again: Option<f64>,
    /// The second look is to be a whole one.
    pub anew: bool,
    /// This is the second look.
    pub second: bool,
}

impl<'a> Case<'a> {
    fn now(&self) -> Timestamp {
        self.snapshot.at
    }

    /// When a rendition's playlist was received: some time after the manifest.
    fn at(&self, rendition: &Rendition) -> Timestamp {
        rendition
            .exchange
            .as_ref()
            .and_then(|e| e.at)
            .unwrap_or(self.snapshot.at)
    }

    fn renditions(&self) -> impl Iterator<Item = (usize, &'a Rendition)> + use<'a> {
        self.snapshot.renditions.iter().enumerate()
    }

    fn remembered(&self, rendition: &Rendition) -> Option<&'a RenditionState> {
        self.before.renditions.get(&rendition.key)
    }

    fn threshold(&self, check: Check, default: f64) -> f64 {
        self.settings.threshold(check, default)
    }

    /// Renditions of video and audio with an edge.
    fn edges(&self) -> impl Iterator<Item = (usize, &'a Rendition, &'a Edge)> + use<'a> {
        self.renditions()
            .filter_map(|(n, r)| Some((n, r, r.edge.as_ref()?)))
    }

    /// Why nothing is to be concluded from durations and counts of a rendition: what can't be read in its
    /// playlist or manifest is told by M03, and is not told a second time under another name.
    fn unreadable(&self, rendition: &Rendition) -> Option<&'static str> {
        let own = rendition.playlist.found().is_some_and(|d| !d.problems.is_empty());
        let whole = !self.is_hls() && !self.snapshot.manifest.problems().is_empty();
        (own || whole).then_some("the manifest can't be read as a whole: M03 tells")
    }

    fn is_hls(&self) -> bool {
        matches!(self.snapshot.manifest, Manifest::Hls(_))
    }
}

/// Judges one look at a stream. `second` says that this is the look that [`Judgement::again`] asked for.
pub fn judge(snapshot: &Snapshot, before: &StreamState, settings: &Settings, second: bool) -> Judgement {
    let mut case = Case {
        snapshot,
        before,
        settings,
        findings: Findings::default(),
        stuck: Vec::new(),
        again: None,
        anew: false,
        second,
    };
    manifest::judge(&mut case);
    live_edge::judge(&mut case);
    low_latency::judge(&mut case);
    segment::judge(&mut case);
    drm::judge(&mut case);
    delivery::judge(&mut case);
    ladder::judge(&mut case);
    renditions::judge(&mut case);
    ads::judge(&mut case);
    let state = remember::remember(&case);
    let Case {
        mut findings,
        again,
        anew,
        ..
    } = case;
    findings.0.retain(|f| settings.wants(f.check));
    for check in Check::ALL {
        if !settings.wants(*check) {
            findings.skip(*check, None, "switched off");
        } else if !findings.0.iter().any(|f| f.check == *check) {
            findings.skip(*check, None, "does not apply to this stream, or not in this run");
        }
    }
    Judgement {
        findings,
        again,
        anew,
        state,
    }
}

/// Seconds as people read them.
fn seconds(value: f64) -> String {
    if value.abs() >= 10.0 {
        format!("{value:.0} s")
    } else {
        format!("{value:.1} s")
    }
}
