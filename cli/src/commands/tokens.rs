//! `hmsctl tokens`: API tokens, for machines that use REST.

use clap::{Args, Subcommand};
use hms_proto::controller::v1::{
    CreateTokenRequest, ListTokensRequest, ListTokensResponse, RevokeTokenRequest, Token,
};

use super::{
    reach::{self, Reach},
    users::Role,
};
use crate::{
    connect::Pace,
    dialog::proof::Proof,
    failure::Result,
    output::{
        escape::inline,
        measure::{full, now_usec, relative},
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Make and revoke API tokens of your own
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl tokens
  hmsctl tokens create ci --role operator --app cigar --days 30 > token
  hmsctl tokens revoke 0193f5c2-7e1a-7000-8000-000000000001

A token does at most what you may do at that moment, and nothing that asks for a confirmation.")]
pub(crate) struct Tokens {
    #[command(subcommand)]
    verb: Option<TokensVerb>,
}

#[derive(Debug, Subcommand)]
enum TokensVerb {
    /// List your tokens
    #[command(after_help = "Example:\n  hmsctl tokens list -o json")]
    List,
    /// Make a token; it is printed once, and not kept
    #[command(after_help = "Examples:
  hmsctl tokens create ci --role operator --app cigar
  hmsctl tokens create metrics --role viewer --days 366 > token")]
    Create(Create),
    /// Revoke a token, from the next request on
    #[command(after_help = "Example:\n  hmsctl tokens revoke 0193f5c2-7e1a-7000-8000-000000000001")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Create {
    /// What it is for, in your words
    #[arg(value_name = "NAME")]
    name: String,
    /// What it may do; at most what you may
    #[arg(long, value_enum, default_value_t = Role::Viewer)]
    role: Role,
    #[command(flatten)]
    reach: Reach,
    /// For so many days
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
struct Revoke {
    /// Id of the token, from the list
    #[arg(value_name = "ID")]
    id: String,
}

impl Tokens {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        match self.verb.unwrap_or(TokensVerb::List) {
            TokensVerb::List => {
                let mut tokens = link.tokens(None, Pace::Look);
                let list = link.answer(Pace::Look, tokens.list(ListTokensRequest {})).await?;
                show(session, &list, false)
            }
            TokensVerb::Create(create) => create.run(session).await,
            TokensVerb::Revoke(revoke) => {
                let mut tokens = link.tokens(None, Pace::Act);
                let request = RevokeTokenRequest { id: revoke.id.clone() };
                let done = link.answer(Pace::Act, tokens.revoke(request)).await?;
                if session.out.data(&done)? {
                    return Ok(());
                }
                session.out.line(&format!("revoked {}", inline(&revoke.id)))
            }
        }
    }
}

impl Create {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = CreateTokenRequest {
            name: self.name,
            role: self.role.word().into(),
            scope: self.reach.asked(),
            days: self.days,
        };
        let made = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.tokens(None, Pace::Act).create(request.clone())).await
        });
        let made = made.await?;
        if session.out.data(&made)? {
            return Ok(());
        }
        // Alone on stdout, so that it can go to a file.
        session.out.line(&made.secret)?;
        let token = made.token.unwrap_or_default();
        let (ends, at) = (relative(token.expires_usec, now_usec()), full(token.expires_usec));
        session.out.note(&format!("This token is shown once. It ends {ends} ({at})."));
        session.out.note("Send it as `Authorization: Bearer TOKEN`.");
        Ok(())
    }
}

/// Tokens as data or as a table, with their owners where they can be several.
pub(super) fn show(session: &Session, list: &ListTokensResponse, owners: bool) -> Result<()> {
    if session.out.data(list)? {
        return Ok(());
    }
    let empty = if owners { "No tokens." } else { "No tokens. Make one: hmsctl tokens create NAME" };
    session.out.table(&table(&list.tokens, owners, now_usec()), empty)
}

fn table(tokens: &[Token], owners: bool, now: i64) -> Table {
    let heads = ["ID", "NAME", "BEGINS", "ROLE", "MAY ACT ON", "LAST USED", "ENDS", "OWNER"];
    let columns = if owners { heads.len() } else { heads.len() - 1 };
    let mut table = Table::new(&heads[..columns]);
    for token in tokens {
        let never = || Cell::new("never", Look::Faint);
        let ended = token.expires_usec <= now;
        let mut cells = vec![
            token.id.as_str().into(),
            Cell::new(&token.name, Look::Strong),
            token.begins.as_str().into(),
            token.role.as_str().into(),
            reach::words(token.scope.as_ref()).into(),
            if token.last_used_usec == 0 { never() } else { relative(token.last_used_usec, now).into() },
            Cell::new(&relative(token.expires_usec, now), if ended { Look::Bad } else { Look::Plain }),
            token.username.as_str().into(),
        ];
        cells.truncate(columns);
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::Scope;

    use super::*;

    #[test]
    fn tokens_as_a_table() {
        let now = 1_800_000_000_000_000;
        let token = |name: &str, ends: i64, used: i64| Token {
            id: "0193f5c2-7e1a-7000-8000-000000000001".into(),
            name: name.into(),
            username: "ada".into(),
            role: "operator".into(),
            scope: Some(Scope { apps: vec!["cigar".into()], ..Scope::default() }),
            begins: "hmst_3fQ9".into(),
            expires_usec: now + ends,
            last_used_usec: used,
            ..Token::default()
        };
        let tokens = [token("ci", 86_400_000_000, now - 60_000_000), token("old", -1_000_000, 0)];
        insta::assert_snapshot!(format!(
            "{}\n{}",
            table(&tokens, false, now).render(None, false),
            table(&tokens, true, now).render(None, false)
        ));
    }
}
