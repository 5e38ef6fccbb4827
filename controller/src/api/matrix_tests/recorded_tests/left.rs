//! What a request left in the audit: the one record of it, or what is wrong with that.

use hms_proto::{access, controller::v1::AuditRow};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::{Person, Source};

/// Where the requests come from.
pub(super) const FROM: [u8; 4] = [203, 0, 113, 7];

/// What a request came to: how it was answered, and the rows that the audit has since.
pub(super) struct Left {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) rows: Vec<AuditRow>,
}

/// A record as it should be, of what this person asked for this way.
pub(super) fn record<'a>(left: &'a Left, by: &Person<'_>, source: Source) -> Result<&'a AuditRow, String> {
    let [intent, outcome] = left.rows.as_slice() else {
        return Err(format!("{} rows and not two: {:?}", left.rows.len(), told(&left.rows)));
    };
    if !is_of_a_door(intent) && access::rule(&intent.method).is_none_or(|rule| !rule.mutates) {
        return Err(format!("{} is nothing that changes anything", intent.method));
    }
    let named = left.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let is_theirs = intent.actor == by.name && intent.user_id == Some(by.id.to_string());
    let wrong = match () {
        () if (intent.phase.as_str(), outcome.phase.as_str()) != ("intent", "outcome") => "the phases",
        () if intent.request_id != outcome.request_id => "two calls",
        // At a door somebody is who they say, whatever they have beside it.
        () if named.is_some_and(|id| id != intent.request_id) && !is_of_a_door(intent) => "the request's id",
        () if !is_theirs && !is_of_a_door(intent) => "who",
        () if intent.source != source.word() => "the way",
        () if intent.address != std::net::IpAddr::from(FROM).to_string() => "from where",
        () if outcome.outcome.is_none() || outcome.took_ms.is_none() => "the outcome",
        () if source == Source::Rest && left.status.is_success() != (ended(left) == "ok") => {
            "the outcome is not that of the answer"
        }
        () => return Ok(intent),
    };
    Err(format!("{wrong}, answered with {}: {:?}", left.status, told(&left.rows)))
}

/// Whether this person was refused, as they should be who may not: with a record of the same call.
pub(super) fn refused(
    left: &Left,
    by: &Person<'_>,
    (source, done, may): (Source, &AuditRow, bool),
    by_admin: &Left,
    params: &str,
) -> Result<bool, String> {
    let intent = record(left, by, source)?;
    let is_denied = ended(left) == "denied";
    // A proof that is wrong is refused to everybody.
    let is_as_it_should = is_denied != may || (is_denied && ended(by_admin) == "denied");
    match () {
        () if intent.method != done.method => Err(format!("{} and not {}", intent.method, done.method)),
        () if !is_as_it_should => Err(format!("it ended otherwise: {:?}", told(&left.rows))),
        () if !may && intent.params != params && !has_ids(params) => {
            Err(format!("it was asked for {}, and not for {params}", intent.params))
        }
        () => Ok(is_denied && !may),
    }
}

/// Logins and invitations, which come before anybody is known.
pub(super) fn is_of_a_door(intent: &AuditRow) -> bool {
    intent.method.starts_with("/hms.controller.v1.EnrollmentService/")
}

fn ended(left: &Left) -> &str {
    left.rows.last().and_then(|row| row.outcome.as_deref()).unwrap_or_default()
}

pub(super) fn told(rows: &[AuditRow]) -> Vec<String> {
    let told = |row: &AuditRow| {
        let AuditRow { phase, actor, source, method, target, detail, .. } = row;
        format!("{phase} {actor} {source} {method} {target} {:?} {detail}", row.outcome)
    };
    rows.iter().map(told).collect()
}

/// One line for people, the same in each run.
pub(super) fn line(what: &str, left: &Left, intent: &AuditRow, denied: &[&str]) -> String {
    let steady = |text: &str| if Uuid::try_parse(text).is_ok() { "<id>".to_owned() } else { text.to_owned() };
    let method = intent.method.rsplit('.').next().unwrap_or_default();
    let refused = if denied.is_empty() { "nobody".into() } else { denied.join(", ") };
    format!("{what:<58} {method:<34} {:<20} {:<8} refused: {refused}", steady(&intent.target), ended(left))
}

/// Ids that are made for each request differ.
fn has_ids(params: &str) -> bool {
    let params: Value = serde_json::from_str(params).unwrap_or_default();
    params.get("id").is_some()
}
