//! Records of domains, projects, users and roles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::db::codec::Record;
use crate::model::identity::{Domain, PasswordHash, Project, Role, User};
use crate::model::{DomainId, ProjectId, RoleId, UserId};

/// A domain without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    name: String,
    description: Option<String>,
    enabled: bool,
    extra: BTreeMap<String, String>,
}

impl Record for DomainRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "domain";
}

impl DomainRecord {
    pub fn of(domain: &Domain) -> DomainRecord {
        DomainRecord {
            name: domain.name.clone(),
            description: domain.description.clone(),
            enabled: domain.enabled,
            extra: domain.extra.clone(),
        }
    }

    pub fn into_domain(self, id: DomainId) -> Domain {
        Domain {
            id,
            name: self.name,
            description: self.description,
            enabled: self.enabled,
            extra: self.extra,
        }
    }
}

/// A project without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    domain: String,
    name: String,
    description: Option<String>,
    enabled: bool,
    tags: Vec<String>,
    extra: BTreeMap<String, String>,
}

impl Record for ProjectRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "project";
}

impl ProjectRecord {
    pub fn of(project: &Project) -> ProjectRecord {
        ProjectRecord {
            domain: project.domain.0.clone(),
            name: project.name.clone(),
            description: project.description.clone(),
            enabled: project.enabled,
            tags: project.tags.clone(),
            extra: project.extra.clone(),
        }
    }

    pub fn into_project(self, id: ProjectId) -> Project {
        Project {
            id,
            domain: DomainId(self.domain),
            name: self.name,
            description: self.description,
            enabled: self.enabled,
            tags: self.tags,
            extra: self.extra,
        }
    }
}

/// A user without its id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    domain: String,
    name: String,
    enabled: bool,
    default_project: Option<String>,
    password_hash: Option<String>,
    extra: BTreeMap<String, String>,
}

impl Record for UserRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "user";
}

impl UserRecord {
    pub fn of(user: &User) -> UserRecord {
        UserRecord {
            domain: user.domain.0.clone(),
            name: user.name.clone(),
            enabled: user.enabled,
            default_project: user.default_project.as_ref().map(|p| p.0.clone()),
            password_hash: user.password_hash.as_ref().map(|h| h.0.clone()),
            extra: user.extra.clone(),
        }
    }

    pub fn into_user(self, id: UserId) -> User {
        User {
            id,
            domain: DomainId(self.domain),
            name: self.name,
            enabled: self.enabled,
            default_project: self.default_project.map(ProjectId),
            password_hash: self.password_hash.map(PasswordHash),
            extra: self.extra,
        }
    }
}

/// A role without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    name: String,
    domain: Option<String>,
    description: Option<String>,
    immutable: bool,
    extra: BTreeMap<String, String>,
}

impl Record for RoleRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "role";
}

impl RoleRecord {
    pub fn of(role: &Role) -> RoleRecord {
        RoleRecord {
            name: role.name.clone(),
            domain: role.domain.as_ref().map(|d| d.0.clone()),
            description: role.description.clone(),
            immutable: role.immutable,
            extra: role.extra.clone(),
        }
    }

    pub fn into_role(self, id: RoleId) -> Role {
        Role {
            id,
            name: self.name,
            domain: self.domain.map(DomainId),
            description: self.description,
            immutable: self.immutable,
            extra: self.extra,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    const ONE: &str = "0100000000000000";

    fn extra() -> BTreeMap<String, String> {
        [("k".to_owned(), "1".to_owned())].into()
    }

    #[test]
    fn the_domain_form_is_golden() {
        let record = DomainRecord { name: "d".into(), description: None, enabled: true, extra: extra() };
        let bytes = encode(&record);
        assert_eq!(hex::encode(&bytes), format!("01{ONE}640001{ONE}{ONE}6b{ONE}31"));
        assert_eq!(decode::<DomainRecord>(&bytes).unwrap(), record);
    }

    #[test]
    fn the_project_form_is_golden() {
        let record = ProjectRecord {
            domain: "d".into(),
            name: "p".into(),
            description: Some("x".into()),
            enabled: false,
            tags: vec!["t".into()],
            extra: extra(),
        };
        let bytes = encode(&record);
        assert_eq!(
            hex::encode(&bytes),
            format!("01{ONE}64{ONE}7001{ONE}7800{ONE}{ONE}74{ONE}{ONE}6b{ONE}31")
        );
        assert_eq!(decode::<ProjectRecord>(&bytes).unwrap(), record);
    }

    #[test]
    fn the_user_form_is_golden() {
        let record = UserRecord {
            domain: "d".into(),
            name: "u".into(),
            enabled: true,
            default_project: Some("p".into()),
            password_hash: Some("h".into()),
            extra: extra(),
        };
        let bytes = encode(&record);
        assert_eq!(hex::encode(&bytes), format!("01{ONE}64{ONE}750101{ONE}7001{ONE}68{ONE}{ONE}6b{ONE}31"));
        assert!(decode::<UserRecord>(&bytes).unwrap() == record);
    }

    #[test]
    fn the_role_form_is_golden() {
        let record = RoleRecord {
            name: "r".into(),
            domain: Some("d".into()),
            description: None,
            immutable: true,
            extra: extra(),
        };
        let bytes = encode(&record);
        assert_eq!(hex::encode(&bytes), format!("01{ONE}7201{ONE}640001{ONE}{ONE}6b{ONE}31"));
        assert_eq!(decode::<RoleRecord>(&bytes).unwrap(), record);
    }
}
