//! The fields of one log entry, each of which narrows the search or leaves things out.

use crate::{Fragment, Template, View};

/// One field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogField {
    /// `status`, `_SYSTEMD_UNIT`.
    pub name: String,
    /// Raw; what is not text is made visible here.
    pub value: String,
    /// The search for those that have the same; empty: there is none.
    pub only_href: String,
    /// The search for those that have another one.
    pub except_href: String,
}

impl LogField {
    /// The value as it can be shown.
    pub fn shown(&self) -> String {
        crate::text::plain(&self.value)
    }
}

/// One entry, with all that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "parts/log_details.html")]
pub struct LogDetails {
    /// In order.
    pub fields: Vec<LogField>,
    /// What surrounds it.
    pub context_href: String,
    /// The lines of the same request everywhere; empty: it has no id.
    pub request_href: String,
    /// Everything of the five minutes before it, and who changed what; empty: no more than that.
    pub before_href: String,
    /// Why the fields cannot be had; empty: they are here.
    pub problem: String,
}

impl LogDetails {
    /// To be put under its row.
    pub fn fragment(&self, _view: View) -> Fragment {
        Fragment::morph("log-details", self)
    }

    /// Of a line of nginx.
    pub fn sample() -> Self {
        let field = |name: &str, value: &str| LogField {
            name: name.into(),
            value: value.into(),
            only_href: format!("/logs?where={name}%3D{value}"),
            except_href: format!("/logs?where={name}%21%3D{value}"),
        };
        Self {
            fields: vec![
                field("message", "GET /orders <b>503</b>"),
                field("status", "503"),
                field("client", "10.213.0.1"),
                field("request_id", "5f1c0a"),
            ],
            context_href: "/logs?host=asterra&around=asterra%20s%3D1".into(),
            request_href: "/logs?where=request_id%3D5f1c0a".into(),
            before_href: "/logs?until=now".into(),
            problem: String::new(),
        }
    }
}
