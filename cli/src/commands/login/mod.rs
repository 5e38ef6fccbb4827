//! `hmsctl login`: a password becomes a certificate of some hours.

mod parse;

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use clap::Args;
use hms_proto::{
    controller::v1::{
        ListHostsRequest, LoginRequest, LoginResponse, enrollment_service_client::EnrollmentServiceClient,
    },
    fault::{Fault, FaultKind},
    identity::{Credentials, pinned_client_config},
    names::{Address, UserName},
    transport::{NotConnected, endpoint},
};
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

use self::parse::{context_name, fingerprint, place};
use crate::{
    connect::{Connection, Pace},
    context::{Entry, Store},
    dialog::file::read_text,
    failure::{Failure, Result},
    output::{
        confirm,
        escape::inline,
        measure::{full, now_usec, relative},
    },
    session::Session,
    trouble::{plain, tls_error},
};

/// Log in to an installation
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl login https://asterra:8443 --username ada --ca-file ca.pem
  hmsctl login https://asterra:8443 --username ada --ca-fingerprint 5f0c… --password-file - < secret

`hms-controller ca` prints the certificate authority, `hms-controller ca --fingerprint` its fingerprint.
The password is asked for, or read from a file; it is never an argument.")]
pub(crate) struct Login {
    /// Address of the installation
    #[arg(value_name = "URL")]
    url: String,
    /// Name to log in with; asked for, or as last time
    #[arg(short, long, value_name = "NAME")]
    username: Option<UserName>,
    /// Trust the certificate authority in this file (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "ca_fingerprint")]
    ca_file: Option<PathBuf>,
    /// Trust the certificate authority with this SHA-256 fingerprint
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    ca_fingerprint: Option<[u8; 32]>,
    /// Read the password from a file; `-` is stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the code of the second factor, or a recovery code, from a file
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
}

type Pin = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

impl Login {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let (url, address) = place(&self.url)?;
        let name = context_name(session.global.context.as_deref(), &address)?;
        let store = Store::open()?;
        let before = store.config()?.contexts.remove(&name).filter(|c| c.url == url);
        let pin = self.pin(&store, before.is_some().then_some(name.as_str()), &address).await?;
        let username = self.username(before.as_ref())?;
        let password = self.password(&username)?;
        let (key, csr) = key_and_request()?;
        let request = LoginRequest { username: username.to_string(), password, csr, code: String::new() };
        let progress = session.out.progress(format!("logging in at {address}"));
        let answer = call(&address, pin.clone(), request.clone(), session.global.timeout).await;
        drop(progress);
        let answer = match answer {
            Err(Failure::Fault(fault)) if fault.kind() == FaultKind::ProofNeeded => {
                let request = LoginRequest { code: self.code(session)?, ..request };
                call(&address, pin, request, session.global.timeout).await?
            }
            answer => answer?,
        };
        let identity = format!("{}{key}", with_newline(&answer.certificate));
        check(&identity, &answer)?;
        let grpc_port = u16::try_from(answer.grpc_port).ok().filter(|p| *p != 0).unwrap_or(9443);
        let entry = Entry {
            url,
            grpc: Address::with_default_port(address.host(), grpc_port)?.to_string(),
            username: username.to_string(),
            role: answer.role.clone(),
            expires_usec: answer.expires_usec,
        };
        store.save(&name, entry, &identity, &answer.trust.unwrap_or_default())?;
        learn_hosts(&store, &name).await;
        let ends = relative(answer.expires_usec, now_usec());
        let said = format!(
            "logged in as {username} ({}); ends {ends} ({}); context {name}",
            inline(&answer.role),
            full(answer.expires_usec)
        );
        session.out.note(&said);
        Ok(())
    }

    /// What the certificate authority is known by: as told, as at the last login, or as the person confirms.
    async fn pin(&self, store: &Store, before: Option<&str>, address: &Address) -> Result<Pin> {
        if let Some(file) = &self.ca_file {
            let roots = roots_in(file)?;
            return Ok(Arc::new(move |der| roots.iter().any(|root| root.as_ref() == der)));
        }
        if let Some(wanted) = self.ca_fingerprint {
            return Ok(by_hash(wanted));
        }
        let known = before.and_then(|name| store.trust_of(name).ok());
        if let Some(root) = known.and_then(|t| CertificateDer::from_pem_slice(t.root.as_bytes()).ok()) {
            return Ok(Arc::new(move |der| root.as_ref() == der));
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Fault::invalid(format!(
                "nothing is known yet of the certificate authority at {address}"
            ))
            .hint("add --ca-file FILE or --ca-fingerprint HEX; `hms-controller ca` prints them")
            .into());
        }
        let root = probe(address).await?;
        let hash: [u8; 32] = Sha256::digest(&root).into();
        writeln!(
            io::stderr(),
            "The certificate authority at {address} has the SHA-256 fingerprint\n  {}",
            hex(&hash)
        )?;
        if confirm("Is that what `hms-controller ca --fingerprint` prints there?", false, true)? {
            return Ok(by_hash(hash));
        }
        Err(Fault::new(FaultKind::Failed, "not logged in: the certificate authority was not confirmed")
            .into())
    }

    fn username(&self, before: Option<&Entry>) -> Result<UserName> {
        if let Some(name) = &self.username {
            return Ok(name.clone());
        }
        if let Some(before) = before {
            return Ok(UserName::try_from(before.username.as_str())?);
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Fault::invalid("as whom?").hint("add --username NAME").into());
        }
        write!(io::stderr(), "User name: ")?;
        let mut name = String::new();
        io::stdin().read_line(&mut name)?;
        Ok(UserName::try_from(name.trim())?)
    }

    /// Of the second factor.
    fn code(&self, session: &Session) -> Result<String> {
        let what = "there is no terminal to ask for the code of the second factor on";
        match &self.code_file {
            Some(file) => Ok(read_text(session, file)?.trim().to_owned()),
            None if io::stdin().is_terminal() => {
                Ok(rpassword::prompt_password("Code of the second factor: ")?.trim().to_owned())
            }
            None => Err(Fault::invalid(what).hint("add --code-file FILE").into()),
        }
    }

    fn password(&self, username: &UserName) -> Result<String> {
        let text = match &self.password_file {
            Some(file) if file.as_os_str() == "-" => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text)?;
                text
            }
            Some(file) => fs::read_to_string(file)
                .map_err(|e| Fault::invalid(format!("cannot read {}: {e}", file.display())))?,
            None if io::stdin().is_terminal() => {
                rpassword::prompt_password(format!("Password of {username}: "))?
            }
            None => {
                return Err(Fault::invalid("there is no terminal to ask for the password on")
                    .hint("add --password-file FILE, or --password-file - to read stdin")
                    .into());
            }
        };
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }
}

fn roots_in(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |why: String| Failure::from(Fault::invalid(format!("cannot use {}: {why}", file.display())));
    let text = fs::read(file).map_err(|e| wrong(e.to_string()))?;
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match roots.map_err(|e| wrong(e.to_string()))? {
        roots if roots.is_empty() => Err(wrong("it has no certificate in PEM".into())),
        roots => Ok(roots),
    }
}

fn by_hash(wanted: [u8; 32]) -> Pin {
    Arc::new(move |der| <[u8; 32]>::from(Sha256::digest(der)) == wanted)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn with_newline(pem: &str) -> String {
    format!("{}\n", pem.trim_end())
}

fn key_and_request() -> Result<(String, String)> {
    let made = || -> Result<(String, String), rcgen::Error> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let request = rcgen::CertificateParams::default().serialize_request(&key)?;
        Ok((key.serialize_pem(), request.pem()?))
    };
    made().map_err(|e| Failure::local(format!("cannot make a key: {e}")))
}

/// What was issued has to be for us: a certificate that does not fit the key would fail only later, and oddly.
fn check(identity: &str, answer: &LoginResponse) -> Result<()> {
    let wrong = |why: &str| Failure::local(format!("the controller's answer is of no use: {why}"));
    let credentials = Credentials::from_pem(identity, identity).map_err(|e| wrong(&e.to_string()))?;
    let trust = answer.trust.as_ref().ok_or_else(|| wrong("it has no trust bundle"))?;
    let trust = hms_proto::identity::Trust::new(credentials.identity.install, trust);
    let trust = trust.map_err(|e| wrong(&e.to_string()))?;
    hms_proto::identity::client_config(&trust, &credentials, hms_proto::identity::Kind::Controller, None)
        .map_err(|e| wrong(&e.to_string()))?;
    Ok(())
}

async fn call(
    address: &Address,
    pin: Pin,
    request: LoginRequest,
    timeout: Option<Duration>,
) -> Result<LoginResponse> {
    let tls = pinned_client_config(move |der| pin(der)).map_err(|e| Failure::local(e.to_string()))?;
    let channel = endpoint(address, Arc::new(ArcSwap::from_pointee(tls)));
    let mut client = EnrollmentServiceClient::new(channel);
    // A password takes its time to check, more so where others are being checked.
    let limit = timeout.unwrap_or(Duration::from_secs(30));
    let answer = tokio::time::timeout(limit, client.login(request)).await;
    let whom = format!("the controller at {address}");
    match answer {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(refused(&status, &whom).into()),
        Err(_) => Err(Fault::new(FaultKind::Unreachable, format!("no answer from {whom}"))
            .hint("see that hms-controller runs there")
            .into()),
    }
}

fn refused(status: &tonic::Status, whom: &str) -> Fault {
    if !status.details().is_empty() {
        return Fault::from_status(status);
    }
    // The only check of this connection that can fail for a reason of its own is that of the pin.
    if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(_))) = tls_error(status) {
        let what = format!("{whom} belongs to another certificate authority than the one you trust");
        return Fault::new(FaultKind::Unreachable, what).hint(
            "check the address, and the --ca-file or --ca-fingerprint; `hms-controller ca` prints them",
        );
    }
    match NotConnected::behind(status) {
        Some(cause) => {
            Fault::new(FaultKind::Unreachable, format!("cannot reach {whom}: {}", plain(&cause.cause)))
                .hint("check the address, and that hms-controller runs there")
        }
        None => Fault::from_status(status),
    }
}

/// Asks a server for its chain, trusts none of it, and returns the last certificate.
async fn probe(address: &Address) -> Result<Vec<u8>> {
    let seen = Arc::new(Mutex::new(None));
    let keep = seen.clone();
    let pin: Pin = Arc::new(move |der: &[u8]| {
        *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(der.to_vec());
        false
    });
    let refused = call(address, pin, LoginRequest::default(), None).await;
    let root = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (root, refused) {
        (Some(root), _) => Ok(root),
        (None, Err(failure)) => Err(failure),
        (None, Ok(_)) => Err(Failure::local(format!("{address} showed no certificate authority"))),
    }
}

/// Remembers where the hosts are, for a time without the controller. Not worth waiting for, nor failing.
async fn learn_hosts(store: &Store, name: &str) {
    let Ok(context) = store.context(Some(name)) else { return };
    let limit = Duration::from_secs(2);
    let Ok(link) = Connection::to_controller(&context, Some(limit)) else { return };
    let mut fleet = link.fleet(None, Pace::Look);
    let look = link.answer(Pace::Look, fleet.list_hosts(ListHostsRequest {}));
    if let Ok(Ok(list)) = tokio::time::timeout(limit, look).await {
        context.remember_hosts(&list.hosts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_with_a_request_for_it() {
        let (key, csr) = key_and_request().unwrap();
        assert!(key.contains("PRIVATE KEY") && csr.contains("CERTIFICATE REQUEST"));
    }
}
