//! Who may call which method: the access options of the contract as a table.

use std::{collections::HashMap, sync::LazyLock};

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MethodDescriptor,
    ReflectMessage as _, Value,
};

pub use crate::contract::hms::{Audience, Object, Reach, Role};
use crate::{
    host::v1::{LogHistogramRequest, LogKind, LogQuery},
    names::without_logins,
};

/// The access rule of one method.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The least role; `Role::Unspecified` for audiences that are not people.
    pub role: Role,
    /// Whether the call changes something.
    pub mutates: bool,
    /// For whom the method is made.
    pub audience: Audience,
    /// How the scope of a caller bounds it.
    pub reach: Reach,
    /// Whether the caller must have proved who they are in the last minutes.
    pub confirm: bool,
    method: MethodDescriptor,
}

/// Something that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub object: Object,
    /// Its name, key or id.
    pub name: String,
}

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(crate::DESCRIPTORS).expect("the build checked the descriptors"));

static RULES: LazyLock<HashMap<String, Rule>> = LazyLock::new(|| {
    let access = POOL.get_extension_by_name("hms.access").expect("declared in access.proto");
    let methods = POOL.services().flat_map(|s| s.methods().collect::<Vec<_>>());
    methods.map(|m| (path_of(&m), rule_of(m, &access))).collect()
});

static OBJECT: LazyLock<ExtensionDescriptor> =
    LazyLock::new(|| POOL.get_extension_by_name("hms.object").expect("declared in access.proto"));

fn path_of(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn rule_of(method: MethodDescriptor, access: &prost_reflect::ExtensionDescriptor) -> Rule {
    let options = method.options();
    let option = options.get_extension(access);
    let field =
        |name: &str| option.as_message().and_then(|m| m.get_field_by_name(name).map(|v| v.into_owned()));
    let number = |name| field(name).and_then(|v| v.as_enum_number()).unwrap_or(0);
    Rule {
        role: Role::try_from(number("role")).unwrap_or_default(),
        mutates: field("mutates").and_then(|v| v.as_bool()).unwrap_or(false),
        audience: Audience::try_from(number("audience")).unwrap_or_default(),
        reach: Reach::try_from(number("reach")).unwrap_or_default(),
        confirm: field("confirm").and_then(|v| v.as_bool()).unwrap_or(false),
        method,
    }
}

/// The rule of a method, by its full gRPC path (`/package.Service/Method`). No rule means: refuse.
pub fn rule(path: &str) -> Option<&'static Rule> {
    RULES.get(path)
}

/// All methods of the contract with their rules, by path.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    RULES.iter().map(|(path, rule)| (path.as_str(), rule))
}

impl Rule {
    /// Whether a user with this role may call the method.
    pub fn allows(&self, role: Role) -> bool {
        self.audience == Audience::User && self.role != Role::Unspecified && role >= self.role
    }

    /// Whether the controller may call the method on behalf of a user with this role, after it has authorised a call of theirs.
    pub fn allows_controller(&self, role: Role) -> bool {
        let made_for = matches!(self.audience, Audience::User | Audience::Controller);
        made_for && self.role != Role::Unspecified && role >= self.role
    }

    /// The request as JSON for the audit: every secret blanked, logins in addresses, too, and of long texts only their beginning. `None` when it is not such a message.
    pub fn describe_request(&self, encoded: &[u8]) -> Option<serde_json::Value> {
        let mut message = DynamicMessage::decode(self.method.input(), encoded).ok()?;
        blank_secrets(&mut message);
        serde_json::to_value(&message).ok().map(shorten)
    }

    /// All that a request names, in no order. `None` when it is not such a message.
    pub fn named(&self, encoded: &[u8]) -> Option<Vec<Named>> {
        let input = self.method.input();
        let mut named = Vec::new();
        collect(&DynamicMessage::decode(input.clone(), encoded).ok()?, &mut named);
        let query = match input.full_name() {
            "hms.host.v1.LogQuery" => LogQuery::decode(encoded).ok(),
            "hms.host.v1.LogHistogramRequest" => LogHistogramRequest::decode(encoded).ok()?.query,
            _ => None,
        };
        if query.as_ref().is_some_and(reads_all_of_a_host) {
            named.push(Named { object: Object::Whole, name: String::new() });
        }
        Some(named)
    }

    /// The full path of the method: `/package.Service/Method`.
    pub fn path(&self) -> String {
        path_of(&self.method)
    }

    /// Whether the method answers with a stream.
    pub fn streams(&self) -> bool {
        self.method.is_server_streaming()
    }
}

fn collect(message: &DynamicMessage, named: &mut Vec<Named>) {
    for (field, value) in message.fields() {
        let object = object_of(&field);
        match value {
            Value::Message(inner) => collect(inner, named),
            Value::List(items) => {
                for item in items {
                    match item {
                        Value::Message(inner) => collect(inner, named),
                        item => named.extend(name_of(object, item)),
                    }
                }
            }
            value => named.extend(name_of(object, value)),
        }
    }
}

/// What a field names.
fn object_of(field: &FieldDescriptor) -> Object {
    let options = field.options();
    let number = options.get_extension(&OBJECT).as_enum_number().unwrap_or(0);
    Object::try_from(number).unwrap_or_default()
}

fn name_of(object: Object, value: &Value) -> Option<Named> {
    let name = match value {
        _ if object == Object::Unspecified => return None,
        Value::String(name) => name.clone(),
        Value::I64(id) => id.to_string(),
        _ => String::new(),
    };
    Some(Named { object, name })
}

/// Whether a search reads more of a host than units and apps that it names: logs of nginx, or the whole journal.
fn reads_all_of_a_host(query: &LogQuery) -> bool {
    let journal = |kind| matches!(kind, LogKind::Unspecified | LogKind::Journal);
    let whole_journal = query.units.is_empty()
        && (query.sources.is_empty() || query.sources.iter().any(|source| journal(source.kind())));
    let not_of_an_app = |kind, app: &str| !journal(kind) && (kind != LogKind::App || app.is_empty());
    whole_journal || query.sources.iter().any(|source| not_of_an_app(source.kind(), &source.app))
}

/// A record says what was done; whole files, and whole scripts in base64, are not for it.
fn shorten(told: serde_json::Value) -> serde_json::Value {
    const MOST: usize = 2000;
    use serde_json::Value as Json;
    match told {
        Json::String(text) => match without_logins(&text) {
            long if long.len() > MOST => {
                let start: String = long.chars().take(MOST / 2).collect();
                format!("{start}… ({} bytes)", long.len()).into()
            }
            whole => whole.into(),
        },
        Json::Array(items) => items.into_iter().map(shorten).collect(),
        Json::Object(fields) => fields.into_iter().map(|(name, value)| (name, shorten(value))).collect(),
        other => other,
    }
}

fn blank_secrets(message: &mut DynamicMessage) {
    for field in message.descriptor().fields().collect::<Vec<_>>() {
        if !message.has_field(&field) {
            continue;
        }
        let secret =
            field.options().get_field_by_name("debug_redact").and_then(|v| v.as_bool()).unwrap_or(false);
        match message.get_field_mut(&field) {
            Value::String(text) if secret => *text = "[redacted]".into(),
            _ if secret => message.clear_field(&field),
            Value::Message(inner) => blank_secrets(inner),
            Value::List(items) => items.iter_mut().for_each(blank_item),
            Value::Map(entries) => entries.values_mut().for_each(blank_item),
            _ => {}
        }
    }
}

fn blank_item(value: &mut Value) {
    if let Value::Message(inner) = value {
        blank_secrets(inner);
    }
}

/// The word for a role, as users, certificates and the database have it.
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Operator => "operator",
        Role::Viewer => "viewer",
        Role::Unspecified => "none",
    }
}

/// The role a word stands for.
pub fn role_from_word(word: &str) -> Option<Role> {
    match word {
        "admin" => Some(Role::Admin),
        "operator" => Some(Role::Operator),
        "viewer" => Some(Role::Viewer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::v1::LoginRequest;

    /// The reviewed table of security case 29: a change of the contract's access shows here.
    #[test]
    fn the_access_table_is_as_reviewed() {
        let mut lines: Vec<_> = rules()
            .map(|(path, r)| {
                let who = match r.audience {
                    Audience::User => role_word(r.role),
                    Audience::Anyone => "anyone",
                    Audience::Agent => "agent",
                    Audience::Controller => "hms",
                };
                let mutates = if r.mutates { "mutates" } else { "" };
                let confirm = if r.confirm { "confirm" } else { "" };
                format!("{path:<52} {who:<9}{mutates:<8}{confirm:<8}{}", bounds(r)).trim_end().to_owned()
            })
            .collect();
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// How a scope bounds it: the fields that name something, or why none need to.
    fn bounds(rule: &Rule) -> String {
        fn fields(message: &prost_reflect::MessageDescriptor, before: &str, found: &mut Vec<String>) {
            for field in message.fields() {
                let name = format!("{before}{}", field.name());
                match (object_of(&field), field.kind()) {
                    (Object::Unspecified, prost_reflect::Kind::Message(inner)) if before.len() < 40 => {
                        fields(&inner, &format!("{name}."), found);
                    }
                    (Object::Unspecified, _) => {}
                    (object, _) => {
                        let object = object.as_str_name().trim_start_matches("OBJECT_");
                        found.push(format!("{name}:{}", object.to_lowercase()));
                    }
                }
            }
        }
        let mut found = Vec::new();
        fields(&rule.method.input(), "", &mut found);
        match (rule.audience, rule.reach) {
            (Audience::User, Reach::Filtered) => "filtered".into(),
            (Audience::User, Reach::Self_) => "self".into(),
            (Audience::User, Reach::Named) => found.join(" "),
            _ => String::new(),
        }
    }

    #[test]
    fn what_a_request_names_is_found_wherever_it_stands() {
        use crate::{controller::v1 as controller, host::v1 as host};
        let named = |path: &str, encoded: Vec<u8>| -> Vec<(Object, String)> {
            let found = rule(path).unwrap().named(&encoded).unwrap();
            found.into_iter().map(|n| (n.object, n.name)).collect()
        };
        let target = controller::Target { hosts: vec!["a".into(), "b".into()], ..Default::default() };
        let run = controller::RunRequest { target: Some(target), ..Default::default() };
        let hosts = [(Object::Host, "a".into()), (Object::Host, "b".into())];
        assert_eq!(named("/hms.controller.v1.JobService/Run", run.encode_to_vec()), hosts);
        let all = controller::Target { all: true, ..Default::default() };
        let run = controller::RunRequest { target: Some(all), ..Default::default() };
        let whole = (Object::Whole, String::new());
        assert_eq!(named("/hms.controller.v1.JobService/Run", run.encode_to_vec()), vec![whole.clone()]);
        let version = controller::GetVersionRequest { id: 7 }.encode_to_vec();
        let seven = [(Object::Version, "7".into())];
        assert_eq!(named("/hms.controller.v1.NginxHistoryService/Get", version), seven);

        let query = |units: &[&str], sources: &[(LogKind, &str)]| LogQuery {
            units: units.iter().map(ToString::to_string).collect(),
            sources: sources
                .iter()
                .map(|(kind, app)| host::LogSource {
                    kind: *kind as i32,
                    app: (*app).into(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let follow = |query: LogQuery| named("/hms.host.v1.LogService/Follow", query.encode_to_vec());
        let unit = (Object::Unit, "x.service".to_owned());
        let app = (Object::App, "x".to_owned());
        assert_eq!(follow(query(&["x.service"], &[])), vec![unit]);
        assert_eq!(follow(query(&[], &[(LogKind::App, "x")])), vec![app]);
        assert_eq!(follow(query(&["x.service"], &[(LogKind::Journal, ""), (LogKind::App, "x")])).len(), 2);
        for more in [
            query(&[], &[]),
            query(&[], &[(LogKind::App, "x"), (LogKind::Journal, "")]),
            query(&["x.service"], &[(LogKind::NginxAccess, "")]),
            query(&[], &[(LogKind::App, "x"), (LogKind::NginxError, "x")]),
            query(&["x.service"], &[(LogKind::App, "")]),
        ] {
            assert!(follow(more.clone()).contains(&whole), "{more:?}");
            let asked = LogHistogramRequest { query: Some(more), buckets: 1 };
            let asked = named("/hms.host.v1.LogService/Histogram", asked.encode_to_vec());
            assert!(asked.contains(&whole));
        }
    }

    #[test]
    fn a_method_that_is_not_in_the_contract_has_no_rule() {
        assert!(rule("/hms.host.v1.UnitService/Kill").is_none());
        assert!(rule("").is_none());
    }

    #[test]
    fn a_higher_role_includes_the_lower_ones() {
        let restart = rule("/hms.host.v1.UnitService/Restart").unwrap();
        assert!(restart.mutates && !restart.allows(Role::Viewer));
        assert!(restart.allows(Role::Operator) && restart.allows(Role::Admin));
        assert!(!rule("/hms.controller.v1.EnrollmentService/Renew").unwrap().allows(Role::Admin));
    }

    #[test]
    fn what_is_for_the_controller_is_for_no_person() {
        let start = rule("/hms.host.v1.AppService/Start").unwrap();
        assert!(!start.allows(Role::Admin));
        assert!(start.allows_controller(Role::Operator) && !start.allows_controller(Role::Viewer));
        assert!(!rule("/hms.controller.v1.EnrollmentService/Renew").unwrap().allows_controller(Role::Admin));
    }

    #[test]
    fn secrets_show_neither_in_debug_nor_in_the_audit() {
        let login =
            LoginRequest { username: "ada".into(), password: "canary-7f3".into(), ..Default::default() };
        assert!(!format!("{login:?}").contains("canary"));
        let told = rule("/hms.controller.v1.EnrollmentService/Login").unwrap();
        let told = told.describe_request(&login.encode_to_vec()).unwrap().to_string();
        assert!(told.contains("ada") && !told.contains("canary"), "{told}");
    }

    /// Security case 78.
    #[test]
    fn a_password_in_an_address_is_not_for_the_audit() {
        use crate::controller::v1::AppSettings;
        use crate::host::v1::AppSpec;
        let edit = rule("/hms.controller.v1.AppService/Edit").unwrap();
        let told = |git_url: String| {
            let spec = Some(AppSpec { git_url, ..AppSpec::default() });
            edit.describe_request(&AppSettings { spec, ..AppSettings::default() }.encode_to_vec()).unwrap()
        };
        for long in [0, 3000] {
            let told = told(format!("https://git:canary@git.example.org/{}", "a".repeat(long))).to_string();
            assert!(
                told.contains("https://[redacted]@git.example.org/") && !told.contains("canary"),
                "{told}"
            );
        }
        let plain = "ssh://git@git.example.org/a";
        assert_eq!(told(plain.into())["spec"]["gitUrl"], plain);
    }

    #[test]
    fn whole_files_are_not_for_the_audit() {
        use crate::host::v1::{InstallScriptsRequest, Script, ScriptFile};
        let script = Script { name: "x".into(), ..Script::default() };
        let file = ScriptFile { script: Some(script), content: vec![b'A'; 300_000] };
        let install = rule("/hms.host.v1.ScriptService/Install").unwrap();
        let told =
            install.describe_request(&InstallScriptsRequest { scripts: vec![file] }.encode_to_vec()).unwrap();
        assert_eq!(told["scripts"][0]["script"]["name"], "x");
        let content = told["scripts"][0]["content"].as_str().unwrap();
        assert!(content.len() < 1100 && content.ends_with("… (400000 bytes)"), "{content}");
    }
}
