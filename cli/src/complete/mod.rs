//! Completion from the live system. It has a second; a system that does not answer completes nothing.

mod apps;
mod scripts;

use std::{ffi::OsStr, future::Future, time::Duration};

use clap_complete::engine::CompletionCandidate;
use hms_proto::{controller::v1::ListHostsRequest, host::v1::ListUnitsRequest, names::HostName};

use crate::{
    connect::{Connection, Pace},
    context::{Context, Store},
    failure::Result,
};

pub(crate) use apps::{apps, deployments, releases, secrets};
pub(crate) use scripts::{labels, parameters, runs, schedules, scripts, signed_labels};

pub(crate) const BUDGET: Duration = Duration::from_secs(1);

/// Names of contexts.
pub(crate) fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let config = Store::open().and_then(|store| store.config()).unwrap_or_default();
    matching(typed, config.contexts.into_iter().map(|(name, entry)| (name, entry.url)))
}

/// Names of hosts.
pub(crate) fn hosts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = within_budget(async {
        let (context, link) = open()?;
        let list =
            link.answer(Pace::Look, link.fleet(None, Pace::Look).list_hosts(ListHostsRequest {})).await?;
        context.remember_hosts(&list.hosts);
        Ok(list.hosts.into_iter().map(|h| (h.name, h.address)).collect())
    });
    matching(typed, found)
}

/// Names of units, of the host that the command line names.
pub(crate) fn units(typed: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let Some(host) = option_of(&words, "--host").and_then(|h| HostName::try_from(h).ok()) else {
        return Vec::new();
    };
    let found = within_budget(async {
        let (_, link) = open()?;
        let call = link.answer(Pace::Look, async {
            link.units(Some(&host), Pace::Look).list(ListUnitsRequest::default()).await
        });
        Ok(call.await?.units.into_iter().map(|u| (u.name, u.description)).collect())
    });
    matching(typed, found)
}

/// The value of an option in a command line that is still being typed.
pub(crate) fn option_of<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(i, word)| match word.strip_prefix(name)? {
        "" => words.get(i + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

/// The command line that is being typed.
fn words() -> Vec<String> {
    std::env::args().collect()
}

/// To the agent that `--direct` names, or else to the controller.
fn open_any() -> Result<(Context, Connection)> {
    let words = words();
    let Some(host) = option_of(&words, "--direct") else { return open() };
    let context = Store::open()?.context(option_of(&words, "--context"))?;
    let link = Connection::to_agent(&context, host, Some(BUDGET))?;
    Ok((context, link))
}

pub(crate) fn open() -> Result<(Context, Connection)> {
    let words = words();
    let context = Store::open()?.context(option_of(&words, "--context"))?;
    let link = Connection::to_controller(&context, Some(BUDGET))?;
    Ok((context, link))
}

pub(crate) type Pairs = Vec<(String, String)>;

pub(crate) fn within_budget(look: impl Future<Output = Result<Pairs>>) -> Pairs {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = runtime.ok().and_then(|runtime| {
        let found = runtime.block_on(async { tokio::time::timeout(BUDGET, look).await });
        runtime.shutdown_background();
        found.ok()?.ok()
    });
    found.unwrap_or_default()
}

pub(crate) fn matching(
    typed: &OsStr,
    found: impl IntoIterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fits = found.into_iter().filter(|(name, _)| name.starts_with(&*typed));
    fits.map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_an_unfinished_line() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(
            option_of(&words("hmsctl -- hmsctl units show --host asterra pu"), "--host"),
            Some("asterra")
        );
        assert_eq!(option_of(&words("hmsctl units --host=asterra"), "--host"), Some("asterra"));
        assert_eq!(option_of(&words("hmsctl units --hosts x"), "--host"), None);
    }
}
