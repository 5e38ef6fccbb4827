//! Objects × scopes: a request that names something beyond the scope, wherever it can, does nothing; one that names what is within
//! passes the gate.

use hms_proto::{
    access::{Audience, Object, Reach, Rule, rules},
    controller::v1::{GetRunRequest, ListRunsResponse, RunRequest},
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::*;
use crate::{counts, db::reach::fingerprint};

/// A field that names something, with the messages that it stands in.
struct Field {
    path: Vec<FieldDescriptor>,
    object: Object,
}

/// A method that is bounded by what a call names.
struct Method {
    path: &'static str,
    input: MessageDescriptor,
    fields: Vec<Field>,
}

impl Method {
    /// All of them; those last that remove something.
    fn all() -> anyhow::Result<Vec<Self>> {
        let pool = DescriptorPool::decode(hms_proto::DESCRIPTORS)?;
        let bounded = |rule: &Rule| rule.audience == Audience::User && rule.reach == Reach::Named;
        let mut methods = Vec::new();
        for (path, _) in rules().filter(|(_, rule)| bounded(rule)) {
            let (service, name) = path[1..].split_once('/').unwrap_or_default();
            let service = pool.get_service_by_name(service);
            let method = service.and_then(|service| service.methods().find(|method| method.name() == name));
            let input = method.ok_or_else(|| anyhow::anyhow!("no {path}"))?.input();
            let mut fields = Vec::new();
            named(&pool, &input, &[], &mut fields);
            methods.push(Self { path, input, fields });
        }
        methods.sort_by_key(|method| (method.path.contains("/Remove"), method.path));
        Ok(methods)
    }

    fn is_of_host(&self) -> bool {
        self.path.starts_with("/hms.host.")
    }

    /// A request with all fields that name one thing each; `whole` also with those that mean what is not named.
    fn request(&self, whole: bool, name: impl Fn(usize, Object) -> String) -> Vec<u8> {
        let mut message = DynamicMessage::new(self.input.clone());
        for (index, field) in self.fields.iter().enumerate() {
            if whole || field.object != Object::Whole {
                put(&mut message, &field.path, &name(index, field.object));
            }
        }
        message.encode_to_vec()
    }

    fn has(&self, object: Object) -> bool {
        self.fields.iter().any(|field| field.object == object)
    }
}

fn named(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
    before: &[FieldDescriptor],
    found: &mut Vec<Field>,
) {
    let object = pool.get_extension_by_name("hms.object").expect("declared in access.proto");
    for field in message.fields() {
        let number = field.options().get_extension(&object).as_enum_number().unwrap_or_default();
        let object = Object::try_from(number).unwrap_or_default();
        let path = [before, std::slice::from_ref(&field)].concat();
        match field.kind() {
            _ if object != Object::Unspecified => found.push(Field { path, object }),
            Kind::Message(inner) if before.len() < 4 && !field.is_map() => named(pool, &inner, &path, found),
            _ => {}
        }
    }
}

fn put(message: &mut DynamicMessage, path: &[FieldDescriptor], name: &str) {
    let Some((field, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        let value = match field.kind() {
            Kind::String => Value::String(name.into()),
            Kind::Int64 => Value::I64(name.parse().unwrap_or(i64::MAX)),
            Kind::Bool => Value::Bool(true),
            other => panic!("{} names something as {other:?}", field.full_name()),
        };
        message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
        return;
    }
    match message.get_field_mut(field) {
        Value::Message(inner) => put(inner, rest, name),
        Value::List(items) => {
            let Kind::Message(inner) = field.kind() else { return };
            let mut item = DynamicMessage::new(inner);
            put(&mut item, rest, name);
            items.push(Value::Message(item));
        }
        _ => {}
    }
}

/// Names of things that are not there.
fn nothing(object: Object) -> String {
    match object {
        Object::Host => "nohost".into(),
        Object::App => "noapp".into(),
        Object::Unit => "nounit.service".into(),
        Object::Version => "999999".into(),
        Object::Work | Object::Schedule => Uuid::now_v7().to_string(),
        Object::Whole | Object::Unspecified => "x".into(),
    }
}

/// What of the own place somebody names who has this scope.
fn own(world: &World, object: Object) -> String {
    world.own.names(object).swap_remove(0)
}

/// Calls that name something beyond the scope.
fn beyond(world: &World, method: &Method, by_host: bool) -> Vec<(Option<String>, Vec<u8>)> {
    let own = |object| own(world, object);
    let mut calls = Vec::new();
    let here = || method.is_of_host().then(|| world.own.host.clone());
    // All that is on a host belongs to who has the host, whatever it is called.
    let names_count = !(method.is_of_host() && by_host);
    for (index, field) in method.fields.iter().enumerate().filter(|_| names_count) {
        let mut names = world.foreign.names(field.object);
        // Who has a host may add apps to it: a new key together with that host is within.
        let adds = by_host && field.object == Object::App && method.has(Object::Host);
        names.extend((!adds).then(|| nothing(field.object)));
        for name in names.into_iter().filter(|_| field.object != Object::Whole) {
            let request =
                method.request(false, |at, object| if at == index { name.clone() } else { own(object) });
            calls.push((here(), request));
        }
    }
    if method.has(Object::Whole) && names_count {
        calls.push((here(), method.request(true, |_, object| own(object))));
    }
    if names_count || !method.is_of_host() {
        calls.push((here(), Vec::new()));
    }
    if method.is_of_host() {
        for host in [&world.foreign.host, "nohost"] {
            calls.push((Some(host.into()), method.request(false, |_, object| own(object))));
            calls.push((
                Some(host.into()),
                method.request(false, |_, object| world.foreign.names(object).swap_remove(0)),
            ));
            calls.push((Some(host.into()), Vec::new()));
        }
    }
    calls
}

/// Whether a call that names only what is on the own host, or of the own app, is within the scope.
fn is_within(method: &Method, by_host: bool) -> bool {
    let names_it = |field: &Field| match field.object {
        Object::App | Object::Unit | Object::Work | Object::Whole => true,
        Object::Host => method.has(Object::App),
        Object::Schedule | Object::Version | Object::Unspecified => false,
    };
    match (method.fields.iter().any(|field| field.object != Object::Whole), by_host) {
        (false, _) => method.is_of_host() && by_host,
        (true, true) => true,
        (true, false) => method.fields.iter().all(names_it),
    }
}

async fn cells(world: &World, limits: &[Limit], by_host: bool) -> Test {
    let caller = world.caller("scoped", Role::Admin, limits).await?;
    let methods = Method::all()?;
    let (before, denied) = (fingerprint(&world.state.db).await?, world.denied().await?);
    let (mut cells, mut wrong) = (0, Vec::new());
    for method in &methods {
        for (host, request) in beyond(world, method, by_host) {
            let (code, told) = world.call(&caller, method.path, host.as_deref(), &request).await?;
            cells += 1;
            if code != Code::PermissionDenied || !told.is_empty() {
                wrong.push(format!("{} at {host:?} with {request:?} was let in: {code:?}", method.path));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(before == fingerprint(&world.state.db).await?, "something refused has changed something");
    anyhow::ensure!(world.denied().await? - denied == cells, "not every refusal is in the audit");
    for method in &methods {
        let host = method.is_of_host().then_some(world.own.host.as_str());
        let request = method.request(false, |_, object| own(world, object));
        let (code, _) = world.call(&caller, method.path, host, &request).await?;
        cells += 1;
        if (code != Code::PermissionDenied) != is_within(method, by_host) {
            wrong.push(format!("{} on what is within the scope: {code:?}", method.path));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(cells > 100, "only {cells} cells");
    counts::tell("scope matrix cells (objects)", cells, wrong.len());
    Ok(())
}

/// Security cases 18 and 86.
#[sqlx::test(migrations = "../migrations")]
async fn who_has_a_host_reaches_what_is_on_it_and_nothing_else(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    cells(&world, &[world.host_scope()], true).await
}

/// Security cases 18 and 86.
#[sqlx::test(migrations = "../migrations")]
async fn who_has_an_app_reaches_the_app_and_nothing_else(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    cells(&world, &[world.app_scope()], false).await
}

/// Security cases 18 and 86: a token reaches what is within its own limit and within that of its owner.
#[sqlx::test(migrations = "../migrations")]
async fn a_token_reaches_what_both_its_limits_have(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let host = Limit::of_row(false, &[world.own.host.clone(), world.foreign.host.clone()], &[]);
    cells(&world, &[world.app_scope(), host], false).await
}

/// Security case 18: a run is within a scope with all its jobs, and a target with all its hosts.
#[sqlx::test(migrations = "../migrations")]
async fn what_is_partly_beyond_the_scope_is_beyond_it(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let names = [world.own.host.as_str(), world.foreign.host.as_str()];
    let hosts = names.iter().filter_map(|name| world.state.fleet.host(name));
    let hosts = hosts.map(|host| (host.row.id, host.row.name.clone())).collect();
    let run = runs::NewRun { hosts, ..runs::sample(&names) };
    let jobs = runs::put(&pool, &run).await?;
    anyhow::ensure!(jobs.len() == 2);
    let all = world.caller("all", Role::Admin, &[Limit::Everything]).await?;
    let part = world.caller("part", Role::Admin, &[world.host_scope()]).await?;
    let get = GetRunRequest { id: run.id.to_string() }.encode_to_vec();
    let target = Target { hosts: names.map(str::to_owned).into(), ..Target::default() };
    let again = RunRequest { script: "check".into(), target: Some(target), ..RunRequest::default() };
    let service = "/hms.controller.v1.JobService";
    for (method, request) in [("GetRun", get), ("Preview", again.encode_to_vec())] {
        let path = format!("{service}/{method}");
        let (code, _) = world.call(&part, &path, None, &request).await?;
        anyhow::ensure!(code == Code::PermissionDenied, "{method} was let in: {code:?}");
        let (code, _) = world.call(&all, &path, None, &request).await?;
        anyhow::ensure!(code != Code::PermissionDenied, "{method} is refused to who has everything");
    }
    for (caller, expected) in [(&all, true), (&part, false)] {
        let (_, told) = world.call(caller, &format!("{service}/ListRuns"), None, &[]).await?;
        let listed = ListRunsResponse::decode(told.get(5..).unwrap_or_default())?.runs;
        anyhow::ensure!(!listed.is_empty(), "{} has runs", caller.name);
        let has_it = listed.iter().any(|one| one.id == run.id.to_string());
        anyhow::ensure!(has_it == expected, "the list of {}: {has_it}", caller.name);
    }
    Ok(())
}
