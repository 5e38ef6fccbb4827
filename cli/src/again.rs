//! Trying again: what is worth it, and after how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hms_proto::fault::{Fault, FaultKind};

/// Whether trying again cannot help.
pub(crate) fn is_final(fault: &Fault) -> bool {
    use FaultKind as K;
    matches!(fault.kind(), K::Invalid | K::Unauthenticated | K::Denied | K::NotFound)
}

/// 0.2 s, doubled each time up to 3 s, and somewhat different each time so that not all come at once.
pub(crate) fn pause(attempt: u32) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    let whole = (200u64 << attempt.saturating_sub(1).min(5)).min(3_000);
    Duration::from_millis(whole / 2 + whole / 2 * u64::from(nanos % 1_000) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        for (attempt, least, most) in
            [(0, 100, 200), (1, 100, 200), (3, 400, 800), (5, 1_500, 3_000), (500, 1_500, 3_000)]
        {
            let ms = pause(attempt).as_millis();
            assert!((least..=most).contains(&ms), "{attempt}: {ms}");
        }
    }

    #[test]
    fn only_what_cannot_get_better_is_final() {
        assert!(is_final(&Fault::new(FaultKind::Denied, "")));
        for kind in [FaultKind::Unreachable, FaultKind::Unknown, FaultKind::Throttled, FaultKind::Unavailable]
        {
            assert!(!is_final(&Fault::new(kind, "")));
        }
    }
}
