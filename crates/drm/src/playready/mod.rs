//! PlayReady licence messages, as far as public documents and public source describe them: challenges are looked
//! at and sent again as they are, never made; answers are read down to the XMR licence, their signature and
//! certificate chain are verified, and no content key is opened.
//!
//! No genuine response is public, so that the binary formats are unverified against the vendor: unknown objects
//! are skipped and unknown values kept as they are.

mod bcert;
mod canonical;
mod challenge;
mod fault;
mod response;
mod signature;
mod xmr;

pub use bcert::{Certificate, CertificateError, Chain, SIGN_RESPONSE, is_root};
pub use canonical::{Form, canonical};
pub use challenge::{Challenge, ChallengeError, MALFORMED, unwrap_key_message};
pub use fault::{Fault, meaning};
pub use response::{Answer, Response, ResponseError};
pub use signature::{SignatureError, verify};
pub use xmr::{Key, License, XmrError};

/// `SOAPAction` of a licence request.
pub const SOAP_ACTION: &str = "\"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense\"";
/// Content type of a licence request.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";
/// Largest number of nodes of a document.
const MAX_NODES: u32 = 20_000;

/// A document, without DTD and bounded.
fn document(text: &str) -> Result<roxmltree::Document<'_>, roxmltree::Error> {
    roxmltree::Document::parse_with_options(
        text,
        roxmltree::ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..Default::default()
        },
    )
}

/// First element below `node` with a local name, in whatever namespace: envelopes of SOAP 1.1 and 1.2 both occur.
fn find<'a, 'i>(node: roxmltree::Node<'a, 'i>, name: &str) -> Option<roxmltree::Node<'a, 'i>> {
    node.descendants()
        .find(|n| n.is_element() && n.tag_name().name().eq_ignore_ascii_case(name))
}

/// Text of the first such element, trimmed.
fn text<'a>(node: roxmltree::Node<'a, '_>, name: &str) -> Option<&'a str> {
    find(node, name).and_then(|n| n.text()).map(str::trim)
}

/// Base64 with whatever white space.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let compact: String = text.split_whitespace().collect();
    STANDARD.decode(compact).ok()
}

/// Bytes as text: UTF-8, or UTF-16 as Windows writes it.
fn decode(bytes: &[u8]) -> Option<String> {
    let wide = match bytes {
        [0xff, 0xfe, rest @ ..] => Some((rest, u16::from_le_bytes as fn([u8; 2]) -> u16)),
        [0xfe, 0xff, rest @ ..] => Some((rest, u16::from_be_bytes as fn([u8; 2]) -> u16)),
        [b'<', 0, ..] => Some((bytes, u16::from_le_bytes as fn([u8; 2]) -> u16)),
        _ => None,
    };
    match wide {
        Some((rest, order)) => {
            let units: Vec<u16> = rest.chunks_exact(2).map(|b| order([b[0], b[1]])).collect();
            String::from_utf16(&units).ok()
        }
        None => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        }
    }
}
