//! The stream of a page of logs: rows as they are written, and what is changed meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::{Stream, StreamExt as _};
use hms_proto::{fault::Fault, names::HostName, search::Search};
use hms_web::{
    Event,
    parts::{LogFeed, LogItem},
};

use super::{Asked, places, shown};
use crate::{
    api::pages::{
        events::{Events, last_event_id, next, refused},
        session::Session,
    },
    auth::Caller,
    fleet::{Change, now_usec},
    logs::{self, Mark, Told},
    state::State,
};

/// Changes that are not older are looked at: a page that lost its stream for so long misses none. Microseconds.
const RECENT: i64 = 3_600 * 1_000_000;
/// Between two looks, however much happens.
const APART: Duration = Duration::from_secs(1);

/// Rows as they are written, from the place on that the page, or its lost stream, had.
pub(in crate::api::pages) fn events(
    state: &State,
    session: &Session,
    headers: &HeaderMap,
    pairs: Vec<(String, String)>,
) -> Events {
    begin(state, session, headers, pairs).unwrap_or_else(|fault| refused(&fault))
}

/// What there is to tell.
enum News {
    OfLogs(Told),
    Marks(Vec<Mark>),
}

fn begin(
    state: &State,
    session: &Session,
    headers: &HeaderMap,
    pairs: Vec<(String, String)>,
) -> Result<Events, Fault> {
    let asked = Asked::new(pairs);
    let search = asked.search()?;
    let from = places(&last_event_id(headers).unwrap_or(asked.after))?;
    let (hosts, told) = logs::follow(state, &session.caller, &search, &from)?;
    let marks = marks(state.clone(), session.caller.clone(), search).map(News::Marks).boxed();
    let mut last = from.to_string();
    let news = futures_util::stream::select(told.map(News::OfLogs).boxed(), marks);
    Ok(news.map(move |news| event(&hosts, news, &mut last)).boxed())
}

fn event(hosts: &[HostName], news: News, last: &mut String) -> Event {
    let (items, after): (Vec<LogItem>, _) = match news {
        News::OfLogs(Told::Rows(rows, places)) => {
            (rows.into_iter().map(|row| shown::item(hosts, row)).collect(), places.to_string())
        }
        News::OfLogs(Told::Moved(places)) => {
            *last = places.to_string();
            return Event::place(last.clone());
        }
        News::OfLogs(Told::Away(away)) => (vec![shown::away(&away)], last.clone()),
        News::OfLogs(Told::Back(host)) => (vec![shown::back(&host)], last.clone()),
        News::Marks(marks) => {
            (marks.into_iter().map(|mark| LogItem::Mark(shown::mark(mark))).collect(), last.clone())
        }
    };
    last.clone_from(&after);
    Event::lines(&LogFeed { items, after, ..LogFeed::default() })
}

/// What was changed lately, and then each change as it begins and as it ends.
fn marks(state: State, caller: Caller, search: Search) -> impl Stream<Item = Vec<Mark>> {
    async_stream::stream! {
        let mut changes = state.fleet.changes();
        let mut known = Known::default();
        loop {
            let now = now_usec();
            let recent = logs::marks(&state, &caller, &search, now - RECENT, now).await;
            let fresh = known.fresh(recent);
            if !fresh.is_empty() {
                yield fresh;
            }
            tokio::time::sleep(APART).await;
            loop {
                match next(&mut changes).await {
                    None => return,
                    Some(all) if all.contains(&Change::Activity) => break,
                    Some(_) => {}
                }
            }
        }
    }
}

/// How the changes that were told had come out.
#[derive(Default)]
struct Known(HashMap<i64, String>);

impl Known {
    /// Those that were not told, or had not come out like this. What is no longer recent is forgotten.
    fn fresh(&mut self, marks: Vec<Mark>) -> Vec<Mark> {
        let outcomes = marks.iter().map(|mark| (mark.seq, mark.record.outcome.clone())).collect();
        let before = std::mem::replace(&mut self.0, outcomes);
        marks.into_iter().filter(|mark| before.get(&mark.seq) != Some(&mark.record.outcome)).collect()
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::AuditRecord;

    use super::*;

    fn mark(seq: i64, outcome: &str) -> Mark {
        let record = AuditRecord { outcome: outcome.into(), ..AuditRecord::default() };
        Mark { seq, time_usec: seq, record }
    }

    #[test]
    fn a_change_is_told_when_it_begins_and_when_it_ends() {
        let mut known = Known::default();
        let (begun, ended) = (mark(1, ""), mark(1, "ok"));
        assert_eq!(known.fresh(vec![begun.clone()]), vec![begun.clone()]);
        assert!(known.fresh(vec![begun]).is_empty());
        assert_eq!(known.fresh(vec![ended.clone(), mark(2, "")]), [ended.clone(), mark(2, "")]);
        assert!(known.fresh(vec![ended]).is_empty());
    }

    /// The place of the rows is where a lost stream goes on: a change must not move it.
    #[test]
    fn a_change_leaves_the_place_where_it_is() {
        let mut last = "asterra:s=1".to_owned();
        let wire = event(&[], News::Marks(vec![mark(7, "ok")]), &mut last).to_wire();
        assert!(wire.contains("id: asterra:s=1\n") && wire.contains(r#""m":7"#), "{wire}");
        assert_eq!(last, "asterra:s=1");
    }
}
