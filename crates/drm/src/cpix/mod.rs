//! CPIX documents (DASH-IF Content Protection Information Exchange 2.0, 2.3, 2.4) as SPEKE 1.0, 2.0 and 2.1 use
//! them between packager and key server.
//!
//! An answer holds content keys. Of a key in the clear the length is checked and a salted hash is kept, to compare
//! two answers with; the key itself is wiped. Better: the request carries a throwaway certificate, so that keys come
//! encrypted to a key that nobody has.

mod check;
mod parse;

pub use check::{Violation, check};
pub use parse::{CpixError, Document, DrmSystem, EncryptedKey, Key, KeyValue, UsageRule};

use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_media::{Kid, signal::system};
use std::fmt::Write;

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// SPEKE 1.0 over CPIX 2.0.
    Speke1,
    /// SPEKE 2.0 over CPIX 2.3.
    Speke20,
    /// SPEKE 2.1 over CPIX 2.4.
    Speke21,
}

impl Version {
    /// `X-Speke-Version`, where the version has one.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Version::Speke1 => None,
            Version::Speke20 => Some("2.0"),
            Version::Speke21 => Some("2.1"),
        }
    }

    fn cpix(self) -> Option<&'static str> {
        match self {
            Version::Speke1 => None,
            Version::Speke20 => Some("2.3"),
            Version::Speke21 => Some("2.4"),
        }
    }
}

/// A system that is to be signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum System {
    Widevine,
    PlayReady,
    FairPlay,
    ClearKey,
}

impl System {
    /// The name of the system, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            System::Widevine => "Widevine",
            System::PlayReady => "PlayReady",
            System::FairPlay => "FairPlay",
            System::ClearKey => "ClearKey",
        }
    }

    /// Its system id.
    pub fn id(self) -> [u8; 16] {
        match self {
            System::Widevine => system::WIDEVINE,
            System::PlayReady => system::PLAYREADY,
            System::FairPlay => system::FAIRPLAY,
            System::ClearKey => system::COMMON,
        }
    }
}

/// A key that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedKey {
    /// Key id: an existing one. A new one would mint a key.
    pub kid: Kid,
    /// `intendedTrackType`: ALL, VIDEO, AUDIO, SD, HD, … (SPEKE 2).
    pub track: String,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Version.
    pub version: Version,
    /// Content id.
    pub content_id: String,
    /// Keys.
    pub keys: Vec<AskedKey>,
    /// Systems.
    pub systems: Vec<System>,
    /// `cenc` or `cbcs`.
    pub scheme: String,
    /// Certificate, DER, that keys are to be encrypted to.
    pub recipient: Option<Vec<u8>>,
}

/// A key id as a UUID.
pub fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    });
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

impl Ask {
    /// The request document.
    pub fn request(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<cpix:CPIX ");
        let id = escape(&self.content_id);
        let _ = match self.version.cpix() {
            None => write!(out, "id=\"{id}\""),
            Some(version) => write!(out, "contentId=\"{id}\" version=\"{version}\""),
        };
        out.push_str(
            " xmlns:cpix=\"urn:dashif:org:cpix\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\"",
        );
        if self.version == Version::Speke1 {
            out.push_str(" xmlns:speke=\"urn:aws:amazon:com:speke\"");
        }
        out.push('>');
        if let Some(der) = &self.recipient {
            let _ = write!(
                out,
                "<cpix:DeliveryDataList><cpix:DeliveryData><cpix:DeliveryKey><ds:X509Data xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></cpix:DeliveryKey></cpix:DeliveryData></cpix:DeliveryDataList>",
                STANDARD.encode(der)
            );
        }
        out.push_str("<cpix:ContentKeyList>");
        for key in &self.keys {
            let kid = uuid(&key.kid.0);
            let _ = match self.version {
                Version::Speke1 => write!(out, "<cpix:ContentKey kid=\"{kid}\"></cpix:ContentKey>"),
                _ => write!(
                    out,
                    "<cpix:ContentKey kid=\"{kid}\" commonEncryptionScheme=\"{}\"></cpix:ContentKey>",
                    escape(&self.scheme)
                ),
            };
        }
        out.push_str("</cpix:ContentKeyList><cpix:DRMSystemList>");
        for key in &self.keys {
            for system in &self.systems {
                self.system(&mut out, &uuid(&key.kid.0), *system);
            }
        }
        out.push_str("</cpix:DRMSystemList>");
        if self.version != Version::Speke1 {
            out.push_str("<cpix:ContentKeyUsageRuleList>");
            for key in &self.keys {
                let track = escape(&key.track);
                let _ = write!(
                    out,
                    "<cpix:ContentKeyUsageRule kid=\"{}\" intendedTrackType=\"{track}\">",
                    uuid(&key.kid.0)
                );
                let (video, audio) = match key.track.as_str() {
                    "ALL" => (true, true),
                    track => (!track.contains("AUDIO"), track.contains("AUDIO")),
                };
                if video {
                    out.push_str("<cpix:VideoFilter/>");
                }
                if audio {
                    out.push_str("<cpix:AudioFilter/>");
                }
                out.push_str("</cpix:ContentKeyUsageRule>");
            }
            out.push_str("</cpix:ContentKeyUsageRuleList>");
        }
        out.push_str("</cpix:CPIX>\n");
        out
    }

    /// An empty element is a question: the answer fills it.
    fn system(&self, out: &mut String, kid: &str, system: System) {
        let id = uuid(&system.id());
        let _ = write!(out, "<cpix:DRMSystem kid=\"{kid}\" systemId=\"{id}\">");
        match (system, self.version) {
            (System::FairPlay, Version::Speke1) => out.push_str(
                "<cpix:URIExtXKey></cpix:URIExtXKey><speke:KeyFormat></speke:KeyFormat><speke:KeyFormatVersions></speke:KeyFormatVersions>",
            ),
            (System::FairPlay, version) => {
                let whole = if version == Version::Speke20 { "master" } else { "multiVariant" };
                let _ = write!(
                    out,
                    "<cpix:HLSSignalingData playlist=\"media\"></cpix:HLSSignalingData><cpix:HLSSignalingData playlist=\"{whole}\"></cpix:HLSSignalingData>"
                );
            }
            (_, Version::Speke1) => out.push_str("<cpix:PSSH></cpix:PSSH>"),
            _ => out.push_str("<cpix:PSSH></cpix:PSSH><cpix:ContentProtectionData></cpix:ContentProtectionData>"),
        }
        out.push_str("</cpix:DRMSystem>");
    }
}
