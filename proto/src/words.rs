//! JSON forms of the enums of the contract: the value's name in lower case, without its prefix.

macro_rules! words {
    ($module:ident, $type:path, $prefix:literal) => {
        pub(crate) mod $module {
            use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

            pub(crate) fn serialize<S: Serializer>(value: &i32, to: S) -> Result<S::Ok, S::Error> {
                let name = <$type>::try_from(*value).unwrap_or_default().as_str_name();
                name.trim_start_matches($prefix).to_ascii_lowercase().serialize(to)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
                let word = String::deserialize(from)?;
                <$type>::from_str_name(&format!("{}{}", $prefix, word.to_ascii_uppercase()))
                    .map(|value| value as i32)
                    .ok_or_else(|| D::Error::custom(format!("unknown value `{word}`")))
            }
        }
    };
}

words!(app_state, crate::controller::v1::AppState, "APP_STATE_");
words!(host_state, crate::controller::v1::HostState, "HOST_STATE_");
words!(fault_kind, crate::fault::FaultKind, "FAULT_KIND_");
words!(parameter_kind, crate::host::v1::ParameterKind, "PARAMETER_KIND_");
words!(run_as, crate::host::v1::RunAs, "RUN_AS_");
words!(job_state, crate::host::v1::JobState, "JOB_STATE_");
words!(nginx_file_kind, crate::host::v1::NginxFileKind, "NGINX_FILE_KIND_");
words!(job_kind, crate::host::v1::JobKind, "JOB_KIND_");
words!(log_kind, crate::host::v1::LogKind, "LOG_KIND_");
words!(log_direction, crate::host::v1::LogDirection, "LOG_DIRECTION_");
words!(step_state, crate::host::v1::StepState, "STEP_STATE_");
words!(gems, crate::host::v1::Gems, "GEMS_");
words!(database_auth, crate::host::v1::DatabaseAuth, "DATABASE_AUTH_");
words!(secret_delivery, crate::host::v1::SecretDelivery, "SECRET_DELIVERY_");
words!(change_action, crate::host::v1::ChangeAction, "CHANGE_ACTION_");
words!(restart_kind, crate::host::v1::RestartKind, "RESTART_KIND_");
