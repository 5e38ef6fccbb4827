//! Keeps all that HMS says to somebody, so that it can be looked through; but for the answers whose purpose is to tell a secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use hms_tests::testbed::Output;
use hms_tests::world::{Hmsctl, World};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde_json::Value;

pub(super) const PAGES: &str = "pages";
pub(super) const REST: &str = "REST answers";
pub(super) const HEADS: &str = "addresses and headers";
pub(super) const HMSCTL: &str = "hmsctl output";

/// A folder with a folder for each place.
pub(super) struct Tape {
    folder: PathBuf,
    count: AtomicUsize,
}

impl Tape {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), count: AtomicUsize::default() }
    }

    /// A new file in a place.
    pub(super) fn file(&self, place: &str) -> Result<PathBuf> {
        let folder = self.folder(place);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(self.count.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    pub(super) fn folder(&self, place: &str) -> PathBuf {
        self.folder.join(place.replace(' ', "-"))
    }

    pub(super) fn keep(&self, place: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.file(place)?, text)?)
    }
}

/// Whether an answer is there to tell a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    Nothing,
    Secret,
}

/// A browser or a program.
pub(super) struct Web<'a> {
    tape: &'a Tape,
    client: Client,
    url: String,
    bearer: Option<String>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) cookies: Vec<String>,
    pub(super) body: String,
}

impl Answer {
    /// Must be a success.
    pub(super) fn good(self) -> Result<Self> {
        let is_good = self.status.is_success() || self.status.is_redirection();
        ensure!(is_good, "{}: {}", self.status, self.body);
        Ok(self)
    }

    /// A text of a JSON document.
    pub(super) fn text(&self, pointer: &str) -> Result<String> {
        let value: Value = serde_json::from_str(&self.body).context("no JSON")?;
        let found = value.pointer(pointer).and_then(Value::as_str);
        // Not the document: a test's output is kept, too.
        Ok(found.with_context(|| format!("no {pointer}"))?.to_owned())
    }

    /// The value of a cookie.
    pub(super) fn cookie(&self, name: &str) -> Result<String> {
        let ours = self.cookies.iter().find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='));
        let value = ours.and_then(|rest| rest.split(';').next());
        Ok(value.with_context(|| format!("no cookie {name}, {}", self.status))?.to_owned())
    }
}

impl<'a> Web<'a> {
    pub(super) fn new(world: &World, tape: &'a Tape, bearer: Option<&str>) -> Result<Self> {
        let ca = reqwest::Certificate::from_pem(&fs::read(world.ca_file())?)?;
        let client = Client::builder().tls_certs_only([ca]).cookie_store(true);
        // Each answer is kept, also those that lead to another.
        let client = client.redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { tape, client, url: world.url(), bearer: bearer.map(ToOwned::to_owned) })
    }

    async fn send(&self, request: RequestBuilder, place: &str, tells: Tells) -> Result<Answer> {
        let answer = request.send().await?;
        let status = answer.status();
        let (mut head, mut cookies) = (format!("{status} {}\n", answer.url()), Vec::new());
        for (name, value) in answer.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            if name == header::SET_COOKIE {
                cookies.push(value.clone());
            }
            if name != header::SET_COOKIE || tells == Tells::Nothing {
                head.push_str(&format!("{name}: {value}\n"));
            }
        }
        self.tape.keep(HEADS, &head)?;
        let body = answer.text().await?;
        if tells == Tells::Nothing {
            self.tape.keep(place, &body)?;
        }
        Ok(Answer { status, cookies, body })
    }

    /// A call of REST.
    pub(super) async fn rest(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        tells: Tells,
    ) -> Result<Answer> {
        self.rest_once(method, path, body, tells, None).await
    }

    /// The same with a key by which it is known again.
    pub(super) async fn rest_once(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        tells: Tells,
        key: Option<&str>,
    ) -> Result<Answer> {
        let mut request = self.client.request(method, format!("{}/api{path}", self.url));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request, REST, tells).await
    }

    /// A page.
    pub(super) async fn page(&self, path: &str) -> Result<Answer> {
        self.send(self.client.get(format!("{}{path}", self.url)), PAGES, Tells::Nothing).await
    }

    /// A form on a page.
    pub(super) async fn form(&self, path: &str, fields: &[(&str, &str)], tells: Tells) -> Result<Answer> {
        let form = self.client.post(format!("{}{path}", self.url)).header(header::ORIGIN, &self.url);
        self.send(form.form(fields), PAGES, tells).await
    }
}

/// Runs hmsctl, which may fail.
pub(super) async fn hmsctl(tape: &Tape, of: &Hmsctl, arguments: &[&str], tells: Tells) -> Result<Output> {
    let output = of.exec(arguments).await?;
    let told = if tells == Tells::Nothing { output.stdout.as_str() } else { "" };
    tape.keep(HMSCTL, &format!("{}\n{told}\n{}", arguments.join(" "), output.stderr))?;
    Ok(output)
}
