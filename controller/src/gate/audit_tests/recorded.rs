//! What happens is recorded, once, however it ends.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::*;
use crate::{auth::Limit, counts};

/// What a record says it was about: reviewed, because nobody can compute it otherwise.
#[sqlx::test(migrations = "../migrations")]
async fn a_record_says_what_it_was_about(pool: PgPool) -> Test {
    let world = World::new(&pool, false).await?;
    let about = Method::all().into_iter().map(|method| {
        let call = Call { caller: world.again(), path: method.path.into(), host: None };
        let target = world.gate.intent(&call, method.rule.describe_request(&method.request)).target;
        format!("{:<50} {target}", method.path).trim_end().to_owned()
    });
    insta::assert_snapshot!(about.collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// Security case 114: every method, done, failed, and without an answer in time.
#[sqlx::test(migrations = "../migrations")]
async fn every_change_has_one_intent_and_one_outcome(pool: PgPool) -> Test {
    let mut world = World::new(&pool, false).await?;
    let methods = Method::all();
    let mut calls = Vec::new();
    for how in [How::Well, How::Badly, How::Never] {
        world.answer(how);
        if how == How::Never {
            world.gate.patience = Duration::from_millis(100);
        }
        // Those that wait for nothing wait together.
        let at_once = if how == How::Never { methods.len() } else { 1 };
        let world = &world;
        let call = async |(number, method): (usize, &Method)| {
            let caller = world.again();
            let fault = world.call(number, method, &caller).await;
            let told = fault.as_ref().map_or("ok", |fault| fault.row().outcome);
            anyhow::ensure!(told == how.word(), "{} answered {how:?}: {fault:?}", method.path);
            anyhow::Ok(Expected::of(world, number, method, &caller, how.word()))
        };
        let made = stream::iter(methods.iter().enumerate()).map(call).buffer_unordered(at_once);
        calls.extend(made.try_collect::<Vec<_>>().await?);
    }
    check(&pool, &calls, &world.caller).await?;
    counts::tell("audit: methods × {done, failed, no answer in time}, recorded once", calls.len(), 0);
    Ok(())
}

/// Security case 114: every method, refused for each reason that there is.
#[sqlx::test(migrations = "../migrations")]
async fn every_refusal_has_one_intent_and_one_outcome(pool: PgPool) -> Test {
    let world = World::new(&pool, false).await?;
    let all = world.caller.clone();
    let low = |role: Role| Role::try_from(role as i32 - 1).unwrap();
    let scope = Scope::within([Limit::of_row(false, &["elsewhere".into()], &[])]);
    let mut calls = Vec::new();
    for (number, method) in Method::all().iter().enumerate() {
        let rule = method.rule;
        let mut callers = vec![Caller { role: low(rule.role), ..world.again() }];
        if rule.confirm {
            callers.push(Caller { confirmed: None, ..world.again() });
        }
        if rule.audience == Audience::User && rule.reach == Bound::Named {
            callers.push(Caller { scope: scope.clone(), ..world.again() });
        }
        for caller in callers {
            let fault = world.call(number, method, &caller).await;
            let told = fault.as_ref().map_or("ok", |fault| fault.row().outcome);
            anyhow::ensure!(told == "denied", "{}: {fault:?}", method.path);
            calls.push(Expected::of(&world, number, method, &caller, "denied"));
        }
    }
    anyhow::ensure!(world.answers.seen().is_empty(), "something that was refused was done");
    check(&pool, &calls, &all).await?;
    counts::tell("audit: methods × refusals, recorded once", calls.len(), 0);
    Ok(())
}

/// Security case 114: every method, with everything gone between its intent and its outcome.
#[sqlx::test(migrations = "../migrations")]
async fn what_a_crash_leaves_open_is_closed_as_unknown_at_the_next_start(pool: PgPool) -> Test {
    let options = (*pool.connect_options()).clone();
    // A controller of its own, whose tasks end wherever they are when its runtime is dropped.
    let crashed = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let calls = runtime.block_on(async {
            let world = World::new(&PgPool::connect_with(options).await?, false).await?;
            world.answer(How::Never);
            let mut calls = Vec::new();
            for (number, method) in Method::all().iter().enumerate() {
                let caller = world.again();
                tokio::spawn(world.gate.clone().pass(world.request(number, method, &caller)));
                tokio::time::timeout(PATIENCE, async {
                    while !world.answers.has_seen(caller.request_id) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                })
                .await?;
                calls.push(Expected::of(&world, number, method, &caller, "unknown"));
            }
            anyhow::Ok((calls, world.caller))
        })?;
        runtime.shutdown_background();
        Ok(calls)
    });
    let (calls, caller) = crashed.await??;
    anyhow::ensure!(db::audit_chain::head(&pool).await?.0 == i64::try_from(calls.len())?, "only intents");
    anyhow::ensure!(db::audit::close_unfinished(&pool).await? == calls.len() as u64);
    anyhow::ensure!(db::audit::close_unfinished(&pool).await? == 0);
    check(&pool, &calls, &caller).await?;
    counts::tell("audit: methods × a crash, closed as unknown", calls.len(), 0);
    Ok(())
}
