//! D: does everything that speaks of protection say the same, and what was expected.

use super::Case;
use crate::{
    Check, Encryption,
    findings::{Evidence, wrong},
    model::{Kind, Rendition, Signal},
};
use drmwatch_media::{
    Kid,
    bmff::{Protection, Pssh, Track},
    signal::{self, FAIRPLAY_FORMAT, PlayReadyHeader, SignalError, system},
};
use drmwatch_outcome::Reason;

pub(super) fn judge(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions() {
        if !matches!(rendition.kind, Kind::Video | Kind::Audio) {
            continue;
        }
        clear(case, n, rendition);
        fairplay(case, n, rendition);
        rotation(case, n, rendition);
        objects(case, n, rendition);
        let Some(found) = rendition.init.found() else {
            for check in [Check::D02, Check::D03, Check::D05, Check::D07, Check::D10] {
                case.findings.skip(check, Some(n), rendition.init.why());
            }
            continue;
        };
        let Some(track) = found.init.tracks.first() else {
            continue;
        };
        let Some(protection) = &track.protection else {
            for check in [Check::D02, Check::D03, Check::D05, Check::D07, Check::D10] {
                case.findings.skip(check, Some(n), "the track is in the clear");
            }
            continue;
        };
        scheme(case, n, rendition, protection);
        kids(case, n, rendition, protection);
        pssh(case, n, rendition, protection, &found.init.pssh);
        pattern(case, n, rendition, track, protection);
        samples(case, n, rendition);
    }
    systems(case);
    expected_kids(case);
    policy(case);
    agreement(case);
    if let Some(found) = &case.snapshot.active.key {
        match found {
            // The token is at fault, not the key.
            Err((reason, message)) if super::delivery::of_token(*reason).is_some() => {
                super::delivery::refused(case, None, *reason, message);
            }
            Err((_, message)) => case.findings.fail(Check::D13, None, wrong(message.clone())),
            Ok(()) => case.findings.ok(Check::D13, None),
        }
    }
}

fn is_signalled(rendition: &Rendition) -> bool {
    !rendition.signals.is_empty()
}

fn protection(rendition: &Rendition) -> Option<&Protection> {
    rendition.init.found()?.init.tracks.first()?.protection.as_ref()
}

fn clear(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let of = &rendition.label;
    let whole = rendition
        .signals
        .iter()
        .any(|s| s.method.as_deref() == Some("AES-128"));
    let protected = match rendition.init.found() {
        Some(_) => protection(rendition).is_some() || whole,
        // Without an init segment (TS, AES-128) the manifest alone tells.
        None => is_signalled(rendition),
    };
    let evidence = match case.settings.expect.encryption {
        Encryption::Required if !protected => {
            Some(wrong(format!("{of} is in the clear and must be protected")))
        }
        Encryption::Forbidden if protected || is_signalled(rendition) => Some(
            wrong(format!("{of} is protected and must be in the clear")).reason(Reason::ExpectationFailed),
        ),
        // The manifest promises protection that the media do not have.
        Encryption::Any if is_signalled(rendition) && !protected => Some(wrong(format!(
            "the manifest says that {of} is protected, and its init segment is in the clear"
        ))),
        _ => None,
    };
    case.findings.judge(Check::D01, Some(n), evidence);
}

fn scheme(case: &mut Case<'_>, n: usize, rendition: &Rendition, protection: &Protection) {
    let real = std::str::from_utf8(&protection.scheme).unwrap_or("?");
    let said = rendition.signals.iter().find_map(|signal| {
        let by_method = match signal.method.as_deref() {
            Some("SAMPLE-AES") => Some("cbcs"),
            Some("SAMPLE-AES-CTR") => Some("cenc"),
            _ => None,
        };
        Some((by_method.or(signal.scheme.as_deref())?, signal.line))
    });
    let Some((said, line)) = said else {
        return case
            .findings
            .skip(Check::D02, Some(n), "the manifest names no scheme");
    };
    let evidence = (said != real).then(|| {
        let what = wrong(format!(
            "manifest and init segment of {} name different schemes",
            rendition.label
        ))
        .line(line);
        what.expected(said).seen(real)
    });
    case.findings.judge(Check::D02, Some(n), evidence);
}

/// Key ids of the newest segment: of its sample groups where it has some (key rotation), else of `tenc`.
fn real_kids(rendition: &Rendition, protection: &Protection) -> Vec<Kid> {
    let head = rendition
        .newest
        .found()
        .and_then(|s| s.head.as_ref())
        .and_then(|h| h.as_ref().ok());
    let rotated: Vec<Kid> = head
        .into_iter()
        .flat_map(|h| &h.fragments)
        .flat_map(|f| f.group_kids.clone())
        .collect();
    if rotated.is_empty() {
        vec![protection.kid]
    } else {
        rotated
    }
}

fn kids(case: &mut Case<'_>, n: usize, rendition: &Rendition, protection: &Protection) {
    let of = &rendition.label;
    let real = real_kids(rendition, protection);
    if real.iter().any(Kid::is_zero) {
        let what = format!("the key id in the init segment of {of} is zero");
        return case.findings.fail(Check::D03, Some(n), wrong(what));
    }
    let said: Vec<Kid> = rendition.signals.iter().flat_map(|s| s.kids.clone()).collect();
    if said.is_empty() {
        return case
            .findings
            .skip(Check::D03, Some(n), "the manifest names no key id outright");
    }
    let stranger = real.iter().find(|k| !said.contains(k));
    let evidence = stranger.map(|kid| {
        let said: Vec<String> = said.iter().map(Kid::to_string).collect();
        wrong(format!(
            "manifest and init segment of {of} name different key ids"
        ))
        .expected(said.join(", "))
        .seen(kid.to_string())
    });
    case.findings.judge(Check::D03, Some(n), evidence);
}

/// What one box or object says of key ids; `None` where it says nothing.
fn kids_of(found: &Pssh) -> Option<Result<Vec<Kid>, SignalError>> {
    let kids = match found.system {
        system::WIDEVINE => signal::widevine_kids(&found.data),
        system::PLAYREADY => PlayReadyHeader::from_object(&found.data).map(|h| h.kids),
        _ => Ok(Vec::new()),
    };
    match kids {
        Ok(kids) => Some(found.kids.iter().copied().chain(kids).collect::<Vec<_>>())
            .filter(|k| !k.is_empty())
            .map(Ok),
        Err(error) => Some(Err(error)),
    }
}

/// The name of a DRM system.
fn system_name(id: &[u8; 16]) -> String {
    match *id {
        system::WIDEVINE => "Widevine".into(),
        system::PLAYREADY => "PlayReady".into(),
        system::FAIRPLAY => "FairPlay".into(),
        system::COMMON => "Common".into(),
        system::CLEAR_KEY => "ClearKey".into(),
        other => Kid(other).to_string(),
    }
}

fn pssh(case: &mut Case<'_>, n: usize, rendition: &Rendition, protection: &Protection, inside: &[Pssh]) {
    let of = &rendition.label;
    let real = real_kids(rendition, protection);
    let in_manifest = rendition.signals.iter().flat_map(|s| &s.pssh);
    let (mut any, mut evidence) = (false, None);
    for found in in_manifest
        .map(|p| p.as_ref().map_err(ToString::to_string))
        .chain(inside.iter().map(Ok))
    {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                evidence.get_or_insert(wrong(format!("a pssh of {of} can't be read: {error}")));
                continue;
            }
        };
        let name = system_name(&found.system);
        match kids_of(found) {
            None => {}
            Some(Err(error)) => {
                evidence.get_or_insert(wrong(format!("the {name} data of {of} can't be read: {error}")));
            }
            Some(Ok(kids)) => {
                any = true;
                let missing = real.iter().find(|kid| !kids.contains(kid));
                if let (Some(kid), None) = (missing, &evidence) {
                    evidence = Some(mismatch(of, &name, kid, &kids));
                }
            }
        }
    }
    for header in rendition.signals.iter().flat_map(|s| &s.playready).flatten() {
        any |= !header.kids.is_empty();
        let missing = real
            .iter()
            .find(|kid| !header.kids.is_empty() && !header.kids.contains(kid));
        if let (Some(kid), None) = (missing, &evidence) {
            evidence = Some(mismatch(of, "PlayReady", kid, &header.kids));
        }
    }
    match any || evidence.is_some() {
        true => case.findings.judge(Check::D05, Some(n), evidence),
        false => case
            .findings
            .skip(Check::D05, Some(n), "no system's data names key ids"),
    }
}

fn mismatch(of: &str, name: &str, kid: &Kid, kids: &[Kid]) -> Evidence {
    let swapped = kids.iter().any(|k| signal::from_guid(k.0) == *kid);
    let seen: Vec<String> = kids.iter().map(Kid::to_string).collect();
    let order = if swapped {
        ": its bytes are in the order of a GUID"
    } else {
        ""
    };
    wrong(format!(
        "the {name} data of {of} names another key id than the track"
    ))
    .expected(kid.to_string())
    .seen(seen.join(", ") + order)
}

fn objects(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let inside = rendition.init.found().into_iter().flat_map(|i| &i.init.pssh);
    let manifest = rendition.signals.iter().flat_map(|s| &s.pssh).flatten();
    let boxes = inside.chain(manifest).filter(|p| p.system == system::PLAYREADY);
    let all = boxes
        .map(|p| PlayReadyHeader::from_object(&p.data))
        .chain(rendition.signals.iter().flat_map(|s| s.playready.clone()));
    let headers: Vec<_> = all.collect();
    if headers.is_empty() {
        return;
    }
    let scheme = protection(rendition).map(|p| p.scheme);
    let of = &rendition.label;
    let evidence = headers.iter().find_map(|header| match header {
        Err(error) => Some(wrong(format!(
            "the PlayReady object of {of} can't be read: {error}"
        ))),
        Ok(header) => {
            let known = ["4.0.0.0", "4.1.0.0", "4.2.0.0", "4.3.0.0"].contains(&header.version.as_str());
            let cbc = header.algorithms.iter().any(|a| a == "AESCBC");
            let wants_cbc = scheme == Some(*b"cbcs");
            let url = header
                .license_url
                .as_deref()
                .filter(|u| !u.starts_with("http://") && !u.starts_with("https://"));
            let what = |problem: &str| wrong(format!("the PlayReady header of {of} {problem}"));
            if !known {
                Some(
                    what("has a version that is not known")
                        .expected("4.0.0.0 to 4.3.0.0")
                        .seen(&header.version),
                )
            } else if cbc && header.version != "4.3.0.0" {
                Some(
                    what("has ALGID AESCBC")
                        .expected("version 4.3.0.0")
                        .seen(&header.version),
                )
            } else if scheme.is_some() && header.algorithms.iter().any(|a| !a.is_empty()) && cbc != wants_cbc
            {
                Some(what("has an algorithm that does not fit the scheme").seen(header.algorithms.join(", ")))
            } else {
                url.map(|_| what("has an LA_URL that is not one"))
            }
        }
    });
    case.findings.judge(Check::D06, Some(n), evidence);
}

fn pattern(case: &mut Case<'_>, n: usize, rendition: &Rendition, track: &Track, protection: &Protection) {
    let of = &rendition.label;
    let (encrypted, skipped) = (protection.pattern.encrypted, protection.pattern.skipped);
    let seen = format!("{encrypted}:{skipped}, vector of {} bytes", protection.iv_size);
    let evidence = match &protection.scheme {
        b"cbcs" | b"cens"
            if &track.handler == b"vide" && (protection.version == 0 || encrypted == 0 || skipped == 0) =>
        {
            Some(
                wrong(format!("{of} has no pattern, which its scheme needs"))
                    .expected("1:9")
                    .seen(seen),
            )
        }
        b"cbcs" if protection.iv_size == 0 && !matches!(protection.constant_iv.len(), 8 | 16) => {
            Some(wrong(format!("{of} has neither vectors nor a constant one")).seen(seen))
        }
        b"cenc" | b"cbc1" if encrypted != 0 || skipped != 0 => {
            Some(wrong(format!("{of} has a pattern, which its scheme must not have")).seen(seen))
        }
        b"cenc" | b"cens" if !matches!(protection.iv_size, 8 | 16) => Some(
            wrong(format!("{of} has vectors of a wrong size"))
                .expected("8 or 16 bytes")
                .seen(seen),
        ),
        _ => None,
    };
    case.findings.judge(Check::D07, Some(n), evidence);
}

fn fairplay(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let mut keys = rendition
        .signals
        .iter()
        .filter(|s| s.format.as_deref() == Some(FAIRPLAY_FORMAT))
        .peekable();
    if keys.peek().is_none() {
        return;
    }
    let evidence = keys.find_map(|key: &Signal| {
        let what = |problem: &str| {
            Some(wrong(format!("the FairPlay key of {} {problem}", rendition.label)).line(key.line))
        };
        match () {
            () if key.method.as_deref() != Some("SAMPLE-AES") => {
                Some(what("must have METHOD=SAMPLE-AES")?.seen(key.method.clone().unwrap_or_default()))
            }
            () if !key.uri.as_deref().is_some_and(|u| u.starts_with("skd://")) => {
                what("must have a skd:// URI")
            }
            () if key.has_iv => what("must not have an IV: it comes with the key"),
            () => None,
        }
    });
    case.findings.judge(Check::D08, Some(n), evidence);
}

/// A key stays in the playlist as long as a segment that it applies to (section 6.2.3).
fn rotation(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let (Some(media), Some(before)) = (rendition.media(), case.remembered(rendition)) else {
        return case.findings.skip(
            Check::D09,
            Some(n),
            "nothing is remembered yet, or it is no playlist",
        );
    };
    let now = super::remember::segments(media);
    let changed = now
        .iter()
        .find(|s| before.segments.iter().any(|old| old.0 == s.0 && old.2 != s.2));
    let evidence = changed.map(|s| {
        wrong(format!(
            "the keys of segment {} of {} are others than they were",
            s.0, rendition.label
        ))
    });
    case.findings.judge(Check::D09, Some(n), evidence);
}

fn samples(case: &mut Case<'_>, n: usize, rendition: &Rendition) {
    let head = rendition
        .newest
        .found()
        .and_then(|s| s.head.as_ref())
        .and_then(|h| h.as_ref().ok());
    let Some(head) = head else {
        return case.findings.skip(Check::D10, Some(n), rendition.newest.why());
    };
    let evidence = head.fragments.iter().find_map(|f| {
        let count = f.samples.len() as u32;
        let bad = [("senc", f.encrypted_samples), ("saiz", f.auxiliary_samples)];
        let (name, seen) = bad
            .into_iter()
            .filter_map(|(name, c)| Some((name, c?)))
            .find(|(_, c)| *c != count)?;
        let what = wrong(format!(
            "{name} of the newest segment of {} does not fit its samples",
            rendition.label
        ));
        Some(what.expected(count.to_string()).seen(seen.to_string()))
    });
    case.findings.judge(Check::D10, Some(n), evidence);
}

/// System ids that a rendition signals, in manifest or init segment.
fn systems_of(rendition: &Rendition) -> Vec<[u8; 16]> {
    let by_format = |format: &str| match format {
        FAIRPLAY_FORMAT => Some(system::FAIRPLAY),
        signal::PLAYREADY_FORMAT => Some(system::PLAYREADY),
        "org.w3.clearkey" => Some(system::CLEAR_KEY),
        other => Kid::parse(other.strip_prefix("urn:uuid:")?).ok().map(|k| k.0),
    };
    let manifest = rendition
        .signals
        .iter()
        .filter_map(|s| s.system.or_else(|| by_format(s.format.as_deref()?)));
    let inside = rendition
        .init
        .found()
        .into_iter()
        .flat_map(|i| &i.init.pssh)
        .map(|p| p.system);
    manifest.chain(inside).collect()
}

fn systems(case: &mut Case<'_>) {
    let expected = &case.settings.expect.systems;
    if expected.is_empty() {
        return case.findings.skip(Check::D04, None, "no system is expected");
    }
    for (n, rendition) in case.renditions() {
        if !matches!(rendition.kind, Kind::Video | Kind::Audio) {
            continue;
        }
        if rendition.signals.is_empty() && rendition.init.found().is_none() {
            case.findings.skip(Check::D04, Some(n), rendition.init.why());
            continue;
        }
        let found = systems_of(rendition);
        // Clear Key is signalled by its own id or by the common box.
        let has = |id: &[u8; 16]| {
            found.contains(id) || (*id == system::CLEAR_KEY && found.contains(&system::COMMON))
        };
        let missing: Vec<String> = expected.iter().filter(|id| !has(id)).map(system_name).collect();
        let evidence = (!missing.is_empty()).then(|| {
            let mut seen: Vec<String> = found.iter().map(system_name).collect();
            seen.sort();
            seen.dedup();
            let seen = if seen.is_empty() {
                "none".into()
            } else {
                seen.join(", ")
            };
            wrong(format!(
                "{} does not signal {}",
                rendition.label,
                missing.join(", ")
            ))
            .seen(seen)
        });
        case.findings.judge(Check::D04, Some(n), evidence);
    }
}

/// Every key id that manifest and init segments name, without zeros.
pub fn all_kids(renditions: &[Rendition]) -> Vec<Kid> {
    let manifest = renditions
        .iter()
        .flat_map(|r| &r.signals)
        .flat_map(|s| s.kids.clone());
    let media = renditions
        .iter()
        .filter_map(|r| Some((r, protection(r)?)))
        .flat_map(|(r, p)| real_kids(r, p));
    let mut kids: Vec<Kid> = manifest.chain(media).filter(|k| !k.is_zero()).collect();
    kids.sort_unstable();
    kids.dedup();
    kids
}

fn expected_kids(case: &mut Case<'_>) {
    let found = all_kids(&case.snapshot.renditions);
    let list = |kids: &[Kid]| kids.iter().map(Kid::to_string).collect::<Vec<_>>().join(", ");
    let missing = case.settings.expect.kids.iter().find(|k| !found.contains(k));
    if let Some(kid) = missing {
        let evidence = match found.is_empty() {
            true => wrong(format!(
                "the stream must have key id {kid} and has none: it is in the clear"
            ))
            .reason(Reason::KidMissing),
            false => wrong(turned(kid, &found).unwrap_or("the stream has other key ids than it must"))
                .expected(kid.to_string())
                .seen(list(&found)),
        };
        case.findings.fail(Check::D03, None, evidence);
    }
    if let Some((name, other)) = &case.snapshot.active.other_kids {
        let evidence = (found != *other).then(|| {
            let order = other.iter().find_map(|kid| turned(kid, &found));
            let order = order.map(|o| format!(": {o}")).unwrap_or_default();
            wrong(format!("the key ids differ from those of {name}{order}"))
                .expected(list(other))
                .seen(list(&found))
        });
        case.findings.judge(Check::D12, None, evidence);
    }
}

/// What to say where a key id is there with its bytes in another order: the commonest cause of a wrong one.
fn turned(kid: &Kid, found: &[Kid]) -> Option<&'static str> {
    let turned = found.contains(&signal::from_guid(kid.0));
    turned.then_some("the stream has the key id with its bytes in GUID order")
}

fn policy(case: &mut Case<'_>) {
    if !case.settings.expect.key_per_quality {
        return case
            .findings
            .skip(Check::D11, None, "no key per quality is expected");
    }
    let kids = |wanted: &dyn Fn(&Rendition) -> bool| -> Vec<Kid> {
        let of = case.renditions().filter(|(_, r)| wanted(r));
        of.filter_map(|(_, r)| Some(protection(r)?.kid)).collect()
    };
    let audio = kids(&|r| r.kind == Kind::Audio);
    let high = |r: &Rendition| r.declared.size.is_some_and(|(_, h)| h > 576);
    let (sd, hd) = (
        kids(&|r| r.kind == Kind::Video && !high(r)),
        kids(&|r| r.kind == Kind::Video && high(r)),
    );
    let shared = |a: &[Kid], b: &[Kid]| a.iter().find(|k| b.contains(k)).copied();
    let found = [
        ("audio and video", shared(&audio, &sd).or(shared(&audio, &hd))),
        ("SD and HD", shared(&sd, &hd)),
    ];
    let bad = found.into_iter().find_map(|(what, kid)| Some((what, kid?)));
    let evidence = bad.map(|(what, kid)| wrong(format!("{what} have the same key id")).seen(kid.to_string()));
    case.findings.judge(Check::D11, None, evidence);
}

/// Every system of a rendition names the same key ids as the others, where it names any.
fn agreement(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions() {
        if protection(rendition).is_some() {
            // D05 compares each with the track, which is stronger.
            continue;
        }
        let boxes = rendition.signals.iter().flat_map(|s| &s.pssh).flatten();
        let mut named: Vec<(String, Vec<Kid>)> = boxes
            .filter_map(|p| Some((system_name(&p.system), kids_of(p)?.ok()?)))
            .chain(
                rendition
                    .signals
                    .iter()
                    .flat_map(|s| &s.playready)
                    .flatten()
                    .map(|h| ("PlayReady".into(), h.kids.clone())),
            )
            .chain(
                rendition
                    .signals
                    .iter()
                    .filter(|s| !s.kids.is_empty())
                    .map(|s| ("the manifest".into(), s.kids.clone())),
            )
            .collect();
        named.iter_mut().for_each(|(_, kids)| kids.sort_unstable());
        if named.len() < 2 {
            continue;
        }
        let other = named.iter().find(|(_, kids)| kids != &named[0].1);
        let evidence = other.map(|(name, _)| {
            wrong(format!(
                "{} and {name} name different key ids for {}",
                named[0].0, rendition.label
            ))
        });
        case.findings.judge(Check::D12, Some(n), evidence);
    }
}
