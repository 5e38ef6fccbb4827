//! The slow pass over rows that somebody edits.

use super::{
    tests::{act, start},
    whole::{Pass, pass},
    *,
};
use crate::jobs::tests::controller;

type Test = anyhow::Result<()>;

/// Rows of a page: there are several pages.
const PAGE: i64 = 4;

/// As whoever owns the database can do it.
async fn edit(pool: &PgPool, sql: &'static str) -> Test {
    for text in ["ALTER TABLE audit DISABLE TRIGGER USER", sql, "ALTER TABLE audit ENABLE TRIGGER USER"] {
        sqlx::raw_sql(text).execute(pool).await?;
    }
    Ok(())
}

/// What a controller that has just been started finds in a pass.
async fn found(core: &Core) -> anyhow::Result<(i64, String)> {
    start(core).await?;
    pass(core, PAGE).await?;
    Ok(core.audit.verified())
}

async fn is_under_way(pool: &PgPool) -> anyhow::Result<bool> {
    Ok(db::audit_chain::pass(pool).await?.is_some())
}

/// Security case 112: nobody asks, and the row that was edited long after it was verified is named.
#[sqlx::test(migrations = "../migrations")]
async fn a_pass_finds_what_was_done_to_an_old_row(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    act(&pool, 15).await?;
    anyhow::ensure!(found(&core).await? == (30, String::new()) && !is_under_way(&pool).await?);
    for (sql, back, first) in [
        (
            "UPDATE audit SET actor = 'eve' WHERE seq = 3",
            "UPDATE audit SET actor = 'ada' WHERE seq = 3 AND phase = 'intent'",
            3,
        ),
        ("UPDATE audit SET took_ms = 2 WHERE seq = 28", "UPDATE audit SET took_ms = 1 WHERE seq = 28", 28),
        (
            "CREATE TABLE kept AS SELECT * FROM audit WHERE seq = 9; DELETE FROM audit WHERE seq = 9",
            "INSERT INTO audit SELECT * FROM kept; DROP TABLE kept",
            9,
        ),
        (
            "INSERT INTO audit (seq, request_id, phase, prev_hash, hash)
                SELECT -5, gen_random_uuid(), 'intent', prev_hash, hash FROM audit WHERE seq = 1",
            "DELETE FROM audit WHERE seq = -5",
            -5,
        ),
    ] {
        edit(&pool, sql).await?;
        anyhow::ensure!(start(&core).await? == (30, String::new()), "a start reads what is new: {sql}");
        for _ in 0..2 {
            let (verified, broken) = found(&core).await?;
            let named = broken.starts_with(&format!("row {first}: "));
            anyhow::ensure!(named && verified == (first - 1).max(0), "{sql}: {verified} {broken}");
            anyhow::ensure!(is_under_way(&pool).await?, "the next start looks there at once");
        }
        edit(&pool, back).await?;
        anyhow::ensure!(found(&core).await? == (30, String::new()), "{back}");
        anyhow::ensure!(!is_under_way(&pool).await?);
    }
    Ok(())
}

/// Of two rows the first is told, whichever was found first.
#[sqlx::test(migrations = "../migrations")]
async fn a_pass_and_a_look_at_the_newest_rows_tell_of_the_first(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    act(&pool, 5).await?;
    start(&core).await?;
    act(&pool, 1).await?;
    edit(&pool, "UPDATE audit SET detail = 'x' WHERE seq IN (4, 12)").await?;
    verify(&core).await?;
    anyhow::ensure!(core.audit.verified().1.starts_with("row 12: "), "{:?}", core.audit.verified());
    pass(&core, PAGE).await?;
    anyhow::ensure!(core.audit.verified().1.starts_with("row 4: "), "{:?}", core.audit.verified());
    verify(&core).await?;
    anyhow::ensure!(core.audit.verified().1.starts_with("row 4: "), "it stays told");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn an_interrupted_pass_goes_on_where_it_was_and_the_next_begins_anew(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    act(&pool, 10).await?;
    start(&core).await?;
    let mut cut_off = Pass::open(&core).await?;
    anyhow::ensure!(cut_off.step(&core, PAGE).await? && cut_off.step(&core, PAGE).await?);
    drop(cut_off);
    anyhow::ensure!(db::audit_chain::pass(&pool).await?.is_some_and(|(seq, _)| seq == 8));
    edit(&pool, "UPDATE audit SET detail = 'x' WHERE seq = 2").await?;
    anyhow::ensure!(found(&core).await? == (20, String::new()), "these rows it had behind it");
    let (_, broken) = found(&core).await?;
    anyhow::ensure!(broken.starts_with("row 2: "), "{broken}");
    Ok(())
}

/// Where it was is not believed: whoever can edit a row can edit that.
#[sqlx::test(migrations = "../migrations")]
async fn a_place_that_is_not_as_it_was_is_found_too(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    act(&pool, 10).await?;
    start(&core).await?;
    let mut cut_off = Pass::open(&core).await?;
    cut_off.step(&core, PAGE).await?;
    edit(&pool, "UPDATE audit SET detail = 'x' WHERE seq = 4").await?;
    let (_, broken) = found(&core).await?;
    anyhow::ensure!(broken.starts_with("row 4: "), "{broken}");
    edit(&pool, "UPDATE audit SET detail = '' WHERE seq = 4").await?;
    sqlx::query("UPDATE audit_pass SET hash = decode(repeat('ab', 32), 'hex')").execute(&pool).await?;
    let (_, broken) = found(&core).await?;
    anyhow::ensure!(broken.starts_with("row 4: the controller itself kept another hash"), "{broken}");
    Ok(())
}

/// Rows that were taken away together with the head, as a restored backup does it.
#[sqlx::test(migrations = "../migrations")]
async fn a_pass_holds_the_chain_against_what_was_verified(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    act(&pool, 5).await?;
    start(&core).await?;
    edit(
        &pool,
        "DELETE FROM audit WHERE seq > 6;
            UPDATE audit_head h SET seq = a.seq, hash = a.hash FROM audit a WHERE a.seq = 6",
    )
    .await?;
    pass(&core, PAGE).await?;
    let (verified, broken) = core.audit.verified();
    anyhow::ensure!(verified == 6 && broken.starts_with("row 7: it is missing"), "{verified} {broken}");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn of_two_controllers_one_leads(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    act(&pool, 20).await?;
    let (mut one, mut other) = (Pass::open(&core).await?, Pass::open(&core).await?);
    anyhow::ensure!(one.step(&core, PAGE).await?, "it was first");
    anyhow::ensure!(!other.step(&core, PAGE).await?, "it leaves the rest to the first");
    while one.step(&core, PAGE).await? {}
    anyhow::ensure!(!is_under_way(&pool).await? && core.audit.verified().1.is_empty());
    Ok(())
}
