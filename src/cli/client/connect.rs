//! Finds the way to a box: the data directory that was named, or the network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use serde_json::Value;

use super::super::failure::{Failure, Remedy};
use super::credentials::{Credentials, Session};
use super::{Client, Way};
use crate::base::with_causes;
use crate::daemon::data_dir::{DataDir, local_url};
use crate::daemon::{Settings, compose, layers};

/// Carries a new token.
const SUBJECT_TOKEN: &str = "x-subject-token";

/// What the command line says about where the box is.
#[derive(Debug, Clone)]
pub struct Target {
    /// A data directory on this machine.
    pub data: Option<PathBuf>,
    /// A settings file, for work on a closed store.
    pub config: Option<PathBuf>,
    /// A cloud's name.
    pub cloud: Option<String>,
}

impl Target {
    /// Opens the way.
    ///
    /// # Errors
    /// When no box is named, or it cannot be opened or reached.
    pub async fn connect(&self) -> Result<Client, Failure> {
        match &self.data {
            Some(data) => self.connect_local(data).await,
            None => self.connect_net().await,
        }
    }

    /// Settings of the box, for work on its closed store.
    ///
    /// # Errors
    /// When they are wrong.
    pub fn settings(&self, mut flags: Vec<(&'static str, String)>) -> Result<Settings, Failure> {
        if let Some(data) = &self.data {
            let data = data.to_str().ok_or_else(|| Failure::usage("--data is no UTF-8"))?;
            flags.push(("server.data", data.to_owned()));
        }
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        layers::load(self.config.as_deref(), environment, &flags).map_err(Failure::usage)
    }

    async fn connect_local(&self, data: &Path) -> Result<Client, Failure> {
        // What cannot be looked for is not missing: opening it says why.
        if matches!(data.join("catalog.redb").try_exists(), Ok(false)) {
            let name = data.display();
            return Err(Failure::not_found(match DataDir::store(data).exists() {
                true => format!(
                    "{name}: no catalog.redb here; put it back, or make it anew from the store with \"tintype --data \
                     {name} rebuild\""
                ),
                false => format!(
                    "{name}: no box here; \"tintype --data {name} init\" makes one, \"serve\" makes and runs one"
                ),
            }));
        }
        let dir = DataDir::open(data)?;
        let path = dir.control_socket();
        if tokio::net::UnixStream::connect(&path).await.is_ok() {
            return Ok(Client { way: Way::Socket { path, _dir: dir } });
        }
        let settings = self.settings(Vec::new())?;
        let handle = tokio::runtime::Handle::current();
        let opened = tokio::task::spawn_blocking(move || {
            let parts = compose::open_in_turn(&settings, &handle)?;
            // No server runs: addresses lead to where one of this box will listen.
            let url = settings.listen().ok().map(local_url);
            let router = parts.router_at(settings.public_url().or(url.as_deref()), &settings);
            Ok::<_, crate::daemon::Error>((router, parts))
        });
        match opened.await.map_err(|e| Failure::failed(e.to_string()))? {
            Ok((router, parts)) => Ok(Client { way: Way::Here { router, parts: Box::new(parts) } }),
            // A server was starting, and is there now.
            Err(crate::daemon::Error::InUse(_)) if compose::is_served(data) => {
                Ok(Client { way: Way::Socket { path, _dir: dir } })
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn connect_net(&self) -> Result<Client, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let Some(credentials) = Credentials::find(self.cloud.as_deref(), variable)? else {
            return Err(Failure::usage(
                "which box? Name its data directory (--data DIR), or a server (OS_CLOUD, or OS_AUTH_URL and the rest)",
            ));
        };
        let http = http_client(&credentials)?;
        let session = std::sync::RwLock::new(Arc::new(sign_in(&http, &credentials).await?));
        Ok(Client { way: Way::Net { http, credentials, session } })
    }
}

fn http_client(credentials: &Credentials) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &credentials.cacert {
        let pem = std::fs::read(path).map_err(|e| Failure::file(Path::new(path), &e))?;
        for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| unreachable(&e))? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|e| unreachable(&e))
}

/// Signs in with these credentials.
pub(super) async fn sign_in(http: &reqwest::Client, credentials: &Credentials) -> Result<Session, Failure> {
    let url = format!("{}/auth/tokens", credentials.identity());
    let response = http.post(&url).json(&credentials.request()?).send().await.map_err(|e| unreachable(&e))?;
    let reply = super::Reply::accept(http::Response::from(response).map(Body::new)).await?;
    let token = reply.headers().get(SUBJECT_TOKEN).cloned();
    let token: HeaderValue = token.ok_or_else(|| Failure::unreachable(format!("{url} gave no token")))?;
    let body: Value = reply.json().await?;
    credentials.session(token, &body)
}

/// Sends a request over the network.
pub(super) async fn through_net(
    http: &reqwest::Client,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let mut outgoing = http.request(head.method, head.uri.to_string()).headers(head.headers);
    if http_body::Body::size_hint(&body).exact() != Some(0) {
        outgoing = outgoing.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let response = outgoing.send().await.map_err(|e| unreachable(&e))?;
    Ok(http::Response::from(response).map(Body::new))
}

fn unreachable(error: &reqwest::Error) -> Failure {
    Failure::unreachable(with_causes(error)).with(Remedy::Patience)
}
