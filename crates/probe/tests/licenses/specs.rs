//! A step of each system, with all that it can be given.

/// The systems of the table.
pub const SYSTEMS: [&str; 7] = [
    "Widevine",
    "Widevine, recorded",
    "PlayReady",
    "FairPlay",
    "ClearKey",
    "Proprietary",
    "Key server",
];

const TOKEN: &str =
    "token: {mint: {algorithm: HS256, keyCredential: token-key, claims: '{\"asset\": \"canary\"}'}}";
const KIDS: &str = "kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]";
/// A vendor whose codes nobody knows.
const RULES: &str = "errorRules: [{regex: too_many_streams, reason: ConcurrencyLimit}, {regex: too_many_devices, reason: DeviceLimit}, {jsonPointer: /code, regex: device_revoked, reason: DeviceRevoked}, {status: 403, regex: security_level, reason: SecurityLevelTooLow}, {regex: client_clock, reason: LicenseClockSkewed}]";
const DENY: &str = "\n  expectDenied: {variants: [{flaw: NoToken}, {flaw: ExpiredToken, reasons: [TokenExpired]}, {flaw: NotYetValidToken, reasons: [TokenNotYetValid]}, {flaw: TamperedToken, reasons: [TokenInvalid]}, {flaw: NoEntitlement, claims: '{\"asset\": \"canary\", \"entitled\": false}', reasons: [LicenseDenied]}, {flaw: OtherAsset, claims: '{\"asset\": \"other\"}'}, {flaw: WrongGeo, headers: [{name: x-forwarded-for, value: 203.0.113.9}], reasons: [GeoDenied]}, {flaw: OverDeviceLimit, headers: [{name: x-device-id, value: one-too-many}], reasons: [DeviceLimit]}]}";

pub const DEVICE: &str = "challenge: {device: {clientIdCredential: device-id, privateKeyCredential: device-key, provenance: 'made for tests'}}";

pub fn license(system: &str, path: &str, rest: &str) -> String {
    format!(
        "timeoutSeconds: 30\nsteps:\n- name: license\n  license: {{system: {system}, url: HTTP/drm/{path}/license, {TOKEN}, {RULES}{rest}}}"
    )
}

/// The step of a system.
pub fn spec(system: &str) -> String {
    match system {
        "Widevine" => {
            let rest = format!(
                ", {KIDS}, {DEVICE}, widevine: {{rootCredential: wv-root, provider: drm.town}}, policy: {{minDurationSeconds: 3600, maxDurationSeconds: 90000, hdcp: '2.0', securityLevel: 3, canPersist: false, canRenew: true}}, rehearse: {{renewal: true, freshness: true}}"
            );
            license("Widevine", "widevine", &rest) + DENY
        }
        "Widevine, recorded" => {
            let rest = format!(
                ", {KIDS}, challenge: {{recordedCredential: challenge}}, widevine: {{rootCredential: wv-root}}"
            );
            license("Widevine", "widevine", &rest)
        }
        "PlayReady" => {
            let rest = format!(
                ", {KIDS}, challenge: {{recordedCredential: pr-challenge}}, playReady: {{rootCredential: pr-root}}, policy: {{minDurationSeconds: 3600, maxDurationSeconds: 90000, securityLevel: 2000, outputProtection: [250, 270, 100, 0, 0]}}, rehearse: {{freshness: true}}"
            );
            license("PlayReady", "playready", &rest) + DENY
        }
        "FairPlay" => {
            let rest = format!(
                ", {KIDS}, challenge: {{recordedCredential: spc}}, fairPlay: {{certificateUrl: HTTP/drm/fairplay/certificate}}, rehearse: {{freshness: true}}"
            );
            license("FairPlay", "fairplay", &rest) + DENY
        }
        "ClearKey" => {
            let list = DENY.strip_suffix("]}").unwrap();
            let wrong = "{flaw: WrongKid, kids: [00000000-0000-0000-0000-00000000dead], statuses: [404], reasons: [KeyNotFound]}";
            license(
                "ClearKey",
                "clearkey",
                &format!(", {KIDS}, rehearse: {{renewal: true, rotation: true}}"),
            ) + &format!("{list}, {wrong}]}}")
        }
        "Proprietary" => {
            let rest = ", request: {body: '{\"player\": \"drmwatch\"}'}, response: {extraction: JsonPointer, field: /ticket}";
            license("Proprietary", "proprietary", rest) + DENY
        }
        "Key server" => key_server("SPEKE-2.0", "2.0", true),
        other => panic!("no such system: {other}"),
    }
}

/// A key server's step.
pub fn key_server(protocol: &str, path: &str, encrypted: bool) -> String {
    format!(
        "timeoutSeconds: 30\nsteps:\n- name: keys\n  keyServer: {{protocol: {protocol}, url: HTTP/drm/speke/{path}, contentId: canary, keys: [{{kid: a7e61c37-3e21-9033-c210-91fa607bf3b8, track: VIDEO}}, {{kid: 00112233-4455-6677-8899-aabbccddeeff, track: AUDIO}}], systems: [Widevine, PlayReady], encryptedKeys: {encrypted}, auth: {{basic: {{userCredential: ks-user, passwordCredential: ks-password}}}}}}"
    )
}
