//! Parts: what is shown inside pages and renewed while they are open. Each has one template in `templates/parts`.

mod activity;
mod ansi;
mod api_docs;
mod app_fields;
mod app_form;
mod app_plan;
mod app_row;
mod attention;
mod config;
mod config_list;
mod config_result;
pub(crate) mod config_samples;
mod config_templates;
mod deploy_row;
mod deployment;
mod deployment_list;
mod deployment_samples;
mod host_card;
mod host_list;
mod invite;
mod job_state;
mod log_details;
mod log_histogram;
mod log_rows;
mod outcome;
mod output;
mod qr;
mod release_list;
mod run_card;
mod run_list;
mod schedule_list;
mod scope;
mod script_form;
mod script_list;
mod second_factor;
mod secret_list;
mod session_list;
mod sparkline;
mod step;
#[cfg(test)]
mod tests;
mod token_list;
mod user;
mod user_list;

pub use activity::{Activity, ActivityList, OutcomeKind};
pub use ansi::{OutputRow, Span, Style, Terminal};
pub use api_docs::{ApiBody, ApiField, ApiGroup, ApiOperation, ApiStatus, api_groups, api_words};
pub use app_fields::Kind as SettingsKind;
pub use app_form::{SettingsField, SettingsForm, SettingsGroup, settings_fields};
pub use app_plan::{AppPlan, PlanChange, restart_choices};
pub use app_row::{AppRow, AppState};
pub use attention::{Attention, AttentionItem};
pub use config::{
    ConfigDrift, ConfigFile, ConfigOutcome, ConfigPending, ConfigProblem, ConfigRoute, ConfigVersion,
    DiffLine, RoutePlace, config_href, host_href,
};
pub use config_list::{ConfigHost, ConfigList};
pub use config_result::{
    Accept, ConfigAnswer, ConfigConflict, ConfigProbe, ConfigResult, ConfigStep, history_fragment,
    problems_html,
};
pub use config_templates::{SITE_TEMPLATES, SiteTemplate};
pub use deploy_row::{DeployRow, LiveRelease};
pub use deployment::{DeploymentCard, DeploymentRow, WorkKind};
pub use deployment_list::deployment_list_fragment;
pub use host_card::{Disk, HostCard, HostState};
pub use host_list::{AddHost, HostList, HostRow, JoinToken};
pub use invite::{Invite, Invited};
pub use job_state::JobState;
pub use log_details::{LogDetails, LogField};
pub use log_histogram::{LogBucket, LogHistogram};
#[cfg(test)]
pub(crate) use log_rows::log_rows_html;
pub use log_rows::{LogFeed, LogItem, LogMark, LogRequest, LogRow, PRIORITIES};
pub use outcome::ActionOutcome;
pub use output::{OutputPanel, mark_steps, output_rows_fragment};
pub use qr::Qr;
pub use release_list::{ReleaseRow, release_list_fragment};
pub use run_card::{FindingRow, JobRow, RunCard};
pub use run_list::{Counts, RunRow};
pub use schedule_list::{ScheduleList, ScheduleRow};
pub use scope::{Scope, ScopeChoice, ScopePicker};
pub use script_form::{Choice, Field, FieldKind, Preview, ScriptForm, TargetHost, TargetPicker};
pub use script_list::ScriptRow;
pub use second_factor::{RecoveryCodes, SecondFactor, SecondFactorStep, TotpSecret};
pub use secret_list::{Revealed, SecretChange, SecretList, SecretRow, Typed};
pub use session_list::{SessionList, SessionRow};
pub use sparkline::Sparkline;
pub use step::{Step, StepState};
pub use token_list::{AddToken, NewToken, TokenList, TokenRow};
pub use user::UserCard;
pub use user_list::{UserList, UserRow, UserState, user_href};

/// The pages of an app: name, path below its own, and id.
pub const APP_TABS: [(&str, &str, &str); 4] = [
    ("Overview", "", "overview"),
    ("Settings", "settings", "settings"),
    ("Secrets", "secrets", "secrets"),
    ("Plan", "plan", "plan"),
];

/// Whether it can be the key of an app.
fn is_key(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 50 && text.bytes().all(fits)
}

/// The page of an app, or one below it.
pub fn app_href(key: &str, below: &str) -> String {
    let slash = if below.is_empty() { "" } else { "/" };
    format!("/apps/{}{slash}{below}", crate::text::encode(key))
}

/// An id made from a name: letters, digits, `-`, `_` and `.` stay, any other byte becomes `~` and its hex digits.
pub fn slug(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("~{byte:02x}"),
        })
        .collect()
}
