//! Bodies of REST and of forms that are too long, or packed to become so.

use std::convert::Infallible;
use std::io::Write as _;

use anyhow::{Result, ensure};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Client, StatusCode, header};

use crate::attack::scene::Scene;

const MIB: usize = 1 << 20;

/// What a packed body becomes.
const UNPACKED: usize = 30 * MIB;

/// Where strangers may post something.
const PLACES: [&str; 3] = ["/api/auth/login", "/login", "/api/apps"];

/// Security cases 95 and 96.
pub(super) async fn rounds(scene: &mut Scene) -> Result<()> {
    let (client, url) = (scene.visitor.client()?, scene.visitor.url());
    // Whoever sends too much may lose its connection, and with it all that it asked there.
    let reckless = scene.visitor.client()?;
    let once = packed(&vec![b' '; UNPACKED])?;
    let twice = packed(&once)?;
    let attack = async || {
        let mut sent = 0;
        for path in PLACES {
            let post = |client| post(client, &url, path);
            let answers = try_join_all((0..4).map(|_| async {
                refuse("gzip", &once, post(&client)).await?;
                refuse("gzip, gzip", &twice, post(&client)).await?;
                refuse("zstd", b"(\xb5/\xfd", post(&client)).await?;
                too_long(post(&reckless).body(endless(100 * MIB))).await
            }));
            sent += 4 * answers.await?.len();
            told(&reckless, &url, path).await?;
        }
        Ok(sent)
    };
    scene.round("bodies", attack).await
}

fn post(client: &Client, url: &str, path: &str) -> reqwest::RequestBuilder {
    let kind =
        if path.starts_with("/api/") { "application/json" } else { "application/x-www-form-urlencoded" };
    client.post(format!("{url}{path}")).header(header::ORIGIN, url).header(header::CONTENT_TYPE, kind)
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

/// Nothing is unpacked.
async fn refuse(encoding: &str, body: &[u8], post: reqwest::RequestBuilder) -> Result<()> {
    let answer = post.header(header::CONTENT_ENCODING, encoding).body(body.to_vec()).send().await?;
    ensure!(answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE, "{encoding}: {answer:?}");
    ensure!(
        answer.headers().get(header::ACCEPT_ENCODING).is_some_and(|taken| taken == "identity"),
        "{encoding}: {answer:?}"
    );
    Ok(())
}

/// So many bytes whose number is not told before.
fn endless(length: usize) -> Body {
    let chunk = Bytes::from(vec![b' '; 16 * 1024]);
    let chunks = stream::repeat(chunk).take(length / (16 * 1024));
    Body::wrap_stream(chunks.map(Ok::<_, Infallible>))
}

/// It is read up to the limit, and then refused, or its stream is ended.
async fn too_long(post: reqwest::RequestBuilder) -> Result<()> {
    match post.send().await {
        Ok(answer) => {
            let status = answer.status();
            let refused = status == StatusCode::PAYLOAD_TOO_LARGE || status == StatusCode::UNAUTHORIZED;
            ensure!(refused, "a body that is too long: {answer:?}");
        }
        Err(error) => ensure!(error.is_request() || error.is_body(), "{error:?}"),
    }
    Ok(())
}

/// One whose length is told is refused before any of it is sent.
async fn told(client: &Client, url: &str, path: &str) -> Result<()> {
    let length = (100 * MIB).to_string();
    let post = post(client, url, path).header(header::CONTENT_LENGTH, length).body(endless(100 * MIB));
    match post.send().await {
        Ok(answer) => ensure!(answer.status() == StatusCode::PAYLOAD_TOO_LARGE, "{path}: {answer:?}"),
        Err(error) => ensure!(error.is_request() || error.is_body(), "{error:?}"),
    }
    Ok(())
}
