//! `/settings/users` and `/settings/invite`: everybody who may log in, for admins.

use axum::{
    Form,
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    Role,
    controller::v1::{
        EditUserRequest, EndSessionsRequest, GetUserRequest, InviteUserRequest, ListUserTokensRequest,
        ListUsersRequest, ResetUserRequest, RevokeTokenRequest,
    },
    fault::{Fault, FaultKind},
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{InvitePage, UserPage, UsersPage},
    parts::{Invite, Invited, Scope, SessionList, TokenList, UserCard, UserList},
};
use tonic::Status;

use super::{
    Problem, confirm, frame, page,
    people_form::{self, Fields},
    session::Session,
    view_people, wants_fragment,
};
use crate::{auth::Caller, state::State};

const INVITE: &str = "/settings/invite";

fn fault(status: Status) -> Fault {
    Fault::from_status(&status)
}

pub(super) async fn list(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    let caller = &session.caller;
    let users = state.gate.users(caller).list(ListUsersRequest {}).await?.into_inner().users;
    let rows = users.into_iter().map(|user| view_people::user(user, caller)).collect();
    let mut frame = frame(&state, caller, Place::Settings, "Users").await;
    frame.events = "/events?view=account".into();
    Ok(page(&UsersPage { frame, users: UserList { rows } }))
}

pub(super) async fn new(
    Shared(state): Shared<State>,
    session: Session,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let (caller, fields) = (&session.caller, Fields::from(pairs));
    // Whether it is an admin is asked where it counts, and a list is the smallest question.
    state.gate.users(caller).list(ListUsersRequest {}).await?;
    confirm::first(caller, &fields.href(INVITE))?;
    Ok(invite_page(&state, caller, typed(&state, caller, &fields)).await)
}

pub(super) async fn invite(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let (caller, fields) = (&session.caller, Fields::from(pairs));
    let invite = match ask_in(&state, caller, &fields).await {
        Ok(invited) => Invite { invited: Some(invited), ..typed(&state, caller, &fields) },
        Err(fault) => {
            let error = Some(Problem::beside(fault, Some(fields.href(INVITE)))?);
            Invite { error, ..typed(&state, caller, &fields) }
        }
    };
    match wants_fragment(&headers) {
        true => Ok(Html(invite.fragment(super::view(caller)).html).into_response()),
        false => Ok(invite_page(&state, caller, invite).await),
    }
}

async fn ask_in(state: &State, caller: &Caller, fields: &Fields) -> Result<Invited, Fault> {
    fields.only(&["username", "role", "on", "host", "app"])?;
    let request = InviteUserRequest {
        username: fields.one("username").to_owned(),
        role: fields.role().word().to_owned(),
        scope: Some(people_form::to_proto(fields.scope())),
    };
    let invitation = state.gate.users(caller).invite(request).await.map_err(fault)?;
    Ok(view_people::invited(invitation.into_inner()))
}

fn typed(state: &State, caller: &Caller, fields: &Fields) -> Invite {
    Invite {
        name: fields.one("username").to_owned(),
        role: fields.role(),
        picker: people_form::picker(state, caller, fields.scope()),
        ..Invite::default()
    }
}

async fn invite_page(state: &State, caller: &Caller, invite: Invite) -> Response {
    let mut frame = frame(state, caller, Place::Settings, "Invite somebody").await;
    frame.events = "/events?view=account".into();
    page(&InvitePage { frame, invite })
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let card = card(&state, &session.caller, &name).await?;
    Ok(whole(&state, &session.caller, card).await)
}

async fn whole(state: &State, caller: &Caller, card: UserCard) -> Response {
    let mut frame = frame(state, caller, Place::Settings, &card.user.name).await;
    frame.events = "/events?view=account".into();
    page(&UserPage { frame, card })
}

/// What became of a form.
enum Done {
    Changed(String),
    Invited(Invited),
    Removed,
}

pub(super) async fn act(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let (caller, fields) = (&session.caller, Fields::from(pairs));
    let done = perform(&state, caller, &name, &fields).await;
    if matches!(done, Ok(Done::Removed)) {
        return Ok(Redirect::to("/settings/users").into_response());
    }
    let refused = match &done {
        // Who may not look at it either is refused once.
        Err(fault) if fault.kind() == FaultKind::Denied && caller.role != Role::Admin => {
            return Err(Problem::of(fault.clone(), caller));
        }
        Err(fault) => Some(Problem::beside(fault.clone(), None)?),
        Ok(_) => None,
    };
    let mut card = card(&state, caller, &name).await?;
    if refused.is_some() && fields.one("do") == "edit" {
        card.role = fields.role();
        card.picker = people_form::picker(&state, caller, fields.scope());
    }
    card.notice = refused;
    match done {
        Ok(Done::Changed(message)) => {
            card.notice = Some(Notice { tone: Tone::Good, message, hint: String::new() });
        }
        Ok(Done::Invited(invited)) => card.invited = Some(invited),
        Ok(Done::Removed) | Err(_) => {}
    }
    match wants_fragment(&headers) {
        true => Ok(Html(card.answer(super::view(caller))).into_response()),
        false => Ok(whole(&state, caller, card).await),
    }
}

async fn perform(state: &State, caller: &Caller, name: &str, fields: &Fields) -> Result<Done, Fault> {
    fields.only(&["do", "role", "on", "host", "app", "totp", "confirm", "id"])?;
    let mut users = state.gate.users(caller);
    let username = name.to_owned();
    let id = fields.one("id").to_owned();
    Ok(match fields.one("do") {
        "edit" => {
            let request = EditUserRequest {
                username,
                role: fields.role().word().to_owned(),
                scope: Some(people_form::to_proto(fields.scope())),
            };
            users.edit(request).await.map_err(fault)?;
            Done::Changed(format!("Saved. It holds for {name} from now on."))
        }
        "disable" => {
            users.disable(GetUserRequest { username }).await.map_err(fault)?;
            Done::Changed(format!("{name} is locked out."))
        }
        "enable" => {
            users.enable(GetUserRequest { username }).await.map_err(fault)?;
            Done::Changed(format!("{name} can log in again."))
        }
        "reset" => {
            let request = ResetUserRequest { username, totp: fields.one("totp") == "true" };
            let link = users.reset(request).await.map_err(fault)?.into_inner();
            Done::Invited(view_people::invited(link))
        }
        "remove" if fields.one("confirm") != name => {
            let typed = fields.one("confirm").escape_debug().to_string();
            return Err(Fault::invalid(format!(
                "`{typed}` is not the name of the user, so nobody was removed"
            ))
            .hint("Type the name as it stands there."));
        }
        "remove" => {
            users.remove(GetUserRequest { username }).await.map_err(fault)?;
            Done::Removed
        }
        "end-session" => {
            users.end_sessions(EndSessionsRequest { username, id }).await.map_err(fault)?;
            Done::Changed("The session has ended.".into())
        }
        "end-sessions" => {
            let request = EndSessionsRequest { username, id: String::new() };
            let ended = users.end_sessions(request).await.map_err(fault)?.into_inner().ended;
            Done::Changed(format!(
                "{ended} {} ended.",
                if ended == 1 { "session has" } else { "sessions have" }
            ))
        }
        "revoke-token" => {
            users.revoke_token(RevokeTokenRequest { id }).await.map_err(fault)?;
            Done::Changed("The token is revoked.".into())
        }
        other => return Err(Fault::invalid(format!("the form cannot `{}`", other.escape_debug()))),
    })
}

async fn card(state: &State, caller: &Caller, name: &str) -> Result<UserCard, Problem> {
    let mut users = state.gate.users(caller);
    let asked = || GetUserRequest { username: name.to_owned() };
    let user = view_people::user(users.get(asked()).await?.into_inner(), caller);
    let sessions = users.list_sessions(asked()).await?.into_inner().sessions;
    let tokens = users.list_tokens(ListUserTokensRequest { username: name.to_owned() }).await?;
    let tokens = tokens.into_inner().tokens;
    let own = |session: &mut hms_web::parts::SessionRow| {
        session.current = Some(&session.id) == caller.session.map(|id| id.to_string()).as_ref();
    };
    let mut rows: Vec<_> = sessions.into_iter().map(view_people::session).collect();
    rows.iter_mut().for_each(own);
    Ok(UserCard {
        role: user.role,
        picker: people_form::picker(state, caller, Scope { ..user.scope.clone() }),
        notice: None,
        invited: None,
        sessions: SessionList { owner: Some(user.name.clone()), rows },
        tokens: TokenList {
            owner: Some(user.name.clone()),
            rows: tokens.into_iter().map(view_people::token).collect(),
        },
        user,
    })
}
