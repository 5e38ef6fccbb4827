//! The output of one job as it comes. A stream that breaks is taken up again at the byte where it broke.

use std::{sync::Arc, time::Duration};

use hms_proto::{
    controller::v1::{GetRunRequest, Run},
    fault::{Fault, FaultKind},
    host::v1::{Job, JobOutput, JobOutputRequest, JobState},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep},
};
use tonic::Streaming;

use crate::{
    again::{is_final, pause},
    connect::{Connection, Pace},
    failure::{Failure, Result},
};

/// What a job has to say.
pub(super) enum Event {
    Output(Vec<u8>),
    /// So many bytes are not kept.
    Missing(u64),
    /// One of its steps changed.
    Changed(Box<Job>),
    Broken(Box<Fault>),
    Back,
    Ended(Box<Job>),
    Failed(Failure),
}

/// Follows one job.
pub(super) struct Follower {
    pub(super) link: Connection,
    pub(super) job: usize,
    /// What to ask for next: moves on with each piece.
    pub(super) request: JobOutputRequest,
    pub(super) tell: mpsc::Sender<(usize, Event)>,
    pub(super) turn: Arc<Semaphore>,
}

/// Why a stream is over.
enum Over {
    Ended,
    Broken(Fault),
    NobodyListens,
}

impl Follower {
    pub(super) async fn run(mut self) {
        let turn = self.turn.clone();
        let Ok(_turn) = turn.acquire().await else { return };
        let (mut attempt, mut broken) = (0, false);
        loop {
            let began = Instant::now();
            let (over, connected) = self.stream(&mut broken).await;
            let Over::Broken(fault) = over else { return };
            if is_final(&fault) {
                self.say(Event::Failed(fault.into())).await;
                return;
            }
            if !broken {
                broken = true;
                if !self.say(Event::Broken(Box::new(fault))).await {
                    return;
                }
            }
            attempt = if connected && began.elapsed() > Duration::from_secs(5) { 0 } else { attempt + 1 };
            sleep(pause(attempt)).await;
        }
    }

    async fn say(&self, event: Event) -> bool {
        self.tell.send((self.job, event)).await.is_ok()
    }

    async fn ended(&self, job: Job) -> Over {
        match self.say(Event::Ended(Box::new(job))).await {
            true => Over::Ended,
            false => Over::NobodyListens,
        }
    }

    /// One stream, until it is over; and whether it ever began.
    async fn stream(&mut self, broken: &mut bool) -> (Over, bool) {
        let mut stream = match open(&self.link, self.request.clone()).await {
            Ok(stream) => stream,
            Err(Failure::Fault(fault)) => return (Over::Broken(*fault), false),
            Err(_) => return (Over::NobodyListens, false),
        };
        let (mut began, mut last) = (false, None);
        loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    // Where nobody waits for the end, the last message tells how it is.
                    if let Some(job) = last.take() {
                        return (self.ended(job).await, true);
                    }
                    let what = format!("{} ended the output too early", self.link.whom());
                    return (Over::Broken(Fault::new(FaultKind::Unreachable, what)), began);
                }
                Err(status) => return (Over::Broken(self.link.explain(&status)), began),
            };
            began = true;
            if std::mem::take(broken) && !self.say(Event::Back).await {
                return (Over::NobodyListens, true);
            }
            last.clone_from(&message.job);
            for event in events(&mut self.request.offset, message) {
                let last = matches!(event, Event::Ended(_));
                match self.say(event).await {
                    false => return (Over::NobodyListens, true),
                    true if last => return (Over::Ended, true),
                    true => {}
                }
            }
        }
    }
}

/// What a message says. Bytes that we have already are left out, and bytes that are gone are told.
fn events(offset: &mut u64, message: JobOutput) -> Vec<Event> {
    let JobOutput { offset: at, mut data, job } = message;
    let mut events = Vec::new();
    if !data.is_empty() {
        if at > *offset {
            events.push(Event::Missing(at - *offset));
            *offset = at;
        }
        let known = usize::try_from(*offset - at).unwrap_or(usize::MAX).min(data.len());
        data.drain(..known);
        *offset += data.len() as u64;
        if !data.is_empty() {
            events.push(Event::Output(data));
        }
    }
    events.extend(job.map(|job| match is_over(job.state()) {
        true => Event::Ended(Box::new(job)),
        false => Event::Changed(Box::new(job)),
    }));
    events
}

/// Whether a job has ended, and is known to have.
pub(crate) fn is_over(state: JobState) -> bool {
    use JobState as S;
    matches!(state, S::Succeeded | S::Failed | S::Canceled | S::TimedOut | S::Lost | S::Skipped)
}

/// The controller and an agent tell a job's output in the same words.
async fn open(link: &Connection, request: JobOutputRequest) -> Result<Streaming<JobOutput>> {
    match link.is_direct() {
        true => link.answer(Pace::Look, link.host_jobs(None, Pace::Stream).output(request)).await,
        false => link.answer(Pace::Look, link.jobs(None, Pace::Stream).output(request)).await,
    }
}

/// Watches a run, as long as somebody is interested. What it misses is told by the jobs themselves.
pub(super) async fn watch(link: Connection, id: String, tell: watch::Sender<Option<Run>>) {
    let mut attempt = 0;
    loop {
        let mut jobs = link.jobs(None, Pace::Stream);
        let opened = link.answer(Pace::Look, jobs.watch(GetRunRequest { id: id.clone() })).await;
        if let Ok(mut stream) = opened {
            while let Ok(Some(run)) = stream.message().await {
                attempt = 0;
                let over = run.ended_usec != 0;
                if tell.send(Some(run)).is_err() || over {
                    return;
                }
            }
        }
        if tell.is_closed() {
            return;
        }
        attempt += 1;
        sleep(pause(attempt)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(offset: &mut u64, at: u64, data: &[u8]) -> String {
        let message = JobOutput { offset: at, data: data.to_vec(), job: None };
        let words = events(offset, message).into_iter().map(|event| match event {
            Event::Output(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Event::Missing(bytes) => format!("({bytes} missing)"),
            _ => String::new(),
        });
        words.collect()
    }

    #[test]
    fn bytes_are_taken_once_and_gaps_are_told() {
        let mut offset = 0;
        assert_eq!(told(&mut offset, 0, b"abc"), "abc");
        assert_eq!(told(&mut offset, 1, b"bcde"), "de");
        assert_eq!(told(&mut offset, 0, b"abc"), "");
        assert_eq!(told(&mut offset, 9, b"x"), "(4 missing)x");
        assert_eq!(offset, 10);
    }

    #[test]
    fn the_end_comes_after_the_last_bytes() {
        let told = |state: JobState| {
            let job = Some(Job { state: state.into(), ..Job::default() });
            events(&mut 0, JobOutput { offset: 0, data: b"x".to_vec(), job })
        };
        assert!(matches!(told(JobState::Failed).as_slice(), [Event::Output(_), Event::Ended(_)]));
        assert!(matches!(told(JobState::Running).as_slice(), [Event::Output(_), Event::Changed(_)]));
    }
}
