//! Renewal: at half its life, the certificate is replaced by one for a new key.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hms_proto::{
    controller::v1::{RenewRequest, enrollment_service_client::EnrollmentServiceClient},
    fault::{Fault, FaultKind},
    identity::{Kind, client_config},
    transport::endpoint,
};

use crate::{
    identity::{self, Identity, Own},
    internal,
    join::{new_key, unix_now},
};

const DEADLINE: Duration = Duration::from_secs(20);
/// The clock may be set while the agent sleeps: it looks again at least this often.
const NAP_MAX: u64 = 600;
const RETRY_FIRST: f64 = 5.0;
const RETRY_MAX: f64 = 300.0;

/// Sleeps until this certificate is due, and renews it. Returns once a newer identity is on the disk.
pub(crate) async fn renew(state: &Path, identity: &Identity, own: &Own) {
    let due = due(own.valid, rand::random::<f64>());
    loop {
        match u64::try_from(due - unix_now()) {
            Ok(left) if left > 0 => tokio::time::sleep(Duration::from_secs(left.min(NAP_MAX))).await,
            _ => break,
        }
    }
    let mut pause = RETRY_FIRST;
    loop {
        match attempt(state, identity, own).await {
            Ok(()) => return,
            Err(fault) => complain(&fault, own),
        }
        tokio::time::sleep(Duration::from_secs_f64(pause * (0.5 + rand::random::<f64>()))).await;
        pause = (pause * 2.0).min(RETRY_MAX);
    }
}

/// Half of the life, ±10 %, so that many hosts that joined together do not renew together.
fn due((begins, ends): (i64, i64), random: f64) -> i64 {
    let life = (ends - begins) as f64;
    begins + (life * (0.4 + 0.2 * random)) as i64
}

fn complain(fault: &Fault, own: &Own) {
    let left = own.valid.1 - unix_now();
    if left <= 0 {
        tracing::error!(
            reason = fault.message,
            "the certificate has ended: `hmsctl host add` prints a new token, `hms-agent join` takes it"
        );
    } else {
        tracing::warn!(
            reason = fault.message,
            hours_left = left / 3600,
            "cannot renew the certificate, trying again"
        );
    }
}

async fn attempt(state: &Path, identity: &Identity, own: &Own) -> Result<(), Fault> {
    let (key, csr) = new_key()?;
    let tls = client_config(&own.trust, &own.credentials, Kind::Controller, None)
        .map_err(|e| internal(format!("cannot set up TLS: {e}")))?;
    let mut client =
        EnrollmentServiceClient::new(endpoint(&own.controller, Arc::new(ArcSwap::from_pointee(tls))));
    let answer = tokio::time::timeout(DEADLINE, client.renew(RenewRequest { csr }))
        .await
        .map_err(|_| Fault::new(FaultKind::Unknown, "the controller did not answer in time"))?
        .map_err(|status| Fault::from_status(&status))?
        .into_inner();
    let renewed = Identity {
        key,
        certificate: answer.certificate,
        trust: answer.trust.unwrap_or_else(|| identity.trust.clone()),
        membership: identity.membership.clone(),
    };
    let new = renewed.check()?;
    if new.credentials.identity != own.credentials.identity {
        return Err(internal(format!("the controller answered for {}", new.credentials.identity)));
    }
    let stored = identity::store_renewed(state, identity, &renewed)
        .map_err(|e| internal(format!("cannot write the renewed identity: {e}")))?;
    if stored {
        tracing::info!(valid_until = new.valid.1, "renewed the certificate");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_around_half_its_life() {
        assert_eq!(due((1000, 2000), 0.0), 1400);
        assert_eq!(due((1000, 2000), 0.5), 1500);
        assert_eq!(due((1000, 2000), 1.0), 1600);
    }
}
