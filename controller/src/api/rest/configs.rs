//! `/api/configs/nginx`: reading, testing, changing and restoring nginx configurations.
//!
//! A site is named `cigar`; any file by its percent-encoded path, such as `conf.d%2Fgzip.conf`. `host` may be left out
//! where there is only one.

mod act;
mod read;

pub(super) use act::*;
pub(super) use read::*;

use axum::extract::{Query, rejection::QueryRejection};
use hms_proto::{fault::Fault, names::HostName};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::{api::configs, auth::Caller, state::State};

/// Where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Where {
    /// Name of the host. May be left out where there is only one.
    host: Option<String>,
}

/// The host that a query names.
fn host(
    state: &State,
    caller: &Caller,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<HostName, Problem> {
    let asked = asked.map_err(Problem::of(caller))?.0;
    configs::host(state, caller, asked.host.as_deref()).map_err(Problem::of(caller))
}

fn fault(status: tonic::Status) -> Fault {
    Fault::from_status(&status)
}
