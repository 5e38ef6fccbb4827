//! Secrets that a person types, or that come from a file or stdin. They are never arguments: others can see those.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use hms_proto::fault::Fault;

use super::file::read_text;
use crate::{failure::Result, session::Session};

/// From a file, or stdin where that is no terminal; else it is asked for, and not shown while it is typed. The newline at
/// the end of a text is not a part of it, unless the text is wanted `exact`.
pub(crate) fn read(session: &Session, what: &str, file: Option<&Path>, exact: bool) -> Result<String> {
    let text = match file {
        Some(file) => read_text(session, file)?,
        None if !io::stdin().is_terminal() => read_text(session, Path::new("-"))?,
        None => return typed(what),
    };
    Ok(if exact { text } else { without_newline(text) })
}

fn typed(what: &str) -> Result<String> {
    let first = rpassword::prompt_password(format!("{what}: "))?;
    match rpassword::prompt_password("Once more: ")? == first {
        true => Ok(first),
        false => Err(Fault::invalid("that was not the same twice").into()),
    }
}

fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// The password of whoever is logged in, from a file or typed.
pub(crate) fn password(session: &Session, file: Option<&Path>) -> Result<String> {
    match file {
        Some(file) => Ok(without_newline(read_text(session, file)?)),
        None if io::stdin().is_terminal() => Ok(rpassword::prompt_password("Your password: ")?),
        None => Err(Fault::invalid("there is no terminal to ask for the password on")
            .hint("add --password-file FILE, or --password-file - to read stdin")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_at_the_end_is_not_meant() {
        for (text, wanted) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("\n", ""), ("a\nb", "a\nb")]
        {
            assert_eq!(without_newline(text.into()), wanted);
        }
    }
}
