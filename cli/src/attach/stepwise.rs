//! Being attached to one job that has steps.

use std::sync::Arc;

use hms_proto::host::v1::{Job, JobOutputRequest};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    End, Interrupts, WAITING,
    follow::{self, Event, Follower},
    steps::Steps,
    trouble::{self, Trouble},
    view::Form,
};
use crate::{
    connect::Connection,
    failure::{Failure, Result},
    output::Progress,
    session::Session,
};

/// What one is attached to, and how.
pub(crate) struct Stepwise<'a> {
    pub(crate) link: &'a Connection,
    /// As it is now.
    pub(crate) job: &'a Job,
    /// What is under way, in words: `deploying cigar on asterra`.
    pub(crate) doing: String,
    /// Control characters as they are.
    pub(crate) raw: bool,
    /// Whether steps and output are shown.
    pub(crate) show: bool,
}

/// Attaches, and shows steps and output as they come.
pub(crate) async fn attach_stepwise(
    session: &Session,
    target: Stepwise<'_>,
    mut interrupts: Interrupts,
) -> Result<End> {
    let (tell, mut told) = mpsc::channel(WAITING);
    let request = JobOutputRequest { id: target.job.id.clone(), offset: 0, follow: true };
    let (link, turn) = (target.link.clone(), Arc::new(Semaphore::new(1)));
    tokio::spawn(Follower { link, job: 0, request, tell, turn }.run());
    let (tell, mut news) = watch::channel(None);
    if !target.link.is_direct() {
        tokio::spawn(follow::watch(target.link.clone(), target.job.id.clone(), tell));
    }
    let mut attached = Attached::new(session, &target);
    loop {
        tokio::select! {
            () = interrupts.asked() => {
                session.out.flush()?;
                return Ok(End::Detached);
            }
            event = told.recv() => match event {
                Some((_, event)) => if let Some(end) = attached.take(event)? {
                    session.out.flush()?;
                    return Ok(End::Ended(vec![end]));
                },
                None => break,
            },
            Ok(()) = news.changed() => {
                let notes = attached.trouble.news(news.borrow_and_update().as_ref());
                notes.iter().for_each(|note| attached.note(note));
            }
        }
        if told.is_empty() {
            session.out.flush()?;
        }
    }
    Ok(End::Ended(vec![Err(Failure::local("its output ended without its end"))]))
}

struct Attached<'a> {
    session: &'a Session,
    doing: String,
    show: bool,
    steps: Steps,
    progress: Progress,
    trouble: Trouble,
}

impl<'a> Attached<'a> {
    fn new(session: &'a Session, target: &Stepwise<'_>) -> Self {
        let form = Form { screen: session.out.is_tty() && !target.raw, colour: session.out.colour };
        let doing = target.doing.clone();
        let progress = session.out.progress(doing.clone());
        let (steps, trouble) = (Steps::new(target.job, form), Trouble::new(target.link));
        Self { session, doing, show: target.show, steps, progress, trouble }
    }

    /// What came; its end, when that came.
    fn take(&mut self, event: Event) -> Result<Option<Result<Job>>> {
        match event {
            Event::Output(bytes) => {
                let text = self.steps.output(&bytes);
                self.write(&text)?;
            }
            Event::Changed(job) => {
                let text = self.steps.change(&job);
                self.write(&text)?;
                let now = self.steps.now().map(|now| format!("{}: {now}", self.doing));
                self.progress.now(now.unwrap_or_else(|| self.doing.clone()));
            }
            Event::Missing(bytes) => {
                self.steps.skip(bytes);
                self.note(&trouble::missing(bytes));
            }
            Event::Broken(fault) => {
                let note = self.trouble.broken(0, &fault);
                self.note(&note);
            }
            Event::Back => {
                let note = self.trouble.back(0);
                self.note(&note);
            }
            Event::Ended(job) => {
                let text = self.steps.end(&job);
                self.write(&text)?;
                if job.output_truncated {
                    self.note("-- it wrote more than is kept: the rest was dropped");
                }
                return Ok(Some(Ok(*job)));
            }
            Event::Failed(failure) => return Ok(Some(Err(failure))),
        }
        Ok(None)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        if !self.show || bytes.is_empty() {
            return Ok(());
        }
        self.progress.aside(|| self.session.out.bytes(bytes).and_then(|()| self.session.out.flush()))
    }

    fn note(&self, text: &str) {
        self.progress.aside(|| self.session.out.note(text));
    }
}
