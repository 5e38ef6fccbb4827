//! Input that is wrong, through every face: a clear answer that names it, and nothing done.

use anyhow::{Context as _, Result, ensure};
use hms_proto::HOST_KEY;
use hms_proto::fault::{Fault, FaultKind};
use hms_proto::host::v1::{
    LogQuery, UnitActionRequest, log_service_client::LogServiceClient, unit_service_client::UnitServiceClient,
};
use hms_proto::identity::Kind;
use hms_tests::world::{ADMIN, World};
use tonic::Request;

use hms_tests::people::log_in;

use crate::support::unit_property;

const HOSTILE_UNITS: &[&str] = &[
    "-H",
    "--host=x",
    "*",
    "a*.service",
    "?",
    "[a-z]",
    "12345",
    "../x.service",
    "a/b",
    "@",
    "x@$(id).service",
    "x@`id`.service",
    "ünit.service",
    "a.service ",
    "home.mount",
    "-.mount",
    "-.slice",
    "",
    "a;b.service",
    "a.service\n",
    "a\u{0}.service",
    "puma-*.service",
];

fn to<T>(host: &str, message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(HOST_KEY, host.parse()?);
    Ok(request)
}

/// Security case 31, at the controller and straight at the agent.
#[tokio::test]
async fn hostile_unit_names_reach_no_unit() -> Result<()> {
    let world = World::single().await?;
    let before = unit_property(&world, "asterra", "puma-cigar.service", "MainPID").await?;
    let admin = log_in(&world, ADMIN, world.password()).await?;
    let agent = format!("{}:9444", world.controller_host().address());
    for (address, kind) in [(world.grpc(), Kind::Controller), (agent, Kind::Agent)] {
        let mut units = UnitServiceClient::new(admin.channel(&address, kind)?);
        for unit in HOSTILE_UNITS {
            let status = units.stop(to("asterra", UnitActionRequest { unit: (*unit).into() })?).await;
            let status = status.err().with_context(|| format!("{unit:?} was accepted by the {kind:?}"))?;
            let fault = Fault::from_status(&status);
            ensure!(fault.kind() == FaultKind::Invalid, "{unit:?} at the {kind:?}: {fault:?}");
            ensure!(!fault.message.contains(['\n', '\u{0}']), "{:?}", fault.message);
        }
        let absent =
            units.restart(to("asterra", UnitActionRequest { unit: "nothing.service".into() })?).await;
        let fault = Fault::from_status(&absent.err().context("a unit that is not there was restarted")?);
        ensure!(
            fault.kind() == FaultKind::NotFound && fault.message.contains("nothing.service"),
            "{fault:?}"
        );
    }
    ensure!(
        unit_property(&world, "asterra", "puma-cigar.service", "MainPID").await? == before,
        "the app was restarted"
    );
    Ok(())
}

/// Security case 32: what HMS itself and the host stand on is not stopped through HMS.
#[tokio::test]
async fn units_that_hold_the_host_up_are_not_stopped() -> Result<()> {
    let world = World::single().await?;
    for unit in ["hms-agent.service", "dbus.service", "systemd-journald.service", "ssh.service"] {
        let refused = world.hmsctl(&["units", "stop", unit, "--host", "asterra", "--yes"]).await?;
        ensure!(refused.code == 4, "{unit}: exit {} {}", refused.code, refused.stderr);
        ensure!(refused.stderr.contains(unit), "{}", refused.stderr);
    }
    world.hmsctl(&["status"]).await?;
    Ok(())
}

#[tokio::test]
async fn unknown_names_are_named_in_every_face_with_its_exit_code() -> Result<()> {
    let world = World::single().await?;
    for (arguments, code, named) in [
        (&["apps", "restart", "nothing"][..], 1, "nothing"),
        (&["apps", "restart", "Not-A-Key"], 2, "Not-A-Key"),
        (&["units", "restart", "nothing.service", "--host", "asterra"], 1, "nothing.service"),
        (&["units", "restart", "-H", "--host", "asterra"], 2, "-H"),
        (&["units", "list", "--host", "nowhere"], 1, "nowhere"),
        (&["logs", "--app", "cigar", "--grep", "(", "-n", "1"], 2, "("),
        (&["logs", "--app", "cigar", "--since", "2 parsecs"], 2, "2 parsecs"),
    ] {
        let output = world.hmsctl(arguments).await?;
        ensure!(output.code == code, "{arguments:?}: exit {}, not {code}: {}", output.code, output.stderr);
        ensure!(
            output.stderr.contains("error: ") && output.stderr.contains(named),
            "{arguments:?}: {}",
            output.stderr
        );
        ensure!(output.stdout.is_empty(), "{arguments:?} printed {}", output.stdout);
    }
    Ok(())
}

/// Security case 33: a cursor or a match is never an option of journalctl.
#[tokio::test]
async fn hostile_log_queries_are_refused() -> Result<()> {
    let world = World::single().await?;
    let admin = log_in(&world, ADMIN, world.password()).await?;
    let mut logs = LogServiceClient::new(admin.channel(&world.grpc(), Kind::Controller)?);
    let queries = [
        LogQuery { after_cursor: "--file=/etc/shadow".into(), ..LogQuery::default() },
        LogQuery { after_cursor: "s=1\n_UID=0".into(), ..LogQuery::default() },
        LogQuery { units: vec!["a.service\n_UID=0".into()], ..LogQuery::default() },
        LogQuery { priority: Some(8), ..LogQuery::default() },
        LogQuery { grep: "(".into(), ..LogQuery::default() },
        LogQuery { grep: "(a{1000}){1000}".into(), ..LogQuery::default() },
        LogQuery { since_usec: -1, ..LogQuery::default() },
    ];
    for query in queries {
        let answer = logs.query(to("asterra", query.clone())?).await;
        let status = match answer {
            Err(status) => status,
            Ok(stream) => stream
                .into_inner()
                .message()
                .await
                .err()
                .with_context(|| format!("{query:?} was accepted"))?,
        };
        ensure!(Fault::from_status(&status).kind() == FaultKind::Invalid, "{query:?}: {status:?}");
    }
    Ok(())
}
