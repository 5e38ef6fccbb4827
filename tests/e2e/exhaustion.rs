//! Attacks that want to use something up: memory, connections, files, streams. Whoever is attacked grows by a bounded amount,
//! goes on, and serves those who work meanwhile. With `HMS_LONG` each attack is the size of a real one.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use futures_util::{Stream, StreamExt as _, stream};
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{
    GetUnitRequest, LogQuery, log_service_client::LogServiceClient, unit_service_client::UnitServiceClient,
};
use hms_proto::identity::{Kind, client_config, pinned_client_config};
use hms_tests::attack::floods::{self, Outcome};
use hms_tests::attack::honest::Honest;
use hms_tests::attack::meter::Meter;
use hms_tests::attack::wire::Target;
use hms_tests::command::run;
use hms_tests::counts;
use hms_tests::people::{Party, log_in_as_admin};
use hms_tests::testbed::Testbed;
use hms_tests::world::{Plan, World};
use http_body::Frame;
use http_body_util::StreamBody;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, body::Body};
use tower::ServiceExt as _;

const CONTROLLER: &str = "hms-controller.service";
const AGENT: &str = "hms-agent.service";

/// A method that takes a message, at the controller and at the agent.
const METHOD: &str = "/hms.host.v1.UnitService/Get";

/// What tonic takes in one message.
const MESSAGE_MAX: usize = 4 * 1024 * 1024;

/// A connection that is not closed in this time is not closed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A size that is fit for each run, or the one of a real attack.
fn size(usual: usize, long: usize) -> usize {
    if std::env::var_os("HMS_LONG").is_some() { long } else { usual }
}

/// An attacker has more connections than a program usually may.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

/// One host with controller and agent, and an administrator.
struct Scene {
    world: World,
    admin: Party,
}

impl Scene {
    async fn set() -> Result<Self> {
        raise_file_limit()?;
        let world = World::start(&Testbed::new().await?, &Plan::new().host("asterra", &[]), &|_| {}).await?;
        let admin = log_in_as_admin(&world).await?;
        Ok(Self { world, admin })
    }

    fn host(&self) -> &hms_tests::testbed::Host {
        self.world.controller_host()
    }

    /// An address on the machine's end of the hosts' network.
    fn attacker(&self, number: u8) -> Result<Ipv4Addr> {
        let [a, b, slot, _] = self.host().address().octets();
        let address = Ipv4Addr::new(a, b, slot, 100 + number);
        run(&["ip", "address", "replace", &format!("{address}/32"), "dev", &format!("hmsbr{slot}")])?;
        Ok(address)
    }

    /// The three ports, for somebody who may log in.
    fn targets(&self) -> Result<[(Target, &'static str); 3]> {
        let root = CertificateDer::from_pem_slice(&std::fs::read(self.world.ca_file())?)?.into_owned();
        let web = pinned_client_config(move |der| der == root.as_ref())?;
        let party = |kind| client_config(&self.admin.trust, &self.admin.credentials, kind, None);
        let from = self.attacker(0)?;
        let port = |name, port: u16, tls, path| Target {
            name,
            address: (self.host().address(), port).into(),
            tls: Arc::new(tls),
            path,
            from,
        };
        Ok([
            (port("pages", 8443, web, "/login"), CONTROLLER),
            (port("controller", 9443, party(Kind::Controller)?, METHOD), CONTROLLER),
            (port("agent", 9444, party(Kind::Agent)?, METHOD), AGENT),
        ])
    }

    /// Both gRPC ports, as tonic sees them.
    fn channels(&self) -> Result<[(Channel, &'static str); 2]> {
        let agent = format!("{}:9444", self.host().address());
        Ok([
            (self.admin.channel(&self.world.grpc(), Kind::Controller)?, CONTROLLER),
            (self.admin.channel(&agent, Kind::Agent)?, AGENT),
        ])
    }
}

/// Starts an attack on several connections at once, and adds up what came of it.
async fn times<F: Future<Output = Result<Outcome>>>(count: usize, attack: impl Fn() -> F) -> Result<Outcome> {
    let outcomes = try_join_all((0..count).map(|_| attack())).await?;
    let sent = outcomes.iter().map(|outcome| outcome.sent).sum();
    Ok(Outcome { sent, ended: outcomes.iter().all(|outcome| outcome.ended) })
}

/// Security cases 97 and 98.
#[tokio::test]
async fn floods_of_frames_cost_little_and_others_are_served() -> Result<()> {
    let scene = Scene::set().await?;
    let mut honest = Honest::begin(&scene.world, &scene.admin).await?;
    let resets = size(100_000, 1_000_000) / 8;
    for (target, unit) in scene.targets()? {
        for attack in ["rapid reset", "made reset", "endless headers", "empty data", "unread answers"] {
            let what = format!("{attack}, {}", target.name);
            let meter = Meter::begin(scene.host(), unit).await?;
            let target = &target;
            let outcome = match attack {
                "rapid reset" => times(8, || floods::rapid_reset(target, resets)).await?,
                "made reset" => times(8, || floods::made_reset(target, resets)).await?,
                "endless headers" => {
                    let outcome = times(8, || floods::endless_headers(target, size(2048, 65536))).await?;
                    ensure!(outcome.ended, "{what}: a header block without end was taken: {outcome:?}");
                    outcome
                }
                "empty data" => times(8, || floods::empty_data(target, resets)).await?,
                _ => times(8, || floods::unread_answers(target, resets)).await?,
            };
            honest.all_go_on().await.with_context(|| what.clone())?;
            let grown = meter.end(&what).await?;
            eprintln!("{what}: {outcome:?}, {grown} KiB");
            counts::tell(&what, outcome.sent, 0);
        }
        bombs(&scene, &mut honest, &target, unit).await?;
    }
    eprintln!("{} answers meanwhile", honest.answers());
    Ok(())
}

/// Security case 98: what is small on the wire and large in memory, held for as long as the attacker likes.
async fn bombs(scene: &Scene, honest: &mut Honest, target: &Target, unit: &'static str) -> Result<()> {
    let connections = size(16, 100);
    for attack in ["header bomb", "shut windows"] {
        let what = format!("{attack}, {}", target.name);
        let meter = Meter::begin(scene.host(), unit).await?;
        let held = try_join_all((0..connections).map(|_| async {
            match attack {
                "header bomb" => floods::header_bomb(target, 64).await,
                _ => floods::shut_windows(target, 256).await,
            }
        }))
        .await?;
        honest.all_go_on().await.with_context(|| what.clone())?;
        let grown = meter.end(&what).await?;
        let sent = held.iter().map(|(_, outcome)| outcome.sent).sum();
        eprintln!("{what}: {sent} sent, {grown} KiB");
        counts::tell(&what, sent, 0);
    }
    Ok(())
}

/// Security cases 97 and 99: without a certificate nothing of HTTP/2 is reached.
#[tokio::test]
async fn floods_of_messages_and_connections_end_and_who_is_logged_in_works_on() -> Result<()> {
    let scene = Scene::set().await?;
    let mut honest = Honest::begin(&scene.world, &scene.admin).await?;
    let targets = scene.targets()?;
    // They take their time: others go on meanwhile.
    let slow: Vec<_> = targets.iter().map(|(target, _)| tokio::spawn(slowly(target.clone()))).collect();
    messages(&scene, &mut honest).await.context("messages")?;
    unread_tails(&scene, &mut honest).await.context("tails")?;
    for slow in slow {
        slow.await??;
    }
    for (target, unit) in &targets {
        strangers_reach_nothing(target).await?;
        half_open(&scene, &mut honest, target, unit).await?;
    }
    drop(honest);
    for (target, unit) in &targets {
        without_files(&scene, target, unit).await?;
    }
    Ok(())
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
        .header(HOST_KEY, "asterra");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let body = Body::new(StreamBody::new(body.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)))));
    let answer =
        timeout(PATIENCE, channel.clone().oneshot(request.body(body)?)).await.context("no answer")??;
    let status = tonic::Status::from_header_map(answer.headers()).context("no status")?;
    Ok(status.code())
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

/// Security cases 95 and 96.
async fn messages(scene: &Scene, honest: &mut Honest) -> Result<()> {
    for (channel, unit) in scene.channels()? {
        let meter = Meter::begin(scene.host(), unit).await?;
        let code = post(&channel, &[], stream::iter([message(MESSAGE_MAX)])).await?;
        ensure!(code == Code::InvalidArgument, "{unit}: a message of the largest size: {code:?}");
        let code = post(&channel, &[], stream::iter([message(MESSAGE_MAX + 1)])).await?;
        ensure!(is_too_large(code), "{unit}: a message one byte too long: {code:?}");
        let lie = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]);
        let code = post(&channel, &[], stream::iter([lie])).await?;
        ensure!(is_too_large(code), "{unit}: a message of 4 GiB: {code:?}");
        // The length is a lie, and the message does not end.
        let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
        let head = Bytes::from_static(&[0, 0, 0x40, 0, 1]);
        let endless = stream::iter([head]).chain(stream::repeat(chunk));
        let code = post(&channel, &[], endless).await;
        ensure!(!matches!(code, Ok(Code::Ok)), "{unit}: a message without end: {code:?}");
        // Many messages where one belongs.
        let small = message(1 << 20);
        let many = stream::repeat(small).take(size(256, 4096));
        let code = post(&channel, &[], many).await;
        ensure!(!matches!(code, Ok(Code::Ok)), "{unit}: messages without end: {code:?}");
        // One whose content is compressed, though nobody said that this is understood.
        let packed = Bytes::from_static(&[1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0]);
        let code = post(&channel, &[("grpc-encoding", "gzip")], stream::iter([packed])).await?;
        ensure!(code == Code::Unimplemented, "{unit}: compressed: {code:?}");
        honest.all_go_on().await?;
        let what = format!("messages, {unit}");
        eprintln!("{what}: {} KiB", meter.end(&what).await?);
        counts::tell(&what, 6, 0);
    }
    Ok(())
}

fn is_too_large(code: Code) -> bool {
    matches!(code, Code::OutOfRange | Code::ResourceExhausted)
}

/// Security case 100: a thousand tails that nobody reads, while much is written.
async fn unread_tails(scene: &Scene, honest: &mut Honest) -> Result<()> {
    let agent = Meter::begin(scene.host(), AGENT).await?;
    let controller = Meter::begin(scene.host(), CONTROLLER).await?;
    let mut tails = Vec::new();
    let mut refused = 0;
    for (channel, _) in scene.channels()? {
        let opened = join_all((0..500).map(|_| async {
            let mut request = Request::new(LogQuery { limit: 1, ..LogQuery::default() });
            request.metadata_mut().insert(HOST_KEY, "asterra".parse().expect("it is ASCII"));
            timeout(PATIENCE, LogServiceClient::new(channel.clone()).follow(request)).await
        }))
        .await;
        for tail in opened {
            match tail {
                Ok(Ok(tail)) => tails.push(tail),
                Ok(Err(status)) => {
                    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
                // It waits for a stream of the connection.
                Err(_) => refused += 1,
            }
        }
    }
    let lines = size(20_000, 1_000_000).to_string();
    let write = format!("yes $(printf 'x%.0s' $(seq 1 500)) | head -n {lines}");
    scene
        .host()
        .run(&["systemd-run", "--wait", "--property=LogRateLimitIntervalSec=0", "bash", "-c", &write])
        .await?;
    honest.all_go_on().await?;
    for (meter, what) in [(agent, "tails, agent"), (controller, "tails, controller")] {
        eprintln!("{what}: {} open, {refused} refused, {} KiB", tails.len(), meter.end(what).await?);
    }
    counts::tell("tails", tails.len() + refused, 0);
    Ok(())
}

/// Security case 99: who takes all the time there is loses the connection, in the handshake, the header and the body.
async fn slowly(target: Target) -> Result<()> {
    let mut silent = target.tcp().await?;
    let mut hello = target.tcp().await?;
    ensure!(is_closed(&mut silent, &[]).await, "{}: silence was listened to", target.name);
    ensure!(is_closed(&mut hello, &[0x16, 3, 1, 2, 0, 1, 0]).await, "{}: a slow handshake", target.name);
    if target.name != "pages" {
        return Ok(());
    }
    let mut tls = (*target.tls).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let target = target.with(tls);
    for (begin, then) in [
        ("", ""),
        ("", "GET / HTTP/1.1\r\nhost: hms\r\nx-a: b"),
        ("GET /livez HTTP/1.1\r\nhost: hms\r\n\r\n", ""),
        (
            "POST /login HTTP/1.1\r\nhost: hms\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 999\r\n\r\n",
            "username=a",
        ),
    ] {
        let mut tls = target.tls().await?;
        tls.write_all(begin.as_bytes()).await?;
        ensure!(
            is_closed(&mut tls, then.as_bytes()).await,
            "{begin:?}, then slowly {then:?}, was listened to"
        );
    }
    Ok(())
}

/// Sends a byte every ten seconds, and says whether the connection was closed before too long.
async fn is_closed(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    bytes: &[u8],
) -> bool {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        for byte in bytes {
            if writing.write_all(&[*byte]).await.is_err() || writing.flush().await.is_err() {
                break;
            }
            sleep(Duration::from_secs(10)).await;
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

/// Without a certificate no frame is looked at.
async fn strangers_reach_nothing(target: &Target) -> Result<()> {
    if target.name == "pages" {
        return Ok(());
    }
    let stranger = target.without_certificate();
    let Ok(mut wire) = stranger.http2(None).await else { return Ok(()) };
    wire.ends().await;
    ensure!(wire.has_ended() && wire.seen.answers.load(Ordering::Relaxed) == 0, "{}: it talks", target.name);
    Ok(())
}

/// Security cases 99 and 101: thousands of connections that say nothing, from many addresses, hold no more than their places;
/// who is logged in works on and gets new connections, too.
async fn half_open(scene: &Scene, honest: &mut Honest, target: &Target, unit: &'static str) -> Result<()> {
    let what = format!("half-open, {}", target.name);
    let meter = Meter::begin(scene.host(), unit).await?;
    let before = meter.open_files().await?;
    let mut held: Vec<TcpStream> = Vec::new();
    let (addresses, each) = (40_u8, 250);
    for number in 0..addresses {
        let from = target.seen_from(scene.attacker(number)?);
        let opened = join_all((0..each).map(|_| from.tcp())).await;
        held.extend(opened.into_iter().flatten());
        if number % 10 == 9 {
            newcomer(scene, unit, target).await.with_context(|| what.clone())?;
        }
    }
    ensure!(!held.is_empty(), "{what}: nothing could be opened");
    honest.all_go_on().await.with_context(|| what.clone())?;
    let (files, most) = (meter.open_files().await?, before + 2048);
    ensure!(files <= most, "{what}: {files} files are open, and there were {before}");
    eprintln!("{what}: {} opened, {files} files, {} KiB", held.len(), meter.end(&what).await?);
    counts::tell(&what, held.len(), 0);
    Ok(())
}

/// Who is known at another address gets in though all is full.
async fn newcomer(scene: &Scene, unit: &str, target: &Target) -> Result<()> {
    if target.name == "pages" {
        let answer = scene.world.client()?.get(format!("{}/livez", scene.world.url())).send().await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        return Ok(());
    }
    let [controller, agent] = scene.channels()?;
    let (channel, _) = if unit == AGENT { agent } else { controller };
    get_unit(channel).await
}

async fn get_unit(channel: Channel) -> Result<()> {
    let mut request = Request::new(GetUnitRequest { unit: "dbus.service".into() });
    request.metadata_mut().insert(HOST_KEY, "asterra".parse()?);
    UnitServiceClient::new(channel).get(request).await?;
    Ok(())
}

/// Security case 99: out of files at `accept`. The loop that accepts goes on when there are some again.
async fn without_files(scene: &Scene, target: &Target, unit: &'static str) -> Result<()> {
    let what = format!("no files, {}", target.name);
    let meter = Meter::begin(scene.host(), unit).await?;
    let usual = if unit == AGENT { 8192 } else { 65536 };
    meter.limit_files(meter.open_files().await? + 20).await?;
    let held = join_all((0..100).map(|_| target.tcp())).await;
    sleep(Duration::from_secs(1)).await;
    drop(held);
    meter.limit_files(usual).await?;
    let again = async {
        while newcomer(scene, unit, target).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, again).await.with_context(|| format!("{what}: nobody is let in any more"))?;
    eprintln!("{what}: {} KiB", meter.end(&what).await?);
    counts::tell(&what, 100, 0);
    Ok(())
}
