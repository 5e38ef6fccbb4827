//! A job that has steps, as text: each step in one line when it is over, and before it what it had to say.

use hms_proto::host::v1::{Job, JobStep, StepState};
use unicode_width::UnicodeWidthStr as _;

use super::{
    lines::{Line, Lines},
    screen::Screen,
    view::Form,
};
use crate::output::{escape::inline, measure::took, table::Look};

/// The steps of one job, on their way to be written.
pub(super) struct Steps {
    form: Form,
    steps: Vec<JobStep>,
    /// How each was told, as far as they were.
    told: Vec<StepState>,
    /// Bytes of output that came.
    received: u64,
    lines: Lines,
    screen: Screen,
    /// The step whose name stands above the output.
    headed: Option<usize>,
}

impl Steps {
    /// `job`: as it is now, so that output that came before is put where it belongs.
    pub(super) fn new(job: &Job, form: Form) -> Self {
        let screen = Screen::new(form.colour);
        let (told, lines) = (Vec::new(), Lines::default());
        Self { form, steps: job.steps.clone(), told, received: 0, lines, screen, headed: None }
    }

    /// What to write when a piece of output has come.
    pub(super) fn output(&mut self, mut piece: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        self.settle(false, &mut text);
        while !piece.is_empty() {
            let room = self.until_next().unwrap_or(u64::MAX);
            let (now, later) = piece.split_at(usize::try_from(room).unwrap_or(usize::MAX).min(piece.len()));
            self.received += now.len() as u64;
            for line in self.lines.push(now) {
                self.line(&line, &mut text);
            }
            piece = later;
            self.settle(false, &mut text);
        }
        text
    }

    /// So many bytes are gone.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.received += bytes;
    }

    /// What to write when steps changed.
    pub(super) fn change(&mut self, job: &Job) -> Vec<u8> {
        let mut text = Vec::new();
        self.steps.clone_from(&job.steps);
        self.settle(false, &mut text);
        text
    }

    /// What to write when the job has ended. All of its output has come.
    pub(super) fn end(&mut self, job: &Job) -> Vec<u8> {
        let mut text = Vec::new();
        self.steps.clone_from(&job.steps);
        self.settle(true, &mut text);
        for index in 0..self.told.len() {
            let (before, after) =
                (self.told[index], self.steps.get(index).map_or(StepState::Done, JobStep::state));
            if before != after {
                self.told[index] = after;
                text.extend(self.told_as(index));
            }
        }
        text
    }

    /// What is under way: `bundle (4 of 12)`.
    pub(super) fn now(&self) -> Option<String> {
        let at = self.steps.iter().position(|step| step.state() == StepState::Running)?;
        Some(format!("{} ({} of {})", inline(&self.steps[at].name), at + 1, self.steps.len()))
    }

    /// Bytes until the output of a later step begins.
    fn until_next(&self) -> Option<u64> {
        let starts = self.steps.iter().filter(|step| step.started_usec > 0).map(|step| step.output_offset);
        starts.filter(|start| *start > self.received).min().map(|start| start - self.received)
    }

    /// The step that output belongs to which comes now.
    fn current(&self) -> Option<usize> {
        self.steps.iter().rposition(|step| step.started_usec > 0 && step.output_offset < self.received.max(1))
    }

    /// Tells steps that are over, in their order. Of the last one that began more output may come.
    fn settle(&mut self, ended: bool, text: &mut Vec<u8>) {
        while let Some(step) = self.steps.get(self.told.len()) {
            let index = self.told.len();
            let over = !matches!(step.state(), StepState::Waiting | StepState::Running);
            let mut later = self.steps[index + 1..].iter();
            let passed = later.any(|next| next.started_usec > 0 && next.output_offset <= self.received);
            if !(over && (passed || ended)) {
                break;
            }
            self.told.push(step.state());
            if let Some(line) = self.lines.end() {
                self.line(&line, text);
            }
            text.extend(self.told_as(index));
        }
        if ended && let Some(line) = self.lines.end() {
            self.line(&line, text);
        }
    }

    fn line(&mut self, line: &Line, text: &mut Vec<u8>) {
        let current = self.current();
        if current != self.headed && !line.continued {
            self.headed = current;
            let name = current.map(|at| inline(&self.steps[at].name).into_owned()).unwrap_or_default();
            text.extend(Look::Faint.paint(&format!("◐ {name}"), self.form.colour).into_bytes());
            text.push(b'\n');
        }
        text.extend(if line.continued { b"  \xe2\x80\xa6 ".as_slice() } else { b"  ".as_slice() });
        match self.form.screen {
            true => text.extend(self.screen.line(&line.text).into_bytes()),
            false => text.extend(&line.text),
        }
        text.push(b'\n');
    }

    fn told_as(&self, index: usize) -> Vec<u8> {
        let step = &self.steps[index];
        (sentence(step, widest(&self.steps), self.form.colour) + "\n").into_bytes()
    }
}

pub(crate) fn widest(steps: &[JobStep]) -> usize {
    steps.iter().map(|step| inline(&step.name).width()).max().unwrap_or(0)
}

/// `● bundle    14.2 s  61 gems`.
pub(crate) fn sentence(step: &JobStep, widest: usize, colour: bool) -> String {
    let (symbol, word, look) = match step.state() {
        StepState::Waiting => ("◦", "waiting", Look::Faint),
        StepState::Running => ("◐", "running", Look::Busy),
        StepState::Done => ("●", "", Look::Good),
        StepState::Skipped => ("○", "nothing to do", Look::Faint),
        StepState::Failed => ("▲", "failed", Look::Bad),
        StepState::Undone => ("○", "put back", Look::Busy),
    };
    let name = inline(&step.name);
    let pad = " ".repeat(widest.saturating_sub(name.width()));
    let time = match (step.started_usec, step.ended_usec) {
        (began @ 1.., ended) if ended >= began => {
            took(u32::try_from((ended - began) / 1000).unwrap_or(u32::MAX))
        }
        _ => "–".into(),
    };
    let detail = inline(&step.detail);
    let more = match (word, &*detail) {
        ("", detail) => detail.to_owned(),
        (word, "") => word.to_owned(),
        (word, detail) => format!("{word}: {detail}"),
    };
    format!("{} {name}{pad}  {time:>8}  {more}", look.paint(symbol, colour)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Form = Form { screen: true, colour: false };

    fn step(name: &str, state: StepState, began: i64, ended: i64, offset: u64, detail: &str) -> JobStep {
        let usec = |s: i64| s * 1_000_000;
        JobStep {
            name: name.into(),
            state: state.into(),
            started_usec: usec(began),
            ended_usec: usec(ended),
            detail: detail.into(),
            output_offset: offset,
        }
    }

    fn job(steps: Vec<JobStep>) -> Job {
        Job { steps, ..Job::default() }
    }

    fn whole() -> Job {
        use StepState as S;
        job(vec![
            step("prepare", S::Done, 1, 2, 0, ""),
            step("fetch", S::Done, 2, 4, 0, "1a2b3c4 Fix the \x1b[2Jlogin"),
            step("checkout", S::Skipped, 0, 0, 0, ""),
            step("bundle", S::Done, 4, 84, 8, "61 gems"),
            step("switch", S::Undone, 84, 85, 25, ""),
            step("restart", S::Failed, 85, 90, 25, "it ended with exit status 1"),
            step("health", S::Waiting, 0, 0, 0, ""),
        ])
    }

    const OUTPUT: &[u8] = b"remote:\nFetching\nUsing rano newline";

    /// As it is told while it happens: the steps are learned one by one.
    fn live() -> String {
        use StepState as S;
        let end = whole();
        let mut seen =
            job(end.steps.iter().map(|s| JobStep { name: s.name.clone(), ..JobStep::default() }).collect());
        let mut steps = Steps::new(&seen, PLAIN);
        let mut text = Vec::new();
        let mut sent = 0;
        for (index, step) in end.steps.iter().enumerate().filter(|(_, step)| step.started_usec > 0) {
            let offset = usize::try_from(step.output_offset).unwrap();
            text.extend(steps.output(&OUTPUT[sent..offset]));
            sent = offset;
            for earlier in 0..index {
                seen.steps[earlier] = match end.steps[earlier].state() {
                    S::Undone => JobStep { state: S::Done.into(), ..end.steps[earlier].clone() },
                    _ => end.steps[earlier].clone(),
                };
            }
            seen.steps[index] = JobStep { state: S::Running.into(), ended_usec: 0, ..step.clone() };
            text.extend(steps.change(&seen));
        }
        text.extend(steps.output(&OUTPUT[sent..]));
        text.extend(steps.end(&end));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn each_step_is_told_after_its_output() {
        insta::assert_snapshot!(live());
    }

    /// Of a job that one comes to late, all output comes at once.
    #[test]
    fn output_is_put_to_its_step_however_it_is_cut() {
        let told = |size: usize| {
            let mut steps = Steps::new(&whole(), PLAIN);
            let mut text: Vec<u8> = OUTPUT.chunks(size).flat_map(|piece| steps.output(piece)).collect();
            text.extend(steps.end(&whole()));
            String::from_utf8(text).unwrap()
        };
        let all = told(OUTPUT.len());
        insta::assert_snapshot!(all);
        for size in 1..OUTPUT.len() {
            assert_eq!(told(size), all, "{size}");
        }
    }

    #[test]
    fn what_is_under_way_is_named() {
        let running = job(vec![
            step("fetch", StepState::Done, 1, 2, 0, ""),
            step("bundle", StepState::Running, 2, 0, 0, ""),
        ]);
        assert_eq!(Steps::new(&running, PLAIN).now().as_deref(), Some("bundle (2 of 2)"));
        assert_eq!(Steps::new(&whole(), PLAIN).now(), None);
    }
}
