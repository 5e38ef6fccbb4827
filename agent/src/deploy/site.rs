//! The app's nginx site. It goes through the one way in which the configuration changes: proved, swapped, reloaded, verified.

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{ApplyNginxRequest, NginxChange, nginx_change::Action},
    script::sha256,
};
use uuid::Uuid;

use super::restart::unit;
use crate::{apps::App, nginx::Nginx, systemd::Session};

/// The site as it is, if it is there.
pub(super) async fn now(nginx: &Nginx, app: &App) -> Result<Option<String>, Fault> {
    if !is_installed() {
        return Ok(None);
    }
    Ok(nginx.text(&app.site()).await?.map(|(text, _)| text))
}

/// Whether there is an nginx on this host.
pub(super) fn is_installed() -> bool {
    std::path::Path::new("/etc/nginx").is_dir()
}

/// Whether nginx runs.
pub(super) async fn is_running(session: &Session) -> Result<bool, Fault> {
    Ok(unit(session, "nginx.service").await?.active_state == "active")
}

/// Fails when the site could not be changed now.
pub(super) fn is_free(nginx: &Nginx) -> Result<(), Fault> {
    nginx
        .is_free()
        .map_err(|fault| Fault { message: format!("the site cannot be changed: {}", fault.message), ..fault })
}

/// Makes the site this text, and enables it; or removes it. The id of the change, which may wait to be confirmed.
pub(super) async fn set(
    nginx: &Nginx,
    app: &App,
    actor: &str,
    text: Option<&str>,
) -> Result<Option<String>, Fault> {
    let path = app.site();
    let there = nginx.text(&path).await?;
    let expected_sha256 = there.as_ref().map(|(text, _)| sha256(text.as_bytes())).unwrap_or_default();
    let change = |action| NginxChange {
        path: path.clone(),
        action: Some(action),
        expected_sha256: expected_sha256.clone(),
    };
    let changes = match (text, there) {
        (None, None) => return Ok(None),
        (None, Some(_)) => vec![change(Action::Delete(true))],
        (Some(text), Some((_, true))) => vec![change(Action::Content(text.to_owned()))],
        (Some(text), _) => vec![change(Action::Content(text.to_owned())), change(Action::Enable(true))],
    };
    let id = Uuid::new_v4().to_string();
    let reason = format!("Site of the app {}", app.key());
    let request = ApplyNginxRequest { id: id.clone(), changes, reason, ..ApplyNginxRequest::default() };
    match nginx.change(actor, &request).await {
        Ok(_) => Ok(Some(id)),
        Err(fault) => {
            let problems: Vec<_> =
                fault.problems.iter().map(|p| format!("{}:{}: {}", p.path, p.line, p.message)).collect();
            let message = match problems.is_empty() {
                true => format!("nginx: {}", fault.message),
                false => format!("nginx: {}\n{}", fault.message, problems.join("\n")),
            };
            Err(Fault { message, ..Fault::new(FaultKind::Failed, "").hint(fault.hint) })
        }
    }
}
