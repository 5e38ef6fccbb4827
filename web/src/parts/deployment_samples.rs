//! Deployments to look at.

use super::{DeploymentCard, DeploymentRow, JobState, Step, StepState, WorkKind};
use crate::frame::SAMPLE_NOW_US;

/// Name, seconds it takes, what it did.
const STEPS: [(&str, i64, &str); 12] = [
    ("prepare", 1, "14.2 GiB free; nothing was changed by hand"),
    ("fetch", 2, "main is 8f3c2a1"),
    ("checkout", 1, "releases/20261124T183512-8f3c2a1"),
    ("bundle", 38, "3 gems installed, 97 kept"),
    ("assets", 24, "assets:precompile"),
    ("release", 6, "db:migrate ran 1 migration"),
    ("trial", 7, "/up answered 200 after 4.1 s"),
    ("switch", 1, "current is 20261124T183512-8f3c2a1"),
    ("restart", 9, "socket: Gemfile.lock changed"),
    ("health", 2, "/up answered 200 through the socket"),
    ("site", 0, "unchanged"),
    ("prune", 1, "1 release removed"),
];

impl Step {
    /// The steps of a deployment of which `done` are done and the next is in `state`.
    pub fn samples(done: usize, state: StepState) -> Vec<Self> {
        let mut at = SAMPLE_NOW_US - 92_000_000;
        let step = |(n, (name, seconds, detail)): (usize, &(&str, i64, &str))| {
            let (begun, is) = (at, if n < done { StepState::Done } else { state });
            at += seconds * 1_000_000 + 240_000;
            let is = match (n > done, *name) {
                (true, _) => StepState::Waiting,
                (_, "site") if is == StepState::Done => StepState::Skipped,
                _ => is,
            };
            Self {
                name: (*name).into(),
                state: is,
                started_us: Some(begun).filter(|_| is != StepState::Waiting),
                ended_us: Some(at).filter(|_| is.is_over()),
                detail: if is.is_over() { (*detail).into() } else { String::new() },
                offset: if n == 0 { 0 } else { 47 },
            }
        };
        STEPS.iter().enumerate().map(step).collect()
    }
}

impl DeploymentRow {
    /// One that went live.
    pub fn sample() -> Self {
        Self {
            id: "0193a5c4-7be1-7cc2-9d6e-000000000301".into(),
            app: "cigar".into(),
            state: JobState::Succeeded,
            host: "asterra".into(),
            branch: "main".into(),
            commit: "8f3c2a1d9be04c7785a1f0f3c2ab61d2e9057731".into(),
            subject: "Show the humidor's temperature on the front page".into(),
            author: "Ada Lind".into(),
            release: "20261124T183512-8f3c2a1".into(),
            from_release: "20261123T091144-1a2b3c4".into(),
            from_commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".into(),
            secrets_version: 3,
            actor: "henrik".into(),
            source: "web".into(),
            created_us: SAMPLE_NOW_US - 93_000_000,
            started_us: Some(SAMPLE_NOW_US - 92_000_000),
            ended_us: Some(SAMPLE_NOW_US - 1_100_000),
            steps: Step::samples(12, StepState::Done),
            ..Self::default()
        }
    }

    /// One that runs.
    pub fn sample_running() -> Self {
        Self {
            state: JobState::Running,
            ended_us: None,
            release: String::new(),
            started_us: Some(SAMPLE_NOW_US - 52_000_000),
            steps: Step::samples(4, StepState::Running),
            ..Self::sample()
        }
    }

    /// A history of an app, newest first.
    pub fn samples() -> Vec<Self> {
        let back = |seconds: i64, took: i64| {
            (SAMPLE_NOW_US - seconds * 1_000_000, Some(SAMPLE_NOW_US - (seconds - took) * 1_000_000))
        };
        let row = |n: u32, state, (created_us, ended_us): (i64, Option<i64>)| Self {
            id: format!("0193a5c4-7be1-7cc2-9d6e-{n:012}"),
            state,
            created_us,
            started_us: Some(created_us),
            ended_us,
            ..Self::sample()
        };
        vec![
            row(310, JobState::Succeeded, back(93, 92)),
            Self {
                subject: "Use sassc again".into(),
                commit: "c0ffee1d9be04c7785a1f0f3c2ab61d2e9057731".into(),
                reason: "bundle failed: sassc needs libsass, which this host does not have".into(),
                release: String::new(),
                actor: "ada".into(),
                source: "cli".into(),
                steps: Step::samples(3, StepState::Failed),
                ..row(309, JobState::Failed, back(4_200, 41))
            },
            Self {
                kind: WorkKind::Apply,
                subject: String::new(),
                ..row(308, JobState::Succeeded, back(86_000, 12))
            },
            Self {
                kind: WorkKind::Rollback,
                subject: "Let members book a table".into(),
                commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".into(),
                release: "20261123T091144-1a2b3c4".into(),
                ..row(307, JobState::Succeeded, back(92_000, 19))
            },
            Self {
                app: "tobacco".into(),
                host: "borealis".into(),
                subject: "Upgrade to Rails 6.1.7.10".into(),
                reason: "canceled by ada".into(),
                ..row(306, JobState::Canceled, back(180_000, 30))
            },
        ]
    }
}

impl DeploymentCard {
    /// One that went live.
    pub fn sample() -> Self {
        Self { row: DeploymentRow::sample(), output_bytes: 18_204, ..Self::default() }
    }

    /// One that runs.
    pub fn sample_running() -> Self {
        Self { row: DeploymentRow::sample_running(), output_bytes: 9_104, ..Self::default() }
    }

    /// One whose release did not boot.
    pub fn sample_failed() -> Self {
        let mut steps = Step::samples(6, StepState::Failed);
        steps[6].detail = "it ended with exit status 1 before it answered".into();
        let row = DeploymentRow {
            state: JobState::Failed,
            release: String::new(),
            reason: "The new release did not boot: it ended with exit status 1 before it answered /up."
                .into(),
            ended_us: Some(SAMPLE_NOW_US - 21_000_000),
            steps,
            ..DeploymentRow::sample()
        };
        let tail = [
            "[20311] Puma starting in cluster mode...",
            "[20311] * Puma version: 5.6.5 (ruby 3.1.2-p20) (\"Birdie's Version\")",
            "\u{1b}[31mbundler: failed to load command: puma\u{1b}[0m",
            "/srv/cigar/releases/20261124T183512-8f3c2a1/config/application.rb:12:in `<class:Application>': undefined method `humidor' (NoMethodError)",
            "\tfrom /srv/cigar/releases/20261124T183512-8f3c2a1/config/application.rb:7:in `<module:Cigar>'",
        ];
        Self { row, tail: tail.map(str::to_owned).to_vec(), output_bytes: 22_018, ..Self::default() }
    }

    /// One that was put back after it had gone live.
    pub fn sample_undone() -> Self {
        let mut card = Self::sample_failed();
        card.row.steps = Step::samples(9, StepState::Failed);
        for step in &mut card.row.steps[7..9] {
            step.state = StepState::Undone;
        }
        card.row.steps[9].detail = "/up answered 500 for 60 s".into();
        card.row.reason = "The new release is not well: /up answered 500 for 60 s.\nFATAL: relation \"tables\" does not exist".into();
        card.row.subject = "<script>alert('subject')</script>\u{202e}".into();
        card
    }
}
