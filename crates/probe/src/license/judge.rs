//! What an exchange means. Pure: the record alone decides, so that a replay decides alike.

use super::model::{Exchange, LicenseSummary, Message, Proof, Purpose, Shape, TokenKnown};
use drmwatch_api::{LicensePolicy, LicenseReason};
use drmwatch_media::{Kid, signal::from_guid};
use drmwatch_net::Failure;
use drmwatch_outcome::{Reason, Verdict};

/// What an exchange proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proved {
    /// The rung of the ladder.
    pub level: u8,
}

/// Judges one exchange.
pub fn judge(x: &Exchange) -> Result<Proved, Failure> {
    if let Some((verdict, message)) = &x.problem {
        return Err(Failure {
            verdict: *verdict,
            message: message.clone(),
        });
    }
    let level = match x.expected.purpose {
        Purpose::Certificate => certificate(x)?,
        Purpose::Malformed => malformed(x)?,
        Purpose::License | Purpose::Again | Purpose::Renewal | Purpose::PreviousPeriod => license(x)?,
        Purpose::Denied(_) | Purpose::Refused => denied(x)?,
        Purpose::Keys | Purpose::KeysAgain => keys(x)?,
        Purpose::Heartbeat => {
            if let Some(failure) = refused(x) {
                return Err(failure);
            }
            0
        }
    };
    Ok(Proved { level })
}

fn fail<T>(reason: Reason, message: String) -> Result<T, Failure> {
    Err(Failure::fail(reason, message))
}

/// The reason behind a word of the rules.
pub fn reason(word: LicenseReason) -> Reason {
    match word {
        LicenseReason::LicenseDenied => Reason::LicenseDenied,
        LicenseReason::LicenseServerError => Reason::LicenseServerError,
        LicenseReason::ChallengeRefused => Reason::ChallengeRefused,
        LicenseReason::KeyNotFound => Reason::KeyNotFound,
        LicenseReason::BackendUnavailable => Reason::BackendUnavailable,
        LicenseReason::RateLimited => Reason::RateLimited,
        LicenseReason::TokenExpired => Reason::TokenExpired,
        LicenseReason::TokenNotYetValid => Reason::TokenNotYetValid,
        LicenseReason::TokenInvalid => Reason::TokenInvalid,
        LicenseReason::TokenReused => Reason::TokenReused,
        LicenseReason::GeoDenied => Reason::GeoDenied,
        LicenseReason::ConcurrencyLimit => Reason::ConcurrencyLimit,
        LicenseReason::DeviceLimit => Reason::DeviceLimit,
        LicenseReason::DeviceRevoked => Reason::DeviceRevoked,
        LicenseReason::SecurityLevelTooLow => Reason::SecurityLevelTooLow,
        LicenseReason::LicenseClockSkewed => Reason::LicenseClockSkewed,
        LicenseReason::DrmCertificateExpired => Reason::DrmCertificateExpired,
    }
}

fn keyed(x: &Exchange) -> bool {
    x.expected.system.is_none()
}

/// What the server's own words mean, if they are a refusal.
fn said(x: &Exchange) -> Option<(LicenseReason, String)> {
    if matches!(x.message, Message::License(_)) {
        return None;
    }
    if let Some(rule) = &x.rule {
        return Some((rule.reason, format!("with {:?}", rule.text)));
    }
    match &x.message {
        Message::Refusal { code, text, reason } => {
            let text = if text.is_empty() {
                String::new()
            } else {
                format!(" ({text})")
            };
            Some((*reason, format!("with {code}{text}")))
        }
        _ => None,
    }
}

/// The failure that an answer is, where it is a refusal or an error.
fn refused(x: &Exchange) -> Option<Failure> {
    let host = &x.host;
    if let Some((word, text)) = said(x) {
        return Some(meaning(x, word, &text));
    }
    let status = x.status;
    let page = match x.shape {
        Shape::CaptivePortal => Some((
            Reason::CaptivePortal,
            "was answered for by a portal of the network on the way",
        )),
        Shape::LoginPage => Some((Reason::LoginPageServed, "answered with a login page")),
        Shape::BlockPage => Some((
            Reason::GatewayBlocked,
            "is behind a firewall that blocked the request",
        )),
        _ => None,
    };
    if let Some((reason, what)) = page {
        return Some(Failure::fail(reason, format!("{host} {what}, status {status}")));
    }
    if x.success() {
        return None;
    }
    let html = x.shape == Shape::Html;
    let (denied, error) = match keyed(x) {
        true => (Reason::KeyServerDenied, Reason::KeyServerError),
        false => (Reason::LicenseDenied, Reason::LicenseServerError),
    };
    let reason = match status {
        401 | 403 | 402 | 451 => denied,
        // An application's 404 says that it does not know the key; a web server's, that the URL is wrong.
        404 | 410 if html => Reason::NotFound,
        404 | 410 => Reason::KeyNotFound,
        400 | 415 | 422 => Reason::ChallengeRefused,
        429 => Reason::RateLimited,
        503 if x.retry_after => Reason::BackendUnavailable,
        300..=399 => Reason::UnexpectedStatus,
        _ => error,
    };
    let what = if keyed(x) {
        "request for keys"
    } else {
        "licence request"
    };
    Some(Failure::fail(
        reason,
        format!("{host} answered the {what} with {status}"),
    ))
}

/// What a server's word means, given what we know better.
fn meaning(x: &Exchange, word: LicenseReason, text: &str) -> Failure {
    let host = &x.host;
    let message = format!("{host} answered {} {text}", x.status);
    match word {
        LicenseReason::TokenExpired | LicenseReason::TokenNotYetValid
            if x.expected.token == TokenKnown::Opaque =>
        {
            Failure::inconclusive(
                Reason::TokenStale,
                format!("{message}: the stored token tells no date of its own, so a new one is needed first"),
            )
        }
        LicenseReason::LicenseClockSkewed if x.expected.recorded => Failure::inconclusive(
            Reason::RecordingStale,
            format!("{message}: it does not take a recorded request of that age"),
        ),
        word => {
            let reason = match (reason(word), keyed(x)) {
                (Reason::LicenseDenied, true) => Reason::KeyServerDenied,
                (Reason::LicenseServerError, true) => Reason::KeyServerError,
                (reason, _) => reason,
            };
            Failure::fail(reason, message)
        }
    }
}

/// A success that is not what it must be.
fn unread(x: &Exchange) -> Failure {
    let what = match x.shape {
        Shape::Empty => "nothing",
        Shape::Html => "a page of HTML",
        Shape::Json => "JSON that is none",
        Shape::Xml => "XML that is none",
        Shape::Text => "text that is none",
        _ => "bytes that are none",
    };
    let reason = match keyed(x) {
        true => Reason::KeyDocumentInvalid,
        false => Reason::NotALicense,
    };
    let wanted = match (keyed(x), x.expected.purpose) {
        (true, _) => "a CPIX document",
        (_, Purpose::Certificate) => "a certificate",
        _ => "a licence",
    };
    Failure::fail(
        reason,
        format!(
            "{} answered {} with {what} in place of {wanted}",
            x.host, x.status
        ),
    )
}

fn certificate(x: &Exchange) -> Result<u8, Failure> {
    let host = &x.host;
    if let Some(failure) = refused(x) {
        return Err(failure);
    }
    match &x.message {
        Message::ServiceCertificate {
            serial,
            provider,
            expires,
            problem,
            recording_serial,
        } => {
            if let Some(problem) = problem {
                return fail(
                    Reason::DrmCertificateInvalid,
                    format!("the service certificate of {host}: {problem}"),
                );
            }
            if let Some(expires) = expires.filter(|at| *at <= x.at) {
                return fail(
                    Reason::DrmCertificateExpired,
                    format!("the service certificate of {host} expired at {expires}"),
                );
            }
            if let Some(wanted) = x.expected.provider.as_ref().filter(|p| *p != provider) {
                return fail(
                    Reason::DrmCertificateInvalid,
                    format!(
                        "the service certificate of {host} must be of provider {wanted:?}; it is of {provider:?}"
                    ),
                );
            }
            stale(recording_serial, "service certificate", serial)?;
        }
        Message::ApplicationCertificate {
            hash,
            expires,
            recording_hash,
            not_before,
        } => {
            if let Some(expires) = expires.filter(|at| *at <= x.at) {
                return fail(
                    Reason::DrmCertificateExpired,
                    format!("the application certificate of {host} expired at {expires}"),
                );
            }
            if let Some(from) = not_before.filter(|at| *at > x.at) {
                return fail(
                    Reason::DrmCertificateInvalid,
                    format!("the application certificate of {host} is not valid before {from}"),
                );
            }
            stale(recording_hash, "application certificate", hash)?;
        }
        Message::Broken { problem } => {
            return fail(
                Reason::DrmCertificateInvalid,
                format!("the certificate of {host}: {problem}"),
            );
        }
        _ => return Err(unread(x)),
    }
    Ok(1)
}

fn stale(recorded: &Option<String>, what: &str, now: &str) -> Result<(), Failure> {
    match recorded {
        None => Ok(()),
        Some(then) => Err(Failure::inconclusive(
            Reason::RecordingStale,
            format!(
                "the recorded challenge was made for the {what} {then}; the server's is {now}: record a new one"
            ),
        )),
    }
}

fn malformed(x: &Exchange) -> Result<u8, Failure> {
    let (host, status) = (&x.host, x.status);
    if let Message::License(found) = &x.message {
        // What can't be looked into is a licence only by its frame.
        if found.kids.as_ref().is_none_or(|k| !k.is_empty()) {
            return fail(
                Reason::EntitlementLeak,
                format!("{host} granted a licence to a request that nobody signed"),
            );
        }
    }
    let page = matches!(
        x.shape,
        Shape::Html | Shape::LoginPage | Shape::BlockPage | Shape::CaptivePortal
    );
    match (status, x.shape) {
        (429, _) => fail(Reason::RateLimited, format!("{host} answered 429")),
        (_, Shape::CaptivePortal | Shape::LoginPage) => Err(refused(x).unwrap_or_else(|| unread(x))),
        (200..=299, Shape::Html) => fail(
            Reason::NotALicense,
            format!("{host} answered a request that must be refused with {status} and a page"),
        ),
        // The form of an application's error differs from vendor to vendor; a gateway's is a page.
        (502..=504, _) if page => fail(
            Reason::LicenseServerError,
            format!("{host} answered {status}: a gateway, and no licence server behind it"),
        ),
        // A page refuses as well, but proves nothing of the application.
        _ => Ok(if page { 0 } else { 2 }),
    }
}

fn denied(x: &Exchange) -> Result<u8, Failure> {
    let (host, status) = (&x.host, x.status);
    let what = match x.expected.purpose {
        Purpose::Denied(flaw) => format!("a request with the flaw {flaw:?}"),
        _ => "what it must refuse".to_owned(),
    };
    if matches!(x.message, Message::License(_)) {
        return fail(Reason::EntitlementLeak, format!("{host} granted {what}"));
    }
    let said = said(x);
    let in_form = said.is_some() && !x.expected.reasons.is_empty()
        || matches!(x.message, Message::Refusal { .. })
        || said.is_some() && !x.success();
    if status == 429 && !x.expected.statuses.contains(&429) {
        return fail(Reason::RateLimited, format!("{host} answered {what} with 429"));
    }
    if !in_form && !x.expected.statuses.contains(&status) {
        if matches!(status, 502..=504) {
            return fail(
                Reason::LicenseServerError,
                format!("{host} answered {what} with {status}"),
            );
        }
        let how = match x.success() {
            true => format!("it answered {status} without a licence"),
            false => format!("it answered {status}, not one of {:?}", x.expected.statuses),
        };
        return fail(
            Reason::WrongRefusal,
            format!("{host} did not refuse {what} as it must: {how}"),
        );
    }
    if !x.expected.reasons.is_empty() {
        let word = said.as_ref().map(|(word, _)| *word);
        if !word.is_some_and(|w| x.expected.reasons.contains(&w)) {
            let gave = word.map_or("no reason that is known".to_owned(), |w| format!("{w:?}"));
            return fail(
                Reason::WrongRefusal,
                format!(
                    "{host} refused {what} with {gave}; it must be one of {:?}",
                    x.expected.reasons
                ),
            );
        }
    }
    Ok(0)
}

fn license(x: &Exchange) -> Result<u8, Failure> {
    let host = &x.host;
    if let Some(failure) = refused(x) {
        return Err(failure);
    }
    let found = match &x.message {
        Message::License(found) => found,
        Message::Broken { problem } => {
            return fail(
                Reason::LicenseInvalid,
                format!("the licence of {host}: {problem}"),
            );
        }
        _ => return Err(unread(x)),
    };
    let stale = |why: String| fail(Reason::LicenseStale, format!("the licence of {host} {why}"));
    if found.answers_request == Some(false) {
        return stale("answers another request: it is a cached or mixed-up one".into());
    }
    if x.same_as_before {
        return stale("is byte for byte the one before: it comes from a cache".into());
    }
    if let Some(age) = x.age.filter(|age| *age > 0) {
        return stale(format!("comes from a cache, where it was for {age} s"));
    }
    match &found.proof {
        Proof::Invalid(why) => {
            return fail(
                Reason::LicenseSignatureInvalid,
                format!("the licence of {host}: {why}"),
            );
        }
        Proof::NotVerifiable(why) => {
            return Err(Failure::inconclusive(
                Reason::LicenseNotVerifiable,
                format!("the licence of {host}: {why}"),
            ));
        }
        Proof::NotLookedAt | Proof::Verified => {}
    }
    if found.can_play == Some(false) {
        return fail(
            Reason::PolicyDrift,
            format!("the licence of {host} does not allow playing"),
        );
    }
    if let Some(held) = &found.kids {
        complete(host, &x.expected.kids, held)?;
    }
    clocks(x, found)?;
    if let Some(policy) = &x.expected.policy {
        drift(host, policy, found)?;
    }
    Ok(if x.expected.recorded { 3 } else { 4 })
}

/// The licence must hold a key for every key id asked for.
fn complete(host: &str, asked: &[Kid], held: &[Kid]) -> Result<(), Failure> {
    let Some(kid) = asked.iter().find(|k| !held.contains(k)) else {
        return Ok(());
    };
    let turned = from_guid(kid.0);
    if held.contains(&turned) {
        return fail(
            Reason::KeyMissing,
            format!(
                "the licence of {host} must hold a key for {kid}; it holds {turned}, the same with its bytes in GUID order"
            ),
        );
    }
    let texts: Vec<String> = held.iter().take(8).map(Kid::to_string).collect();
    let held = match texts.is_empty() {
        true => "none".to_owned(),
        false => texts.join(", "),
    };
    fail(
        Reason::KeyMissing,
        format!("the licence of {host} must hold a key for {kid}; it holds {held}"),
    )
}

fn clocks(x: &Exchange, found: &LicenseSummary) -> Result<(), Failure> {
    let (host, most) = (&x.host, x.expected.max_clock_skew_seconds);
    let apart = |at: jiff::Timestamp| at.duration_since(x.at).as_secs();
    if let Some(off) = x.date.map(apart).filter(|s| s.abs() > most) {
        return Err(Failure::inconclusive(
            Reason::ClocksDisagree,
            format!(
                "the clock of {host} and that of this runner are {} s apart",
                off.abs()
            ),
        ));
    }
    if let Some(off) = found.issued.map(apart).filter(|s| s.abs() > most) {
        return fail(
            Reason::LicenseClockSkewed,
            format!(
                "the licence of {host} is dated {} s {} its answer",
                off.abs(),
                if off > 0 { "after" } else { "before" }
            ),
        );
    }
    if let Some(expires) = found.expires.filter(|at| *at <= x.at) {
        return fail(
            Reason::LicenseInvalid,
            format!("the licence of {host} has expired already, at {expires}"),
        );
    }
    if let Some(expires) = found.signer_expires.filter(|at| *at <= x.at) {
        return fail(
            Reason::DrmCertificateExpired,
            format!("the certificate that signs the licences of {host} expired at {expires}"),
        );
    }
    Ok(())
}

fn drift(host: &str, policy: &LicensePolicy, found: &LicenseSummary) -> Result<(), Failure> {
    let drifted = |what: &str, must: String, is: String| -> Result<(), Failure> {
        fail(
            Reason::PolicyDrift,
            format!("{what} of the licence of {host} must be {must}; it is {is}"),
        )
    };
    // Nought is without an end.
    let seconds = found.duration_seconds.map(|s| if s == 0 { u64::MAX } else { s });
    let shown = |s: Option<u64>| match s {
        None => "not given".to_owned(),
        Some(u64::MAX) => "without an end".to_owned(),
        Some(s) => format!("{s} s"),
    };
    if let Some(least) = policy.min_duration_seconds.map(i64::unsigned_abs)
        && seconds.is_none_or(|s| s < least)
    {
        return drifted("the duration", format!("at least {least} s"), shown(seconds));
    }
    if let Some(most) = policy.max_duration_seconds.map(i64::unsigned_abs)
        && seconds.is_none_or(|s| s > most)
    {
        return drifted("the duration", format!("at most {most} s"), shown(seconds));
    }
    if let Some(least) = policy.hdcp
        && found.hdcp.is_none_or(|h| h < least)
    {
        let is = found.hdcp.map_or("not given".to_owned(), |h| format!("{h:?}"));
        return drifted("the HDCP version", format!("at least {least:?}"), is);
    }
    if let Some(least) = policy.security_level
        && found.security_level.is_none_or(|l| l < least)
    {
        let is = found
            .security_level
            .map_or("not given".to_owned(), |l| l.to_string());
        return drifted("the security level", format!("at least {least}"), is);
    }
    if let Some(least) = &policy.output_protection {
        let holds = found.output_protection.is_some_and(|levels| {
            let pairs = levels.iter().zip(least);
            pairs.into_iter().all(|(is, least)| i32::from(*is) >= *least)
        });
        if !holds {
            let is = found
                .output_protection
                .map_or("not given".to_owned(), |l| format!("{l:?}"));
            return drifted("the output protection", format!("at least {least:?}"), is);
        }
    }
    for (what, must, is) in [
        ("whether it may be kept", policy.can_persist, found.can_persist),
        ("whether it is renewed", policy.can_renew, found.can_renew),
    ] {
        if let Some(must) = must
            && is != Some(must)
        {
            let is = is.map_or("not given".to_owned(), |is| is.to_string());
            return drifted(what, must.to_string(), is);
        }
    }
    Ok(())
}

fn keys(x: &Exchange) -> Result<u8, Failure> {
    if let Some(failure) = refused(x) {
        return Err(failure);
    }
    let host = &x.host;
    match &x.message {
        Message::Keys { changed: true, .. } => fail(
            Reason::KeyChanged,
            format!("{host} gave another key for the same content and key id a moment later"),
        ),
        Message::Keys { problem: None, .. } => Ok(5),
        Message::Keys {
            problem: Some(problem),
            ..
        } => {
            let reason = match problem.kids {
                true => Reason::KeyServerKidMismatch,
                false => Reason::KeyDocumentInvalid,
            };
            fail(reason, format!("the answer of {host}: {}", problem.text))
        }
        Message::Broken { problem } => fail(
            Reason::KeyDocumentInvalid,
            format!("the answer of {host}: {problem}"),
        ),
        _ => Err(unread(x)),
    }
}

/// Judges a record again: the first exchange that does not pass decides.
pub fn again(exchanges: &[Exchange]) -> (Verdict, String) {
    for exchange in exchanges {
        if let Err(failure) = judge(exchange) {
            return (failure.verdict, failure.message);
        }
    }
    (Verdict::Pass, String::new())
}
