//! Licence messages to and from bytes. Total functions: no I/O, no clock, no panic on any bytes.
//!
//! No function here unwraps a content key. ClearKey is the exception by its nature: its keys are public
//! canaries, and [`canary`] opens samples with them to prove that key and content belong together.

pub mod aes128;
pub mod canary;
pub mod clearkey;
pub mod cpix;
pub mod fairplay;
pub mod init_data;
pub mod playready;
pub mod protobuf;
pub mod widevine;
pub mod wrapper;
