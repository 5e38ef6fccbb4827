//! Versions of secrets against a real database.

use sqlx::PgPool;

use super::*;
use crate::db::apps;

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

fn set(name: &str, value: &str) -> Change {
    Change { name: name.into(), value: Some((value.into(), value.len())) }
}

fn gone(name: &str) -> Change {
    Change { name: name.into(), value: None }
}

async fn app(pool: &PgPool) -> Result<()> {
    let mut db = pool.acquire().await?;
    apps::add(&mut db, &apps::sample("cigar")).await
}

async fn names(pool: &PgPool, version: i32) -> Result<Vec<String>> {
    Ok(at(pool, "cigar", version)
        .await?
        .into_iter()
        .map(|s| format!("{}={}@{}", s.name, s.value, s.version))
        .collect())
}

#[sqlx::test(migrations = "../migrations")]
async fn each_version_is_the_whole_set_as_it_was(pool: PgPool) -> Test {
    app(&pool).await?;
    let mut db = pool.acquire().await?;
    put(&mut db, "cigar", 1, &[set("A", "a1"), set("B", "b1")], "ada").await?;
    put(&mut db, "cigar", 2, &[set("A", "a2")], "bob").await?;
    put(&mut db, "cigar", 3, &[gone("B"), set("C", "c3")], "ada").await?;
    put(&mut db, "cigar", 4, &[set("B", "b4")], "ada").await?;
    assert_eq!(names(&pool, 1).await?, ["A=a1@1", "B=b1@1"]);
    assert_eq!(names(&pool, 2).await?, ["A=a2@2", "B=b1@1"]);
    assert_eq!(names(&pool, 3).await?, ["A=a2@2", "C=c3@3"]);
    assert_eq!(names(&pool, 4).await?, ["A=a2@2", "B=b4@4", "C=c3@3"]);
    assert!(names(&pool, 0).await?.is_empty());
    assert_eq!(apps::get(&pool, "cigar").await?.unwrap().secrets_version, 4);
    assert!(put(&mut db, "cigar", 4, &[set("B", "x")], "ada").await.is_err(), "no version is written twice");
    assert!(has_version(&pool, "cigar", 3).await? && !has_version(&pool, "cigar", 5).await?);
    assert!(apps::remove(&pool, "cigar").await?);
    assert!(names(&pool, 4).await?.is_empty());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_of_secrets_is_no_change_of_settings(pool: PgPool) -> Test {
    app(&pool).await?;
    let before = apps::get(&pool, "cigar").await?.unwrap().updated_at;
    let mut db = pool.acquire().await?;
    put(&mut db, "cigar", 1, &[set("A", "a")], "ada").await?;
    set_column(&mut db, "cigar", "api_token", "hms1:x").await?;
    assert_eq!(apps::get(&pool, "cigar").await?.unwrap().updated_at, before);
    let columns = columns(&pool, "cigar").await?;
    assert_eq!(columns.into_iter().collect::<Vec<_>>(), [("API_TOKEN", "hms1:x".to_owned())]);
    Ok(())
}
