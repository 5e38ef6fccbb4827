//! An authenticator as the second factor of one's login.

use clap::Args;
use hms_proto::{
    controller::v1::{
        BeginTotpRequest, DisableTotpRequest, EnableTotpRequest, NewRecoveryCodesRequest, RecoveryCodes,
    },
    fault::Fault,
};

use crate::{
    connect::Pace,
    dialog::{
        ask,
        proof::{self, Proof},
    },
    failure::Result,
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct Enable {
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
pub(super) struct Disable {
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
pub(super) struct Codes {
    #[command(flatten)]
    proof: Proof,
}

impl Enable {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        if !ask::at_terminal() {
            return Err(Fault::invalid("this shows a secret and asks for a code: it needs a terminal")
                .hint("do it in the browser, under Settings")
                .into());
        }
        let link = session.controller()?;
        let begun = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.account(None, Pace::Act).begin_totp(BeginTotpRequest {})).await
        });
        let begun = begun.await?;
        session.out.note("Scan this with an authenticator, or type the secret into it:");
        eprintln!("\n{}\n  {}\n", picture(&begun.uri), begun.secret);
        eprint!("The code that it shows now: ");
        let code = ask::read_line().await?;
        let request = EnableTotpRequest { code };
        let codes = link.answer(Pace::Act, link.account(None, Pace::Act).enable_totp(request)).await?;
        session
            .out
            .note("From now on, a login asks for a code. Each of these replaces one, once; keep them:");
        show(session, &codes)
    }
}

/// A QR code for the terminal: two rows of it in each line.
fn picture(uri: &str) -> String {
    let code = qrcode::QrCode::new(uri.as_bytes());
    code.map(|code| code.render::<qrcode::render::unicode::Dense1x2>().build()).unwrap_or_default()
}

impl Disable {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let password = self.proof.password(session)?;
        proof::give(&link, password.clone()).await?;
        let request = DisableTotpRequest { password };
        let account = link.answer(Pace::Act, link.account(None, Pace::Act).disable_totp(request)).await?;
        if session.out.data(&account)? {
            return Ok(());
        }
        session.out.note("a login asks for your password only");
        Ok(())
    }
}

impl Codes {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let codes = self.proof.with(session, &link, async || {
            let mut account = link.account(None, Pace::Act);
            link.answer(Pace::Act, account.new_recovery_codes(NewRecoveryCodesRequest {})).await
        });
        show(session, &codes.await?)
    }
}

/// One a line, on stdout alone.
fn show(session: &Session, codes: &RecoveryCodes) -> Result<()> {
    if session.out.data(codes)? {
        return Ok(());
    }
    codes.codes.iter().try_for_each(|code| session.out.line(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_as_wide_as_it_is_high() {
        let picture = picture("otpauth://totp/HMS:ada?secret=JBSWY3DPEHPK3PXP&issuer=HMS");
        let widths: Vec<usize> = picture.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]) && widths[0].div_ceil(2) == widths.len());
    }
}
