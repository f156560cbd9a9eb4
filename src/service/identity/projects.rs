//! Projects, and which scopes are open to a user.

use super::authorise::require_own;
use super::values::{check_name, check_same_domain, home_domain, merge_extra};
use super::{NameFilter, missing, new_id};
use crate::catalog::{access_keys, identity as catalog};
use crate::model::identity::{Domain, Extra, Project, Scope};
use crate::model::{DomainId, Operation, ProjectId, UserId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A project to be made.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its name.
    pub name: String,
    /// Its domain; the caller's when `None`.
    pub domain: Option<DomainId>,
    /// Its description.
    pub description: Option<String>,
    /// Whether tokens may be scoped to it.
    pub enabled: bool,
    /// Labels.
    pub tags: Vec<String>,
    /// Members to keep.
    pub extra: Extra,
}

/// What to change in a project; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<String>,
    /// Its domain: only the one it is in.
    pub domain: Option<DomainId>,
    /// Its description.
    pub description: Option<Option<String>>,
    /// Whether tokens may be scoped to it.
    pub enabled: Option<bool>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// Members to set.
    pub extra: Extra,
}

/// Where a user could sign in to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenScopes {
    /// Enabled projects with a role, or with a policy that allows something.
    pub projects: Vec<Project>,
    /// Enabled domains with a role.
    pub domains: Vec<Domain>,
    /// Whether there is a role on the system.
    pub system: bool,
}

impl Service {
    /// The projects in this domain or with this name, or all.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn list_projects(&self, actor: &Actor, filter: &NameFilter) -> Result<Vec<Project>, Error> {
        actor.expect(Action::ProjectsList, Resource::None)?;
        let domain = filter.domain.as_ref().map(DomainId::as_str);
        Ok(catalog::matching(&self.db.read()?, domain, filter.name.as_deref())?)
    }

    /// A project: any for administrators, else the one the caller acts in.
    ///
    /// # Errors
    /// Refused for others' projects; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn get_project(&self, actor: &Actor, id: &ProjectId) -> Result<Project, Error> {
        require_own(actor.project() == Some(id), actor, Action::ProjectsGet, id.as_str())?;
        catalog::get(&self.db.read()?, id)?.ok_or_else(|| missing("project", id))
    }

    /// Makes a project.
    ///
    /// # Errors
    /// Refused without the right, in no domain, and when the name is taken there.
    pub fn create_project(&self, actor: &Actor, new: NewProject) -> Result<Project, Error> {
        actor.expect(Action::ProjectsCreate, Resource::None)?;
        check_name("project", &new.name)?;
        let mut extra = Extra::new();
        merge_extra(&mut extra, &new.extra)?;
        let id = ProjectId(new_id(&*self.entropy));
        let actor = actor.clone();
        self.recorded(&actor.clone(), Act::new(Operation::CreateProject), move |txn, act| {
            let project = Project {
                id: id.clone(),
                domain: home_domain(txn, &actor, new.domain.as_ref())?,
                name: new.name.clone(),
                description: new.description.clone(),
                enabled: new.enabled,
                tags: new.tags.clone(),
                extra: extra.clone(),
            };
            catalog::insert(txn, &project)?;
            act.name(&project.id, &project.name);
            Ok(project)
        })
    }

    /// Changes a project. Disabling it ends every token on it, and switches its access keys off, for good
    /// until each is switched on again.
    ///
    /// # Errors
    /// Refused without the right, and when the new name is taken.
    pub fn update_project(
        &self,
        actor: &Actor,
        id: &ProjectId,
        change: ProjectChange,
    ) -> Result<Project, Error> {
        actor.expect(Action::ProjectsUpdate, Resource::Id(id.as_str()))?;
        if let Some(name) = &change.name {
            check_name("project", name)?;
        }
        let id = id.clone();
        self.recorded(actor, Act::new(Operation::UpdateProject), move |txn, act| {
            let mut project = catalog::get::<Project>(txn, &id)?.ok_or_else(|| missing("project", &id))?;
            act.name(&project.id, &project.name);
            check_same_domain("project", &project.domain, change.domain.as_ref())?;
            project.name = change.name.clone().unwrap_or(project.name);
            project.description = change.description.clone().unwrap_or(project.description);
            project.enabled = change.enabled.unwrap_or(project.enabled);
            project.tags = change.tags.clone().unwrap_or(project.tags);
            merge_extra(&mut project.extra, &change.extra)?;
            if !project.enabled {
                catalog::end_tokens_at(txn, &Scope::Project(id.clone()))?;
                access_keys::disable_of_project(txn, &id)?;
            }
            catalog::update(txn, &project)?;
            Ok(project)
        })
    }

    /// Deletes a project with the roles, tokens and access keys on it. Its images stay.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn delete_project(&self, actor: &Actor, id: &ProjectId) -> Result<(), Error> {
        actor.expect(Action::ProjectsDelete, Resource::Id(id.as_str()))?;
        let id = id.clone();
        self.recorded(actor, Act::on(Operation::DeleteProject, &id), move |txn, act| {
            if let Some(project) = catalog::get::<Project>(txn, &id)? {
                act.name(&project.id, &project.name);
            }
            match catalog::delete_project(txn, &id)? {
                true => Ok(()),
                false => Err(missing("project", &id)),
            }
        })
    }

    /// The projects a user may act in: anyone's with the right, else one's own.
    ///
    /// # Errors
    /// Refused for other users; [`crate::service::ErrorKind::NotFound`] when there is no such user.
    pub fn projects_of_user(&self, actor: &Actor, user: &UserId) -> Result<Vec<Project>, Error> {
        require_own(actor.user == *user, actor, Action::UsersListProjects, user.as_str())?;
        let rows = self.db.read()?;
        if catalog::get::<crate::model::identity::User>(&rows, user)?.is_none() {
            return Err(missing("user", user));
        }
        let mut projects = Vec::new();
        for scope in self.scopes_of(&rows, user)? {
            if let Scope::Project(id) = scope {
                projects.extend(catalog::get::<Project>(&rows, &id)?);
            }
        }
        Ok(projects)
    }

    /// Where the caller could sign in to.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_scopes(&self, actor: &Actor) -> Result<OpenScopes, Error> {
        let rows = self.db.read()?;
        let mut open = OpenScopes::default();
        for scope in self.scopes_of(&rows, &actor.user)? {
            match scope {
                Scope::System => open.system = true,
                Scope::Project(id) => open.projects.extend(catalog::get::<Project>(&rows, &id)?),
                Scope::Domain(id) => open.domains.extend(catalog::get::<Domain>(&rows, &id)?),
            }
        }
        open.projects.retain(|project| project.enabled);
        open.domains.retain(|domain| domain.enabled);
        Ok(open)
    }
}
