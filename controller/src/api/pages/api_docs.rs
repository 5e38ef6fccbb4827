//! `/settings/api`: what REST offers, from the document that it serves.

use std::sync::OnceLock;

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use hms_web::{
    frame::Place,
    pages::ApiDocsPage,
    parts::{ApiGroup, api_groups},
};
use serde::Deserialize;

use super::{Problem, frame, page, session::Session};
use crate::{api::rest, state::State};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    group: String,
    q: String,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let mut frame = frame(&state, &session.caller, Place::Settings, "API").await;
    frame.events = "/events?view=account".into();
    Ok(page(&ApiDocsPage::new(frame, groups(), &asked.group, &asked.q, state.reach.origin())))
}

/// The document does not change while the controller runs.
fn groups() -> &'static [ApiGroup] {
    static GROUPS: OnceLock<Vec<ApiGroup>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let (_, document) = rest::parts();
        api_groups(&serde_json::to_value(&document).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is served is what is shown.
    #[test]
    fn every_operation_of_the_document_is_on_the_page() {
        let (_, document) = rest::parts();
        let document = serde_json::to_value(&document).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations: usize = paths
            .values()
            .map(|item| {
                let verbs = item.as_object().unwrap().keys();
                verbs
                    .filter(|verb| !["parameters", "summary", "description"].contains(&verb.as_str()))
                    .count()
            })
            .sum();
        let shown: usize = groups().iter().map(|group| group.operations.len()).sum();
        assert_eq!(shown, operations);
        assert!(shown > 40 && groups().iter().all(|group| group.name != "other"), "each has a tag");
    }
}
