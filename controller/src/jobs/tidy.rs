//! What is kept of runs, and for how long.

use std::time::Duration;

use chrono::Utc;

use crate::{
    db::{self, output, runs},
    state::State,
};

const OFTEN: Duration = Duration::from_secs(3600);

/// Removes what is old, once an hour.
pub(super) async fn run(state: State) {
    let mut hour = tokio::time::interval(OFTEN);
    loop {
        hour.tick().await;
        if let Err(error) = tidy(&state.db).await {
            tracing::warn!(%error, "cannot remove old runs");
        }
    }
}

async fn tidy(pool: &sqlx::PgPool) -> db::Result<()> {
    let mut removed = 0;
    loop {
        match runs::forget_old(pool, Utc::now()).await? {
            0 => break,
            some => removed += some,
        }
    }
    let outputs = output::make_room(pool).await?;
    if removed + outputs > 0 {
        tracing::info!(runs = removed, outputs, "removed old runs and outputs");
    }
    Ok(())
}
