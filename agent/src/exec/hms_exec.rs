//! `hms-exec`: puts variables that systemd has opened into the environment of a program, and becomes that program. The number
//! of the process stays, so that systemd knows it as the one it started.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, ExitCode},
};

const USAGE: &str = "usage: hms-exec [--with CREDENTIAL] -- PROGRAM [ARGUMENT]...";
/// As shells have it: the program could not be started.
const NOT_STARTED: u8 = 126;

fn main() -> ExitCode {
    // Becomes the program; what comes back is why not.
    let why = run(env::args_os().skip(1));
    eprintln!("hms-exec: {why}");
    ExitCode::from(NOT_STARTED)
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> String {
    let mut variables = Vec::new();
    let program = loop {
        match arguments.next() {
            Some(word) if word == "--" => match arguments.next() {
                Some(program) => break program,
                None => return USAGE.to_owned(),
            },
            Some(word) if word == "--with" => {
                let Some(name) = arguments.next() else { return USAGE.to_owned() };
                match read(&name) {
                    Ok(content) => variables.extend(split(&content)),
                    Err(error) => {
                        return format!("the variables `{}` cannot be read: {error}", name.to_string_lossy());
                    }
                }
            }
            _ => return USAGE.to_owned(),
        }
    };
    #[expect(clippy::disallowed_methods, reason = "this is the module that starts processes")]
    let error = Command::new(&program).args(arguments).envs(variables).exec();
    format!("`{}` cannot be started: {error}", program.to_string_lossy())
}

/// A credential of this unit. Its name is one word: there is no way to another file.
fn read(name: &OsStr) -> io::Result<Vec<u8>> {
    if name.is_empty() || name.as_bytes().contains(&b'/') || name.as_bytes().starts_with(b".") {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let folder = env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| io::Error::other("systemd gave none to this unit"))?;
    fs::read(PathBuf::from(folder).join(name))
}

/// `NAME=value`, each ended by a NUL, byte for byte.
fn split(content: &[u8]) -> Vec<(OsString, OsString)> {
    let variables = content.split(|b| *b == 0).filter(|variable| !variable.is_empty());
    variables
        .filter_map(|variable| {
            let at = variable.iter().position(|b| *b == b'=').filter(|at| *at > 0)?;
            let text = |bytes| OsStr::from_bytes(bytes).to_owned();
            Some((text(&variable[..at]), text(&variable[at + 1..])))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_taken_byte_for_byte() {
        let pairs = split(b"A=\0B==x\ny\xff\0=z\0C");
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        assert_eq!(pairs, [(text(b"A"), text(b"")), (text(b"B"), text(b"=x\ny\xff"))]);
    }

    #[test]
    fn a_credential_is_no_path() {
        for bad in ["", ".", "..", "../env", "/etc/shadow", "a/b"] {
            assert!(read(bad.as_ref()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_understood_starts_nothing() {
        for bad in [&[][..], &["--"], &["--with"], &["/bin/true"], &["-x", "--", "/bin/true"]] {
            assert_eq!(run(bad.iter().map(OsString::from)), USAGE, "{bad:?}");
        }
        assert!(
            run(["--with", "no-such-credential", "--", "/bin/true"].iter().map(OsString::from))
                .contains("cannot be read")
        );
    }
}
