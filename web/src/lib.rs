//! The web face of HMS: page structs, their templates, and the assets that belong to them. No I/O and no HTTP: the
//! controller fills a struct, calls [`Template::render`] and sends the text; everything here renders from sample data.
//!
//! # How a page is added
//!
//! 1. `src/pages/<noun>.rs`: a struct with a [`Frame`] and what the page shows, `#[derive(Template)]`, and a `sample()`.
//! 2. `templates/pages/<noun>.html`: `{% extends "layout.html" %}`, one `{% block main %}`.
//! 3. A line in [`pages::samples`]: the tests and the gallery (`cargo run -p hms-web --example gallery -- OUTDIR`) then
//!    cover it. A link in [`frame::rail`] if people go there.
//! 4. The controller gets a handler that fills the struct.
//!
//! What changes while a page is open is a part (`src/parts`): its template is included by the page and rendered alone as a
//! [`Fragment`], whose `id` is the `id` of its root element.
//!
//! # What the pages expect of the controller
//!
//! Forms work without scripts: POST, then 303 back. With scripts the same form is sent by `fetch` with
//! `Accept: text/html; fragment=1` and `X-Requested-With: hms`; the answer is then HTML whose root elements replace those
//! of the same `id`. A 401 sends the browser to the login page. A 403 with `X-Hms-Confirm` has the script ask who it is
//! (`/confirm`, in a dialog) and send the form again; without scripts, `/confirm` is a page that leads back.
//!
//! | request | fields | answer to a fragment request |
//! |---|---|---|
//! | `POST /login` | `username password next` | never one |
//! | `POST /logout` | | never one |
//! | `POST /apps/{key}/{start,stop,restart}` | | [`parts::AppRow`] with its `outcome` (also when it failed) |
//! | `GET /logs` | `source` (`app:KEY`, `host:NAME`) `lines since until priority q follow` (`1`) | never one |
//! | `POST /hosts` | `name address` | [`parts::AddHost`] with token or error, then [`parts::HostList`] |
//! | `POST /hosts/{name}/token` | | the same |
//! | `POST /hosts/{name}/remove` | `confirm` (the name) | the same |
//! | `POST /hosts/{name}/labels` | `labels` (with spaces between them) | the same |
//! | `GET /scripts` | `q` | never one |
//! | `GET /scripts/{name}` | what the form has, to begin with | never one |
//! | `POST /scripts/{name}/preview` | `p.NAME on host label of json batch max_failures timeout cron` | [`parts::ScriptForm::answer`] |
//! | `POST /scripts/{name}/{run,schedule}` | the same | the same, when it was refused; else 303 |
//! | `GET /runs` | `script host actor state schedule cursor` | never one |
//! | `GET /runs/{id}` | `job` | never one |
//! | `POST /runs/{id}/cancel` | `job` (or all of them) | [`parts::RunCard`] |
//! | `GET /jobs/{id}/output` | | never one: text |
//! | `POST /schedules/{id}/{pause,remove}` | `paused` | [`parts::ScheduleList`] |
//! | `GET /configs` | `host route` | never one |
//! | `POST /configs/{host}` | `do` (`reload`, `confirm`, `revert`, `adopt`, `put-back`) `id path` | [`parts::ConfigResult`], [`parts::ConfigPending`], [`parts::ConfigList`] |
//! | `GET /configs/{host}/new` | `name template` | never one |
//! | `GET /configs/{host}/{path}` | `template version` | with `Accept: application/json`: hash and content |
//! | `POST /configs/{host}/{path}` | `do` (`test`, `apply`, `merge`, `enable`, `disable`, `delete`, `quarantine`, `unquarantine`) `content expected reason confirm_s accept enable` | as for the host; with `Accept: application/json`: [`parts::ConfigAnswer`] |
//! | `GET /config-versions/{id}` | | never one |
//! | `GET /deploy` | | never one |
//! | `GET /deployments/{id}` | `joined` | never one |
//! | `POST /deployments/{id}/cancel` | | [`parts::DeploymentCard`] |
//! | `GET /apps/{key}` | | never one |
//! | `POST /apps/{key}/{deploy,apply,rollback}` | `branch commit release restart revert_drift accept_destructive` | 303 to the deployment |
//! | `GET /apps/{key}/{plan,rollback}` | `kind release restart` | never one |
//! | `POST /apps/{key}/adopt` | `item` | 303 to the plan |
//! | `POST /apps/new`, `POST /apps/{key}/settings` | those of [`parts::SettingsForm`], and `version base` | never one |
//! | `POST /apps/{key}/secrets` | `do` (`set`, `remove`, `rotate`, `preview`, `import`, `reveal`) `name value text replace password` | [`parts::SecretList`] |
//! | `POST /apps/{key}/remove` | `confirm` (the key) `from_host delete_data` | never one |
//! | `GET /audit` | `actor host result method since until before` | never one |
//! | `POST /login/code` | `code next` | never one |
//! | `POST /login/invitation` | `code password again` | never one |
//! | `GET /confirm` | `next` | [`pages::Proof`] |
//! | `POST /confirm` | `password code next` | 204; [`pages::Proof`] when it was refused |
//! | `POST /settings/password` | `current new again` | `password` of [`pages::OwnAccount`] |
//! | `POST /settings/totp` | `do` (`begin`, `enable`, `codes`, `disable`) `code password` | [`parts::SecondFactor`] |
//! | `POST /settings/sessions/{id}/revoke`, `/settings/sessions/end-others` | | [`parts::SessionList`] |
//! | `GET`, `POST /settings/tokens/new` | `name days role on host app` | [`parts::AddToken`] |
//! | `POST /settings/tokens/{id}/revoke` | | [`parts::TokenList`] |
//! | `GET`, `POST /settings/invite` | `username role on host app` | [`parts::Invite`] |
//! | `POST /settings/users/{name}` | `do` (`edit`, `disable`, `enable`, `reset`, `remove`, `end-session`, `end-sessions`, `revoke-token`) `role on host app totp confirm id` | [`parts::UserCard`], or 303 when the user is gone |
//! | `GET /settings/api` | `group q` | never one |
//! | `GET /static/…` | | [`assets::get`] |
//! | `GET /events` | as in [`Frame::events`], and `after` (last seen `id`) | [`events::Event`]s |
//!
//! Every page fits `Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;
//! font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'` ([`CSP`]).

pub mod assets;
pub mod events;
pub mod frame;
pub mod pages;
pub mod parts;
pub mod text;

pub use askama::Template;
pub use events::{Event, Fragment};
pub use frame::{Frame, Role, View};

/// The policy of a page with the editor, which makes its styles itself: they carry this nonce, and nothing else may.
pub fn csp_with_nonce(nonce: &str) -> String {
    CSP.replace("style-src 'self'", &format!("style-src 'self' 'nonce-{nonce}'"))
}

/// The policy that every page is made for; to be sent with every response.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                       connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
