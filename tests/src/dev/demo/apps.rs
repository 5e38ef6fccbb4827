//! The demo's apps: two real repositories, each with a few commits, deployed by HMS as people would do it.

use std::fs;

use anyhow::{Context as _, Result};
use hms_proto::controller::v1::{DeployRequest, GetAppRequest, RollbackRequest, SetSecretsRequest};
use hms_proto::host::v1::{JobState, Secret};
use hms_tests::repository::{Change, Repository};
use hms_tests::testbed::Host;
use hms_tests::yard::{Yard, settings, spec};

/// Which app is on which host.
pub(super) const APPS: [(&str, &str); 2] = [("asterra", "cigar"), ("borealis", "tobacco")];

/// Written last: the apps of a kept demo without it are made once more.
const COMPLETE: &str = "apps-complete";

/// Sets both apps up, side by side, unless the demo has them from the last time.
pub(super) async fn set_up(yard: &Yard) -> Result<()> {
    let mark = yard.world().folder().join(COMPLETE);
    if mark.exists() {
        return Ok(());
    }
    let (cigar, tobacco) = tokio::join!(set_up_cigar(yard), set_up_tobacco(yard));
    cigar.and(tobacco)?;
    Ok(fs::write(mark, "")?)
}

async fn set_up_cigar(yard: &Yard) -> Result<()> {
    let host = yard.world().host("asterra")?;
    let repository = begin(yard, host, "cigar").await?;
    let heading = |text: &str| {
        format!(
            "<h1>{text}</h1>\n<ul>\n  <% @products.each do |product| %>\n    <li><%= link_to product.name, product %>, <%= product.price %></li>\n  <% end %>\n</ul>\n"
        )
    };
    let view = "app/views/products/index.html.erb";
    let change =
        Change::new("Greet visitors of the shop").by("Jordan Lee").file(view, heading("Good cigars"));
    ends(yard, &repository, host, &change.file("VERSION", "2\n"), JobState::Succeeded).await?;
    let change = Change::new("Add an index on the names of products").file(
        "db/migrate/20260912103000_index_products_on_name.rb",
        "class IndexProductsOnName < ActiveRecord::Migration[6.1]\n  def change\n    add_index :products, :name\n  end\nend\n",
    );
    ends(yard, &repository, host, &change.file("VERSION", "3\n"), JobState::Succeeded).await?;
    let change = Change::that_does_not_boot().by("Jordan Lee").saying("Read the stock from the new supplier");
    ends(yard, &repository, host, &change, JobState::Failed).await?;
    let change =
        Change::new("Read the stock later").without("config/initializers/broken.rb").file("VERSION", "4\n");
    repository.commit(host, &change).await.map(drop)
}

async fn set_up_tobacco(yard: &Yard) -> Result<()> {
    let host = yard.world().host("borealis")?;
    let repository = begin(yard, host, "tobacco").await?;
    let secret = |name: &str, value: &str| Secret { name: name.into(), value: value.into() };
    let secrets = vec![secret("SMTP_PASSWORD", "correct horse"), secret("PAYMENT_API_KEY", "battery staple")];
    yard.secrets()
        .set(SetSecretsRequest { key: "tobacco".into(), secrets, ..SetSecretsRequest::default() })
        .await?;
    let change = Change::new("Send a mail when an order is shipped").by("Sam Rivera").file("VERSION", "2\n");
    ends(yard, &repository, host, &change, JobState::Succeeded).await?;
    let change = Change::new("Warn sooner about long lists").by("Sam Rivera").file("VERSION", "3\n");
    ends(yard, &repository, host, &change, JobState::Succeeded).await?;
    let back = RollbackRequest { key: "tobacco".into(), ..RollbackRequest::default() };
    let begun = yard.deployments().rollback(back).await?.into_inner();
    yard.must_be(&yard.end(&begun.id).await?, JobState::Succeeded).await
}

/// A repository, the app in HMS, and its first release.
async fn begin(yard: &Yard, host: &Host, key: &str) -> Result<Repository> {
    let repository = Repository::of_app(host, key, key).await?;
    if yard.apps().get_settings(GetAppRequest { key: key.into() }).await.is_err() {
        let mut spec = spec(key, key, &repository.url());
        // Workers, so that one of the two apps shows phased restarts.
        spec.workers = if key == "tobacco" { 2 } else { 0 };
        yard.apps().add(settings(key, host.name(), spec)).await?;
    }
    deploy(yard, key, JobState::Succeeded).await?;
    Ok(repository)
}

async fn ends(
    yard: &Yard,
    repository: &Repository,
    host: &Host,
    change: &Change,
    state: JobState,
) -> Result<()> {
    repository.commit(host, change).await?;
    deploy(yard, repository.name(), state).await
}

async fn deploy(yard: &Yard, key: &str, state: JobState) -> Result<()> {
    let request = DeployRequest { key: key.into(), ..DeployRequest::default() };
    let begun = yard.begin(request).await.with_context(|| format!("cannot deploy {key}"))?;
    yard.must_be(&yard.end(&begun.id).await?, state).await
}
