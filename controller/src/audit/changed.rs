//! What a call changed, for its outcome in the audit.

use serde::Serialize;
use serde_json::Value;

/// The same thing before and after a call, without secrets. A service puts it into the extensions of its response; the gate
/// writes it into the outcome. What is large is cut there; its hash is that of the whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changed {
    pub(crate) before: Value,
    pub(crate) after: Value,
}

impl Changed {
    /// Of two states; nothing there is `None`.
    pub(crate) fn of<T: Serialize>(before: Option<&T>, after: Option<&T>) -> Self {
        // What cannot be told is not told; no call fails for it.
        let value = |of: Option<&T>| of.and_then(|of| serde_json::to_value(of).ok()).unwrap_or_default();
        Self { before: value(before), after: value(after) }
    }

    /// A response that tells of it.
    pub(crate) fn tell<R>(self, answer: R) -> tonic::Response<R> {
        let mut response = tonic::Response::new(answer);
        response.extensions_mut().insert(self);
        response
    }
}
