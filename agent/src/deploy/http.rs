//! One question over HTTP/1.1 to something on this host, with an answer of bounded size.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
};

/// More of an answer is not looked at.
const ANSWER_MOST: u64 = 256 * 1024;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// As in RFC 9110.
    pub(crate) status: u16,
    /// As far as it was read.
    pub(crate) body: Vec<u8>,
}

/// Asks whoever listens on a unix socket.
pub(crate) async fn get_unix(socket: &Path, host: &str, path: &str, limit: Duration) -> io::Result<Answer> {
    let ask = async { get(UnixStream::connect(socket).await?, host, path).await };
    tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| Err(late(limit)))
}

fn late(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))
}

/// Asks on a connection, and reads until it is closed.
pub(crate) async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    path: &str,
) -> io::Result<Answer> {
    // What stands in front of an app in production says so: without it, apps that insist on TLS only redirect.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 127.0.0.1\r\n\
         User-Agent: hms-agent\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut text = Vec::new();
    let read = stream.take(ANSWER_MOST).read_to_end(&mut text).await;
    match parse(&text) {
        // Whoever closes a connection in a hurry has answered all the same.
        Some(answer) => Ok(answer),
        None => Err(read.err().unwrap_or_else(|| io::Error::other("what it answered is not HTTP"))),
    }
}

fn parse(text: &[u8]) -> Option<Answer> {
    let rest = text.strip_prefix(b"HTTP/1.")?;
    let status = std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()?;
    let head = text.windows(4).position(|w| w == b"\r\n\r\n")?;
    let chunked =
        String::from_utf8_lossy(&text[..head]).to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = &text[head + 4..];
    Some(Answer { status, body: if chunked { join(body) } else { body.to_vec() } })
}

/// The content of chunks (RFC 9112, 7.1), as far as they are whole.
fn join(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = body.get(end + 2..).and_then(|rest| rest.get(..size)).filter(|c| !c.is_empty())
        else {
            break;
        };
        content.extend_from_slice(chunk);
        body = body.get(end + 2 + size + 2..).unwrap_or_default();
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_they_come() {
        let of = |text: &str| parse(text.as_bytes()).map(|a| (a.status, String::from_utf8(a.body).unwrap()));
        assert_eq!(of("HTTP/1.1 200 OK\r\nA: b\r\n\r\nup"), Some((200, "up".into())));
        assert_eq!(of("HTTP/1.0 503 Busy\r\n\r\n"), Some((503, String::new())));
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(of(chunked), Some((200, "abcde".into())));
        for bad in ["", "HTTP/1.1", "HTTP/1.1 2x0 OK\r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut() {
        let (near, far) = tokio::io::duplex(4096);
        let flood = tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(far);
            let mut asked = [0; 4];
            read.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"GET ");
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
            write.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while write.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let answer = get(near, "localhost", "/up").await.unwrap();
        assert!(answer.status == 200 && answer.body.len() < 256 * 1024);
        flood.await.unwrap();
    }
}
