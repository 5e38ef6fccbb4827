//! `hmsctl scripts run`.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{RunRequest, Target},
    names::{JobId, ScriptName},
};

use super::{Aim, Given, Manner, catalogue, direct, launch, launch::not_direct};
use crate::{complete, failure::Result, session::Session};

#[derive(Debug, Args)]
pub(super) struct RunScript {
    /// Name of the script
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::scripts))]
    pub(super) name: ScriptName,
    #[command(flatten)]
    pub(super) given: Given,
    #[command(flatten)]
    pub(super) aim: Aim,
    /// On the hosts of this run on which it did not succeed
    #[arg(long, value_name = "RUN", conflicts_with_all = ["hosts", "label", "all"], add = ArgValueCompleter::new(complete::runs))]
    failed_of: Option<JobId>,
    /// Ask the script for JSON
    #[arg(long)]
    pub(super) json: bool,
    /// On so many hosts at a time [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Begin on no further host after so many on which it did not succeed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_failures: Option<u32>,
    /// End it on a host after so long, such as `90s` [default: the script's own limit]
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    pub(super) run_timeout: Option<u32>,
    #[command(flatten)]
    pub(super) manner: Manner,
}

fn whole_seconds(text: &str) -> Result<u32, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| "write a time with its unit, such as `90s` or `5min`".to_owned())?;
    match u32::try_from(time.as_secs()) {
        Ok(seconds) if seconds > 0 && time == Duration::from_secs(seconds.into()) => Ok(seconds),
        _ => Err("it must be whole seconds, at least one".into()),
    }
}

impl RunScript {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.link()?;
        if link.is_direct() {
            self.check_direct()?;
            return direct::run(session, &link, self).await;
        }
        let script = catalogue::one(&link, &self.name).await?;
        let parameters = self.given.values()?;
        let target = match &self.failed_of {
            Some(run) => Target { failed_of: run.to_string(), ..Target::default() },
            None => self.aim.target(session, &link, &script, &parameters).await?,
        };
        let request = RunRequest {
            script: self.name.to_string(),
            target: Some(target),
            parameters,
            json: self.json,
            timeout_s: self.run_timeout.unwrap_or(0),
            batch: self.batch.unwrap_or(0),
            max_failures: self.max_failures.unwrap_or(0),
            id: JobId::new().to_string(),
        };
        launch(session, &link, request, script.mutates, self.manner).await
    }

    fn check_direct(&self) -> Result<()> {
        for (given, option) in [
            (self.failed_of.is_some(), "--failed-of"),
            (self.batch.is_some(), "--batch"),
            (self.max_failures.is_some(), "--max-failures"),
        ] {
            if given {
                return Err(not_direct(option));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_in_whole_seconds() {
        assert_eq!(whole_seconds("2min").unwrap(), 120);
        for bad in ["", "5", "0s", "1500ms", "200years"] {
            assert!(whole_seconds(bad).is_err(), "{bad}");
        }
    }
}
