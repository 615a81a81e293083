//! What a media segment is, by its first bytes.

/// Container of a media segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Fragmented MP4 (ISO/IEC 14496-12).
    Fmp4,
    /// MPEG-2 transport stream (ISO/IEC 13818-1).
    Ts,
    /// Packed audio (RFC 8216 section 3.4): ADTS AAC, AC-3 or MP3, often behind an ID3 tag.
    PackedAudio,
    /// WebVTT.
    WebVtt,
}

impl SegmentKind {
    /// Looks at the first bytes; `None` when they are none of these (HTML, for one).
    pub fn of(bytes: &[u8]) -> Option<SegmentKind> {
        const FMP4: [&[u8]; 6] = [b"styp", b"moof", b"sidx", b"prft", b"emsg", b"ftyp"];
        let sync = |n: usize| bytes.get(n * 188).is_none_or(|b| *b == 0x47);
        if bytes.len() >= 188 && (0..3).all(sync) {
            return Some(SegmentKind::Ts);
        }
        if bytes.get(4..8).is_some_and(|kind| FMP4.contains(&kind)) {
            return Some(SegmentKind::Fmp4);
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if text.starts_with(b"WEBVTT") {
            return Some(SegmentKind::WebVtt);
        }
        let packed = bytes.starts_with(b"ID3")
            || bytes.starts_with(&[0x0b, 0x77])
            || matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0);
        packed.then_some(SegmentKind::PackedAudio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_their_first_bytes() {
        let ts: Vec<u8> = (0..564).map(|n| if n % 188 == 0 { 0x47 } else { 0 }).collect();
        assert_eq!(SegmentKind::of(&ts), Some(SegmentKind::Ts));
        assert_eq!(SegmentKind::of(b"\0\0\0\x18stypmsdh"), Some(SegmentKind::Fmp4));
        assert_eq!(
            SegmentKind::of(b"\xef\xbb\xbfWEBVTT\n"),
            Some(SegmentKind::WebVtt)
        );
        assert_eq!(
            SegmentKind::of(&[0xff, 0xf1, 0x50]),
            Some(SegmentKind::PackedAudio)
        );
        assert_eq!(SegmentKind::of(b"<!doctype html><title>error</title>"), None);
        assert_eq!(SegmentKind::of(b""), None);
    }
}
