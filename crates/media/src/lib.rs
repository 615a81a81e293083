//! Bytes to typed manifests and boxes.
//!
//! Every parser here is total and bounded: any bytes give a value or an error that names the line, the
//! element or the offset; nothing panics, nothing loops, and depth and counts are capped. There is no
//! I/O and no clock: who asks for freshness brings the time.

pub mod bmff;
pub mod dash;
pub mod hds;
pub mod hls;
mod kid;
mod problem;
pub mod scte35;
mod segment;
pub mod signal;
pub mod smooth;
pub mod text;
pub mod ts;
mod xml;

pub use kid::{Kid, KidError};
pub use problem::{MAX_PROBLEMS, Place, Problem};
pub use segment::SegmentKind;
pub use xml::XmlError;

/// `to - from`, at most as far as an `i64` reaches: times in a manifest are any 64 bits.
fn difference(to: u64, from: u64) -> i64 {
    let exact = i128::from(to).saturating_sub(i128::from(from));
    let clamped = exact.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(clamped).unwrap_or(i64::MAX)
}
