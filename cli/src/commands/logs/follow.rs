//! Entries as they are written. A stream that breaks is taken up again after the last entry that was seen.

use std::time::Duration;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogEntry, LogGap, LogQuery},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};

use super::{ALL, Form, Source, gap_text, in_order};
use crate::{
    again::{is_final, pause},
    connect::{Connection, Pace},
    failure::{Failure, Result, render},
    output::escape::inline,
    session::Session,
};

/// What a host has to say.
enum Event {
    Entries(Vec<LogEntry>),
    Gap(LogGap),
    CaughtUp,
    Broken(Box<Fault>),
    Back,
    Ended(Failure),
}

/// Chunks that wait to be shown. When it is full, the hosts wait: gRPC holds them back.
const WAITING: usize = 32;
/// So long the past of other hosts is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(
    session: &Session,
    link: &Connection,
    sources: Vec<Source>,
    form: &Form,
    from_now: bool,
) -> Result<()> {
    let (tell, mut told) = mpsc::channel(WAITING);
    let newest = match sources.first().map_or(0, |s| s.query.limit) {
        0 => usize::MAX,
        limit => limit as usize,
    };
    let labels: Vec<String> = sources.iter().map(|s| s.label.clone()).collect();
    for (index, source) in sources.into_iter().enumerate() {
        let follower = Follower {
            link: link.clone(),
            query: source.query.clone(),
            source,
            tell: tell.clone(),
            index,
            caught_up: false,
            from_now,
            alone: labels.len() == 1,
        };
        tokio::spawn(follower.run());
    }
    drop(tell);
    let mut view = View { session, form, labels, codes: Vec::new() };
    if view.labels.len() > 1 {
        view.past(&mut told, newest).await?;
    }
    while let Some((index, event)) = told.recv().await {
        if let Some((index, entries)) = view.take(index, event)? {
            view.show(index, &entries)?;
        }
        if told.is_empty() {
            session.out.flush()?;
        }
    }
    Err(Failure::Reported(crate::failure::exit_of_many(&view.codes)))
}

/// What is shown of the events.
struct View<'a> {
    session: &'a Session,
    form: &'a Form,
    labels: Vec<String>,
    codes: Vec<u8>,
}

impl View<'_> {
    fn show(&self, index: usize, entries: &[LogEntry]) -> Result<()> {
        entries.iter().try_for_each(|entry| self.session.out.write(&self.form.text(index, entry)?))
    }

    /// Gives entries back; everything else is said at once.
    fn take(&mut self, index: usize, event: Event) -> Result<Option<(usize, Vec<LogEntry>)>> {
        let label = &self.labels[index];
        match event {
            Event::Entries(entries) => return Ok(Some((index, entries))),
            Event::Gap(gap) => self.session.out.say(&gap_text(label, &gap)),
            Event::CaughtUp => {}
            Event::Broken(fault) => {
                self.session.out.say(&format!("-- reconnecting to {label}: {}", inline(&fault.message)));
            }
            Event::Back => self.session.out.say(&format!("-- connected to {label} again")),
            Event::Ended(failure) if self.labels.len() == 1 => return Err(failure),
            Event::Ended(failure) => {
                self.codes.push(failure.exit_code());
                if let Failure::Fault(fault) = &failure {
                    self.session.out.say(&format!("{label}: {}", render(fault)));
                }
            }
        }
        Ok(None)
    }

    /// The past of several hosts, merged. A host that is late is not waited for long.
    async fn past(&mut self, told: &mut mpsc::Receiver<(usize, Event)>, newest: usize) -> Result<()> {
        let mut missing = self.labels.len();
        let mut past = Vec::new();
        let until = Instant::now() + PATIENCE;
        while missing > 0 {
            let Ok(Some((index, event))) = timeout_at(until, told.recv()).await else { break };
            if matches!(event, Event::CaughtUp | Event::Ended(_) | Event::Broken(_)) {
                missing -= 1;
            }
            if let Some((index, entries)) = self.take(index, event)? {
                past.extend(entries.into_iter().map(|entry| (index, entry)));
            }
        }
        for (index, entry) in in_order(past, newest) {
            self.session.out.write(&self.form.text(index, &entry)?)?;
        }
        self.session.out.flush()
    }
}

/// Follows one host.
struct Follower {
    link: Connection,
    source: Source,
    /// What to ask for next: moves on with each entry.
    query: LogQuery,
    tell: mpsc::Sender<(usize, Event)>,
    index: usize,
    caught_up: bool,
    /// Entries of the past are not wanted, but for where they end.
    from_now: bool,
    alone: bool,
}

impl Follower {
    async fn run(mut self) {
        let mut attempt: u32 = 0;
        let mut broken = false;
        let mut ever = false;
        loop {
            let began = Instant::now();
            let (fault, connected) = self.stream(&mut broken).await;
            ever |= connected;
            let Some(fault) = fault else { return };
            // At the first attempt, somebody waits to be told; later, it is worth to wait.
            if is_final(&fault) || (!ever && self.alone) {
                drop(self.tell.send((self.index, Event::Ended(fault.into()))).await);
                return;
            }
            if !broken {
                broken = true;
                if self.tell.send((self.index, Event::Broken(Box::new(fault)))).await.is_err() {
                    return;
                }
            }
            attempt = if connected && began.elapsed() > Duration::from_secs(5) { 0 } else { attempt + 1 };
            sleep(pause(attempt)).await;
        }
    }

    /// One stream, until it breaks (why, and whether it ever began) or nobody listens any more (`None`).
    async fn stream(&mut self, broken: &mut bool) -> (Option<Fault>, bool) {
        let mut logs = self.link.logs(self.source.host.as_ref(), Pace::Stream);
        let mut stream = match self.link.answer(Pace::Look, logs.follow(self.query.clone())).await {
            Ok(stream) => stream,
            Err(Failure::Fault(fault)) => return (Some(*fault), false),
            Err(_) => return (None, false),
        };
        let mut began = false;
        loop {
            let chunk = match stream.message().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return (Some(Fault::new(FaultKind::Unreachable, "the stream ended")), began),
                Err(status) => return (Some(self.link.explain(&status)), began),
            };
            began = true;
            // Some way from here to the host may open long before the host itself is reached.
            if *broken {
                *broken = false;
                if self.tell.send((self.index, Event::Back)).await.is_err() {
                    return (None, true);
                }
            }
            for event in self.events(chunk) {
                if self.tell.send((self.index, event)).await.is_err() {
                    return (None, true);
                }
            }
        }
    }

    /// What a chunk says, and from where the next stream goes on.
    fn events(&mut self, chunk: hms_proto::host::v1::LogChunk) -> Vec<Event> {
        let mut events = Vec::new();
        events.extend(chunk.gap.map(Event::Gap));
        let last = chunk.entries.last().map(|entry| entry.cursor.clone()).unwrap_or_default();
        // Of several logs, only a place says where all of them are.
        let place = if chunk.place.is_empty() { last } else { chunk.place };
        if !place.is_empty() {
            self.query.after_cursor = place;
            // After a cursor, 0 means everything.
            self.query.limit = 0;
        }
        if !chunk.entries.is_empty() && (self.caught_up || !self.from_now) {
            events.push(Event::Entries(chunk.entries));
        }
        if chunk.caught_up {
            if !self.caught_up && self.query.after_cursor.is_empty() {
                // There was no past: whatever a later stream finds is new.
                self.query.limit = ALL;
            }
            if !self.caught_up {
                events.push(Event::CaughtUp);
            }
            self.caught_up = true;
        }
        events
    }
}
