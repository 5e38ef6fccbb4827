//! The catalogue of scripts.

use super::{JobState, RunRow};

/// One script, and how it went last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptRow {
    /// The name of its folder.
    pub name: String,
    /// A few words.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Whether it changes something.
    pub mutates: bool,
    /// Whether it is a check, whose findings go to the dashboard.
    pub check: bool,
    /// Its last run.
    pub last: Option<RunRow>,
}

impl ScriptRow {
    /// Where it is.
    pub fn href(&self) -> String {
        format!("/scripts/{}", self.name)
    }

    /// Whether each of these words is in what it says of itself.
    pub fn matches(&self, query: &str) -> bool {
        let text = format!("{} {} {}", self.name, self.title, self.description).to_lowercase();
        query.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// How it went last.
    pub fn last_state(&self) -> Option<JobState> {
        self.last.as_ref().map(|run| run.state)
    }

    /// The six of the plan.
    pub fn samples() -> Vec<Self> {
        let runs = RunRow::samples();
        let script = |name: &str, title: &str, description: &str, mutates, check| Self {
            name: name.into(),
            title: title.into(),
            description: description.into(),
            mutates,
            check,
            last: runs.iter().find(|run| run.script == name).cloned(),
        };
        vec![
            script(
                "check_certificates",
                "Check certificates",
                "Says which certificates end soon, and whether what is served is what is on the disk.",
                false,
                true,
            ),
            script(
                "check_database",
                "Test a database connection",
                "Connects as the app does, and shows latency, connections, size and the longest query.",
                false,
                false,
            ),
            script(
                "check_disk_space",
                "Check disk space",
                "Says which file systems are nearly full, of bytes or of inodes, and what takes the room.",
                false,
                true,
            ),
            script(
                "check_status",
                "Check the status of services",
                "Looks at every app, nginx, PostgreSQL and the agent: active, since when, restarts, memory, and whether the app answers.",
                false,
                true,
            ),
            script(
                "parse_logs",
                "Parse logs for errors",
                "Counts what matches in the journal or the logs of nginx, groups what is alike, and shows the last examples.",
                false,
                false,
            ),
            script(
                "restart_service",
                "Restart a service",
                "Shows the state before and after, and the last log lines when it does not stay up.",
                true,
                false,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_search_counts() {
        let found = |query: &str| ScriptRow::samples().iter().filter(|script| script.matches(query)).count();
        assert_eq!(found("NGINX  logs"), 1);
        assert_eq!(found("nothing"), 0);
        assert_eq!(found(""), 6);
    }
}
