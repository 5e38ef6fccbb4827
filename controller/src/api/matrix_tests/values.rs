//! Values of a script's parameters that name something: they bound a call as its own fields do.

use hms_proto::{
    controller::v1::{AddScheduleRequest, RunRequest},
    host::v1::{Parameter, ParameterKind},
};
use prost::Message as _;

use super::*;
use crate::{
    counts,
    db::{reach::fingerprint, scripts},
};

/// A script that can be told an app, a host, a unit and a text.
async fn add_script(pool: &PgPool) -> Test {
    let mut file = scripts::sample("look");
    let kinds = [
        ("app", ParameterKind::App),
        ("host", ParameterKind::Host),
        ("unit", ParameterKind::Unit),
        ("text", ParameterKind::Text),
    ];
    let parameter = |(name, kind): (&str, ParameterKind)| Parameter {
        name: name.into(),
        label: name.into(),
        kind: kind.into(),
        ..Parameter::default()
    };
    file.script.as_mut().expect("a sample has a manifest").parameters = kinds.map(parameter).into();
    scripts::put(pool, &[file]).await?;
    Ok(())
}

/// Each method that takes values, with these, on the host that is the caller's own.
fn calls(world: &World, values: &[(&str, &str)]) -> [(&'static str, Vec<u8>); 3] {
    let parameters = || values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let target = || Some(Target { hosts: vec![world.own.host.clone()], ..Target::default() });
    let run = RunRequest {
        script: "look".into(),
        target: target(),
        parameters: parameters(),
        ..RunRequest::default()
    };
    let schedule = AddScheduleRequest {
        script: "look".into(),
        target: target(),
        parameters: parameters(),
        cron: "0 6 * * *".into(),
        ..AddScheduleRequest::default()
    };
    [
        ("/hms.controller.v1.JobService/Preview", run.encode_to_vec()),
        ("/hms.controller.v1.JobService/Run", run.encode_to_vec()),
        ("/hms.controller.v1.JobService/AddSchedule", schedule.encode_to_vec()),
    ]
}

/// Security cases 18 and 86.
#[sqlx::test(migrations = "../migrations")]
async fn values_of_parameters_name_what_is_within_the_scope(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    add_script(&pool).await?;
    let caller = world.caller("scoped", Role::Operator, &[world.host_scope()]).await?;
    let all = world.caller("all", Role::Operator, &[Limit::Everything]).await?;
    let (own, foreign) = (&world.own, &world.foreign);
    let beyond: [&[(&str, &str)]; 6] = [
        &[("app", &foreign.app)],
        &[("host", &foreign.host)],
        &[("app", "noapp")],
        &[("host", "nohost")],
        &[("app", &own.app), ("host", &foreign.host)],
        &[("app", &foreign.app), ("host", &own.host), ("text", &own.app)],
    ];
    let (before, denied) = (fingerprint(&pool).await?, world.denied().await?);
    let mut cells = 0;
    for values in beyond {
        for (path, request) in calls(&world, values) {
            let (code, told) = world.call(&caller, path, None, &request).await?;
            anyhow::ensure!(
                code == Code::PermissionDenied && told.is_empty(),
                "{path} with {values:?} was let in: {code:?}"
            );
            cells += 1;
        }
    }
    anyhow::ensure!(before == fingerprint(&pool).await?, "something refused has changed something");
    anyhow::ensure!(world.denied().await? - denied == cells, "not every refusal is in the audit");
    let within: [&[(&str, &str)]; 4] = [
        &[],
        &[("app", &own.app), ("host", &own.host)],
        &[("unit", "puma-x.service"), ("text", &foreign.app)],
        &[("app", ""), ("host", "")],
    ];
    for (caller, values) in
        within.map(|values| (&caller, values)).into_iter().chain(beyond.map(|v| (&all, v)))
    {
        for (path, request) in calls(&world, values) {
            let (code, _) = world.call(caller, path, None, &request).await?;
            anyhow::ensure!(code == Code::Ok, "{path} with {values:?} by {}: {code:?}", caller.name);
            cells += 1;
        }
    }
    counts::tell("scope matrix cells (values of parameters)", cells, 0);
    Ok(())
}

/// A value takes away, and adds nothing: who has an app does not get to its host by naming the app.
#[sqlx::test(migrations = "../migrations")]
async fn a_value_opens_no_host(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    add_script(&pool).await?;
    let caller = world.caller("scoped", Role::Operator, &[world.app_scope()]).await?;
    for (path, request) in calls(&world, &[("app", &world.own.app)]) {
        let (code, _) = world.call(&caller, path, None, &request).await?;
        anyhow::ensure!(code == Code::PermissionDenied, "{path}: {code:?}");
    }
    Ok(())
}
