//! `/api/configs/nginx`: reading, testing, changing and restoring nginx configurations.
//!
//! A site is named `cigar`; any file by its percent-encoded path, such as `conf.d%2Fgzip.conf`. `host` may be left out
//! where there is only one.

mod act;
mod read;

pub(super) use act::*;
pub(super) use read::*;

use axum::extract::{
    Path, Query,
    rejection::{PathRejection, QueryRejection},
};
use hms_proto::{fault::Fault, names::HostName};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::{api::configs, auth::Caller, state::State};

/// As the document says of texts in paths.
const LONGEST_PATH: usize = 512;

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

/// The file that a path names, as hosts know it.
fn file(caller: &Caller, site: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(site) = site.map_err(Problem::of(caller))?;
    match site.chars().count() {
        1..=LONGEST_PATH => Ok(configs::path_of(&site)),
        _ => Err(Problem::of(caller)(Fault::invalid(format!("a path has 1 to {LONGEST_PATH} characters")))),
    }
}

fn fault(status: tonic::Status) -> Fault {
    Fault::from_status(&status)
}
