//! From XML to a document.

use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_media::Kid;
use roxmltree::Node;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Largest number of nodes.
const MAX_NODES: u32 = 50_000;

/// Why bytes are no CPIX document.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum CpixError {
    /// Not XML.
    #[error("it is no XML: {0}")]
    Xml(String),
    /// Another document.
    #[error("its root must be CPIX; it is {0:?}")]
    Root(String),
    /// A value that can't be read.
    #[error("line {line}: {field} {must}")]
    Field {
        /// Line, from 1.
        line: u32,
        /// As `ContentKey@kid`.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

/// How a key is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue {
    /// In the clear: a salted hash of its 16 bytes.
    Plain([u8; 32]),
    /// Encrypted.
    Encrypted(EncryptedKey),
    /// Not at all.
    Absent,
}

/// An encrypted key: what of it can be checked by who can't open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedKey {
    /// URI of the algorithm.
    pub algorithm: String,
    /// Bytes of its CipherValue: a vector of 16 and whole blocks.
    pub length: usize,
    /// Bytes of its ValueMAC.
    pub mac: Option<usize>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Key id.
    pub kid: Kid,
    /// `commonEncryptionScheme`.
    pub scheme: Option<String>,
    /// Value.
    pub value: KeyValue,
    /// Line.
    pub line: u32,
}

/// What one system needs to know of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrmSystem {
    /// Key id.
    pub kid: Kid,
    /// System id.
    pub system: [u8; 16],
    /// pssh box.
    pub pssh: Option<Vec<u8>>,
    /// ContentProtectionData: XML for an MPD.
    pub content_protection: Option<Vec<u8>>,
    /// HLSSignalingData, by playlist.
    pub hls: Vec<(String, Vec<u8>)>,
    /// URIExtXKey (SPEKE 1).
    pub key_uri: Option<Vec<u8>>,
    /// Line.
    pub line: u32,
}

/// Which tracks a key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRule {
    /// Key id.
    pub kid: Kid,
    /// intendedTrackType.
    pub track: Option<String>,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// `contentId`, or `id` of SPEKE 1.
    pub content_id: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// Keys.
    pub keys: Vec<Key>,
    /// Systems.
    pub systems: Vec<DrmSystem>,
    /// Usage rules.
    pub rules: Vec<UsageRule>,
    /// Bytes of the encrypted DocumentKey.
    pub document_key: Option<usize>,
    /// Whether there is a MAC key.
    pub mac_key: bool,
    /// Lists that are there more than once.
    pub repeated: Vec<&'static str>,
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_whitespace().collect();
    STANDARD.decode(compact).ok()
}

fn line(node: Node<'_, '_>) -> u32 {
    node.document().text_pos_at(node.range().start).row
}

fn first<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.descendants()
        .find(|n| n.is_element() && n.tag_name().name() == name)
}

fn content<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    first(node, name).and_then(|n| n.text()).map(str::trim)
}

fn id(node: Node<'_, '_>, attribute: &str, field: &'static str) -> Result<Kid, CpixError> {
    let parsed = node.attribute(attribute).and_then(|t| Kid::parse(t).ok());
    parsed.ok_or_else(|| CpixError::Field {
        line: line(node),
        field,
        must: "must be a UUID",
    })
}

impl Document {
    /// Reads a document. `salt` makes the hashes of keys worthless elsewhere.
    pub fn parse(text: &str, salt: &[u8]) -> Result<Document, CpixError> {
        let options = roxmltree::ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..Default::default()
        };
        let tree = roxmltree::Document::parse_with_options(text, options)
            .map_err(|e| CpixError::Xml(e.to_string()))?;
        let root = tree.root_element();
        if root.tag_name().name() != "CPIX" {
            return Err(CpixError::Root(root.tag_name().name().chars().take(32).collect()));
        }
        let own = |name: &str| root.attribute(name).map(|t| t.chars().take(256).collect());
        let mut document = Document {
            content_id: own("contentId").or_else(|| own("id")),
            version: own("version"),
            ..Document::default()
        };
        for name in ["ContentKeyList", "DRMSystemList", "ContentKeyUsageRuleList"] {
            if root.children().filter(|n| n.tag_name().name() == name).count() > 1 {
                document.repeated.push(name);
            }
        }
        if let Some(delivery) = first(root, "DeliveryData") {
            let key = first(delivery, "DocumentKey").and_then(|k| content(k, "CipherValue"));
            document.document_key = key.and_then(decode).map(|k| k.len());
            document.mac_key = first(delivery, "MACMethod").is_some();
        }
        for node in root.descendants().filter(Node::is_element) {
            match node.tag_name().name() {
                "ContentKey" => document.keys.push(key(node, salt)?),
                "DRMSystem" => document.systems.push(system(node)?),
                "ContentKeyUsageRule" => document.rules.push(UsageRule {
                    kid: id(node, "kid", "ContentKeyUsageRule@kid")?,
                    track: node.attribute("intendedTrackType").map(str::to_owned),
                }),
                _ => {}
            }
        }
        Ok(document)
    }
}

fn key(node: Node<'_, '_>, salt: &[u8]) -> Result<Key, CpixError> {
    let broken = |field, must| CpixError::Field {
        line: line(node),
        field,
        must,
    };
    let value = if let Some(plain) = content(node, "PlainValue") {
        let mut bytes = decode(plain)
            .filter(|b| b.len() == 16)
            .ok_or(broken("PlainValue", "must be 16 bytes in Base64"))?;
        let hash = Sha256::new()
            .chain_update(salt)
            .chain_update(&bytes)
            .finalize()
            .into();
        bytes.fill(0);
        KeyValue::Plain(hash)
    } else if let Some(encrypted) = first(node, "EncryptedValue") {
        let cipher = content(encrypted, "CipherValue")
            .and_then(decode)
            .ok_or(broken("EncryptedValue", "must have a CipherValue in Base64"))?;
        let algorithm = first(encrypted, "EncryptionMethod").and_then(|m| m.attribute("Algorithm"));
        let mac = content(node, "ValueMAC").map(|m| decode(m).map_or(0, |b| b.len()));
        KeyValue::Encrypted(EncryptedKey {
            algorithm: algorithm.unwrap_or_default().chars().take(128).collect(),
            length: cipher.len(),
            mac,
        })
    } else {
        KeyValue::Absent
    };
    Ok(Key {
        kid: id(node, "kid", "ContentKey@kid")?,
        scheme: node.attribute("commonEncryptionScheme").map(str::to_owned),
        value,
        line: line(node),
    })
}

fn system(node: Node<'_, '_>) -> Result<DrmSystem, CpixError> {
    let bytes = |name: &str, field: &'static str| {
        let text = content(node, name).filter(|t| !t.is_empty());
        let decoded = text.map(|t| {
            decode(t).ok_or(CpixError::Field {
                line: line(node),
                field,
                must: "must be Base64",
            })
        });
        decoded.transpose()
    };
    let mut hls = Vec::new();
    for data in node
        .descendants()
        .filter(|n| n.tag_name().name() == "HLSSignalingData")
    {
        let text = data.text().map(str::trim).unwrap_or_default();
        let decoded = decode(text).ok_or(CpixError::Field {
            line: line(data),
            field: "HLSSignalingData",
            must: "must be Base64",
        })?;
        hls.push((data.attribute("playlist").unwrap_or_default().to_owned(), decoded));
    }
    Ok(DrmSystem {
        kid: id(node, "kid", "DRMSystem@kid")?,
        system: id(node, "systemId", "DRMSystem@systemId")?.0,
        pssh: bytes("PSSH", "PSSH")?,
        content_protection: bytes("ContentProtectionData", "ContentProtectionData")?,
        hls,
        key_uri: bytes("URIExtXKey", "URIExtXKey")?,
        line: line(node),
    })
}
