//! Restarting a unit: by HMS, which also waits that it stays up, and by a bare D-Bus call.

use std::time::Duration;

use anyhow::Result;
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{GetUnitRequest, UnitActionRequest};
use hms_tests::people;
use hms_tests::world::World;
use tonic::Request;

use super::table::{Table, in_turn};

const UNIT: &str = "sleeper.service";
/// How long HMS looks on after systemd said "done"; not overhead but the point.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) async fn measure(world: &World, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    host.write_file(
        format!("/etc/systemd/system/{UNIT}"),
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n",
    )
    .await?;
    host.run(&["systemctl", "daemon-reload"]).await?;
    let admin = people::log_in_as_admin(world).await?;
    let mut units = admin.units(&world.grpc())?;
    let restart = async || {
        let mut request = Request::new(UnitActionRequest { unit: UNIT.into() });
        request.metadata_mut().insert(HOST_KEY, "asterra".parse()?);
        units.restart(request).await?;
        Ok(())
    };
    let busctl = [
        "busctl",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "RestartUnit",
        "ss",
        UNIT,
        "replace",
    ];
    let (ours, peer) = in_turn(9, restart, async || host.run(&busctl).await.map(drop)).await?;
    table.compare(
        "restart a unit, less the second that HMS watches it",
        ours.saturating_sub(SETTLE),
        "busctl, which does not wait",
        peer,
    );

    let mut units = admin.units(&world.grpc())?;
    let get = async || {
        let mut request = Request::new(GetUnitRequest { unit: UNIT.into() });
        request.metadata_mut().insert(HOST_KEY, "asterra".parse()?);
        units.get(request).await?;
        Ok(())
    };
    let show = ["systemctl", "show", UNIT];
    let (ours, peer) = in_turn(31, get, async || host.run(&show).await.map(drop)).await?;
    table.compare("the state of a unit", ours, "systemctl show", peer);
    Ok(())
}
