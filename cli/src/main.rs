//! `hmsctl`, the command line of HMS.
//!
//! # Layout
//! - `cli`: global options and the tree of commands; `commands`: one file a noun, arguments and code together.
//! - `context`: where one is logged in; `connect`: connections to the controller or, with `--direct`, to an agent.
//! - `output`: tables, states, sizes and times, escaping; `failure`: errors and exit codes.
//! - `attach`: being attached to jobs, whose output comes as it is written.
//! - `dialog`: the person at the terminal; `complete`: completion from the live system.

mod again;
mod attach;
mod cli;
mod commands;
mod complete;
mod connect;
mod context;
mod dialog;
mod failure;
mod output;
mod session;
mod trouble;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::{
    cli::{Cli, Format},
    failure::{Failure, Result, render},
    session::Session,
};

fn main() -> ExitCode {
    // The tree has one provider; this makes it the default for whoever asks. A second call would only say so.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    clap_complete::CompleteEnv::with_factory(Cli::command).bin("hmsctl").complete();
    let cli = Cli::parse();
    let session = Session::new(cli.global);
    let ended = runtime().and_then(|runtime| {
        let ended = runtime.block_on(run(&session, cli.command));
        // A prompt that still waits for a line must not keep the program alive.
        runtime.shutdown_background();
        ended
    });
    match ended.and_then(|()| session.out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Failure::Fault(fault) = &failure {
                session.out.say(&render(fault));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn run(session: &Session, command: cli::Command) -> Result<()> {
    use cli::Command as C;
    if matches!(session.out.format, Format::Short | Format::Cat) && !matches!(command, C::Logs(_)) {
        return Err(hms_proto::fault::Fault::invalid("`-o short` and `-o cat` are forms of logs")
            .hint("use table, json or yaml")
            .into());
    }
    match command {
        C::Login(login) => login.run(session).await,
        C::Logout(logout) => logout.run(session).await,
        C::Whoami(whoami) => whoami.run(session).await,
        C::Context(contexts) => contexts.run(session),
        C::Status(status) => status.run(session).await,
        C::Apps(apps) => apps.run(session).await,
        C::Deployments(deployments) => deployments.run(session).await,
        C::Logs(logs) => logs.run(session).await,
        C::Host(hosts) => hosts.run(session).await,
        C::Units(units) => units.run(session).await,
        C::Facts(facts) => facts.run(session).await,
        C::Scripts(scripts) => scripts.run(session).await,
        C::Jobs(jobs) => jobs.run(session).await,
        C::Schedules(schedules) => schedules.run(session).await,
        C::Warnings(warnings) => warnings.run(session).await,
        C::Nginx(nginx) => nginx.run(session).await,
        C::Audit(audit) => audit.run(session).await,
        C::Auth(auth) => auth.run(session).await,
        C::Sessions(sessions) => sessions.run(session).await,
        C::Tokens(tokens) => tokens.run(session).await,
        C::Users(users) => users.run(session).await,
        C::Completion(completion) => completion.run(session),
        C::Version(version) => version.run(session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help_of(command: &mut clap::Command, path: &str, all: &mut String) {
        *all += &format!("\n══ {path}\n{}", command.render_long_help());
        let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        for name in names.iter().filter(|n| *n != "help") {
            let child = command.find_subcommand_mut(name).unwrap();
            help_of(child, &format!("{path} {name}"), all);
        }
    }

    #[test]
    fn help_is_as_reviewed() {
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut all = String::new();
        help_of(&mut command, "hmsctl", &mut all);
        // The same under every command; told once.
        let (first, rest) = all.split_once("\n══ hmsctl login").unwrap();
        let mut told = first.to_owned();
        for part in format!("login{rest}").split("\n══ ") {
            let own = part.split_once("\nGlobal options:").map_or(part, |(own, _)| own);
            let examples = part
                .find(
                    "
Example",
                )
                .map_or("", |at| &part[at..]);
            let own = own
                .split_once(
                    "
Example",
                )
                .map_or(own, |(own, _)| own);
            told += &format!("\n══ {}\n{}", own.trim_end(), examples.trim_end());
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn the_tree_is_sound_and_every_command_has_examples() {
        Cli::command().debug_assert();
        fn check(command: &clap::Command, path: &str) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{path} has no example");
            command.get_subcommands().for_each(|c| check(c, &format!("{path} {}", c.get_name())));
        }
        check(&Cli::command(), "hmsctl");
    }
}
