//! `/settings/api`: what REST offers, from the document that REST serves.

use crate::frame::Place;
use crate::parts::{ApiGroup, ApiOperation, api_groups};
use crate::{Frame, Template};

/// The API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/api_docs.html")]
pub struct ApiDocsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// All groups, for the list of them: name and how many operations.
    pub index: Vec<(String, usize)>,
    /// The group that is shown; empty: the list of all, or what was found.
    pub group: String,
    /// What is looked for.
    pub q: String,
    /// The groups that are shown, with what is shown of them.
    pub groups: Vec<ApiGroup>,
    /// Where the installation is: `https://hms.example:9443`.
    pub origin: String,
}

impl ApiDocsPage {
    /// Shows one group, or what fits the words.
    pub fn new(frame: Frame, all: &[ApiGroup], group: &str, q: &str, origin: String) -> Self {
        let index = all.iter().map(|group| (group.name.clone(), group.operations.len())).collect();
        let fits = |one: &&ApiGroup| group.is_empty() || one.name == group;
        let groups = all.iter().filter(fits).map(|one| ApiGroup {
            operations: one.operations.iter().filter(|operation| operation.fits(q)).cloned().collect(),
            ..one.clone()
        });
        let groups = groups.filter(|group| !group.operations.is_empty()).collect();
        Self { frame, index, group: group.into(), q: q.into(), groups, origin }
    }

    /// Whether operations are shown with all that is known of them.
    pub fn in_full(&self) -> bool {
        !self.group.is_empty() && !self.groups.is_empty()
    }

    /// The page of a group.
    pub fn href(&self, group: &str) -> String {
        format!("/settings/api?group={}", crate::text::encode(group))
    }

    /// How many operations are shown.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.operations.len()).sum()
    }

    /// How an operation is tried in a terminal.
    pub fn curl(&self, operation: &ApiOperation) -> String {
        operation.curl(&self.origin)
    }

    fn of(group: &str, q: &str) -> Self {
        let document = serde_json::from_str(include_str!("api_sample.json")).expect("is a document");
        let frame = Frame::sample(Place::Settings, "API");
        Self::new(frame, &api_groups(&document), group, q, "https://hms.example:9443".into())
    }

    /// The list.
    pub fn sample() -> Self {
        Self::of("", "")
    }

    /// One group.
    pub fn sample_group() -> Self {
        Self::of("apps", "")
    }

    /// Nothing was found.
    pub fn sample_nothing() -> Self {
        Self::of("", "teapot")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_operations_by_path_and_summary() {
        assert_eq!(ApiDocsPage::of("", "secrets reveal").count(), 0);
        assert_eq!(ApiDocsPage::of("", "restart").count(), 1);
        assert_eq!(ApiDocsPage::of("apps", "").groups.len(), 1);
        assert!(ApiDocsPage::of("nothing", "").groups.is_empty());
    }
}
