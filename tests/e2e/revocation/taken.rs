//! What can be taken from somebody, and how it is taken.

use anyhow::{Context as _, Result};
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};

use super::doors::{Person, text};

/// What is taken from somebody.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    Disabled,
    DisabledOnTheHost,
    Lowered,
    LoweredOnTheHost,
    Narrowed,
    Removed,
    Reset,
    PasswordSetOnTheHost,
    PasswordChanged,
    LoggedOutEverywhere,
    OtherLoginsEnded,
    /// One login, of this kind.
    Login(&'static str),
    Token,
}

impl Person<'_> {
    /// Takes it; when this returns, it is done.
    pub(super) async fn take(&self, what: Taken) -> Result<()> {
        let (admin, own) = (self.world.admin(), self.world.password_file());
        let proof = ["--password-file", &own.to_string_lossy()];
        let users = async |arguments: &[&str]| admin.run(&[&["users"], arguments].concat()).await.map(drop);
        let name = self.name.as_str();
        match what {
            Taken::Disabled => users(&[&["disable", name], &proof[..]].concat()).await,
            Taken::Lowered => users(&[&["edit", name, "--role", "viewer"], &proof[..]].concat()).await,
            Taken::Narrowed => users(&[&["edit", name, "--app", "cigar"], &proof[..]].concat()).await,
            Taken::Removed => users(&[&["remove", name, "--yes"], &proof[..]].concat()).await,
            Taken::Reset => users(&[&["reset", name], &proof[..]].concat()).await,
            Taken::LoggedOutEverywhere => users(&["logout", name]).await,
            Taken::DisabledOnTheHost => self.on_the_host(&["disable", name], "").await,
            Taken::LoweredOnTheHost => self.on_the_host(&["role", name, "viewer"], "").await,
            Taken::PasswordSetOnTheHost => {
                self.on_the_host(&["password", name], "nine small grey stones").await
            }
            Taken::PasswordChanged => {
                let change = json!({ "current": self.password, "new": "seven small grey stones" });
                self.rest(self.program.put(self.url("/api/account/password")).json(&change)).await.map(drop)
            }
            Taken::OtherLoginsEnded => {
                let end = self.browser.post(self.url("/settings/sessions/end-others"));
                end.header(header::ORIGIN, self.world.url()).send().await?.error_for_status()?;
                Ok(())
            }
            Taken::Login(kind) => {
                let listed =
                    self.rest(self.program.get(self.url("/api/sessions"))).await?.json::<Value>().await?;
                let mut sessions = listed["sessions"].as_array().context("sessions")?.iter();
                let id = text(sessions.find(|s| s["kind"] == kind).context(kind)?, "/id")?;
                self.rest(self.program.delete(self.url(&format!("/api/sessions/{id}")))).await.map(drop)
            }
            Taken::Token => {
                let url = self.url(&format!("/api/tokens/{}", self.token_id));
                self.rest(self.program.delete(url)).await.map(drop)
            }
        }
    }

    async fn rest(&self, request: RequestBuilder) -> Result<Response> {
        Ok(request.bearer_auth(&self.access).send().await?.error_for_status()?)
    }

    /// As root of the controller's host does it, with the database alone.
    async fn on_the_host(&self, arguments: &[&str], input: &str) -> Result<()> {
        let argv = [&["runuser", "-u", "hms", "--", "hms-controller", "user"], arguments].concat();
        self.world.controller_host().run_with(&argv, input.as_bytes()).await.map(drop)
    }
}
