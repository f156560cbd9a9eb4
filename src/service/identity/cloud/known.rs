//! What tokens told of projects and users, since a cloud's have no records here: names, for settings that name projects
//! and for records of what was done.
//!
//! Invariant: nothing is decided by it but whom a name in the settings means, and it never grows beyond its bound. It
//! ends with the process, and has nobody who did not come since.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::keystone::{Place, Seen};
use crate::model::identity::Project;
use crate::model::{ProjectId, UserId};

/// Projects, and users, that are kept in mind.
const KEPT_MAX: usize = 16_384;

/// Projects and users.
pub(super) struct Known {
    projects: Cache<ProjectId, Arc<Project>>,
    users: Cache<UserId, Arc<Names>>,
}

/// What a user is called.
pub(in crate::service) struct Names {
    /// The user's name.
    pub user: String,
    /// The name of the user's domain.
    pub domain: String,
}

impl Default for Known {
    fn default() -> Known {
        Known { projects: Cache::new(KEPT_MAX), users: Cache::new(KEPT_MAX) }
    }
}

impl Known {
    /// Keeps what a token told in mind.
    pub(super) fn keep(&self, seen: &Seen) {
        let names = Names { user: seen.user_name.clone(), domain: seen.user_domain.name.clone() };
        self.users.insert(seen.user.clone(), Arc::new(names));
        if let Some(Place::Project { id, name, domain }) = &seen.place {
            let project = Project {
                id: id.clone(),
                domain: domain.id.clone(),
                name: name.clone(),
                description: None,
                enabled: true,
                tags: Vec::new(),
                extra: Default::default(),
            };
            self.projects.insert(id.clone(), Arc::new(project));
        }
    }

    pub(super) fn project(&self, id: &ProjectId) -> Option<Arc<Project>> {
        self.projects.get(id)
    }

    pub(super) fn user(&self, id: &UserId) -> Option<Arc<Names>> {
        self.users.get(id)
    }
}
