//! The person at the terminal: questions, differences to look at, an editor, and texts from files.

pub(crate) mod ask;
pub(crate) mod diff;
pub(crate) mod editor;
pub(crate) mod file;
pub(crate) mod proof;
pub(crate) mod secret;
