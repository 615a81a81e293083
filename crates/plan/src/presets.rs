//! Vendors' forms as data (`presets/*.yaml`): what a preset says is put into the step when its plan is made, so that a
//! plan says all that is done.

use drmwatch_api::{DrmSystem, ErrorRule, LicenseRequest, LicenseResponse, LicenseStep, Preset, Step};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a preset's file holds.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Forms {
    token: Carrier,
    systems: BTreeMap<String, Wrapper>,
    error_rules: Vec<ErrorRule>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Carrier {
    header: Option<String>,
    prefix: Option<String>,
    query: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Wrapper {
    request: Option<LicenseRequest>,
    response: Option<LicenseResponse>,
}

const COMMON: &str = include_str!("../presets/common.yaml");

fn text(preset: Preset) -> &'static str {
    match preset {
        Preset::Axinom => include_str!("../presets/axinom.yaml"),
        Preset::BuyDrm => include_str!("../presets/buydrm.yaml"),
        Preset::DrmToday => include_str!("../presets/drmtoday.yaml"),
        Preset::DoveRunner => include_str!("../presets/doverunner.yaml"),
        Preset::EzDrm => include_str!("../presets/ezdrm.yaml"),
        Preset::ExpressPlay => include_str!("../presets/expressplay.yaml"),
        Preset::FairPlaySdk => include_str!("../presets/fairplay-sdk.yaml"),
        Preset::Gumlet => include_str!("../presets/gumlet.yaml"),
        Preset::Nagra => include_str!("../presets/nagra.yaml"),
        Preset::VdoCipher => include_str!("../presets/vdocipher.yaml"),
        Preset::Verimatrix => include_str!("../presets/verimatrix.yaml"),
    }
}

/// The forms of a text; a test holds every one of ours to be readable.
fn forms(text: &str) -> Forms {
    serde_saphyr::from_str(text).unwrap_or_default()
}

/// Codes of vendors that can't be mistaken for anything else.
pub fn common_error_rules() -> Vec<ErrorRule> {
    forms(COMMON).error_rules
}

/// The step with its preset's forms in it. What the step says itself stands.
pub(crate) fn resolve(step: &Step) -> Step {
    let mut step = step.clone();
    if let Some(license) = &mut step.license {
        fill(license);
    }
    step
}

fn fill(license: &mut LicenseStep) {
    if let Some(preset) = license.preset {
        let found = forms(text(preset));
        if let Some(token) = &mut license.token
            && token.header.is_none()
            && token.query.is_none()
        {
            token.header = found.token.header;
            token.query = found.token.query;
            token.prefix = token.prefix.take().or(found.token.prefix);
        }
        let system = match license.system {
            DrmSystem::Widevine => "Widevine",
            DrmSystem::PlayReady => "PlayReady",
            DrmSystem::FairPlay => "FairPlay",
            DrmSystem::ClearKey => "ClearKey",
            DrmSystem::Proprietary => "Proprietary",
        };
        let wrapper = found.systems.into_iter().find(|(name, _)| name == system);
        if let Some((_, wrapper)) = wrapper {
            if let Some(theirs) = wrapper.request {
                let own = license.request.take().unwrap_or_default();
                license.request = Some(LicenseRequest {
                    method: own.method.or(theirs.method),
                    query: if own.query.is_empty() {
                        theirs.query
                    } else {
                        own.query
                    },
                    content_type: own.content_type.or(theirs.content_type),
                    encoding: own.encoding.or(theirs.encoding),
                    field: own.field.or(theirs.field),
                    body: own.body.or(theirs.body),
                });
            }
            license.response = license.response.take().or(wrapper.response);
        }
        license.error_rules.extend(found.error_rules);
    }
    license.error_rules.extend(common_error_rules());
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_api::{BodyEncoding, LicenseReason, LicenseToken};

    const ALL: [Preset; 11] = [
        Preset::Axinom,
        Preset::BuyDrm,
        Preset::DrmToday,
        Preset::DoveRunner,
        Preset::EzDrm,
        Preset::ExpressPlay,
        Preset::FairPlaySdk,
        Preset::Gumlet,
        Preset::Nagra,
        Preset::VdoCipher,
        Preset::Verimatrix,
    ];

    #[test]
    fn every_preset_is_readable_documented_and_its_rules_work() {
        let page = include_str!("../../../docs/licences.md");
        for (preset, text) in ALL.iter().map(|p| (Some(p), text(*p))).chain([(None, COMMON)]) {
            let found: Forms = serde_saphyr::from_str(text).unwrap();
            for rule in &found.error_rules {
                regex::Regex::new(rule.regex.as_deref().unwrap()).unwrap();
            }
            let Some(preset) = preset else { continue };
            let name = serde_json::to_value(preset).unwrap();
            let row = format!("| `{}` | unverified against the vendor |", name.as_str().unwrap());
            assert!(page.contains(&row), "docs/licences.md must have a row {row}");
        }
    }

    #[test]
    fn what_the_step_says_stands_before_the_preset() {
        let mut license = LicenseStep::new(DrmSystem::FairPlay, "https://x/");
        license.preset = Some(Preset::Verimatrix);
        license.request = Some(LicenseRequest {
            field: Some("/other".into()),
            ..LicenseRequest::default()
        });
        license.token = Some(LicenseToken {
            credential: Some("t".into()),
            mint: None,
            header: None,
            prefix: None,
            query: None,
        });
        license.error_rules = vec![ErrorRule {
            status: Some(418),
            header: None,
            json_pointer: None,
            regex: None,
            reason: LicenseReason::GeoDenied,
        }];
        fill(&mut license);
        let request = license.request.unwrap();
        assert_eq!(
            (request.field.as_deref(), request.encoding),
            (Some("/other"), Some(BodyEncoding::Json))
        );
        let token = license.token.unwrap();
        assert_eq!(
            (token.header.as_deref(), token.prefix.as_deref()),
            (Some("Authorization"), Some(""))
        );
        assert_eq!(license.error_rules[0].status, Some(418));
        assert!(license.error_rules.len() > 5);
    }
}
