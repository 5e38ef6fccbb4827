//! Being attached to jobs: their outputs as they come, of one host or of many, until they end or one lets go.

mod follow;
mod interrupt;
mod lines;
mod screen;
mod steps;
mod stepwise;
mod trouble;
mod view;

use std::sync::Arc;

use hms_proto::{
    controller::v1::Run,
    host::v1::{Job, JobOutputRequest},
};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{
    connect::Connection,
    failure::{Failure, Result},
    output::{Progress, escape::inline},
    session::Session,
};
pub(crate) use follow::is_over;
use follow::{Event, Follower};
pub(crate) use interrupt::Interrupts;
pub(crate) use steps::{sentence as step_sentence, widest as widest_step};
pub(crate) use stepwise::{Stepwise, attach_stepwise};
use trouble::Trouble;
use view::{Form, View};

/// Pieces that wait to be shown. When it is full, the hosts wait: gRPC holds them back.
const WAITING: usize = 32;
/// Outputs that are read at a time: the controller lets a connection have 128 streams, and others want some.
const AT_ONCE: usize = 64;

/// What one is attached to.
pub(crate) struct Target<'a> {
    pub(crate) link: &'a Connection,
    pub(crate) jobs: &'a [Job],
    /// The run that they belong to, which is watched for hosts that cannot be reached.
    pub(crate) run: Option<&'a str>,
}

/// How one wants to be attached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// Until the jobs end; else what there is now, one job after the other.
    pub(crate) follow: bool,
    /// Control characters as they are.
    pub(crate) raw: bool,
    /// Whether the output is shown.
    pub(crate) show: bool,
}

/// How it came to an end.
pub(crate) enum End {
    /// Each job as it ended, or why that is not known.
    Ended(Vec<Result<Job>>),
    /// The person at the terminal let go.
    Detached,
}

/// Attaches, and shows what comes.
pub(crate) async fn attach(
    session: &Session,
    target: Target<'_>,
    wish: Wish,
    mut interrupts: Interrupts,
) -> Result<End> {
    let (tell, mut told) = mpsc::channel(WAITING);
    let turn = Arc::new(Semaphore::new(if wish.follow { AT_ONCE } else { 1 }));
    for (index, job) in target.jobs.iter().enumerate() {
        let request = JobOutputRequest { id: job.id.clone(), offset: 0, follow: wish.follow };
        let (link, tell, turn) = (target.link.clone(), tell.clone(), turn.clone());
        tokio::spawn(Follower { link, job: index, request, tell, turn }.run());
    }
    drop(tell);
    let (tell, mut news) = watch::channel(None);
    if let Some(run) = target.run.filter(|_| wish.follow) {
        tokio::spawn(follow::watch(target.link.clone(), run.to_owned(), tell));
    }
    let mut attached = Attached::new(session, &target, wish);
    loop {
        tokio::select! {
            () = interrupts.asked() => {
                attached.let_go()?;
                return Ok(End::Detached);
            }
            event = told.recv() => match event {
                Some((job, event)) => attached.take(job, event)?,
                None => break,
            },
            Ok(()) = news.changed() => attached.news(news.borrow_and_update().as_ref()),
        }
        if told.is_empty() {
            session.out.flush()?;
        }
    }
    Ok(End::Ended(attached.ends()))
}

struct Attached<'a> {
    session: &'a Session,
    jobs: &'a [Job],
    wish: Wish,
    view: View,
    progress: Option<Progress>,
    ended: Vec<Option<Result<Job>>>,
    trouble: Trouble,
}

impl<'a> Attached<'a> {
    fn new(session: &'a Session, target: &Target<'a>, wish: Wish) -> Self {
        let hosts: Vec<&str> = target.jobs.iter().map(|job| job.host.as_str()).collect();
        let form = Form { screen: session.out.is_tty() && !wish.raw, colour: session.out.colour };
        // Below a line that has not ended yet, a sign of life would be in the way.
        let calm = hosts.len() > 1 || !session.out.is_tty() || !wish.show;
        let progress = (wish.follow && calm).then(|| session.out.progress(under_way(target.jobs.len(), 0)));
        Self {
            session,
            jobs: target.jobs,
            wish,
            view: View::new(&hosts, form),
            progress,
            ended: target.jobs.iter().map(|_| None).collect(),
            trouble: Trouble::new(target.link),
        }
    }

    fn take(&mut self, job: usize, event: Event) -> Result<()> {
        match event {
            Event::Output(bytes) => {
                let bytes = self.view.piece(job, bytes);
                self.write(&bytes)?;
            }
            Event::Changed(_) => {}
            Event::Missing(bytes) => self.note(&trouble::missing(bytes)),
            Event::Broken(fault) => {
                let note = self.trouble.broken(job, &fault);
                self.note(&note);
            }
            Event::Back => {
                let note = self.trouble.back(job);
                self.note(&note);
            }
            Event::Ended(ended) => self.end(job, Ok(*ended))?,
            Event::Failed(failure) => self.end(job, Err(failure))?,
        }
        Ok(())
    }

    fn end(&mut self, job: usize, how: Result<Job>) -> Result<()> {
        drop(self.trouble.back(job));
        let bytes = self.view.end(job);
        self.write(&bytes)?;
        if let Ok(ended) = &how
            && ended.output_truncated
        {
            let host = inline(&self.jobs[job].host);
            self.note(&format!("-- {host} wrote more than is kept: the rest was dropped"));
        }
        self.ended[job] = Some(how);
        let done = self.ended.iter().flatten().count();
        if let Some(progress) = &self.progress {
            progress.now(under_way(self.jobs.len(), done));
        }
        Ok(())
    }

    /// Tells of hosts that cannot be reached, and that can be again.
    fn news(&mut self, run: Option<&Run>) {
        for note in self.trouble.news(run) {
            self.note(&note);
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        if !self.wish.show || bytes.is_empty() {
            return Ok(());
        }
        let write = || self.session.out.bytes(bytes).and_then(|()| self.session.out.flush());
        match &self.progress {
            Some(progress) => progress.aside(write),
            None => self.session.out.bytes(bytes),
        }
    }

    fn note(&self, text: &str) {
        match &self.progress {
            Some(progress) => progress.aside(|| self.session.out.note(text)),
            None => self.session.out.note(text),
        }
    }

    /// Leaves the terminal as it should be.
    fn let_go(&mut self) -> Result<()> {
        for job in 0..self.jobs.len() {
            if self.ended[job].is_none() {
                let bytes = self.view.end(job);
                self.write(&bytes)?;
            }
        }
        self.session.out.flush()
    }

    fn ends(self) -> Vec<Result<Job>> {
        let gone = || Err(Failure::local("its output ended without its end"));
        self.ended.into_iter().map(|ended| ended.unwrap_or_else(gone)).collect()
    }
}

fn under_way(jobs: usize, done: usize) -> String {
    match jobs {
        1 => "running".into(),
        jobs => format!("running: {done} of {jobs} hosts have ended"),
    }
}
