//! Logins as a machine of states (security case 17): random sequences of what people, thieves and admins do, at the real port and
//! with the real database. After each step there is a session exactly where a small model of it says so. A sequence that goes wrong is
//! shortened until nothing of it can be left out.

mod bench;
mod model;
mod own;
mod steps;

use std::{cell::Cell, sync::atomic::Ordering};

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sqlx::postgres::PgPoolOptions;

use super::*;
use crate::{counts, jobs::tests::controller, state::State};
use bench::Bench;

/// Security case 17. With `HMS_LONG`, thousands.
#[sqlx::test(migrations = "../migrations")]
async fn a_session_is_where_the_model_says_whatever_is_done_in_which_order(pool: PgPool) {
    let (sequences, longest) = if std::env::var_os("HMS_LONG").is_some() { (3000, 12) } else { (100, 6) };
    let state = controller(&pool).await.unwrap();
    let search = tokio::task::spawn_blocking(move || search(&pool, &state, sequences, longest));
    let Found { steps, given } = search.await.unwrap().unwrap_or_else(|found| panic!("{found}"));
    assert!(given > sequences, "{given} sessions in {sequences} sequences: they get nowhere");
    counts::tell("sequences of steps of logins", sequences as usize, 0);
    counts::tell("steps of logins, after which a session was not where it should be", steps, 0);
}

/// What was tried.
struct Found {
    steps: usize,
    /// Sessions.
    given: u32,
}

/// The search is no future: it has a runtime of its own, and connections of that.
fn search(pool: &PgPool, state: &State, sequences: u32, longest: usize) -> Result<Found, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(async {
        let options = (*pool.connect_options()).clone();
        Bench::open(state, PgPoolOptions::new().max_connections(3).connect_with(options).await?).await
    });
    let (bench, steps) = (bench.map_err(|error| format!("{error:#}"))?, Cell::new(0));
    let config = Config { cases: sequences, failure_persistence: None, ..Config::default() };
    let found = TestRunner::new(config).run(&steps::sequence(longest), |(start, sequence)| {
        steps.set(steps.get() + sequence.len());
        let done = runtime.block_on(bench.run(start, &sequence));
        done.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    runtime.block_on(bench.close());
    found.map_err(|found| found.to_string())?;
    Ok(Found { steps: steps.get(), given: bench.given.load(Ordering::Relaxed) })
}
