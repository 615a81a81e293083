//! A server that misbehaves below HTTP, by path: `/endless`, `/gzip-bomb`, `/drip`, `/broken-chunk`,
//! `/close`, `/silence`, `/garbage`, `/short`, `/endless-headers`, `/bad-gzip`.

use std::{io::Write, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

pub(crate) async fn serve(tasks: &mut JoinSet<()>, address: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                let _ = misbehave(stream).await;
            });
        }
    });
    Ok(bound)
}

async fn misbehave(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") && head.len() < 64 << 10 {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.apple.mpegurl\r\n";
    match head.split_whitespace().nth(1).unwrap_or_default() {
        "/endless" => {
            stream.write_all(OK).await?;
            stream.write_all(b"\r\n#EXTM3U\n").await?;
            loop {
                stream.write_all(&[b'#'; 16 << 10]).await?;
            }
        }
        "/endless-headers" => {
            stream.write_all(OK).await?;
            loop {
                stream
                    .write_all(b"x-more: 0123456789012345678901234567890123456789\r\n")
                    .await?;
            }
        }
        "/gzip-bomb" => {
            // 1 GiB of zeros in about 1 MiB, made once for each request and streamed.
            stream.write_all(OK).await?;
            stream.write_all(b"content-encoding: gzip\r\n\r\n").await?;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            for _ in 0..1024 {
                encoder.write_all(&vec![0; 1 << 20])?;
                let piece = std::mem::take(encoder.get_mut());
                stream.write_all(&piece).await?;
            }
            stream.write_all(&encoder.finish()?).await?;
        }
        "/drip" => {
            stream.write_all(OK).await?;
            stream.write_all(b"content-length: 100000\r\n\r\n").await?;
            loop {
                stream.write_all(b"#").await?;
                sleep(Duration::from_millis(50)).await;
            }
        }
        "/broken-chunk" => {
            stream.write_all(OK).await?;
            stream
                .write_all(b"transfer-encoding: chunked\r\n\r\n7\r\n#EXTM3U\r\nZZ\r\n")
                .await?;
        }
        "/short" => {
            stream.write_all(OK).await?;
            stream.write_all(b"content-length: 1000\r\n\r\n#EXTM3U\n").await?;
        }
        "/bad-gzip" => {
            stream.write_all(OK).await?;
            stream
                .write_all(b"content-encoding: gzip\r\ncontent-length: 15\r\n\r\nnot gzip at all")
                .await?;
        }
        "/garbage" => stream.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await?,
        "/silence" => sleep(Duration::from_secs(3600)).await,
        _ => {}
    }
    stream.shutdown().await
}
