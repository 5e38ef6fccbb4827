//! Variables as text: the form of `.env` files.

use crate::fault::Fault;

/// Reads `NAME=value` lines. Says which line cannot be read, and never what stands in it.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) =
            line.split_once('=').ok_or_else(|| Fault::invalid(format!("line {} has no `=`", number + 1)))?;
        variables.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(variables)
}
