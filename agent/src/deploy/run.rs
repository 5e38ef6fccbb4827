//! The process of a job that works on an app, `hms-agent run-app-job`. When it ends, however it does, systemd runs
//! `hms-agent end-app-job`, which puts back what it left half done.

use std::{io, path::Path, process::ExitCode};

use hms_proto::fault::Fault;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    journal::Line,
    recover,
    work::{Opened, Work, stopped},
};
use crate::{
    exec::launch::{Note, Notebook},
    jobs::{self, Outcome},
    now_usec,
};

/// Does the work of a job.
pub(crate) fn run(id: &str, state: &Path) -> ExitCode {
    Notebook(io::stderr()).write(&Note::Began(now_usec()));
    match block_on(work(id, state)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Its last words are in the output already.
            println!("{}", fault.message.lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// Puts back what the job left, and notes its end. The end is not noted while something is left to be put back: then the agent
/// takes the job up again.
pub(crate) fn end(id: &str, state: &Path) -> ExitCode {
    match block_on(recover::end(id, state)) {
        Ok(()) => {
            jobs::end();
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("not everything could be put back yet: {}", fault.message);
            ExitCode::FAILURE
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| crate::internal(format!("cannot start: {error}")))?.block_on(work)
}

async fn work(id: &str, state: &Path) -> Result<(), Fault> {
    let stop = stop_signal().map_err(|e| crate::internal(format!("cannot watch for signals: {e}")))?;
    let mut opened = Opened::open(id, state).await?;
    if opened.steps.have_begun() {
        // Started again by the agent, for the end of it only.
        return Err(stopped());
    }
    opened.steps.touch();
    let mut work = match begin(opened).await {
        Ok(work) => work,
        Err((mut steps, fault)) => {
            steps.decide(Outcome { good: false, reason: fault.message.clone() })?;
            return Err(fault);
        }
    };
    match work.run(&stop).await {
        Ok(()) => {
            let outcome = work.outcome();
            work.steps.decide(outcome)?;
            // With an app that is gone goes its journal.
            drop(work.note(&Line::End));
            Ok(())
        }
        // Whoever stopped it is told of by `end`.
        Err(fault) if stop.is_cancelled() || work.is_canceled() => Err(fault),
        Err(fault) => {
            let fault = match fault.hint.is_empty() {
                true => fault,
                false => Fault { message: format!("{}\n{}", fault.message, fault.hint), ..fault },
            };
            work.steps.fail(&fault.message);
            Err(fault)
        }
    }
}

async fn begin(opened: Opened) -> Result<Work, (super::steps::Steps, Fault)> {
    let steps = opened.steps.clone();
    Work::begin(opened).await.map_err(|fault| (steps, fault))
}

fn stop_signal() -> io::Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        term.recv().await;
        token.cancel();
    });
    Ok(stop)
}
