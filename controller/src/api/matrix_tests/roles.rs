//! Methods × roles × scopes × confirmations: the gate lets in exactly whom the contract lets in.

use hms_proto::access::{Audience, Reach, rules};

use super::*;
use crate::counts;

/// Security cases 1, 29 and 86: without naming anything, which is enough for who has everything and for nobody else.
#[sqlx::test(migrations = "../migrations")]
async fn the_gate_is_as_the_contract_says(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut callers = Vec::new();
    for (name, role) in [("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)] {
        let everything = world.caller(name, role, &[Limit::Everything]).await?;
        callers.push((everything.clone(), true));
        callers.push((Caller { confirmed: None, ..everything.clone() }, true));
        let part = Scope::within([world.host_scope(), world.app_scope()]);
        callers.push((Caller { scope: part, ..everything.clone() }, false));
        callers.push((Caller { scope: Scope::within([]), ..everything }, false));
    }
    let (mut cells, mut wrong) = (0, Vec::new());
    for (path, rule) in rules() {
        for (caller, has_all) in &callers {
            let host = path.starts_with("/hms.host.").then_some(world.foreign.host.as_str());
            let (code, _) = world.call(caller, path, host, &[]).await?;
            let person = rule.audience == Audience::User && caller.role >= rule.role;
            let expected = match () {
                () if !person => Code::PermissionDenied,
                () if rule.confirm && caller.confirmed.is_none() => Code::Unauthenticated,
                () if rule.reach == Reach::Named && !has_all => Code::PermissionDenied,
                () => Code::Ok,
            };
            cells += 1;
            let refused = [Code::PermissionDenied, Code::Unauthenticated].contains(&code);
            if refused != (expected != Code::Ok) {
                wrong.push(format!(
                    "{path} by {} ({:?}): {code:?}, not {expected:?}",
                    caller.name, caller.scope
                ));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    counts::tell("auth matrix cells (methods × roles × scopes)", cells, wrong.len());
    Ok(())
}
