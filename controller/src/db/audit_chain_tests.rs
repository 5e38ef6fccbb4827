//! The chain against writers at once, a kill in the middle, and whoever can write every table.

use hms_proto::chain::{Kept, Verifier};
use serde_json::json;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use super::*;
use crate::{
    audit::Changed,
    auth::Source,
    counts,
    db::audit::{Intent, intent, outcome_with},
};

type TestResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;
type Test = TestResult<()>;

fn call(number: usize) -> Intent {
    Intent {
        request_id: Uuid::now_v7(),
        actor: format!("user{number}"),
        user_id: number.is_multiple_of(2).then(Uuid::now_v7),
        source: Source::Cli,
        address: None,
        method: "/hms.host.v1.UnitService/Restart".into(),
        host: "asterra".into(),
        target: format!("ü\n{number}"),
        params: json!({ "z": [1.50, null, "\u{1b}"], "a": number }),
    }
}

async fn verify(pool: &PgPool) -> TestResult<Verifier> {
    let mut verifier = Verifier::default();
    for row in rows(pool, 1, 0, i64::MAX).await? {
        verifier.check(&row)?;
    }
    let (seq, hash) = head(pool).await?;
    assert_eq!((verifier.seq, &verifier.hash), (seq, &hash), "the head is the last row");
    Ok(verifier)
}

#[sqlx::test(migrations = "../migrations")]
async fn the_database_and_the_verifier_compute_the_same_hashes(pool: PgPool) -> Test {
    let call = call(2);
    intent(&pool, &call).await?;
    let changed = Changed { before: json!({ "a": 1 }), after: json!({ "a": "x".repeat(100_000) }) };
    outcome_with(&pool, call.request_id, "ok", "é\0", 7, Some(&changed)).await?;
    assert_eq!(verify(&pool).await?.seq, 2);
    let row = &rows(&pool, 2, 2, 9).await?[0];
    assert!(row.after.as_ref().is_some_and(|after| after.len() < 100), "a large value is cut");
    assert!(row.after_hash.is_some() && row.after_hash != row.before_hash);
    Ok(())
}

/// Security case 115.
#[sqlx::test(migrations = "../migrations")]
async fn a_thousand_writers_and_a_kill_leave_one_chain(pool: PgPool) -> Test {
    let writers: Vec<_> = (0..1_000)
        .map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move {
                // More than the pool has connections for: whoever finds none comes again.
                while let Err(error) = intent(&pool, &call(number)).await {
                    assert!(matches!(error, crate::db::Error::Unavailable(_)), "{error:?}");
                }
            })
        })
        .collect();
    // Connections that are cut while they append, committed or not.
    for _ in 0..20 {
        let mut own = (*pool.connect_options()).clone().connect().await?;
        let mut cut = own.begin().await?;
        let append = "SELECT audit_append('intent', gen_random_uuid(), 'cut', NULL, '', '', '', '', '', '{}',
            NULL, '', NULL, NULL, NULL, NULL, NULL)";
        sqlx::query(append).execute(&mut *cut).await?;
        sqlx::query("SELECT pg_terminate_backend(pg_backend_pid())").execute(&mut *cut).await.unwrap_err();
    }
    for writer in writers {
        writer.await?;
    }
    let end = verify(&pool).await?;
    counts::tell("audit: rows of writers at once, chained without gaps", 1_000, 0);
    assert_eq!(end.seq, 1_000, "what was cut is not there, and leaves no gap");
    Ok(())
}

/// Rows of the sample.
const ROWS: i64 = 180;
/// Rows so far apart are edited together: what is looked for from shortly before the one does not come to the next.
const APART: i64 = 10;
/// Rows whose edits are also made alone, and looked for in the whole chain, from its first row.
const ALONE: [i64; 6] = [1, 2, 61, 120, ROWS - 1, ROWS];

/// What stands in a row, and what somebody makes of it.
const COLUMNS: [(&str, &str); 21] = [
    ("seq", "seq + 1000000"),
    ("time", "time + interval '1 microsecond'"),
    ("request_id", "gen_random_uuid()"),
    ("phase", "phase || '.'"),
    ("actor", "actor || '.'"),
    ("user_id", "CASE WHEN user_id IS NULL THEN gen_random_uuid() END"),
    ("source", "source || '.'"),
    ("address", "address || '.'"),
    ("method", "method || '.'"),
    ("host", "host || '.'"),
    ("target", "target || '.'"),
    ("params", r#"params || '{"x": 1}'"#),
    ("outcome", "CASE WHEN outcome IS NULL THEN '' END"),
    ("detail", "detail || '.'"),
    ("took_ms", "CASE WHEN took_ms IS NULL THEN 0 END"),
    ("before", "CASE WHEN before IS NULL THEN 'null'::jsonb END"),
    ("after", "CASE WHEN after IS NULL THEN 'null'::jsonb END"),
    ("before_hash", "CASE WHEN before_hash IS NULL THEN '' END"),
    ("after_hash", "CASE WHEN after_hash IS NULL THEN '' END"),
    ("prev_hash", "set_byte(prev_hash, 31, get_byte(prev_hash, 31) # 1)"),
    ("hash", "set_byte(hash, 0, get_byte(hash, 0) # 128)"),
];

/// A kind of edit: with `{n}` for the number of the row, and for those of the two after it `{m}` and `{o}`, the first
/// after the last. And the first row that is not as it was.
struct Edit {
    kind: String,
    sql: String,
    first: fn(i64) -> i64,
    /// Whether it can be found only where it is alone.
    moves_others: bool,
}

impl Edit {
    fn new(kind: &str, sql: &str, first: fn(i64) -> i64) -> Self {
        Self { kind: kind.into(), sql: sql.into(), first, moves_others: kind.starts_with("insert") }
    }

    /// Of everything that stands in a row, and of rows as wholes.
    fn all() -> Vec<Self> {
        let but = |left_out: &[&str]| {
            let names = COLUMNS.iter().map(|(name, _)| *name).filter(|name| !left_out.contains(name));
            names.collect::<Vec<_>>().join(", ")
        };
        let (others, contents) = (but(&["seq", "request_id"]), but(&["seq", "prev_hash", "hash"]));
        let copy = format!("INSERT INTO audit (seq, request_id, {others}) SELECT");
        let of_column = |(name, value): &(&str, &str)| {
            Self::new(name, &format!("UPDATE audit SET {name} = {value} WHERE seq = {{n}}"), |n| n)
        };
        let mut edits: Vec<_> = COLUMNS.iter().map(of_column).collect();
        edits.extend([
            Self::new("delete", "DELETE FROM audit WHERE seq = {n}", |n| n),
            Self::new(
                "insert",
                &format!(
                    "UPDATE audit SET seq = seq + 1 WHERE seq > {{n}};
                    {copy} seq + 1, gen_random_uuid(), {others} FROM audit WHERE seq = {{n}}"
                ),
                |n| n + 1,
            ),
            Self::new(
                "insert beside",
                &format!("{copy} seq, request_id, {others} FROM audit WHERE seq = {{n}}"),
                |n| n,
            ),
            Self::new(
                "insert before the first",
                &format!("{copy} 1 - seq, gen_random_uuid(), {others} FROM audit WHERE seq = {{n}}"),
                |n| 1 - n,
            ),
            Self::new(
                "reorder",
                "UPDATE audit SET seq = CASE seq WHEN {n} THEN {o} WHEN {m} THEN {n} ELSE {m} END
                    WHERE seq IN ({n}, {m}, {o})",
                |n| if n + 2 > ROWS { 1 } else { n },
            ),
            Self::new(
                "swap",
                "UPDATE audit SET seq = CASE seq WHEN {n} THEN {m} ELSE {n} END WHERE seq IN ({n}, {m})",
                |n| if n + 1 > ROWS { 1 } else { n },
            ),
            Self::new(
                "swap of the contents",
                &format!(
                    "UPDATE audit a SET ({contents}) = (SELECT {contents} FROM audit b
                        WHERE b.seq = CASE a.seq WHEN {{n}} THEN {{m}} ELSE {{n}} END) WHERE seq IN ({{n}}, {{m}})"
                ),
                |n| if n + 1 > ROWS { 1 } else { n },
            ),
            // The one after it does not follow it any more; after the last there is only a head that was kept.
            Self::new(
                "change with a hash of its own",
                "UPDATE audit SET actor = actor || '.' WHERE seq = {n};
                    UPDATE audit a SET hash = audit_hash(a) WHERE seq = {n}",
                |n| (n + 1).min(ROWS),
            ),
        ]);
        edits
    }

    fn of_row(&self, n: i64) -> String {
        let after = |steps| (n + steps - 1) % ROWS + 1;
        let numbers = [("{n}", n), ("{m}", after(1)), ("{o}", after(2))];
        numbers.iter().fold(self.sql.clone(), |sql, (name, number)| sql.replace(name, &number.to_string()))
    }
}

/// Calls whose rows have something, and nothing, in each column.
async fn fill(pool: &PgPool) -> Test {
    for number in 0..usize::try_from(ROWS / 2)? {
        let call = call(number);
        intent(pool, &call).await?;
        let changed = Changed { before: json!({ "a": number }), after: json!(null) };
        outcome_with(pool, call.request_id, "ok", "", 1, Some(&changed).filter(|_| number % 3 == 0)).await?;
    }
    Ok(())
}

/// The first row that is not as it was, of at most so many: from shortly before one, or of the whole chain.
fn first_bad(rows: &[AuditRow], from: i64, hashes: &[String], most: usize) -> Option<i64> {
    let last = Kept { by: "somebody".into(), seq: ROWS, hash: hashes[hashes.len() - 1].clone() };
    let verifier = match usize::try_from(from) {
        Ok(before @ 1..) => Verifier::after(from, hashes[before - 1].clone()),
        _ => Verifier::default(),
    };
    let mut verifier = verifier.with([last]);
    let first = rows.iter().position(|row| verifier.seq == 0 || row.seq > from).unwrap_or(rows.len());
    let part = &rows[first..rows.len().min(first.saturating_add(most))];
    let found = part.iter().try_for_each(|row| verifier.check(row));
    let found = found.and_then(|()| if part.len() < most { verifier.end() } else { Ok(()) });
    found.err().map(|broken| broken.seq)
}

/// Edits these rows, looks at the whole chain, and undoes it.
async fn edited(db: &mut PgConnection, edit: &Edit, numbers: &[i64]) -> TestResult<Vec<AuditRow>> {
    let edits = numbers.iter().map(|n| edit.of_row(*n)).collect::<Vec<_>>().join(";");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {edits}"))).execute(&mut *db).await?;
    let rows = rows(&mut *db, 1, 0, i64::MAX).await?;
    sqlx::raw_sql("ROLLBACK").execute(db).await?;
    Ok(rows)
}

/// Security case 112: each kind of edit of every row, as whoever owns the database can make them.
#[sqlx::test(migrations = "../migrations")]
async fn every_edit_of_every_row_is_found(pool: PgPool) -> Test {
    fill(&pool).await?;
    verify(&pool).await?;
    let hashes: Vec<_> = rows(&pool, 1, 0, i64::MAX).await?.into_iter().map(|row| row.hash).collect();
    let columns = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'audit'
        ORDER BY column_name";
    let columns: Vec<String> = sqlx::query_scalar(columns).fetch_all(&pool).await?;
    let mut known = COLUMNS.map(|(name, _)| name);
    known.sort_unstable();
    assert_eq!(columns, known, "each column is edited");
    // What keeps the rows in order keeps nobody back who owns the table.
    let open = "ALTER TABLE audit DISABLE TRIGGER USER;
        DO $$ DECLARE name TEXT; BEGIN
            FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'audit'::regclass AND contype IN ('c', 'p', 'u')
            LOOP EXECUTE format('ALTER TABLE audit DROP CONSTRAINT %I', name); END LOOP;
        END $$;
        CREATE INDEX ON audit (seq)";
    let mut db = pool.acquire().await?;
    sqlx::raw_sql(open).execute(&mut *db).await?;
    let (mut tried, mut whole, mut missed) = (0, 0, Vec::new());
    for edit in Edit::all() {
        let apart = if edit.moves_others { ROWS } else { APART };
        for first in 1..=apart {
            let numbers: Vec<_> = (first..=ROWS).step_by(usize::try_from(apart)?).collect();
            let rows = edited(&mut db, &edit, &numbers).await?;
            for n in numbers {
                let expected = (edit.first)(n);
                tried += 1;
                match first_bad(&rows, expected - 2, &hashes, 3) {
                    Some(found) if found == expected => {}
                    other => missed.push((edit.kind.clone(), n, other)),
                }
            }
        }
        for n in ALONE {
            let rows = edited(&mut db, &edit, &[n]).await?;
            whole += 1;
            match first_bad(&rows, 0, &hashes, usize::MAX) {
                Some(found) if found == (edit.first)(n) => {}
                other => missed.push((format!("{} alone", edit.kind), n, other)),
            }
        }
    }
    counts::tell("audit: edits of rows that are found", tried, missed.len());
    counts::tell("audit: edits of rows that are found in the whole chain", whole, 0);
    assert!(missed.is_empty(), "{} of {tried}: {missed:?}", missed.len());
    assert!(tried >= 5_000, "only {tried} edits");
    let rows = rows(&mut *db, 1, 0, i64::MAX).await?;
    assert_eq!(first_bad(&rows, 0, &hashes, usize::MAX), None, "all of it was undone");
    Ok(())
}
