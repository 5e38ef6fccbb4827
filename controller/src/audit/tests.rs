//! A start of the controller and the chain that it finds.

use hms_proto::{
    controller::v1::{
        AddHostRequest, AddScheduleRequest, AppSettings, LabelHostRequest, PauseScheduleRequest,
        RemoveAppRequest, RemoveHostRequest, RemoveScheduleRequest, RotateSecretRequest, SetSecretsRequest,
        Target,
    },
    host::v1::Secret,
};

use super::*;
use crate::{
    auth::{Caller, Source},
    jobs::tests::controller,
};

type Test = anyhow::Result<()>;

pub(super) async fn act(pool: &PgPool, calls: usize) -> Test {
    for _ in 0..calls {
        let intent = Intent {
            request_id: Uuid::now_v7(),
            actor: "ada".into(),
            user_id: None,
            source: Source::Cli,
            address: None,
            method: "/hms.host.v1.UnitService/Restart".into(),
            host: "web1".into(),
            target: "puma-cigar.service".into(),
            params: serde_json::json!({}),
        };
        begin(pool, &intent).await?;
        db::audit::outcome(pool, intent.request_id, "ok", "", 1).await?;
    }
    Ok(())
}

/// The same controller after a start: it knows nothing.
pub(super) async fn start(core: &Core) -> anyhow::Result<(i64, String)> {
    *core.audit.look() = Verified::default();
    verify(core).await?;
    Ok(core.audit.verified())
}

/// As whoever owns the database can do it, and undone afterwards.
async fn found_after(core: &Core, sql: &'static str) -> anyhow::Result<(i64, String)> {
    let (keep, back) = (
        "CREATE TABLE kept AS TABLE audit; CREATE TABLE kept_head AS TABLE audit_head;
            ALTER TABLE audit DISABLE TRIGGER USER",
        "ALTER TABLE audit DISABLE TRIGGER USER; DELETE FROM audit; INSERT INTO audit SELECT * FROM kept;
            DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head; DROP TABLE kept, kept_head;
            ALTER TABLE audit ENABLE TRIGGER USER",
    );
    for text in [keep, sql, "ALTER TABLE audit ENABLE TRIGGER USER"] {
        sqlx::raw_sql(text).execute(&core.db).await?;
    }
    let found = start(core).await?;
    if sql.starts_with("DELETE") {
        act(&core.db, 5).await?;
        let (seq, broken) = start(core).await?;
        anyhow::ensure!(
            seq == 9 && broken.starts_with("row 10: the controller itself kept another hash"),
            "{broken}"
        );
    }
    sqlx::raw_sql(back).execute(&core.db).await?;
    Ok(found)
}

/// Security case 113: a start goes on where the last one came to, and finds that place as it was, or says so.
#[sqlx::test(migrations = "../migrations")]
async fn a_start_verifies_what_came_since_the_last_and_notices_what_is_gone(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    anyhow::ensure!(start(&core).await? == (0, String::new()), "nothing is there yet");
    act(&pool, 5).await?;
    anyhow::ensure!(start(&core).await? == (10, String::new()));
    anyhow::ensure!(db::audit_chain::verified(&pool).await?.is_some_and(|(seq, _)| seq == 10));
    // What lies before that place is for the slow pass: a start does not read it again.
    let old = found_after(&core, "UPDATE audit SET actor = 'eve' WHERE seq = 3").await?;
    anyhow::ensure!(old == (10, String::new()), "{old:?}");
    let (seq, broken) = found_after(&core, "UPDATE audit SET actor = 'eve' WHERE seq = 10").await?;
    anyhow::ensure!(seq == 9 && broken.starts_with("row 10: "), "{seq} {broken}");
    let cut = "DELETE FROM audit WHERE seq > 6;
        UPDATE audit_head h SET seq = a.seq, hash = a.hash FROM audit a WHERE a.seq = 6";
    let (seq, broken) = found_after(&core, cut).await?;
    anyhow::ensure!(
        seq == 6 && broken.starts_with("row 7: it is missing: the controller itself"),
        "{seq} {broken}"
    );
    anyhow::ensure!(
        db::audit_chain::verified(&pool).await?.is_some_and(|(seq, _)| seq == 10),
        "it never goes back"
    );
    act(&pool, 1).await?;
    anyhow::ensure!(start(&core).await? == (12, String::new()), "whole again, it goes on");
    Ok(())
}

async fn last(pool: &PgPool) -> anyhow::Result<(serde_json::Value, serde_json::Value)> {
    let record = db::audit::recent(pool, 1).await?.remove(0);
    anyhow::ensure!(record.outcome == "ok", "{record:?}");
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_default();
    Ok((parsed(&record.before), parsed(&record.after)))
}

fn again(caller: &Caller) -> Caller {
    Caller { request_id: Uuid::now_v7(), is_recorded: Arc::default(), ..caller.clone() }
}

/// Security case 114.
#[sqlx::test(migrations = "../migrations")]
async fn a_record_of_a_schedule_says_how_it_was_and_is(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let target = Some(Target { hosts: vec!["web1".into()], ..Target::default() });
    let wanted =
        AddScheduleRequest { script: "check".into(), target, cron: "0 4 * * *".into(), ..Default::default() };
    let caller = Caller::system();
    let id = state.gate.jobs(&again(&caller)).add_schedule(wanted).await?.into_inner().id;
    let (before, added) = last(&pool).await?;
    anyhow::ensure!(
        before.is_null() && added["cron"] == "0 4 * * *" && added["target"]["hosts"][0] == "web1",
        "{added}"
    );
    state
        .gate
        .jobs(&again(&caller))
        .pause_schedule(PauseScheduleRequest { id: id.clone(), paused: true })
        .await?;
    let (before, paused) = last(&pool).await?;
    anyhow::ensure!(before == added && paused["paused"] == true && paused["script"] == "check", "{paused}");
    state.gate.jobs(&again(&caller)).remove_schedule(RemoveScheduleRequest { id }).await?;
    anyhow::ensure!(last(&pool).await? == (paused, serde_json::Value::Null));
    Ok(())
}

/// Security cases 78 and 114: equal secrets are told by equal marks, and by nothing else.
#[sqlx::test(migrations = "../migrations")]
async fn a_record_of_secrets_has_marks_and_no_values(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let caller = Caller::system();
    let app = AppSettings { key: "cigar".into(), host: "web1".into(), ..AppSettings::default() };
    state.gate.apps(&again(&caller)).add(app).await?;
    let set = async |value: &str, dry_run| {
        let secrets = vec![Secret { name: "SMTP_PASSWORD".into(), value: value.into() }];
        let asked =
            SetSecretsRequest { key: "cigar".into(), secrets, dry_run, ..SetSecretsRequest::default() };
        state.gate.secrets(&again(&caller)).set(asked).await?;
        last(&pool).await
    };
    let (none, first) = set("canary-1", false).await?;
    let mark = first["SMTP_PASSWORD"].as_str().unwrap_or_default();
    anyhow::ensure!(
        none == serde_json::json!({ "SMTP_PASSWORD": null }) && mark.len() == 32,
        "{none} {first}"
    );
    anyhow::ensure!(set("canary-2", true).await? == Default::default(), "nothing was changed");
    let (before, second) = set("canary-2", false).await?;
    anyhow::ensure!(before == first && second != first, "{before} {second}");
    anyhow::ensure!(set("canary-2", false).await? == Default::default(), "nothing is another");
    anyhow::ensure!(set("canary-1", false).await? == (second, first), "the same again has the same mark");
    let rotate = RotateSecretRequest { key: "cigar".into(), name: "API_TOKEN".into() };
    state.gate.secrets(&again(&caller)).rotate(rotate).await?;
    let (before, after) = last(&pool).await?;
    anyhow::ensure!(before["API_TOKEN"].is_string() && before != after, "{before} {after}");
    let rows = db::audit_chain::rows(&pool, 1, 0, i64::MAX).await?;
    anyhow::ensure!(!format!("{rows:?}").contains("canary"), "a value is in the audit");
    Ok(())
}

/// Security case 114.
#[sqlx::test(migrations = "../migrations")]
async fn a_record_of_a_host_says_how_it_was_and_is(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let caller = Caller::system();
    let wanted = AddHostRequest { name: "web9".into(), address: "192.0.2.9".into() };
    state.gate.fleet(&again(&caller)).add_host(wanted).await?;
    let (before, added) = last(&pool).await?;
    anyhow::ensure!(before.is_null() && added["address"] == "192.0.2.9:9444", "{added}");
    anyhow::ensure!(added["labels"] == serde_json::json!([]) && added["joined"].is_null(), "{added}");
    let wanted =
        LabelHostRequest { name: "web9".into(), add: vec!["env=test".into()], ..LabelHostRequest::default() };
    state.gate.fleet(&again(&caller)).label_host(wanted).await?;
    let (before, labelled) = last(&pool).await?;
    anyhow::ensure!(before == added && labelled["labels"][0] == "env=test", "{labelled}");
    state.gate.fleet(&again(&caller)).remove_host(RemoveHostRequest { name: "web9".into() }).await?;
    anyhow::ensure!(last(&pool).await? == (labelled, serde_json::Value::Null));
    Ok(())
}

/// Security case 114.
#[sqlx::test(migrations = "../migrations")]
async fn a_record_of_an_app_says_how_it_was_and_is(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let caller = Caller::system();
    let url = "https://git.example/cigar.git";
    let spec = Some(hms_proto::host::v1::AppSpec { git_url: url.into(), ..Default::default() });
    let app = AppSettings { key: "cigar".into(), host: "web1".into(), spec, ..AppSettings::default() };
    let settings = state.gate.apps(&again(&caller)).add(app).await?.into_inner();
    let (before, added) = last(&pool).await?;
    anyhow::ensure!(before.is_null() && added["host"] == "web1" && added["spec"]["gitUrl"] == url, "{added}");
    let wanted = AppSettings { name: "Smoke".into(), ..settings };
    state.gate.apps(&again(&caller)).edit(wanted).await?;
    let (before, edited) = last(&pool).await?;
    anyhow::ensure!(before == added && edited["name"] == "Smoke", "{edited}");
    let remove = |key: &str| RemoveAppRequest { key: key.into(), ..RemoveAppRequest::default() };
    state.gate.apps(&again(&caller)).remove(remove("cigar")).await?;
    anyhow::ensure!(last(&pool).await? == (edited, serde_json::Value::Null));
    // A row that somebody wrote by hand may have what is refused otherwise.
    let url = "https://ada:canary@git.example/cigar.git".into();
    let by_hand = db::apps::App { github_repo: url, ..db::apps::sample("smoke") };
    db::apps::add(&mut *pool.acquire().await?, &by_hand).await?;
    state.core.reload().await?;
    state.gate.apps(&again(&caller)).remove(remove("smoke")).await?;
    let (before, after) = last(&pool).await?;
    let url = before["spec"]["gitUrl"].as_str().unwrap_or_default();
    anyhow::ensure!(url.ends_with("@git.example/cigar.git") && after.is_null(), "{before} {after}");
    anyhow::ensure!(!before.to_string().contains("canary"), "{before}");
    Ok(())
}
