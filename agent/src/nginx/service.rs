//! NginxService: parse, act, answer.

use std::time::Instant;

use hms_proto::{
    fault::Fault,
    host::v1::{
        ApplyNginxRequest, ApplyNginxResponse, ConfirmNginxRequest, GetNginxRequest, ListNginxRequest,
        NginxFile, NginxTree, ReloadNginxRequest, RevertNginxRequest, RouteNginxRequest, RouteNginxResponse,
        TestNginxRequest, TestNginxResponse, nginx_service_server::NginxService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    Nginx,
    lint::lint,
    paths::ConfigPath,
    pipeline::{self, Steps},
    prove::prove,
    recover, reload, route, view,
};
use crate::access::Caller;

fn actor<T>(request: &Request<T>) -> String {
    request.extensions().get::<Caller>().map(|c| c.actor.clone()).unwrap_or_default()
}

impl Nginx {
    async fn test_now(&self, request: TestNginxRequest) -> Result<TestNginxResponse, Fault> {
        let began = Instant::now();
        let session = self.0.bus.session().await?;
        let live = self.live().await?;
        let proof = prove(self, &session, &live, &request.changes, &request.accept).await?;
        let took_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        Ok(TestNginxResponse { ok: proof.is_good(), problems: proof.problems, took_ms })
    }

    async fn reload_now(&self) -> Result<ApplyNginxResponse, Fault> {
        let began = Instant::now();
        let _guard = self.write_lock().await;
        let session = self.0.bus.session().await?;
        let live = self.live().await?;
        let mut steps = Steps::default();
        let proof = prove(self, &session, &live, &[], &[]).await?;
        steps.add("test", began, "");
        if !proof.is_good() {
            return Err(pipeline::refused(proof.problems));
        }
        if !reload::is_running(&session).await? {
            return Err(Fault::new(
                hms_proto::fault::FaultKind::Failed,
                "nginx is not running, so it cannot reload",
            )
            .hint("Start nginx.service."));
        }
        let step = Instant::now();
        let said = reload::reload(&session, &reload::error_logs(&lint(&live))).await?;
        steps.add("reload", step, said);
        pipeline::answer(self, proof.problems, Vec::new(), steps, began).await
    }
}

#[tonic::async_trait]
impl NginxService for Nginx {
    async fn list(&self, _: Request<ListNginxRequest>) -> Result<Response<NginxTree>, Status> {
        Ok(Response::new(view::tree(self).await?))
    }

    async fn get(&self, request: Request<GetNginxRequest>) -> Result<Response<NginxFile>, Status> {
        let path = ConfigPath::try_from(request.get_ref().path.as_str())?;
        Ok(Response::new(view::get(self, path.as_str()).await?))
    }

    async fn test(&self, request: Request<TestNginxRequest>) -> Result<Response<TestNginxResponse>, Status> {
        Ok(Response::new(self.test_now(request.into_inner()).await?))
    }

    async fn apply(
        &self,
        request: Request<ApplyNginxRequest>,
    ) -> Result<Response<ApplyNginxResponse>, Status> {
        let actor = actor(&request);
        Ok(Response::new(pipeline::apply(self, &actor, request.get_ref()).await?))
    }

    async fn confirm(&self, request: Request<ConfirmNginxRequest>) -> Result<Response<NginxTree>, Status> {
        recover::confirm(self, &actor(&request), &request.get_ref().id).await?;
        Ok(Response::new(view::tree(self).await?))
    }

    async fn revert(&self, request: Request<RevertNginxRequest>) -> Result<Response<NginxTree>, Status> {
        recover::revert(self, &actor(&request), &request.get_ref().id).await?;
        Ok(Response::new(view::tree(self).await?))
    }

    async fn reload(&self, _: Request<ReloadNginxRequest>) -> Result<Response<ApplyNginxResponse>, Status> {
        Ok(Response::new(self.reload_now().await?))
    }

    async fn route(
        &self,
        request: Request<RouteNginxRequest>,
    ) -> Result<Response<RouteNginxResponse>, Status> {
        let live = self.live().await?;
        let url = request.into_inner().url;
        Ok(Response::new(crate::blocking(move || route::route(&live, &lint(&live), &url)).await?))
    }
}
