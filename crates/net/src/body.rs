//! Bodies, under a cap, before and after decompression.

use super::{Failure, failure};
use drmwatch_outcome::Reason;
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Bytes, Incoming},
    header,
};
use std::io::{self, Write};

/// How much is read.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub bytes: usize,
    pub truncate: bool,
}

/// Reads a body; `wire` counts its bytes as they came.
pub(super) async fn read(
    mut body: Incoming,
    headers: &HeaderMap,
    limits: Limits,
    host: &str,
    wire: &mut u64,
) -> Result<Bytes, Failure> {
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("identity");
    let mut sink = match encoding.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => Sink::Plain(Capped::new(limits.bytes)),
        "gzip" | "x-gzip" => Sink::Gzip(Box::new(MultiGzDecoder::new(Capped::new(limits.bytes)))),
        other => {
            let message = format!("{host} answered in the encoding {other:.20}, which was not asked for");
            return Err(Failure::fail(Reason::ProtocolError, message));
        }
    };
    let too_large = || {
        Failure::fail(
            Reason::BodyTooLarge,
            format!("the answer of {host} is larger than {} bytes", limits.bytes),
        )
    };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| failure::of_http(&e, host))?.into_data() else {
            continue;
        };
        *wire += data.len() as u64;
        match sink.write(&data) {
            Ok(()) => {}
            Err(_) if sink.full() && limits.truncate => return Ok(sink.into_bytes()),
            Err(_) if sink.full() => return Err(too_large()),
            Err(_) => return Err(broken_gzip(host)),
        }
    }
    match sink.finish() {
        Ok(bytes) => Ok(bytes),
        Err(true) => Err(too_large()),
        Err(false) => Err(broken_gzip(host)),
    }
}

fn broken_gzip(host: &str) -> Failure {
    Failure::fail(
        Reason::ProtocolError,
        format!("the answer of {host} is broken gzip"),
    )
}

enum Sink {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Sink::Plain(capped) => capped.write_all(data),
            Sink::Gzip(decoder) => decoder.write_all(data).and_then(|()| decoder.flush()),
        }
    }
    fn full(&self) -> bool {
        match self {
            Sink::Plain(capped) => capped.full,
            Sink::Gzip(decoder) => decoder.get_ref().full,
        }
    }
    fn into_bytes(self) -> Bytes {
        match self {
            Sink::Plain(capped) => capped.bytes.into(),
            Sink::Gzip(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes).into(),
        }
    }
    /// The bytes, or whether the cap was what stood in the way.
    fn finish(mut self) -> Result<Bytes, bool> {
        if let Sink::Gzip(decoder) = &mut self
            && decoder.try_finish().is_err()
        {
            return Err(decoder.get_ref().full);
        }
        Ok(self.into_bytes())
    }
}

/// A vector that takes no more than it may.
struct Capped {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Capped {
    fn new(limit: usize) -> Capped {
        Capped {
            bytes: Vec::new(),
            limit,
            full: false,
        }
    }
}

impl Write for Capped {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.limit - self.bytes.len();
        if data.len() > room {
            self.bytes.extend_from_slice(&data[..room]);
            self.full = true;
            return Err(io::Error::other("the cap is reached"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
