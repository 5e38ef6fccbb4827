//! What a unit wrote last, as an addition to what is said about it.

use hms_journal::Step;
use hms_proto::names::UnitName;

use super::{
    entry::{self, Read},
    filter::Filter,
};

/// What a unit wrote last since then. Empty when that cannot be read: it is only an addition to another message.
pub(crate) async fn last_words(unit: &UnitName, since_usec: i64, lines: u32) -> Vec<String> {
    let since = u64::try_from(since_usec).unwrap_or(0);
    let filter = Filter::of_unit(unit, since);
    let read = tokio::task::spawn_blocking(move || {
        let Ok(mut journal) = filter.open() else { return Vec::new() };
        journal.seek_tail();
        let mut words = Vec::new();
        while words.len() < lines as usize
            && let Some(step) = journal.previous()
        {
            let Step::Entry(found) = step else { continue };
            if found.cursor.realtime < since {
                break;
            }
            if let Some(Read::Entry(entry)) = entry::read(&mut journal, &found, false) {
                words.push(entry.message);
            }
        }
        words.reverse();
        words
    });
    read.await.unwrap_or_default()
}
