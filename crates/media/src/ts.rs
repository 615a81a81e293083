//! MPEG-2 transport streams (ISO/IEC 13818-1), as far as the head of a segment tells.

use std::collections::BTreeMap;

const PACKET: usize = 188;
const MAX_PACKETS: usize = 1 << 20;

/// What the packets of a segment, or of its head, show.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TsHead {
    /// Whole packets looked at.
    pub packets: usize,
    /// Packet, from 0, that does not begin with 0x47.
    pub lost_sync: Option<usize>,
    /// Packet, from 0, of the first PAT.
    pub pat: Option<usize>,
    /// Packet, from 0, at which the first PMT is whole.
    pub pmt: Option<usize>,
    /// Elementary streams of the PMT: PID and stream_type.
    pub streams: Vec<(u16, u8)>,
    /// PID and packet of each jump of the continuity counter, at most 100.
    pub continuity_errors: Vec<(u16, usize)>,
    /// First PTS of each PID, in 90 kHz ticks.
    pub first_pts: BTreeMap<u16, u64>,
    /// Last PTS of each PID, in 90 kHz ticks.
    pub last_pts: BTreeMap<u16, u64>,
    /// Whether the first access unit of video is a random access point; `None` where it is not seen.
    pub starts_with_random_access: Option<bool>,
    /// SCTE 35 sections (stream_type 0x86).
    pub cues: Vec<Vec<u8>>,
}

impl TsHead {
    /// PID of the video stream.
    pub fn video(&self) -> Option<u16> {
        self.streams
            .iter()
            .find(|(_, kind)| is_video(*kind))
            .map(|(pid, _)| *pid)
    }

    /// Scans packets. A cut last packet is left out.
    pub fn scan(bytes: &[u8]) -> TsHead {
        let mut scan = Scan::default();
        for (n, packet) in bytes.chunks_exact(PACKET).take(MAX_PACKETS).enumerate() {
            if packet[0] != 0x47 {
                scan.head.lost_sync = Some(n);
                break;
            }
            scan.head.packets = n + 1;
            scan.packet(n, packet);
        }
        scan.finish()
    }
}

fn is_video(kind: u8) -> bool {
    // MPEG-2, H.264, H.265, and H.264 under SAMPLE-AES.
    matches!(kind, 0x02 | 0x1b | 0x24 | 0xdb)
}

#[derive(Default)]
struct Scan {
    head: TsHead,
    counters: BTreeMap<u16, (u8, bool)>,
    pmt_pid: Option<u16>,
    sections: BTreeMap<u16, Vec<u8>>,
    first_unit: Option<Vec<u8>>,
    first_unit_done: bool,
    indicated: bool,
}

impl Scan {
    fn packet(&mut self, n: usize, packet: &[u8]) {
        let start = packet[1] & 0x40 != 0;
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let (adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 15;
        if pid == 0x1fff {
            return;
        }
        let mut at = 4;
        let mut flags = 0;
        if adaptation {
            let length = usize::from(packet[4]);
            flags = if length > 0 { packet[5] } else { 0 };
            at = 5 + length;
        }
        self.continuity(pid, n, counter, has_payload, flags & 0x80 != 0);
        let Some(payload) = packet.get(at..).filter(|p| has_payload && !p.is_empty()) else {
            return;
        };
        if pid == 0 {
            self.head.pat.get_or_insert(n);
        }
        let cues = self
            .head
            .streams
            .iter()
            .any(|(p, kind)| *p == pid && *kind == 0x86);
        if pid == 0 || Some(pid) == self.pmt_pid || cues {
            self.section(n, pid, start, payload);
        } else {
            self.elementary(pid, start, payload, flags & 0x40 != 0);
        }
    }

    /// A counter goes up by one with each payload; one repetition is allowed (section 2.4.3.3).
    fn continuity(&mut self, pid: u16, n: usize, counter: u8, has_payload: bool, discontinuity: bool) {
        let before = self.counters.get(&pid).copied();
        let mut repeated = false;
        if let Some((last, was_repeated)) = before
            && !discontinuity
        {
            let next = if has_payload { (last + 1) & 15 } else { last };
            repeated = has_payload && counter == last;
            let right = counter == next || (repeated && !was_repeated);
            if !right && self.head.continuity_errors.len() < 100 {
                self.head.continuity_errors.push((pid, n));
            }
        }
        self.counters.insert(pid, (counter, repeated));
    }

    fn section(&mut self, n: usize, pid: u16, start: bool, payload: &[u8]) {
        let payload = match start {
            true => {
                self.sections.insert(pid, Vec::new());
                let pointer = usize::from(payload[0]);
                payload.get(1 + pointer..).unwrap_or_default()
            }
            false => payload,
        };
        let Some(section) = self.sections.get_mut(&pid) else {
            return;
        };
        if section.len() < 4096 {
            section.extend_from_slice(payload);
        }
        let Some(length) = section
            .get(1..3)
            .map(|l| (usize::from(l[0] & 15) << 8 | usize::from(l[1])) + 3)
        else {
            return;
        };
        let Some(whole) = section.get(..length).map(<[u8]>::to_vec) else {
            return;
        };
        self.sections.remove(&pid);
        match (pid, whole.first()) {
            (0, Some(0)) => {
                let programs = whole
                    .get(8..whole.len().saturating_sub(4))
                    .unwrap_or_default()
                    .chunks_exact(4);
                let mut programs = programs.filter(|p| p[0] != 0 || p[1] != 0);
                self.pmt_pid = programs
                    .next()
                    .map(|p| u16::from(p[2] & 0x1f) << 8 | u16::from(p[3]));
            }
            (_, Some(2)) => self.program(n, &whole),
            (_, Some(0xfc)) if self.head.cues.len() < 100 => self.head.cues.push(whole),
            _ => {}
        }
    }

    fn program(&mut self, n: usize, section: &[u8]) {
        self.head.pmt.get_or_insert(n);
        let twelve = |at: usize| {
            section
                .get(at..at + 2)
                .map(|b| usize::from(b[0] & 15) << 8 | usize::from(b[1]))
        };
        let Some(info) = twelve(10) else { return };
        let mut at = 12 + info;
        let mut streams = Vec::new();
        while at + 5 <= section.len().saturating_sub(4) {
            let pid = u16::from(section[at + 1] & 0x1f) << 8 | u16::from(section[at + 2]);
            streams.push((pid, section[at]));
            let Some(length) = twelve(at + 3) else { break };
            at += 5 + length;
        }
        self.head.streams = streams;
    }

    fn elementary(&mut self, pid: u16, start: bool, payload: &[u8], indicated: bool) {
        let video = self.head.video() == Some(pid);
        if start && payload.starts_with(&[0, 0, 1]) {
            if payload.get(7).is_some_and(|flags| flags & 0x80 != 0)
                && let Some(pts) = payload.get(9..14).map(timestamp)
            {
                self.head.first_pts.entry(pid).or_insert(pts);
                self.head.last_pts.insert(pid, pts);
            }
            if video {
                match self.first_unit {
                    Some(_) => self.first_unit_done = true,
                    None => {
                        self.indicated = indicated;
                        let header = payload.get(8).map_or(9, |l| 9 + usize::from(*l));
                        self.first_unit = Some(payload.get(header..).unwrap_or_default().to_vec());
                    }
                }
            }
        } else if video
            && !self.first_unit_done
            && let Some(unit) = &mut self.first_unit
            && unit.len() < 1 << 16
        {
            unit.extend_from_slice(payload);
        }
    }

    fn finish(mut self) -> TsHead {
        let kind = self
            .head
            .streams
            .iter()
            .find(|(_, kind)| is_video(*kind))
            .map(|s| s.1);
        if let (Some(unit), Some(kind)) = (&self.first_unit, kind) {
            self.head.starts_with_random_access = match self.indicated || has_random_access(unit, kind) {
                true => Some(true),
                // Of a unit that is cut off the telling part may be missing.
                false => self.first_unit_done.then_some(false),
            };
        }
        self.head
    }
}

/// Whether an access unit has a NAL unit of a random access picture.
fn has_random_access(unit: &[u8], kind: u8) -> bool {
    unit.windows(4).any(|w| {
        w[..3] == [0, 0, 1]
            && match kind {
                0x1b | 0xdb => w[3] & 31 == 5,
                0x24 => (16..=21).contains(&(w[3] >> 1 & 63)),
                // MPEG-2: a sequence header.
                _ => w[3] == 0xb3,
            }
    })
}

/// 33 bits of PTS (section 2.4.3.7).
fn timestamp(bytes: &[u8]) -> u64 {
    let [a, b, c, d, e] = [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]].map(u64::from);
    (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
}
