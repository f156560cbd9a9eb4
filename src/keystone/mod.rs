//! The Keystone of a cloud that this box is a part of: whose a token is, and which limits projects have.
//!
//! Owns: the box's own account there and its token, the questions about other people's tokens, and how answers are
//! read. Invariants: every call is bounded in time; a password or a token is in no message and no form of debug output;
//! nothing is followed to another address; a token counts as valid only when Keystone said so. Must not keep what it was told, nor know what a role is worth.

mod answer;
mod error;
mod limits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::base::Time;
use crate::base::with_causes;

use answer::KnownService;
pub use answer::{Domain, Endpoint, LentBy, Place, Seen};
pub use error::Error;
pub use limits::ToldLimits;

/// Longest time for a connection to come about.
const CONNECT_S: u64 = 5;
/// Longest time for an answer.
const ANSWER_S: u64 = 15;
/// Longest answer that is read: a token with its catalog.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest token that is asked about, in bytes; Keystone's own have some hundred.
const TOKEN_BYTES_MAX: usize = 8192;
/// The box's own token is replaced so long before its end, or in the middle of a life that is shorter than twice that.
const RENEWAL_S: i64 = 120;
/// Characters of a refusal that are passed on.
const SHOWN_CHARS: usize = 300;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
/// Says that whoever asks heeds the access rules of application credentials; without it, tokens with some are not told.
const HEEDS_RULES: (&str, &str) = ("openstack-identity-access-rules", "1");

/// How Keystone is reached, and as whom.
pub struct Account {
    /// Its address, such as `https://cloud.example:5000/v3`; `/v3` may be left out.
    pub url: String,
    /// The user to sign in as, who may validate tokens: one with the role `service` or `admin`.
    pub user: String,
    /// The user's domain, by name.
    pub user_domain: String,
    /// The user's password.
    pub password: Zeroizing<String>,
    /// The project to sign in to, by name.
    pub project: String,
    /// The project's domain, by name.
    pub project_domain: String,
    /// Certificates to trust beside the public ones, in PEM form; empty for none.
    pub certificates: Vec<u8>,
}

/// A cloud's Keystone.
pub struct Keystone {
    account: Account,
    /// Ends in `/v3`.
    url: String,
    http: reqwest::Client,
    /// Held while the box signs in, so that it does so once.
    own: Mutex<Option<Own>>,
    /// The same for the whole system, where the account holds a role there.
    system: Mutex<Option<Own>>,
}

/// The box's own token.
#[derive(Clone)]
struct Own {
    token: HeaderValue,
    renew_at: Time,
    /// The services that the cloud's catalog had with it.
    services: Arc<[KnownService]>,
}

/// What Keystone says when it is asked about a token.
enum Told {
    Seen(Box<Seen>),
    /// There is no such token, or it is expired or revoked.
    Unknown,
    /// The token that the box asked with holds no more.
    OwnEnded(String),
}

impl fmt::Debug for Keystone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystone").field("url", &self.url).field("user", &self.account.user).finish()
    }
}

impl Keystone {
    /// Takes a Keystone. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the certificates are none.
    pub fn new(account: Account) -> Result<Keystone, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(CONNECT_S))
            .timeout(Duration::from_secs(ANSWER_S));
        if !account.certificates.is_empty() {
            let bundle = reqwest::Certificate::from_pem_bundle(&account.certificates);
            let bundle = bundle.map_err(|error| error.to_string())?;
            if bundle.is_empty() {
                return Err("there is no certificate in it".to_owned());
            }
            for certificate in bundle {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        let url = account.url.trim_end_matches('/');
        let url = if url.ends_with("/v3") { url.to_owned() } else { format!("{url}/v3") };
        Ok(Keystone { account, url, http, own: Mutex::default(), system: Mutex::default() })
    }

    /// Its address, which ends in `/v3`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Signs the box in anew; gives the public endpoints that the cloud's catalog names.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sign_in(&self, now: Time) -> Result<Vec<Endpoint>, Error> {
        let mut own = self.own.lock().await;
        let (fresh, endpoints) = self.issue(self.own_scope(), now).await?;
        *own = Some(fresh);
        Ok(endpoints)
    }

    /// Whose a token is; `None` when Keystone knows none such, or says that it ended.
    ///
    /// # Errors
    /// [`Error`], of the box's own standing with Keystone, and never because of the token.
    pub async fn validate(&self, token: &str, now: Time) -> Result<Option<Seen>, Error> {
        let subject = HeaderValue::from_str(token).ok();
        let Some(mut subject) = subject.filter(|_| (1..=TOKEN_BYTES_MAX).contains(&token.len())) else {
            return Ok(None);
        };
        subject.set_sensitive(true);
        let own = self.own_token(now).await?;
        let told = match self.ask(&own, &subject).await? {
            Told::OwnEnded(_) => {
                // Revoked, or from before a restart of Keystone with other keys: once more with a new one.
                self.forget(&own).await;
                self.ask(&self.own_token(now).await?, &subject).await?
            }
            told => told,
        };
        match told {
            Told::Seen(seen) => Ok(Some(*seen).filter(|seen| now < seen.expires_at)),
            Told::Unknown => Ok(None),
            Told::OwnEnded(said) => Err(Error::Account(format!("its fresh token is refused: {said}"))),
        }
    }

    async fn own_token(&self, now: Time) -> Result<HeaderValue, Error> {
        Ok(self.own(now).await?.token)
    }

    async fn own(&self, now: Time) -> Result<Own, Error> {
        let mut own = self.own.lock().await;
        if let Some(own) = own.as_ref().filter(|own| now < own.renew_at) {
            return Ok(own.clone());
        }
        let (fresh, _) = self.issue(self.own_scope(), now).await?;
        Ok(own.insert(fresh).clone())
    }

    /// The project that the account signs in to.
    fn own_scope(&self) -> Value {
        let Account { project, project_domain, .. } = &self.account;
        json!({"project": {"name": project, "domain": {"name": project_domain}}})
    }

    /// Lets go of the box's own token, unless somebody replaced it already.
    async fn forget(&self, token: &HeaderValue) {
        self.own.lock().await.take_if(|own| own.token == *token);
    }

    async fn issue(&self, scope: Value, now: Time) -> Result<(Own, Vec<Endpoint>), Error> {
        let Account { user, user_domain, password, .. } = &self.account;
        let user = json!({"name": user, "domain": {"name": user_domain}, "password": password.as_str()});
        let auth = json!({
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": scope,
        });
        let request = self.http.post(format!("{}/auth/tokens", self.url)).json(&json!({"auth": auth}));
        let answer = arrived(request.send().await)?;
        let token = answer.headers().get(SUBJECT_TOKEN).cloned();
        match answer.status() {
            StatusCode::CREATED => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Error::Account(refused(status, answer).await));
            }
            status => return Err(Error::Unreachable(refused(status, answer).await)),
        }
        let mut token = token.ok_or_else(|| Error::Unreachable("it gave no token".to_owned()))?;
        token.set_sensitive(true);
        let answer::SignedIn { expires_at, endpoints, services } = answer::signed_in(&read(answer).await?)?;
        let early = (RENEWAL_S * Time::SECOND).min((expires_at.0 - now.0) / 2);
        Ok((Own { token, renew_at: Time(expires_at.0 - early), services: services.into() }, endpoints))
    }

    async fn ask(&self, own: &HeaderValue, subject: &HeaderValue) -> Result<Told, Error> {
        let request = self
            .http
            .get(format!("{}/auth/tokens?nocatalog", self.url))
            .header(AUTH_TOKEN, own.clone())
            .header(SUBJECT_TOKEN, subject.clone())
            .header(HEEDS_RULES.0, HEEDS_RULES.1);
        let answer = arrived(request.send().await)?;
        match answer.status() {
            StatusCode::OK => Ok(Told::Seen(Box::new(answer::seen(&read(answer).await?)?))),
            StatusCode::NOT_FOUND => {
                let body: Option<Value> = serde_json::from_slice(&read(answer).await?).ok();
                match body {
                    Some(body) if body["error"]["code"] == 404 => Ok(Told::Unknown),
                    // Something else than Keystone answered.
                    _ => Err(Error::Unreachable("404, in words that are not Keystone's".to_owned())),
                }
            }
            status @ StatusCode::UNAUTHORIZED => Ok(Told::OwnEnded(refused(status, answer).await)),
            status @ StatusCode::FORBIDDEN => {
                let said = refused(status, answer).await;
                Err(Error::Account(format!("it may not validate tokens, give it the role service: {said}")))
            }
            status => Err(Error::Unreachable(refused(status, answer).await)),
        }
    }
}

fn arrived<T>(outcome: Result<T, reqwest::Error>) -> Result<T, Error> {
    // The address may have been written with a password in it.
    outcome.map_err(|error| Error::Unreachable(with_causes(&error.without_url())))
}

/// A refusal in few words.
async fn refused(status: StatusCode, answer: Response) -> String {
    let text = read(answer).await.unwrap_or_default();
    let message = serde_json::from_slice(&text).ok().and_then(|body: Value| {
        let message = body["error"]["message"].as_str()?;
        Some(message.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect::<String>())
    });
    message.map_or_else(|| status.to_string(), |message| format!("{status}: {message}"))
}

async fn read(mut answer: Response) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = arrived(answer.chunk().await)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unreachable("its answer is too long".to_owned()));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
pub mod fake_tests;
#[cfg(test)]
mod keystone_tests;
