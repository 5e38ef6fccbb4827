//! What travels to an open page: fragments of HTML and a few signals, as server-sent events.

use crate::Template;
use crate::parts::{LogFeed, OutputRow};
use serde::Serialize;

/// How a fragment is put into the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Becomes the element with this id, keeping focus and scroll where it can.
    #[default]
    Morph,
    /// Goes behind the last child of the element with this id.
    Append,
    /// Goes before the first child of the element with this id.
    Prepend,
    /// The element with this id goes away.
    Remove,
}

/// A piece of HTML and the element that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fragment {
    /// Id of the element in the page.
    pub id: String,
    /// Escaped HTML, made by a template.
    pub html: String,
    /// How it is put there.
    pub mode: Mode,
    /// With append and prepend: how many children stay; those at the other end go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl Fragment {
    /// Replaces the element `id`.
    pub fn morph(id: impl Into<String>, template: &impl Template) -> Self {
        Self { id: id.into(), html: html(template), mode: Mode::Morph, max: None }
    }

    /// Takes the element `id` away.
    pub fn remove(id: impl Into<String>) -> Self {
        Self { id: id.into(), html: String::new(), mode: Mode::Remove, max: None }
    }

    /// The data of the event.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always become JSON")
    }
}

/// Renders a template of this crate.
pub fn html(template: &impl Template) -> String {
    template.render().expect("the templates only write into a String, which does not fail")
}

/// One server-sent event, for the HTTP layer to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `fragment`, `log`, `lines`, `place`, `reshape`, `session`, `ended`, `refused` or `beat`.
    pub name: &'static str,
    /// Where to go on from after a lost connection: a cursor of a log or of output.
    pub id: Option<String>,
    /// JSON on one line.
    pub data: String,
}

impl Event {
    /// Puts a fragment into the page.
    pub fn fragment(fragment: &Fragment) -> Self {
        Self { name: "fragment", id: None, data: fragment.to_json() }
    }

    /// Rows of a log. The place after them is where the stream goes on.
    pub fn lines(feed: &LogFeed) -> Self {
        Self { name: "lines", id: Some(feed.after.clone()), data: feed.to_json() }
    }

    /// Nothing new, but the place from which the stream goes on has moved.
    pub fn place(place: impl Into<String>) -> Self {
        Self { name: "place", id: Some(place.into()), data: "{}".to_owned() }
    }

    /// The page has another shape now (an app or a host came or went): it fetches itself again and takes over what changed.
    /// A fragment for an id that the page does not have does the same.
    pub fn reshape() -> Self {
        Self { name: "reshape", id: None, data: "{}".to_owned() }
    }

    /// The session has ended: the page goes to the login.
    pub fn session_ended() -> Self {
        Self { name: "session", id: None, data: "{}".to_owned() }
    }

    /// Nothing more will come: the page lets the stream go.
    pub fn ended() -> Self {
        Self { name: "ended", id: None, data: "{}".to_owned() }
    }

    /// Puts rows of output into the page. `cursor` is where the terminal is after them.
    pub fn output(rows: &[OutputRow], cursor: impl Into<String>) -> Self {
        let data = crate::parts::output_rows_fragment(rows).to_json();
        Self { name: "log", id: Some(cursor.into()), data }
    }

    /// The stream cannot be served now; `message` is shown, and the page tries again later. Sent in a 200, because a
    /// browser tells its page nothing about a refused stream.
    pub fn refused(message: &str) -> Self {
        Self { name: "refused", id: None, data: serde_json::json!({ "message": message }).to_string() }
    }

    /// Sent every [`BEAT_SECONDS`], so that the page can tell a quiet stream from a dead one.
    pub fn beat(now_us: i64) -> Self {
        Self { name: "beat", id: None, data: format!("{{\"now\":{now_us}}}") }
    }

    /// The event as bytes of `text/event-stream`.
    pub fn to_wire(&self) -> String {
        let id = self.id.as_deref().map(|id| format!("id: {id}\n")).unwrap_or_default();
        format!("event: {}\n{id}data: {}\n\n", self.name, self.data)
    }
}

/// The page calls itself stale when it heard nothing for two and a half of these.
pub const BEAT_SECONDS: u64 = 10;
