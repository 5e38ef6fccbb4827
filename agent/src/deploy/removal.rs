//! The steps that take an app away: site, stop, units, data. Each may be done again; nothing is put back.

use hms_proto::fault::Fault;

use super::{
    fail,
    journal::Line,
    site,
    steps::{Done, skipped, well},
    work::Work,
};
use crate::apps::{Item, installed, provision};

impl Work {
    pub(super) async fn remove_site(&mut self) -> Result<Done, Fault> {
        let nginx = self.nginx()?;
        if site::now(&nginx, &self.app).await?.is_none() {
            return skipped("there is no site");
        }
        self.note(&Line::Step("site".to_owned()))?;
        let id = site::set(&nginx, &self.app, &self.request.actor, None).await?;
        if let Some(id) = id {
            nginx.keep(&self.request.actor, &id).await?;
        }
        installed::change(&self.app, |installed| installed.files.set(Item::Site, None))?;
        well("nginx does not serve it any longer")
    }

    pub(super) async fn stop(&mut self) -> Result<Done, Fault> {
        self.restarter().stop().await?;
        well("service and socket are stopped")
    }

    pub(super) async fn remove_units(&mut self) -> Result<Done, Fault> {
        provision::remove_units(&self.session, &self.app).await?;
        fail::point("units-removed");
        well("units and files are removed")
    }

    pub(super) async fn remove_data(&mut self) -> Result<Done, Fault> {
        if !self.request.asked.delete_data {
            return skipped("releases, shared files and database are kept");
        }
        provision::remove_data(&self.session, &self.app).await?;
        well("releases, shared files, database and user are deleted")
    }
}
