//! Bytes to and from licence messages: total functions, no I/O, no clock
