//! Other boxes that images are sent to and fetched from: sign-in, and an image's way over HTTP.
//!
//! Owns: what is asked of another box, and what its answers mean. Speaks the Image API, and uploads in parts as
//! the native API has them. Invariants: every call is bounded in time; a password is in no message and no form
//! of debug output; nothing is followed to another address. Must not know jobs, nor who may ask.

mod error;
mod visit;

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use serde_json::json;
use zeroize::Zeroizing;

pub use error::Error;
pub use visit::{Data, Found, Upload, Visit};

/// Longest time for a connection to come about.
const CONNECT_S: u64 = 10;
/// Longest time for an answer to a request that carries no data.
const ANSWER_S: u64 = 60;
/// Carries a new token.
const SUBJECT_TOKEN: &str = "x-subject-token";

/// How another box is reached, and as whom.
pub struct Account {
    /// Its address, such as `https://east.example:9292`.
    pub url: String,
    /// The user to sign in as.
    pub user: String,
    /// The user's domain, by name; the projects that are named there are in it too.
    pub domain: String,
    /// The user's password.
    pub password: Zeroizing<String>,
    /// Certificates to trust beside the public ones, in PEM form; empty for none.
    pub certificates: Vec<u8>,
}

/// Another box.
pub struct Peer {
    account: Account,
    http: reqwest::Client,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("url", &self.account.url).field("user", &self.account.user).finish()
    }
}

impl Peer {
    /// Takes another box. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the certificates are none.
    pub fn new(account: Account) -> Result<Peer, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(CONNECT_S));
        if !account.certificates.is_empty() {
            let bundle = reqwest::Certificate::from_pem_bundle(&account.certificates);
            for certificate in bundle.map_err(|error| error.to_string())? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Peer { account, http: builder.build().map_err(|error| error.to_string())? })
    }

    /// Signs in to a project there, by its name.
    ///
    /// # Errors
    /// [`Error::NoProject`] when the account has nothing to do in a project of that name;
    /// [`Error::Denied`] when it cannot sign in at all; [`Error::Unreachable`].
    pub async fn visit(&self, project: &str) -> Result<Visit, Error> {
        let token = match self.sign_in(Some(project)).await {
            // Whether it is the project or the password, only another sign-in tells.
            Err(Error::Denied(_)) => {
                self.sign_in(None).await.map_err(|error| self.not_let_in(error))?;
                return Err(Error::NoProject(project.chars().take(100).collect()));
            }
            signed_in => signed_in?,
        };
        Ok(Visit::new(self.http.clone(), self.base().to_owned(), token))
    }

    /// Who and where is the operator's business: it goes to the log, and not to whoever asked for a copy.
    fn not_let_in(&self, error: Error) -> Error {
        let Error::Denied(said) = error else { return error };
        let Account { url, user, domain, .. } = &self.account;
        tracing::warn!(url, user, domain, said, "another box does not let this one in");
        Error::Denied(
            "its account there is not let in; the operator has to check user, domain and password_file of the peer"
                .to_owned(),
        )
    }

    fn base(&self) -> &str {
        self.account.url.trim_end_matches('/')
    }

    async fn sign_in(&self, project: Option<&str>) -> Result<HeaderValue, Error> {
        let Account { user, domain, password, .. } = &self.account;
        let user = json!({"name": user, "domain": {"name": domain}, "password": password.as_str()});
        let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
        if let Some(project) = project {
            auth["scope"] = json!({"project": {"name": project, "domain": {"name": domain}}});
        }
        let url = format!("{}/identity/v3/auth/tokens", self.base());
        let request =
            self.http.post(&url).json(&json!({"auth": auth})).timeout(Duration::from_secs(ANSWER_S));
        let answer = visit::accepted(request.send().await).await?;
        let token = answer.headers().get(SUBJECT_TOKEN).cloned();
        let mut token = token.ok_or_else(|| Error::Unreachable(format!("{url} gave no token")))?;
        token.set_sensitive(true);
        Ok(token)
    }
}
