//! Unified limits, as a Keystone has them for this service: of all projects, and of one.
//!
//! Invariant: what cannot be read is refused whole, so that no limit is taken for another. Must not know what is used.

use std::collections::BTreeMap;

use http::{HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::{AUTH_TOKEN, Error, Keystone, Own, arrived, read, refused};
use crate::base::Time;
use crate::model::ProjectId;
use crate::model::quota::{Limit, Resource};

/// What a Keystone says of this service's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldLimits {
    /// Limits of all projects.
    pub registered: BTreeMap<Resource, Limit>,
    /// Those of the one that was asked about.
    pub own: BTreeMap<Resource, Limit>,
}

#[derive(Deserialize)]
struct RegisteredLimits {
    registered_limits: Vec<Registered>,
}

#[derive(Deserialize)]
struct Registered {
    region_id: Option<String>,
    resource_name: String,
    default_limit: i64,
}

#[derive(Deserialize)]
struct Limits {
    limits: Vec<OfProject>,
}

#[derive(Deserialize)]
struct OfProject {
    project_id: Option<String>,
    region_id: Option<String>,
    resource_name: String,
    resource_limit: i64,
}

impl Keystone {
    /// The limits of the service of this type in a region, or in any where that is empty; `None` where the cloud's catalog has no such service.
    ///
    /// Limits of single projects are told to accounts with a role on the system; to others those of their own project.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn limits(
        &self,
        service_type: &str,
        region: &str,
        project: &ProjectId,
        now: Time,
    ) -> Result<Option<ToldLimits>, Error> {
        let own = self.own(now).await?;
        let Some(service) = own.services.iter().find(|service| service.kind == service_type) else {
            return Ok(None);
        };
        let token = self.system_token(now).await?.unwrap_or(own.token.clone());
        let of_service = ("service_id", service.id.as_str());
        let registered = self.listed(&token, "registered_limits", &[of_service]).await?;
        let own = self.listed(&token, "limits", &[of_service, ("project_id", project.as_str())]).await?;
        let registered: RegisteredLimits = parse(&registered)?;
        let own: Limits = parse(&own)?;
        let registered = registered.registered_limits.into_iter();
        let own =
            own.limits.into_iter().filter(|limit| limit.project_id.as_deref() == Some(project.as_str()));
        Ok(Some(ToldLimits {
            registered: chosen(region, registered.map(|l| (l.resource_name, l.region_id, l.default_limit)))?,
            own: chosen(region, own.map(|l| (l.resource_name, l.region_id, l.resource_limit)))?,
        }))
    }

    /// A token of the box's own account for the whole system; `None` where it holds no role there.
    async fn system_token(&self, now: Time) -> Result<Option<HeaderValue>, Error> {
        let mut system = self.system.lock().await;
        if let Some(own) = system.as_ref().filter(|own| now < own.renew_at) {
            return Ok(Some(own.token.clone()));
        }
        *system = None;
        match self.issue(json!({"system": {"all": true}}), now).await {
            Ok((fresh, _)) => Ok(Some(system.insert(fresh).token.clone())),
            Err(Error::Account(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn listed(&self, token: &HeaderValue, what: &str, of: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
        let pair =
            |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        let query: Vec<String> = of.iter().map(pair).collect();
        let request = self.http.get(format!("{}/{what}?{}", self.url, query.join("&")));
        let request = request.header(AUTH_TOKEN, token.clone());
        let answer = arrived(request.send().await)?;
        match answer.status() {
            StatusCode::OK => read(answer).await,
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let said = refused(status, answer).await;
                // Revoked, perhaps: the next question is asked with others.
                self.forget(token).await;
                self.system.lock().await.take_if(|own: &mut Own| own.token == *token);
                Err(Error::Account(format!("it may not see {what}: {said}")))
            }
            status => Err(Error::Unreachable(refused(status, answer).await)),
        }
    }
}

/// Of each resource the limit that holds in a region: what names it goes before what names none, and that before any other
/// where the region is not known. What is no resource of this service's counts for nothing.
fn chosen(
    region: &str,
    said: impl Iterator<Item = (String, Option<String>, i64)>,
) -> Result<BTreeMap<Resource, Limit>, Error> {
    let mut best: BTreeMap<Resource, (u8, Limit)> = BTreeMap::new();
    for (name, at, number) in said {
        let Some(resource) = Resource::parse(&name) else { continue };
        let rank = match at.as_deref() {
            Some(at) if !region.is_empty() && at == region => 2,
            None => 1,
            Some(_) if region.is_empty() => 0,
            Some(_) => continue,
        };
        let limit = Limit::of_number(number).ok_or_else(|| senseless(&format!("has {number} for {name}")))?;
        if best.get(&resource).is_none_or(|(other, _)| rank > *other) {
            best.insert(resource, (rank, limit));
        }
    }
    Ok(best.into_iter().map(|(resource, (_, limit))| (resource, limit)).collect())
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|_| senseless("is not of the form of Keystone's"))
}

fn senseless(what: &str) -> Error {
    Error::Unreachable(format!("its answer about limits {what}"))
}
