//! Bytes to HLS, DASH and ISO BMFF: total functions, no I/O, no clock
