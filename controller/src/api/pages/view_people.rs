//! People, sessions and tokens of the contract, as the pages show them.

use hms_proto::controller::v1;
use hms_web::{
    Role,
    parts::{Invited, Scope, SessionRow, TokenRow, UserRow, UserState},
};

use crate::auth::Caller;

fn known(usec: i64) -> Option<i64> {
    (usec > 0).then_some(usec)
}

pub(super) fn scope(scope: Option<v1::Scope>) -> Scope {
    let v1::Scope { all, hosts, apps } = scope.unwrap_or_default();
    Scope { all, hosts, apps }
}

pub(super) fn user(user: v1::User, caller: &Caller) -> UserRow {
    UserRow {
        is_you: user.username == caller.name,
        role: Role::of_word(&user.role).unwrap_or_default(),
        scope: scope(user.scope),
        state: match user.state.as_str() {
            "active" => UserState::Active,
            "invited" => UserState::Invited,
            _ => UserState::Disabled,
        },
        totp: user.totp,
        created_us: user.created_usec,
        seen_us: known(user.last_seen_usec),
        password_us: known(user.password_changed_usec),
        invited_until_us: known(user.invited_until_usec),
        sessions: user.sessions,
        tokens: user.tokens,
        name: user.username,
    }
}

pub(super) fn invited(invitation: v1::Invitation) -> Invited {
    Invited {
        name: invitation.user.map(|user| user.username).unwrap_or_default(),
        url: invitation.url,
        expires_us: invitation.expires_usec,
    }
}

pub(super) fn session(session: v1::Session) -> SessionRow {
    SessionRow {
        id: session.id,
        kind: session.kind,
        created_us: session.created_usec,
        seen_us: session.last_seen_usec,
        expires_us: session.expires_usec,
        address: session.address,
        user_agent: session.user_agent,
        current: session.current,
    }
}

pub(super) fn token(token: v1::Token) -> TokenRow {
    TokenRow {
        id: token.id,
        name: token.name,
        role: token.role,
        scope: scope(token.scope),
        begins: token.begins,
        created_us: token.created_usec,
        expires_us: token.expires_usec,
        used_us: known(token.last_used_usec),
        address: token.last_address,
    }
}
