//! What somebody does with their own account: a new password, a second factor, tokens for machines.

use axum::{
    Form,
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{
        BeginTotpRequest, ChangePasswordRequest, ConfirmRequest, CreateTokenRequest, DisableTotpRequest,
        EnableTotpRequest, NewRecoveryCodesRequest, RevokeTokenRequest,
    },
    fault::{Fault, FaultKind},
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{OwnAccount, TokenNewPage},
    parts::{AddToken, NewToken, RecoveryCodes, SecondFactor, SecondFactorStep, TotpSecret},
};
use serde::Deserialize;
use tonic::Status;

use super::{
    Problem, confirm, frame, page,
    people_form::{self, Fields},
    session::Session,
    settings, wants_fragment,
};
use crate::{auth::Caller, state::State};

/// It holds secrets: it is never written anywhere.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NewPassword {
    current: String,
    new: String,
    again: String,
    /// For the browser's password manager.
    #[serde(rename = "username")]
    _username: String,
}

/// It holds secrets: it is never written anywhere.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Factor {
    #[serde(rename = "do")]
    verb: String,
    code: String,
    password: String,
}

fn fault(status: Status) -> Fault {
    Fault::from_status(&status)
}

/// The caller, confirmed by the password that the form asks for anyway.
pub(super) async fn confirmed(state: &State, caller: &Caller, password: &str) -> Result<Caller, Fault> {
    let proof = ConfirmRequest { password: password.to_owned(), ..ConfirmRequest::default() };
    state.gate.account(caller).confirm(proof).await.map_err(fault)?;
    Ok(Caller { confirmed: Some(chrono::Utc::now()), ..caller.clone() })
}

pub(super) async fn change_password(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Form(typed): Form<NewPassword>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let notice = match replace(&state, caller, typed).await {
        Ok(()) => Notice {
            tone: Tone::Good,
            message: "The new password is set.".into(),
            hint: "All your other sessions have ended.".into(),
        },
        Err(fault) => Problem::beside(fault, None)?,
    };
    let (account, factor) = settings::account(&state, caller).await?;
    let account = OwnAccount { notice: Some(notice), ..account };
    match wants_fragment(&headers) {
        true => Ok(Html(account.fragment(&caller.name).html).into_response()),
        false => settings::whole(&state, caller, account, factor).await,
    }
}

async fn replace(state: &State, caller: &Caller, typed: NewPassword) -> Result<(), Fault> {
    if typed.new != typed.again {
        return Err(Fault::invalid("the two new passwords are not the same").hint("Type the same one twice."));
    }
    let caller = confirmed(state, caller, &typed.current).await?;
    let request = ChangePasswordRequest { current: typed.current, new: typed.new };
    state.gate.account(&caller).change_password(request).await.map_err(fault)?;
    Ok(())
}

pub(super) async fn second_factor(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Form(typed): Form<Factor>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let (step, notice) = match act(&state, caller, &typed).await {
        Ok(step) => (step, None),
        // The secret was shown once; the form for its code stays, for the next one.
        Err(fault) if typed.verb == "enable" && fault.kind() != FaultKind::Conflict => {
            (SecondFactorStep::Code, Some(Problem::beside(fault, None)?))
        }
        Err(fault) => (SecondFactorStep::State, Some(Problem::beside(fault, None)?)),
    };
    let (account, factor) = settings::account(&state, caller).await?;
    let factor = SecondFactor { step, notice, ..factor };
    match wants_fragment(&headers) {
        true => Ok(Html(factor.fragment().html).into_response()),
        false => settings::whole(&state, caller, account, factor).await,
    }
}

async fn act(state: &State, caller: &Caller, typed: &Factor) -> Result<SecondFactorStep, Fault> {
    let mut account = state.gate.account(caller);
    Ok(match typed.verb.as_str() {
        "begin" => {
            let begun = account.begin_totp(BeginTotpRequest {}).await.map_err(fault)?.into_inner();
            SecondFactorStep::Take(TotpSecret::new(begun.secret, &begun.uri))
        }
        "enable" => {
            let code = typed.code.chars().filter(|char| !char.is_whitespace()).collect();
            let codes = account.enable_totp(EnableTotpRequest { code }).await.map_err(fault)?.into_inner();
            SecondFactorStep::Codes(RecoveryCodes(codes.codes))
        }
        "codes" => {
            let codes = account.new_recovery_codes(NewRecoveryCodesRequest {}).await.map_err(fault)?;
            SecondFactorStep::Codes(RecoveryCodes(codes.into_inner().codes))
        }
        "disable" => {
            let caller = confirmed(state, caller, &typed.password).await?;
            let request = DisableTotpRequest { password: typed.password.clone() };
            state.gate.account(&caller).disable_totp(request).await.map_err(fault)?;
            SecondFactorStep::State
        }
        other => return Err(Fault::invalid(format!("the form cannot `{}`", other.escape_debug()))),
    })
}

const NEW_TOKEN: &str = "/settings/tokens/new";

pub(super) async fn new_token(
    Shared(state): Shared<State>,
    session: Session,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let mut fields = Fields::from(pairs);
    confirm::first(&session.caller, &fields.href(NEW_TOKEN))?;
    if fields.one("on").is_empty() {
        let all = ("on".to_owned(), "all".to_owned());
        fields = Fields::from(vec![all, ("days".to_owned(), "90".to_owned())]);
    }
    Ok(token_page(&state, &session.caller, typed_token(&state, &session.caller, &fields)).await)
}

pub(super) async fn make_token(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let (caller, fields) = (&session.caller, Fields::from(pairs));
    let add = match create(&state, caller, &fields).await {
        Ok(made) => AddToken { made: Some(made), ..AddToken::default() },
        Err(fault) => {
            let error = Some(Problem::beside(fault, Some(fields.href(NEW_TOKEN)))?);
            AddToken { error, ..typed_token(&state, caller, &fields) }
        }
    };
    match wants_fragment(&headers) {
        true => Ok(Html(add.fragment(super::view(caller)).html).into_response()),
        false => Ok(token_page(&state, caller, add).await),
    }
}

async fn create(state: &State, caller: &Caller, fields: &Fields) -> Result<NewToken, Fault> {
    fields.only(&["name", "days", "role", "on", "host", "app"])?;
    let days = fields.one("days");
    let request = CreateTokenRequest {
        name: fields.one("name").to_owned(),
        role: fields.role().word().to_owned(),
        // What the owner reaches at any time, also later.
        scope: Some(people_form::to_proto(fields.scope())).filter(|scope| !scope.all),
        days: days
            .parse()
            .map_err(|_| Fault::invalid(format!("`{}` is no number of days", days.escape_debug())))?,
    };
    let made = state.gate.tokens(caller).create(request).await.map_err(fault)?.into_inner();
    let token = made.token.unwrap_or_default();
    Ok(NewToken {
        name: token.name,
        secret: made.secret,
        expires_us: token.expires_usec,
        origin: state.reach.origin(),
    })
}

fn typed_token(state: &State, caller: &Caller, fields: &Fields) -> AddToken {
    AddToken {
        name: fields.one("name").to_owned(),
        role: fields.role(),
        picker: people_form::picker(state, caller, fields.scope()),
        days: fields.one("days").to_owned(),
        ..AddToken::default()
    }
}

async fn token_page(state: &State, caller: &Caller, add: AddToken) -> Response {
    let mut frame = frame(state, caller, Place::Settings, "New API token").await;
    frame.events = "/events?view=account".into();
    page(&TokenNewPage { frame, add })
}

pub(super) async fn revoke_token(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    state.gate.tokens(&session.caller).revoke(RevokeTokenRequest { id }).await?;
    if !wants_fragment(&headers) {
        return Ok(Redirect::to("/settings").into_response());
    }
    let tokens = settings::tokens(&state, &session.caller).await?;
    Ok(Html(tokens.fragment(super::view(&session.caller)).html).into_response())
}
