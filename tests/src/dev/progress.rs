//! Shows a person what is going on: one spinner that names the step at hand.

use std::time::Duration;

use anyhow::Result;
use hms_tests::testbed;
use indicatif::{ProgressBar, ProgressStyle};

/// The step that runs now, with the time it has taken.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Starts with a first step; without a terminal nothing moves and steps are printed as lines.
    pub(crate) fn start(step: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}")
            .expect("the template is valid");
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        let progress = Self { bar };
        progress.step(step);
        progress
    }

    /// Names the next step.
    pub(crate) fn step(&self, step: &str) {
        if self.bar.is_hidden() {
            println!("{step}");
        }
        self.bar.set_message(step.to_owned());
    }

    /// Takes the spinner away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Makes the base image when there is none, showing how far it is.
pub(crate) fn image() -> Result<()> {
    let progress = Progress::start("looking for the base image");
    testbed::prepare_image(&|step| progress.step(&format!("base image: {step}")))?;
    progress.finish();
    Ok(())
}
