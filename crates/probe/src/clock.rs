//! The one place where the engine reads the wall clock; everything else takes the time as an argument.

use jiff::Timestamp;

/// Something that tells the time.
pub type Clock = fn() -> Timestamp;

/// The system's clock.
#[allow(clippy::disallowed_methods)]
pub fn system() -> Timestamp {
    Timestamp::now()
}
