//! Who takes all the time there is loses the connection, in the handshake, the header and the body.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::attack::floods;
use crate::attack::round::length;
use crate::attack::scene::Scene;
use crate::attack::wire::Target;

/// A connection that is not closed in this time is not closed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Beginnings of requests, and what of them then comes slowly.
const REQUESTS: [(&str, &str); 5] = [
    ("", ""),
    ("", "GET / HTTP/1.1\r\nhost: hms\r\nx-a: b"),
    ("GET /livez HTTP/1.1\r\nhost: hms\r\n\r\n", ""),
    (
        "POST /login HTTP/1.1\r\nhost: hms\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 999\r\n\r\n",
        "username=a",
    ),
    (
        "POST /api/auth/login HTTP/1.1\r\nhost: hms\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        "1\r\n{\r\n1\r\n\"\r\n",
    ),
];

/// Security cases 98 and 99. What takes its time goes on beside other attacks, but for where it is an attack that is long itself.
pub(super) async fn begin(scene: &mut Scene) -> Result<JoinHandle<Result<()>>> {
    let targets = scene.targets()?;
    if length().is_some() {
        scene.round("slow", async || all(&targets).await).await?;
    }
    Ok(tokio::spawn(async move { all(&targets).await.map(drop) }))
}

async fn all(targets: &[Target; 3]) -> Result<usize> {
    let reading = try_join_all(targets.iter().map(shut_window));
    let handshakes = try_join_all(targets.iter().map(handshakes));
    let mut pages = targets[0].clone();
    let mut tls = (*pages.tls).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    pages = pages.with(tls);
    let requests = try_join_all(REQUESTS.map(|(begin, then)| request(&pages, begin, then)));
    tokio::try_join!(reading, handshakes, requests)?;
    Ok(3 * targets.len() + REQUESTS.len())
}

/// Security case 98: who answers each PING, but does not take the answer that it asked for, loses the connection.
async fn shut_window(target: &Target) -> Result<()> {
    let (wire, outcome) = floods::shut_windows(target, 1).await?;
    ensure!(!outcome.ended, "the request was refused");
    let ended = async {
        while !wire.has_ended() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    let name = target.name;
    ensure!(
        timeout(PATIENCE, ended).await.is_ok(),
        "{name}: an answer waits for ever for who does not take it"
    );
    Ok(())
}

async fn handshakes(target: &Target) -> Result<()> {
    let (mut silent, mut hello) = (target.tcp().await?, target.tcp().await?);
    let bytes = [0x16, 3, 1, 2, 0, 1, 0];
    let closed = join_all([is_closed(&mut silent, &[]), is_closed(&mut hello, &bytes)]).await;
    ensure!(closed == [true, true], "{}: a slow handshake is waited for: {closed:?}", target.name);
    Ok(())
}

async fn request(target: &Target, begin: &str, then: &str) -> Result<()> {
    let mut tls = target.tls().await?;
    tls.write_all(begin.as_bytes()).await?;
    tls.flush().await?;
    ensure!(is_closed(&mut tls, then.as_bytes()).await, "{begin:?}, then slowly {then:?}, is listened to");
    Ok(())
}

/// Sends a byte every few seconds, and says whether the connection was closed before too long.
async fn is_closed(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        for byte in bytes {
            if writing.write_all(&[*byte]).await.is_err() || writing.flush().await.is_err() {
                break;
            }
            sleep(Duration::from_secs(4)).await;
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut buffer = [0; 4096];
        while reading.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    let closed = async {
        tokio::select! { () = read => {}, () = write => {} }
    };
    timeout(PATIENCE, closed).await.is_ok()
}
