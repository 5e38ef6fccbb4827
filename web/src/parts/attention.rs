//! The strip on top of the dashboard: what needs somebody. Nothing is shown when all is well.

use crate::frame::Tone;
use crate::{Fragment, Template};

/// One thing that needs attention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttentionItem {
    /// How bad it is: `Warn` or `Bad`.
    pub tone: Tone,
    /// What: `cigar failed`, `borealis is unreachable`.
    pub title: String,
    /// Why, since when; may be empty.
    pub detail: String,
    /// Where to go; may be empty.
    pub href: String,
    /// What is there: `Logs`.
    pub link: String,
    /// Since when, in microseconds since the epoch.
    pub since_us: Option<i64>,
}

/// All of them, worst first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attention {
    /// What needs attention.
    pub items: Vec<AttentionItem>,
}

#[derive(Template)]
#[template(path = "parts/attention.html")]
struct AttentionPart<'a> {
    attention: &'a Attention,
    view: crate::View,
}

impl Attention {
    /// The strip as it replaces the one in the page (`attention`).
    pub fn fragment(&self, view: crate::View) -> Fragment {
        Fragment::morph("attention", &AttentionPart { attention: self, view })
    }

    /// One of each kind.
    pub fn sample() -> Self {
        let now = crate::frame::SAMPLE_NOW_US;
        let items = vec![
            AttentionItem {
                tone: Tone::Bad,
                title: "tobacco failed".into(),
                detail: "exit status 1".into(),
                href: "/logs?source=app:tobacco".into(),
                link: "Logs".into(),
                since_us: Some(now - 95 * 1_000_000),
            },
            AttentionItem {
                tone: Tone::Bad,
                title: "borealis is unreachable".into(),
                detail: "connection refused; apps there may well be running".into(),
                href: "/hosts#host-row-borealis".into(),
                link: "Host".into(),
                since_us: Some(now - 130 * 1_000_000),
            },
            AttentionItem {
                tone: Tone::Warn,
                title: "Disk / on asterra is 91 % full".into(),
                detail: "4.4 GiB left".into(),
                ..AttentionItem::default()
            },
            AttentionItem {
                tone: Tone::Warn,
                title: "cigar.remoteds.us on asterra".into(),
                detail: "the certificate ends in 9 days".into(),
                href: "/runs/0193a5c4-7be1-7cc2-9d6e-000000000006?job=0193a5c4-7be1-7cc2-9d6e-000000000101"
                    .into(),
                link: "check_certificates".into(),
                since_us: Some(now - 4_000 * 1_000_000),
            },
        ];
        Self { items }
    }
}
