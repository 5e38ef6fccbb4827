//! `/confirm`: proves once more who somebody is, and leads back to what they were about to do.

use axum::{
    Form,
    extract::{Query, Request, State as Shared},
    middleware::Next,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{ConfirmRequest, GetAccountRequest},
    fault::{Fault, FaultKind},
};
use hms_web::{
    frame::Place,
    pages::{ConfirmPage, Proof},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::Deserialize;

use super::{
    Problem, frame,
    login::own_path,
    page,
    problem::{Unproved, notice},
    session::{Session, by_script},
    wants_fragment,
};
use crate::{auth::Caller, state::State};

/// Tells the page's script to ask, and then to send the same form again.
const ASK: HeaderName = HeaderName::from_static("x-hms-confirm");

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    next: String,
}

/// One of the two. It holds secrets: it is never written anywhere.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Answer {
    next: String,
    password: String,
    code: String,
    /// For the browser's password manager.
    #[serde(rename = "username")]
    _username: String,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let proof = proof(&state, &session.caller, &asked.next).await?;
    Ok(shown(&state, &session.caller, &headers, proof).await)
}

pub(super) async fn prove(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Form(answer): Form<Answer>,
) -> Result<Response, Problem> {
    let next = own_path(&answer.next);
    let with_code = answer.password.is_empty();
    let request = ConfirmRequest {
        code: if with_code { answer.code } else { String::new() },
        password: answer.password,
    };
    let proved = state.gate.account(&session.caller).confirm(request).await;
    let Err(status) = proved else {
        return Ok(match wants_fragment(&headers) {
            true => StatusCode::NO_CONTENT.into_response(),
            false => Redirect::to(if next.is_empty() { "/" } else { &next }).into_response(),
        });
    };
    let fault = Fault::from_status(&status);
    if fault.kind() == FaultKind::Unauthenticated {
        return Err(fault.into());
    }
    let code = StatusCode::from_u16(fault.row().http).unwrap_or(StatusCode::FORBIDDEN);
    let proof = Proof { error: Some(notice(&fault)), ..proof(&state, &session.caller, &next).await? };
    Ok((code, shown(&state, &session.caller, &headers, proof).await).into_response())
}

async fn proof(state: &State, caller: &Caller, next: &str) -> Result<Proof, Problem> {
    let account = state.gate.account(caller).get(GetAccountRequest {}).await?.into_inner();
    Ok(Proof { totp: account.totp, next: own_path(next), error: None })
}

async fn shown(state: &State, caller: &Caller, headers: &HeaderMap, proof: Proof) -> Response {
    if wants_fragment(headers) {
        return Html(proof.fragment(&caller.name).html).into_response();
    }
    let frame = frame(state, caller, Place::Settings, "Confirm that it is you").await;
    page(&ConfirmPage { frame, proof })
}

/// Asks before a form is shown whose sending would be refused.
pub(super) fn first(caller: &Caller, form: &str) -> Result<(), Problem> {
    match caller.confirmed {
        Some(_) => Ok(()),
        None => Err(Problem::unproved(form)),
    }
}

/// Where a call asked for a proof, the person is asked: by the script over the page, or on a page of its own, which leads
/// back to the form, or to the page that the form was on.
pub(super) async fn offer(request: Request, next: Next) -> Response {
    let scripted = by_script(request.headers());
    let here = match request.method().is_safe() {
        true => request.uri().path_and_query().map(ToString::to_string),
        false => referer(request.headers()),
    };
    let response = next.run(request).await;
    let Some(Unproved { form }) = response.extensions().get() else { return response };
    if scripted {
        return (StatusCode::FORBIDDEN, [(ASK, HeaderValue::from_static("1"))]).into_response();
    }
    let back = form.clone().or(here).unwrap_or_default();
    Redirect::to(&format!("/confirm?next={}", hms_web::text::encode(&own_path(&back)))).into_response()
}

/// The page of this site that a form was sent from; another site's was refused long before.
fn referer(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    uri.path_and_query().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use http::Method;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(method: Method, headers: &[(&str, &str)]) -> Response {
        let refused = || async { Problem::from(Fault::new(FaultKind::ProofNeeded, "prove it")) };
        let form = || async { Problem::unproved("/settings/invite?username=maria&app=a%26b") };
        let router = Router::new()
            .route("/settings/users/maria", get(refused).post(refused))
            .route("/settings/invite", get(form))
            .layer(middleware::from_fn(offer));
        let path = if method == Method::HEAD { "/settings/invite" } else { "/settings/users/maria?x=1" };
        let method = if method == Method::HEAD { Method::GET } else { method };
        let asking =
            headers.iter().fold(Request::builder(), |asking, (name, value)| asking.header(*name, *value));
        router.oneshot(asking.method(method).uri(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    fn place(response: &Response) -> &str {
        response.headers()[header::LOCATION].to_str().unwrap()
    }

    #[tokio::test]
    async fn a_page_that_asks_for_a_proof_leads_there_and_back() {
        let looked = ask(Method::GET, &[]).await;
        assert_eq!(looked.status(), StatusCode::SEE_OTHER);
        assert_eq!(place(&looked), "/confirm?next=%2Fsettings%2Fusers%2Fmaria%3Fx%3D1");
        let typed = ask(Method::HEAD, &[]).await;
        assert_eq!(place(&typed), "/confirm?next=%2Fsettings%2Finvite%3Fusername%3Dmaria%26app%3Da%2526b");
    }

    #[tokio::test]
    async fn a_form_that_was_sent_leads_back_to_its_page() {
        let from = [("referer", "https://hms.example:9443/settings/users/maria?y=2")];
        let sent = ask(Method::POST, &from).await;
        assert_eq!(place(&sent), "/confirm?next=%2Fsettings%2Fusers%2Fmaria%3Fy%3D2");
        assert_eq!(place(&ask(Method::POST, &[]).await), "/confirm?next=");
    }

    /// Security case 28.
    #[tokio::test]
    async fn a_proof_leads_nowhere_else() {
        for elsewhere in
            ["https://evil.example//evil.example/x", "//evil.example", "https://hms.example/\\evil"]
        {
            let sent = ask(Method::POST, &[("referer", elsewhere)]).await;
            let next = place(&sent).trim_start_matches("/confirm?next=");
            assert!(
                next.is_empty() || !next.starts_with("%2F%2F") && !next.contains("%5C"),
                "{elsewhere}: {next}"
            );
        }
    }

    #[tokio::test]
    async fn a_script_is_told_to_ask_and_to_send_the_form_again() {
        let sent = ask(Method::POST, &[("x-requested-with", "hms")]).await;
        assert_eq!((sent.status(), sent.headers()[&ASK].to_str().unwrap()), (StatusCode::FORBIDDEN, "1"));
    }
}
