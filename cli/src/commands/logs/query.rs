//! Entries of the past: of one host as they come, of several merged by time.

use std::collections::VecDeque;

use futures_util::future::join_all;
use hms_proto::host::v1::{LogChunk, LogEntry};
use tonic::Streaming;

use super::{Form, Source, gap_text};
use crate::{
    connect::{Connection, Pace},
    failure::{Failure, Result, exit_of_many, render},
    session::Session,
};

/// The answer of one host.
struct Reader {
    stream: Option<Streaming<LogChunk>>,
    ready: VecDeque<LogEntry>,
    ended: Option<Failure>,
}

impl Reader {
    async fn open(link: &Connection, source: &Source) -> Self {
        let mut logs = link.logs(source.host.as_ref(), Pace::Stream);
        match link.answer(Pace::Look, logs.query(source.query.clone())).await {
            Ok(stream) => Self { stream: Some(stream), ready: VecDeque::new(), ended: None },
            Err(failure) => Self { stream: None, ready: VecDeque::new(), ended: Some(failure) },
        }
    }

    /// Makes sure that the next entry is there, if there is one.
    async fn fill(&mut self, session: &Session, link: &Connection, label: &str) -> Result<()> {
        while self.ready.is_empty() {
            let Some(stream) = &mut self.stream else { break };
            // What is there already is shown before waiting for more.
            session.out.flush()?;
            match stream.message().await {
                Ok(Some(chunk)) => {
                    if let Some(gap) = &chunk.gap {
                        session.out.say(&gap_text(label, gap));
                    }
                    self.ready.extend(chunk.entries);
                }
                Ok(None) => self.stream = None,
                Err(status) => {
                    self.ended = Some(link.explain(&status).into());
                    self.stream = None;
                }
            }
        }
        Ok(())
    }
}

pub(super) async fn run(
    session: &Session,
    link: &Connection,
    sources: Vec<Source>,
    form: &Form,
) -> Result<()> {
    let mut readers = join_all(sources.iter().map(|source| Reader::open(link, source))).await;
    let several = sources.len() > 1;
    // Each host gives its newest; of all of them only the newest are wanted, and which those are shows at the end.
    let newest = sources.first().map_or(0, |s| s.query.limit) as usize;
    let mut kept = VecDeque::new();
    loop {
        for (reader, source) in readers.iter_mut().zip(&sources) {
            reader.fill(session, link, &source.label).await?;
        }
        let heads = readers.iter().enumerate().filter_map(|(i, r)| Some((r.ready.front()?.time_usec, i)));
        let Some((_, next)) = heads.min() else { break };
        let Some(entry) = readers[next].ready.pop_front() else { break };
        if several && newest > 0 {
            if kept.len() == newest {
                kept.pop_front();
            }
            kept.push_back((next, entry));
        } else {
            session.out.write(&form.text(next, &entry)?)?;
        }
    }
    for (source, entry) in &kept {
        session.out.write(&form.text(*source, entry)?)?;
    }
    finish(session, &sources, readers)
}

/// The outcome of all hosts together.
fn finish(session: &Session, sources: &[Source], readers: Vec<Reader>) -> Result<()> {
    let mut codes = Vec::new();
    for (reader, source) in readers.into_iter().zip(sources) {
        match reader.ended {
            None => codes.push(0),
            Some(failure) if sources.len() == 1 => return Err(failure),
            Some(failure) => {
                codes.push(failure.exit_code());
                if let Failure::Fault(fault) = &failure {
                    session.out.say(&format!("{}: {}", source.label, render(fault)));
                }
            }
        }
    }
    match exit_of_many(&codes) {
        0 => Ok(()),
        code => Err(Failure::Reported(code)),
    }
}
