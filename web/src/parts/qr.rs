//! A QR code as the outline of one shape, for an SVG in the page.

use std::fmt;

use qrcode::{Color, EcLevel, QrCode};

/// The quiet zone that readers need, in modules (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;

/// A QR code. What it says is a secret at times: it shows itself to nobody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Qr {
    /// Width and height, with the quiet zone, in modules.
    pub size: usize,
    /// The dark modules, as the `d` of a path.
    pub path: String,
}

impl fmt::Debug for Qr {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Qr").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Qr {
    /// The code of a text. `None` when it does not fit into one (2,331 bytes).
    pub fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let path = code.to_colors().chunks(width).enumerate().map(|(y, row)| line(row, y)).collect();
        Some(Self { size: width + 2 * QUIET, path })
    }
}

/// One run of dark modules is one rectangle.
fn line(row: &[Color], y: usize) -> String {
    let mut path = String::new();
    let mut x = 0;
    for run in row.chunk_by(|a, b| a == b) {
        if run[0] == Color::Dark {
            let (left, top, wide) = (x + QUIET, y + QUIET, run.len());
            path.push_str(&format!("M{left} {top}h{wide}v1h-{wide}z"));
        }
        x += run.len();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_a_quiet_zone() {
        let qr = Qr::of("otpauth://totp/HMS:henrik?secret=JBSWY3DPEHPK3PXP&issuer=HMS").unwrap();
        // The upper edge of the finder patterns at both ends of the first row.
        let right = qr.size - QUIET - 7;
        assert!(qr.path.starts_with("M4 4h7v1h-7z") && qr.path.contains(&format!("M{right} 4h7v1h-7z")));
        assert!(qr.path.bytes().all(|byte| byte.is_ascii_digit() || b"Mhvz -".contains(&byte)));
    }

    /// Security case 49.
    #[test]
    fn debug_shows_no_code() {
        assert!(!format!("{:?}", Qr::of("canary").unwrap()).contains('M'));
    }

    #[test]
    fn a_text_that_does_not_fit_is_no_code() {
        assert_eq!(Qr::of(&"x".repeat(4000)), None);
    }
}
