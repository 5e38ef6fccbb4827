//! Completion of files, sites and versions, from the host that the command line names.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;
use hms_proto::{
    controller::v1::{ListHostsRequest, ListVersionsRequest},
    host::v1::{ListNginxRequest, NginxFile, NginxFileKind},
    names::HostName,
};

use super::path::ConfigPath;
use crate::{
    complete::{BUDGET, matching, open, option_of, within_budget},
    connect::{Connection, Pace},
    failure::Result,
    output::measure::{now_usec, relative},
};

/// Paths of files, sites by their names.
pub(super) fn paths(typed: &OsStr) -> Vec<CompletionCandidate> {
    // Somebody who types a folder wants whole paths.
    let whole = typed.to_string_lossy().contains('/');
    files(typed, whole, |_| true)
}

/// Names of sites.
pub(super) fn sites(typed: &OsStr) -> Vec<CompletionCandidate> {
    files(typed, false, |file| file.kind() == NginxFileKind::Site)
}

fn files(typed: &OsStr, whole: bool, wanted: fn(&NginxFile) -> bool) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let (link, host) = place().await?;
        let call = async { link.nginx(host.as_ref(), Pace::Look).list(ListNginxRequest {}).await };
        let files = link.answer(Pace::Look, call).await?.files;
        Ok(files.iter().filter(|f| wanted(f)).filter_map(|f| candidate(f, whole)).collect())
    });
    matching(typed, found)
}

fn candidate(file: &NginxFile, whole: bool) -> Option<(String, String)> {
    let path = ConfigPath::whole(&file.path).ok()?;
    let shown = if whole { path.as_str() } else { path.brief() };
    Some((shown.to_owned(), file.server_names.join(" ")))
}

/// Numbers of versions, newest first.
pub(super) fn versions(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let (link, host) = place().await?;
        let host = host.as_ref().map(ToString::to_string).unwrap_or_default();
        let request = ListVersionsRequest { host, limit: 50, ..ListVersionsRequest::default() };
        let call = async { link.nginx_history(None, Pace::Look).list(request).await };
        let versions = link.answer(Pace::Look, call).await?.versions;
        let told = |v: &hms_proto::controller::v1::NginxVersion| {
            format!("{} {} by {} {}", v.path, v.event, v.author, relative(v.time_usec, now_usec()))
        };
        Ok(versions.iter().map(|v| (v.id.to_string(), told(v))).collect())
    });
    matching(typed, found)
}

/// The host that is named, or the only one.
async fn place() -> Result<(Connection, Option<HostName>)> {
    let words: Vec<String> = std::env::args().collect();
    let (context, link) = open()?;
    if let Some(direct) = option_of(&words, "--direct") {
        return Ok((Connection::to_agent(&context, direct, Some(BUDGET))?, None));
    }
    if let Some(host) = option_of(&words, "--host") {
        return Ok((link, Some(HostName::try_from(host)?)));
    }
    let list = link.answer(Pace::Look, link.fleet(None, Pace::Look).list_hosts(ListHostsRequest {})).await?;
    let host = match list.hosts.as_slice() {
        [host] => Some(HostName::try_from(host.name.as_str())?),
        _ => None,
    };
    Ok((link, host))
}
