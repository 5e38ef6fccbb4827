//! Requests that another site made a browser send: refused before anything of them is looked at, and in the audit where they came
//! with somebody's login.

use std::net::IpAddr;

use axum::{
    extract::{Request, State as Shared},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hms_proto::fault::{Fault, FaultKind};
use http::{HeaderMap, StatusCode, header};
use tower_http::csrf::ProtectionError;
use uuid::Uuid;

use super::pages;
use crate::{
    auth::{self, Caller, Record, Source},
    db::audit::Intent,
    state::State,
};

/// As the audit has it.
const METHOD: &str = "/hms.web.Browser/CrossSite";
/// Of what is sent along, so much is recorded.
const LONGEST: usize = 200;

/// A request with a cookie that does not say where it comes from: no browser's.
#[derive(Clone)]
pub(super) struct FromNowhere;

impl IntoResponse for FromNowhere {
    fn into_response(self) -> Response {
        let mut response = StatusCode::FORBIDDEN.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Records what was refused for where it came from.
pub(super) async fn record(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let headers = request.headers().clone();
    let asked = format!("{} {}", request.method(), request.uri().path());
    let address = pages::address_of(request.extensions());
    let response = next.run(request).await;
    let told = response.extensions();
    if told.get::<ProtectionError>().is_some() || told.get::<FromNowhere>().is_some() {
        deny(&state, &headers, &asked, address).await;
    }
    response
}

async fn deny(state: &State, headers: &HeaderMap, asked: &str, address: Option<IpAddr>) {
    let Some(token) = auth::web::token_of(headers) else { return };
    let Ok(Some(caller)) = state.auth.web_owner(&token, address).await else { return };
    let fault = Fault::new(FaultKind::Denied, "a browser sent this from another site");
    let recorded = match Record::open(&state.db, &intent(&caller, headers, asked)).await {
        Ok(record) => record.close(&state.db, Err::<(), _>(fault.clone())).await,
        Err(unrecorded) => Err(unrecorded),
    };
    // It was refused either way.
    if recorded.is_err_and(|told| told != fault) {
        tracing::error!(caller = %caller.name, asked, "refused a request of another site, and cannot record it");
    }
}

fn intent(caller: &Caller, headers: &HeaderMap, asked: &str) -> Intent {
    let said = |name: &str| {
        let text = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        text.map(|text| text.chars().take(LONGEST).collect::<String>())
    };
    Intent {
        request_id: Uuid::now_v7(),
        actor: caller.name.clone(),
        user_id: Some(caller.id),
        source: Source::Web,
        address: caller.address,
        method: METHOD.into(),
        host: String::new(),
        target: asked.chars().take(LONGEST).collect(),
        params: serde_json::json!({ "origin": said(header::ORIGIN.as_str()), "sec_fetch_site": said("sec-fetch-site") }),
    }
}
