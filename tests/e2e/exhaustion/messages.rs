//! gRPC messages that are too long, or lie about it, or do not end.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::{Stream, StreamExt as _, stream};
use hms_proto::HOST_KEY;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, body::Body};
use tower::ServiceExt as _;

use crate::attack::scene::{HOST, METHOD, Scene};

/// What tonic takes in one message.
const MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// An answer that comes later than this is none.
const PATIENCE: Duration = Duration::from_secs(60);

/// Security cases 95 and 96.
pub(super) async fn rounds(scene: &mut Scene) -> Result<()> {
    let (controller, agent) = (scene.visitor.channel("controller")?, scene.visitor.channel("agent")?);
    let attack = async || {
        let both = try_join(messages("controller", controller.clone()), messages("agent", agent.clone()));
        both.await.map(|(one, other)| one + other)
    };
    scene.round("messages", attack).await
}

async fn messages(port: &str, channel: Channel) -> Result<usize> {
    let code = post(&channel, &[], stream::iter([message(MESSAGE_MAX)])).await?;
    ensure!(code == Code::InvalidArgument, "{port}: a message of the largest size: {code:?}");
    let code = post(&channel, &[], stream::iter([message(MESSAGE_MAX + 1)])).await?;
    ensure!(is_too_large(code), "{port}: a message one byte too long: {code:?}");
    let lie = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]);
    let code = post(&channel, &[], stream::iter([lie])).await?;
    ensure!(is_too_large(code), "{port}: a message of 4 GiB: {code:?}");
    // The length is a lie, and the message does not end.
    let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
    let head = Bytes::from_static(&[0, 0, 0x40, 0, 1]);
    let code = post(&channel, &[], stream::iter([head]).chain(stream::repeat(chunk))).await;
    ensure!(!matches!(code, Ok(Code::Ok)), "{port}: a message without end: {code:?}");
    // Many messages where one belongs.
    let many = stream::repeat(message(1 << 20)).take(128);
    let code = post(&channel, &[], many).await;
    ensure!(!matches!(code, Ok(Code::Ok)), "{port}: messages without end: {code:?}");
    // One whose content is compressed, though nobody said that this is understood.
    let packed = Bytes::from_static(&[1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0]);
    let code = post(&channel, &[("grpc-encoding", "gzip")], stream::iter([packed])).await?;
    ensure!(code == Code::Unimplemented, "{port}: compressed: {code:?}");
    Ok(6)
}

/// Calls a method with these bytes as its body, and returns the status that it ended with.
async fn post(
    channel: &Channel,
    more: &[(&'static str, &'static str)],
    body: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Code> {
    let mut request = http::Request::post(format!("http://hms{METHOD}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header(HOST_KEY, HOST);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let body = Body::new(StreamBody::new(body.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)))));
    let answer = timeout(PATIENCE, channel.clone().oneshot(request.body(body)?)).await;
    let answer = answer.context("no answer")??;
    Ok(tonic::Status::from_header_map(answer.headers()).context("no status")?.code())
}

/// A message of a field that no method knows, of this length in all, after its own head.
fn message(length: usize) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(length).expect("it is short").to_be_bytes());
    // Field 15, of bytes; their length takes four bytes at this size.
    let mut rest = length - 5;
    bytes.push(15 << 3 | 2);
    for _ in 0..3 {
        bytes.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).expect("it is less than 128"));
    bytes.resize(5 + length, b'x');
    bytes.into()
}

fn is_too_large(code: Code) -> bool {
    matches!(code, Code::OutOfRange | Code::ResourceExhausted)
}
