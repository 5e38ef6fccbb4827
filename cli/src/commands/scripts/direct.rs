//! A script on one host, by its agent alone: for when the controller is down.

use hms_proto::{
    controller::v1::RunPreview,
    host::v1::{Job, StartJobRequest},
    names::JobId,
    script::bind,
};

use super::{
    catalogue,
    launch::{begun_as, jobs_command, let_go_early, maybe_begun, preview_text, surely},
    run::RunScript,
};
use crate::{
    attach::Interrupts,
    commands::jobs::Thing,
    connect::{Connection, Pace},
    failure::Result,
    output::escape::inline,
    session::Session,
};

pub(super) async fn run(session: &Session, link: &Connection, asked: RunScript) -> Result<()> {
    let (_, host) = session.host(asked.aim.only_host()?)?;
    let script = catalogue::one(link, &asked.name).await?;
    let parameters = asked.given.values()?;
    let bound = bind(&script, &parameters, asked.json)?;
    if asked.manner.dry_run {
        let argv = [vec![script.name], bound.arguments].concat();
        let environment = bound.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let preview = RunPreview { hosts: vec![host], argv, environment, unreachable: Vec::new() };
        if session.out.data(&preview)? {
            return Ok(());
        }
        return session.out.write(&preview_text(&preview, session.out.width, session.out.colour));
    }
    if !asked.manner.is_agreed(session, &script.name, &host, script.mutates)? {
        return Ok(());
    }
    let request = StartJobRequest {
        id: JobId::new().to_string(),
        script: script.name,
        // What was looked at is what is meant.
        script_sha256: script.sha256,
        parameters,
        json: asked.json,
        timeout_s: asked.run_timeout.unwrap_or(0),
    };
    let mut interrupts = Interrupts::listen()?;
    let progress = session.out.progress(format!("starting {} on {}", request.script, inline(&host)));
    let look = jobs_command(session, "show", &request.id);
    let begun =
        surely(async || link.answer(Pace::Act, link.host_jobs(None, Pace::Act).start(request.clone())).await);
    let job: Job = tokio::select! {
        job = begun => job.map_err(|failure| maybe_begun(failure, &look))?,
        () = interrupts.asked() => return Err(let_go_early(session, &look)),
    };
    drop(progress);
    begun_as(session, link, Thing::Job(Box::new(job)), &asked.manner, interrupts).await
}
