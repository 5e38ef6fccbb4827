//! `hmsctl completion` and `hmsctl version`.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{failure::Result, session::Session};

/// Print the line that sets up completion in a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl completion bash >> ~/.bashrc
  hmsctl completion fish > ~/.config/fish/completions/hmsctl.fish

Apps, hosts and units are completed from the live system.")]
pub(crate) struct Completion {
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        session.out.line(match self.shell {
            Shell::Bash => "source <(COMPLETE=bash hmsctl)",
            Shell::Zsh => "source <(COMPLETE=zsh hmsctl)",
            Shell::Fish => "COMPLETE=fish hmsctl | source",
        })
    }
}

/// Show the version of this program
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hmsctl version -o json")]
pub(crate) struct Version {}

#[derive(Serialize)]
struct Shown {
    version: &'static str,
}

impl Version {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        if session.out.data(&Shown { version })? {
            return Ok(());
        }
        session.out.line(&format!("hmsctl {version}"))
    }
}
