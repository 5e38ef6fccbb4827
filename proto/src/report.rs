//! What a check prints with `--json`: findings, each with a level. Anything else in the document is the script's own.

use serde::{Deserialize, Serialize};

/// More are not taken over: a dashboard is for reading.
const MOST: usize = 200;
/// In characters.
const LONGEST: usize = 500;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// Something does not work, or soon will not.
    Critical,
}

impl Level {
    /// As the document has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// What it is: a mount point, a unit, a certificate.
    pub subject: String,
    /// A sentence with the numbers.
    pub message: String,
}

#[derive(Deserialize)]
struct Report {
    checks: Vec<Finding>,
}

/// Reads a report: `{"checks": [{"level": "warning", "subject": "/", "message": "91 % full"}, …], …}`.
pub fn findings(output: &[u8]) -> Result<Vec<Finding>, String> {
    let report: Report =
        serde_json::from_slice(output).map_err(|e| format!("the output is no report: {e}"))?;
    let cut = |text: String| match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    };
    let findings = report.checks.into_iter().take(MOST);
    Ok(findings.map(|f| Finding { subject: cut(f.subject), message: cut(f.message), ..f }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_bounded() {
        let text = br#"{"host": "asterra", "checks": [{"level": "warning", "subject": "/", "message": "91 % full"}]}"#;
        let found = findings(text).unwrap();
        assert_eq!((found[0].level, found[0].subject.as_str()), (Level::Warning, "/"));
        let many = format!(
            r#"{{"checks": [{}]}}"#,
            vec![format!(r#"{{"level": "ok", "subject": "{}", "message": ""}}"#, "é".repeat(900)); 300]
                .join(",")
        );
        let found = findings(many.as_bytes()).unwrap();
        assert_eq!((found.len(), found[0].subject.chars().count()), (200, 501));
        for bad in
            [&b""[..], b"[]", b"{}", br#"{"checks": [{"level": "bad", "subject": "", "message": ""}]}"#]
        {
            assert!(findings(bad).is_err());
        }
    }
}
