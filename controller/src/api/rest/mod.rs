//! REST: the same calls as JSON, with bearer tokens.

use axum::Router;

use crate::state::State;

pub(super) fn router() -> Router<State> {
    Router::new()
}
