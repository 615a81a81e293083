//! S: are segments there, and are they what the manifest says.

use super::{
    Case,
    delivery::{of_token, refused},
    live_edge::ends,
    seconds,
};
use crate::{
    Check, Severity,
    experience::quality_percent,
    findings::{Evidence, wrong},
    model::{Kind, Loaded, Manifest, Rendition, Segment},
};
use drmwatch_media::dash::Addressing;

pub(super) fn judge(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions() {
        readable(case, n, rendition);
        download(case, n, rendition);
        init(case, n, rendition);
        gaps(case, n, rendition);
        let Some(segment) = rendition.newest.found() else {
            for check in [Check::S03, Check::S04, Check::S06, Check::S07, Check::S11] {
                case.findings.skip(check, Some(n), rendition.newest.why());
            }
            continue;
        };
        if segment.opaque {
            for check in [Check::S03, Check::S04, Check::S06, Check::S07, Check::S11] {
                case.findings
                    .skip(check, Some(n), "the segment is ciphertext as a whole");
            }
            continue;
        }
        transport(case, n, rendition, segment);
        timeline(case, n, rendition, segment);
        random_access(case, n, rendition, segment);
        true_duration(case, n, rendition, segment);
        metadata(case, n, rendition, segment);
    }
    skew(case);
}

fn readable(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    for found in [rendition.init.failure(), rendition.newest.failure()] {
        if let Some((reason, message)) = found.filter(|f| of_token(f.0).is_some()) {
            refused(case, Some(n), reason, message);
            return case.findings.skip(Check::S01, Some(n), "the token is refused");
        }
    }
    // Without its init segment no segment can be played.
    if let Loaded::Failed(reason, message) = &rendition.init {
        return case
            .findings
            .fail(Check::S01, Some(n), wrong(message.clone()).reason(*reason));
    }
    for segment in [&rendition.newest, &rendition.second] {
        if let Loaded::Failed(reason, message) = segment {
            return case
                .findings
                .fail(Check::S01, Some(n), wrong(message.clone()).reason(*reason));
        }
    }
    match &rendition.newest {
        Loaded::Found(_) => case.findings.ok(Check::S01, Some(n)),
        other => case.findings.skip(Check::S01, Some(n), other.why()),
    }
}

fn download(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let Some((whole, duration)) = &rendition.whole else {
        return case.findings.skip(
            Check::S02,
            Some(n),
            "its turn to be downloaded whole was not in this run",
        );
    };
    let Some(quality) = quality_percent(whole.wire_bytes, *duration, whole.seconds) else {
        return case
            .findings
            .skip(Check::S02, Some(n), "below 1 kB a download tells nothing");
    };
    let least = case.threshold(Check::S02, 100.0);
    let evidence = (quality < least).then(|| {
        wrong(format!("a segment of {} downloads too slowly", rendition.label))
            .expected(format!(
                "{} of media in at most {}",
                seconds(*duration),
                seconds(duration * 100.0 / least)
            ))
            .seen(seconds(whole.seconds))
    });
    case.findings.judge(Check::S02, Some(n), evidence);
}

fn transport(case: &mut Case<'_>, n: usize, rendition: &Rendition, segment: &Segment) {
    let Some(ts) = &segment.ts else { return };
    let of = &rendition.label;
    let evidence = if let Some(packet) = ts.lost_sync {
        Some(wrong(format!(
            "packet {packet} of a segment of {of} does not begin with 0x47"
        )))
    } else if ts.pat.is_none_or(|at| at > 2) {
        Some(wrong(format!("a segment of {of} does not begin with a PAT")).seen(format!("{:?}", ts.pat)))
    } else if ts.pmt.is_none_or(|at| at > 8) {
        Some(wrong(format!("a segment of {of} has no PMT behind its PAT")))
    } else {
        let broken = ts.continuity_errors.first();
        broken.map(|(pid, packet)| {
            wrong(format!(
                "the continuity counter of PID {pid} jumps at packet {packet} of a segment of {of}"
            ))
        })
    };
    case.findings.judge(Check::S03, Some(n), evidence);
}

/// Decode time and end of the samples, in seconds, of the track in the init segment.
fn span(rendition: &Rendition, segment: &Segment) -> Option<(f64, f64)> {
    let head = segment.head.as_ref()?.as_ref().ok()?;
    let track = rendition.init.found()?.init.tracks.first()?;
    let scale = f64::from(track.timescale.max(1));
    let of_track = || {
        head.fragments.iter().filter(|f| {
            f.track == track.id || rendition.init.found().is_some_and(|i| i.init.tracks.len() == 1)
        })
    };
    let first = of_track().next()?.decode_time? as f64 / scale;
    let ticks: u64 = of_track().map(|f| f.duration).sum();
    Some((first, first + ticks as f64 / scale))
}

/// Whether the fragments at hand are surely all of the segment: there is one `moof`, or all bytes are here.
fn complete(segment: &Segment) -> bool {
    if segment.growing {
        return false;
    }
    let fragments = segment
        .head
        .as_ref()
        .and_then(|h| h.as_ref().ok())
        .map_or(0, |h| h.fragments.len());
    // One fragment whose `mdat` fills what is left of the segment.
    let reach = || {
        let head = segment.head.as_ref()?.as_ref().ok()?;
        let last = head.fragments.last()?.samples.last()?;
        Some(last.offset.saturating_add(u64::from(last.size)))
    };
    segment.whole
        || (fragments >= 1 && segment.size.is_some() && reach().is_some_and(|end| Some(end) >= segment.size))
}

fn timeline(case: &mut Case<'_>, n: usize, rendition: &Rendition, segment: &Segment) {
    let Some((begin, _)) = span(rendition, segment) else {
        return case
            .findings
            .skip(Check::S04, Some(n), "no decode time can be read");
    };
    let slack = case.threshold(Check::S04, (segment.duration / 10.0).max(0.05));
    let of = &rendition.label;
    let scale = rendition.declared.timescale.filter(|s| *s > 0);
    let said = segment
        .time
        .zip(scale)
        .filter(|_| case.snapshot.manifest.mpd().is_some());
    if let Some((time, scale)) = said {
        // Segments by @duration alone may lie up to half of one beside the grid (clause 7.2.1).
        let clocked = rendition.edge.as_ref().is_some_and(|e| e.clocked);
        let slack = if clocked {
            slack.max(segment.duration / 2.0)
        } else {
            slack
        };
        let wanted = time as f64 / scale as f64;
        if (begin - wanted).abs() > slack {
            let what = wrong(format!(
                "the newest segment of {of} does not begin where the MPD says"
            ));
            let evidence = what
                .expected(format!("{wanted:.3} s"))
                .seen(format!("{begin:.3} s"));
            return case.findings.fail(Check::S04, Some(n), evidence);
        }
    }
    let Some(before) = rendition.second.found().filter(|_| !segment.discontinuity) else {
        return match said {
            Some(_) => case.findings.ok(Check::S04, Some(n)),
            None => case.findings.skip(
                Check::S04,
                Some(n),
                "there is no segment before it to compare with",
            ),
        };
    };
    match span(rendition, before).filter(|_| complete(before)) {
        Some((_, end)) => {
            let gap = begin - end;
            let evidence = (gap.abs() > slack).then(|| {
                wrong(format!(
                    "the newest segment of {of} does not begin where the one before it ends"
                ))
                .expected(format!("{end:.3} s"))
                .seen(format!("{begin:.3} s"))
            });
            case.findings.judge(Check::S04, Some(n), evidence);
        }
        None if said.is_some() => case.findings.ok(Check::S04, Some(n)),
        None => case.findings.skip(
            Check::S04,
            Some(n),
            "the segment before it was not read to its end",
        ),
    }
}

fn init(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let Some(found) = rendition.init.found() else {
        for check in [Check::S05, Check::S09] {
            case.findings.skip(check, Some(n), rendition.init.why());
        }
        return;
    };
    let wanted: &[u8; 4] = match rendition.kind {
        Kind::Audio => b"soun",
        Kind::Video => b"vide",
        _ => b"none",
    };
    let of = &rendition.label;
    let mut evidence = None;
    if let Some(track) = found.init.tracks.iter().find(|t| &t.handler == wanted) {
        let declared = &rendition.declared;
        evidence = track
            .codec_string
            .as_deref()
            .filter(|_| !declared.codecs.is_empty())
            .and_then(|real| {
                let fits = declared.codecs.iter().any(|said| codec_fits(said, real));
                (!fits).then(|| {
                    let what = wrong(format!("the codec of {of} is not the declared one"));
                    what.expected(declared.codecs.join(",")).seen(real)
                })
            });
        if let (None, Some((_, height)), Some((_, said))) = (&evidence, track.size, declared.size) {
            // Coded sizes are multiples of the block size, and declared ones are what is shown.
            evidence = (u64::from(height).abs_diff(said) > 16).then(|| {
                let what = wrong(format!("the height of {of} is not the declared one"));
                what.expected(said.to_string()).seen(height.to_string())
            });
        }
    } else if matches!(rendition.kind, Kind::Audio) && !found.init.tracks.is_empty() {
        evidence = Some(wrong(format!("the init segment of {of} has no audio track")));
    }
    case.findings.judge(Check::S05, Some(n), evidence);

    match case.remembered(rendition).and_then(|b| b.init) {
        None => case
            .findings
            .skip(Check::S09, Some(n), "nothing is remembered yet"),
        Some((url, bytes)) => {
            let changed = url == found.identity.0 && bytes != found.identity.1;
            let evidence =
                changed.then(|| wrong(format!("the init segment of {of} changed at the same URL")));
            let swapped = evidence.or_else(|| {
                let media = rendition.media()?;
                let pair = media.segments.windows(2).find(|p| {
                    !p[1].discontinuity
                        && p[0].map.is_some()
                        && p[0].map.as_ref().map(|m| (&m.uri, m.byte_range))
                            != p[1].map.as_ref().map(|m| (&m.uri, m.byte_range))
                })?;
                Some(
                    wrong(format!("{of} takes another init segment without a discontinuity"))
                        .line(pair[1].line),
                )
            });
            case.findings.judge(Check::S09, Some(n), swapped);
        }
    }
}

/// Whether a declared codec string admits the real one: the same family, the same profile, a level that is
/// at least the real one. AAC profiles signal one another implicitly (ISO/IEC 14496-3 section 1.6.5).
fn codec_fits(said: &str, real: &str) -> bool {
    let (said_family, said_rest) = said.split_once('.').unwrap_or((said, ""));
    let (family, rest) = real.split_once('.').unwrap_or((real, ""));
    let family_of = |f: &str| {
        match f {
            "avc1" | "avc3" => "avc",
            "hvc1" | "hev1" | "dvh1" | "dvhe" => "hevc",
            "ac-3" | "ec-3" => "ac3",
            other => other,
        }
        .to_ascii_lowercase()
    };
    if family_of(said_family) != family_of(family) {
        return false;
    }
    match family {
        "avc1" | "avc3" => {
            let byte = |text: &str, at: usize| {
                text.get(at..)?
                    .get(..2)
                    .and_then(|t| u8::from_str_radix(t, 16).ok())
            };
            let (profile, level) = (byte(said_rest, 0), byte(said_rest, 4));
            let (real_profile, real_level) = (byte(rest, 0), byte(rest, 4));
            // Old playlists write avc1.66.30; those are not compared.
            said_rest.len() != 6 || (profile == real_profile && level >= real_level)
        }
        "mp4a" => said_rest.split('.').next() == rest.split('.').next() || said_rest.is_empty(),
        _ => true,
    }
}

fn random_access(case: &mut Case<'_>, n: usize, rendition: &Rendition, segment: &Segment) {
    if rendition.kind != Kind::Video {
        return;
    }
    let fragment = segment
        .head
        .as_ref()
        .and_then(|h| h.as_ref().ok())
        .and_then(|h| h.fragments.first());
    let starts = match (&segment.ts, fragment) {
        (Some(ts), _) => ts.starts_with_random_access,
        (None, Some(fragment)) => fragment.starts_with_sync(),
        (None, None) => None,
    };
    match starts {
        None => case
            .findings
            .skip(Check::S06, Some(n), "nothing in the segment tells"),
        Some(true) => case.findings.ok(Check::S06, Some(n)),
        Some(false) => {
            let what = format!(
                "the newest segment of {} does not begin with a random access point",
                rendition.label
            );
            case.findings.fail(Check::S06, Some(n), wrong(what));
        }
    }
}

fn true_duration(case: &mut Case<'_>, n: usize, rendition: &Rendition, segment: &Segment) {
    let clocked = rendition.edge.as_ref().is_some_and(|e| e.clocked);
    let of_segment = [segment].into_iter().chain(rendition.second.found());
    let whole = of_segment
        .filter(|s| complete(s))
        .find_map(|s| Some((s, span(rendition, s)?)));
    let Some((segment, (begin, end))) = whole.filter(|w| w.0.duration > 0.0) else {
        return case
            .findings
            .skip(Check::S07, Some(n), "the segment was not read to its end");
    };
    let allowed = case.threshold(Check::S07, if clocked { 50.0 } else { 10.0 }) / 100.0;
    let real = end - begin;
    // Rounded times of audio frames are off by up to a frame.
    let evidence = ((real - segment.duration).abs() > (allowed * segment.duration).max(0.1)).then(|| {
        wrong(format!(
            "a segment of {} does not last as long as the manifest says",
            rendition.label
        ))
        .expected(format!("{:.3} s", segment.duration))
        .seen(format!("{real:.3} s"))
    });
    case.findings.judge(Check::S07, Some(n), evidence);
}

fn metadata(case: &mut Case<'_>, n: usize, rendition: &Rendition, segment: &Segment) {
    let Some(Ok(head)) = &segment.head else { return };
    if head.producer_times.is_empty() && head.indexes.is_empty() {
        return case
            .findings
            .skip(Check::S11, Some(n), "there is neither prft nor sidx");
    }
    let of = &rendition.label;
    let now = case.now().as_millisecond() as f64 / 1000.0;
    let mut evidence: Option<Evidence> = None;
    if let Some(time) = head.producer_times.first().filter(|_| case.snapshot.live) {
        let ago = now - time.unix_seconds();
        // A day: the clock of an encoder may be wrong by a zone, and that is worth a warning as well.
        let what = wrong(format!("the producer time of {of} is far from the clock"));
        evidence = (ago.abs() > 1800.0).then(|| {
            what.expected("within half an hour")
                .seen(format!("{ago:.0} s ago"))
        });
    }
    if evidence.is_none()
        && let Some(index) = head.indexes.first()
    {
        let length: u64 = index.references.iter().map(|r| u64::from(r.size)).sum();
        let total = segment.size.filter(|_| !segment.byte_range && !segment.growing);
        let end = index.first_byte.saturating_add(length);
        evidence = total
            .filter(|t| end > *t && !index.references.is_empty())
            .map(|t| {
                let what = wrong(format!("the index of a segment of {of} points behind its end"));
                what.expected(format!("{t} bytes")).seen(format!("{end}"))
            });
    }
    case.findings.judge(Check::S11, Some(n), evidence);
}

fn gaps(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let of = &rendition.label;
    if let Some(media) = rendition.media() {
        let gap = media.segments.iter().find(|s| s.gap);
        let evidence =
            gap.map(|s| wrong(format!("segment {} of {of} is marked as missing", s.sequence)).line(s.line));
        return case.findings.judge(Check::S10, Some(n), evidence);
    }
    let segment = rendition.edge.as_ref().map_or(0.0, |e| e.duration);
    let least = case.threshold(Check::S10, (segment / 100.0).max(0.05));
    let large = |jumps: &mut dyn Iterator<Item = (usize, i64)>, scale: u64| {
        let mut seconds = jumps.map(|(line, ticks)| (line, ticks as f64 / scale.max(1) as f64));
        seconds.find(|j| j.1.abs() > least)
    };
    let jump = match &case.snapshot.manifest {
        Manifest::Dash(mpd) => {
            let current = mpd.current(case.now());
            let all = current
                .into_iter()
                .flat_map(|p| &p.sets)
                .flat_map(|s| &s.representations);
            all.filter(|r| rendition.key.ends_with(&format!("/{}", r.id)))
                .find_map(|r| match &r.segments {
                    Addressing::Template(t) => large(&mut t.timeline.as_ref()?.jumps(), t.timescale),
                    _ => None,
                })
        }
        Manifest::Smooth(manifest) => {
            let stream = manifest.streams.iter().find(|s| {
                rendition
                    .key
                    .starts_with(&format!("{}/", s.name.as_deref().unwrap_or(&s.kind)))
            });
            stream.and_then(|s| large(&mut s.jumps(), s.timescale))
        }
        _ => return,
    };
    let evidence = jump.map(|(line, jump)| {
        wrong(format!("the timeline of {of} jumps"))
            .line(line)
            .seen(format!("{jump:+.3} s"))
    });
    case.findings.judge(Check::S10, Some(n), evidence);
}

fn skew(case: &mut Case<'_>) {
    if !case.snapshot.live {
        return;
    }
    let Some(ends) = ends(case) else {
        return case
            .findings
            .skip(Check::S08, None, "the ends of audio and video are not both known");
    };
    let ((n, _), apart, longest) = (ends.audio, ends.apart, ends.longest);
    let limit = case.threshold(Check::S08, 1.5 * longest);
    let evidence = (apart.abs() > limit).then(|| {
        wrong("audio and video end apart")
            .expected(format!("at most {}", seconds(limit)))
            .seen(format!("{apart:+.1} s"))
    });
    // Far apart they do not play at all: R03 says that, with its own name.
    let far = apart.abs() > ends.unplayable;
    match evidence {
        Some(evidence) if !far => {
            case.findings
                .fail(Check::S08, Some(n), evidence.severity(Severity::Ticket))
        }
        Some(_) => case.findings.skip(Check::S08, Some(n), "R03 tells"),
        None => case.findings.ok(Check::S08, Some(n)),
    }
}
