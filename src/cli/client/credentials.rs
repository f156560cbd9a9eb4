//! Signing in over the network: credentials from the environment or `clouds.yaml`, a token and
//! the services' addresses from the Identity API. Secrets never reach a message.

use std::collections::BTreeMap;

use http::HeaderValue;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::Api;
use super::clouds::{self, Cloud};

/// What a sign-in needs, as keys of a cloud's `auth`.
const AUTH_KEYS: [&str; 13] = [
    "auth_url",
    "username",
    "user_id",
    "password",
    "token",
    "project_name",
    "project_id",
    "user_domain_name",
    "user_domain_id",
    "project_domain_name",
    "project_domain_id",
    "domain_name",
    "domain_id",
];

/// Credentials and the place to bring them to.
pub struct Credentials {
    auth: BTreeMap<String, String>,
    region: Option<String>,
    interface: String,
    /// File with certificates to trust besides the system's.
    pub cacert: Option<String>,
}

/// A sign-in that worked.
pub struct Session {
    token: HeaderValue,
    identity: String,
    image: String,
}

impl Credentials {
    /// From the named cloud, with `OS_*` variables on top; `None` when neither names a server.
    ///
    /// # Errors
    /// When the cloud cannot be read.
    pub fn find(
        cloud: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Credentials>, Failure> {
        let cloud_name = cloud.map(str::to_owned).or_else(|| variable("OS_CLOUD"));
        let file = match &cloud_name {
            Some(name) => clouds::find(name, &variable)?,
            None => Cloud::default(),
        };
        let mut auth = file.auth;
        for key in AUTH_KEYS {
            if let Some(value) = variable(&format!("OS_{}", key.to_uppercase())) {
                auth.insert(key.to_owned(), value);
            }
        }
        if !auth.contains_key("auth_url") {
            return match cloud_name {
                Some(name) => Err(Failure::usage(format!("cloud \"{name}\" has no auth_url"))),
                None => Ok(None),
            };
        }
        Ok(Some(Credentials {
            auth,
            region: variable("OS_REGION_NAME").or(file.region_name),
            interface: variable("OS_INTERFACE").or(file.interface).unwrap_or_else(|| "public".into()),
            cacert: variable("OS_CACERT").or(file.cacert),
        }))
    }

    /// The Identity API's address, ending in `/v3`.
    pub fn identity(&self) -> String {
        let url = self.get("auth_url").unwrap_or_default().trim_end_matches('/');
        if url.ends_with("/v3") { url.to_owned() } else { format!("{url}/v3") }
    }

    /// The body of `POST /auth/tokens`.
    ///
    /// # Errors
    /// When something a sign-in needs is missing.
    pub fn request(&self) -> Result<Value, Failure> {
        let identity = match self.get("token") {
            Some(token) => json!({"methods": ["token"], "token": {"id": token}}),
            None => {
                let mut user =
                    self.named("user_id", "username", "user_domain").ok_or_else(|| missing("OS_USERNAME"))?;
                user["password"] = self.get("password").ok_or_else(|| missing("OS_PASSWORD"))?.into();
                json!({"methods": ["password"], "password": {"user": user}})
            }
        };
        let mut auth = json!({"identity": identity});
        if let Some(project) = self.named("project_id", "project_name", "project_domain") {
            auth["scope"] = json!({"project": project});
        } else if let Some(domain) = self.reference("domain") {
            auth["scope"] = json!({"domain": domain});
        }
        Ok(json!({"auth": auth}))
    }

    /// What a token's body says about where services are.
    ///
    /// # Errors
    /// When the catalog has no image service.
    pub fn session(&self, token: HeaderValue, body: &Value) -> Result<Session, Failure> {
        let image = self.endpoint(body, "image").ok_or_else(|| {
            Failure::unreachable(
                "the server's catalog names no image service; is a project named (OS_PROJECT_NAME)?",
            )
        })?;
        Ok(Session { token, identity: self.identity(), image })
    }

    fn endpoint(&self, body: &Value, kind: &str) -> Option<String> {
        let services = body["token"]["catalog"].as_array()?;
        let service = services.iter().find(|s| s["type"] == kind)?;
        let endpoint = service["endpoints"].as_array()?.iter().find(|e| {
            let region = self.region.as_deref();
            e["interface"] == self.interface.as_str() && region.is_none_or(|r| e["region"] == r)
        })?;
        let url = endpoint["url"].as_str()?.trim_end_matches('/');
        Some(url.trim_end_matches("/v2").to_owned())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.auth.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// `{"id": …}`, or `{"name": …, "domain": …}` with the domain `Default` when none is named.
    fn named(&self, id: &str, name: &str, domain: &str) -> Option<Value> {
        if let Some(id) = self.get(id) {
            return Some(json!({"id": id}));
        }
        let domain = self.reference(domain).unwrap_or_else(|| json!({"id": "default"}));
        Some(json!({"name": self.get(name)?, "domain": domain}))
    }

    fn reference(&self, what: &str) -> Option<Value> {
        match (self.get(&format!("{what}_id")), self.get(&format!("{what}_name"))) {
            (Some(id), _) => Some(json!({"id": id})),
            (None, Some(name)) => Some(json!({"name": name})),
            (None, None) => None,
        }
    }
}

impl Session {
    /// Proves who asks.
    pub fn token(&self) -> HeaderValue {
        self.token.clone()
    }

    /// A path's whole address.
    pub fn address(&self, api: Api, path: &str) -> String {
        match api {
            Api::Image | Api::Management => format!("{}{path}", self.image),
            Api::Identity => format!("{}{path}", self.identity),
            Api::Native => format!("{}/tintype/v1{path}", self.image),
        }
    }
}

fn missing(variable: &str) -> Failure {
    Failure::usage(format!("to sign in, {variable} is needed, or a cloud that has it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Option<Credentials> {
        let pairs: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Credentials::find(None, |name| pairs.get(name).cloned()).ok().unwrap()
    }

    #[test]
    fn the_environment_alone_signs_in() {
        assert!(from(&[]).is_none());
        let found = from(&[
            ("OS_AUTH_URL", "http://box/identity/"),
            ("OS_USERNAME", "u"),
            ("OS_PASSWORD", "p"),
            ("OS_PROJECT_NAME", "x"),
            ("OS_USER_DOMAIN_NAME", "d"),
        ])
        .unwrap();
        assert_eq!(found.identity(), "http://box/identity/v3");
        let body = found.request().ok().unwrap();
        assert_eq!(body["auth"]["identity"]["password"]["user"]["domain"]["name"], "d");
        assert_eq!(body["auth"]["scope"]["project"], json!({"name": "x", "domain": {"id": "default"}}));
    }

    #[test]
    fn a_missing_password_is_named() {
        let found = from(&[("OS_AUTH_URL", "http://box/v3"), ("OS_USERNAME", "u")]).unwrap();
        assert!(found.request().err().unwrap().message.contains("OS_PASSWORD"));
    }

    #[test]
    fn the_image_service_is_the_catalogs() {
        let found = from(&[("OS_AUTH_URL", "http://box/v3"), ("OS_TOKEN", "t")]).unwrap();
        let body = json!({"token": {"catalog": [{"type": "image", "endpoints": [
            {"interface": "admin", "url": "http://no"}, {"interface": "public", "url": "http://yes/"}]}]}});
        let session = found.session(HeaderValue::from_static("t"), &body).ok().unwrap();
        assert_eq!(session.address(Api::Image, "/v2/images"), "http://yes/v2/images");
        assert_eq!(session.address(Api::Native, "/stats"), "http://yes/tintype/v1/stats");
        assert!(found.session(HeaderValue::from_static("t"), &json!({})).is_err());
    }
}
