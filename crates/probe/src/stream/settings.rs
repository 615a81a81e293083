//! From what users write to what judges take.

use drmwatch_api::{CheckGroup, CheckSeverity, EncryptionPolicy, SignalledSystem, StreamStep};
use drmwatch_checks::{Check, Encryption, Expectations, Group, Settings, Severity};
use drmwatch_media::{Kid, signal::system};
use drmwatch_net::Failure;
use drmwatch_outcome::Reason;

/// The settings of a step.
pub(super) fn of(spec: &StreamStep) -> Result<Settings, Failure> {
    let unusable = |e: String| Failure::inconclusive(Reason::ConfigurationInvalid, e);
    let check = |id: &String| Check::parse(id).ok_or_else(|| unusable(format!("there is no check {id}")));
    let checks = &spec.checks;
    let mut settings = Settings {
        fail_on: severity(checks.fail_on),
        least: checks.least.map_or(Severity::Warning, severity),
        disabled_groups: checks.disabled_groups.iter().map(|g| group(*g)).collect(),
        disabled: checks.disabled.iter().map(check).collect::<Result<_, _>>()?,
        ..Settings::default()
    };
    for threshold in &checks.thresholds {
        let value = threshold
            .value
            .parse()
            .map_err(|_| unusable(format!("the threshold of {} must be a number", threshold.check)))?;
        settings.thresholds.insert(check(&threshold.check)?, value);
    }
    if let Some(seconds) = spec.max_live_edge_age_seconds {
        for check in [Check::L01, Check::L19] {
            settings.thresholds.entry(check).or_insert(f64::from(seconds));
        }
    }
    let kid = |text: &String| Kid::parse(text).map_err(|e| unusable(e.to_string()));
    let expected = &spec.expected;
    settings.expect = Expectations {
        live: spec.live,
        kids: spec.kids.iter().map(kid).collect::<Result<_, _>>()?,
        encryption: match expected.encryption {
            EncryptionPolicy::Any => Encryption::Any,
            EncryptionPolicy::Required => Encryption::Required,
            EncryptionPolicy::Forbidden => Encryption::Forbidden,
        },
        systems: expected.drm_systems.iter().map(|s| system_id(*s)).collect(),
        min_rungs: expected.min_rungs.and_then(|n| u32::try_from(n).ok()),
        bitrates: expected
            .bitrates_kbps
            .iter()
            .filter_map(|n| Some(u64::try_from(*n).ok()? * 1000))
            .collect(),
        audio_languages: expected.audio_languages.clone(),
        subtitle_languages: expected.subtitle_languages.clone(),
        key_per_quality: expected.key_per_quality,
    };
    Ok(settings)
}

fn severity(of: CheckSeverity) -> Severity {
    match of {
        CheckSeverity::Page => Severity::Page,
        CheckSeverity::Ticket => Severity::Ticket,
        CheckSeverity::Warning => Severity::Warning,
    }
}

fn group(of: CheckGroup) -> Group {
    match of {
        CheckGroup::Manifest => Group::Manifest,
        CheckGroup::LiveEdge => Group::LiveEdge,
        CheckGroup::Segment => Group::Segment,
        CheckGroup::Drm => Group::Drm,
        CheckGroup::Delivery => Group::Delivery,
        CheckGroup::Ladder => Group::Ladder,
        CheckGroup::Renditions => Group::Renditions,
        CheckGroup::Ads => Group::Ads,
    }
}

fn system_id(of: SignalledSystem) -> [u8; 16] {
    match of {
        SignalledSystem::Widevine => system::WIDEVINE,
        SignalledSystem::PlayReady => system::PLAYREADY,
        SignalledSystem::FairPlay => system::FAIRPLAY,
        SignalledSystem::ClearKey => system::CLEAR_KEY,
    }
}
