//! What all files begin with.

use hms_proto::names::AppKey;

/// Says whose the file is. It is the same each time, so that files can be compared.
pub(super) fn head(key: &AppKey) -> String {
    format!("Written by HMS for the app {key}. What is changed here is told as drift.")
}
