//! The root and its issuers: made once, at the first start, and kept sealed in the database.

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertifiedIssuer, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sqlx::PgPool;
use zeroize::Zeroizing;

use super::{PkiError, leaf};
use crate::{
    db::{self, authority::Row},
    seal::{Place, Sealer},
};

/// Of the root and its issuers.
const LIFE: TimeDelta = TimeDelta::days(3652);

/// One issuer, ready to sign.
pub(super) struct Signing {
    pub(super) certificate: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// The four issuers and the root above them. The root's key stays sealed: it is not needed to serve.
pub(super) struct Issuers {
    pub(super) root: String,
    pub(super) root_der: CertificateDer<'static>,
    pub(super) agent: Signing,
    pub(super) controller: Signing,
    pub(super) operator: Signing,
    pub(super) web: Signing,
}

fn place(kind: &str) -> Place<'_> {
    Place { table: "certificate_authority", column: "key_sealed", row: kind }
}

/// Reads them, or makes them where there are none. Of controllers that start at once, one makes them.
pub(super) async fn open(pool: &PgPool, sealer: &Sealer, now: DateTime<Utc>) -> Result<Issuers, PkiError> {
    let mut tx = pool.begin().await.map_err(db::Error::from)?;
    db::authority::lock(&mut tx).await?;
    let mut rows = db::authority::list(&mut tx).await?;
    if rows.is_empty() {
        rows = create(sealer, now)?;
        for row in &rows {
            db::authority::add(&mut tx, row).await?;
        }
        tracing::info!("made a new certificate authority");
    }
    tx.commit().await.map_err(db::Error::from)?;
    let row = |kind: &'static str| rows.iter().find(|r| r.kind == kind).ok_or(PkiError::Missing(kind));
    let signing = |kind| signing(row(kind)?, sealer);
    let root = row("root")?.certificate.clone();
    Ok(Issuers {
        root_der: CertificateDer::from_pem_slice(root.as_bytes()).map_err(|_| PkiError::Missing("root"))?,
        root,
        agent: signing("agent")?,
        controller: signing("controller")?,
        operator: signing("operator")?,
        web: signing("web")?,
    })
}

fn signing(row: &Row, sealer: &Sealer) -> Result<Signing, PkiError> {
    let key = sealer.open(place(&row.kind), &row.key_sealed)?;
    let key = KeyPair::from_pem(std::str::from_utf8(&key).map_err(|_| PkiError::Missing("key"))?)?;
    let issuer = Issuer::from_ca_cert_pem(&row.certificate, key)?;
    Ok(Signing { certificate: row.certificate.clone(), issuer })
}

fn create(sealer: &Sealer, now: DateTime<Utc>) -> Result<Vec<Row>, PkiError> {
    let expires = now + LIFE;
    let root_key = leaf::new_key()?;
    let mut rows = Vec::new();
    let mut keep = |kind: &str, certificate: String, key: &KeyPair| {
        let pem = Zeroizing::new(key.serialize_pem());
        let key_sealed = sealer.seal(place(kind), pem.as_bytes())?;
        rows.push(Row { kind: kind.into(), certificate, key_sealed });
        Ok::<_, PkiError>(())
    };
    let root = CertifiedIssuer::self_signed(leaf::authority("HMS root", true, now, expires)?, root_key)?;
    keep("root", root.pem(), root.key())?;
    for kind in ["agent", "controller", "operator", "web"] {
        let key = leaf::new_key()?;
        let params = leaf::authority(&format!("HMS {kind} issuer"), false, now, expires)?;
        keep(kind, params.signed_by(&key, &root)?.pem(), &key)?;
    }
    Ok(rows)
}
