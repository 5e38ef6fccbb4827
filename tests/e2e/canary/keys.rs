//! Keys that nobody handles, and that are just there: on disks, and sealed in the database.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hms_tests::testbed::Host;

use super::Scene;

/// Who signs certificates.
const AUTHORITIES: [&str; 5] = ["root", "agent", "controller", "operator", "web"];

pub(super) async fn all(scene: &mut Scene<'_>) -> Result<()> {
    let host = scene.yard.host();
    let agent = host.read_file("/var/lib/hms-agent/identity/key.pem").await?;
    scene.canaries.saw_key("key of the agent", &agent)?;
    for person in ["admin", "maria"] {
        for file in files(&scene.world().folder().join("hmsctl").join(person))? {
            if file.ends_with("identity.pem") {
                let pem = std::fs::read_to_string(file)?;
                let key =
                    pem.split("-----BEGIN").find(|part| part.contains("PRIVATE KEY")).context("a key")?;
                scene.canaries.saw_key("key of a terminal", key)?;
            }
        }
    }
    let decrypt =
        "systemd-creds decrypt --name=master-key /etc/credstore.encrypted/hms-master-key - | base64 -w0";
    let master = BASE64.decode(host.run(&["sh", "-c", decrypt]).await?.trim().as_bytes())?;
    scene.canaries.saw_bytes("master key", &master)?;
    in_the_database(scene, &master).await
}

/// They are there only as whoever has the master key can read them: that each can be opened shows that it is.
async fn in_the_database(scene: &mut Scene<'_>, master: &[u8]) -> Result<()> {
    let host = scene.yard.host();
    for kind in AUTHORITIES {
        let sealed =
            select(host, &format!("key_sealed FROM certificate_authority WHERE kind = '{kind}'")).await?;
        let pem = open(master, ["certificate_authority", "key_sealed", kind], &sealed)?;
        scene.canaries.saw_key(&format!("key of the {kind} authority"), &pem)?;
    }
    let install = select(host, "install_id FROM hms_config").await?;
    let sealed = select(host, "jwt_secret FROM hms_config").await?;
    let pem = open(master, ["hms_config", "jwt_secret", &install], &sealed)?;
    scene.canaries.saw_key("key of access tokens", &pem)
}

async fn select(host: &Host, what: &str) -> Result<String> {
    let ask = format!("SELECT {what}");
    let argv = ["runuser", "-u", "postgres", "--", "psql", "-Atqc", &ask, "hosting_production"];
    Ok(host.run(&argv).await?.trim().to_owned())
}

/// A text that was sealed for a table, a column and a row.
fn open(master: &[u8], place: [&str; 3], sealed: &str) -> Result<String> {
    let bytes = BASE64URL_NOPAD.decode(sealed.strip_prefix("hms1:").context("not sealed")?.as_bytes())?;
    let (nonce, sealed) = bytes.split_at_checked(24).context("too short")?;
    let aad: Vec<u8> = place
        .iter()
        .flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat())
        .collect();
    let cipher = XChaCha20Poly1305::new_from_slice(master).map_err(|_| anyhow!("no master key"))?;
    let opened = cipher.decrypt(&XNonce::try_from(nonce)?, Payload { msg: sealed, aad: &aad });
    Ok(String::from_utf8(opened.map_err(|_| anyhow!("{place:?} cannot be opened"))?)?)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() { files.extend(self::files(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
