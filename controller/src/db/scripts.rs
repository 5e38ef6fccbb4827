//! The catalogue of scripts.

use chrono::{DateTime, Utc};
use hms_proto::host::v1::{Script, ScriptFile};
use sqlx::{FromRow, PgConnection, PgExecutor, types::Json};

use super::Result;

/// A script with what is known about its coming here.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Stored {
    manifest: Json<Script>,
    pub(crate) content: Vec<u8>,
    pub(crate) synced_at: DateTime<Utc>,
    pub(crate) synced_by: String,
}

impl Stored {
    /// What is known of it.
    pub(crate) fn script(&self) -> &Script {
        &self.manifest
    }

    /// As it is delivered.
    pub(crate) fn into_file(self) -> ScriptFile {
        ScriptFile { script: Some(self.manifest.0), content: self.content }
    }
}

/// What a sync changes, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) unchanged: Vec<String>,
}

/// All scripts without their content, by name.
pub(crate) async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Script>> {
    let rows: Vec<Json<Script>> =
        sqlx::query_scalar("SELECT manifest FROM scripts ORDER BY name COLLATE \"C\"").fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// The script of this name.
pub(crate) async fn get(db: impl PgExecutor<'_>, name: &str) -> Result<Option<Stored>> {
    let sql = "SELECT manifest, content, synced_at, synced_by FROM scripts WHERE name = $1";
    Ok(sqlx::query_as(sql).bind(name).fetch_optional(db).await?)
}

/// What every host should have; nothing when nobody has synced scripts yet.
pub(crate) async fn wanted(db: impl PgExecutor<'_>) -> Result<Option<Vec<Script>>> {
    let sql = "SELECT scripts_synced_at IS NOT NULL,
            coalesce((SELECT jsonb_agg(manifest ORDER BY name COLLATE \"C\") FROM scripts), '[]')
        FROM hms_config";
    let (synced, scripts): (bool, Json<Vec<Script>>) = sqlx::query_as(sql).fetch_one(db).await?;
    Ok(synced.then_some(scripts.0))
}

/// All scripts with their content, by name.
pub(crate) async fn files(db: impl PgExecutor<'_>) -> Result<Vec<ScriptFile>> {
    let sql = "SELECT manifest, content, synced_at, synced_by FROM scripts ORDER BY name COLLATE \"C\"";
    let rows: Vec<Stored> = sqlx::query_as(sql).fetch_all(db).await?;
    Ok(rows.into_iter().map(Stored::into_file).collect())
}

/// What making these the scripts would change.
pub(crate) async fn compare(db: impl PgExecutor<'_>, files: &[ScriptFile]) -> Result<Changes> {
    Ok(difference(&list(db).await?, files))
}

/// Makes these the scripts: all of them, or none. The caller commits.
pub(crate) async fn replace(db: &mut PgConnection, files: &[ScriptFile], by: &str) -> Result<Changes> {
    // Two at once would mix their sets; the one that comes second wins as a whole.
    sqlx::query("LOCK TABLE scripts IN SHARE ROW EXCLUSIVE MODE").execute(&mut *db).await?;
    let changes = compare(&mut *db, files).await?;
    sqlx::query("DELETE FROM scripts WHERE name = ANY($1)").bind(&changes.removed).execute(&mut *db).await?;
    let sql = "INSERT INTO scripts (name, manifest, content, synced_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE
        SET manifest = $2, content = $3, synced_by = $4, synced_at = now()";
    for (script, content) in files.iter().filter_map(|f| Some((f.script.as_ref()?, &f.content))) {
        if !changes.unchanged.contains(&script.name) {
            let row = sqlx::query(sql).bind(&script.name).bind(Json(script)).bind(content).bind(by);
            row.execute(&mut *db).await?;
        }
    }
    sqlx::query("UPDATE hms_config SET scripts_synced_at = now()").execute(db).await?;
    Ok(changes)
}

fn difference(old: &[Script], files: &[ScriptFile]) -> Changes {
    let mut changes = Changes::default();
    let mut new: Vec<&Script> = files.iter().filter_map(|f| f.script.as_ref()).collect();
    new.sort_by(|a, b| a.name.cmp(&b.name));
    for script in &new {
        let list = match old.iter().find(|o| o.name == script.name) {
            None => &mut changes.added,
            // The manifest holds the content's hash.
            Some(old) if old == *script => &mut changes.unchanged,
            Some(_) => &mut changes.changed,
        };
        list.push(script.name.clone());
    }
    let gone = old.iter().filter(|o| !new.iter().any(|n| n.name == o.name));
    changes.removed = gone.map(|o| o.name.clone()).collect();
    changes
}

/// A script for tests, whose content is its name.
#[cfg(test)]
pub(crate) fn sample(name: &str) -> ScriptFile {
    let content = format!("#!/bin/sh\necho {name}\n").into_bytes();
    let script = Script {
        name: name.into(),
        title: "A script".into(),
        description: "Says its name.".into(),
        timeout_s: 60,
        output_limit_bytes: 1 << 20,
        sha256: hms_proto::script::sha256(&content),
        ..Script::default()
    };
    ScriptFile { script: Some(script), content }
}

/// Makes these the scripts, in tests.
#[cfg(test)]
pub(crate) async fn put(pool: &sqlx::PgPool, files: &[ScriptFile]) -> Result<Changes> {
    let mut tx = pool.begin().await?;
    let changes = replace(&mut tx, files, "ada").await?;
    tx.commit().await?;
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_sync_replaces_the_whole_set_and_says_what_changed(pool: PgPool) -> Test {
        assert_eq!(wanted(&pool).await?, None, "nobody has synced");
        let (a, b, c) = (sample("a"), sample("b"), sample("c"));
        put(&pool, &[b.clone(), a.clone()]).await?;
        let mut other = b.clone();
        other.script.as_mut().unwrap().title = "Another".into();
        let changes = put(&pool, &[c.clone(), other.clone()]).await?;
        assert_eq!((&changes.added[..], &changes.changed[..]), (&["c".into()][..], &["b".into()][..]));
        assert_eq!((&changes.removed[..], changes.unchanged.len()), (&["a".into()][..], 0));
        assert_eq!(files(&pool).await?, [other.clone(), c.clone()]);
        let stored = get(&pool, "b").await?.unwrap();
        assert_eq!((stored.script().title.as_str(), stored.synced_by.as_str()), ("Another", "ada"));
        assert!(get(&pool, "a").await?.is_none());
        let again = compare(&pool, &[c, other]).await?;
        assert_eq!(again.unchanged, ["b", "c"]);
        put(&pool, &[]).await?;
        assert_eq!(wanted(&pool).await?, Some(vec![]), "hosts are to have none");
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_unchanged_script_keeps_its_date(pool: PgPool) -> Test {
        put(&pool, &[sample("a")]).await?;
        let first = get(&pool, "a").await?.unwrap().synced_at;
        put(&pool, &[sample("a")]).await?;
        assert_eq!(get(&pool, "a").await?.unwrap().synced_at, first);
        Ok(())
    }
}
