//! Compiles the contract without protoc, and refuses a method that has no access rule.

use std::{collections::BTreeMap, env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};

const FILES: &[&str] = &[
    "hms/access.proto",
    "hms/fault.proto",
    "hms/host/v1/unit.proto",
    "hms/host/v1/log.proto",
    "hms/host/v1/host.proto",
    "hms/host/v1/script.proto",
    "hms/host/v1/job.proto",
    "hms/host/v1/nginx.proto",
    "hms/host/v1/app.proto",
    "hms/controller/v1/fleet.proto",
    "hms/controller/v1/app.proto",
    "hms/controller/v1/enrollment.proto",
    "hms/controller/v1/session.proto",
    "hms/controller/v1/audit.proto",
    "hms/controller/v1/script.proto",
    "hms/controller/v1/job.proto",
    "hms/controller/v1/nginx.proto",
    "hms/controller/v1/deployment.proto",
    "hms/controller/v1/secret.proto",
    "hms/controller/v1/user.proto",
    "hms/controller/v1/account.proto",
    "hms/controller/v1/token.proto",
    "hms/host/v1/access.proto",
    "hms/host/v1/audit.proto",
];

/// Enum fields that JSON shows as words (`src/words.rs`).
const WORDS: &[(&str, &str)] = &[
    ("hms.controller.v1.App.state", "crate::words::app_state"),
    ("hms.controller.v1.Host.state", "crate::words::host_state"),
    ("hms.Fault.kind", "crate::words::fault_kind"),
    ("hms.host.v1.Parameter.kind", "crate::words::parameter_kind"),
    ("hms.host.v1.Script.run_as", "crate::words::run_as"),
    ("hms.host.v1.Job.state", "crate::words::job_state"),
    ("hms.host.v1.NginxFile.kind", "crate::words::nginx_file_kind"),
    ("hms.host.v1.Job.kind", "crate::words::job_kind"),
    ("hms.host.v1.LogSource.kind", "crate::words::log_kind"),
    ("hms.host.v1.LogQuery.direction", "crate::words::log_direction"),
    ("hms.host.v1.JobStep.state", "crate::words::step_state"),
    ("hms.host.v1.AppSpec.gems", "crate::words::gems"),
    ("hms.host.v1.AppSpec.database_auth", "crate::words::database_auth"),
    ("hms.host.v1.AppSpec.secret_delivery", "crate::words::secret_delivery"),
    ("hms.host.v1.AppChange.action", "crate::words::change_action"),
    ("hms.host.v1.AppPlan.restart", "crate::words::restart_kind"),
    ("hms.controller.v1.Deployment.kind", "crate::words::job_kind"),
    ("hms.controller.v1.DeployRequest.restart", "crate::words::restart_kind"),
    ("hms.controller.v1.ApplyRequest.restart", "crate::words::restart_kind"),
    ("hms.controller.v1.RollbackRequest.restart", "crate::words::restart_kind"),
    ("hms.controller.v1.PlanRequest.restart", "crate::words::restart_kind"),
    ("hms.controller.v1.PlanRequest.kind", "crate::words::job_kind"),
    ("hms.controller.v1.Run.state", "crate::words::job_state"),
    ("hms.controller.v1.Schedule.last_state", "crate::words::job_state"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hms");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    // These bytes keep the access options, which the parsed form drops.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    let pool = DescriptorPool::decode(encoded.as_slice())?;
    every_method_has_a_rule(&pool)?;
    let redacted = messages_with_secrets(&pool);
    fs::write(out.join("redacted.rs"), debug_impls(&redacted))?;

    let mut builder = tonic_prost_build::configure()
        .include_file("contract.rs")
        // One order, so that what is shown and what is hashed does not change by itself.
        .btree_map(".")
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .type_attribute(".", "#[cfg_attr(feature = \"openapi\", derive(utoipa::ToSchema))]")
        .message_attribute(".", "#[serde(default)]")
        .skip_debug(redacted.keys());
    for (field, module) in WORDS {
        builder = builder
            .field_attribute(field, format!("#[serde(with = \"{module}\")]"))
            .field_attribute(field, "#[cfg_attr(feature = \"openapi\", schema(value_type = String))]");
    }
    builder.compile_fds(prost_types_of(&encoded)?)?;
    Ok(())
}

fn prost_types_of(encoded: &[u8]) -> Result<tonic_prost_build::FileDescriptorSet, prost::DecodeError> {
    tonic_prost_build::FileDescriptorSet::decode(encoded)
}

fn every_method_has_a_rule(pool: &DescriptorPool) -> Result<(), Box<dyn Error>> {
    let access = pool.get_extension_by_name("hms.access").ok_or("hms.access is not declared")?;
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            if !options.has_extension(&access) {
                return Err(format!("{} has no option (hms.access)", method.full_name()).into());
            }
            let rule = options.get_extension(&access);
            let rule = rule.as_message().ok_or("hms.access is not a message")?;
            let number = |name| rule.get_field_by_name(name).and_then(|v| v.as_enum_number()).unwrap_or(0);
            let (role, audience) = (number("role"), number("audience"));
            // Users need a role, and so do those on whose behalf the controller calls; everybody else has none.
            let of_people = matches!(audience, 0 | 3);
            if of_people != (role != 0) {
                return Err(format!("{}: role and audience do not fit each other", method.full_name()).into());
            }
        }
    }
    Ok(())
}

/// Messages that have a `debug_redact` field, with that fields' names.
fn messages_with_secrets(pool: &DescriptorPool) -> BTreeMap<String, MessageDescriptor> {
    pool.all_messages()
        .filter(|m| m.fields().any(|f| is_secret(&f)))
        .map(|m| (format!(".{}", m.full_name()), m))
        .collect()
}

fn is_secret(field: &prost_reflect::FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").and_then(|v| v.as_bool()).unwrap_or(false)
}

/// `Debug` for those messages: the other fields as they are, the secret ones blanked.
fn debug_impls(messages: &BTreeMap<String, MessageDescriptor>) -> String {
    let mut code = String::new();
    for message in messages.values() {
        let path = message.full_name().replace('.', "::");
        let _ = writeln!(code, "impl std::fmt::Debug for crate::contract::{path} {{");
        let _ = writeln!(code, "fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{");
        let _ = write!(code, "f.debug_struct({:?})", message.name());
        for field in message.fields() {
            let name = field.name();
            match is_secret(&field) {
                true => {
                    let _ = write!(code, ".field({name:?}, &\"[redacted]\")");
                }
                false => {
                    let _ = write!(code, ".field({name:?}, &self.{name})");
                }
            }
        }
        let _ = writeln!(code, ".finish() }} }}");
    }
    code
}
