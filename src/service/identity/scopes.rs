//! Which scopes a user may sign in to.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::identity as catalog;
use crate::db::ReadTxn;
use crate::model::identity::{Group, Project, Scope};
use crate::model::policy::Reach;
use crate::model::{DomainId, GroupId, ProjectId, UserId};
use crate::service::{Error, Service};

impl Service {
    /// Where the user holds a role, directly or through a group, and the projects where a policy allows something.
    pub(super) fn scopes_of(&self, rows: &ReadTxn, user: &UserId) -> Result<Vec<Scope>, Error> {
        let assigned = catalog::assigned_to(rows, user, None)?;
        let mut scopes: BTreeSet<Scope> = assigned.into_iter().map(|assignment| assignment.scope).collect();
        let groups = catalog::groups_of(rows, user)?;
        for group in &groups {
            let assigned = catalog::assigned_to_group(rows, group, None)?;
            scopes.extend(assigned.into_iter().map(|assignment| assignment.scope));
        }
        for project in self.projects_by_policy(rows, user, &groups)? {
            scopes.insert(Scope::Project(project));
        }
        Ok(scopes.into_iter().collect())
    }

    fn projects_by_policy(
        &self,
        rows: &ReadTxn,
        user: &UserId,
        groups: &[GroupId],
    ) -> Result<Vec<ProjectId>, Error> {
        let mut named = BTreeSet::new();
        let mut domains = BTreeSet::new();
        for group in groups {
            for attachment in catalog::attached_to(rows, group, None)? {
                match attachment.reach {
                    Reach::Project(project) => {
                        named.insert(project);
                    }
                    Reach::All => {
                        domains.extend(catalog::get::<Group>(rows, group)?.map(|group| group.domain));
                    }
                }
            }
        }
        let allows =
            |project: &ProjectId| Ok::<_, Error>(!self.rights.allowed(rows, user, project)?.is_empty());
        // What is attached for all projects of a domain says the same in each that has nothing of its own.
        let mut in_domain: BTreeMap<DomainId, bool> = BTreeMap::new();
        let mut open = Vec::new();
        for domain in domains {
            for project in catalog::list_in::<Project>(rows, domain.as_str())? {
                if named.contains(&project.id) {
                    continue;
                }
                let is_open = match in_domain.get(&domain) {
                    Some(is_open) => *is_open,
                    None => {
                        let is_open = allows(&project.id)?;
                        in_domain.insert(domain.clone(), is_open);
                        is_open
                    }
                };
                if is_open {
                    open.push(project.id);
                }
            }
        }
        for project in named {
            if allows(&project)? {
                open.push(project);
            }
        }
        Ok(open)
    }
}
