//! M: is there a manifest, and does it say what it must.

use super::{
    Case,
    delivery::{of_token, refused},
    seconds,
};
use crate::{
    Check,
    findings::wrong,
    model::{Kind, Loaded, Manifest},
};
use drmwatch_media::{
    Problem,
    dash::Addressing,
    hls::{Multivariant, Playlist},
};
use drmwatch_outcome::Reason;

pub(super) fn judge(case: &mut Case<'_>) {
    case.findings.ok(Check::M02, None);
    let strict = strict(case.snapshot.manifest.problems());
    case.findings.judge(Check::M03, None, strict);
    playlists(case);
    match &case.snapshot.manifest {
        Manifest::Hls(_) => {
            durations(case);
            if let Some(list) = case.snapshot.manifest.multivariant() {
                groups(case, list);
            }
        }
        Manifest::Dash(mpd) => essentials(case, mpd),
        Manifest::Smooth(manifest) => smooth(case, manifest),
        Manifest::Hds(_) => bootstrap(case),
    }
    let first = case.snapshot.unresolved.first();
    let evidence = first.map(|(line, uri)| {
        wrong("a URI leads nowhere")
            .line(*line)
            .expected("http or https")
            .seen(uri)
    });
    case.findings.judge(Check::M09, None, evidence);
    steering(case);
}

fn strict(problems: &[Problem]) -> Option<crate::findings::Evidence> {
    let first = problems.first()?;
    let more = match problems.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n.saturating_sub(1)),
    };
    Some(wrong(format!("{first}{more}")))
}

/// Playlists of their own: up, of the right kind, and readable.
fn playlists(case: &mut Case<'_>) {
    let mut up = None;
    for (n, rendition) in case.renditions() {
        match &rendition.playlist {
            Loaded::Failed(Reason::NotAManifest, message) => {
                case.findings.fail(Check::M02, Some(n), wrong(message.clone()));
            }
            Loaded::Failed(reason, message) if of_token(*reason).is_some() => {
                refused(case, Some(n), *reason, message);
            }
            Loaded::Failed(reason, message) => {
                up.get_or_insert((n, wrong(message.clone()).reason(*reason)));
            }
            Loaded::Found(document) => {
                if let Playlist::Multivariant(_) = document.playlist {
                    let what = format!("the playlist of {} must be a media playlist", rendition.label);
                    case.findings.fail(Check::M03, Some(n), wrong(what));
                } else if let Some(first) = document.problems.first() {
                    let what = format!("the playlist of {}: {first}", rendition.label);
                    case.findings.fail(Check::M03, Some(n), wrong(what));
                }
            }
            Loaded::NotTried | Loaded::Absent(_) => {}
        }
    }
    match up {
        Some((n, evidence)) => case.findings.fail(Check::M01, Some(n), evidence),
        None => case.findings.ok(Check::M01, None),
    }
}

fn durations(case: &mut Case<'_>) {
    let slack = case.threshold(Check::M04, 0.5);
    for (n, rendition) in case.renditions() {
        let Some(media) = rendition.media() else { continue };
        let target = media.target_duration;
        let worst = media
            .segments
            .iter()
            .max_by(|a, b| a.duration.total_cmp(&b.duration));
        let evidence = worst
            .filter(|s| !media.i_frames_only && s.duration > target + slack)
            .map(|segment| {
                wrong(format!(
                    "a segment of {} is longer than the target duration",
                    rendition.label
                ))
                .line(segment.line)
                .expected(format!("at most {}", seconds(target + slack)))
                .seen(format!("{:.3} s", segment.duration))
            });
        case.findings.judge(Check::M04, Some(n), evidence);
    }
}

fn groups(case: &mut Case<'_>, list: &Multivariant) {
    let has = |kind: &str, group: &str| list.renditions.iter().any(|r| r.kind == kind && r.group == group);
    let missing = list.variants.iter().find_map(|variant| {
        let named = [
            ("AUDIO", &variant.audio),
            ("VIDEO", &variant.video),
            ("SUBTITLES", &variant.subtitles),
            ("CLOSED-CAPTIONS", &variant.closed_captions),
        ];
        let (kind, group) = named
            .into_iter()
            .filter_map(|(k, g)| Some((k, g.as_ref()?)))
            .find(|(k, g)| !has(k, g))?;
        Some(
            wrong(format!(
                "a variant names the {kind} group {group:?}, which no EXT-X-MEDIA makes"
            ))
            .line(variant.line),
        )
    });
    case.findings.judge(Check::M05, None, missing);
}

fn essentials(case: &mut Case<'_>, mpd: &drmwatch_media::dash::Mpd) {
    let mut found = Vec::new();
    if let Some(line) = mpd.calendar_durations.first() {
        found.push(wrong("a duration speaks of years or months, which have no length").line(*line));
    }
    if mpd.dynamic && mpd.publish_time.is_none() {
        found.push(wrong("a dynamic MPD must have @publishTime").line(1));
    }
    let representations = mpd
        .periods
        .iter()
        .flat_map(|p| &p.sets)
        .flat_map(|s| &s.representations);
    for template in representations.filter_map(|r| match &r.segments {
        Addressing::Template(template) => Some(template),
        _ => None,
    }) {
        let line = template.line;
        match (&template.timeline, template.duration) {
            (Some(_), Some(_)) => {
                found.push(wrong("SegmentTemplate has both @duration and SegmentTimeline").line(line))
            }
            (None, None) if template.media.contains("$Number") || template.media.contains("$Time") => {
                found.push(wrong("SegmentTemplate has neither @duration nor SegmentTimeline").line(line));
            }
            _ => {}
        }
        if !template.explicit_timescale {
            found.push(wrong("SegmentTemplate must say its @timescale").line(line));
        }
        if template.media.contains("$Time") && template.timeline.is_none() {
            found.push(wrong("SegmentTemplate uses $Time$ without a SegmentTimeline").line(line));
        }
    }
    case.findings.judge(Check::M06, None, found.into_iter().next());
}

fn smooth(case: &mut Case<'_>, manifest: &drmwatch_media::smooth::Manifest) {
    let mut found = Vec::new();
    for stream in &manifest.streams {
        let count = stream.fragments.len() as u64;
        // A live manifest may write 0 for what is not known.
        if let Some(chunks) = stream
            .chunks
            .filter(|c| *c != count && !(manifest.live && *c == 0))
        {
            let what = wrong("StreamIndex counts its fragments wrongly").line(stream.line);
            found.push(what.expected(format!("Chunks={count}")).seen(chunks.to_string()));
        }
        let qualities = stream.qualities.len() as u64;
        if let Some(levels) = stream.quality_levels.filter(|l| *l != qualities) {
            let what = wrong("StreamIndex counts its quality levels wrongly").line(stream.line);
            found.push(
                what.expected(format!("QualityLevels={qualities}"))
                    .seen(levels.to_string()),
            );
        }
        let url = stream.url.to_ascii_lowercase();
        if !url.contains("{bitrate}") || !(url.contains("{start time}") || url.contains("{start_time}")) {
            let what = wrong("Url must have the placeholders {bitrate} and {start time}").line(stream.line);
            found.push(what);
        }
    }
    case.findings.judge(Check::M07, None, found.into_iter().next());
}

fn bootstrap(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions() {
        let evidence = match &rendition.bootstrap {
            Loaded::Failed(_, message) => Some(wrong(message.clone())),
            Loaded::Found(b) if b.segment_runs.is_empty() || b.newest().is_none() => Some(wrong(format!(
                "the bootstrap of {} lists no fragment",
                rendition.label
            ))),
            Loaded::Found(_) => None,
            Loaded::NotTried | Loaded::Absent(_) => continue,
        };
        case.findings.judge(Check::M08, Some(n), evidence);
    }
}

fn steering(case: &mut Case<'_>) {
    let known: Vec<&str> = match case.snapshot.manifest.multivariant() {
        Some(list) => list.variants.iter().map(|v| v.pathway.as_str()).collect(),
        None => case
            .renditions()
            .filter_map(|(_, r)| r.declared.pathway.as_deref())
            .collect(),
    };
    let Some(found) = &case.snapshot.active.steering else {
        return;
    };
    let evidence = match found {
        Err(message) => Some(wrong(message.clone())),
        Ok(manifest) if manifest.ttl.is_none_or(|ttl| ttl == 0) => {
            Some(wrong("the steering manifest has no TTL"))
        }
        Ok(manifest) => manifest
            .pathways
            .iter()
            .find(|p| !known.contains(&p.as_str()))
            .map(|stranger| {
                let seen = stranger.chars().take(40).collect::<String>();
                wrong("the steering manifest names a pathway that the manifest does not have").seen(seen)
            }),
    };
    case.findings.judge(Check::M10, None, evidence);
}

/// Whether a rendition's edge and segments are to be judged by what players wait for.
pub(super) fn is_continuous(kind: Kind) -> bool {
    matches!(kind, Kind::Video | Kind::Audio)
}
