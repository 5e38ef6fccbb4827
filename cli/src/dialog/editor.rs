//! The editor of the person at the terminal, on a text that is private and never lost.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use hms_proto::fault::{Fault, FaultKind};

use super::file::read_text;
use crate::{
    failure::{Failure, Result},
    session::Session,
    trouble,
};

/// A text being edited, in a file that only its owner can read. Unless it is discarded, it stays, and is told of.
pub(crate) struct Draft<'a> {
    session: &'a Session,
    folder: PathBuf,
    file: PathBuf,
    /// As it was when somebody else last had it; such a text is no loss.
    first: String,
}

impl<'a> Draft<'a> {
    /// Puts a text into a file of this name in a folder of its own, so that what an editor leaves beside it is private, too.
    pub(crate) fn create(session: &'a Session, name: &str, text: &str) -> Result<Self> {
        let folder = env::temp_dir().join(format!("hmsctl-{}", uuid::Uuid::new_v4()));
        let file = folder.join(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&folder).and_then(|()| {
            let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            to.write_all(text.as_bytes())
        });
        let draft = Self { session, folder, file, first: text.to_owned() };
        made.map_err(|e| draft.failed(&e))?;
        Ok(draft)
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The text as it was saved.
    pub(crate) fn text(&self) -> Result<String> {
        read_text(self.session, &self.file)
    }

    /// Puts another text in its place, such as one with the changes of others in it.
    pub(crate) fn replace(&self, text: &str) -> Result<()> {
        // A copy of what was typed stays beside it.
        let copy = self.file.with_extension("yours");
        fs::copy(&self.file, copy).and_then(|_| fs::write(&self.file, text)).map_err(|e| self.failed(&e))
    }

    /// It has served its purpose.
    pub(crate) fn discard(self) {
        drop(fs::remove_dir_all(&self.folder));
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::local(format!("cannot write {}: {}", self.file.display(), trouble::plain(error)))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(text) if text == self.first => drop(fs::remove_dir_all(&self.folder)),
            _ => self.session.out.say(&format!("Your text is kept in {}", self.file.display())),
        }
    }
}

/// Opens a file in `$VISUAL`, else `$EDITOR`, else vi, and waits until it is closed. `open` is set meanwhile.
pub(crate) async fn edit(file: &Path, open: &AtomicBool) -> Result<()> {
    let set = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let command = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or("vi");
    #[expect(clippy::disallowed_methods, reason = "the person's own editor, as that person, without a shell")]
    let mut editor = tokio::process::Command::new(program);
    open.store(true, Ordering::Relaxed);
    let ended = editor.args(words).arg(file).status().await;
    open.store(false, Ordering::Relaxed);
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("the editor `{command}` ended with {status}"))),
        Err(error) => {
            Err(failed(format!("the editor `{command}` does not start: {}", trouble::plain(&error))))
        }
    }
}

fn failed(what: String) -> Failure {
    Fault::new(FaultKind::Failed, what).hint("set EDITOR to the program that you edit with").into()
}
