//! What became of an action, told where it was asked for.

use super::OutcomeKind;

/// The result of start, stop or restart, shown in the app's row until it is closed or the page is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionOutcome {
    /// `start`, `stop` or `restart`.
    pub verb: String,
    /// How it ended.
    pub kind: OutcomeKind,
    /// One sentence: what, and why. May be empty when it went well.
    pub message: String,
    /// One sentence: what to do next; may be empty.
    pub hint: String,
    /// What systemd tells of the failure: `exit-code`, `signal`, `timeout`, ...; may be empty.
    pub result: String,
    /// Exit status of the main process, or the number of the signal.
    pub exit_status: Option<i32>,
    /// Whether `exit_status` is a signal.
    pub killed_by_signal: bool,
    /// Last lines of the unit's log, oldest first.
    pub log_lines: Vec<String>,
    /// How long it took.
    pub took_ms: u64,
    /// When it ended, in microseconds since the epoch.
    pub at_us: i64,
    /// What finds it in the logs of HMS; may be empty.
    pub request_id: String,
}

impl ActionOutcome {
    /// The headline: `Restarted in 2.4 s`, `Restart failed after 2.4 s`.
    pub fn headline(&self) -> String {
        let took = crate::text::took(self.took_ms);
        let verb = capital(&self.verb);
        match self.kind {
            OutcomeKind::Ok => format!("{} in {took}", past(&verb)),
            OutcomeKind::Failed => format!("{verb} failed after {took}"),
            OutcomeKind::Denied => format!("{verb} was refused"),
            OutcomeKind::Unreachable => format!("{verb} was not done: the host cannot be reached"),
            OutcomeKind::Unknown => format!("{verb} was sent, and its answer was lost"),
            OutcomeKind::Running => format!("{verb} is running"),
        }
    }

    /// `exit status 1`, `killed by signal 9`; empty when there is none.
    pub fn ending(&self) -> String {
        match (self.exit_status, self.killed_by_signal) {
            (Some(signal), true) => format!("killed by signal {signal}"),
            (Some(status), false) => format!("exit status {status}"),
            (None, _) => String::new(),
        }
    }

    /// The log lines, fit to be shown.
    pub fn shown_lines(&self) -> Vec<String> {
        self.log_lines.iter().map(|line| crate::text::plain(line)).collect()
    }

    /// A restart that ended with an exit status.
    pub fn sample_failed() -> Self {
        let lines = [
            "[4711] Puma starting in cluster mode...",
            "[4711] * Puma version: 6.4.2, Ruby 3.1.2",
            "/srv/apps/cigar/config/database.yml:12: could not find expected ':' (Psych::SyntaxError)",
            "\tfrom /srv/apps/cigar/config/environment.rb:5:in `<top (required)>'",
            "puma-cigar.service: Main process exited, code=exited, status=1/FAILURE",
        ];
        Self {
            verb: "restart".into(),
            kind: OutcomeKind::Failed,
            message: "puma-cigar.service did not stay up: its main process ended with exit status 1.".into(),
            hint: "Read the last lines, mend the cause, then start it again.".into(),
            result: "exit-code".into(),
            exit_status: Some(1),
            log_lines: lines.map(str::to_owned).to_vec(),
            took_ms: 2_410,
            at_us: crate::frame::SAMPLE_NOW_US - 4_000_000,
            request_id: "0193a5c4-7be1".into(),
            ..Self::default()
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn past(verb: &str) -> String {
    if verb.ends_with("op") { format!("{verb}ped") } else { format!("{verb}ed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headlines_say_what_happened() {
        let told = |verb: &str, kind| {
            ActionOutcome { verb: verb.into(), kind, took_ms: 2_400, ..ActionOutcome::default() }.headline()
        };
        assert_eq!(told("restart", OutcomeKind::Ok), "Restarted in 2.4 s");
        assert_eq!(told("stop", OutcomeKind::Ok), "Stopped in 2.4 s");
        assert_eq!(told("start", OutcomeKind::Failed), "Start failed after 2.4 s");
    }

    #[test]
    fn signals_are_told_from_exit_statuses() {
        let ending = |killed_by_signal| {
            ActionOutcome { exit_status: Some(9), killed_by_signal, ..ActionOutcome::default() }.ending()
        };
        assert_eq!(ending(false), "exit status 9");
        assert_eq!(ending(true), "killed by signal 9");
    }
}
