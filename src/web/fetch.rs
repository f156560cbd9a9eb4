//! Fetching: one address after the other where redirects lead, each let pass by the filter, at addresses that were
//! looked up once.

use std::net::SocketAddr;
use std::time::Duration;

use futures::TryStreamExt;
use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE};
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use url::{Host, Url};

use super::pace::{Body, steady};
use super::{Error, Filter};
use crate::base::with_causes;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// Longest time for a connection to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time in which nothing comes.
const SILENCE: Duration = Duration::from_secs(60);

/// From where on, of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Bytes that came before.
    pub offset: u64,
    /// What the server called the data then: only the rest of the same will do.
    pub stamp: String,
    /// How long the whole was then, where that is known.
    pub size_bytes: Option<u64>,
}

/// An answer, before its data.
pub struct Fetched {
    /// Bytes of the whole, where the server says it.
    pub size_bytes: Option<u64>,
    /// What the server calls the data, where it says so: another name is other data.
    pub stamp: Option<String>,
    /// Where the data begins: where it was asked for, or at 0, for a server that has other data now or no ranges.
    pub offset: u64,
    /// The data.
    pub body: Body,
}

/// The web, as far as the filter lets it be seen; by default not at all.
#[derive(Debug, Default)]
pub struct Web {
    filter: Filter,
    certificates: Vec<u8>,
}

impl Web {
    /// The web behind a filter. `certificates`: to trust beside the public ones, in PEM form; empty for none.
    ///
    /// # Errors
    /// When the certificates are none.
    pub fn new(filter: Filter, certificates: Vec<u8>) -> Result<Web, String> {
        let web = Web { filter, certificates };
        web.roots().map_err(|error| error.to_string())?;
        Ok(web)
    }

    /// Whether something may be fetched from an address. A name that cannot be looked up now is no reason against it.
    /// Blocks on the look-up.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn expect_allowed(&self, text: &str) -> Result<(), Error> {
        let url = self.filter.read(text)?;
        match url.socket_addrs(|| None) {
            Ok(found) => self.filter.expect_addresses(&url, &found),
            Err(_) => Ok(()),
        }
    }

    /// Asks for what is at an address, or for the rest of it; for all of it where the server hands out the rest of other data.
    ///
    /// # Errors
    /// [`Error::Refused`] when the address, or one that it leads to, is none to be fetched from; [`Error::Missing`] when
    /// the server has nothing there; [`Error::Unavailable`] when it fails.
    pub async fn open(&self, text: &str, from: Option<&From>) -> Result<Fetched, Error> {
        let (mut url, mut from) = (self.filter.read(text)?, from);
        for _ in 0..=REDIRECTS_MAX {
            let mut answer = self.ask(&url, from).await?;
            if from.is_some_and(|from| is_of_other(&answer, from)) {
                // It does not go with what came before, whatever the server makes of a condition.
                from = None;
                answer = self.ask(&url, from).await?;
            }
            if !answer.status().is_redirection() {
                return fetched(answer, &url, from);
            }
            let target = text_of(answer.headers(), LOCATION);
            let target = target.ok_or_else(|| missing(&url, "redirects to nowhere"))?;
            let next = url.join(&target).map_err(|_| missing(&url, "redirects to what is no address"))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(missing(&url, "redirects from https to http"));
            }
            url = self.filter.read(next.as_str())?;
        }
        Err(missing(&url, "redirects too often"))
    }

    /// One request, to addresses that were looked up for it and let pass.
    async fn ask(&self, url: &Url, from: Option<&From>) -> Result<Response, Error> {
        let unavailable = |why: &dyn std::fmt::Display| {
            Error::Unavailable(format!("{} cannot be fetched: {why}", shown(url)))
        };
        let port = url.port_or_known_default().unwrap_or(0);
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        for certificate in self.roots().map_err(|error| unavailable(&error))? {
            builder = builder.add_root_certificate(certificate);
        }
        if let Some(Host::Domain(name)) = url.host() {
            let found = tokio::net::lookup_host((name, port)).await.map_err(|error| {
                // Most are misspelt: waiting does not help them.
                Error::Missing(format!(
                    "{} cannot be fetched: its host cannot be looked up: {error}",
                    shown(url)
                ))
            })?;
            let found: Vec<SocketAddr> = found.collect();
            self.filter.expect_addresses(url, &found)?;
            builder = builder.resolve_to_addrs(name, &found);
        }
        let client = builder.build().map_err(|error| unavailable(&error))?;
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={}-", from.offset)).header(IF_RANGE, &from.stamp);
        }
        // Its own words name the address again, with what a redirect put into it.
        request.send().await.map_err(|error| unavailable(&with_causes(&error.without_url())))
    }

    fn roots(&self) -> reqwest::Result<Vec<reqwest::Certificate>> {
        match self.certificates.is_empty() {
            true => Ok(Vec::new()),
            false => reqwest::Certificate::from_pem_bundle(&self.certificates),
        }
    }
}

fn fetched(answer: Response, url: &Url, from: Option<&From>) -> Result<Fetched, Error> {
    let status = answer.status();
    let (headers, length) = (answer.headers(), answer.content_length());
    // A rest need not be named again: only that of the same was asked for.
    let asked = from.filter(|_| status == StatusCode::PARTIAL_CONTENT);
    let stamp = stamp_of(headers).or_else(|| asked.map(|from| from.stamp.clone()));
    let (offset, size_bytes) = match (status, from) {
        (StatusCode::OK, _) => (0, length),
        (StatusCode::PARTIAL_CONTENT, Some(from)) => {
            match text_of(headers, CONTENT_RANGE).and_then(|text| range(&text)) {
                Some((first, total)) if first == from.offset => (first, total),
                _ => return Err(missing(url, "answers with another range than was asked for")),
            }
        }
        // Nothing comes after what came before.
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
            return Err(missing(url, "has less than it had before"));
        }
        (status, _) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Error::Unavailable(format!(
                "{} cannot be fetched: the server answers {status}",
                shown(url)
            )));
        }
        (status, _) => return Err(missing(url, &format!("answers {status}"))),
    };
    let address = shown(url);
    let body = answer.bytes_stream().map_err(move |error| {
        Error::Unavailable(format!("{address} broke off: {}", with_causes(&error.without_url())))
    });
    Ok(Fetched { size_bytes, stamp, offset, body: steady(body, shown(url)) })
}

/// Whether an answer brings the rest of other data than was asked for.
fn is_of_other(answer: &Response, from: &From) -> bool {
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return false;
    }
    let total = text_of(answer.headers(), CONTENT_RANGE).and_then(|text| range(&text)?.1);
    let is_as_long = from.size_bytes.zip(total).is_none_or(|(known, now)| known == now);
    !is_as_long || stamp_of(answer.headers()).is_some_and(|stamp| stamp != from.stamp)
}

/// What a server calls its data: a name that no other data has.
fn stamp_of(headers: &HeaderMap) -> Option<String> {
    text_of(headers, ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text_of(headers, LAST_MODIFIED))
}

/// The first byte of `bytes 5-9/10`, and the whole, where it is known.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

fn text_of(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn missing(url: &Url, why: &str) -> Error {
    Error::Missing(format!("{} cannot be fetched: the server {why}", shown(url)))
}

/// An address without its query, which may be what lets its bearer in.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
