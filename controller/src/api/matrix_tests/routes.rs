//! Routes × callers: whom each operation of REST and each page is for.

use std::collections::BTreeMap;

use http::{Method, StatusCode};

use super::{
    bodies::operations,
    port::{Asking, Client, filled, is_refused},
    *,
};
use crate::counts;

/// The least of these callers whom a route lets in, by what was answered to each.
fn least(let_in: [bool; 4]) -> anyhow::Result<&'static str> {
    Ok(match let_in {
        [true, true, true, true] => "anybody",
        [false, true, true, true] => "viewer",
        [false, false, true, true] => "operator",
        [false, false, false, true] => "admin",
        // They ask for a proof besides, and the one that is given here is none.
        [false, false, false, false] => "nobody",
        odd => anyhow::bail!("more is let in with less: {odd:?}"),
    })
}

/// Security cases 1, 2 and 86. The table is reviewed: a route that is for others than it was shows here.
#[sqlx::test(migrations = "../migrations")]
async fn each_route_is_for_whom_the_table_says(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let operations = operations(&world.own);
    let mut asked: Vec<(Asking, String)> = Vec::new();
    for one in &operations {
        let mut asking = Asking::new(&one.method, filled(&one.pattern, &world.own));
        if one.pattern == "/api/account/explain" {
            asking.uri += "?method=UnitService/Restart";
        }
        // Requests are whole, so that it is the gate that refuses them.
        if one.pattern.starts_with("/api/configs/") {
            asking.uri += &format!("?host={}", world.own.host);
        }
        if one.method == Method::PUT {
            asking = asking.with(http::header::IF_MATCH, "\"x\"");
        }
        asked.push((asking.saying(one.body.clone()), format!("{:<6} {}", one.method.as_str(), one.pattern)));
    }
    for (pattern, _) in super::super::pages::routes() {
        let asking = Asking::new(&Method::GET, filled(pattern, &world.own));
        asked.push((asking, format!("{:<6} {pattern}", "GET")));
    }
    let mut let_in: BTreeMap<&str, [bool; 4]> = BTreeMap::new();
    for (n, role) in
        [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)].into_iter().enumerate()
    {
        let mut client = Client::new(&world.state, role).await?;
        for (asking, line) in &asked {
            client.log_in().await?;
            let answer = client.ask(asking).await?;
            // A page that only takes forms is not one that shows something.
            if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
                let_in.entry(line).or_default()[n] = !is_refused(&answer);
            }
        }
    }
    let mut table = Vec::new();
    for (line, let_in) in let_in {
        let least = least(let_in).map_err(|odd| anyhow::anyhow!("{line}: {odd}"))?;
        table.push(format!("{least:<8} {line}"));
    }
    counts::tell("auth matrix cells (routes × callers)", table.len() * 4, 0);
    insta::assert_snapshot!(table.join("\n"));
    Ok(())
}
