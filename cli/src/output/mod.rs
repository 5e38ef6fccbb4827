//! What goes to the terminal: data to stdout through one buffered writer, everything else to stderr.

pub(crate) mod escape;
pub(crate) mod measure;
pub(crate) mod state;
pub(crate) mod table;

use std::{
    io::{self, BufWriter, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    cli::{Format, Global},
    failure::Result,
};
use table::Table;

/// Where a command's output goes, and in which form.
pub(crate) struct Out {
    to: Mutex<BufWriter<Box<dyn Write + Send>>>,
    pub(crate) format: Format,
    /// Whether stdout shows colours.
    pub(crate) colour: bool,
    /// Columns of the terminal behind stdout.
    pub(crate) width: Option<usize>,
    tty: bool,
    /// Whether colours are not wanted anywhere.
    plain: bool,
    /// Whether progress may be shown.
    progress: bool,
    quiet: bool,
}

impl Out {
    pub(crate) fn new(global: &Global) -> Self {
        let tty = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        // https://no-color.org: any value but the empty one counts.
        let unwanted = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let width = terminal_size::terminal_size_of(io::stdout()).map(|(w, _)| usize::from(w.0));
        Self {
            to: Mutex::new(BufWriter::with_capacity(64 * 1024, Box::new(io::stdout()))),
            format: global.output,
            colour: tty && !dumb && !unwanted,
            width: width.filter(|_| tty),
            tty,
            plain: dumb || unwanted,
            progress: io::stderr().is_terminal() && !dumb && !global.quiet,
            quiet: global.quiet,
        }
    }

    /// Writes text as it is.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(to.write_all(bytes)?)
    }

    /// Whether a terminal shows what is written.
    pub(crate) fn is_tty(&self) -> bool {
        self.tty
    }

    /// Writes one line.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writeln!(to, "{text}")?)
    }

    /// Writes a table, or, where it has no rows, says on stderr what that means.
    pub(crate) fn table(&self, table: &Table, empty: &str) -> Result<()> {
        if table.is_empty() {
            self.note(empty);
            return Ok(());
        }
        self.write(&table.render(self.width, self.colour))
    }

    /// Whether data is wanted for a program.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Writes a value in the form a program asked for. Says whether one did.
    pub(crate) fn data(&self, value: &impl Serialize) -> Result<bool> {
        match self.format {
            Format::Json => self.line(&as_json(value, true)?)?,
            Format::Yaml => {
                let text = serde_yaml_ng::to_string(value).map_err(io::Error::other)?;
                // YAML lets text through that would act on a terminal; a program is to get it unchanged.
                if self.tty { self.write(&escape::visible(&text))? } else { self.write(&text)? }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What was written so far becomes visible.
    pub(crate) fn flush(&self) -> Result<()> {
        Ok(self.to.lock().unwrap_or_else(PoisonError::into_inner).flush()?)
    }

    /// Says something on stderr that is no error.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet && !text.is_empty() {
            self.say(text);
        }
    }

    /// Says something on stderr, asked or not.
    pub(crate) fn say(&self, text: &str) {
        // Nobody may be listening there; that is no reason to stop.
        drop(self.flush());
        drop(writeln!(io::stderr(), "{text}"));
    }

    /// Writes a table to stderr, where a terminal is there to show it.
    pub(crate) fn summary(&self, table: &Table) {
        if self.progress {
            let width = terminal_size::terminal_size_of(io::stderr()).map(|(w, _)| usize::from(w.0));
            self.say(table.render(width, !self.plain).trim_end());
        }
    }

    /// Shows that something is under way, until dropped.
    pub(crate) fn progress(&self, text: String) -> Progress {
        if !self.progress {
            return Progress(None);
        }
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style).with_message(text);
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress(Some(bar))
    }
}

/// A value as JSON. Characters that act on a terminal are written as `\u…`, which means the same.
pub(crate) fn as_json(value: &impl Serialize, pretty: bool) -> Result<String> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let text = text.map_err(io::Error::other)?;
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // A newline outside of a string is the pretty form's own.
        if c != '\n' && escape::acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                safe += &format!("\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

/// A sign of life on stderr.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Runs something that writes to the terminal while the sign is out of its way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Says what is under way now.
    pub(crate) fn now(&self, text: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Asks a yes-or-no question on the terminal. Nobody there to ask is an error for `required` questions.
pub(crate) fn confirm(question: &str, yes: bool, required: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        if required {
            let fault =
                hms_proto::fault::Fault::invalid("this needs a confirmation, and nobody is there to give it");
            return Err(fault.hint("add --yes").into());
        }
        return Ok(true);
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
