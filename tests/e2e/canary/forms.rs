//! Secrets that are told apart from everything else, the forms that each can have, and a search for all of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

/// What is shorter is found by chance.
const SHORTEST: usize = 12;
/// Names of the four encodings.
pub(super) const ENCODINGS: [&str; 4] = ["raw", "base64", "hex", "percent"];
/// The kind of what must be found wherever it was put.
pub(super) const CONTROL: &str = "control";

/// Where a secret was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) kind: String,
    pub(super) encoding: &'static str,
    pub(super) path: PathBuf,
}

/// All that must not be found.
#[derive(Default)]
pub(super) struct Canaries {
    kinds: BTreeSet<String>,
    forms: BTreeMap<Vec<u8>, (String, &'static str)>,
}

impl Canaries {
    /// A new secret, with characters that encodings change.
    pub(super) fn made(&mut self, kind: &str) -> Result<String> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        self.saw(kind, &format!("c4n+{}/ =?{}", &id[..10], &id[10..20]))
    }

    /// A secret that somebody else made.
    pub(super) fn saw(&mut self, kind: &str, value: &str) -> Result<String> {
        self.saw_bytes(kind, value.as_bytes())?;
        Ok(value.to_owned())
    }

    /// The same of any bytes.
    pub(super) fn saw_bytes(&mut self, kind: &str, value: &[u8]) -> Result<()> {
        ensure!(value.len() >= SHORTEST, "{kind} has only {} bytes", value.len());
        self.kinds.insert(kind.to_owned());
        let texts = forms(value).into_iter().map(|(encoding, text)| (encoding, text.into_bytes()));
        for (encoding, form) in texts.chain(longest_line(value).map(|line| ("raw", line))) {
            self.forms.entry(form).or_insert_with(|| (kind.to_owned(), encoding));
        }
        Ok(())
    }

    /// A private key in PEM: the secret number in it, which is a part of every other form, and each line that holds something of it.
    pub(super) fn saw_key(&mut self, kind: &str, pem: &str) -> Result<()> {
        let lines: Vec<&str> =
            pem.lines().filter(|line| !line.is_empty() && !line.contains("-----")).collect();
        let der = BASE64.decode(lines.concat().as_bytes())?;
        let secret = secret_in(&der, pem.contains("OPENSSH")).with_context(|| format!("no key: {kind}"))?;
        self.saw_bytes(kind, &der[secret.clone()])?;
        let mut begin = 0;
        for line in lines {
            let end = begin + line.len();
            if begin * 6 < secret.end * 8 && end * 6 > secret.start * 8 {
                self.saw_bytes(kind, line.as_bytes())?;
            }
            begin = end;
        }
        Ok(())
    }

    /// How many kinds there are, without the control.
    pub(super) fn kinds(&self) -> usize {
        self.kinds.iter().filter(|kind| *kind != CONTROL).count()
    }

    /// Looks through files and folders.
    pub(super) fn look(&self, scratch: &Path, places: &[PathBuf]) -> Result<BTreeSet<Hit>> {
        let patterns = scratch.join("patterns");
        fs::write(
            &patterns,
            self.forms.keys().flat_map(|form| [form, &b"\n"[..]].concat()).collect::<Vec<_>>(),
        )?;
        let mut grep = Command::new("grep");
        grep.args(["-r", "-a", "-o", "-H", "-Z", "-s", "-D", "skip", "-F", "-f"]).arg(&patterns).arg("--");
        // Bytes, not characters: a file need not be text.
        let output = grep.args(places).env("LC_ALL", "C").output().context("cannot run grep")?;
        let hit = |line: &[u8]| {
            let path = line.iter().position(|byte| *byte == 0)?;
            let (kind, encoding) = self.forms.get(&line[path + 1..])?.clone();
            Some(Hit { kind, encoding, path: OsStr::from_bytes(&line[..path]).into() })
        };
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| hit(line).with_context(|| format!("grep said: {}", line.escape_ascii()))).collect()
    }
}

/// Where the secret number of an elliptic curve's private key is, in PKCS #8 or as OpenSSH has it.
fn secret_in(der: &[u8], is_openssh: bool) -> Option<Range<usize>> {
    let before: &[u8] = if is_openssh { &[0, 0, 0, 64] } else { &[4, 32] };
    let start = der.windows(before.len()).position(|bytes| bytes == before)? + before.len();
    (start + 32 <= der.len()).then_some(start..start + 32)
}

/// Of bytes that are no line of text: the longest part that is one to `grep`.
fn longest_line(value: &[u8]) -> Option<Vec<u8>> {
    let is_text = std::str::from_utf8(value).is_ok_and(|text| !text.contains(['\n', '\0']));
    let lines = value.split(|byte| [b'\n', 0].contains(byte));
    let longest = lines.max_by_key(|line| line.len()).filter(|line| !is_text && line.len() >= SHORTEST);
    longest.map(<[u8]>::to_vec)
}

/// Each form of a value that has no line break, by its encoding.
pub(super) fn forms(value: &[u8]) -> Vec<(&'static str, String)> {
    let mut forms = Vec::new();
    if let Ok(text) = std::str::from_utf8(value) {
        forms.push(("raw", text.to_owned()));
    }
    for shift in 0..3 {
        let shifted = [&[0; 2][..shift], value].concat();
        // The characters that hold nothing of what comes before and after.
        let (from, to) = ((8 * shift).div_ceil(6), 8 * shifted.len() / 6);
        for text in [BASE64.encode(&shifted), BASE64URL.encode(&shifted)] {
            forms.push(("base64", text[from..to].to_owned()));
        }
    }
    forms.extend([HEXLOWER.encode(value), HEXUPPER.encode(value)].map(|text| ("hex", text)));
    // As paths and queries have it, and as forms have it.
    let percent = |space| value.iter().map(|byte| percent(*byte, space)).collect::<String>();
    forms.extend([percent("%20"), percent("+")].map(|text| ("percent", text)));
    forms
}

fn percent(byte: u8, space: &str) -> String {
    match byte {
        b' ' => space.to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// RFC 4648, section 10, and RFC 3986: a value is found inside of others.
#[test]
fn a_value_is_found_in_each_encoding_wherever_it_begins() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut canaries = Canaries::default();
    let value = canaries.made("a secret")?;
    let texts: Vec<String> = ["", "x", "xy", "xyz"].map(|before| format!("{before}{value} and more")).into();
    for (number, text) in texts.iter().enumerate() {
        let place = |encoding: &str| folder.path().join(format!("{number}-{encoding}"));
        fs::write(place("raw"), text)?;
        fs::write(place("base64"), BASE64.encode(text.as_bytes()))?;
        fs::write(place("hex"), HEXLOWER.encode(text.as_bytes()))?;
        fs::write(place("percent"), text.bytes().map(|byte| percent(byte, "%20")).collect::<String>())?;
        for encoding in ENCODINGS {
            let hits = canaries.look(folder.path(), &[place(encoding)])?;
            ensure!(hits.iter().any(|hit| hit.encoding == encoding), "{encoding} of {text}: {hits:?}");
        }
    }
    fs::write(folder.path().join("other"), value.replace("c4n", "c5n"))?;
    ensure!(
        canaries.look(folder.path(), &[folder.path().join("other")])?.is_empty(),
        "found what is not there"
    );
    Ok(())
}

/// RFC 5958: a key is found in each form, in text and in bytes, and what is public of it is none.
#[test]
fn a_key_is_found_in_each_form_and_what_is_public_is_not() -> Result<()> {
    use rcgen::PublicKeyData as _;

    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm)?;
        let mut canaries = Canaries::default();
        canaries.saw_key("a key", &key.serialize_pem())?;
        let folder = tempfile::tempdir()?;
        let (place, der) = (folder.path().join("place"), key.serialized_der());
        let secret = &der[secret_in(der, false).context("a key")?];
        for (what, content, is_secret) in [
            ("PEM", key.serialize_pem().into_bytes(), true),
            ("DER", der.to_vec(), true),
            ("DER in base64", BASE64.encode(der).into_bytes(), true),
            ("DER in hex", HEXLOWER.encode(der).into_bytes(), true),
            ("number", [&b"k="[..], secret, b"\n"].concat(), true),
            ("number in base64", BASE64URL.encode(secret).into_bytes(), true),
            ("public key", key.public_key_pem().into_bytes(), false),
            ("public key in DER", key.subject_public_key_info(), false),
        ] {
            fs::write(&place, content)?;
            let hits = canaries.look(folder.path(), std::slice::from_ref(&place))?;
            ensure!(hits.is_empty() != is_secret, "{what} of {algorithm:?}: {hits:?}");
        }
    }
    Ok(())
}
