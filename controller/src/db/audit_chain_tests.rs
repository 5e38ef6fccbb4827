//! The chain against writers at once, a kill in the middle, and whoever can write every table.

use hms_proto::chain::Verifier;
use serde_json::json;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};
use uuid::Uuid;

use super::*;
use crate::{
    audit::Changed,
    auth::Source,
    counts,
    db::audit::{Intent, intent, outcome, outcome_with},
};

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

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

async fn verify(pool: &PgPool) -> Result<Verifier, Box<dyn std::error::Error>> {
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

/// Security case 112: five kinds of edits of every row, as whoever owns the database can make them.
#[sqlx::test(migrations = "../migrations")]
async fn every_edit_of_every_row_is_found(pool: PgPool) -> Test {
    const ROWS: i64 = 200;
    for number in 0..usize::try_from(ROWS / 2)? {
        let call = call(number);
        intent(&pool, &call).await?;
        outcome(&pool, call.request_id, "ok", "", 1).await?;
    }
    verify(&pool).await?;
    let columns =
        "seq, time, request_id, phase, actor, user_id, source, address, method, host, target, params,
        outcome, detail, took_ms, before, after, before_hash, after_hash, prev_hash, hash";
    let others = columns.replacen("seq,", "", 1).replacen("request_id,", "", 1);
    let insert = format!(
        "INSERT INTO audit (seq, request_id, {others}) SELECT $1 + 1000000, gen_random_uuid(), {others} FROM audit WHERE seq = $1;"
    );
    let edits: [(&str, Vec<String>); 5] = [
        ("change", vec!["UPDATE audit SET detail = detail || '.' WHERE seq = $1".into()]),
        ("delete", vec!["DELETE FROM audit WHERE seq = $1".into()]),
        (
            "insert",
            vec![
                insert,
                "UPDATE audit SET seq = -seq - 1 WHERE seq > $1 AND seq < 1000000".into(),
                "UPDATE audit SET seq = -seq WHERE seq < 0 AND $1 > 0".into(),
                "UPDATE audit SET seq = $1 + 1 WHERE seq > 1000000".into(),
            ],
        ),
        (
            "reorder",
            vec![
                "UPDATE audit SET seq = -1 WHERE seq = $1".into(),
                "UPDATE audit SET seq = $1 WHERE seq = $1 % 200 + 1".into(),
                "UPDATE audit SET seq = $1 % 200 + 1 WHERE seq = -1".into(),
            ],
        ),
        (
            "swap of the contents",
            vec!["UPDATE audit SET time = o.time, actor = o.actor || ' ', prev_hash = o.prev_hash, hash = o.hash
                FROM (SELECT * FROM audit WHERE seq = $1 % 200 + 1) o WHERE audit.seq = $1"
                .into()],
        ),
    ];
    let mut connection = pool.acquire().await?;
    sqlx::query("ALTER TABLE audit DISABLE TRIGGER USER").execute(&mut *connection).await?;
    let (mut tried, mut missed) = (0, Vec::new());
    for (name, edit) in &edits {
        for seq in 1..=ROWS {
            let mut tx = connection.begin().await?;
            for sql in edit {
                sqlx::query(sqlx::AssertSqlSafe(sql.as_str())).bind(seq).execute(&mut *tx).await?;
            }
            let rows = rows_of(&mut tx, (seq - 2).max(0)).await?;
            let before = (seq - 2).max(0);
            let mut verifier = match before {
                0 => Verifier::default(),
                _ => Verifier::after(before, rows[0].hash.clone()),
            };
            let found = rows[usize::from(before > 0)..].iter().try_for_each(|row| verifier.check(row));
            // The last row, taken away, is missed by nobody but the head.
            let found = found.map_err(|broken| broken.seq).and_then(|()| match verifier.seq == ROWS {
                true => Ok(()),
                false => Err(verifier.seq + 1),
            });
            tried += 1;
            match found {
                Err(first) if first == seq || (*name == "insert" && first == seq + 1) => {}
                Err(1) if *name == "reorder" && seq == ROWS => {}
                other => missed.push((*name, seq, other)),
            }
            tx.rollback().await?;
        }
    }
    counts::tell("audit: edits of rows that are found", tried, missed.len());
    assert_eq!((tried, missed), (1_000, vec![]));
    Ok(())
}

async fn rows_of(
    connection: &mut sqlx::PgConnection,
    from: i64,
) -> Result<Vec<AuditRow>, Box<dyn std::error::Error>> {
    Ok(super::rows(connection, from, 0, i64::MAX).await?)
}
