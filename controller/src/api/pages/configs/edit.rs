//! `/configs/{host}/{path}`: the editor, testing and applying.

use axum::{
    Form, Json,
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::GetVersionRequest,
    fault::{Fault, FaultKind},
    host::v1::{
        ApplyNginxRequest, ApplyNginxResponse, NginxChange, NginxFile, TestNginxRequest, nginx_change::Action,
    },
    names::HostName,
};
use hms_web::{
    frame::Place,
    pages::ConfigPage,
    parts::{
        Accept, ConfigAnswer, ConfigConflict, ConfigFile, ConfigPending, ConfigProblem, ConfigResult,
        DiffLine, OutcomeKind, SiteTemplate, history_fragment, host_href, problems_html,
    },
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    super::{Problem, frame, nothing_here, page, session::Session, wants_fragment},
    answer, fault, html, shown, versions,
};
use crate::{
    api::configs::{self, Clash},
    auth::Caller,
    db, nginx,
    state::State,
};

/// Seconds to confirm a change of the site that serves HMS itself.
const OWN_CONFIRM_S: u32 = 60;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Asked {
    /// What a new site begins with.
    template: String,
    /// The version whose text is to be brought back.
    version: i64,
}

/// The form of the editor. `accept` may come several times, so it is read by hand.
#[derive(Default)]
struct Typed {
    verb: String,
    content: String,
    expected: String,
    reason: String,
    confirm_s: u32,
    enable: bool,
    confirm: String,
    accept: Vec<String>,
}

impl Typed {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut typed = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "do" => typed.verb = value,
                "content" => typed.content = value,
                "expected" => typed.expected = value,
                "reason" => typed.reason = value.trim().to_owned(),
                "confirm_s" => {
                    typed.confirm_s = value.parse().map_err(|_| Fault::invalid("confirm_s is no number"))?;
                }
                "enable" => typed.enable = value == "1",
                "confirm" => typed.confirm = value,
                "accept" => typed.accept.push(value),
                _ => return Err(Fault::invalid(format!("the form has no field `{name}`"))),
            }
        }
        Ok(typed)
    }
}

/// One file of one host, and who is at it.
struct Desk<'a> {
    state: &'a State,
    caller: &'a Caller,
    host: HostName,
    path: String,
    /// The name that HMS was asked by.
    asked: String,
}

/// Shows the editor; a script is told the file as it is now.
pub(in super::super) async fn open(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Path((host, path)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let host = configs::host(&state, &session.caller, Some(&host))?;
    let desk = Desk { state: &state, caller: &session.caller, host, path, asked: name_of(&headers, &uri) };
    let file = configs::current(&state, desk.caller, &desk.host, &desk.path).await?;
    if wants_json(&headers) {
        let live = file.map(|f| serde_json::json!({ "sha256": f.sha256, "content": f.content }));
        return Ok(Json(live).into_response());
    }
    if file.is_none() && asked.template.is_empty() && asked.version == 0 {
        return Ok(nothing_here());
    }
    let mut shown = desk.page(file.as_ref()).await?;
    if asked.version > 0 {
        let request = GetVersionRequest { id: asked.version };
        let version = state.gate.nginx_history(desk.caller).get(request).await?.into_inner();
        shown.is_draft = version.content != shown.content;
        shown.content = version.content;
        shown.version = asked.version;
        shown.reason = format!("restore version {}", asked.version);
    } else if file.is_none() {
        let site = desk.path.rsplit('/').next().unwrap_or_default();
        shown.content = SiteTemplate::of(&asked.template).text(site);
        shown.is_draft = true;
        shown.enable = true;
    }
    Ok(sent(shown))
}

/// Tests, applies, enables, deletes, ...
pub(in super::super) async fn change(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    uri: Uri,
    Path((host, path)): Path<(String, String)>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let host = configs::host(&state, &session.caller, Some(&host))?;
    let mut typed = Typed::read(pairs)?;
    let desk = Desk { state: &state, caller: &session.caller, host, path, asked: name_of(&headers, &uri) };
    let action = match typed.verb.as_str() {
        "test" | "apply" | "merge" => {
            typed.content = desk.lines(&typed).await?;
            return desk.edit(typed, wants_json(&headers)).await;
        }
        "enable" => Action::Enable(true),
        "disable" => Action::Enable(false),
        "quarantine" => Action::Quarantine(true),
        "unquarantine" => Action::Quarantine(false),
        "delete" => Action::Delete(true),
        _ => return Ok(nothing_here()),
    };
    let result = desk.act(action, &typed).await;
    if wants_fragment(&headers) {
        return Ok(html(answer(&state, desk.caller, &desk.host, result).await).into_response());
    }
    match result.kind {
        OutcomeKind::Ok => Ok(Redirect::to(&host_href(desk.host.as_str())).into_response()),
        _ => {
            let fault = Fault::new(FaultKind::Failed, result.message).hint(result.hint);
            Err(Problem::of(fault, desk.caller))
        }
    }
}

impl Desk<'_> {
    /// The page with the file as it is.
    async fn page(&self, file: Option<&NginxFile>) -> Result<ConfigPage, Fault> {
        let picture = self.picture();
        let known = file.map(|f| shown::file(self.state, &picture, f, &self.asked));
        let shown_file = known.unwrap_or_else(|| ConfigFile {
            path: self.path.clone(),
            is_site: self.path.starts_with("sites-available/"),
            ..ConfigFile::default()
        });
        let mut frame = frame(self.state, self.caller, Place::Configs, &self.path).await;
        frame.events = format!("/events?view=config&host={}", hms_web::text::encode(self.host.as_str()));
        Ok(ConfigPage {
            frame,
            nonce: hex::encode(rand::random::<[u8; 16]>()),
            host: self.host.to_string(),
            is_new: file.is_none(),
            content: file.map(|f| f.content.clone()).unwrap_or_default(),
            expected: file.map(|f| f.sha256.clone()).unwrap_or_default(),
            confirm_s: if shown_file.is_own { OWN_CONFIRM_S } else { 0 },
            pending: shown::pending(self.state, self.host.as_str()),
            versions: versions(self.state, self.caller, &self.host, &self.path).await?,
            file: shown_file,
            ..ConfigPage::default()
        })
    }

    fn picture(&self) -> std::sync::Arc<nginx::Picture> {
        let known = self.state.fleet.host(self.host.as_str());
        known.map(|h| self.state.nginx.of(h.row.id)).unwrap_or_default()
    }

    /// A browser sends every line end of a text field as CRLF (HTML, "constructing the form data set"); the file keeps the
    /// ones that it has.
    async fn lines(&self, typed: &Typed) -> Result<String, Fault> {
        let plain = typed.content.replace("\r\n", "\n");
        let base = db::nginx::content(&self.state.db, &typed.expected).await?.unwrap_or_default();
        Ok(match base.windows(2).any(|pair| pair == b"\r\n") {
            true => plain.replace('\n', "\r\n"),
            false => plain,
        })
    }

    fn changes(&self, typed: &Typed) -> Vec<NginxChange> {
        let content = NginxChange {
            path: self.path.clone(),
            expected_sha256: typed.expected.clone(),
            action: Some(Action::Content(typed.content.clone())),
        };
        let enable = NginxChange {
            path: self.path.clone(),
            expected_sha256: String::new(),
            action: Some(Action::Enable(true)),
        };
        std::iter::once(content).chain(typed.enable.then_some(enable)).collect()
    }

    /// Tests the text, applies it, or brings it together with somebody else's.
    async fn edit(&self, typed: Typed, json: bool) -> Result<Response, Problem> {
        let mut work = Work::default();
        match typed.verb.as_str() {
            "test" => self.test(&typed, &mut work).await?,
            "apply" => self.apply(&typed, &mut work).await?,
            _ => self.clash(&typed, &mut work, "somebody changed the file since you opened it").await?,
        }
        match json {
            true => Ok(Json(self.told(&typed, work).await?).into_response()),
            false => self.shown(typed, work).await,
        }
    }

    async fn test(&self, typed: &Typed, work: &mut Work) -> Result<(), Fault> {
        let request = TestNginxRequest { changes: self.changes(typed), accept: typed.accept.clone() };
        work.tested = true;
        match self.state.gate.nginx(self.caller, &self.host).test(request).await.map_err(fault) {
            Ok(answer) => {
                let answer = answer.into_inner();
                work.ok = answer.ok;
                work.problems = shown::problems(answer.problems);
            }
            Err(fault) if fault.kind() == FaultKind::Conflict => {
                self.clash(typed, work, &fault.message).await?;
            }
            Err(fault) => {
                work.problems = shown::problems(fault.problems.clone());
                work.result = Some(shown::failed(self.caller, self.host.as_str(), "Not tested", &fault));
            }
        }
        Ok(())
    }

    async fn apply(&self, typed: &Typed, work: &mut Work) -> Result<(), Fault> {
        let request = ApplyNginxRequest {
            id: Uuid::now_v7().to_string(),
            changes: self.changes(typed),
            accept: typed.accept.clone(),
            confirm_s: typed.confirm_s,
            reason: typed.reason.clone(),
        };
        match self.state.gate.nginx(self.caller, &self.host).apply(request).await.map_err(fault) {
            Ok(applied) => self.applied(applied.into_inner(), work),
            Err(fault) if fault.kind() == FaultKind::Conflict => {
                self.clash(typed, work, &fault.message).await?;
            }
            Err(fault) => {
                let title = match fault.kind() {
                    FaultKind::Unknown => "Whether it was applied is not known",
                    _ => "Not applied: everything is as it was",
                };
                work.tested = true;
                work.problems = shown::problems(fault.problems.clone());
                work.result = Some(shown::failed(self.caller, self.host.as_str(), title, &fault));
            }
        }
        Ok(())
    }

    fn applied(&self, applied: ApplyNginxResponse, work: &mut Work) {
        let files = applied.tree.iter().flat_map(|t| &t.files);
        work.sha256 = files.into_iter().find(|f| f.path == self.path).map(|f| f.sha256.clone());
        work.ok = true;
        work.tested = true;
        work.problems = shown::problems(applied.problems.clone());
        let title = format!("Applied {}", self.path);
        work.result = Some(shown::done(self.caller, self.host.as_str(), title, applied));
    }

    async fn clash(&self, typed: &Typed, work: &mut Work, why: &str) -> Result<(), Fault> {
        let clash =
            configs::clash(self.state, self.caller, &self.host, &self.path, &typed.expected, &typed.content)
                .await?;
        let theirs = clash.current.as_ref().map(|f| f.content.clone()).unwrap_or_default();
        let now = clash.current.as_ref().map(|f| f.sha256.clone()).unwrap_or_default();
        // Refused for another reason than the text: another change waits to be confirmed, say.
        if now == typed.expected {
            let fault = Fault::new(FaultKind::Conflict, why);
            work.result = Some(shown::failed(self.caller, self.host.as_str(), "Not applied", &fault));
            return Ok(());
        }
        let conflict = ConfigConflict {
            author: clash.by.as_ref().map(|v| v.author.clone()).unwrap_or_default(),
            at_us: clash.by.as_ref().map_or(0, |v| v.time_usec),
            reason: clash.by.as_ref().map(|v| v.reason.clone()).unwrap_or_default(),
            theirs: self.difference(&clash, &theirs).await,
            merges: clash.merged.is_some() && !clash.overlaps,
            has_merged: clash.merged.is_some(),
            gone: clash.current.is_none(),
        };
        work.result = Some(ConfigResult {
            kind: OutcomeKind::Failed,
            title: "Somebody else was faster".into(),
            message: format!("{} was changed since you opened it.", self.path),
            conflict: Some(conflict),
            ..shown::blank(self.caller, self.host.as_str())
        });
        work.sha256 = Some(now);
        work.theirs = Some(theirs);
        work.merged = clash.merged;
        Ok(())
    }

    /// What the other side changed.
    async fn difference(&self, clash: &Clash, theirs: &str) -> Vec<DiffLine> {
        let Some(base) = clash.base.clone() else { return Vec::new() };
        let (path, theirs) = (self.path.clone(), theirs.to_owned());
        let diff =
            tokio::task::spawn_blocking(move || nginx::diff(&path, base.as_bytes(), theirs.as_bytes())).await;
        DiffLine::of(&diff.unwrap_or_default())
    }

    /// The answer to a script.
    async fn told(&self, typed: &Typed, work: Work) -> Result<ConfigAnswer, Fault> {
        let view = super::super::view(self.caller);
        let accepts = Accept::of(&work.problems, &typed.accept);
        let mut html = String::new();
        if work.tested {
            html += &problems_html(self.host.as_str(), &self.path, &work.problems, &accepts);
        }
        if let Some(result) = &work.result {
            html += &ConfigResult::fragment(&Some(result.clone()), view).html;
        }
        if typed.verb == "apply" {
            html += &ConfigPending::fragment(&shown::pending(self.state, self.host.as_str()), view).html;
            let versions = versions(self.state, self.caller, &self.host, &self.path).await?;
            html += &history_fragment(&versions, view).html;
        }
        Ok(ConfigAnswer {
            ok: work.ok,
            problems: work.problems,
            html,
            sha256: work.sha256,
            theirs: work.theirs,
            merged: work.merged,
        })
    }

    /// The answer to a form without scripts: the page, with what was typed.
    async fn shown(&self, typed: Typed, work: Work) -> Result<Response, Problem> {
        let file = configs::current(self.state, self.caller, &self.host, &self.path).await?;
        let mut shown = self.page(file.as_ref()).await?;
        if !(typed.verb == "apply" && work.ok) {
            // Both changes in one text, where that is possible: what is sent next replaces their version.
            shown.content = work.merged.unwrap_or(typed.content);
            shown.expected = work.sha256.unwrap_or(typed.expected);
            shown.is_draft = true;
            shown.enable = typed.enable;
            shown.confirm_s = typed.confirm_s;
            shown.reason = typed.reason;
        }
        shown.accepts = Accept::of(&work.problems, &typed.accept);
        (shown.problems, shown.tested, shown.result) = (work.problems, work.tested, work.result);
        Ok(sent(shown))
    }

    /// Enables, disables, deletes or moves the file.
    async fn act(&self, action: Action, typed: &Typed) -> ConfigResult {
        let host = self.host.as_str();
        let name = self.path.strip_prefix("sites-available/").unwrap_or(&self.path);
        let (good, bad) = match action {
            Action::Enable(true) => ("Enabled", "Not enabled"),
            Action::Enable(false) => ("Disabled", "Not disabled"),
            Action::Quarantine(true) => ("Moved out of nginx's sight:", "Not moved"),
            Action::Quarantine(false) => ("Brought back", "Not brought back"),
            _ => ("Deleted", "Not deleted"),
        };
        if matches!(action, Action::Delete(_)) && typed.confirm != name {
            let fault = Fault::invalid(format!("`{}` is not the name of the file", typed.confirm));
            return shown::failed(self.caller, host, bad, &fault.hint("Type the name exactly."));
        }
        let tree = &self.picture().tree;
        let own = tree.files.iter().any(|f| f.path == self.path && shown::is_own(self.state, f, &self.asked));
        let change = NginxChange {
            path: self.path.clone(),
            expected_sha256: typed.expected.clone(),
            action: Some(action),
        };
        let request = ApplyNginxRequest {
            id: Uuid::now_v7().to_string(),
            changes: vec![change],
            confirm_s: if own { OWN_CONFIRM_S } else { 0 },
            ..ApplyNginxRequest::default()
        };
        match self.state.gate.nginx(self.caller, &self.host).apply(request).await.map_err(fault) {
            Ok(applied) => shown::done(self.caller, host, format!("{good} {name}"), applied.into_inner()),
            Err(fault) => shown::failed(self.caller, host, bad, &fault),
        }
    }
}

/// What was found out.
#[derive(Default)]
struct Work {
    ok: bool,
    tested: bool,
    problems: Vec<ConfigProblem>,
    result: Option<ConfigResult>,
    sha256: Option<String>,
    theirs: Option<String>,
    merged: Option<String>,
}

/// The page, under a policy that lets its editor make styles.
fn sent(shown: ConfigPage) -> Response {
    let policy = HeaderValue::from_str(&hms_web::csp_with_nonce(&shown.nonce));
    let mut response = page(&shown);
    match policy {
        Ok(policy) => drop(response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy)),
        Err(error) => tracing::error!(%error, "a nonce is no header value"),
    }
    response
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.contains("application/json")
}

/// The name that the request was made to, without a port.
fn name_of(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).or(uri.host()).unwrap_or_default();
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(h, _)| h)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn the_form_is_read_strictly_and_directives_come_several_times() {
        let typed = Typed::read(vec![
            pair("do", "apply"),
            pair("accept", "perl"),
            pair("accept", "js_import"),
            pair("confirm_s", "60"),
        ])
        .unwrap();
        assert_eq!((typed.accept.len(), typed.confirm_s), (2, 60));
        assert!(Typed::read(vec![pair("force", "1")]).is_err());
        assert!(Typed::read(vec![pair("confirm_s", "-1")]).is_err());
    }

    #[test]
    fn the_name_that_was_asked_is_without_its_port() {
        let name = |host: &str| {
            name_of(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]), &Uri::from_static("/"))
        };
        assert_eq!(name("hms.example.org:8443"), "hms.example.org");
        assert_eq!(name("hms.example.org"), "hms.example.org");
        assert_eq!(name_of(&HeaderMap::new(), &Uri::from_static("https://a.test:1/x")), "a.test");
    }
}
