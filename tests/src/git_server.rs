//! A git server for the hosts of a test: https with a token, and ssh with a key.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::repository::Repository;
use crate::testbed::Host;

/// The address of the web server; sites of apps have 443.
const PORT: u16 = 8443;

const SITE: &str = "/etc/nginx/conf.d/git.conf";

/// A host that others fetch from.
pub struct GitServer<'a> {
    host: &'a Host,
    certificate: String,
}

impl<'a> GitServer<'a> {
    /// Serves all repositories below /srv/git to whoever has the token or a key.
    pub async fn start(host: &'a Host, token: &str) -> Result<Self> {
        let (certificate, signed, key) = certificates(host.name())?;
        host.write_file("/etc/nginx/git.pem", signed).await?;
        host.write_file("/etc/nginx/git.key", key).await?;
        host.write_file("/etc/nginx/git.users", format!("git:{{PLAIN}}{token}\n")).await?;
        host.write_file(SITE, site(host.name())).await?;
        // The server and the keepers of the repositories are different users.
        host.run(&["git", "config", "--system", "--add", "safe.directory", "*"]).await?;
        host.run(&["systemctl", "start", "fcgiwrap.socket", "ssh.service"]).await?;
        host.run(&["systemctl", "restart", "nginx.service"]).await?;
        host.run(&["useradd", "--system", "--create-home", "--shell", "/usr/bin/git-shell", "git"]).await?;
        Ok(Self { host, certificate })
    }

    /// Makes a host believe this server's certificate, as that of any public server.
    pub async fn introduce(&self, client: &Host) -> Result<()> {
        client.write_file("/usr/local/share/ca-certificates/git.crt", &self.certificate).await?;
        client.run(&["update-ca-certificates"]).await?;
        Ok(())
    }

    /// The https address of a repository.
    #[must_use]
    pub fn https(&self, repository: &Repository) -> String {
        format!("https://{}:{PORT}{}", self.host.name(), repository.folder())
    }

    /// The ssh address of a repository.
    #[must_use]
    pub fn ssh(&self, repository: &Repository) -> String {
        format!("ssh://git@{}{}", self.host.name(), repository.folder())
    }

    /// Lets in whoever has the key to this public key.
    pub async fn let_in(&self, public_key: &str) -> Result<()> {
        let line = format!("restrict {public_key}\n");
        self.host.write_file("/home/git/.ssh/authorized_keys", line).await
    }

    /// The line of known_hosts(5) that the server is known by.
    pub async fn known_hosts(&self) -> Result<String> {
        let key = self.host.read_file("/etc/ssh/ssh_host_ed25519_key.pub").await?;
        let mut words = key.split_whitespace();
        let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(format!("{} {kind} {key}\n", self.host.name()))
    }

    /// What came to the web server.
    pub async fn requests(&self) -> Result<String> {
        self.host.read_file("/var/log/nginx/git.log").await
    }
}

/// A root certificate, and one for a server with its key.
fn certificates(name: &str) -> Result<(String, String, String)> {
    let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Test authority for git");
    let root_certificate = root.self_signed(&root_key)?;
    let server = CertificateParams::new([name.to_owned()])?;
    let signed = server.signed_by(&key, &Issuer::new(root, root_key))?;
    Ok((root_certificate.pem(), signed.pem(), key.serialize_pem()))
}

fn site(name: &str) -> String {
    format!(
        "server {{\n    listen {PORT} ssl;\n    server_name {name};\n    ssl_certificate /etc/nginx/git.pem;\n    \
         ssl_certificate_key /etc/nginx/git.key;\n    access_log /var/log/nginx/git.log;\n\n    \
         location /moved/ {{\n        return 302 https://{name}:{PORT}/srv/git/$request_uri;\n    }}\n\n    \
         location /srv/git/ {{\n        auth_basic git;\n        auth_basic_user_file /etc/nginx/git.users;\n        \
         include fastcgi_params;\n        fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;\n        \
         fastcgi_param GIT_PROJECT_ROOT /;\n        fastcgi_param GIT_HTTP_EXPORT_ALL 1;\n        \
         fastcgi_param PATH_INFO $uri;\n        fastcgi_param REMOTE_USER $remote_user;\n        \
         fastcgi_pass unix:/run/fcgiwrap.socket;\n    }}\n}}\n"
    )
}
