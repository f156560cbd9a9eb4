//! Groups, and who is in them.

use super::authorise::require_own;
use super::values::{check_name, check_same_domain, home_domain, merge_extra};
use super::{NameFilter, missing, new_id};
use crate::base::limits::USER_GROUPS_MAX;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::{Extra, Group, User};
use crate::model::{DomainId, GroupId, Operation, UserId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A group to be made.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its domain; the caller's when `None`.
    pub domain: Option<DomainId>,
    /// Its description.
    pub description: Option<String>,
    /// Members to keep.
    pub extra: Extra,
}

/// What to change in a group; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct GroupChange {
    /// Its name.
    pub name: Option<String>,
    /// Its domain: only the one it is in.
    pub domain: Option<DomainId>,
    /// Its description.
    pub description: Option<Option<String>>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// The groups in this domain or with this name, or all.
    ///
    /// # Errors
    /// Refused without the right.
    pub fn list_groups(&self, actor: &Actor, filter: &NameFilter) -> Result<Vec<Group>, Error> {
        actor.expect(Action::GroupsList, Resource::None)?;
        let domain = filter.domain.as_ref().map(DomainId::as_str);
        Ok(catalog::matching(&self.db.read()?, domain, filter.name.as_deref())?)
    }

    /// A group.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn get_group(&self, actor: &Actor, id: &GroupId) -> Result<Group, Error> {
        actor.expect(Action::GroupsGet, Resource::Id(id.as_str()))?;
        group(&self.db.read()?, id)
    }

    /// Makes a group.
    ///
    /// # Errors
    /// Refused without the right, in no domain, and when the name is taken there.
    pub fn create_group(&self, actor: &Actor, new: NewGroup) -> Result<Group, Error> {
        actor.expect(Action::GroupsCreate, Resource::None)?;
        check_name("group", &new.name)?;
        let mut extra = Extra::new();
        merge_extra(&mut extra, &new.extra)?;
        let id = GroupId(new_id(&*self.entropy));
        let caller = actor.clone();
        let act = Act::on(Operation::CreateGroup, &id).named(&new.name);
        self.recorded(actor, act, move |txn, _| {
            let group = Group {
                id: id.clone(),
                domain: home_domain(txn, &caller, new.domain.as_ref())?,
                name: new.name.clone(),
                description: new.description.clone(),
                extra: extra.clone(),
            };
            catalog::insert(txn, &group)?;
            Ok(group)
        })
    }

    /// Changes a group.
    ///
    /// # Errors
    /// Refused without the right, and when the new name is taken.
    pub fn update_group(&self, actor: &Actor, id: &GroupId, change: GroupChange) -> Result<Group, Error> {
        actor.expect(Action::GroupsUpdate, Resource::Id(id.as_str()))?;
        if let Some(name) = &change.name {
            check_name("group", name)?;
        }
        let id = id.clone();
        self.recorded(actor, Act::on(Operation::UpdateGroup, &id), move |txn, act| {
            let mut group = group(txn, &id)?;
            act.name(&group.id, &group.name);
            check_same_domain("group", &group.domain, change.domain.as_ref())?;
            group.name = change.name.clone().unwrap_or(group.name);
            group.description = change.description.clone().unwrap_or(group.description);
            merge_extra(&mut group.extra, &change.extra)?;
            catalog::update(txn, &group)?;
            Ok(group)
        })
    }

    /// Deletes a group with the roles and policies it was given. Tokens of its members that stood on those alone
    /// end.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is none.
    pub fn delete_group(&self, actor: &Actor, id: &GroupId) -> Result<(), Error> {
        actor.expect(Action::GroupsDelete, Resource::Id(id.as_str()))?;
        let id = id.clone();
        self.recorded(actor, Act::on(Operation::DeleteGroup, &id), move |txn, act| {
            let group = group(txn, &id)?;
            act.name(&group.id, &group.name);
            catalog::delete_group(txn, &id)?;
            Ok(())
        })
    }

    /// The users in a group.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when there is no such group.
    pub fn members_of_group(&self, actor: &Actor, id: &GroupId) -> Result<Vec<User>, Error> {
        actor.expect(Action::GroupsListMembers, Resource::Id(id.as_str()))?;
        let rows = self.db.read()?;
        group(&rows, id)?;
        let mut users = Vec::new();
        for user in catalog::members_of(&rows, id)? {
            users.extend(catalog::get::<User>(&rows, &user)?);
        }
        Ok(users)
    }

    /// The groups a user is in: anyone's with the right, else one's own.
    ///
    /// # Errors
    /// Refused for other users; [`crate::service::ErrorKind::NotFound`] when there is no such user.
    pub fn groups_of_user(&self, actor: &Actor, user: &UserId) -> Result<Vec<Group>, Error> {
        require_own(actor.user == *user, actor, Action::UsersListGroups, user.as_str())?;
        let rows = self.db.read()?;
        expect_user(&rows, user)?;
        let mut groups = Vec::new();
        for group in catalog::groups_of(&rows, user)? {
            groups.extend(catalog::get::<Group>(&rows, &group)?);
        }
        Ok(groups)
    }

    /// Succeeds when the user is in the group.
    ///
    /// # Errors
    /// Refused for other users without the right; [`crate::service::ErrorKind::NotFound`] when the user is not in
    /// it, or either is not there.
    pub fn check_group_member(&self, actor: &Actor, id: &GroupId, user: &UserId) -> Result<(), Error> {
        require_own(actor.user == *user, actor, Action::GroupsCheckMember, id.as_str())?;
        let rows = self.db.read()?;
        group(&rows, id)?;
        expect_user(&rows, user)?;
        if catalog::is_member(&rows, id, user)? { Ok(()) } else { Err(not_in(id, user)) }
    }

    /// Puts a user into a group; one that is in it already stays.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when either is not there;
    /// [`crate::service::ErrorKind::TooLarge`] when the user is in too many.
    pub fn add_group_member(&self, actor: &Actor, id: &GroupId, user: &UserId) -> Result<(), Error> {
        actor.expect(Action::GroupsAddMember, Resource::Id(id.as_str()))?;
        let (id, user) = (id.clone(), user.clone());
        let act = Act::on(Operation::AddGroupMember, &id).saying(format!("user {user}"));
        self.recorded(actor, act, move |txn, act| {
            act.name(&id, &group(txn, &id)?.name);
            expect_user(txn, &user)?;
            if !catalog::is_member(txn, &id, &user)? && catalog::groups_of(txn, &user)?.len() >= USER_GROUPS_MAX {
                return Err(Error::too_large(format!(
                    "user {user} is in {USER_GROUPS_MAX} groups, and goes into no more: take it out of one first"
                )));
            }
            Ok(catalog::add_member(txn, &id, &user)?)
        })
    }

    /// Takes a user out of a group. Tokens of the user's that stood on what the group holds end.
    ///
    /// # Errors
    /// Refused without the right; [`crate::service::ErrorKind::NotFound`] when the user is not in it, or either
    /// is not there.
    pub fn remove_group_member(&self, actor: &Actor, id: &GroupId, user: &UserId) -> Result<(), Error> {
        actor.expect(Action::GroupsRemoveMember, Resource::Id(id.as_str()))?;
        let (id, user) = (id.clone(), user.clone());
        let act = Act::on(Operation::RemoveGroupMember, &id).saying(format!("user {user}"));
        self.recorded(actor, act, move |txn, act| {
            act.name(&id, &group(txn, &id)?.name);
            expect_user(txn, &user)?;
            if catalog::remove_member(txn, &id, &user)? { Ok(()) } else { Err(not_in(&id, &user)) }
        })
    }
}

/// The group, which must be there.
pub(super) fn group(rows: &impl Rows, id: &GroupId) -> Result<Group, Error> {
    catalog::get(rows, id)?.ok_or_else(|| missing("group", id))
}

fn expect_user(rows: &impl Rows, id: &UserId) -> Result<(), Error> {
    match catalog::get::<User>(rows, id)? {
        Some(_) => Ok(()),
        None => Err(missing("user", id)),
    }
}

fn not_in(group: &GroupId, user: &UserId) -> Error {
    Error::not_found(format!("Could not find user {user} in group {group}."))
}
