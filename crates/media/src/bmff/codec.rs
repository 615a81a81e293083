//! Codec strings (RFC 6381) from the configuration boxes of sample entries.

use super::{Box, children};

/// The codec string of a sample entry, where its configuration is understood.
pub(super) fn string(codec: &[u8; 4], entry: &Box<'_>, fixed: usize) -> Option<String> {
    let inner = children(entry, fixed).ok()?;
    let find = |kind: &[u8; 4]| inner.iter().find(|b| &b.kind == kind).map(|b| b.body);
    let name = std::str::from_utf8(codec).ok()?;
    match codec {
        b"avc1" | b"avc3" => {
            let config = find(b"avcC")?.get(1..4)?;
            Some(format!(
                "{name}.{:02x}{:02x}{:02x}",
                config[0], config[1], config[2]
            ))
        }
        b"hvc1" | b"hev1" => hevc(name, find(b"hvcC")?),
        b"mp4a" => aac(find(b"esds")?),
        b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => Some(name.to_owned()),
        _ => None,
    }
}

/// ISO/IEC 14496-15 annex E.3.
fn hevc(name: &str, config: &[u8]) -> Option<String> {
    let profile = *config.get(1)?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let compatibility = u32::from_be_bytes(config.get(2..6)?.try_into().ok()?).reverse_bits();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let level = *config.get(12)?;
    let mut constraints = config.get(6..12)?.to_vec();
    while constraints.last() == Some(&0) {
        constraints.pop();
    }
    let constraints: String = constraints.iter().map(|b| format!(".{b:X}")).collect();
    Some(format!(
        "{name}.{space}{}.{compatibility:X}.{tier}{level}{constraints}",
        profile & 31
    ))
}

/// ISO/IEC 14496-1 section 7.2.6: ES, decoder configuration, and the first five bits of the decoder's own.
fn aac(esds: &[u8]) -> Option<String> {
    let mut rest = esds.get(4..)?;
    let mut object = None;
    loop {
        let (tag, after) = rest.split_first()?;
        let (mut length, mut at) = (0usize, 0);
        loop {
            let byte = *after.get(at)?;
            length = length << 7 | usize::from(byte & 0x7f);
            at += 1;
            if byte & 0x80 == 0 || at >= 4 {
                break;
            }
        }
        let body = after.get(at..)?;
        match tag {
            // ES_Descriptor: id and flags, with what the flags bring.
            3 => {
                let flags = *body.get(2)?;
                let mut skip = 3;
                skip += if flags & 0x80 != 0 { 2 } else { 0 };
                if flags & 0x40 != 0 {
                    skip += 1 + usize::from(*body.get(skip)?);
                }
                skip += if flags & 0x20 != 0 { 2 } else { 0 };
                rest = body.get(skip..)?;
            }
            4 => {
                object = Some(*body.first()?);
                rest = body.get(13..)?;
            }
            5 => {
                let config = body.get(..length.min(body.len()))?;
                let kind = *config.first()? >> 3;
                let kind = match kind {
                    31 => 32 + ((config.first()? & 7) << 3 | config.get(1)? >> 5),
                    kind => kind,
                };
                return Some(format!("mp4a.{:x}.{kind}", object?));
            }
            _ => rest = body.get(length..)?,
        }
    }
}
