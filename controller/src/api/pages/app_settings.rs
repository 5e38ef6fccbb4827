//! `/apps/new` and `/apps/{key}/settings`.

use axum::{
    Form,
    extract::{Path, State as Shared},
    response::{IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{AppSettings, GetAppRequest},
    fault::{Fault, FaultKind},
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::AppSettingsPage,
    parts::{SettingsForm, app_href},
};

use super::{
    Problem,
    app_form::{self, Values},
    frame, page,
    session::Session,
};
use crate::{auth::Caller, state::State};

type Typed = Form<Vec<(String, String)>>;

pub(super) async fn new(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    let fresh = AppSettings {
        enabled: true,
        spec: Some(hms_proto::host::v1::AppSpec::default()),
        ..AppSettings::default()
    };
    let form = SettingsForm::new("", &hosts(&state, &session.caller), &app_form::values(&fresh));
    Ok(shown(&state, &session.caller, form).await)
}

pub(super) async fn add(
    Shared(state): Shared<State>,
    session: Session,
    Form(typed): Typed,
) -> Result<Response, Problem> {
    let values = typed_values(typed);
    let (settings, wrong) = app_form::read(&values, &AppSettings::default());
    let mut form = SettingsForm::new("", &hosts(&state, &session.caller), &values);
    if wrong.is_empty() {
        match state.gate.apps(&session.caller).add(settings.clone()).await {
            Ok(added) => return Ok(Redirect::to(&app_href(&added.into_inner().key, "")).into_response()),
            Err(status) => blame(&mut form, &Fault::from_status(&status), &settings),
        }
    }
    tell(&mut form, wrong);
    Ok(shown(&state, &session.caller, form).await)
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let current = current(&state, &session.caller, &key).await?;
    let values = app_form::values(&current);
    let mut form = SettingsForm::new(&current.key, &[], &values);
    stand_on(&mut form, &current, &values);
    Ok(shown(&state, &session.caller, form).await)
}

pub(super) async fn save(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Form(typed): Typed,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let current = current(&state, caller, &key).await?;
    let mut values = typed_values(typed);
    values.insert("key".into(), current.key.clone());
    values.insert("host".into(), current.host.clone());
    let base: Values =
        values.get("base").and_then(|base| serde_json::from_str(base).ok()).unwrap_or_default();
    let (settings, wrong) = app_form::read(&values, &current);
    let mut form = SettingsForm::new(&current.key, &[], &values);
    (form.host, form.version) = (current.host.clone(), settings.version.clone());
    form.base = values.get("base").cloned().unwrap_or_default();
    if wrong.is_empty() {
        match state.gate.apps(caller).edit(settings.clone()).await {
            Ok(_) => return Ok(Redirect::to(&format!("{}?saved=1", app_href(&key, "plan"))).into_response()),
            Err(status) => {
                let fault = Fault::from_status(&status);
                if fault.kind() == FaultKind::Conflict && settings.version != current.version {
                    let theirs = app_form::values(&current);
                    app_form::merge(&mut form, &base, &values, &theirs);
                    stand_on(&mut form, &current, &theirs);
                    form.error = Some(meanwhile());
                } else {
                    blame(&mut form, &fault, &settings);
                }
            }
        }
    }
    tell(&mut form, wrong);
    Ok(shown(&state, caller, form).await)
}

/// What the next edit is compared with.
fn stand_on(form: &mut SettingsForm, current: &AppSettings, values: &Values) {
    (form.host, form.version) = (current.host.clone(), current.version.clone());
    form.base = serde_json::to_string(values).unwrap_or_default();
}

fn meanwhile() -> Notice {
    Notice {
        tone: Tone::Warn,
        message: "Somebody saved other settings meanwhile; nothing of yours was saved yet.".into(),
        hint: "Their changes are in the form. Where you both changed the same, yours stands, with theirs below it. \
               Save again to keep what you see."
            .into(),
    }
}

/// Puts a fault beside its field, or on top where it is about none.
fn blame(form: &mut SettingsForm, fault: &Fault, settings: &AppSettings) {
    let field = app_form::blamed(fault, settings).filter(|_| fault.kind() == FaultKind::Invalid);
    match field.and_then(|name| form.field_mut(name)) {
        Some(field) => field.error = app_form::said(fault, field.name),
        None => {
            let hint = fault.next().to_owned();
            form.error = Some(Notice { tone: Tone::Bad, message: fault.message.clone(), hint });
        }
    }
}

fn tell(form: &mut SettingsForm, wrong: Vec<(String, String)>) {
    for (name, why) in wrong {
        if let Some(field) = form.field_mut(&name) {
            field.error = why;
        }
    }
}

async fn current(state: &State, caller: &Caller, key: &str) -> Result<AppSettings, Problem> {
    Ok(state.gate.apps(caller).get_settings(GetAppRequest { key: key.into() }).await?.into_inner())
}

fn typed_values(typed: Vec<(String, String)>) -> Values {
    typed.into_iter().collect()
}

fn hosts(state: &State, caller: &Caller) -> Vec<String> {
    state.fleet.seen_by(caller).hosts().iter().map(|host| host.row.name.clone()).collect()
}

async fn shown(state: &State, caller: &Caller, form: SettingsForm) -> Response {
    let title = if form.is_new() { "Add an app".to_owned() } else { format!("Settings of {}", form.key) };
    let frame = frame(state, caller, Place::Deploy, &title).await;
    page(&AppSettingsPage { frame, key: form.key.clone(), form })
}
