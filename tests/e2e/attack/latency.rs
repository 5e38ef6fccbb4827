//! How long answers took.

use std::fmt;
use std::time::Duration;

/// The median of some times, and what one of a hundred is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Took {
    /// How many there were.
    pub(crate) count: usize,
    half: Duration,
    most: Duration,
}

impl Took {
    pub(crate) fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort();
        let at = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100);
            sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { count: sorted.len(), half: at(50), most: at(99) }
    }

    /// How many times as long what one of a hundred is over is then.
    pub(crate) fn times(self, before: Self) -> f64 {
        self.most.as_secs_f64() / before.most.as_secs_f64().max(1e-6)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(f, "{:.1}/{:.1}", ms(self.half), ms(self.most))
    }
}

#[test]
fn of_a_hundred_times_the_last_but_one_is_the_hundredth() {
    let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
    assert_eq!(Took::of(&times).to_string(), "100.0/198.0");
    assert_eq!(Took::of(&times[..1]).to_string(), "200.0/200.0");
    assert_eq!(Took::of(&[]), Took::default());
    assert!((Took::of(&times).times(Took::of(&times[199..])) - 198.0).abs() < 0.01);
}
