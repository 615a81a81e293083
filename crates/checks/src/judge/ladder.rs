//! A: the rungs of the ladder.

use super::{Case, seconds};
use crate::{
    Check,
    findings::wrong,
    model::{Kind, Rendition},
};

pub(super) fn judge(case: &mut Case<'_>) {
    rungs(case);
    bitrates(case);
    attributes(case);
    alignment(case);
    spacing(case);
}

/// Declared bit rates of the rungs, from low to high, those of other pathways left out.
fn declared(case: &Case<'_>) -> Vec<u64> {
    let mut rates: Vec<u64> = match case.snapshot.manifest.multivariant() {
        Some(list) => list.variants.iter().map(|v| v.bandwidth).collect(),
        None => case
            .renditions()
            .filter(|(_, r)| r.kind == Kind::Video)
            .map(|(_, r)| r.declared.bandwidth)
            .collect(),
    };
    rates.retain(|rate| *rate > 0);
    rates.sort_unstable();
    rates.dedup();
    rates
}

fn rungs(case: &mut Case<'_>) {
    let found = declared(case);
    let expect = &case.settings.expect;
    if expect.min_rungs.is_none() && expect.bitrates.is_empty() {
        return case.findings.skip(Check::A01, None, "no rungs are expected");
    }
    let near = |wanted: &u64| found.iter().any(|rate| rate.abs_diff(*wanted) <= *wanted / 10);
    let seen = || {
        found
            .iter()
            .map(|r| (r / 1000).to_string())
            .collect::<Vec<_>>()
            .join(", ")
            + " kbit/s"
    };
    let missing = expect.bitrates.iter().find(|wanted| !near(wanted));
    let evidence = match (missing, expect.min_rungs) {
        (Some(wanted), _) => Some(
            wrong("a rung is missing")
                .expected(format!("{} kbit/s", wanted / 1000))
                .seen(seen()),
        ),
        (None, Some(least)) if (found.len() as u32) < least => Some(
            wrong("rungs are missing")
                .expected(format!("at least {least}"))
                .seen(format!("{}: {}", found.len(), seen())),
        ),
        _ => None,
    };
    case.findings.judge(Check::A01, None, evidence);
}

fn bitrates(case: &mut Case<'_>) {
    let allowed = case.threshold(Check::A02, 125.0) / 100.0;
    // DASH allows a segment to be larger, as far as @minBufferTime takes it up (clause 5.3.5.4).
    let buffer = case
        .snapshot
        .manifest
        .mpd()
        .and_then(|mpd| mpd.min_buffer_time)
        .unwrap_or(0.0);
    for (n, rendition) in case.renditions() {
        if let Some(why) = case.unreadable(rendition) {
            case.findings.skip(Check::A02, Some(n), why);
            continue;
        }
        let target = rendition.edge.as_ref().map_or(0.0, |e| e.duration);
        let measured = [&rendition.newest, &rendition.second]
            .into_iter()
            .filter_map(|s| s.found());
        let measured = measured
            .filter(|s| s.duration >= 0.5 * target && s.duration > 0.0 && !s.byte_range && !s.growing);
        let rate = measured
            .filter_map(|s| Some(s.size? as f64 * 8.0 / (s.duration + buffer)))
            .reduce(f64::max);
        let (Some(rate), true) = (
            rate,
            rendition.declared.bandwidth > 0 && rendition.kind != Kind::TrickPlay,
        ) else {
            case.findings.skip(
                Check::A02,
                Some(n),
                "the size of a segment, or the declared bit rate, is not known",
            );
            continue;
        };
        let ratio = rate / rendition.declared.bandwidth as f64;
        let evidence = (ratio > allowed).then(|| {
            wrong(format!(
                "segments of {} are larger than its bit rate allows",
                rendition.label
            ))
            .expected(format!("at most {:.0} %", allowed * 100.0))
            .seen(format!("{:.0} %", ratio * 100.0))
        });
        case.findings.judge(Check::A02, Some(n), evidence);
    }
}

fn attributes(case: &mut Case<'_>) {
    let evidence = match case.snapshot.manifest.multivariant() {
        Some(list) => list.variants.iter().find_map(|v| {
            let video = v.codecs.is_empty()
                || v.codecs
                    .iter()
                    .any(|c| !c.starts_with("mp4a") && !c.starts_with("ac-3") && !c.starts_with("ec-3"));
            let missing = match () {
                () if v.codecs.is_empty() => "CODECS",
                () if video && v.resolution.is_none() => "RESOLUTION",
                () => return None,
            };
            Some(wrong(format!("a variant does not declare {missing}")).line(v.line))
        }),
        None => case
            .renditions()
            .filter(|(_, r)| matches!(r.kind, Kind::Video))
            .find_map(|(_, r)| {
                let missing = match () {
                    () if r.declared.codecs.is_empty() && case.snapshot.manifest.mpd().is_some() => "codecs",
                    () if r.declared.size.is_none() && case.snapshot.manifest.mpd().is_some() => {
                        "width and height"
                    }
                    () => return None,
                };
                Some(wrong(format!("{} does not declare {missing}", r.label)))
            }),
    };
    case.findings.judge(Check::A03, None, evidence);
}

fn alignment(case: &mut Case<'_>) {
    let video: Vec<(usize, &Rendition)> = case
        .renditions()
        .filter(|(n, r)| r.kind == Kind::Video && r.edge.is_some() && !case.stuck.contains(n))
        .collect();
    let Some(((first, others), edge)) = video.split_first().and_then(|s| Some((s, s.0.1.edge.as_ref()?)))
    else {
        return;
    };
    let limit = case.threshold(Check::A04, edge.longest.max(edge.duration));
    let evidence = others.iter().find_map(|(n, other)| {
        let theirs = other.edge.as_ref()?;
        if let (Some(a), Some(b)) = (first.1.media(), other.media()) {
            if (a.target_duration - b.target_duration).abs() > f64::EPSILON {
                let what = wrong(format!(
                    "{} has another target duration than {}",
                    other.label, first.1.label
                ));
                return Some((
                    *n,
                    what.expected(seconds(a.target_duration))
                        .seen(seconds(b.target_duration)),
                ));
            }
            // The same instant belongs to the same discontinuity sequence in every rung.
            let at = |m: &drmwatch_media::hls::Media, t| {
                m.segments
                    .iter()
                    .find(|s| s.program_date_time == Some(t))
                    .map(|s| s.discontinuity_sequence)
            };
            let apart = a
                .segments
                .iter()
                .rev()
                .filter_map(|s| s.program_date_time)
                .find_map(|t| Some((at(a, t)?, at(b, t)?)));
            if let Some((x, y)) = apart.filter(|(x, y)| x != y) {
                let what = wrong(format!(
                    "{} has another discontinuity sequence than {}",
                    other.label, first.1.label
                ));
                return Some((*n, what.expected(x.to_string()).seen(y.to_string())));
            }
        }
        let apart = theirs.end?.duration_since(edge.end?).as_secs_f64();
        (apart.abs() > limit).then(|| {
            let what = wrong(format!("{} ends elsewhere than {}", other.label, first.1.label));
            (
                *n,
                what.expected(format!("at most {} apart", seconds(limit)))
                    .seen(format!("{apart:+.1} s")),
            )
        })
    });
    match evidence {
        Some((n, evidence)) => case.findings.fail(Check::A04, Some(n), evidence),
        None => case.findings.ok(Check::A04, None),
    }
}

fn spacing(case: &mut Case<'_>) {
    let rates = declared(case);
    if rates.len() < 2 {
        return case.findings.skip(Check::A05, None, "there is one rung");
    }
    let most = case.threshold(Check::A05, 3.0);
    let bad = rates
        .windows(2)
        .map(|p| (p[0], p[1], p[1] as f64 / p[0] as f64))
        .find(|p| p.2 < 1.2 || p.2 > most);
    let evidence = bad.map(|(low, high, ratio)| {
        let what = wrong(format!(
            "the rungs of {} and {} kbit/s lie wrongly apart",
            low / 1000,
            high / 1000
        ));
        what.expected(format!("1.2 to {most:.1}"))
            .seen(format!("{ratio:.2}"))
    });
    case.findings.judge(Check::A05, None, evidence);
}
