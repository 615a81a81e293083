//! A key server: it fills in what a SPEKE request asks for.

use super::guid;
use crate::{
    Fault, Faults,
    services::{Answer, Request, answer, json},
};
use aes::Aes256;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use drmwatch_drm::{cpix::uuid, protobuf::Writer};
use hmac::{Hmac, KeyInit, Mac};
use rsa::{PublicKey, pkcs8::DecodePublicKey};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Who may ask.
pub const USER: &str = "packager";
/// With what password.
pub const PASSWORD: &str = "packagers-password";

const NONCE: &str = "a-nonce-of-the-key-server";

/// RFC 7616 section 3.4.1, with SHA-256 and qop=auth.
fn digest(given: &str, request: &Request<'_>) -> bool {
    let field = |name: &str| {
        let at = given.find(&format!("{name}=\""))? + name.len() + 2;
        Some(&given[at..at + given[at..].find('"')?])
    };
    let hash = |text: String| {
        Sha256::digest(text)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
    };
    let one = hash(format!("{USER}:keys:{PASSWORD}"));
    let two = hash(format!("{}:{}?{}", request.method, request.path, request.query));
    let cnonce = field("cnonce").unwrap_or_default();
    let right = hash(format!("{one}:{NONCE}:00000001:{cnonce}:auth:{two}"));
    field("response") == Some(right.as_str())
}

pub(super) struct Server;

fn kid_of(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// A pssh box of a system for a key.
fn pssh(system: &[u8; 16], kid: [u8; 16]) -> Vec<u8> {
    let widevine = *system == *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";
    let data = if widevine {
        Writer::default().bytes(2, &kid).finish()
    } else {
        let header = format!(
            "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" version=\"4.0.0.0\"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO><KID>{}</KID></DATA></WRMHEADER>",
            STANDARD.encode(guid(kid))
        );
        let wide: Vec<u8> = header.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut object = (wide.len() as u32 + 10).to_le_bytes().to_vec();
        object.extend(1u16.to_le_bytes());
        object.extend(1u16.to_le_bytes());
        object.extend((wide.len() as u16).to_le_bytes());
        object.extend(wide);
        object
    };
    let mut found = (32 + data.len() as u32).to_be_bytes().to_vec();
    found.extend(b"pssh\0\0\0\0");
    found.extend(system);
    found.extend((data.len() as u32).to_be_bytes());
    found.extend(data);
    found
}

/// The public key of the certificate of a request.
fn recipient(request: &str) -> Option<PublicKey> {
    let from = request.find("<ds:X509Certificate>")? + "<ds:X509Certificate>".len();
    let text = &request[from..from + request[from..].find('<')?];
    let der = STANDARD.decode(text).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    PublicKey::from_public_key_der(certificate.public_key().raw).ok()
}

impl Server {
    pub fn answer(&self, faults: &Faults, request: &Request<'_>, version: &str) -> Answer {
        let has = |fault| faults.has(fault);
        let refused = |status, code: &str| json(status, json!({ "code": code }));
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let allowed = match (request.query, request.authorization) {
            ("auth=digest", None) => {
                let header =
                    format!("Digest realm=\"keys\", qop=\"auth\", algorithm=SHA-256, nonce=\"{NONCE}\"");
                return Answer {
                    headers: vec![("www-authenticate", header)],
                    ..refused(401, "who_are_you")
                };
            }
            ("auth=digest", Some(given)) => digest(given, request),
            ("auth=aws", given) => given.is_some_and(|g| {
                g.starts_with("AWS4-HMAC-SHA256 Credential=packager/")
                    && g.contains("SignedHeaders=host;x-amz-date")
                    && request.header("x-amz-date").is_some()
            }),
            (_, given) => given == Some(&basic),
        };
        if !allowed || has(Fault::DrmDenied) {
            return refused(403, "who_are_you");
        }
        for (fault, status, code) in [
            (Fault::DrmTokenExpired, 403, "MDRM-508"),
            (Fault::DrmTokenInvalid, 403, "MDRM-502"),
            (Fault::DrmKeyNotFound, 404, "MDRM-1011"),
            (Fault::DrmChallengeRefused, 400, "drm_4003"),
            (Fault::DrmInternal, 500, "internal"),
        ] {
            if has(fault) {
                return refused(status, code);
            }
        }
        if has(Fault::DrmBackend) {
            return Answer {
                headers: vec![("retry-after", "9".into())],
                ..refused(503, "kms")
            };
        }
        let demanded = match version {
            "1.0" => None,
            version => Some(version),
        };
        if request.header("x-speke-version") != demanded {
            return answer(422, "text/plain", "Unsupported SPEKE version");
        }
        let text = String::from_utf8_lossy(request.body).into_owned();
        let mut filled = self.fill(faults, &text);
        if has(Fault::DrmTruncated) {
            filled.truncate(filled.len() * 2 / 3);
        }
        answer(200, "application/xml", filled)
    }

    fn fill(&self, faults: &Faults, request: &str) -> String {
        let has = |fault| faults.has(fault);
        let recipient = recipient(request);
        let document_key: [u8; 32] = rand::random();
        let mac_key: [u8; 64] = rand::random();
        let mut out = request.to_owned();
        if let Some(recipient) = &recipient {
            let mut rng = rand::rng();
            let mut wrap = |bytes: &[u8]| {
                let wrapped = recipient.oaep_encrypt_with_rng::<Sha1, _>(&mut rng, bytes);
                STANDARD.encode(wrapped.unwrap_or_default())
            };
            let keys = format!(
                "<cpix:DocumentKey Algorithm=\"http://www.w3.org/2001/04/xmlenc#aes256-cbc\"><cpix:Data><pskc:Secret><pskc:EncryptedValue><enc:EncryptionMethod xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\" Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"/><enc:CipherData xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\"><enc:CipherValue>{}</enc:CipherValue></enc:CipherData></pskc:EncryptedValue></pskc:Secret></cpix:Data></cpix:DocumentKey><cpix:MACMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#hmac-sha512\"><cpix:Key><pskc:EncryptedValue><enc:CipherData xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\"><enc:CipherValue>{}</enc:CipherValue></enc:CipherData></pskc:EncryptedValue></cpix:Key></cpix:MACMethod>",
                wrap(&document_key),
                wrap(&mac_key)
            );
            out = out.replace("</cpix:DeliveryKey>", &format!("</cpix:DeliveryKey>{keys}"));
        }
        // Each empty element is a question.
        let mut answered = String::new();
        let mut rest = out.as_str();
        while let Some(at) = rest.find("kid=\"") {
            let (before, from) = rest.split_at(at + 5);
            let end = from.find('"').unwrap_or(0);
            let asked = kid_of(&from[..end]).unwrap_or_default();
            let mut kid = asked;
            if has(Fault::DrmWrongKid) {
                kid.reverse();
            }
            if has(Fault::DrmGuidOrder) {
                kid = guid(kid);
            }
            answered.push_str(before);
            answered.push_str(&uuid(&kid));
            let tail = &from[end..];
            let close = tail.find('>').unwrap_or(0) + 1;
            answered.push_str(&tail[..close]);
            if before.ends_with("<cpix:ContentKey kid=\"") {
                answered.push_str(&self.key(
                    faults,
                    kid,
                    recipient.is_some().then_some((&document_key, &mac_key)),
                ));
            }
            rest = &tail[close..];
            if before.ends_with("<cpix:DRMSystem kid=\"") {
                let id = tail.find("systemId=\"").map(|n| &tail[n + 10..n + 46]);
                let system = id.and_then(kid_of).unwrap_or_default();
                let mut inner = kid;
                if has(Fault::DrmPsshKid) {
                    inner[15] ^= 1;
                }
                let boxed = STANDARD.encode(pssh(&system, inner));
                let until = rest.find("</cpix:DRMSystem>").unwrap_or(0);
                let empty = has(Fault::DrmNoPssh);
                let filled = rest[..until]
                    .replace(
                        "<cpix:PSSH>",
                        &format!("<cpix:PSSH>{}", if empty { "" } else { &boxed }),
                    )
                    .replace(
                        "<cpix:ContentProtectionData>",
                        &format!("<cpix:ContentProtectionData>{}", STANDARD.encode("<pssh/>")),
                    )
                    .replace(
                        "playlist=\"media\">",
                        &format!("playlist=\"media\">{}", STANDARD.encode("#EXT-X-KEY")),
                    )
                    .replace(
                        "playlist=\"master\">",
                        &format!("playlist=\"master\">{}", STANDARD.encode("#EXT-X-SESSION-KEY")),
                    );
                answered.push_str(&filled);
                rest = &rest[until..];
            }
        }
        answered.push_str(rest);
        match () {
            () if has(Fault::DrmDuration) => answered.replace("\"cenc\"", "\"cbc1\""),
            () => answered,
        }
    }

    /// The value of a key: noise that hangs on its id, so that the same id has the same key.
    fn key(&self, faults: &Faults, kid: [u8; 16], keys: Option<(&[u8; 32], &[u8; 64])>) -> String {
        let has = |fault| faults.has(fault);
        if has(Fault::DrmNoKeys) {
            return String::new();
        }
        let mut key = Sha256::digest([&b"drm-town"[..], &kid].concat())[..16].to_vec();
        if has(Fault::DrmKeyChanges) {
            key = rand::random::<[u8; 16]>().to_vec();
        }
        if has(Fault::DrmBroken) {
            key.truncate(15);
        }
        let value = match keys.filter(|_| !has(Fault::DrmKeysInTheClear)) {
            None => format!("<pskc:PlainValue>{}</pskc:PlainValue>", STANDARD.encode(&key)),
            Some((document, mac)) => {
                let iv: [u8; 16] = rand::random();
                let mut cipher = iv.to_vec();
                cipher.extend(
                    cbc::Encryptor::<Aes256>::new(document.into(), &iv.into())
                        .encrypt_padded_vec::<Pkcs7>(&key),
                );
                if has(Fault::DrmBroken) {
                    cipher.truncate(20);
                }
                let sum = Hmac::<Sha512>::new_from_slice(mac).map(|mut hmac| {
                    hmac.update(&cipher);
                    hmac.finalize().into_bytes().to_vec()
                });
                format!(
                    "<pskc:EncryptedValue><enc:EncryptionMethod xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\" Algorithm=\"http://www.w3.org/2001/04/xmlenc#aes256-cbc\"/><enc:CipherData xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\"><enc:CipherValue>{}</enc:CipherValue></enc:CipherData></pskc:EncryptedValue><pskc:ValueMAC>{}</pskc:ValueMAC>",
                    STANDARD.encode(&cipher),
                    STANDARD.encode(sum.unwrap_or_default())
                )
            }
        };
        format!("<cpix:Data><pskc:Secret>{value}</pskc:Secret></cpix:Data>")
    }
}
