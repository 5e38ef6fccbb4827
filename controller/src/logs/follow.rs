//! Entries of many hosts as they are written, and long stretches of the past.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::Stream;
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogChunk, LogDirection, LogQuery},
    merge::{Merge, Places, Row, Spot},
    names::HostName,
    search::{Lane, Search},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{Away, after, away, lanes};
use crate::{auth::Caller, fleet::now_usec, state::State};

/// So many chunks of a host are in memory; then it waits for the reader.
const CHUNKS: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What a stream tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// Rows in order, and where all hosts stand after them.
    Rows(Vec<Row>, Places),
    /// Nothing to see, but the places have moved.
    Moved(Places),
    /// A host cannot be read any more.
    Away(Away),
    /// It is read again.
    Back(HostName),
}

#[derive(Debug)]
enum Heard {
    Chunk(LogChunk),
    Broke(Away),
    Ended,
}

struct Reader {
    state: State,
    caller: Caller,
    lane: Lane,
    index: usize,
    /// Whether it goes on for ever.
    follows: bool,
    room: Arc<Semaphore>,
    tell: mpsc::Sender<(usize, Heard)>,
    /// From where it goes on after a break.
    resume: mpsc::Receiver<Option<Spot>>,
}

/// Follows what a search means, from these places on, until nobody listens; with the hosts in the order of their lanes.
pub(crate) fn follow(
    state: &State,
    caller: &Caller,
    search: &Search,
    places: &Places,
) -> Result<(Vec<HostName>, impl Stream<Item = Told> + Send + use<>), Fault> {
    let lanes = lanes(state.fleet.seen_by(caller), search)?;
    let hosts = lanes.iter().map(|lane| lane.host.clone()).collect();
    Ok((hosts, stream(state, caller, lanes, places, true)))
}

/// All that was found, oldest first, as it comes.
pub(crate) fn download(
    state: &State,
    caller: &Caller,
    search: &Search,
) -> Result<(Vec<HostName>, impl Stream<Item = Told> + Send + use<>), Fault> {
    let lanes = lanes(state.fleet.seen_by(caller), search)?;
    let hosts = lanes.iter().map(|lane| lane.host.clone()).collect();
    Ok((hosts, stream(state, caller, lanes, &Places::default(), false)))
}

fn stream(
    state: &State,
    caller: &Caller,
    lanes: Vec<Lane>,
    places: &Places,
    follows: bool,
) -> impl Stream<Item = Told> + Send + use<> {
    let now = now_usec();
    let spot = |lane: &Lane| match (places.get(&lane.host), follows) {
        (Some(spot), _) => Some(spot.clone()),
        (None, true) => Some(Spot::time(now)),
        (None, false) => None,
    };
    let from: Vec<(HostName, Option<Spot>)> =
        lanes.iter().map(|lane| (lane.host.clone(), spot(lane))).collect();
    let mut merge = Merge::new(from.clone(), Instant::now());
    let (tell, mut told) = mpsc::channel(CHUNKS);
    // Readers end with the stream that they are for.
    let mut readers = JoinSet::new();
    let mut channels = Vec::new();
    for (index, (lane, (_, spot))) in lanes.into_iter().zip(from).enumerate() {
        let room = Arc::new(Semaphore::new(CHUNKS));
        let (resumes, resume) = mpsc::channel(1);
        let reader = Reader {
            state: state.clone(),
            caller: caller.clone(),
            lane,
            index,
            follows,
            room: room.clone(),
            tell: tell.clone(),
            resume,
        };
        readers.spawn(reader.run(spot));
        channels.push(Channel { room, resumes, taken: 0, is_away: false });
    }
    drop(tell);
    async_stream::stream! {
        let _readers = readers;
        let mut shown = merge.places();
        loop {
            let wake = merge.wake_at(Instant::now());
            let heard = tokio::select! {
                heard = told.recv() => match heard {
                    Some(heard) => Some(heard),
                    None => break,
                },
                () = sleep_until(wake) => None,
            };
            if let Some((lane, heard)) = heard
                && let Some(told) = channels[lane].hear(&mut merge, lane, heard).await
            {
                yield told;
            }
            let rows = merge.take(Instant::now());
            for (lane, channel) in channels.iter_mut().enumerate() {
                channel.release(merge.waiting(lane));
            }
            let places = merge.places();
            if !rows.is_empty() {
                shown.clone_from(&places);
                yield Told::Rows(rows, places);
            } else if places != shown {
                shown.clone_from(&places);
                yield Told::Moved(places);
            }
        }
        let rows = merge.take(Instant::now());
        if !rows.is_empty() {
            yield Told::Rows(rows, merge.places());
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// The merging side of a reader.
struct Channel {
    room: Arc<Semaphore>,
    resumes: mpsc::Sender<Option<Spot>>,
    /// Chunks that were sent and are not given out yet.
    taken: usize,
    is_away: bool,
}

impl Channel {
    async fn hear(&mut self, merge: &mut Merge, lane: usize, heard: Heard) -> Option<Told> {
        match heard {
            Heard::Chunk(chunk) => {
                self.taken += 1;
                merge.push(lane, chunk, Instant::now());
                std::mem::take(&mut self.is_away).then(|| Told::Back(merge.host(lane).clone()))
            }
            Heard::Broke(away) => {
                let spot = merge.broke(lane);
                self.resumes.send(spot).await.ok();
                // It is said once, however often it is tried again.
                (!std::mem::replace(&mut self.is_away, true)).then_some(Told::Away(away))
            }
            Heard::Ended => {
                merge.ended(lane);
                None
            }
        }
    }

    fn release(&mut self, waiting: usize) {
        self.room.add_permits(self.taken.saturating_sub(waiting));
        self.taken = self.taken.min(waiting);
    }
}

impl Reader {
    async fn run(mut self, mut spot: Option<Spot>) {
        let mut wait = FIRST_WAIT;
        loop {
            let begun = Instant::now();
            let ended = || Fault::new(FaultKind::Unreachable, "its agent ended the stream");
            let heard = match self.read(spot.as_ref()).await {
                Ok(()) if !self.follows => Heard::Ended,
                Ok(()) => Heard::Broke(self.away(ended())),
                Err(away) => Heard::Broke(away),
            };
            let is_over = match &heard {
                Heard::Broke(away) => !self.follows || is_final(&away.fault),
                _ => true,
            };
            if self.tell.send((self.index, heard)).await.is_err() || is_over {
                return;
            }
            let Some(next) = self.resume.recv().await else { return };
            spot = next;
            if begun.elapsed() > LONGEST_WAIT {
                wait = FIRST_WAIT;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn away(&self, fault: Fault) -> Away {
        Away { host: self.lane.host.clone(), since_usec: now_usec(), fault }
    }

    async fn read(&self, spot: Option<&Spot>) -> Result<(), Away> {
        let host = &self.lane.host;
        if let Some(away) = away(&self.state.fleet, host) {
            return Err(away);
        }
        let mut query = LogQuery { limit: 0, ..self.lane.query.clone() };
        if let Some(spot) = spot {
            after(&mut query, spot);
            if query.after_cursor.is_empty() && self.follows {
                // Without a cursor, 0 would be the usual hundred.
                query.limit = 1_000_000;
            }
        }
        query.direction = LogDirection::Forward as i32;
        let fault = |status: tonic::Status| self.away(Fault::from_status(&status));
        let mut logs = self.state.gate.logs(&self.caller, host);
        let answer = if self.follows { logs.follow(query).await } else { logs.query(query).await };
        let mut chunks = answer.map_err(fault)?.into_inner();
        loop {
            // Nothing is read that there is no room for: the host waits as long as the reader does.
            let Ok(room) = self.room.acquire().await else { return Ok(()) };
            let Some(chunk) = chunks.message().await.map_err(fault)? else { return Ok(()) };
            room.forget();
            if self.tell.send((self.index, Heard::Chunk(chunk))).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// What will not be better the next time.
fn is_final(fault: &Fault) -> bool {
    matches!(
        fault.kind(),
        FaultKind::Invalid | FaultKind::Denied | FaultKind::Unauthenticated | FaultKind::NotFound
    )
}
