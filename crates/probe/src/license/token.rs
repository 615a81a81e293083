//! The token that a licence server demands: looked at before it is sent, or made.

use super::model::TokenKnown;
use crate::run::Context;
use drmwatch_api::{LicenseToken, MintToken, TokenAlgorithm, TokenDates};
use drmwatch_net::Failure;
use drmwatch_outcome::Reason;
use drmwatch_tokens::{JwtAlgorithm, JwtFacts, JwtProblem, JwtSigner};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// What a server's clock may be off before its word on a token is doubted.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// When a minted token is to be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    Now,
    Before,
    Later,
}

/// Where a token travels.
pub(super) enum Carrier {
    Header(String, String),
    Query(String, String),
}

/// How the token travels.
pub(super) fn carry(token: &LicenseToken, value: String) -> Carrier {
    if let Some(name) = &token.query {
        return Carrier::Query(name.clone(), value);
    }
    let name = token.header.clone().unwrap_or_else(|| "Authorization".into());
    let bearer = name.eq_ignore_ascii_case("authorization");
    let prefix = token
        .prefix
        .clone()
        .unwrap_or_else(|| if bearer { "Bearer ".into() } else { String::new() });
    Carrier::Header(name, format!("{prefix}{value}"))
}

/// The token of a right request.
pub(super) fn good(
    context: &mut Context<'_, '_>,
    token: &LicenseToken,
) -> Result<(String, TokenKnown), Failure> {
    if let Some(mint) = &token.mint {
        let minted = mint_token(context, mint, None, Validity::Now)?;
        return Ok((minted, TokenKnown::Valid));
    }
    let name = token.credential.as_deref().unwrap_or_default();
    stored(context, name)
}

/// A stored token. One that has expired by its own date is the operator's to renew, and nobody's outage.
pub(super) fn stored(context: &mut Context<'_, '_>, name: &str) -> Result<(String, TokenKnown), Failure> {
    let value = context.scope.credential(name)?.trim().to_owned();
    let Some(facts) = JwtFacts::read(&value) else {
        return Ok((value, TokenKnown::Opaque));
    };
    let earlier = context.facts.credential_not_after;
    context.facts.credential_not_after = [earlier, facts.expires].into_iter().flatten().min();
    let stale = |what: String| {
        Err(Failure::inconclusive(
            Reason::TokenStale,
            format!("the token of the credential {name} {what}"),
        ))
    };
    match facts.problem((context.clock)(), TOLERANCE) {
        Some(JwtProblem::Expired(at)) => stale(format!("expired at {at}: a new one is needed")),
        Some(JwtProblem::NotYetValid(at)) => stale(format!("is not valid before {at}")),
        None if facts.expires.is_none() => Ok((value, TokenKnown::Opaque)),
        None => Ok((value, TokenKnown::Valid)),
    }
}

/// Makes a token.
pub(super) fn mint_token(
    context: &mut Context<'_, '_>,
    mint: &MintToken,
    claims: Option<&str>,
    validity: Validity,
) -> Result<String, Failure> {
    let unusable = |message: String| Failure::inconclusive(Reason::ConfigurationInvalid, message);
    let key = context.scope.credential(&mint.key_credential)?;
    let algorithm = match mint.algorithm {
        TokenAlgorithm::Hs256 => JwtAlgorithm::Hs256,
        TokenAlgorithm::Rs256 => JwtAlgorithm::Rs256,
        TokenAlgorithm::Es256 => JwtAlgorithm::Es256,
    };
    let signer = JwtSigner::new(algorithm, &key, mint.key_id.clone())
        .map_err(|e| unusable(format!("the credential {}: {e}", mint.key_credential)))?;
    let text = context.scope.fill(claims.unwrap_or(&mint.claims))?;
    let mut claims: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|_| unusable("the claims of the token must be a JSON object".into()))?;
    let lifetime = SignedDuration::from_secs(i64::from(mint.lifetime_seconds));
    let now = (context.clock)();
    // Far enough from now that no tolerance of a server's covers it.
    let from = match validity {
        Validity::Now => now - TOLERANCE,
        Validity::Before => now - SignedDuration::from_hours(24) - lifetime,
        Validity::Later => now + SignedDuration::from_hours(24),
    };
    dates(&mut claims, mint.dates, from, from + lifetime + TOLERANCE);
    let token = signer.mint(&claims).map_err(|e| unusable(e.to_string()))?;
    context.scope.redactor.add(&token);
    Ok(token)
}

fn dates(claims: &mut Map<String, Value>, form: TokenDates, from: Timestamp, until: Timestamp) {
    match form {
        TokenDates::Standard => {
            claims.insert("iat".into(), from.as_second().into());
            claims.insert("nbf".into(), from.as_second().into());
            claims.insert("exp".into(), until.as_second().into());
        }
        TokenDates::Axinom => {
            let text = |at: Timestamp| Value::String(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            claims.insert("begin_date".into(), text(from));
            claims.insert("expiration_date".into(), text(until));
        }
    }
}
