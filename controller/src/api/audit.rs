//! Records of the audit as a file, for REST and the pages: a line of JSON each, or a table that is text to a spreadsheet.

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use futures_util::Stream;
use hms_proto::controller::v1::{AuditRecord, ListAuditRequest, ListAuditResponse};
use http::{HeaderMap, header};
use tonic::Status;

use crate::{auth::Caller, state::State};

/// Records that are held at a time: with all they may hold, some MiB.
const AT_ONCE: u32 = 50;
const COLUMNS: &str = "seq,time,actor,source,address,method,host,target,params,request_id,outcome,detail,\
    took_ms,before,after\r\n";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Ndjson,
    Csv,
}

impl Form {
    /// The one that is asked for first; NDJSON, where none is named.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut kinds = values.flat_map(|value| value.split(',')).filter_map(|one| {
            match one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "text/csv" => Some(Self::Csv),
                "application/x-ndjson" => Some(Self::Ndjson),
                _ => None,
            }
        });
        kinds.next().unwrap_or(Self::Ndjson)
    }

    fn head(self) -> [(header::HeaderName, &'static str); 4] {
        let (kind, file) = match self {
            Self::Ndjson => ("application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
            Self::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\""),
        };
        [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_DISPOSITION, file),
            (header::CACHE_CONTROL, "no-store"),
            (header::VARY, "Accept"),
        ]
    }

    fn first_line(self) -> &'static str {
        match self {
            Self::Ndjson => "",
            Self::Csv => COLUMNS,
        }
    }

    fn line(self, record: &AuditRecord) -> String {
        match self {
            Self::Ndjson => serde_json::to_string(record).unwrap_or_default() + "\n",
            Self::Csv => row(record),
        }
    }
}

/// All records that fit, newest first; read while they are sent, so that their number does not matter.
pub(super) async fn file(
    state: &State,
    caller: &Caller,
    request: ListAuditRequest,
    form: Form,
) -> Result<Response, Status> {
    let request = ListAuditRequest { limit: AT_ONCE, ..request };
    // What is refused is refused before the file begins.
    let first = state.gate.audit(caller).list(request.clone()).await?.into_inner();
    let parts = parts(state.clone(), caller.clone(), request, first, form);
    Ok((form.head(), Body::from_stream(parts)).into_response())
}

fn parts(
    state: State,
    caller: Caller,
    mut request: ListAuditRequest,
    mut part: ListAuditResponse,
    form: Form,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    async_stream::try_stream! {
        yield Bytes::from_static(form.first_line().as_bytes());
        loop {
            yield Bytes::from(part.records.iter().map(|record| form.line(record)).collect::<String>());
            if part.next_before_seq == 0 {
                return;
            }
            request.before_seq = part.next_before_seq;
            part = state.gate.audit(&caller).list(request.clone()).await?.into_inner();
        }
    }
}

/// RFC 4180.
fn row(record: &AuditRecord) -> String {
    let AuditRecord { actor, source, address, method, host, target, .. } = record;
    let AuditRecord { params, request_id, outcome, detail, before, after, .. } = record;
    let (seq, took) = (record.seq.to_string(), record.took_ms.to_string());
    let time = hms_web::text::iso(record.time_usec);
    let cells = [
        &seq, &time, actor, source, address, method, host, target, params, request_id, outcome, detail,
        &took, before, after,
    ];
    cells.map(|text| cell(text)).join(",") + "\r\n"
}

/// A cell that no spreadsheet takes for a formula: what begins like one gets an apostrophe before it.
fn cell(text: &str) -> String {
    let begins =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    let is_formula = text.starts_with(begins) || text.trim_start().starts_with(begins);
    let harmless = if is_formula { "'" } else { "" };
    format!("\"{harmless}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Security case 26: who makes a record chooses what is in it, and somebody else opens the table.
    #[test]
    fn a_table_has_no_formulas_and_no_forged_rows() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u{a0}=1", "＝1"] {
            assert_eq!(cell(formula), format!("\"'{formula}\""));
        }
        assert_eq!(cell("a\",\"b\r\n1,2"), "\"a\"\",\"\"b\r\n1,2\"");
        assert_eq!(cell("puma-cigar.service"), "\"puma-cigar.service\"");
        assert_eq!(cell(""), "\"\"");
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let record = AuditRecord {
            seq: 7,
            time_usec: 1_795_545_600_000_000,
            target: "=HYPERLINK(\"x\")".into(),
            ..AuditRecord::default()
        };
        let row = row(&record);
        assert!(row.starts_with("\"7\",\"2026-11-24T18:40:00.000Z\",\"\",") && row.ends_with("\"\"\r\n"));
        assert!(row.contains(",\"'=HYPERLINK(\"\"x\"\")\","), "{row}");
        assert_eq!(row.matches(',').count(), COLUMNS.matches(',').count());
    }

    #[test]
    fn the_form_that_is_named_first_is_taken() {
        for (accept, form) in [
            ("*/*", Form::Ndjson),
            ("text/csv", Form::Csv),
            ("Text/CSV; header=present, */*", Form::Csv),
            ("application/x-ndjson, text/csv", Form::Ndjson),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Form::accepted(&headers), form, "{accept}");
        }
        assert_eq!(Form::accepted(&HeaderMap::new()), Form::Ndjson);
    }
}
