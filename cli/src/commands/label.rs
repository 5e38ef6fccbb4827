//! `hmsctl host label`: labels of a host, at which runs can be aimed.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::LabelHostRequest,
    fault::Fault,
    names::{HostName, Label},
};

use crate::{complete, connect::Pace, failure::Result, output::escape::inline, session::Session};

#[derive(Debug, Args)]
pub(super) struct LabelHost {
    /// Name of the host
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::hosts))]
    name: HostName,
    /// `+LABEL` to add, `-LABEL` to take away
    #[arg(value_name = "+LABEL|-LABEL", allow_hyphen_values = true, value_parser = change, add = ArgValueCompleter::new(complete::signed_labels))]
    changes: Vec<(Sign, Label)>,
    /// Add this label; may be repeated
    #[arg(long, value_name = "LABEL", value_delimiter = ',', add = ArgValueCompleter::new(complete::labels))]
    add: Vec<Label>,
    /// Take this label away; may be repeated
    #[arg(long, value_name = "LABEL", value_delimiter = ',', add = ArgValueCompleter::new(complete::labels))]
    remove: Vec<Label>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Add,
    Remove,
}

fn change(text: &str) -> Result<(Sign, Label), String> {
    // Behind the first of them, clap takes every word for one.
    if text.starts_with("--") || matches!(text, "-o" | "-q" | "-h") {
        return Err(
            "options stand before the labels, and a label `o`, `q` or `h` is removed by --remove".into()
        );
    }
    let (sign, name) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(name), _) => (Sign::Add, name),
        (_, Some(name)) => (Sign::Remove, name),
        _ => return Err("write +LABEL to add it, or -LABEL to take it away".into()),
    };
    Label::try_from(name).map(|label| (sign, label)).map_err(|error| error.to_string())
}

impl LabelHost {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let (add, remove) = self.sorted()?;
        let link = session.controller()?;
        let request = LabelHostRequest { name: self.name.to_string(), add, remove };
        let host = link.answer(Pace::Look, link.fleet(None, Pace::Look).label_host(request)).await?;
        if session.out.data(&host)? {
            return Ok(());
        }
        let labels = if host.labels.is_empty() { "no labels".into() } else { host.labels.join(", ") };
        session.out.line(&format!("{}: {}", inline(&host.name), inline(&labels)))
    }

    /// What is to be added, and what to be taken away.
    fn sorted(&self) -> Result<(Vec<String>, Vec<String>)> {
        let signed = |wanted: Sign| self.changes.iter().filter(move |(sign, _)| *sign == wanted);
        let add: Vec<String> = self
            .add
            .iter()
            .chain(signed(Sign::Add).map(|(_, label)| label))
            .map(ToString::to_string)
            .collect();
        let remove: Vec<String> = self
            .remove
            .iter()
            .chain(signed(Sign::Remove).map(|(_, label)| label))
            .map(ToString::to_string)
            .collect();
        if add.is_empty() && remove.is_empty() {
            return Err(Fault::invalid("which label?").hint("hmsctl host label NAME +web -old").into());
        }
        match add.iter().find(|label| remove.contains(label)) {
            Some(label) => Err(Fault::invalid(format!("`{label}` is to be added and taken away")).into()),
            None => Ok((add, remove)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn sorted(words: &[&str]) -> Result<(Vec<String>, Vec<String>), u8> {
        let words = [&["hmsctl", "host", "label", "asterra"], words].concat();
        let cli = Cli::try_parse_from(words).map_err(|error| u8::try_from(error.exit_code()).unwrap())?;
        let Command::Host(hosts) = cli.command else { panic!("host") };
        hosts.label().unwrap().sorted().map_err(|failure| failure.exit_code())
    }

    fn both(add: &[&str], remove: &[&str]) -> Result<(Vec<String>, Vec<String>), u8> {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Ok((owned(add), owned(remove)))
    }

    #[test]
    fn labels_are_added_and_taken_away() {
        assert_eq!(sorted(&["+web", "-old", "+env=production"]), both(&["web", "env=production"], &["old"]));
        assert_eq!(sorted(&["--add", "web,db", "--remove", "old"]), both(&["web", "db"], &["old"]));
        assert_eq!(sorted(&["-o", "json", "-old"]), both(&[], &["old"]));
        assert_eq!(sorted(&["--add", "web", "-old"]), both(&["web"], &["old"]));
        for bad in [
            &[][..],
            &["web"],
            &["+"],
            &["+Web"],
            &["+a", "-a"],
            &["+a", "-o", "json"],
            &["+a", "--add", "b"],
        ] {
            assert_eq!(sorted(bad), Err(2), "{bad:?}");
        }
    }
}
