//! What people type to say where they log in.

use hms_proto::{fault::Fault, names::Address};

use crate::failure::{Failure, Result};

/// A fingerprint as typed: hex, in any case, with or without colons.
pub(super) fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: Vec<u8> = text.trim().bytes().filter(|b| *b != b':').collect();
    let wrong = || "a fingerprint has 64 hexadecimal digits".to_owned();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

/// Where an installation is: its URL as stored, and the address behind it.
pub(super) fn place(url: &str) -> Result<(String, Address)> {
    let wrong = |why: &str| {
        let shown: String = url.chars().take(100).flat_map(char::escape_debug).collect();
        Failure::from(Fault::invalid(format!("`{shown}` {why}")).hint("write it as https://HOST:8443"))
    };
    // A bare name means the usual port of HMS; a URL without a port means what it means everywhere.
    let (rest, port) = match url.split_once("://") {
        Some(("https", rest)) => (rest, 443),
        Some(_) => return Err(wrong("is not an https address")),
        None => (url, 8443),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() || rest.contains(['/', '?', '#', '@']) {
        return Err(wrong("is more, or less, than the address of an installation"));
    }
    let lower = rest.to_ascii_lowercase();
    let bare_v6 = lower.strip_prefix('[').and_then(|l| l.strip_suffix(']'));
    let address = Address::with_default_port(bare_v6.unwrap_or(&lower), port)?;
    Ok((format!("https://{address}"), address))
}

/// The name of a context that was not given one: the host of its URL.
pub(super) fn context_name(given: Option<&str>, address: &Address) -> Result<String> {
    let name = given.map_or_else(|| address.host().replace(':', "-"), str::to_owned);
    let fits = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !fits {
        let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
        return Err(Fault::invalid(format!("`{shown}` is not a name for a context"))
            .hint("up to 64 letters, digits and . _ -, beginning with a letter or digit")
            .into());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (typed, url) in [
            ("https://asterra:8443", "https://asterra:8443"),
            ("https://Asterra:8443/", "https://asterra:8443"),
            ("https://asterra", "https://asterra:443"),
            ("asterra", "https://asterra:8443"),
            ("10.0.0.7:8443", "https://10.0.0.7:8443"),
            ("https://[fd00::7]:8443", "https://[fd00::7]:8443"),
            ("https://[fd00::7]", "https://[fd00::7]:443"),
        ] {
            assert_eq!(place(typed).unwrap().0, url, "{typed}");
        }
        for bad in
            ["", "http://a:8443", "https://", "https://a/b", "https://u@a", "ftp://a", "https://a:0", "a b"]
        {
            assert_eq!(place(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn fingerprints_are_hex_in_any_spelling() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(fingerprint(&plain).unwrap(), [0xab; 32]);
        assert_eq!(fingerprint(&colons).unwrap(), [0xab; 32]);
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(fingerprint(bad).is_err());
        }
    }

    #[test]
    fn contexts_are_named_after_their_host() {
        let address = |text| Address::try_from(text).unwrap();
        assert_eq!(context_name(None, &address("asterra:8443")).unwrap(), "asterra");
        assert_eq!(context_name(None, &address("[fd00::7]:8443")).unwrap(), "fd00--7");
        for bad in ["", "..", "a/b", "-x", "a\n"] {
            assert!(context_name(Some(bad), &address("a:1")).is_err(), "{bad:?}");
        }
    }
}
