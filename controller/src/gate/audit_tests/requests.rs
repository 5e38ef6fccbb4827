//! One request for each method of the contract that changes something: every field of it says something.

use hms_proto::access::Object;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::*;

/// Stands in every secret of a request, and must stand nowhere else.
pub(super) const CANARY: &str = "canary-5d1f";

/// Methods that make their caller known themselves, and are not behind the gate.
pub(super) const BEFORE_THE_GATE: [&str; 3] = ["Join", "Login", "Renew"];

/// A method, and the request.
pub(super) struct Method {
    pub(super) path: &'static str,
    pub(super) rule: &'static Rule,
    pub(super) request: Vec<u8>,
}

impl Method {
    /// All that pass the gate, by path: for people, and for the controller on their behalf.
    pub(super) fn all() -> Vec<Self> {
        let pool = DescriptorPool::decode(hms_proto::DESCRIPTORS).unwrap();
        let (passing, others): (Vec<_>, Vec<_>) = access::rules()
            .filter(|(_, rule)| rule.mutates)
            .partition(|(_, rule)| matches!(rule.audience, Audience::User | Audience::Controller));
        assert_eq!(others.len(), BEFORE_THE_GATE.len());
        for (path, _) in others {
            assert!(
                BEFORE_THE_GATE.iter().any(|name| path.ends_with(&format!("EnrollmentService/{name}"))),
                "{path}"
            );
        }
        let method = |(path, rule): (&'static str, &'static Rule)| {
            let (service, name) = path[1..].split_once('/').unwrap();
            let service = pool.get_service_by_name(service).unwrap();
            let input = service.methods().find(|method| method.name() == name).unwrap().input();
            Self { path, rule, request: filled(&input, 0).encode_to_vec() }
        };
        let mut all: Vec<_> = passing.into_iter().map(method).collect();
        all.sort_by_key(|method| method.path);
        all
    }

    pub(super) fn is_of_host(&self) -> bool {
        self.path.starts_with("/hms.host.")
    }

    /// Whether only the controller may call it, for somebody whose own call was let through.
    pub(super) fn is_authorised(&self) -> bool {
        self.rule.audience == Audience::Controller
    }
}

fn filled(message: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|_| depth < 5) {
        let value = value(&field, depth);
        let value = match () {
            () if field.is_map() => {
                Value::Map([(MapKey::String("app".into()), Value::String("cigar".into()))].into())
            }
            () if field.is_list() => Value::List(vec![value]),
            () => value,
        };
        filled.set_field(&field, value);
    }
    filled
}

fn value(field: &FieldDescriptor, depth: usize) -> Value {
    match field.kind() {
        Kind::String => Value::String(text(field)),
        Kind::Bytes => Value::Bytes(text(field).into()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(1),
        Kind::Int64 => Value::I64(1),
        Kind::Uint32 => Value::U32(1),
        Kind::Uint64 => Value::U64(1),
        Kind::Double => Value::F64(1.0),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(inner) => Value::Message(filled(&inner, depth + 1)),
        other => panic!("{} is {other:?}: say what stands in it", field.full_name()),
    }
}

fn text(field: &FieldDescriptor) -> String {
    let pool = field.parent_message().parent_pool();
    let object = pool.get_extension_by_name("hms.object").unwrap();
    let object = field.options().get_extension(&object).as_enum_number().unwrap_or_default();
    let redact = field.options().get_field_by_name("debug_redact").and_then(|value| value.as_bool());
    match Object::try_from(object).unwrap() {
        _ if redact == Some(true) => CANARY.into(),
        Object::Host => "web1".into(),
        Object::App => "cigar".into(),
        Object::Unit => "puma-cigar.service".into(),
        Object::Work | Object::Schedule => Uuid::from_u128(5).to_string(),
        _ => format!("the-{}", field.name().replace('_', "-")),
    }
}
