//! PlayReady: SOAP, XMR, and a certificate chain of our own on P-256.

use super::{Refusal, canary, guid};
use crate::{
    Fault, Faults,
    services::{Answer, answer, now},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};

const XML: &str = "text/xml; charset=utf-8";
/// LicenseNonce of the recorded challenge.
pub const RECORDED_NONCE: [u8; 16] = *b"nonce-recorded-1";
/// What signs the responses may be used for that.
const SIGN_RESPONSE: u32 = 0x14;
const ISSUER: u32 = 0x06;

fn key(name: &str) -> SigningKey {
    SigningKey::from_slice(&Sha256::digest(name)).unwrap_or_else(|_| unreachable!("the scalar is ours"))
}

fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec()
}

/// Public key of this world's root: X and Y.
pub fn root() -> Vec<u8> {
    public(&key("drm-town root"))
}

fn challenge(nonce: &[u8; 16], time: i64) -> Vec<u8> {
    let kid = STANDARD.encode(guid(canary()));
    let nonce = STANDARD.encode(nonce);
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AcquireLicense xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><challenge><Challenge xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols/messages"><LA xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols" Id="SignedData" xml:space="preserve"><Version>1</Version><ContentHeader><WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" version="4.0.0.0"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO><KID>{kid}</KID></DATA></WRMHEADER></ContentHeader><CLIENTINFO><CLIENTVERSION>10.0.16384.10011</CLIENTVERSION></CLIENTINFO><LicenseNonce>{nonce}</LicenseNonce><ClientTime>{time}</ClientTime><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherValue>bm9pc2U=</CipherValue></CipherData></EncryptedData></LA><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignatureValue>bm9pc2U=</SignatureValue></Signature></Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>"#
    )
    .into_bytes()
}

/// A challenge as a player records it, for the canary.
pub fn recorded_challenge() -> Vec<u8> {
    challenge(&RECORDED_NONCE, 1_760_000_000)
}

/// A challenge as the operator's own client would make it now.
pub(super) fn fresh_challenge() -> Vec<u8> {
    challenge(&rand::random(), now().as_second())
}

fn object(flags: u16, kind: u16, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u32 + 8;
    [
        &flags.to_be_bytes()[..],
        &kind.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

fn attribute(tag: u16, data: &[u8]) -> Vec<u8> {
    object(1, tag, data)
}

fn certificate(id: &[u8; 16], key: &SigningKey, usage: u32, expires: u32, issuer: &SigningKey) -> Vec<u8> {
    let own = public(key);
    let mut basic = id.to_vec();
    basic.extend(3000u32.to_be_bytes());
    basic.extend(0u32.to_be_bytes());
    basic.extend(7u32.to_be_bytes());
    basic.extend(Sha256::digest(&own));
    basic.extend(expires.to_be_bytes());
    basic.extend([0; 16]);
    let mut keys = 1u32.to_be_bytes().to_vec();
    keys.extend(1u16.to_be_bytes());
    keys.extend(512u16.to_be_bytes());
    keys.extend(0u32.to_be_bytes());
    keys.extend(&own);
    keys.extend(1u32.to_be_bytes());
    keys.extend(usage.to_be_bytes());
    let attributes = [attribute(1, &basic), attribute(6, &keys)].concat();
    let signed_length = 16 + attributes.len() as u32;
    let whole = signed_length + 8 + 2 + 2 + 64 + 4 + 64;
    let mut certificate = b"CERT".to_vec();
    certificate.extend(1u32.to_be_bytes());
    certificate.extend(whole.to_be_bytes());
    certificate.extend(signed_length.to_be_bytes());
    certificate.extend(attributes);
    let signature: Signature = issuer.sign(&certificate);
    let mut data = 1u16.to_be_bytes().to_vec();
    data.extend(64u16.to_be_bytes());
    data.extend(signature.to_bytes());
    data.extend(512u32.to_be_bytes());
    data.extend(public(issuer));
    certificate.extend(attribute(8, &data));
    certificate
}

fn chain(expires: u32) -> Vec<u8> {
    let (root, middle, leaf) = (key("drm-town root"), key("drm-town middle"), key("drm-town leaf"));
    let certificates = [
        certificate(b"leaf-certificate", &leaf, SIGN_RESPONSE, expires, &middle),
        certificate(b"issuing-authorit", &middle, ISSUER, u32::MAX, &root),
    ]
    .concat();
    let mut chain = b"CHAI".to_vec();
    chain.extend(1u32.to_be_bytes());
    chain.extend((20 + certificates.len() as u32).to_be_bytes());
    chain.extend(0u32.to_be_bytes());
    chain.extend(2u32.to_be_bytes());
    chain.extend(certificates);
    chain
}

fn element(body: &str, name: &str) -> Option<String> {
    let from = body.find(&format!("<{name}>"))? + name.len() + 2;
    Some(body[from..from + body[from..].find(&format!("</{name}>"))?].to_owned())
}

pub(super) struct Server;

impl Server {
    pub fn new() -> Server {
        Server
    }

    /// A challenge with a signature.
    pub fn readable(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        text.contains("<SignatureValue>") && element(&text, "LicenseNonce").is_some()
    }

    pub fn grant(&self, faults: &Faults, body: &[u8]) -> Answer {
        let has = |fault| faults.has(fault);
        let text = String::from_utf8_lossy(body);
        let nonce = element(&text, "LicenseNonce").and_then(|n| STANDARD.decode(n).ok());
        let mut nonce = nonce.unwrap_or_else(|| vec![0; 16]);
        if has(Fault::DrmStale) {
            nonce = b"nonce-of-another".to_vec();
        }
        let kid = element(&text, "KID").and_then(|k| STANDARD.decode(k).ok());
        let mut kid: [u8; 16] = kid.and_then(|k| k.try_into().ok()).unwrap_or(guid(canary()));
        if has(Fault::DrmWrongKid) {
            kid.reverse();
        }
        if has(Fault::DrmGuidOrder) {
            kid = guid(kid);
        }
        let mut issued = now().as_second() as u32;
        if has(Fault::DrmIssuedSkewed) {
            issued -= 7200;
        }
        let expires = match () {
            () if has(Fault::DrmLicenseExpired) => issued - 1,
            () if has(Fault::DrmDuration) => issued + 60,
            () => issued + 86_400,
        };
        let mut content = kid.to_vec();
        content.extend([0, 1, 0, 3, 0, 16]);
        content.extend(rand::random::<[u8; 16]>());
        let level: u16 = if has(Fault::DrmLicenseLevel) { 150 } else { 2000 };
        let protection: u16 = if has(Fault::DrmHdcp) { 100 } else { 270 };
        let global = [
            object(1, 0x12, &[issued.to_be_bytes(), expires.to_be_bytes()].concat()),
            object(0, 0x13, &issued.to_be_bytes()),
            object(1, 0x34, &level.to_be_bytes()),
        ]
        .concat();
        let levels: Vec<u8> = [protection; 5].iter().flat_map(|l| l.to_be_bytes()).collect();
        let playback = object(2, 4, &object(1, 5, &levels));
        let keys = object(2, 9, &object(1, 0x0A, &content));
        let inner = [
            object(2, 2, &global),
            playback,
            keys,
            object(0, 0x0B, &[0, 1, 0, 16]),
        ]
        .concat();
        let mut xmr = b"XMR\0\0\0\0\x03".to_vec();
        xmr.extend(&nonce);
        xmr.extend(object(3, 1, &inner));
        if has(Fault::DrmBroken) {
            xmr[28] = 0xff;
        }
        let licenses = match has(Fault::DrmNoKeys) {
            true => String::new(),
            false => format!("<License>{}</License>", STANDARD.encode(&xmr)),
        };
        let chain = STANDARD.encode(chain(if has(Fault::DrmCertificateExpired) {
            1_700_000_001
        } else {
            u32::MAX
        }));
        let response = format!(
            "<LicenseResponse xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\"><Version>1</Version><Licenses>{licenses}</Licenses><ResponseID>MTIz</ResponseID><SigningCertificateChain>{chain}</SigningCertificateChain></LicenseResponse>"
        );
        let mut digest = Sha256::digest(&response).to_vec();
        if has(Fault::DrmSignature) {
            digest[0] ^= 1;
        }
        let info = format!(
            "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"></CanonicalizationMethod><SignatureMethod Algorithm=\"http://schemas.microsoft.com/DRM/2007/03/protocols#ecdsa-sha256\"></SignatureMethod><Reference URI=\"#SignedData\"><DigestMethod Algorithm=\"http://schemas.microsoft.com/DRM/2007/03/protocols#sha256\"></DigestMethod><DigestValue>{}</DigestValue></Reference></SignedInfo>",
            STANDARD.encode(digest)
        );
        let signature: Signature = key("drm-town leaf").sign(info.as_bytes());
        let signature = STANDARD.encode(signature.to_bytes());
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><AcquireLicenseResponse xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\"><AcquireLicenseResult><Response xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols/messages\">{response}<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">{info}<SignatureValue>{signature}</SignatureValue></Signature></Response></AcquireLicenseResult></AcquireLicenseResponse></soap:Body></soap:Envelope>"
        );
        answer(200, XML, body)
    }
}

/// Every error is a fault, with status 500.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    let (_, vendor) = refusal.code();
    let code = match refusal {
        Refusal::Malformed => 0x8004_C601u32,
        Refusal::DeviceRevoked => 0x8004_C065,
        Refusal::DeviceLimit => 0x8004_C602,
        Refusal::SecurityLevel => 0x8004_A004,
        Refusal::Clock => 0x8004_C01C,
        Refusal::Internal => 0x8004_C600,
        _ => 0x8004_C604,
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault><faultcode>soap:Server</faultcode><faultstring>refused</faultstring><faultactor>http://drm.town/</faultactor><detail><Exception xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\"><StatusCode>0x{code:08x}</StatusCode><CustomData>{vendor}</CustomData></Exception></detail></soap:Fault></soap:Body></soap:Envelope>"
    );
    answer(500, XML, body)
}
