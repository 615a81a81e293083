//! SCTE 35 splice information sections (ANSI/SCTE 35 2023, section 9).

use thiserror::Error;

/// What is wrong with a section.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum SpliceError {
    /// table_id is not 0xfc.
    #[error("byte 0: a splice_info_section must begin with 0xfc")]
    TableId,
    /// It is cut off.
    #[error("byte {0}: the section ends too early")]
    Short(usize),
    /// CRC_32 does not fit.
    #[error("the CRC must be {computed:#010x}, not {found:#010x}")]
    Crc {
        /// What it must be.
        computed: u32,
        /// What stands there.
        found: u32,
    },
}

/// A section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Splice {
    /// What it commands.
    pub command: Command,
    /// pts_adjustment, 90 kHz ticks.
    pub pts_adjustment: u64,
    /// Segmentation descriptors (section 10.3.3).
    pub segmentations: Vec<Segmentation>,
    /// The command is encrypted, and not read.
    pub encrypted: bool,
}

/// splice_command.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Command {
    /// splice_null: a heartbeat.
    #[default]
    Null,
    /// splice_insert.
    Insert {
        /// splice_event_id.
        event: u32,
        /// The event is cancelled.
        cancelled: bool,
        /// out_of_network_indicator: a break begins.
        out: bool,
        /// splice_time, 90 kHz ticks, unless immediate.
        pts: Option<u64>,
        /// break_duration, 90 kHz ticks.
        duration: Option<u64>,
    },
    /// time_signal, with its time in 90 kHz ticks.
    TimeSignal(Option<u64>),
    /// Any other, by its splice_command_type.
    Other(u8),
}

/// segmentation_descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segmentation {
    /// segmentation_event_id.
    pub event: u32,
    /// segmentation_type_id; 0 where the event is cancelled.
    pub kind: u8,
    /// segmentation_duration, 90 kHz ticks.
    pub duration: Option<u64>,
}

impl Splice {
    /// Whether it opens a break: `Some(true)`, closes one: `Some(false)`, or neither.
    pub fn opens(&self) -> Option<bool> {
        if let Command::Insert {
            out,
            cancelled: false,
            ..
        } = self.command
        {
            return Some(out);
        }
        // Breaks, advertisements and placement opportunities: even types open, odd ones close (table 23).
        self.segmentations.iter().find_map(|s| match s.kind {
            0x22 | 0x30..=0x3f | 0x44..=0x47 | 0x23 => Some(s.kind % 2 == 0),
            _ => None,
        })
    }

    /// Parses a section.
    pub fn parse(bytes: &[u8]) -> Result<Splice, SpliceError> {
        if bytes.first() != Some(&0xfc) {
            return Err(SpliceError::TableId);
        }
        let mut bits = Bits { bytes, at: 8 };
        bits.take(4)?;
        let length = bits.take(12)? as usize + 3;
        let section = bytes.get(..length).ok_or(SpliceError::Short(bytes.len()))?;
        let (body, crc) = section
            .split_at_checked(length - 4.min(length))
            .ok_or(SpliceError::Short(length))?;
        let found = crc.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
        let computed = crc32(body);
        if computed != found {
            return Err(SpliceError::Crc { computed, found });
        }
        let mut bits = Bits { bytes: body, at: 24 };
        bits.take(8)?;
        let encrypted = bits.take(1)? == 1;
        bits.take(6)?;
        let pts_adjustment = bits.take(33)?;
        bits.take(8 + 12)?;
        let command_length = bits.take(12)? as usize;
        let kind = bits.take(8)? as u8;
        let mut splice = Splice {
            pts_adjustment,
            encrypted,
            ..Splice::default()
        };
        if encrypted {
            splice.command = Command::Other(kind);
            return Ok(splice);
        }
        let begin = bits.at;
        splice.command = match kind {
            0 => Command::Null,
            5 => insert(&mut bits)?,
            6 => Command::TimeSignal(time(&mut bits)?),
            other => Command::Other(other),
        };
        // 0xfff: the length is not told (a legacy form), and the descriptors follow the command as read.
        if command_length != 0xfff {
            bits.at = begin + command_length * 8;
        } else if let Command::Other(_) = splice.command {
            return Ok(splice);
        }
        let descriptors = bits.take(16)? as usize;
        let end = bits.at + descriptors * 8;
        while bits.at + 16 <= end {
            let (tag, length) = (bits.take(8)?, bits.take(8)? as usize);
            let next = bits.at + length * 8;
            if tag == 2 {
                splice.segmentations.push(segmentation(&mut bits)?);
            }
            bits.at = next;
        }
        Ok(splice)
    }
}

fn time(bits: &mut Bits<'_>) -> Result<Option<u64>, SpliceError> {
    if bits.take(1)? == 1 {
        bits.take(6)?;
        return bits.take(33).map(Some);
    }
    bits.take(7)?;
    Ok(None)
}

fn insert(bits: &mut Bits<'_>) -> Result<Command, SpliceError> {
    let event = bits.take(32)? as u32;
    let cancelled = bits.take(1)? == 1;
    bits.take(7)?;
    let (mut out, mut pts, mut duration) = (false, None, None);
    if !cancelled {
        out = bits.take(1)? == 1;
        let (program, has_duration, immediate) = (bits.take(1)? == 1, bits.take(1)? == 1, bits.take(1)? == 1);
        bits.take(4)?;
        if program && !immediate {
            pts = time(bits)?;
        }
        if !program {
            for _ in 0..bits.take(8)? {
                bits.take(8)?;
                if !immediate {
                    pts = time(bits)?;
                }
            }
        }
        if has_duration {
            bits.take(7)?;
            duration = Some(bits.take(33)?);
        }
    }
    Ok(Command::Insert {
        event,
        cancelled,
        out,
        pts,
        duration,
    })
}

fn segmentation(bits: &mut Bits<'_>) -> Result<Segmentation, SpliceError> {
    bits.take(32)?;
    let event = bits.take(32)? as u32;
    let cancelled = bits.take(1)? == 1;
    bits.take(7)?;
    let mut found = Segmentation {
        event,
        ..Segmentation::default()
    };
    if cancelled {
        return Ok(found);
    }
    let (program, has_duration) = (bits.take(1)? == 1, bits.take(1)? == 1);
    bits.take(6)?;
    if !program {
        for _ in 0..bits.take(8)? {
            bits.take(48)?;
        }
    }
    if has_duration {
        found.duration = Some(bits.take(40)?);
    }
    bits.take(8)?;
    let upid = bits.take(8)? as usize;
    bits.at += upid * 8;
    found.kind = bits.take(8)? as u8;
    Ok(found)
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<u64, SpliceError> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let byte = self.bytes.get(at / 8).ok_or(SpliceError::Short(at / 8))?;
            value = value << 1 | u64::from(byte >> (7 - at % 8) & 1);
        }
        self.at += count;
        Ok(value)
    }
}

/// CRC-32/MPEG-2 (ISO/IEC 13818-1 annex A).
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn parse(text: &str) -> Result<Splice, SpliceError> {
        Splice::parse(&STANDARD.decode(text).unwrap())
    }

    /// The examples of ANSI/SCTE 35 section 14.
    #[test]
    fn the_standards_own_examples_are_read() {
        let signal =
            parse("/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==").unwrap();
        assert_eq!(signal.command, Command::TimeSignal(Some(0x0_72bd_0050)));
        assert_eq!(
            signal.segmentations,
            [Segmentation {
                event: 0x4800_008e,
                kind: 0x34,
                duration: Some(0x1_a599b0)
            }]
        );
        assert_eq!(signal.opens(), Some(true));
        let insert = parse("/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=").unwrap();
        let Command::Insert {
            event,
            out,
            pts,
            duration,
            ..
        } = insert.command
        else {
            panic!()
        };
        assert_eq!(
            (event, out, pts, duration),
            (0x4800_008f, true, Some(0x0_7369_c02e), Some(0x0_0052_ccf5))
        );
        let end = parse("/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g=").unwrap();
        assert_eq!(end.opens(), Some(false));
    }

    #[test]
    fn a_broken_section_is_told_from_a_good_one() {
        assert_eq!(Splice::parse(b""), Err(SpliceError::TableId));
        assert!(matches!(
            parse(
                "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo="
                    .replace("Lv4", "Lv5")
                    .as_str()
            ),
            Err(SpliceError::Crc { .. })
        ));
        assert!(matches!(parse("/DAvAAAAAAAA"), Err(SpliceError::Short(_))));
    }
}
