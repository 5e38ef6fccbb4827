//! The output of jobs, in pieces.

use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::Result;

/// The largest piece, as the contract and the table have it.
pub(crate) const PIECE: usize = 64 * 1024;
/// All output together, in bytes. Beyond it the oldest is removed.
const KEPT: i64 = 2 << 30;

/// Adds a piece that begins at `start`. False when that is not where the output ends: it is there already, or something
/// is missing before it, or the job has ended.
pub(crate) async fn append(pool: &PgPool, job: Uuid, start: u64, data: &[u8]) -> Result<bool> {
    let sql = "WITH grown AS (UPDATE jobs SET output_bytes = output_bytes + length($3)
            WHERE id = $1 AND output_bytes = $2 AND ended_at IS NULL RETURNING id)
        INSERT INTO job_output (job_id, start, data) SELECT id, $2, $3 FROM grown";
    let done = sqlx::query(sql).bind(job).bind(position(start)).bind(data).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// What there is from `offset` on, at most some 64 KiB; empty at the end.
pub(crate) async fn read(db: impl PgExecutor<'_>, job: Uuid, offset: u64) -> Result<Vec<u8>> {
    let sql = "SELECT start, data FROM job_output
        WHERE job_id = $1 AND start > $2::bigint - $3::bigint AND start + length(data) > $2
        ORDER BY start LIMIT 64";
    let pieces: Vec<(i64, Vec<u8>)> =
        sqlx::query_as(sql).bind(job).bind(position(offset)).bind(PIECE as i64).fetch_all(db).await?;
    let mut read = Vec::new();
    for (start, data) in pieces {
        let have = position(offset) + read.len() as i64;
        let Some(new) = usize::try_from(have - start).ok().and_then(|skip| data.get(skip..)) else { break };
        if !read.is_empty() && read.len() + new.len() > PIECE {
            break;
        }
        read.extend_from_slice(new);
    }
    Ok(read)
}

/// No output is as long as this number can say.
fn position(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// Removes the oldest output beyond what is kept. How many jobs lost theirs.
pub(crate) async fn make_room(pool: &PgPool) -> Result<u64> {
    make_room_beyond(pool, KEPT).await
}

async fn make_room_beyond(pool: &PgPool, kept: i64) -> Result<u64> {
    let sql = "SELECT id FROM (
            SELECT j.id, j.ended_at, sum(j.output_bytes) OVER (ORDER BY r.created_at DESC, j.id DESC) AS total
            FROM jobs j JOIN runs r ON r.id = j.run_id
            WHERE j.output_removed_at IS NULL AND j.output_bytes > 0) t
        WHERE total > $1 AND ended_at IS NOT NULL";
    let jobs: Vec<Uuid> = sqlx::query_scalar(sql).bind(kept).fetch_all(pool).await?;
    for job in &jobs {
        let mut tx = pool.begin().await?;
        sqlx::query("UPDATE jobs SET output_removed_at = now() WHERE id = $1")
            .bind(job)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM job_output WHERE job_id = $1").bind(job).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(jobs.len() as u64)
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{self, JobState};

    use super::*;
    use crate::db::{jobs, runs};

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    async fn job(pool: &PgPool) -> Result<Uuid> {
        let id = runs::put(pool, &runs::sample(&["asterra"])).await?[0].id;
        jobs::claim(pool, &[id]).await?;
        Ok(id)
    }

    async fn whole(pool: &PgPool, job: Uuid, from: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let piece = read(pool, job, from + all.len() as u64).await?;
            if piece.is_empty() {
                return Ok(all);
            }
            assert!(piece.len() <= PIECE);
            all.extend(piece);
        }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn output_has_no_gap_and_nothing_twice(pool: PgPool) -> Test {
        let id = job(&pool).await?;
        assert!(append(&pool, id, 0, b"one\n").await?);
        assert!(!append(&pool, id, 0, b"one\n").await?, "it is there");
        assert!(!append(&pool, id, 9, b"three\n").await?, "something is missing before it");
        assert!(append(&pool, id, 4, b"two\n").await?);
        assert_eq!(read(&pool, id, 0).await?, b"one\ntwo\n");
        assert_eq!(read(&pool, id, 2).await?, b"e\ntwo\n");
        assert_eq!(read(&pool, id, 8).await?, b"");
        assert_eq!(read(&pool, id, u64::MAX).await?, b"");
        assert_eq!(jobs::get(&pool, id).await?.unwrap().output_bytes(), 8);
        let ended = v1::Job { state: JobState::Succeeded.into(), ..Default::default() };
        assert!(jobs::end(&pool, id, &ended).await?);
        assert!(!append(&pool, id, 8, b"late\n").await?, "what was told as the whole stays the whole");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn two_that_collect_at_once_keep_one_copy(pool: PgPool) -> Test {
        let id = job(&pool).await?;
        let mut at = 0;
        for n in 0..20 {
            let line = format!("line {n}\n");
            let (a, b) =
                tokio::join!(append(&pool, id, at, line.as_bytes()), append(&pool, id, at, line.as_bytes()));
            assert!(a? ^ b?);
            at += line.len() as u64;
        }
        let all: String = (0..20).map(|n| format!("line {n}\n")).collect();
        assert_eq!(whole(&pool, id, 0).await?, all.as_bytes());
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn long_output_is_read_piece_by_piece(pool: PgPool) -> Test {
        let id = job(&pool).await?;
        let all: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let mut at = 0;
        for piece in all.chunks(PIECE) {
            assert!(append(&pool, id, at, piece).await?);
            at += piece.len() as u64;
        }
        assert_eq!(whole(&pool, id, 0).await?, all);
        assert_eq!(whole(&pool, id, 123_456).await?, all[123_456..]);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn the_oldest_output_makes_room_and_that_is_noted(pool: PgPool) -> Test {
        let (old, new, open) = (job(&pool).await?, job(&pool).await?, job(&pool).await?);
        for id in [old, new, open] {
            append(&pool, id, 0, &[b'x'; 1000]).await?;
        }
        let ended = v1::Job { state: JobState::Failed.into(), ..Default::default() };
        jobs::end(&pool, old, &ended).await?;
        jobs::end(&pool, new, &ended).await?;
        assert_eq!(make_room_beyond(&pool, 2500).await?, 1);
        assert_eq!(make_room_beyond(&pool, 2500).await?, 0);
        assert!(jobs::get(&pool, old).await?.unwrap().output_removed_at.is_some());
        assert_eq!(read(&pool, old, 0).await?, b"");
        assert_eq!(read(&pool, new, 0).await?.len(), 1000);
        assert_eq!(make_room_beyond(&pool, 0).await?, 1, "what runs keeps its output");
        assert_eq!(read(&pool, open, 0).await?.len(), 1000);
        Ok(())
    }
}
