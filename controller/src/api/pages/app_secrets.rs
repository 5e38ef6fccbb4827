//! `/apps/{key}/secrets`: names, versions, and one value at a time for somebody who gives their password again.

use axum::{
    Form,
    extract::{Path, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Response},
};
use hms_proto::{
    controller::v1::{
        GetAppRequest, ImportSecretsRequest, ListSecretsRequest, RevealSecretRequest, RotateSecretRequest,
        SecretsChange, SetSecretsRequest,
    },
    fault::Fault,
    host::v1::Secret,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::AppSecretsPage,
    parts::{Revealed, SecretChange, SecretList, Typed},
};
use serde::Deserialize;

use super::{Problem, account, frame, page, session::Session, view_apps, wants_fragment};
use crate::{auth::Caller, state::State};

/// What a form sent. It holds secrets: it is never written anywhere.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(rename = "do")]
    verb: String,
    name: String,
    value: String,
    password: String,
    text: String,
    replace: bool,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let secrets = list(&state, &session.caller, &key).await?;
    Ok(whole(&state, &session.caller, secrets).await)
}

pub(super) async fn act(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(key): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let done = perform(&state, caller, &key, &asked).await;
    let mut secrets = list(&state, caller, &key).await?;
    match done {
        Ok(Done::Saved(words)) => secrets.notice = Some(good(words)),
        Ok(Done::Revealed(secret)) => {
            secrets.revealed = Some(Revealed { name: secret.name, value: secret.value });
        }
        Ok(Done::Compared(change)) => {
            secrets.change = Some(change);
            keep(&mut secrets, &asked);
        }
        Err(fault) => {
            let hint = fault.next().to_owned();
            secrets.notice = Some(Notice { tone: Tone::Bad, message: fault.message, hint });
            keep(&mut secrets, &asked);
        }
    }
    match wants_fragment(&headers) {
        true => Ok(Html(secrets.answer(super::view(caller))).into_response()),
        false => Ok(whole(&state, caller, secrets).await),
    }
}

enum Done {
    Saved(String),
    Revealed(Secret),
    Compared(SecretChange),
}

/// What was typed is not lost.
fn keep(secrets: &mut SecretList, asked: &Asked) {
    secrets.text = Typed(asked.text.clone());
    secrets.replace = asked.replace;
    if asked.verb == "reveal" {
        secrets.asking.clone_from(&asked.name);
    }
}

async fn perform(state: &State, caller: &Caller, key: &str, asked: &Asked) -> Result<Done, Fault> {
    let mut secrets = state.gate.secrets(caller);
    let (key, name) = (key.to_owned(), asked.name.trim().to_owned());
    let answer = match asked.verb.as_str() {
        "set" => {
            // Browsers end lines in their own way; a secret has them as it was written.
            let value = asked.value.replace("\r\n", "\n");
            let secrets_given = vec![Secret { name, value }];
            secrets
                .set(SetSecretsRequest { key, secrets: secrets_given, ..SetSecretsRequest::default() })
                .await
        }
        "remove" => {
            secrets.set(SetSecretsRequest { key, remove: vec![name], ..SetSecretsRequest::default() }).await
        }
        "rotate" => secrets.rotate(RotateSecretRequest { key, name }).await,
        "preview" | "import" => {
            let dry_run = asked.verb == "preview";
            let request =
                ImportSecretsRequest { key, text: asked.text.clone(), replace: asked.replace, dry_run };
            let change =
                secrets.import(request).await.map_err(|status| Fault::from_status(&status))?.into_inner();
            return Ok(if dry_run {
                Done::Compared(view_apps::secret_change(change))
            } else {
                saved(&change)
            });
        }
        "reveal" => {
            let caller = account::confirmed(state, caller, &asked.password).await?;
            let mut secrets = state.gate.secrets(&caller);
            let request = RevealSecretRequest { key, name, version: 0 };
            let secret = secrets.reveal(request).await.map_err(|status| Fault::from_status(&status))?;
            return Ok(Done::Revealed(secret.into_inner()));
        }
        other => return Err(Fault::invalid(format!("the form cannot `{}`", other.escape_debug()))),
    };
    answer.map(|change| saved(change.get_ref())).map_err(|status| Fault::from_status(&status))
}

fn saved(change: &SecretsChange) -> Done {
    let told = |what: &str, names: &[String]| match names {
        [] => None,
        names => Some(format!("{what} {}", names.join(", "))),
    };
    let parts =
        [told("added", &change.added), told("changed", &change.changed), told("removed", &change.removed)];
    let words: Vec<String> = parts.into_iter().flatten().collect();
    Done::Saved(match words.is_empty() {
        true => "Nothing changed: the values were these already.".into(),
        false => format!("Version {}: {}.", change.version, words.join("; ")),
    })
}

fn good(message: String) -> Notice {
    Notice { tone: Tone::Good, message, hint: String::new() }
}

async fn list(state: &State, caller: &Caller, key: &str) -> Result<SecretList, Problem> {
    let app = state.gate.apps(caller).get(GetAppRequest { key: key.into() }).await?.into_inner();
    let list = state.gate.secrets(caller).list(ListSecretsRequest { key: key.into(), version: 0 }).await?;
    let live = app.live.map(|live| live.secrets_version);
    Ok(view_apps::secrets(&app.key, live, list.into_inner()))
}

async fn whole(state: &State, caller: &Caller, secrets: SecretList) -> Response {
    let title = format!("Secrets of {}", secrets.key);
    let frame = frame(state, caller, Place::Deploy, &title).await;
    page(&AppSecretsPage { frame, key: secrets.key.clone(), secrets })
}
