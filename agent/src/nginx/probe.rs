//! Asks the server names of changed sites for a page, by way of this host itself, before and after a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use hms_proto::host::v1::NginxProbe;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    lint::Linted,
    tree::{Body, Directive},
};

const LIMIT: Duration = Duration::from_secs(4);
const PROBES_MAX: usize = 24;
const AT_ONCE: usize = 8;
/// An app may need a moment; a broken configuration stays broken.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// Where a server name is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    tls: bool,
    name: String,
    address: SocketAddr,
}

impl Target {
    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let standard = if self.tls { 443 } else { 80 };
        let port = self.address.port();
        if port == standard {
            format!("{scheme}://{}/", self.name)
        } else {
            format!("{scheme}://{}:{port}/", self.name)
        }
    }
}

/// What the servers of these files can be asked for.
pub(crate) fn targets(linted: &Linted, paths: &BTreeSet<String>) -> BTreeSet<Target> {
    let mut found = BTreeSet::new();
    for path in paths.iter().filter(|p| linted.is_read(p)) {
        for directive in linted.files.get(path).into_iter().flat_map(|f| &f.directives) {
            directive.walk(&mut |d| {
                if d.name.value == "server" && matches!(d.body, Body::Block(_)) {
                    of_server(d, &mut found);
                }
            });
        }
    }
    found.into_iter().take(PROBES_MAX).collect()
}

fn of_server(server: &Directive, found: &mut BTreeSet<Target>) {
    let own = |name: &'static str| server.children().iter().filter(move |d| d.name.value == name);
    // Servers of `stream` speak no HTTP.
    if own("proxy_pass").next().is_some() {
        return;
    }
    let names: Vec<&str> = own("server_name")
        .flat_map(|d| &d.args)
        .map(|w| w.value.as_str())
        .filter(|n| is_plain(n))
        .take(3)
        .collect();
    let names = if names.is_empty() { vec!["localhost"] } else { names };
    let mut listens: Vec<(bool, SocketAddr)> = own("listen").filter_map(listen).collect();
    if own("listen").next().is_none() {
        listens.push((false, SocketAddr::from(([127, 0, 0, 1], 80))));
    }
    for (tls, address) in listens.into_iter().take(4) {
        found.extend(names.iter().map(|name| Target { tls, name: (*name).to_owned(), address }));
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name != "_"
        && name.len() < 254
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !name.starts_with('.')
}

/// Where a `listen` can be reached from this host.
fn listen(directive: &Directive) -> Option<(bool, SocketAddr)> {
    let flags: Vec<&str> = directive.args.iter().skip(1).map(|w| w.value.as_str()).collect();
    if flags.iter().any(|f| matches!(*f, "quic" | "udp" | "proxy_protocol")) {
        return None;
    }
    let value = directive.arg(0);
    let (host, port) = match value.parse::<u16>() {
        Ok(port) => ("*", port),
        Err(_) if value.starts_with("unix:") => return None,
        Err(_) => match value.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
        {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (value, 80),
        },
    };
    let address = match host {
        "*" | "0.0.0.0" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        "[::]" => IpAddr::V6(Ipv6Addr::LOCALHOST),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other.trim_matches(['[', ']']).parse().ok()?,
    };
    Some((flags.contains(&"ssl"), SocketAddr::new(address, port)))
}

/// The status of each; 0 where there is no answer.
pub(crate) async fn ask(targets: &BTreeSet<Target>) -> BTreeMap<Target, u32> {
    let each = stream::iter(targets.clone()).map(|target| async move {
        let status = tokio::time::timeout(LIMIT, status(&target)).await.ok().flatten().unwrap_or(0);
        (target, status)
    });
    each.buffer_unordered(AT_ONCE).collect().await
}

/// Asks again, and a few times more what does not answer any longer.
pub(crate) async fn ask_again(
    targets: &BTreeSet<Target>,
    before: &BTreeMap<Target, u32>,
) -> BTreeMap<Target, u32> {
    let mut after = ask(targets).await;
    for _ in 1..TRIES {
        let worse: BTreeSet<Target> = after
            .iter()
            .filter(|(t, s)| is_worse(before.get(*t).copied(), **s))
            .map(|(t, _)| t.clone())
            .collect();
        if worse.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        after.extend(ask(&worse).await);
    }
    after
}

/// Whether what answered well before does not any longer.
pub(crate) fn is_worse(before: Option<u32>, after: u32) -> bool {
    let good = |status: u32| status != 0 && status < 500;
    before.is_some_and(good) && !good(after)
}

/// As the contract has it.
pub(crate) fn report(before: &BTreeMap<Target, u32>, after: &BTreeMap<Target, u32>) -> Vec<NginxProbe> {
    let all: BTreeSet<&Target> = before.keys().chain(after.keys()).collect();
    let status = |map: &BTreeMap<Target, u32>, target| map.get(target).copied().unwrap_or(0);
    all.into_iter()
        .map(|t| NginxProbe { url: t.url(), before: status(before, t), after: status(after, t) })
        .collect()
}

async fn status(target: &Target) -> Option<u32> {
    exchange(connect(target.tls, &target.name, target.address).await.ok()?, target).await
}

/// A connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to a server name on this host.
pub(crate) async fn connect(tls: bool, name: &str, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await?;
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let config = config().ok_or_else(|| io::Error::other("TLS cannot be set up"))?;
    Ok(Box::new(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, target: &Target) -> Option<u32> {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nUser-Agent: hms-agent\r\nConnection: close\r\n\r\n",
        target.name
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    while answer.len() < 12 {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fn config() -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth())
}

/// It is asked whether nginx answers, on this very host; who it says it is does not matter, and nothing is told it.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::parse, *};

    fn urls(text: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        parse(text).directives.iter().for_each(|d| of_server(d, &mut found));
        found.iter().map(Target::url).collect()
    }

    #[test]
    fn a_server_is_asked_by_its_names_where_it_listens() {
        assert_eq!(
            urls("server { listen 443 ssl http2; listen [::]:443 ssl; server_name a.org *.b.org; }"),
            ["https://a.org/"; 2]
        );
        assert_eq!(urls("server { listen 127.0.0.1:8080; server_name _; }"), ["http://localhost:8080/"]);
        assert_eq!(urls("server { server_name ~^x; }"), ["http://localhost/"]);
        assert_eq!(urls("server { listen unix:/run/x.sock; }"), [""; 0]);
        assert_eq!(urls("server { listen 53 udp; }"), [""; 0]);
    }

    #[test]
    fn only_what_was_good_can_become_worse() {
        assert!(is_worse(Some(200), 502) && is_worse(Some(301), 0) && is_worse(Some(404), 500));
        assert!(
            !is_worse(Some(502), 502)
                && !is_worse(None, 0)
                && !is_worse(Some(0), 0)
                && !is_worse(Some(200), 404)
        );
    }
}
