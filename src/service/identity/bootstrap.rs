//! What an empty catalog starts with, so that somebody can sign in at all.

use super::{Password, new_id};
use crate::catalog::identity as catalog;
use crate::model::identity::{Assignment, Domain, PasswordHash, Project, Role, Scope, User};
use crate::model::{DomainId, Operation, ProjectId, RoleId};
use crate::service::audit::Act;
use crate::service::{Actor, Error, ErrorKind, Service};

/// The id of the domain that is there from the start.
pub const DEFAULT_DOMAIN: &str = "default";

/// The roles that are there from the start and stay.
const BUILT_IN_ROLES: [&str; 5] = ["admin", "manager", "member", "reader", "service"];

impl Service {
    /// Sets an empty catalog up: domain `Default`, the built-in roles, and user `admin` with
    /// `password`, administrator of project `admin` and of the system. Says whether it did;
    /// a catalog that was set up before is left alone.
    ///
    /// # Errors
    /// When the password is empty or the database fails.
    pub fn bootstrap(&self, password: &Password) -> Result<bool, Error> {
        let default = DomainId::from(DEFAULT_DOMAIN);
        if catalog::get::<Domain>(&self.db.read()?, &default)?.is_some() {
            return Ok(false);
        }
        let hash = self.passwords.hash(password, &*self.entropy)?;
        let first = First::new(self, hash);
        let act = Act::new(Operation::InitBox);
        let made = self.recorded(&Actor::system(), act, move |txn, act| {
            act.say(format!("made user admin ({}) with all rights", first.user.id));
            if catalog::get::<Domain>(txn, &default)?.is_some() {
                return Ok(false);
            }
            catalog::insert(txn, &first.domain)?;
            catalog::insert(txn, &first.project)?;
            catalog::insert(txn, &first.user)?;
            for role in &first.roles {
                catalog::insert(txn, role)?;
            }
            for scope in [Scope::Project(first.project.id.clone()), Scope::System] {
                let role = first.roles[0].id.clone();
                catalog::put_assignment(txn, &Assignment { user: first.user.id.clone(), scope, role })?;
            }
            Ok(true)
        });
        made.map_err(|error| match error.kind {
            ErrorKind::Conflict => damaged(&error),
            _ => error,
        })
    }

    /// The local administrator, acting in the project `admin` of the domain `Default`. Works
    /// without that project too, since a box whose projects are in disorder needs one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn local_admin(&self) -> Result<Actor, Error> {
        let project = catalog::find::<Project>(&self.db.read()?, DEFAULT_DOMAIN, "admin")?;
        Ok(Actor::local_admin(project.map_or_else(|| ProjectId::from("admin"), |project| project.id)))
    }
}

/// What an index without its records means: a box that was never set up has neither.
fn damaged(found: &Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "the catalog is damaged: its first records are gone, and something still names them ({}); put a copy of \
             catalog.redb back, or move it away and make it anew with \"tintype rebuild\"",
            found.message
        ),
    )
}

/// The first rows.
struct First {
    domain: Domain,
    project: Project,
    user: User,
    /// In the order of [`BUILT_IN_ROLES`].
    roles: [Role; 5],
}

impl First {
    fn new(service: &Service, hash: PasswordHash) -> First {
        let id = || new_id(&*service.entropy);
        let project = Project {
            id: ProjectId(id()),
            domain: DEFAULT_DOMAIN.into(),
            name: "admin".into(),
            description: Some("The administrator's project".into()),
            enabled: true,
            tags: Vec::new(),
            extra: Default::default(),
        };
        let user = User {
            id: crate::model::UserId(id()),
            domain: DEFAULT_DOMAIN.into(),
            name: "admin".into(),
            enabled: true,
            default_project: None,
            password_hash: Some(hash),
            extra: Default::default(),
        };
        let roles = BUILT_IN_ROLES.map(|name| Role {
            id: RoleId(id()),
            name: name.into(),
            domain: None,
            description: None,
            immutable: true,
            extra: Default::default(),
        });
        let domain = Domain {
            id: DEFAULT_DOMAIN.into(),
            name: "Default".into(),
            description: Some("The default domain".into()),
            enabled: true,
            extra: Default::default(),
        };
        First { domain, project, user, roles }
    }
}
