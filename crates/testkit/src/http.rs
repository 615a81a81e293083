//! Listeners that speak HTTP properly.

use crate::services::{Request, Site, now};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::SignedDuration;
use rustls::ServerConfig;
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

/// Listens, and answers from the site; with TLS when there is a configuration for it.
pub(crate) async fn serve(
    tasks: &mut JoinSet<()>,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    site: Arc<Site>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| std::io::Error::new(e.kind(), format!("can't listen on {address}: {e}")))?;
    let bound = listener.local_addr()?;
    let acceptor = tls.map(TlsAcceptor::from);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let (acceptor, site) = (acceptor.clone(), site.clone());
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                let service = service_fn(move |request| respond(site.clone(), request));
                match acceptor {
                    None => {
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    }
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        let io = TokioIo::new(stream);
                        if h2 {
                            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                                .serve_connection(io, service)
                                .await;
                        } else {
                            let _ = hyper::server::conn::http1::Builder::new()
                                .serve_connection(io, service)
                                .await;
                        }
                    }
                }
            });
        }
    });
    Ok(bound)
}

async fn respond(
    site: Arc<Site>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, 1 << 20)
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    let answer = loop {
        let answer = site.answer(&Request {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            authorization: head.headers.get("authorization").and_then(|v| v.to_str().ok()),
            headers: &head.headers,
            body: &body,
        });
        // A blocking playlist reload, or a part that was hinted at.
        let Some(due) = answer.due else { break answer };
        let wait = due.duration_since(now()) + SignedDuration::from_millis(1);
        tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
    };
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-type", answer.kind);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let range = head
        .headers
        .get("range")
        .and_then(|v| v.to_str().ok())
        .and_then(parse_range);
    let total = answer.body.len();
    let body = match range {
        Some((first, last)) if answer.status == 200 && first < total => {
            let last = last.min(total - 1);
            response = response
                .status(206)
                .header("content-range", format!("bytes {first}-{last}/{total}"));
            answer.body[first..=last].to_vec()
        }
        _ => answer.body,
    };
    Ok(response.body(Full::from(body)).unwrap_or_default())
}

fn parse_range(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().unwrap_or(usize::MAX)))
}
