//! Every way in: a login of each kind, what each is good for, and what stays open.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::fault::FaultKind;
use hms_proto::identity::Kind;
use hms_tests::people::{add_user, log_in, log_in_to_rest_as, log_in_to_web_as};
use hms_tests::world::World;
use http_body_util::BodyExt as _;
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::support::{begin, call};

pub(super) const HOST: &str = "asterra";
/// An id of nothing.
const NOTHING: &str = "00000000-0000-7000-8000-000000000000";

/// Where somebody comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// A page, with a cookie.
    Web,
    /// REST, with the access token of a session.
    Rest,
    /// REST, with a token for machines.
    Token,
    /// gRPC at the controller, with an operator certificate.
    Controller,
    /// gRPC at an agent, with the same certificate, past the controller.
    Agent,
}

/// Somebody who came in at every door.
pub(super) struct Person<'a> {
    pub(super) world: &'a World,
    pub(super) name: String,
    pub(super) password: String,
    pub(super) browser: Client,
    /// Without a cookie.
    pub(super) program: Client,
    pub(super) access: String,
    pub(super) token: String,
    pub(super) token_id: String,
    pub(super) controller: Channel,
    pub(super) agent: Channel,
}

impl<'a> Person<'a> {
    pub(super) async fn enter(world: &'a World, name: &str) -> Result<Self> {
        let password = add_user(world, name, "operator").await?;
        let (browser, program) = (world.client()?, world.client()?);
        log_in_to_web_as(world, &browser, name, &password).await?;
        let tokens = log_in_to_rest_as(world, &program, name, &password).await?;
        let access = text(&tokens, "/access_token")?;
        let wanted = json!({ "name": "a machine", "role": "operator" });
        let made = program.post(format!("{}/api/tokens", world.url())).bearer_auth(&access).json(&wanted);
        let made: Value = made.send().await?.error_for_status()?.json().await?;
        let party = log_in(world, name, &password).await?;
        Ok(Self {
            controller: party.channel(&world.grpc(), Kind::Controller)?,
            agent: party.channel(&format!("{}:9444", world.host(HOST)?.address()), Kind::Agent)?,
            token: text(&made, "/secret")?,
            token_id: text(&made, "/token/id")?,
            name: name.to_owned(),
            world,
            password,
            browser,
            program,
            access,
        })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.url())
    }

    /// Whether what an operator may do, and a viewer may not, is let in.
    pub(super) async fn is_let_in(&self, door: Door) -> Result<bool> {
        let cancel = format!("/api/runs/{NOTHING}/cancel");
        let answer = match door {
            Door::Controller => {
                return was_let_in(&self.controller, "/hms.controller.v1.JobService/Cancel").await;
            }
            Door::Agent => return was_let_in(&self.agent, "/hms.host.v1.UnitService/Restart").await,
            Door::Web => {
                let form = self.browser.post(self.url(&format!("/runs/{NOTHING}/cancel")));
                // As the pages' own script sends it: it is told 401 instead of being sent to the login.
                form.header(header::ORIGIN, self.world.url())
                    .header("x-requested-with", "hms")
                    .form(&[("job", "")])
            }
            Door::Rest => self.program.post(self.url(&cancel)).bearer_auth(&self.access),
            Door::Token => self.program.post(self.url(&cancel)).bearer_auth(&self.token),
        };
        let answer = answer.send().await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(true),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
            status => bail!("{door:?}: {status}: {}", answer.text().await?),
        }
    }

    /// Opens what does not end by itself.
    pub(super) async fn open(&self, door: Door) -> Result<Vec<Open>> {
        let (follow, health) = ("/hms.host.v1.LogService/Follow", "/grpc.health.v1.Health/Watch");
        let request = match door {
            Door::Controller => return open(&self.controller, &[follow, health]).await,
            Door::Agent => return open(&self.agent, &[follow, health]).await,
            Door::Web => self.browser.get(self.url("/events?view=dashboard")),
            Door::Rest => self.program.get(self.url("/api/logs/cigar")).bearer_auth(&self.access),
            Door::Token => self.program.get(self.url("/api/logs/cigar")).bearer_auth(&self.token),
        };
        let mut answer = request.header(header::ACCEPT, "text/event-stream").send().await?;
        ensure!(answer.status() == StatusCode::OK, "{door:?}: {}", answer.status());
        let end = tokio::spawn(async move {
            while let Ok(Some(_)) = answer.chunk().await {}
            Instant::now()
        });
        Ok(vec![Open { what: "events", end }])
    }
}

pub(super) fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no {pointer} in {value}"))?.to_owned())
}

/// An empty message names nothing: whoever is let in is told so.
async fn was_let_in(channel: &Channel, path: &str) -> Result<bool> {
    match call(channel, path, Some(HOST)).await {
        Ok(()) => Ok(true),
        Err(fault) => match fault.kind() {
            FaultKind::Denied | FaultKind::Unauthenticated => Ok(false),
            FaultKind::Invalid | FaultKind::NotFound => Ok(true),
            _ => bail!("{path}: {fault:?}"),
        },
    }
}

/// A stream, and when it ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) what: &'static str,
    pub(super) end: JoinHandle<Instant>,
}

impl Open {
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_finished()
    }
}

async fn open(channel: &Channel, paths: &[&'static str]) -> Result<Vec<Open>> {
    let mut open = Vec::new();
    for what in paths {
        let mut body = begin(channel, what, Some(HOST)).await?.into_body();
        let end = tokio::spawn(async move {
            while body.frame().await.is_some_and(|frame| frame.is_ok_and(|frame| !frame.is_trailers())) {}
            Instant::now()
        });
        open.push(Open { what, end });
    }
    Ok(open)
}
