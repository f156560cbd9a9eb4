//! What Keystone says of a token, read into what the box works with.
//!
//! Invariant: an answer that lacks what a decision rests on is refused whole, so that nobody is let through on half
//! of one. Members that are not known mean nothing. Must not know what roles are worth.

use serde::Deserialize;

use super::Error;
use crate::base::Time;
use crate::model::{AccessRule, ApplicationCredentialId, DomainId, GroupId, ProjectId, UserId};

/// Longest id or name that is taken, in bytes: Keystone's own bound.
const TEXT_BYTES_MAX: usize = 255;

/// Whose a token is, and what it is good for, as Keystone said at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its user.
    pub user: UserId,
    /// The user's name.
    pub user_name: String,
    /// The user's domain.
    pub user_domain: Domain,
    /// Groups of the user that the answer names: those of a federated sign-in. It names no others.
    pub groups: Vec<GroupId>,
    /// Where it holds; `None` is unscoped.
    pub place: Option<Place>,
    /// Names of the roles held there, with those that they imply.
    pub roles: Vec<String>,
    /// Whether the role admin there is worth the whole cloud. True unless Keystone knows a project of administrators
    /// and this is not it.
    pub is_admin_project: bool,
    /// The application credential that it was made with.
    pub lent: Option<LentBy>,
    /// When it ends, by Keystone's clock.
    pub expires_at: Time,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: String,
}

/// Where a token holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a project.
    Project {
        /// Its id.
        id: ProjectId,
        /// Its name, unique within the domain.
        name: String,
        /// Its domain.
        domain: Domain,
    },
    /// In a domain.
    Domain(Domain),
    /// In the whole cloud.
    System,
}

/// An application credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LentBy {
    /// Its id.
    pub id: ApplicationCredentialId,
    /// Whether it may make and delete application credentials.
    pub is_unrestricted: bool,
    /// What it is for; without any it is for everything.
    pub access_rules: Vec<AccessRule>,
}

/// Where the cloud's catalog says that a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The type of the service.
    pub service_type: String,
    /// Its region.
    pub region: String,
    /// Its address.
    pub url: String,
}

/// What comes with a sign-in.
pub(super) struct SignedIn {
    /// When the token ends.
    pub(super) expires_at: Time,
    /// The public endpoints that its catalog names.
    pub(super) endpoints: Vec<Endpoint>,
    /// The services there.
    pub(super) services: Vec<KnownService>,
}

/// A service in the cloud's catalog.
pub(super) struct KnownService {
    /// Its type.
    pub(super) kind: String,
    /// Its id.
    pub(super) id: String,
}

#[derive(Deserialize)]
struct Body {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    user: User,
    expires_at: String,
    project: Option<Project>,
    domain: Option<Named>,
    system: Option<System>,
    #[serde(default)]
    roles: Vec<Role>,
    is_admin_project: Option<bool>,
    application_credential: Option<Credential>,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct User {
    #[serde(flatten)]
    named: Named,
    domain: Named,
    #[serde(rename = "OS-FEDERATION")]
    federation: Option<Federation>,
}

#[derive(Deserialize)]
struct Federation {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    id: String,
}

#[derive(Deserialize)]
struct Project {
    #[serde(flatten)]
    named: Named,
    domain: Named,
}

#[derive(Deserialize)]
struct System {
    all: bool,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Credential {
    id: String,
    #[serde(default = "yes")]
    restricted: bool,
    access_rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    id: String,
    service: String,
    method: String,
    path: String,
}

#[derive(Deserialize)]
struct Service {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    interface: String,
    region: Option<String>,
    url: String,
}

fn yes() -> bool {
    true
}

/// Reads the answer to a question about a token.
pub(super) fn seen(bytes: &[u8]) -> Result<Seen, Error> {
    let token = token(bytes)?;
    let place = match (token.project, token.domain, token.system) {
        (Some(project), None, None) => {
            let (id, name) = project.named.checked()?;
            Some(Place::Project { id: ProjectId(id), name, domain: project.domain.domain()? })
        }
        (None, Some(domain), None) => Some(Place::Domain(domain.domain()?)),
        (None, None, Some(System { all: true })) => Some(Place::System),
        (None, None, None) => None,
        _ => return Err(senseless("names more than one scope, or a part of the system")),
    };
    let (user, user_name) = token.user.named.checked()?;
    let groups = token.user.federation.map_or_else(Vec::new, |federation| federation.groups);
    Ok(Seen {
        user: UserId(user),
        user_name,
        user_domain: token.user.domain.domain()?,
        groups: groups.into_iter().map(|group| Ok(GroupId(text(group.id)?))).collect::<Result<_, _>>()?,
        place,
        roles: token.roles.into_iter().map(|role| text(role.name)).collect::<Result<_, _>>()?,
        is_admin_project: token.is_admin_project.unwrap_or(true),
        lent: token.application_credential.map(Credential::lent).transpose()?,
        expires_at: moment(&token.expires_at)?,
    })
}

/// Reads the answer to a sign-in.
pub(super) fn signed_in(bytes: &[u8]) -> Result<SignedIn, Error> {
    let token = token(bytes)?;
    let (mut endpoints, mut services) = (Vec::new(), Vec::new());
    for service in token.catalog {
        if let Some(id) = service.id {
            services.push(KnownService { kind: service.kind.clone(), id });
        }
        for place in service.endpoints.into_iter().filter(|place| place.interface == "public") {
            endpoints.push(Endpoint {
                service_type: service.kind.clone(),
                region: place.region.unwrap_or_default(),
                url: place.url,
            });
        }
    }
    Ok(SignedIn { expires_at: moment(&token.expires_at)?, endpoints, services })
}

fn token(bytes: &[u8]) -> Result<Token, Error> {
    let body: Result<Body, _> = serde_json::from_slice(bytes);
    // The parser's words may repeat what was sent.
    body.map(|body| body.token).map_err(|_| senseless("is not of the form of Keystone's"))
}

impl Named {
    fn checked(self) -> Result<(String, String), Error> {
        Ok((text(self.id)?, text(self.name)?))
    }

    fn domain(self) -> Result<Domain, Error> {
        let (id, name) = self.checked()?;
        Ok(Domain { id: DomainId(id), name })
    }
}

impl Credential {
    fn lent(self) -> Result<LentBy, Error> {
        let rules = match self.access_rules {
            // Keystone leaves them out where there are none; an empty list would be for nothing, not for everything.
            Some(rules) if rules.is_empty() => return Err(senseless("has an empty list of access rules")),
            rules => rules.unwrap_or_default(),
        };
        let rules = rules.into_iter().map(|rule| AccessRule {
            id: rule.id,
            service: rule.service,
            method: rule.method,
            path: rule.path,
        });
        Ok(LentBy {
            id: ApplicationCredentialId(text(self.id)?),
            is_unrestricted: !self.restricted,
            access_rules: rules.collect(),
        })
    }
}

/// An id or a name that can be kept and shown.
fn text(text: String) -> Result<String, Error> {
    let is_good = !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    if is_good {
        Ok(text)
    } else {
        Err(senseless("has an id or a name that is empty, too long or unprintable"))
    }
}

fn moment(text: &str) -> Result<Time, Error> {
    Time::parse(text).ok_or_else(|| senseless("has an expiry that is no time"))
}

fn senseless(what: &str) -> Error {
    Error::Unreachable(format!("its answer about a token {what}"))
}
