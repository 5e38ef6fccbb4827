//! People in a real browser: invited, confirmed, limited, locked out, removed.

use anyhow::{Context as _, Result, ensure};
use hms_tests::browser;
use hms_tests::world::World;
use serde_json::Value;

/// What the script chooses as passwords.
const CANARIES: [&str; 2] = ["seven small grey stones", "eight large red pebbles"];

/// Security cases 10, 16 and 17: what people do with accounts is recorded, and nothing of what they typed.
#[tokio::test]
async fn the_browser_invites_confirms_limits_locks_out_resets_and_removes() -> Result<()> {
    let world = World::single().await?;
    let controller = world.controller_host().name();
    println!("{}", browser::run(&world, "accounts.mjs", &[("HMS_CONTROLLER", controller)]).await?);
    let said = world.admin().run(&["audit", "--limit", "500", "-o", "json"]).await?;
    ensure!(CANARIES.iter().all(|canary| !said.contains(canary)), "a password is in the audit");
    let said: Value = serde_json::from_str(&said).context("the audit")?;
    let records = said["records"].as_array().context("records")?;
    let done = |method: &str, outcome: &str| {
        let method = format!("/hms.controller.v1.{method}");
        records.iter().filter(|r| r["method"] == method.as_str() && r["outcome"] == outcome).count()
    };
    assert_eq!(done("UserService/Invite", "ok"), 2);
    assert_eq!(done("UserService/Invite", "denied"), 2, "each time the login was too old");
    for once in ["Edit", "Disable", "Enable", "Reset", "Remove"] {
        assert_eq!(done(&format!("UserService/{once}"), "ok"), 1, "{once}");
    }
    for (times, method) in [(2, "EnableTotp"), (1, "DisableTotp"), (1, "NewRecoveryCodes")] {
        assert_eq!(done(&format!("AccountService/{method}"), "ok"), times, "{method}");
    }
    assert_eq!(done("AccountService/NewRecoveryCodes", "denied"), 1, "the login was too old");
    assert_eq!((done("TokenService/Create", "ok"), done("TokenService/Revoke", "ok")), (1, 1));
    Ok(())
}
