//! What the address of a page of logs says.

use hms_proto::{
    fault::Fault,
    merge::Places,
    names::{Cursor, HostName},
    search::Search,
};

use crate::logs::Want;

/// An address, taken apart.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The search, as typed.
    pub(super) typed: Vec<(String, String)>,
    before: String,
    pub(super) after: String,
    /// Key of the entry that is looked at.
    pub(super) around: Option<String>,
    /// Key of the entry whose fields are wanted.
    pub(super) key: String,
    /// Of a download.
    pub(super) form: String,
}

impl Asked {
    /// Takes the names that the addresses of before had, too.
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let (name, value) = match (name.as_str(), value.split_once(':')) {
                ("source", Some(("app", key))) => ("app".to_owned(), key.to_owned()),
                ("source", Some(("host", host))) => ("host".to_owned(), host.to_owned()),
                ("q", _) => ("grep".to_owned(), value),
                _ => (name, value),
            };
            match name.as_str() {
                "before" => asked.before = value,
                "after" => asked.after = value,
                "around" => asked.around = Some(value).filter(|key| !key.is_empty()),
                "key" => asked.key = value,
                "form" => asked.form = value,
                // What each page does by itself now, and what chooses the stream.
                "follow" | "view" => {}
                _ if value.trim().is_empty() => {}
                _ => asked.typed.push((name, value)),
            }
        }
        asked
    }

    pub(super) fn search(&self) -> Result<Search, Fault> {
        Search::from_pairs(self.typed.iter().map(|(name, value)| (name, value)))
    }

    pub(super) fn want(&self) -> Result<Want, Fault> {
        match (self.before.as_str(), self.after.as_str()) {
            ("", "") => Ok(Want::First),
            (before, "") => Ok(Want::Before(Places::parse(before)?)),
            ("", after) => Ok(Want::After(Places::parse(after)?)),
            _ => {
                Err(Fault::invalid("`before` and `after` are two directions").hint("Leave one of them out."))
            }
        }
    }
}

/// The host and the cursor of an entry.
pub(super) fn key(text: &str) -> Result<(HostName, Cursor), Fault> {
    let (host, cursor) = text
        .split_once(' ')
        .ok_or_else(|| Fault::invalid("that is no line of a log").hint("Follow the link of a line."))?;
    Ok((HostName::try_from(host)?, Cursor::try_from(cursor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        Asked::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn addresses_of_before_still_lead_somewhere() {
        let old = asked(&[("source", "app:cigar"), ("q", "a|b"), ("follow", "1"), ("until", "")]);
        assert_eq!(old.search().unwrap().to_query(), "app=cigar&grep=a%7Cb");
        let host = asked(&[("source", "host:asterra"), ("lines", "200")]);
        assert_eq!(host.search().unwrap().to_query(), "host=asterra&lines=200");
        assert!(asked(&[("colour", "red")]).search().is_err());
    }

    #[test]
    fn a_page_goes_one_way() {
        assert!(matches!(asked(&[]).want(), Ok(Want::First)));
        assert!(matches!(asked(&[("before", "asterra:s=1")]).want(), Ok(Want::Before(_))));
        assert!(asked(&[("before", "asterra:s=1"), ("after", "asterra:s=1")]).want().is_err());
        assert!(asked(&[("before", "nonsense")]).want().is_err());
        assert!(key("asterra s=1f").is_ok());
        assert!(key("s=1f").is_err() && key("asterra --all").is_err());
    }
}
