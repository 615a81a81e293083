//! What a token can lack: one request for each that a server must refuse.

use super::{Grant, Proof, Scheme, SignError};
use jiff::{SignedDuration, Timestamp};
use std::net::{IpAddr, Ipv4Addr};

/// Far enough from now that no server's clock excuses it.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// An address of documentation (RFC 5737), from which nobody asks.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One way in which a token is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// There is none.
    Absent,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// A character of its signature is another.
    Tampered,
    /// It is for another path.
    OtherPath,
    /// It is for another address.
    OtherAddress,
    /// It was right and has been revoked.
    Revoked,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Flaw; 7] = [
        Flaw::Absent,
        Flaw::Expired,
        Flaw::NotYetValid,
        Flaw::Tampered,
        Flaw::OtherPath,
        Flaw::OtherAddress,
        Flaw::Revoked,
    ];

    /// For a sentence that begins with `the segment is served`.
    pub fn words(self) -> &'static str {
        match self {
            Flaw::Absent => "without a token",
            Flaw::Expired => "with a token that has expired",
            Flaw::NotYetValid => "with a token that is not valid yet",
            Flaw::Tampered => "with a token whose signature was altered",
            Flaw::OtherPath => "with a token for another path",
            Flaw::OtherAddress => "with a token for another address",
            Flaw::Revoked => "with a token that was revoked",
        }
    }

    /// A proof with this flaw, as `scheme` would make it from a good grant. `Ok(None)` where the scheme has no
    /// such field, so that the flaw can't be told; and for [`Flaw::Revoked`], which only its issuer can make.
    pub fn of(self, scheme: &Scheme, good: &Grant, now: Timestamp) -> Result<Option<Proof>, SignError> {
        let mut grant = good.clone();
        match self {
            Flaw::Absent => return Ok(Some(Proof::default())),
            Flaw::Revoked => return Ok(None),
            Flaw::Expired => {
                grant.expires = now - HOUR;
                grant.not_before = grant.not_before.map(|_| now - HOUR * 2);
            }
            Flaw::NotYetValid => {
                grant.not_before = Some(now + HOUR);
                grant.expires = now + HOUR * 2;
            }
            Flaw::Tampered => return Ok(Some(tamper(scheme.sign(good)?))),
            Flaw::OtherPath => return other_path(scheme, grant),
            Flaw::OtherAddress => grant.address = Some(ELSEWHERE),
        }
        match scheme.sign(&grant) {
            Err(SignError::Unsupported { .. }) => Ok(None),
            other => other.map(Some),
        }
    }
}

/// Another character in the middle of the signature: what it protects stays the same. The last one may hold
/// bits that no decoder looks at.
fn tamper(mut proof: Proof) -> Proof {
    let signs = ["md5", "hash", "sig", "Signature", "CloudFront-Signature"];
    let pairs = || proof.query.iter().chain(&proof.cookies).chain(&proof.headers);
    let named = pairs().position(|(name, _)| {
        signs
            .iter()
            .any(|s| name == s || (s == &"hash" && name.ends_with(s)))
    });
    // One value is the whole token, and ends with its signature.
    let at = named.unwrap_or(0);
    let (queries, cookies) = (proof.query.len(), proof.cookies.len());
    let pair = match at {
        n if n < queries => proof.query.get_mut(n),
        n if n < queries + cookies => proof.cookies.get_mut(n - queries),
        n => proof.headers.get_mut(n - queries - cookies),
    };
    if let Some((_, value)) = pair {
        let place = value.len().saturating_sub(8);
        if let Some(old) = value.get(place..place + 1) {
            let new = if old == "0" { "1" } else { "0" };
            value.replace_range(place..place + 1, new);
        }
    }
    proof
}

fn other_path(scheme: &Scheme, mut grant: Grant) -> Result<Option<Proof>, SignError> {
    const OTHER: &str = "/drmwatch-other/";
    grant.url.set_path(&format!("{OTHER}x/y"));
    let mut scheme = scheme.clone();
    match &mut scheme {
        Scheme::AkamaiEdgeAuth(s) if !s.acl.is_empty() => s.acl = vec![format!("{OTHER}*")],
        Scheme::CloudFront(s) => s.move_to(&grant.url),
        Scheme::CommonAccessToken(s) => s.path_prefix = Some(OTHER.into()),
        _ => {}
    }
    scheme.sign(&grant).map(Some)
}
