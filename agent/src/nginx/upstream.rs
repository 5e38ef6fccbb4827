//! Where requests are passed on to: what of that is ordinary, and what would turn nginx against its own host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::paths::{self, Standing};

/// Control sockets: whoever can write to them owns the host, or its data.
const SOCKETS: [&str; 23] = [
    "/run/user",
    "/run/credentials",
    "/run/lxd",
    "/var/lib/lxd",
    "/var/snap",
    "/run/incus",
    "/var/lib/incus",
    "/run/crio",
    "/run/lock",
    "/run/systemd",
    "/run/dbus",
    "/run/docker",
    "/run/docker.sock",
    "/run/containerd",
    "/run/podman",
    "/run/hms",
    "/run/hms-agent",
    "/run/hms-controller",
    "/run/postgresql",
    "/run/mysqld",
    "/run/snapd.socket",
    "/run/libvirt",
    "/run/udev",
];
/// Where apps put theirs.
const PLACES: [&str; 10] = [
    "/run",
    "/srv",
    "/var/www",
    "/opt",
    "/home",
    "/tmp",
    "/var/lib",
    "/var/opt",
    "/data",
    "/usr/share/nginx",
];
/// Names under which clouds hand out their secrets.
const METADATA: [&str; 4] =
    ["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];
const AGENT_PORT: u16 = hms_proto::AGENT_PORT;
const CONTROLLER_PORT: u16 = 9443;

/// What is said about a target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Good,
    /// Refused, unless it is accepted as this.
    Named(&'static str, String),
    /// Refused.
    Never(String),
}

/// A target of proxy_pass and its kin, without its scheme.
pub(crate) fn judge(target: &str) -> Verdict {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    if let Some(path) = strip_unix(rest) {
        return judge_socket(path.split(':').next().unwrap_or_default());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // These two begin with a slash, whatever a client sends.
    let path = ["$request_uri", "$uri"]
        .iter()
        .find_map(|path| authority.split_once(path))
        .filter(|(_, after)| !is_of_name(after));
    let authority = path.map_or(authority, |(before, _)| before);
    if authority.is_empty() || authority.contains('$') || target.starts_with('$') {
        return Verdict::Named("variable", "where it passes requests to depends on a variable".to_owned());
    }
    if authority.contains('@') {
        return Verdict::Never("an address does not have `@` in it".to_owned());
    }
    let (host, port) = split_port(authority);
    let local = match address_of(host) {
        Some(address) if is_link_local(address) => {
            return Verdict::Never(format!("{address} is link-local: clouds hand out their secrets there"));
        }
        Some(address) => address.is_loopback() || address.is_unspecified(),
        None if METADATA.contains(&host.trim_end_matches('.').to_ascii_lowercase().as_str()) => {
            return Verdict::Never(format!("clouds hand out their secrets at `{host}`"));
        }
        None => is_own_name(host),
    };
    match port {
        Some(AGENT_PORT) if local => {
            Verdict::Never(format!("port {AGENT_PORT} of this host is HMS's own agent"))
        }
        Some(CONTROLLER_PORT) if local => {
            Verdict::Named("9443", format!("port {CONTROLLER_PORT} of this host may be HMS's own controller"))
        }
        _ => Verdict::Good,
    }
}

/// Whether a text would lengthen the name of a variable that stands before it.
fn is_of_name(after: &str) -> bool {
    after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn strip_unix(text: &str) -> Option<&str> {
    let head = text.get(..5)?;
    head.eq_ignore_ascii_case("unix:").then(|| &text[5..])
}

fn judge_socket(path: &str) -> Verdict {
    if path.contains('$') {
        return Verdict::Named(
            "variable",
            "which socket it passes requests to depends on a variable".to_owned(),
        );
    }
    let path = path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"));
    let bad = SOCKETS.iter().any(|socket| paths::is_in(&path, socket)) || path.ends_with("/docker.sock");
    if bad || path.contains("//") {
        return Verdict::Never("this is a control socket of the host, not an app's".to_owned());
    }
    match paths::judge(&path, &PLACES) {
        Standing::Good => Verdict::Good,
        Standing::Unusual => Verdict::Named("socket", "this is not where apps have their sockets".to_owned()),
        Standing::Never => Verdict::Never("apps do not have their sockets there".to_owned()),
    }
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, after.strip_prefix(':').and_then(|p| p.parse().ok()));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (authority, None),
    }
}

/// An address as the C library reads it: also `0x7f.1` and `2130706433` (inet_aton(3)).
fn address_of(host: &str) -> Option<IpAddr> {
    let bare = host.split('%').next().unwrap_or_default();
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        return Some(embedded(v6).map_or(IpAddr::V6(v6), IpAddr::V4));
    }
    let parts: Vec<u64> = host.trim_end_matches('.').split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if parts.len() > 4 || first.iter().any(|n| *n > 255) {
        return None;
    }
    let free = 8 * (4 - u32::try_from(first.len()).ok()?);
    if *last >= 1_u64 << free {
        return None;
    }
    let high = first.iter().enumerate().fold(0_u64, |sum, (i, n)| sum | n << (24 - 8 * i));
    u32::try_from(high | last).ok().map(|n| IpAddr::V4(Ipv4Addr::from(n)))
}

/// The IPv4 address that is meant by one of IPv6: mapped, or by way of NAT64 (RFC 6052).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else { return v6.to_ipv4_mapped() };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if lower.len() > 1 && lower.starts_with('0') => u64::from_str_radix(&lower, 8).ok(),
        None => lower.parse().ok(),
    }
}

/// Whether this is where clouds hand out their secrets.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        // fd00:ec2::254 is the metadata service of EC2.
        IpAddr::V6(v6) => {
            v6.segments()[0] & 0xffc0 == 0xfe80 || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

fn is_own_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let own = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    matches!(host.as_str(), "localhost" | "ip6-localhost" | "localhost.localdomain")
        || host.ends_with(".localhost")
        || host == own
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 58.
    #[test]
    fn targets_that_turn_nginx_against_its_host_are_refused() {
        for never in [
            "http://169.254.169.254/latest",
            "http://169.254.0.1",
            "http://2852039166/",
            "http://0xa9fea9fe",
            "http://0251.0376.0251.0376",
            "http://169.254.43518",
            "http://[fe80::1]:80",
            "http://[::ffff:169.254.169.254]",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal.:80/",
            "https://127.0.0.1:9444",
            "https://localhost:9444",
            "https://[::1]:9444",
            "https://0:9444",
            "https://127.1:9444",
            "https://[::]:9444/",
            "http://user@127.0.0.1:80",
            "http://unix:/run/systemd/private",
            "http://unix:/var/run/docker.sock:/v1",
            "unix:/run/dbus/system_bus_socket",
            "http://unix:/run//dbus/x",
            "http://UNIX:/run/dbus/x",
            "unix:/etc/x.sock",
            "unix:/run/../run/docker.sock",
            "unix:/run/postgresql/.s.PGSQL.5432",
            "[fd00:ec2::254]:80",
        ] {
            assert!(matches!(judge(never), Verdict::Never(_)), "{never}: {:?}", judge(never));
        }
        for named in [
            "http://$host",
            "http://$host$request_uri",
            "http://a$uri_host",
            "http://$request_uri",
            "$backend",
            "https://${x}:80",
            "http://unix:/run/$x.sock",
        ] {
            assert!(matches!(judge(named), Verdict::Named("variable", _)), "{named}");
        }
        for good in [
            "http://127.0.0.1:3000",
            "http://localhost:3000/$request_uri",
            "http://127.0.0.1:7001$request_uri",
            "http://app$uri$is_args$args",
            "http://app_server",
            "unix:/run/php/php8.2-fpm.sock",
            "http://unix:/srv/app/shared/tmp/sockets/puma.sock:/x",
            "https://10.0.0.5:8443",
            "127.0.0.1:9000",
            "grpc://127.0.0.1:50051",
            "http://[::1]:8080",
            "https://example.org",
            "unix:/var/run/puma.sock",
            "unix:/tmp/unicorn.sock",
            "http://10.0.0.9:9443",
        ] {
            assert_eq!(judge(good), Verdict::Good, "{good}");
        }
    }
}
