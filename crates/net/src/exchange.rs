//! One request on one connection.

use super::{Client, Failure, Request, Response, USER_AGENT, body, connect, failure};
use drmwatch_outcome::{Hop, Reason};
use http_body_util::Full;
use hyper::{
    Method,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, timeout_at},
};
use url::Url;

/// Largest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// One hop's request.
pub(super) struct Sent<'a> {
    pub method: &'a Method,
    pub url: &'a Url,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    pub request: &'a Request,
}

/// Connects, asks and reads the whole answer.
pub(super) async fn exchange(
    client: &Client,
    sent: Sent<'_>,
    deadline: Instant,
    hop: &mut Hop,
) -> Result<Response, Failure> {
    let host = sent.url.host_str().unwrap_or_default();
    let stream = connect::connect(client, sent.url, sent.request.address, deadline, hop).await?;
    if sent.url.scheme() == "https" {
        let stream = client.tls.handshake(stream, host, deadline, hop).await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        talk(stream, h2, sent, deadline, hop).await
    } else {
        talk(stream, false, sent, deadline, hop).await
    }
}

async fn talk<S>(
    stream: S,
    h2: bool,
    sent: Sent<'_>,
    deadline: Instant,
    hop: &mut Hop,
) -> Result<Response, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let host = sent.url.host_str().unwrap_or_default().to_owned();
    let late = |what: &str| Failure::fail(Reason::Timeout, format!("{host} did not {what} in time"));
    let started = Instant::now();
    let meter = Arc::new(Mutex::new(Meter {
        written: started,
        tls_error: None,
    }));
    let io = TokioIo::new(Metered {
        inner: stream,
        meter: meter.clone(),
    });
    hop.protocol = Some(if h2 { "h2" } else { "http/1.1" }.to_owned());
    let request = head(&sent, h2)?;
    let answer = async {
        if h2 {
            let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(MAX_HEAD as u32)
                .handshake(io)
                .await?;
            let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
            Ok::<_, hyper::Error>((sender.send_request(request).await?, driver))
        } else {
            let (mut sender, connection) = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(io).await?;
            let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
            Ok((sender.send_request(request).await?, driver))
        }
    };
    let outcome = timeout_at(deadline, answer).await;
    let answered = Instant::now();
    let Meter { written, tls_error } = meter.lock().unwrap_or_else(|e| e.into_inner()).clone();
    hop.phases.request = Some(written.duration_since(started).as_secs_f64());
    let (response, driver) = match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(tls_error.map_or_else(
                || failure::of_http(&error, &host),
                |e| failure::of_rustls(&e, &host),
            ));
        }
        Err(_) => return Err(late("answer")),
    };
    hop.phases.first_byte = Some(answered.saturating_duration_since(written).as_secs_f64());
    let (parts, incoming): (_, Incoming) = response.into_parts();
    hop.status = Some(parts.status.as_u16());
    let limits = body::Limits {
        bytes: sent.request.max_body,
        truncate: sent.request.truncate,
    };
    let read = timeout_at(
        deadline,
        body::read(incoming, &parts.headers, limits, &host, &mut hop.bytes),
    )
    .await;
    hop.phases.transfer = Some(answered.elapsed().as_secs_f64());
    drop(driver);
    let body = read.unwrap_or_else(|_| Err(late("send its whole answer")))?;
    Ok(Response {
        status: parts.status,
        headers: parts.headers,
        body,
        url: sent.url.clone(),
    })
}

/// Ends the connection with the hop.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn head(sent: &Sent<'_>, h2: bool) -> Result<hyper::Request<Full<Bytes>>, Failure> {
    let url = sent.url;
    let target = match h2 {
        true => url[..url::Position::AfterQuery].to_owned(),
        false => url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
    };
    let mut builder = hyper::Request::builder().method(sent.method).uri(target);
    if !h2 {
        builder = builder.header(
            header::HOST,
            &url[url::Position::BeforeHost..url::Position::AfterPort],
        );
    }
    let given = |name: &header::HeaderName| {
        sent.headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case(name.as_str()))
    };
    let defaults = [
        (header::USER_AGENT, USER_AGENT),
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip"),
    ];
    // A range is of the bytes as they are stored: compressed ones would be a range of something else.
    let ranged = given(&header::RANGE);
    for (name, value) in defaults {
        let unwanted = ranged && name == header::ACCEPT_ENCODING;
        if !unwanted && !given(&name) {
            builder = builder.header(name, value);
        }
    }
    for (name, value) in sent.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::from(sent.body.to_vec())).map_err(|_| {
        // The cause may quote a header's value.
        Failure::inconclusive(
            Reason::ConfigurationInvalid,
            "the request has a header that HTTP does not allow",
        )
    })
}

/// What is noted while a connection is used.
#[derive(Clone)]
struct Meter {
    /// When bytes to send were last taken.
    written: Instant,
    /// Alerts may come after the handshake (a client certificate that is missing, in TLS 1.3), and h2
    /// keeps of an error only its text.
    tls_error: Option<rustls::Error>,
}

/// A stream that fills a [`Meter`].
struct Metered<S> {
    inner: S,
    meter: Arc<Mutex<Meter>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &result
            && let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>())
        {
            self.meter.lock().unwrap_or_else(|e| e.into_inner()).tls_error = Some(error.clone());
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        if matches!(result, Poll::Ready(Ok(n)) if n > 0) {
            self.meter.lock().unwrap_or_else(|e| e.into_inner()).written = Instant::now();
        }
        result
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
