//! A client that asks as fast as answers come, over connections that stay open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::per_second;
use crate::error::Error;

/// `GET` as RFC 5019 section 5 wants it.
pub(super) fn get(request: &[u8]) -> Vec<u8> {
    // Slashes are left as they are; a plus sign in a path is only a plus sign.
    let path = data_encoding::BASE64.encode(request);
    format!("GET /ocsp/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

pub(super) fn post(request: &[u8]) -> Vec<u8> {
    let length = request.len();
    let head = format!(
        "POST /ocsp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), request].concat()
}

/// Sends the requests in turn over so many connections, and returns how many answers came in a second.
pub(super) async fn run(
    address: SocketAddr,
    requests: Arc<[Vec<u8>]>,
    connections: usize,
    time: Duration,
) -> Result<f64, Error> {
    let begun = Instant::now();
    let mut working = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let requests = Arc::clone(&requests);
        working.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut buffer = Vec::with_capacity(8192);
            let mut answers = 0_u64;
            for request in requests.iter().cycle().skip(connection * requests.len() / connections) {
                if begun.elapsed() >= time {
                    break;
                }
                stream.write_all(request).await?;
                answer(&mut stream, &mut buffer).await?;
                answers += 1;
            }
            Ok::<_, std::io::Error>(answers)
        });
    }
    let mut answers = 0;
    while let Some(ended) = working.join_next().await {
        match ended {
            Ok(Ok(of_connection)) => answers += of_connection,
            Ok(Err(error)) => {
                return Err(Error::InvalidInput {
                    field: "bench",
                    reason: format!("OCSP over HTTP: {error}"),
                });
            }
            Err(_) => return Err(migrations::Error::Stopping.into()),
        }
    }
    Ok(per_second(answers, begun.elapsed()))
}

/// Reads one answer, which must be 200 and hold an OCSP response that was signed.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    let bad = |what: &str| std::io::Error::other(what.to_owned());
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(bad("the connection was closed"));
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default()).map_err(|_| bad("no HTTP"))?;
        if !text.starts_with("HTTP/1.1 200 ") {
            return Err(bad(text.lines().next().unwrap_or_default()));
        }
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .ok_or_else(|| bad("an answer without its length"))?;
        while buffer.len() < head + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                return Err(bad("the connection was closed"));
            }
        }
        // An answer without a signature has five octets.
        return match length > 100 {
            true => Ok(()),
            false => Err(bad("an answer without a signature")),
        };
    }
}
