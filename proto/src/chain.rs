//! The hash chain of the audit: the one form in which a row is hashed, and the verification of rows.
//!
//! A row's hash is `SHA-256(prev_hash ‖ "hms-audit-v1" ‖ fields)`. Each field is a zero byte where it is absent; else a one
//! byte, its length in bytes (4 bytes, big-endian) and the bytes themselves, numbers in decimal. So no two rows have one
//! form. The database computes the same when it appends a row (`audit_hash` in the migrations).

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::controller::v1::AuditRow;

/// Opens the hashed form. Another form gets another name.
const VERSION: &[u8] = b"hms-audit-v1";

/// What the first row follows.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The hash of a row, in hex: of what stands in it, and of the `prev_hash` that it names.
#[must_use]
pub fn hash(row: &AuditRow) -> String {
    let mut hasher = Sha256::new();
    hasher.update(bytes_of(&row.prev_hash));
    hasher.update(VERSION);
    let mut field = |value: Option<&str>| match value {
        None => hasher.update([0]),
        Some(value) => {
            // A row comes out of a message of some MiB at most.
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            hasher.update([1]);
            hasher.update(length.to_be_bytes());
            hasher.update(value);
        }
    };
    field(Some(&row.seq.to_string()));
    field(Some(&row.time_usec.to_string()));
    field(Some(&row.request_id));
    field(Some(&row.phase));
    field(Some(&row.actor));
    field(row.user_id.as_deref());
    for text in [&row.source, &row.address, &row.method, &row.host, &row.target, &row.params] {
        field(Some(text));
    }
    field(row.outcome.as_deref());
    field(Some(&row.detail));
    field(row.took_ms.map(|ms| ms.to_string()).as_deref());
    for value in [&row.before, &row.after, &row.before_hash, &row.after_hash] {
        field(value.as_deref());
    }
    hex(&hasher.finalize())
}

/// What is wrong with a row, and with which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {seq}: {what}")]
pub struct Broken {
    /// The first row that is wrong.
    pub seq: i64,
    /// In one sentence.
    pub what: String,
}

/// A head of the chain that somebody kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who kept it.
    pub by: String,
    /// The row it speaks of.
    pub seq: i64,
    /// The hash of that row.
    pub hash: String,
}

/// Follows the chain row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    /// The last row that was verified; before the first, the one before it.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    kept: BTreeMap<i64, Vec<Kept>>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.into(), kept: BTreeMap::new() }
    }
}

impl Verifier {
    /// Goes on after a row whose hash is known already.
    #[must_use]
    pub fn after(seq: i64, hash: String) -> Self {
        Self { seq, hash, kept: BTreeMap::new() }
    }

    /// Holds what was kept elsewhere against the rows that come.
    #[must_use]
    pub fn with(mut self, kept: impl IntoIterator<Item = Kept>) -> Self {
        for head in kept {
            self.kept.entry(head.seq).or_default().push(head);
        }
        self
    }

    /// Takes the next row.
    pub fn check(&mut self, row: &AuditRow) -> Result<(), Broken> {
        let expected = self.seq + 1;
        let broken = |seq, what: String| Err(Broken { seq, what });
        if row.seq > expected {
            return broken(expected, format!("it is missing; the next that is there is {}", row.seq));
        }
        if row.seq < expected {
            return broken(row.seq, format!("it stands where row {expected} belongs"));
        }
        if row.prev_hash != self.hash {
            return broken(row.seq, format!("it does not follow row {} as that is now", self.seq));
        }
        if hash(row) != row.hash {
            return broken(row.seq, "its hash is not that of what stands in it: it was changed".into());
        }
        if let Some(kept) = self.kept.get(&row.seq).into_iter().flatten().find(|kept| kept.hash != row.hash) {
            return broken(row.seq, format!("{} kept another hash of it: the chain was made anew", kept.by));
        }
        self.seq = row.seq;
        self.hash.clone_from(&row.hash);
        Ok(())
    }

    /// After the last row: whether somebody has seen a longer chain.
    pub fn end(&self) -> Result<(), Broken> {
        match self.kept.range(self.seq + 1..).next_back().and_then(|(_, kept)| kept.first()) {
            None => Ok(()),
            Some(kept) => Err(Broken {
                seq: self.seq + 1,
                what: format!("it is missing: {} has seen the chain up to row {}", kept.by, kept.seq),
            }),
        }
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    // What is no hash hashes as itself, and so matches nothing.
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    pairs.collect::<Option<_>>().unwrap_or_else(|| hex.as_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: i64) -> Vec<AuditRow> {
        let mut prev_hash = GENESIS.to_owned();
        let rows = (1..=length).map(|seq| {
            let mut row = AuditRow {
                seq,
                time_usec: 1_700_000_000_000_000 + seq,
                actor: "ada".into(),
                phase: "intent".into(),
                target: format!("puma-{seq}.service"),
                params: "{}".into(),
                prev_hash: prev_hash.clone(),
                ..AuditRow::default()
            };
            row.hash = hash(&row);
            prev_hash.clone_from(&row.hash);
            row
        });
        rows.collect()
    }

    fn verify(rows: &[AuditRow], kept: Vec<Kept>) -> Result<Verifier, Broken> {
        let mut verifier = Verifier::default().with(kept);
        rows.iter().try_for_each(|row| verifier.check(row))?;
        verifier.end()?;
        Ok(verifier)
    }

    /// Security case 110: what stands in one field never reads as what stands in two.
    #[test]
    fn the_form_has_no_ambiguity() {
        let row = |actor: &str, source: &str, outcome: Option<&str>| AuditRow {
            actor: actor.into(),
            source: source.into(),
            outcome: outcome.map(Into::into),
            ..AuditRow::default()
        };
        let rows = [
            row("ab", "c", None),
            row("a", "bc", None),
            row("", "abc", None),
            row("abc", "", None),
            row("abc", "", Some("")),
            row("a\n", "bc", None),
            row("a\0\0\0\u{1}b", "c", None),
        ];
        let hashes: std::collections::BTreeSet<_> = rows.iter().map(hash).collect();
        assert_eq!(hashes.len(), rows.len());
    }

    /// Security case 113: neither a tail that was cut nor a chain that was made anew passes for what a host has seen.
    #[test]
    fn a_kept_head_shows_what_the_chain_alone_cannot() {
        let rows = chain(9);
        let head = |row: &AuditRow| Kept { by: "borealis".into(), seq: row.seq, hash: row.hash.clone() };
        assert_eq!(verify(&rows, vec![head(&rows[8]), head(&rows[3])]).unwrap().seq, 9);
        for length in 0..9 {
            let broken = verify(&rows[..length], vec![head(&rows[8])]).unwrap_err();
            assert_eq!(usize::try_from(broken.seq).unwrap(), length + 1, "{broken}");
        }
        let mut anew = chain(9);
        anew[4].actor = "eve".into();
        for i in 4..9 {
            anew[i].prev_hash = anew[i - 1].hash.clone();
            anew[i].hash = hash(&anew[i]);
        }
        assert!(verify(&anew, vec![]).is_ok(), "whoever computes all hashes again has a whole chain");
        let broken = verify(&anew, vec![head(&rows[8]), head(&rows[6])]).unwrap_err();
        assert_eq!(broken.seq, 7, "{broken}");
    }

    #[test]
    fn a_part_of_the_chain_is_verified_from_a_known_hash() {
        let rows = chain(9);
        let mut verifier = Verifier::after(5, rows[4].hash.clone());
        rows[5..].iter().for_each(|row| verifier.check(row).unwrap());
        assert_eq!(Verifier::after(5, GENESIS.into()).check(&rows[5]).unwrap_err().seq, 6);
    }
}
