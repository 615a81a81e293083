//! Every check there is. The reference page `docs/checks.md` is generated from this list.
//!
//! Sources: `H` is draft-pantos-hls-rfc8216bis-22; `A` Apple's HLS Authoring Specification; `T` DASH-IF's
//! restricted timing model; `V` DVB-DASH and `LL` DASH-IF low latency, as coded in DASH-IF-Conformance; `D`
//! ISO/IEC 23009-1 and `E` ISO/IEC 23001-7, both quoted from knowledge, since their texts were not at hand;
//! `S` [MS-SSTR]; `P` an incident of a player or packager.

use drmwatch_outcome::Reason;
use serde::{Deserialize, Serialize};

/// How much a failed check matters.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Viewers can't play, or content leaks: wake someone.
    Page,
    /// Some viewers will notice, or soon: someone should look today.
    Ticket,
    /// A best practice is broken.
    Warning,
}

/// What a check looks at.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Group {
    Manifest,
    LiveEdge,
    Segment,
    Drm,
    Delivery,
    Ladder,
    Renditions,
    Ads,
}

macro_rules! checks {
    ($($id:ident $severity:ident $group:ident $reason:ident $name:literal, $clause:literal, $threshold:literal, $meaning:literal;)+) => {
        /// A check, by its id.
        #[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check { $(#[doc = $meaning] $id),+ }

        impl Check {
            /// Every check, in the order in which a cause comes before what it causes within a severity.
            pub const ALL: &'static [Check] = &[$(Check::$id),+];

            /// Its id.
            pub fn id(self) -> &'static str {
                match self { $(Check::$id => stringify!($id)),+ }
            }
            /// Its name for people.
            pub fn name(self) -> &'static str {
                match self { $(Check::$id => $name),+ }
            }
            /// How much it matters, unless a finding says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Check::$id => Severity::$severity),+ }
            }
            /// What it looks at.
            pub fn group(self) -> Group {
                match self { $(Check::$id => Group::$group),+ }
            }
            /// The reason of its failure, unless a finding says otherwise.
            pub fn reason(self) -> Reason {
                match self { $(Check::$id => Reason::$reason),+ }
            }
            /// Where it is written.
            pub fn clause(self) -> &'static str {
                match self { $(Check::$id => $clause),+ }
            }
            /// Its threshold and where that comes from; empty where there is none to set.
            pub fn threshold(self) -> &'static str {
                match self { $(Check::$id => $threshold),+ }
            }
            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Check::$id => $meaning),+ }
            }
        }
    };
}

checks! {
    M01 Page Manifest EmptyResponse "manifest up", "P videojs-contrib-hls#952", "", "The manifest and its playlists answer with success and are not empty.";
    M02 Page Manifest NotAManifest "manifest type", "P m3u8-rs#27", "", "What answers is a manifest: not HTML, not JSON.";
    M03 Page Manifest ManifestInvalid "strict parse", "H 4; H 4.4.4; H 6.3.1", "", "Every known tag, element and attribute can be read.";
    M04 Ticket Manifest DurationMismatch "declared durations", "H 4.4.3.1; A 7.7", "seconds above the target duration; 0.5", "No segment's rounded duration is above the target duration.";
    M05 Page Manifest RenditionGroupMissing "group references", "H 4.4.6.2", "", "Every rendition group that a variant names is there.";
    M06 Ticket Manifest ManifestIncomplete "MPD essentials", "T 9.1; D 5.3.9.2; IOP 3.2.7.4", "", "Time scales are written, duration and timeline exclude each other, no duration speaks of years or months, a dynamic MPD has its times.";
    M07 Ticket Manifest ManifestIncomplete "Smooth manifest", "S 2.2.2", "", "Chunks and QualityLevels count what is there, Url has both placeholders.";
    M08 Page Manifest BootstrapInvalid "HDS bootstrap", "P libav hdsenc", "", "The bootstrap can be had and read, its tables are not empty.";
    M09 Ticket Manifest UriInvalid "URIs", "H 6.3.1", "", "Every URI leads to http or https once it is resolved against the final URL.";
    M10 Warning Manifest SteeringFailed "content steering", "H 7; A 9.18", "", "The steering manifest answers with a TTL and pathways that the playlist knows.";

    L01 Page LiveEdge ManifestStale "HLS live edge moves", "H 6.2.1; H 6.3.4; P hls.js#5336", "seconds; three target durations and the longest segment", "The playlist was seen to gain a segment.";
    L02 Page LiveEdge SequenceRegressed "media sequence", "H 6.2.2; P hls.js#5457", "", "The media sequence number does not go backwards.";
    L03 Page LiveEdge SegmentMutated "published segments stay", "H 6.3.4", "", "A segment keeps its URI, byte range and duration; a changed query does not count.";
    L04 Ticket LiveEdge IllegalChange "playlist stays itself", "H 6.2.1; H 6.2.2", "", "The target duration and the playlist type do not change, an EVENT playlist loses nothing.";
    L05 Page LiveEdge WindowTooShort "window", "H 6.2.2; A 8.11", "target durations; 3", "The playlist is long enough to play from; fewer than six segments is a warning.";
    L06 Ticket LiveEdge DiscontinuityMiscounted "discontinuity sequence", "H 6.2.2; P ExoPlayer#1541, hls.js#1172", "", "The discontinuity sequence number grows by the discontinuities that were removed.";
    L07 Page LiveEdge StreamEnded "end state", "H 6.2.1", "", "A stream that must be live has not ended, and one that must be on-demand is not live.";
    L08 Ticket LiveEdge LiveLatencyHigh "live latency", "A 8.4; A 8.5; H 6.2.1", "seconds; six target durations", "The end of the newest segment, by its date, is not long ago and not in the future.";
    L09 Ticket LiveEdge TimelineDrift "timeline rate", "T 10", "percent of drift; 1", "Over ten minutes or more the media timeline advances as fast as the clock.";
    L10 Ticket LiveEdge EdgesDisagree "edge spread", "P hls.js#573", "segments; 2", "Every address behind the name, and every pathway, serves about the same newest segment.";
    L11 Warning LiveEdge OriginStale "header staleness", "A 8.24", "seconds between Date and Last-Modified; one more than L01 or L19 allows", "A live playlist was modified lately, by its headers.";
    L12 Page LiveEdge BlockingReloadBroken "blocking reload", "H 6.2.5.2; P media3#2317", "seconds; three target durations", "A blocking request is held until the segment is there, and its answer has it.";
    L13 Warning LiveEdge BlockingReloadBroken "blocking reload refusals", "H 6.2.5.2", "", "A request for a part without a segment, or far in the future, is answered 400.";
    L14 Ticket LiveEdge LowLatencyInvalid "low-latency attributes", "H 4.4.3.8; H 4.4.4.9; H 6.2.4; A 14.3", "", "Hold-backs, skip boundary and part durations keep their relations, and all playlists agree.";
    L15 Warning LiveEdge LowLatencyInvalid "delta, hint, report", "H 6.2.5.1; H 6.2.6", "", "A delta update merges to the whole playlist, hints can be had, reports are true.";
    L16 Page LiveEdge ClockSkewed "DASH clock", "T 13.1; P shaka-player#386, #733", "seconds; one segment", "The MPD's own clock agrees with ours, so that clients look for the right segment.";
    L17 Page LiveEdge LiveEdgeWrong "DASH live edge", "D 5.3.9.5.3; P shaka-player#1430", "seconds; one segment ahead, half the time shift buffer behind", "The newest listed segment is neither in the future nor far behind the clock.";
    L18 Page LiveEdge SegmentMissing "availability", "T 13.3", "", "The oldest segment that is said to be available is.";
    L19 Page LiveEdge ManifestStale "DASH and Smooth live edge moves", "T 13.6; D 5.4.1", "seconds; three segments or the suggested delay, and one segment", "The manifest was seen to advance.";
    L20 Ticket LiveEdge IllegalChange "MPD stays itself", "T 13.6; V 4.8.3; P DASH-IF-IOP#160", "", "Availability start, period starts and ids, set and representation ids do not change.";
    L21 Warning LiveEdge DelayInvalid "delays", "T 13.5; P shaka-player#302", "segments in the time shift buffer; 3", "The suggested delay is below the time shift buffer, which holds some segments.";
    L22 Ticket LiveEdge LowLatencyInvalid "low-latency DASH", "LL 9.X.4.2-5", "", "A low-latency service has a latency target, producer times and segments that are short enough.";
    L23 Page LiveEdge SmoothTimingWrong "Smooth timing", "S 2.2.4.4; S 2.2.4.5; P dash.js MSS_NO_TFRF", "", "A fragment's time is the one of its URL, and it announces what follows.";

    S01 Page Segment SegmentMissing "newest segment readable", "H 6.2.1", "", "The newest segment and its init segment are there and are media.";
    S02 Ticket Segment DownloadSlow "download quality", "SmartLabs SmartCARE", "percent; 100", "A whole segment downloads at least as fast as it plays.";
    S03 Ticket Segment SegmentInvalid "TS structure", "A 7.2; TAG 213, 214", "", "Packets are in sync, PAT and PMT come first, no continuity counter jumps.";
    S04 Page Segment TimelineGap "fMP4 timeline", "A 7.3; CMAF 7.3.2.2", "seconds; a tenth of a segment", "A segment begins where the one before it ended, and where the manifest says.";
    S05 Ticket Segment DeclarationMismatch "init segment tells the truth", "LL 8.X.4", "", "Codec, size and time scale of the init segment are those of the manifest.";
    S06 Ticket Segment NoRandomAccess "starts with a random access point", "A 7.4", "", "A video segment begins with a picture that can be decoded by itself.";
    S07 Ticket Segment DurationMismatch "true duration", "A 8.1; IOP 3.2.7", "percent; 10, or 50 with @duration alone", "The samples last as long as the manifest says.";
    S08 Ticket Segment AudioVideoSkew "audio and video edges", "A 8.3", "seconds; one and a half segments", "Audio and video end at about the same time.";
    S09 Ticket Segment InitSegmentChanged "init segment stays", "H 4.4.4.3", "", "An init segment does not change without a discontinuity.";
    S10 Warning Segment SegmentGap "gaps", "H 6.2.1; T 9.2", "seconds; a hundredth of a segment", "The manifest lists no missing segment and its timeline does not jump.";
    S11 Warning Segment SegmentMetadataInvalid "prft, sidx, emsg", "LL 9.X.4", "", "Producer times are sane and the index covers the segment.";

    D01 Page Drm ClearLeak "no clear leak", "expectation", "", "Content that must be protected is, in every rendition.";
    D02 Page Drm SchemeMismatch "scheme agreement", "H 4.4.4.4; E 11.2", "", "The scheme in the manifest is that of the init segment.";
    D03 Page Drm KidMismatch "key id agreement", "DASH-IF Security 9; P shaka-packager#1783, rx-player#1458, media3#563", "", "The key id in the manifest is that of the init segment, and not zero.";
    D04 Page Drm DrmSystemMissing "systems present", "expectation", "", "Every expected DRM system is signalled.";
    D05 Page Drm PsshMismatch "pssh key ids", "E 8.1", "", "Every system's data names the key id of the track, byte order included.";
    D06 Ticket Drm PlayReadyHeaderInvalid "PlayReady object", "PlayReady Header Specification", "", "Version and algorithm of the header fit the scheme, the licence URL is a URL.";
    D07 Ticket Drm EncryptionPatternWrong "pattern and IV", "A 13.7; E 9.6, 10.4", "", "cbcs has its pattern and a constant vector, cenc vectors of 8 or 16 bytes.";
    D08 Page Drm FairPlaySignallingWrong "FairPlay signalling", "A 13.2-4; A 13.11", "", "A FairPlay key has SAMPLE-AES, an skd URI and no IV.";
    D09 Ticket Drm KeyRotationWrong "rotation", "H 6.2.3", "", "A key change shows in manifest and media alike.";
    D10 Ticket Drm SampleEncryptionInvalid "sample encryption", "A 1.38; E 7", "", "There is one entry for each sample.";
    D11 Warning Drm KeyPolicyViolated "key per quality", "H 4.4.6.2; P hls.js#7469", "", "Key ids differ between audio and video, and between qualities, as expected.";
    D12 Ticket Drm KidMismatch "systems agree", "expectation", "", "Every system, and every format of the same asset, names the same key ids.";
    D13 Page Drm KeyInvalid "AES-128 key", "H 5.1", "", "The key is 16 bytes, and the first block opens to a media segment.";

    C01 Page Delivery Timeout "response time", "derived: a slower answer can't sustain play-out", "seconds to the first byte; one target duration", "Manifest and newest segment answer before the next one is due.";
    C02 Page Delivery CacheTooLong "manifest lifetime", "H B.1; P hls.js#1045", "seconds; one target duration, six with blocking reload", "A live manifest may not be cached for longer than it is true.";
    C03 Ticket Delivery CacheAged "manifest age", "H B.1; H C", "seconds; max-age, or one target duration", "A live manifest did not sit in a cache for too long.";
    C04 Warning Delivery ErrorCached "segment and error lifetime", "H B.1", "seconds; four target durations", "Segments may be cached, and a missing one is not remembered for long.";
    C05 Warning Delivery DeliveryHeadersWrong "compression and types", "A 10.1; A 10.4", "", "Playlists are compressed, and everything has the content type of its format.";
    C06 Ticket Delivery CorsWrong "CORS", "Fetch standard; P hls.js#104, OvenMediaEngine#1593, shaka-packager#539", "", "Browsers of other origins may read manifest, segment, key and errors.";
    C07 Warning Delivery RangeUnsupported "ranges", "H 6.2.1; RFC 9110 14", "", "A range request is answered with that range; a ticket where the playlist uses byte ranges, or where ranges of something on demand differ in bytes, size or entity tag, by any address.";
    C08 Ticket Delivery RedirectUnwanted "redirects", "A 8.18", "", "Segments do not redirect, and nothing redirects from https to http.";
    C09 Page Delivery TlsWeak "TLS", "A 12.1-3", "days before expiry; 7", "TLS is 1.2 or newer, and the certificate does not expire soon.";
    C10 Warning Delivery ProtocolMissing "protocols and addresses", "H B.1", "", "HTTP/2 is offered over TLS, and every address of the name answers, IPv4 and IPv6.";
    C11 Ticket Delivery FailoverBroken "fail-over", "A 10.2; D 5.6.5", "segments; 2", "Every alternative pathway, base URL or duplicate variant serves the same newest segment.";
    C12 Page Delivery TokenRefused "token is accepted", "expectation", "", "With a fresh token manifest, playlist, init segment, segment and key are served.";
    C13 Page Delivery TokenLeak "token is required", "nginx secure_link; Akamai EdgeAuth; CloudFront; CTA-5007", "", "Without a token, or with an expired, early, altered or foreign one, nothing is served.";
    C14 Ticket Delivery TokenNotPropagated "token propagation", "Akamai session tokens", "", "What the manifest lists carries the token on, or needs none.";

    A01 Ticket Ladder RungMissing "rungs", "A 9.9", "", "Every expected rung is there.";
    A02 Ticket Ladder BitrateMismatch "declared bit rate", "A 1.26-1.29", "percent of the declared; 125", "Segments are not larger than the declared peak bit rate allows.";
    A03 Warning Ladder DeclarationIncomplete "attributes", "A 9.1-2; A 9.14-15", "", "Variants declare codecs, resolution and frame rate.";
    A04 Ticket Ladder VariantsMisaligned "alignment", "H 6.2.4; A 8.15; A 8.22", "seconds; one segment", "Rungs have the same target duration, discontinuities and boundaries.";
    A05 Warning Ladder LadderUneven "spacing", "Apple TN2224", "ratio; 1.2 to 3", "Neighbouring rungs lie neither too close nor too far apart.";

    R01 Ticket Renditions TrackMissing "expected tracks", "A 8.10", "", "Every expected language of audio and subtitles is there.";
    R02 Warning Renditions RenditionGroupInvalid "group rules", "H 4.4.6.1.1", "", "Names are unique in a group, at most one member is the default, groups have the same members.";
    R03 Page Renditions AudioOutOfStep "audio in step", "P ExoPlayer#9510, membrane#20", "seconds; three target durations", "Audio has the discontinuities and the live edge of video.";
    R04 Warning Renditions SubtitlesInvalid "subtitles", "A 5; H 3.1.4", "", "The newest subtitle segment can be read, and in HLS says how its clock maps.";
    R05 Warning Renditions TrickPlayInvalid "trick play", "A 6.11", "", "I-frame playlists say that they are.";

    X01 Ticket Ads CueInvalid "cues decode", "H 4.4.5.1.1; SCTE 35", "", "Every SCTE 35 section can be read and its checksum fits.";
    X02 Ticket Ads AdBreakOpen "breaks close", "P DASH-IF Ingest#133", "seconds beyond the announced duration; 30, or 600 in all without one", "A break that began also ends.";
    X03 Warning Ads CueStoppage "cue heartbeat", "hlsanalyzer", "seconds since the last cue; only where it is set", "Cues keep coming.";
    X04 Warning Ads DateRangeInvalid "date ranges", "H 4.4.5.1", "", "Ids are unique, attributes do not change, and program dates are there.";
    X05 Ticket Ads AdBreakBroken "break integrity", "H 6.2.3; A 8.13-15; P hls.js#2924", "", "A splice into other media is marked by a discontinuity, and its segments can be had.";
    X06 Ticket Ads PeriodInvalid "periods", "T 8; T 9.2; V 9.1.9", "seconds; 0.1", "Periods have ids and follow each other without gap or overlap.";
}

impl Check {
    /// The check with this id.
    pub fn parse(id: &str) -> Option<Check> {
        Check::ALL.iter().copied().find(|c| c.id() == id)
    }
}

impl Severity {
    /// `page`, `ticket` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
            Severity::Warning => "warning",
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_what_the_catalogue_says() {
        let mut page = String::from(
            "# Stream checks\n\nGenerated from `crates/checks/src/catalogue.rs` by `make generate`; do not edit.\n\n",
        );
        page += &format!(
            "{} checks. A run of a `stream` step reports each as `ok`, `fail` or `skipped`; it fails on those of the severity that `checks.failOn` gives (`Page` by default) and above. Clauses: H draft-pantos-hls-rfc8216bis-22, A Apple HLS Authoring Specification, T DASH-IF restricted timing model, V DVB-DASH, LL DASH-IF low latency, D ISO/IEC 23009-1 and E ISO/IEC 23001-7 (both from knowledge: the texts were not at hand), S [MS-SSTR], P a player's or packager's incident.\n\n",
            Check::ALL.len()
        );
        page += "| id | check | severity | group | reason | meaning | threshold (default) | source |\n|---|---|---|---|---|---|---|---|\n";
        for check in Check::ALL {
            page += &format!(
                "| `{check}` | {} | {} | {:?} | `{}` | {} | {} | {} |\n",
                check.name(),
                check.severity().as_str(),
                check.group(),
                check.reason(),
                check.meaning(),
                check.threshold(),
                check.clause()
            );
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == page,
            "docs/checks.md is not what the catalogue says; run `make generate`"
        );
    }

    #[test]
    fn every_group_is_complete() {
        let count = |letter: &str| Check::ALL.iter().filter(|c| c.id().starts_with(letter)).count();
        let counts = ["M", "L", "S", "D", "C", "A", "R", "X"].map(count);
        assert_eq!(counts, [10, 23, 11, 13, 14, 5, 5, 6]);
    }
}
