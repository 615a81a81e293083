//! The storage of a recipient, reached by the door that probes leave by. A tenant chooses where it is, so every connection
//! passes the guard of the pool, on the address that is then connected to: the storage's own client would resolve the name
//! a second time, and a name server that changes its answer would lead it anywhere.

use drmwatch_net::{Client, Door, Failure, Request};
use drmwatch_outcome::Verdict;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Full};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService,
    },
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes of an answer: a storage answers a write with a few lines.
const ANSWER: usize = 1 << 20;

/// The way to a storage. Clones share it.
#[derive(Clone)]
pub struct Bucket {
    client: Arc<Client>,
    refused: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket")
    }
}

/// A failure of a request, in words that quote no secret.
#[derive(thiserror::Error, Debug)]
#[error("{0}")]
struct Failed(String);

impl Bucket {
    /// The way that a client goes.
    pub fn new(client: Client) -> Bucket {
        Bucket {
            client: Arc::new(client),
            refused: Arc::default(),
        }
    }

    /// Why a request was not made, if one was not: the pool does not allow the address, or the URL cannot be used.
    pub fn refused(&self) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }

    fn error(&self, failure: Failure) -> HttpError {
        // Trying again helps against a server that fails, and not against what is refused here.
        let kind = match failure.verdict {
            Verdict::Fail(_) => HttpErrorKind::Connect,
            Verdict::Pass | Verdict::Inconclusive(_) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                *refused = Some(failure.message.clone());
                HttpErrorKind::Unknown
            }
        };
        HttpError::new(kind, Failed(failure.message))
    }
}

impl HttpConnector for Bucket {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Bucket {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let request = Request {
            method: parts.method,
            url: parts.uri.to_string(),
            headers: written(&parts.headers),
            body: body.collect().await?.to_bytes().to_vec(),
            // A signature is for one URL.
            max_redirects: 0,
            max_body: ANSWER,
            truncate: false,
            address: None,
        };
        let deadline = Instant::now() + PATIENCE;
        let sent = self.client.send(&request, deadline, &mut Vec::new()).await;
        let answer = sent.map_err(|failure| self.error(failure))?;
        let body = Full::new(answer.body).map_err(|never| match never {});
        let mut response = HttpResponse::new(HttpResponseBody::new(body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        // The body is no longer as it came over the wire.
        for name in [
            header::CONTENT_ENCODING,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

/// Headers as the door takes them. It writes those of the connection itself.
fn written(headers: &HeaderMap) -> Vec<(String, String)> {
    let own = [header::HOST, header::CONTENT_LENGTH, header::CONNECTION];
    headers
        .iter()
        .filter(|(name, _)| !own.contains(name))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_net::{Guard, Identity, Resolver, TlsSetup};
    use object_store::{ObjectStoreExt, path::Path};
    use std::{
        net::{Ipv4Addr, SocketAddr},
        sync::atomic::{AtomicUsize, Ordering},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, UdpSocket},
    };

    /// A name server that gives each question for an IPv4 address the next of these answers, and the last from then on.
    async fn changing(answers: &'static [Ipv4Addr], asked: Arc<AtomicUsize>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                // RFC 1035 section 4.1: header, and one question of labels, type and class.
                let end = packet[12..length].iter().position(|b| *b == 0).unwrap() + 12 + 5;
                let of_type = u16::from_be_bytes([packet[end - 4], packet[end - 3]]);
                (packet[2], packet[3]) = (0x81, 0x80);
                packet[6..12].fill(0);
                let mut answer = packet[..end].to_vec();
                if of_type == 1 {
                    let number = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                    answer[7] = 1;
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    answer.extend(answers[number].octets());
                }
                let _ = socket.send_to(&answer, from).await;
            }
        });
        address
    }

    /// A storage that takes everything, and counts connections.
    async fn storage(listener: TcpListener, met: Arc<AtomicUsize>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            met.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                    let mut part = [0; 4096];
                    let length = stream.read(&mut part).await.unwrap_or_default();
                    if length == 0 {
                        return;
                    }
                    seen.extend_from_slice(&part[..length]);
                }
                let answer =
                    b"HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
            });
        }
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_reaches_nothing_that_the_pool_does_not_allow() {
        let allowed = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = allowed.local_addr().unwrap().port();
        let forbidden = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (good, bad, asked) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        tokio::spawn(storage(allowed, good.clone()));
        tokio::spawn(storage(forbidden, bad.clone()));
        static ANSWERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 1)];
        let names = changing(&ANSWERS, asked.clone()).await;
        let client = Client::new(
            Resolver::of(names).unwrap(),
            Guard::new(&["127.0.0.2/32".to_owned()]),
            TlsSetup::new(Identity::default()).unwrap(),
        );
        let bucket = Bucket::new(client);
        let settings = [
            ("aws_access_key_id", "id"),
            ("aws_secret_access_key", "secret"),
            ("aws_region", "eu-central-1"),
            ("aws_allow_http", "true"),
            ("aws_endpoint", &format!("http://bucket.example:{port}")),
        ];
        let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let store =
            drmwatch_archive::storage_by("s3://reports/acme", settings, None, bucket.clone()).unwrap();
        // The address that was looked at is the one that is connected to: the name is resolved once for a connection.
        store.put(&Path::from("one.csv"), "a".into()).await.unwrap();
        let counts = || [&good, &bad, &asked].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(counts(), [1, 0, 1]);
        assert_eq!(bucket.refused(), None);
        // From now on the name is an address that the pool does not allow.
        store.put(&Path::from("two.csv"), "b".into()).await.unwrap_err();
        assert_eq!(counts(), [1, 0, 2]);
        let refused = bucket.refused().unwrap();
        assert!(
            refused.starts_with("bucket.example is 127.0.0.1, which this pool does not allow"),
            "{refused}"
        );
    }
}
