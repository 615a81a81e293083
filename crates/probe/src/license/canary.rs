//! ClearKey canaries, whose keys are public by design: the newest segment must open with the licence's key.

use super::model::{Exchange, Purpose};
use crate::{run::Context, stream::Finding};
use drmwatch_drm::{canary, clearkey};
use drmwatch_net::Failure;
use drmwatch_outcome::Reason;

/// Opens the canary with the keys of a licence.
pub(super) fn open(
    context: &mut Context<'_, '_>,
    finding: Option<&Finding>,
    body: &[u8],
) -> Result<(), Failure> {
    let opened = opened(finding, body);
    if let Err(failure) = &opened
        && let Some(last) = context.exchanges.last()
    {
        // The key is not kept, so what was found is.
        let mut expected = last.expected.clone();
        expected.purpose = Purpose::License;
        let at = (context.clock)();
        let record = Exchange::problem(expected, at, failure.verdict, failure.message.clone());
        context.exchanges.push(record);
    }
    opened
}

fn opened(finding: Option<&Finding>, body: &[u8]) -> Result<(), Failure> {
    let unverifiable = |why: String| Failure::inconclusive(Reason::CanaryNotVerifiable, why);
    let license = clearkey::parse(body).map_err(|e| Failure::fail(Reason::LicenseInvalid, e.to_string()))?;
    let (track, segment) = finding
        .and_then(|f| f.canary.as_ref())
        .ok_or_else(|| unverifiable("the stream has no AAC track with scheme cenc to open".into()))?;
    match canary::opens(track, segment, &license) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::fail(
            Reason::CanaryNotOpened,
            "the newest audio segment does not open with the key of the licence: key and content differ",
        )),
        Err(canary::CanaryError::Segment(error)) => {
            Err(Failure::fail(Reason::SegmentInvalid, error.to_string()))
        }
        Err(error @ canary::CanaryError::NoKey(_)) => {
            Err(Failure::fail(Reason::KeyMissing, error.to_string()))
        }
        Err(error) => Err(unverifiable(error.to_string())),
    }
}
