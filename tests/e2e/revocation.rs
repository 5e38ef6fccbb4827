//! What is taken from somebody is gone at every door: their next request is refused, and what they have open ends.

mod doors;
mod taken;

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use hms_tests::people::add_user;
use hms_tests::world::World;
use tokio::time::{sleep, timeout};

use self::doors::{Door, HOST, Open, Person};
use self::taken::Taken;
use super::support::{eventually, tell};

/// After this a request that is let in is no late one any more. What is promised is a second, and it is measured.
const REFUSED: Duration = Duration::from_secs(5);
/// The same of what is open; five seconds are promised.
const CUT: Duration = Duration::from_secs(10);

const ALL: &[Door] = &[Door::Web, Door::Rest, Door::Token, Door::Controller, Door::Agent];
const LOGINS: &[Door] = &[Door::Web, Door::Rest, Door::Controller, Door::Agent];

const CASES: &[(Taken, &[Door])] = &[
    (Taken::Disabled, ALL),
    (Taken::DisabledOnTheHost, ALL),
    (Taken::Lowered, ALL),
    (Taken::LoweredOnTheHost, ALL),
    (Taken::Narrowed, &[Door::Controller, Door::Agent]),
    (Taken::Removed, ALL),
    (Taken::Reset, LOGINS),
    (Taken::PasswordSetOnTheHost, LOGINS),
    // The login that did it stays.
    (Taken::PasswordChanged, &[Door::Web, Door::Controller, Door::Agent]),
    (Taken::LoggedOutEverywhere, LOGINS),
    (Taken::OtherLoginsEnded, &[Door::Rest, Door::Controller, Door::Agent]),
    (Taken::Login("web"), &[Door::Web]),
    (Taken::Login("rest"), &[Door::Rest]),
    (Taken::Login("cli"), &[Door::Controller, Door::Agent]),
    (Taken::Token, &[Door::Token]),
];

/// Asks until it is refused.
async fn refused_after(person: &Person<'_>, door: Door, since: Instant) -> Result<Duration> {
    loop {
        if !person.is_let_in(door).await? {
            return Ok(since.elapsed());
        }
        ensure!(since.elapsed() < REFUSED, "{door:?} is still open to {}", person.name);
        sleep(Duration::from_millis(10)).await;
    }
}

/// How long it took until it was refused, and until what was open had ended.
async fn measure(
    person: &Person<'_>,
    door: Door,
    open: Vec<Open>,
    since: Instant,
) -> Result<(Duration, Vec<Duration>)> {
    let refused = refused_after(person, door, since).await?;
    let mut cut = Vec::new();
    for Open { what, end } in open {
        let ended = timeout(CUT, end).await.with_context(|| format!("{door:?}: {what} is still open"))??;
        cut.push(ended.saturating_duration_since(since));
    }
    println!("  {door:?}: refused after {refused:.0?}, cut after {cut:.1?}");
    Ok((refused, cut))
}

/// Security case 9.
#[tokio::test]
async fn what_is_taken_from_somebody_is_gone_at_every_door() -> Result<()> {
    let world = World::single().await?;
    let (mut refused, mut cut) = (Vec::new(), Vec::new());
    for (number, (what, lost)) in CASES.iter().enumerate() {
        let person = Person::enter(&world, &format!("person{number}")).await?;
        let mut open = Vec::new();
        for door in ALL {
            ensure!(person.is_let_in(*door).await?, "{what:?}: {door:?} is closed before");
            open.push((*door, person.open(*door).await?));
        }
        let ended: Vec<_> = open.iter().filter(|(_, streams)| streams.iter().any(Open::has_ended)).collect();
        ensure!(ended.is_empty(), "{what:?}: ended before: {ended:?}");
        person.take(*what).await?;
        let since = Instant::now();
        println!("{what:?}");
        let (gone, kept): (Vec<_>, Vec<_>) = open.into_iter().partition(|(door, _)| lost.contains(door));
        let measured = gone.into_iter().map(|(door, open)| measure(&person, door, open, since));
        for (took, ends) in try_join_all(measured).await.with_context(|| format!("{what:?}"))? {
            refused.push(took);
            cut.extend(ends);
        }
        for (door, streams) in kept.iter().filter(|_| !matches!(what, Taken::Narrowed)) {
            ensure!(person.is_let_in(*door).await?, "{what:?}: {door:?} is closed, too");
            ensure!(!streams.iter().any(Open::has_ended), "{what:?}: {door:?} was cut, too");
        }
    }
    let late = |times: &[Duration], most| times.iter().filter(|t| **t > Duration::from_secs(most)).count();
    println!("refused after {:.0?} at most, cut after {:.1?}", refused.iter().max(), cut.iter().max());
    tell("revocations × doors: refused later than 1 s", refused.len(), late(&refused, 1), "")?;
    tell("revocations × open streams: cut later than 5 s", cut.len(), late(&cut, 5), "")
}

/// Security cases 9 and 91: a host that was away learns it when it is back, from a controller that was not there when it
/// happened; and what only waited for that host has ended by then.
#[tokio::test]
async fn a_host_that_was_away_learns_who_was_revoked() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let person = Person::enter(&world, "person").await?;
    ensure!(person.is_let_in(Door::Agent).await?, "closed before");
    host.run(&["systemctl", "stop", "hms-agent.service"]).await?;
    let (rest, token) = (person.open(Door::Rest).await?, person.open(Door::Token).await?);
    person.take(Taken::Disabled).await?;
    let since = Instant::now();
    let (rest, token) =
        (measure(&person, Door::Rest, rest, since), measure(&person, Door::Token, token, since));
    tokio::try_join!(rest, token)?;
    host.run(&["systemctl", "restart", "hms-controller.service"]).await?;
    world.wait_until_ready().await?;
    host.run(&["systemctl", "start", "hms-agent.service"]).await?;
    let since = Instant::now();
    eventually(Duration::from_secs(60), async || {
        ensure!(!person.is_let_in(Door::Agent).await?, "the agent does not know");
        Ok(())
    })
    .await?;
    println!("told {:.1?} after the agent was back", since.elapsed());

    // It is on the disk of the host.
    host.run(&["systemctl", "stop", "hms-controller.service"]).await?;
    host.run(&["systemctl", "restart", "hms-agent.service"]).await?;
    // Its unit counts as started before it listens; its first answer counts.
    let is_let_in = eventually(Duration::from_secs(60), async || person.is_let_in(Door::Agent).await).await?;
    ensure!(!is_let_in, "the agent forgot");
    Ok(())
}

/// Security case 9: `hmsctl` says why it ends, at the controller and past it.
#[tokio::test]
async fn a_terminal_that_follows_logs_is_told_that_its_login_has_ended() -> Result<()> {
    let world = World::single().await?;
    let password = add_user(&world, "bob", "operator").await?;
    let (bob, file) = (world.hmsctl_of("bob"), world.folder().join("bob"));
    std::fs::write(&file, password)?;
    bob.log_in(&world.url(), &world.ca_file(), "bob", &file).await?;
    let agent = world.host(HOST)?.address().to_string();
    let follow = ["logs", "--unit", "cron.service", "-f"];
    let following =
        [[&follow[..], &["--host", HOST]].concat(), [&["--direct", &agent], &follow[..]].concat()];
    let mut terminals = Vec::new();
    for arguments in &following {
        let mut command = bob.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        terminals.push(command.spawn()?);
    }
    for arguments in [&["units", "--host", HOST][..], &["--direct", &agent, "units"]] {
        bob.run(arguments).await?;
    }
    for terminal in &mut terminals {
        ensure!(terminal.try_wait()?.is_none(), "it ended by itself");
    }
    world.admin().run(&["users", "logout", "bob"]).await?;
    for (terminal, arguments) in terminals.into_iter().zip(following) {
        let ended =
            timeout(CUT, terminal.wait_with_output()).await.with_context(|| format!("{arguments:?}"))??;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.code() == Some(4) && said.contains("hmsctl login"), "{arguments:?}: {said}");
    }
    for arguments in [&["units", "--host", HOST][..], &["--direct", &agent, "units"]] {
        let refused = bob.exec(arguments).await?;
        ensure!(refused.code == 4, "{arguments:?} ended with {}: {}", refused.code, refused.stderr);
    }
    Ok(())
}
