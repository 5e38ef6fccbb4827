//! Tokens for machines. Each is a random text of which only the hash is kept, with a role and a limit of its own.

use std::{net::IpAddr, sync::Arc};

use chrono::TimeDelta;
use hms_proto::{
    access::{role_from_word, role_word},
    controller::v1::{CreateTokenRequest, CreateTokenResponse, Token},
    fault::{Fault, FaultKind},
};
use uuid::Uuid;

use super::{Auth, Caller, Limit, Source, hash_of, new_secret, not_logged_in, unknown};
use crate::db::{self, tokens::NewToken};

const BEGIN: &str = "hmst_";
/// What is kept of a token in plain text, to tell one from the other: 24 of its 256 bits.
const SHOWN: usize = BEGIN.len() + 4;
const USUAL_DAYS: u32 = 90;
const MOST_DAYS: u32 = 366;
const LONGEST_NAME: usize = 100;

/// Whether a text is meant as such a token.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with(BEGIN)
}

impl Auth {
    /// Whose token this is.
    pub(super) async fn machine(&self, secret: &str, address: Option<IpAddr>) -> Result<Caller, Fault> {
        let now = self.clock.now();
        let found = db::tokens::by_hash(&self.db, &hash_of(secret), now).await?;
        let token = found.ok_or_else(not_logged_in)?;
        let from = address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
        db::tokens::touch(&self.db, &token, &from, now).await?;
        Ok(Caller {
            id: token.user_id,
            name: token.username.clone(),
            role: token.role(),
            scope: token.scope(),
            confirmed: None,
            source: Source::Rest,
            address,
            session: None,
            token: Some(token.id),
            request_id: Uuid::now_v7(),
            is_recorded: Arc::default(),
        })
    }

    /// Makes a token for the caller. It is shown in the answer, and never again.
    pub(crate) async fn create_token(
        &self,
        caller: &Caller,
        asked: &CreateTokenRequest,
    ) -> Result<CreateTokenResponse, Fault> {
        let name = asked.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(Fault::invalid(format!(
                "the name of a token has 1 to {LONGEST_NAME} characters, on one line"
            )));
        }
        let days = if asked.days == 0 { USUAL_DAYS } else { asked.days };
        if days > MOST_DAYS {
            return Err(Fault::invalid(format!("{days} days are more than {MOST_DAYS}")));
        }
        let role = role_from_word(&asked.role).ok_or_else(|| super::people::no_role(&asked.role))?;
        if role > caller.role {
            let (asked, own) = (role_word(role), role_word(caller.role));
            return Err(Fault::new(
                FaultKind::Denied,
                format!("you are {own}, and a token of yours cannot be {asked}"),
            ));
        }
        let limit = asked.scope.as_ref().map_or(Ok(Limit::Everything), Limit::parse)?;
        let secret = format!("{BEGIN}{}", new_secret());
        let now = self.clock.now();
        let new = NewToken {
            user: caller.id,
            name,
            hash: hash_of(&secret),
            begins: &secret[..SHOWN],
            role,
            limit: &limit,
            now,
            expires: now + TimeDelta::days(days.into()),
        };
        let token = db::tokens::add(&self.db, &new).await?;
        Ok(CreateTokenResponse { token: Some(token.to_proto()), secret })
    }

    /// The tokens of the caller, the newest first.
    pub(crate) async fn tokens_of(&self, caller: &Caller) -> Result<Vec<Token>, Fault> {
        self.tokens_by(Some(caller.id)).await
    }

    /// The tokens of a user, or of everybody.
    pub(super) async fn tokens_by(&self, user: Option<Uuid>) -> Result<Vec<Token>, Fault> {
        let tokens = db::tokens::list(&self.db, user, self.clock.now()).await?;
        Ok(tokens.iter().map(db::tokens::Token::to_proto).collect())
    }

    /// Revokes a token, of the caller where `own`. Those of others are then as if they were not there.
    pub(crate) async fn revoke_token(&self, caller: &Caller, id: &str, own: bool) -> Result<(), Fault> {
        let unknown = || unknown("token", id);
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        let owner = own.then_some(caller.id);
        match db::tokens::revoke(&self.db, owner, id, self.clock.now()).await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }
}
