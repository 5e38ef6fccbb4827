//! A small line of recent values, drawn as SVG without any style attribute.

const WIDTH: f64 = 100.0;
const HEIGHT: f64 = 24.0;

/// Recent values, oldest first, evenly spaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sparkline {
    /// The values; a gap is NaN.
    pub values: Vec<f64>,
    /// Value of the upper edge. None: the largest value.
    pub ceiling: Option<f64>,
}

impl Sparkline {
    /// Scaled to its own largest value.
    pub fn new(values: Vec<f64>) -> Self {
        Self { values, ceiling: None }
    }

    /// With a fixed upper edge.
    pub fn up_to(ceiling: f64, values: Vec<f64>) -> Self {
        Self { values, ceiling: Some(ceiling) }
    }

    /// Whether there is something to draw.
    pub fn is_drawn(&self) -> bool {
        self.values.iter().filter(|value| value.is_finite()).count() > 1
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let highest = self.values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let top = self.ceiling.unwrap_or(highest * 1.15).max(f64::MIN_POSITIVE);
        let step = WIDTH / (self.values.len().max(2) - 1) as f64;
        let place = |(index, value): (usize, &f64)| {
            let y = HEIGHT - 1.0 - (value / top).clamp(0.0, 1.0) * (HEIGHT - 2.0);
            (index as f64 * step, y)
        };
        self.values.iter().enumerate().filter(|(_, value)| value.is_finite()).map(place).collect()
    }

    /// The line, as `points` of a polyline.
    pub fn line(&self) -> String {
        let points: Vec<String> = self.points().iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        points.join(" ")
    }

    /// The area below the line, as `points` of a polygon.
    pub fn area(&self) -> String {
        let points = self.points();
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
        format!("{:.1},{HEIGHT} {} {:.1},{HEIGHT}", first.0, self.line(), last.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_drawn_from_two_values_on() {
        assert!(!Sparkline::new(vec![]).is_drawn());
        assert!(!Sparkline::new(vec![1.0, f64::NAN]).is_drawn());
        assert!(Sparkline::new(vec![0.0, 0.0]).is_drawn());
    }

    #[test]
    fn fills_its_box() {
        let line = Sparkline::up_to(2.0, vec![0.0, 1.0, 9.0]);
        assert_eq!(line.line(), "0.0,23.0 50.0,12.0 100.0,1.0");
        assert_eq!(line.area(), "0.0,24 0.0,23.0 50.0,12.0 100.0,1.0 100.0,24");
    }

    #[test]
    fn gaps_are_left_out() {
        assert_eq!(Sparkline::up_to(1.0, vec![0.0, f64::NAN, 0.0]).line(), "0.0,23.0 100.0,23.0");
        assert_eq!(Sparkline::new(vec![]).area(), "");
    }
}
