//! What tests counted, for `./dev bench security`.

use std::io::Write as _;

/// Adds a line to the file that `HMS_COUNTS` names, if it names one: what was tried, how often, and how often it went wrong.
pub fn tell(what: &str, tried: usize, bad: usize) {
    write(&format!("{what}\t{tried}\t{bad}"));
}

fn write(line: &str) {
    let Some(path) = std::env::var_os("HMS_COUNTS") else { return };
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(path).expect("HMS_COUNTS is a file");
    writeln!(file, "{line}").expect("HMS_COUNTS can be written");
}
