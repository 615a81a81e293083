//! XMR licences (eXtensible Media Rights): a tree of objects, each with flags, type and length, big-endian.

use drmwatch_media::{Kid, signal::from_guid};
use jiff::Timestamp;
use thiserror::Error;

/// Deepest nesting of containers.
const MAX_DEPTH: usize = 8;
/// Most objects of a licence.
const MAX_OBJECTS: usize = 1024;
/// Flag of an object that holds objects.
const CONTAINER: u16 = 2;

/// Why bytes are no licence.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
#[error("byte {offset}: {problem}")]
pub struct XmrError {
    /// Where.
    pub offset: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// A key. Its bytes are encrypted for the device, and are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Key id, in network order.
    pub kid: Kid,
    /// 1 AES-CTR, 5 AES-CBC.
    pub key_type: u16,
    /// 3 ECC.
    pub cipher: u16,
}

/// A licence.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct License {
    /// Version of the format.
    pub version: u32,
    /// Rights id: the request's nonce, in a licence that is not kept.
    pub rights_id: [u8; 16],
    /// Keys.
    pub keys: Vec<Key>,
    /// From when it may be used.
    pub begins: Option<Timestamp>,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub issued: Option<Timestamp>,
    /// How long after the first play, seconds.
    pub after_first_play: Option<u32>,
    /// Least security level: 150, 2000, 3000.
    pub security_level: Option<u16>,
    /// Output protection levels: compressed video, uncompressed video, analog video, compressed and uncompressed
    /// audio.
    pub output_protection: Option<[u16; 5]>,
    /// When it must be removed.
    pub removed: Option<Timestamp>,
    /// It expires by the clock while it plays.
    pub real_time_expiration: bool,
    /// Bound to a domain.
    pub domain: bool,
    /// Outputs that may be used nevertheless.
    pub play_enablers: Vec<Kid>,
    /// Type and length of its signature (made with a key that only the device knows).
    pub signature: Option<(u16, usize)>,
    /// Types of objects that are not known here.
    pub unknown: Vec<u16>,
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&self, at: usize) -> Result<[u8; N], XmrError> {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .ok_or(XmrError {
                offset: at.min(self.bytes.len()),
                problem: "an object is cut off",
            })
    }
    fn u16(&self, at: usize) -> Result<u16, XmrError> {
        self.take(at).map(u16::from_be_bytes)
    }
    fn u32(&self, at: usize) -> Result<u32, XmrError> {
        self.take(at).map(u32::from_be_bytes)
    }
    fn time(&self, at: usize) -> Result<Option<Timestamp>, XmrError> {
        // All ones is "without end", nought "from the beginning".
        let seconds = self.u32(at)?;
        let real = seconds != 0 && seconds != u32::MAX;
        Ok(real
            .then(|| Timestamp::from_second(i64::from(seconds)).ok())
            .flatten())
    }
}

impl License {
    /// Reads a licence.
    pub fn parse(bytes: &[u8]) -> Result<License, XmrError> {
        let reader = Reader { bytes };
        if reader.take::<4>(0)? != *b"XMR\0" {
            return Err(XmrError {
                offset: 0,
                problem: "a licence must begin with XMR",
            });
        }
        let mut license = License {
            version: reader.u32(4)?,
            rights_id: reader.take(8)?,
            ..License::default()
        };
        let mut count = 0;
        if bytes.len() == 24 {
            return Err(XmrError {
                offset: 24,
                problem: "a licence must hold objects",
            });
        }
        license.objects(&reader, 24, bytes.len(), 0, &mut count)?;
        Ok(license)
    }

    fn objects(
        &mut self,
        reader: &Reader<'_>,
        mut at: usize,
        end: usize,
        depth: usize,
        count: &mut usize,
    ) -> Result<(), XmrError> {
        while at < end {
            *count += 1;
            let fail = |problem| XmrError { offset: at, problem };
            if *count > MAX_OBJECTS {
                return Err(fail("a licence has too many objects"));
            }
            let (flags, kind) = (reader.u16(at)?, reader.u16(at + 2)?);
            let length = reader.u32(at + 4)? as usize;
            let next = at.checked_add(length).filter(|next| length >= 8 && *next <= end);
            let next =
                next.ok_or_else(|| fail("the length of an object must be 8 or more and lie within"))?;
            if flags & CONTAINER != 0 {
                if depth == MAX_DEPTH {
                    return Err(fail("containers are nested too deep"));
                }
                self.objects(reader, at + 8, next, depth + 1, count)?;
            } else {
                // An object is read by itself, so that a short one is told where it is.
                let own = Reader {
                    bytes: &reader.bytes[..next],
                };
                self.object(&own, kind, at + 8)?;
            }
            at = next;
        }
        Ok(())
    }

    fn object(&mut self, own: &Reader<'_>, kind: u16, at: usize) -> Result<(), XmrError> {
        match kind {
            0x0005 => {
                let mut levels = [0; 5];
                for (n, level) in levels.iter_mut().enumerate() {
                    *level = own.u16(at + 2 * n)?;
                }
                self.output_protection = Some(levels);
            }
            0x000A => self.keys.push(Key {
                kid: from_guid(own.take(at)?),
                key_type: own.u16(at + 16)?,
                cipher: own.u16(at + 18)?,
            }),
            0x000B => self.signature = Some((own.u16(at)?, usize::from(own.u16(at + 2)?))),
            0x0012 => (self.begins, self.expires) = (own.time(at)?, own.time(at + 4)?),
            0x0013 => self.issued = own.time(at)?,
            0x0029 => self.domain = true,
            0x0030 => self.after_first_play = Some(own.u32(at)?),
            0x0034 => self.security_level = Some(own.u16(at)?),
            0x0039 => self.play_enablers.push(from_guid(own.take(at)?)),
            0x0050 => self.removed = own.time(at)?,
            0x0055 => self.real_time_expiration = true,
            0x0032 => {}
            other if self.unknown.len() < 32 => self.unknown.push(other),
            _ => {}
        }
        Ok(())
    }

    /// Key ids.
    pub fn kids(&self) -> impl Iterator<Item = Kid> + '_ {
        self.keys.iter().map(|k| k.kid)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn sample() -> Vec<u8> {
        let mut key = b"\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff".to_vec();
        key.extend([0, 1, 0, 3, 0, 4, 1, 2, 3, 4]);
        let global = object(
            2,
            2,
            &[
                object(1, 0x12, &[0x65, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
                object(1, 0x34, &[7, 0xd0]),
            ]
            .concat(),
        );
        let keys = object(2, 9, &object(1, 0x0A, &key));
        let playback = object(2, 4, &object(1, 5, &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5]));
        let outer = object(
            3,
            1,
            &[
                global,
                keys,
                playback,
                object(0, 0x7777, b"new"),
                object(1, 0x0B, &[0, 1, 0, 16]),
            ]
            .concat(),
        );
        [&b"XMR\0\0\0\0\x03"[..], &[9; 16], &outer].concat()
    }

    #[test]
    fn policy_and_keys_are_read_and_the_unknown_is_skipped() {
        let license = License::parse(&sample()).unwrap();
        let kid = Kid::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!(
            license.keys,
            [Key {
                kid,
                key_type: 1,
                cipher: 3
            }]
        );
        assert_eq!((license.security_level, license.rights_id), (Some(2000), [9; 16]));
        assert_eq!(
            (license.begins.unwrap().as_second(), license.expires),
            (0x6500_0000, None)
        );
        assert_eq!(license.output_protection, Some([1, 2, 3, 4, 5]));
        assert_eq!(
            (license.unknown.as_slice(), license.signature),
            (&[0x7777][..], Some((1, 16)))
        );
    }

    #[test]
    fn what_is_cut_off_names_its_place() {
        let bytes = sample();
        for length in 0..bytes.len() {
            let error = License::parse(&bytes[..length]).unwrap_err();
            assert!(error.offset <= length, "{error}");
        }
        let deep = (0..20).fold(Vec::new(), |inner, _| object(2, 1, &inner));
        let error = License::parse(&[&b"XMR\0\0\0\0\x03"[..], &[0; 16], &deep].concat());
        assert_eq!(error.unwrap_err().problem, "containers are nested too deep");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..256), at in 0usize..120) {
            let _ = License::parse(&bytes);
            let mut sample = sample();
            let at = at.min(sample.len() - 1);
            sample[at] = bytes.first().copied().unwrap_or(0xff);
            let _ = License::parse(&sample);
        }
    }
}
