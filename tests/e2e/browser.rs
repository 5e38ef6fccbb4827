//! Browser tests: the scripts of tests/browser, run against a page or a whole HMS.

use anyhow::Result;
use hms_tests::browser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PAGE: &str = "<!doctype html><html lang=\"en\"><head><title>Hello</title></head>\
                    <body><main><h1>Hello</h1></main></body></html>";

#[tokio::test]
async fn the_browser_opens_measures_and_photographs_a_page() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
                PAGE.len()
            );
            // The request is small and is answered the same whatever it says.
            let Ok(_length) = connection.read(&mut [0; 4096]).await else { continue };
            connection.write_all(answer.as_bytes()).await.ok();
        }
    });
    let pictures = tempfile::tempdir()?;
    let folder = pictures.path().to_string_lossy().into_owned();
    browser::run_script("smoke.mjs", &[("HMS_URL", &url), ("HMS_SCREENSHOTS", &folder)]).await?;
    assert!(pictures.path().join("smoke.png").exists());
    server.abort();
    Ok(())
}
