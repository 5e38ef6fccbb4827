//! The stream of an open run: how it is, and the output of one of its jobs, until both have ended.

use axum::http::HeaderMap;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hms_proto::{
    controller::v1::{GetRunRequest, Run},
    fault::Fault,
    host::v1::{JobOutput, JobOutputRequest},
};
use hms_web::{Event, parts::Terminal};
use tonic::Status;

use super::{
    events::{Events, Sent, last_event_id, refused},
    session::Session,
    view_jobs,
};
use crate::state::State;

/// Which run, and which job of it.
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) job: String,
    /// Where the page's output ends.
    pub(super) after: String,
}

impl Asked {
    /// Goes on where the stream before it ended, when a browser says so.
    pub(super) fn resumed(mut self, headers: &HeaderMap) -> Self {
        self.after = last_event_id(headers).unwrap_or(self.after);
        self
    }
}

enum Piece {
    Run(Run),
    Output(JobOutput),
}

pub(super) async fn stream(state: &State, session: &Session, headers: &HeaderMap, asked: Asked) -> Events {
    told(pieces(state, session, asked.resumed(headers)).await)
}

/// A stream; or one that says why there is none.
pub(super) fn told(pieces: Result<Events, Status>) -> Events {
    pieces.unwrap_or_else(|status| refused(&Fault::from_status(&status)))
}

async fn pieces(state: &State, session: &Session, asked: Asked) -> Result<Events, Status> {
    let caller = session.caller.clone();
    let mut jobs = state.gate.jobs(&caller);
    let mut terminal = Terminal::resume(&asked.after).unwrap_or_default();
    let runs = jobs.watch(GetRunRequest { id: asked.id }).await?.into_inner().map_ok(Piece::Run);
    let output = match asked.job.as_str() {
        "" => stream::empty().boxed(),
        job => {
            let request = JobOutputRequest { id: job.into(), offset: terminal.wants(), follow: true };
            jobs.output(request).await?.into_inner().map_ok(Piece::Output).boxed()
        }
    };
    let mut both = stream::select(runs, output);
    Ok(async_stream::stream! {
        let mut sent = Sent::default();
        let mut is_report = false;
        while let Some(piece) = both.next().await {
            match piece {
                Ok(Piece::Run(run)) => {
                    is_report = run.json;
                    let fragment = view_jobs::run_card(&run, &asked.job).fragment(super::view(&caller));
                    if sent.is_new(&fragment) {
                        yield Event::fragment(&fragment);
                    }
                }
                Ok(Piece::Output(piece)) => {
                    let rows = terminal.push(fresh(&piece, terminal.wants()));
                    if !rows.is_empty() {
                        yield Event::output(&rows, terminal.cursor());
                    }
                }
                Err(status) => {
                    let fault = Fault::from_status(&status);
                    yield Event::refused(&format!("{} {}", fault.message, fault.next()));
                    return;
                }
            }
        }
        if is_report {
            // What a check found is a part of the page that comes only now.
            yield Event::reshape();
        }
        yield Event::ended();
    }
    .boxed())
}

/// The part of a piece that is not there yet.
pub(super) fn fresh(piece: &JobOutput, wanted: u64) -> &[u8] {
    let known = usize::try_from(wanted.saturating_sub(piece.offset)).unwrap_or(usize::MAX);
    piece.data.get(known..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_already_is_not_taken_twice() {
        let piece = JobOutput { offset: 10, data: b"abcdef".to_vec(), job: None };
        assert_eq!(fresh(&piece, 10), b"abcdef");
        assert_eq!(fresh(&piece, 13), b"def");
        assert_eq!(fresh(&piece, 16), b"");
        assert_eq!(fresh(&piece, 99), b"");
    }
}
