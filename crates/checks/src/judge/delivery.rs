//! C: how it is served.

use super::{Case, seconds};
use crate::{
    Check, Severity,
    findings::{Evidence, wrong},
    model::{Exchange, Manifest, TokenTrial},
};
use drmwatch_outcome::Reason;

pub(super) fn judge(case: &mut Case<'_>) {
    let documents = documents(case);
    response_time(case, &documents);
    if case.snapshot.live {
        lifetime(case, &documents);
    }
    compression(case, &documents);
    ranges(case);
    redirects(case, &documents);
    tls(case, &documents);
    protocols(case);
    failover(case);
    tokens(case);
    cors(case);
    cached(case);
}

/// A document of the stream.
struct Document<'a> {
    rendition: Option<usize>,
    label: String,
    exchange: &'a Exchange,
    /// Seconds after which it is no longer true.
    target: f64,
    blocking: bool,
}

fn documents<'a>(case: &Case<'a>) -> Vec<Document<'a>> {
    let longest = case
        .edges()
        .map(|(_, _, e)| e.duration)
        .fold(0.0, f64::max)
        .max(1.0);
    let entry_changes = case.snapshot.manifest.multivariant().is_none()
        && !matches!(case.snapshot.manifest, Manifest::Hds(_));
    let update = case.snapshot.manifest.mpd().map(|mpd| {
        let clocked = case.edges().all(|(_, _, e)| e.clocked);
        // Segments that follow from the clock need no new MPD.
        if clocked {
            mpd.minimum_update_period.unwrap_or(f64::INFINITY).max(longest)
        } else {
            longest
        }
    });
    let mut found = vec![Document {
        rendition: None,
        label: "the manifest".into(),
        exchange: &case.snapshot.entry,
        target: if entry_changes {
            update.unwrap_or(longest)
        } else {
            f64::INFINITY
        },
        blocking: false,
    }];
    for (n, rendition) in case.renditions() {
        if let Some(exchange) = &rendition.exchange {
            found.push(Document {
                rendition: Some(n),
                label: format!("the playlist of {}", rendition.label),
                exchange,
                target: rendition.edge.as_ref().map_or(longest, |e| e.duration.max(1.0)),
                blocking: rendition
                    .media()
                    .and_then(|m| m.server_control)
                    .is_some_and(|c| c.can_block_reload),
            });
        }
    }
    found
}

fn response_time(case: &mut Case<'_>, documents: &[Document<'_>]) {
    let longest = case.edges().map(|(_, _, e)| e.duration).fold(0.0, f64::max);
    if longest <= 0.0 {
        return;
    }
    let limit = case.threshold(Check::C01, longest.max(2.0));
    for document in documents {
        let seen = document.exchange.first_byte_seconds;
        let evidence = (seen > limit).then(|| {
            wrong(format!("{} answers late", document.label))
                .expected(format!("a first byte within {}", seconds(limit)))
                .seen(seconds(seen))
        });
        case.findings.judge(Check::C01, document.rendition, evidence);
    }
    for (n, rendition) in case.renditions() {
        let Some(segment) = rendition.newest.found() else {
            continue;
        };
        let seen = segment.exchange.first_byte_seconds;
        let evidence = (seen > limit).then(|| {
            let what = wrong(format!("the newest segment of {} answers late", rendition.label));
            what.expected(format!("a first byte within {}", seconds(limit)))
                .seen(seconds(seen))
        });
        case.findings.judge(Check::C01, Some(n), evidence);
    }
}

/// Seconds for which an answer may be cached.
fn max_age(exchange: &Exchange) -> Option<f64> {
    if exchange.cache("no-store").is_some() || exchange.cache("no-cache").is_some() {
        return Some(0.0);
    }
    let ages = [exchange.cache("max-age"), exchange.cache("s-maxage")];
    let longest = ages.into_iter().flatten().flatten().max();
    longest.map(|s| s as f64).or_else(|| {
        Some(
            exchange
                .date("expires")?
                .duration_since(exchange.date("date")?)
                .as_secs_f64()
                .max(0.0),
        )
    })
}

fn lifetime(case: &mut Case<'_>, documents: &[Document<'_>]) {
    for document in documents {
        if document.target.is_infinite() {
            case.findings.skip(
                Check::C02,
                document.rendition,
                "it does not change while the stream goes on",
            );
            case.findings.skip(
                Check::C03,
                document.rendition,
                "it does not change while the stream goes on",
            );
            continue;
        }
        let limit = case.threshold(
            Check::C02,
            document.target * if document.blocking { 6.0 } else { 1.0 },
        );
        let age = max_age(document.exchange);
        match age {
            None => case.findings.skip(
                Check::C02,
                document.rendition,
                "no header says how long it may be cached",
            ),
            Some(age) => {
                // Whole seconds are all that a header can say.
                let evidence = (age > limit.ceil()).then(|| {
                    let what = wrong(format!("{} may be cached for too long", document.label));
                    // Up to three target durations a player still finds something new in time.
                    let severity = if age > 3.0 * limit.ceil() {
                        Severity::Page
                    } else {
                        Severity::Ticket
                    };
                    what.expected(format!("at most {}", seconds(limit)))
                        .seen(seconds(age))
                        .severity(severity)
                });
                case.findings.judge(Check::C02, document.rendition, evidence);
            }
        }
        let Some(seen) = document
            .exchange
            .header("age")
            .and_then(|a| a.parse::<f64>().ok())
        else {
            case.findings
                .skip(Check::C03, document.rendition, "there is no Age");
            continue;
        };
        let limit = case.threshold(Check::C03, age.unwrap_or(document.target).max(document.target));
        let evidence = (seen > limit.ceil()).then(|| {
            wrong(format!("{} sat in a cache for too long", document.label))
                .expected(format!("at most {}", seconds(limit)))
                .seen(seconds(seen))
        });
        case.findings.judge(Check::C03, document.rendition, evidence);
    }
}

fn compression(case: &mut Case<'_>, documents: &[Document<'_>]) {
    let (types, name): (&[&str], _) = match case.snapshot.manifest {
        Manifest::Hls(_) => (
            &[
                "application/vnd.apple.mpegurl",
                "application/x-mpegurl",
                "audio/mpegurl",
                "audio/x-mpegurl",
            ],
            "a playlist's",
        ),
        Manifest::Dash(_) => (&["application/dash+xml"], "application/dash+xml"),
        Manifest::Smooth(_) => (
            &["text/xml", "application/xml", "application/vnd.ms-sstr+xml"],
            "an XML's",
        ),
        Manifest::Hds(_) => (
            &[
                "application/f4m+xml",
                "text/xml",
                "application/xml",
                "application/f4m",
                "video/f4m",
            ],
            "an f4m's",
        ),
    };
    for document in documents {
        let kind = document.exchange.header("content-type").unwrap_or_default();
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let bootstrap = matches!(case.snapshot.manifest, Manifest::Hds(_)) && document.rendition.is_some();
        let plain =
            document.exchange.header("content-encoding").is_none() && document.exchange.body_bytes > 4096;
        let evidence = if !bootstrap && !types.contains(&kind.as_str()) {
            Some(
                wrong(format!(
                    "{} has another content type than it must",
                    document.label
                ))
                .expected(name)
                .seen(format!("{:?}", kind.chars().take(60).collect::<String>())),
            )
        } else if plain && !bootstrap {
            Some(
                wrong(format!("{} is not compressed", document.label))
                    .seen(format!("{} bytes", document.exchange.body_bytes)),
            )
        } else {
            None
        };
        case.findings.judge(Check::C05, document.rendition, evidence);
    }
}

fn ranges(case: &mut Case<'_>) {
    if let Some(found) = &case.snapshot.active.partial {
        let evidence = found.as_ref().err();
        let evidence = evidence.map(|message| wrong(message.clone()).severity(Severity::Ticket));
        case.findings.judge(Check::C07, None, evidence);
    }
    for (n, rendition) in case.renditions() {
        let Some(segment) = rendition.newest.found().filter(|s| s.ranged) else {
            case.findings.skip(Check::C07, Some(n), "no range was asked for");
            continue;
        };
        let evidence = match segment.exchange.status {
            206 if segment.exchange.header("content-range").is_none() => Some(wrong(format!(
                "a partial answer of {} has no Content-Range",
                rendition.label
            ))),
            206 => None,
            status => Some(
                wrong(format!("the server of {} ignores ranges", rendition.label))
                    .expected("206")
                    .seen(status.to_string()),
            ),
        };
        let severity = if segment.byte_range {
            Severity::Ticket
        } else {
            Severity::Warning
        };
        case.findings.judge(
            Check::C07,
            Some(n),
            evidence.map(|e: Evidence| e.severity(severity)),
        );
    }
}

fn redirects(case: &mut Case<'_>, documents: &[Document<'_>]) {
    let segments = case
        .renditions()
        .filter_map(|(n, r)| Some((n, r, r.newest.found()?)));
    let found = segments
        .filter(|(_, _, s)| s.exchange.redirects > 0)
        .map(|(n, r, s)| {
            (
                Some(n),
                wrong(format!("segments of {} redirect", r.label))
                    .expected("no redirect")
                    .seen(s.exchange.redirects.to_string()),
            )
        });
    let down = documents.iter().filter(|d| d.exchange.downgraded).map(|d| {
        (
            d.rendition,
            wrong(format!("{} redirects from https to http", d.label)),
        )
    });
    match found.chain(down).next() {
        Some((n, evidence)) => case.findings.fail(Check::C08, n, evidence),
        None => case.findings.ok(Check::C08, None),
    }
}

fn tls(case: &mut Case<'_>, documents: &[Document<'_>]) {
    let segments = case
        .renditions()
        .filter_map(|(_, r)| Some(&r.newest.found()?.exchange));
    let all: Vec<&Exchange> = documents.iter().map(|d| d.exchange).chain(segments).collect();
    let Some(expiry) = all.iter().filter_map(|e| e.not_after).min() else {
        return case.findings.skip(Check::C09, None, "no TLS is used");
    };
    let left = expiry.duration_since(case.now()).as_secs_f64() / 86_400.0;
    let least = case.threshold(Check::C09, 7.0);
    let evidence = (left < least).then(|| {
        let severity = if left < 1.0 {
            Severity::Page
        } else {
            Severity::Ticket
        };
        let what = wrong("a certificate expires soon").expected(format!("at least {least:.0} days"));
        what.seen(format!("{left:.1} days")).severity(severity)
    });
    case.findings.judge(Check::C09, None, evidence);
}

fn protocols(case: &mut Case<'_>) {
    let dead = case
        .snapshot
        .active
        .addresses
        .iter()
        .find_map(|a| Some((&a.name, a.newest.as_ref().err()?)));
    let old = case.snapshot.entry.secure && case.snapshot.entry.protocol.as_deref() == Some("http/1.1");
    let evidence = match dead {
        Some((name, error)) => Some(wrong(format!("{name} does not serve the stream: {error}"))),
        None if old => Some(wrong("the server does not offer HTTP/2").seen("http/1.1")),
        None if case.snapshot.active.addresses.is_empty() && !case.snapshot.entry.secure => {
            return case.findings.skip(
                Check::C10,
                None,
                "no TLS is used, and addresses were not tried in this run",
            );
        }
        None => None,
    };
    case.findings.judge(Check::C10, None, evidence);
}

fn failover(case: &mut Case<'_>) {
    let locations = &case.snapshot.active.locations;
    if locations.is_empty() {
        return case.findings.skip(
            Check::C11,
            None,
            "there is no alternative location, or it was not tried in this run",
        );
    }
    let newest = locations
        .iter()
        .filter_map(|l| l.newest.as_ref().ok())
        .max()
        .copied();
    let limit = case.threshold(Check::C11, 2.0);
    let evidence = locations.iter().find_map(|l| match &l.newest {
        Err(error) => Some(wrong(format!("{} does not serve the stream: {error}", l.name))),
        Ok(number) => {
            let behind = newest?.saturating_sub(*number) as f64 / l.step.max(f64::MIN_POSITIVE);
            (behind > limit).then(|| {
                let what = wrong(format!("{} is behind the other locations", l.name));
                what.expected(format!("at most {limit:.0} segments"))
                    .seen(format!("{behind:.0}"))
            })
        }
    });
    case.findings.judge(Check::C11, None, evidence);
}

/// The check that a refusal for the lack of a good token belongs to.
pub(super) fn of_token(reason: Reason) -> Option<Check> {
    match reason {
        Reason::TokenRefused => Some(Check::C12),
        Reason::TokenNotPropagated => Some(Check::C14),
        _ => None,
    }
}

/// Something was refused although a good token was sent, or should have been carried on.
pub(super) fn refused(case: &mut Case<'_>, n: Option<usize>, reason: Reason, message: &str) {
    if let Some(check) = of_token(reason) {
        case.findings.fail(check, n, wrong(message).reason(reason));
    }
}

fn tokens(case: &mut Case<'_>) {
    if !case.snapshot.active.tokened {
        for check in [Check::C12, Check::C13, Check::C14] {
            case.findings.skip(check, None, "no token is set");
        }
        return;
    }
    for check in [Check::C12, Check::C14] {
        if !case.findings.0.iter().any(|f| f.check == check) {
            case.findings.ok(check, None);
        }
    }
    let trials = &case.snapshot.active.tokens;
    let granted = |t: &TokenTrial| matches!(t.status, Ok(200..=299));
    let good = |target: &str| {
        trials
            .iter()
            .any(|t| t.case.is_none() && t.target == target && granted(t))
    };
    // A refusal where a good token is refused as well proves nothing.
    let mut proven = trials
        .iter()
        .filter(|t| t.case.is_some() && good(t.target))
        .peekable();
    if proven.peek().is_none() {
        return case
            .findings
            .skip(Check::C13, None, "no bad token was tried in this run");
    }
    let leaks: Vec<_> = proven.filter(|t| granted(t)).collect();
    let evidence = leaks.first().and_then(|t| {
        let more = match leaks.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n.saturating_sub(1)),
        };
        Some(wrong(format!("the {} is served {}{more}", t.target, t.case?)).expected("a refusal"))
    });
    case.findings.judge(Check::C13, None, evidence);
}

fn cors(case: &mut Case<'_>) {
    if case.snapshot.active.cors.is_empty() {
        return case
            .findings
            .skip(Check::C06, None, "it was not tried in this run");
    }
    let evidence = case.snapshot.active.cors.iter().find_map(|(what, exchange)| {
        let none = Vec::new();
        let allowed = exchange
            .headers
            .get("access-control-allow-origin")
            .unwrap_or(&none);
        let varies = exchange
            .headers
            .get("vary")
            .into_iter()
            .flatten()
            .any(|v| v.to_ascii_lowercase().contains("origin") || v.trim() == "*");
        match allowed.as_slice() {
            [] => Some(wrong(format!(
                "the answer to {what} has no Access-Control-Allow-Origin"
            ))),
            [one] if one.contains(',') => Some(wrong(format!(
                "the answer to {what} allows several origins in one header"
            ))),
            [one] if one == "*" || varies => None,
            // One fixed origin needs no Vary, but then others may not read it.
            [_] => Some(wrong(format!(
                "the answer to {what} allows one origin and does not vary by it"
            ))),
            more => Some(
                wrong(format!(
                    "the answer to {what} has Access-Control-Allow-Origin twice"
                ))
                .seen(more.len().to_string()),
            ),
        }
    });
    case.findings.judge(Check::C06, None, evidence);
}

fn cached(case: &mut Case<'_>) {
    let Some(missing) = &case.snapshot.active.missing_segment else {
        return case
            .findings
            .skip(Check::C04, None, "it was not tried in this run");
    };
    let longest = case
        .edges()
        .map(|(_, _, e)| e.duration)
        .fold(0.0, f64::max)
        .max(1.0);
    let limit = case.threshold(Check::C04, 4.0 * longest);
    let segment = case
        .renditions()
        .find_map(|(n, r)| Some((n, r, r.newest.found()?)));
    let evidence = match (max_age(missing), segment) {
        (Some(age), _) if missing.status >= 400 && age > limit.ceil() => {
            let what = wrong("a missing segment may be remembered as missing for too long");
            Some(
                what.expected(format!("at most {}", seconds(limit)))
                    .seen(seconds(age)),
            )
        }
        (_, Some((_, rendition, segment))) if segment.exchange.cache("no-store").is_some() => {
            Some(wrong(format!("segments of {} may not be cached", rendition.label)).seen("no-store"))
        }
        _ => None,
    };
    case.findings.judge(Check::C04, None, evidence);
}
