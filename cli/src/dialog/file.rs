//! Texts that come from a file or from stdin.

use std::{fs, io, io::IsTerminal as _, io::Read as _, path::Path};

use hms_proto::fault::Fault;

use crate::{
    failure::{Failure, Result},
    session::Session,
    trouble::plain,
};

/// The most that one text may hold, as in the contract.
const MOST: u64 = 1024 * 1024;

/// Text from a file of this machine or (`-`) from stdin.
pub(crate) fn read_text(session: &Session, file: &Path) -> Result<String> {
    let (name, bytes) = if file == Path::new("-") {
        if io::stdin().is_terminal() {
            session.out.note("reading from the terminal; Ctrl-D ends the text");
        }
        ("stdin".to_owned(), read_bounded(io::stdin().lock()))
    } else {
        (file.display().to_string(), fs::File::open(file).and_then(read_bounded))
    };
    let bytes = bytes.map_err(|e| Failure::local(format!("cannot read {name}: {}", plain(&e))))?;
    if bytes.len() as u64 > MOST {
        return Err(Fault::invalid(format!("{name} is larger than 1 MiB")).into());
    }
    String::from_utf8(bytes).map_err(|_| Fault::invalid(format!("{name} is not UTF-8 text")).into())
}

fn read_bounded(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
