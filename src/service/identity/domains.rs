//! Domains: administrators make them; everyone may look at their own.

use super::authorise::require_own;
use super::values::{check_name, merge_extra};
use super::{DEFAULT_DOMAIN, NameFilter, missing, new_id};
use crate::catalog::{access_keys, identity as catalog, tokens};
use crate::db::WriteTxn;
use crate::model::identity::{Domain, Extra, Project, Scope, User};
use crate::model::{DomainId, Operation};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A domain to be made.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Whether its users may sign in.
    pub enabled: bool,
    /// Members to keep.
    pub extra: Extra,
}

/// What to change in a domain; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct DomainChange {
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<Option<String>>,
    /// Whether its users may sign in.
    pub enabled: Option<bool>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// The domains with this name, or all.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn list_domains(&self, actor: &Actor, filter: &NameFilter) -> Result<Vec<Domain>, Error> {
        actor.expect(Action::DomainsList, Resource::None)?;
        Ok(catalog::matching(&self.db.read()?, Some(""), filter.name.as_deref())?)
    }

    /// A domain: any for administrators, else one's own.
    ///
    /// # Errors
    /// Refused for others' domains; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn get_domain(&self, actor: &Actor, id: &DomainId) -> Result<Domain, Error> {
        let own = actor.user_domain == *id || actor.scope == Some(Scope::Domain(id.clone()));
        require_own(own, actor, Action::DomainsGet, id.as_str())?;
        catalog::get(&self.db.read()?, id)?.ok_or_else(|| missing("domain", id))
    }

    /// Makes a domain.
    ///
    /// # Errors
    /// Refused without the right, and when the name is taken.
    pub fn create_domain(&self, actor: &Actor, new: NewDomain) -> Result<Domain, Error> {
        actor.expect(Action::DomainsCreate, Resource::None)?;
        check_name("domain", &new.name)?;
        let mut extra = Extra::new();
        merge_extra(&mut extra, &new.extra)?;
        let domain = Domain {
            id: DomainId(new_id(&*self.entropy)),
            name: new.name,
            description: new.description,
            enabled: new.enabled,
            extra,
        };
        let act = Act::on(Operation::CreateDomain, &domain.id).named(&domain.name);
        self.recorded(actor, act, move |txn, _| {
            catalog::insert(txn, &domain)?;
            Ok(domain.clone())
        })
    }

    /// Changes a domain. Disabling it ends every token of its users and on its projects, and switches their
    /// access keys off, for good until each is switched on again.
    ///
    /// # Errors
    /// Refused without the right, and when the new name is taken.
    pub fn update_domain(&self, actor: &Actor, id: &DomainId, change: DomainChange) -> Result<Domain, Error> {
        actor.expect(Action::DomainsUpdate, Resource::Id(id.as_str()))?;
        if let Some(name) = &change.name {
            check_name("domain", name)?;
        }
        let id = id.clone();
        self.recorded(actor, Act::new(Operation::UpdateDomain), move |txn, act| {
            let mut domain = catalog::get::<Domain>(txn, &id)?.ok_or_else(|| missing("domain", &id))?;
            act.name(&domain.id, &domain.name);
            domain.name = change.name.clone().unwrap_or(domain.name);
            domain.description = change.description.clone().unwrap_or(domain.description);
            domain.enabled = change.enabled.unwrap_or(domain.enabled);
            merge_extra(&mut domain.extra, &change.extra)?;
            if !domain.enabled {
                end_tokens(txn, &id)?;
            }
            catalog::update(txn, &domain)?;
            Ok(domain)
        })
    }

    /// Deletes a disabled domain with everything in it.
    ///
    /// # Errors
    /// Refused without the right, for an enabled domain, and for the default one.
    pub fn delete_domain(&self, actor: &Actor, id: &DomainId) -> Result<(), Error> {
        actor.expect(Action::DomainsDelete, Resource::Id(id.as_str()))?;
        let id = id.clone();
        self.recorded(actor, Act::new(Operation::DeleteDomain), move |txn, act| {
            let domain = catalog::get::<Domain>(txn, &id)?.ok_or_else(|| missing("domain", &id))?;
            act.name(&domain.id, &domain.name);
            if domain.id.as_str() == DEFAULT_DOMAIN {
                return Err(Error::forbidden("The default domain cannot be deleted."));
            }
            if domain.enabled {
                return Err(Error::forbidden(
                    "Cannot delete a domain that is enabled, please disable it first.",
                ));
            }
            catalog::delete_domain(txn, &id)?;
            Ok(())
        })
    }
}

fn end_tokens(txn: &WriteTxn, domain: &DomainId) -> Result<(), Error> {
    for user in catalog::list_in::<User>(txn, domain.as_str())? {
        tokens::delete_of_user(txn, &user.id, None)?;
        access_keys::disable_of_user(txn, &user.id)?;
    }
    for project in catalog::list_in::<Project>(txn, domain.as_str())? {
        access_keys::disable_of_project(txn, &project.id)?;
        catalog::end_tokens_at(txn, &Scope::Project(project.id))?;
    }
    Ok(catalog::end_tokens_at(txn, &Scope::Domain(domain.clone()))?)
}
