//! Credentials that are kept for others: EC2 pairs, seeds of one-time passwords, certificates.
//!
//! Invariant: none of them proves anything to this box; there is no way to sign in with one. What one says is sealed
//! ([`blob`]). Whoever acts with an application credential neither sees nor makes any.

mod blob;
mod ec2;

pub use ec2::Ec2Pair;

use zeroize::Zeroizing;

use super::access_keys::AccessRoot;
use super::authorise::require_own;
use super::standing::standing;
use super::{missing, new_id};
use crate::base::limits::{CREDENTIAL_BLOB_BYTES_MAX, CREDENTIALS_PER_USER_MAX};
use crate::catalog::{credentials, identity as catalog};
use crate::db::{Rows, WriteTxn};
use crate::model::credential::{Credential, EC2};
use crate::model::identity::{Scope, User};
use crate::model::{Operation, ProjectId, UserId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// The types that are kept.
const KINDS: [&str; 3] = [EC2, "totp", "cert"];

/// A credential to be kept. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct NewCredential {
    /// Whose it is.
    pub user: UserId,
    /// What it is for; an EC2 pair is for one.
    pub project: Option<ProjectId>,
    /// `ec2`, `totp` or `cert`.
    pub kind: String,
    /// What it says: of an EC2 pair a JSON object with `access` and `secret`.
    pub blob: Zeroizing<String>,
}

/// What to change in a credential; `None` leaves a field as it is. No `Debug`: it may hold a secret.
#[derive(Clone, Default)]
pub struct CredentialChange {
    /// What it is for.
    pub project: Option<ProjectId>,
    /// What it says; of an EC2 pair with the access key that it has.
    pub blob: Option<Zeroizing<String>>,
}

/// A credential, and what it says. No `Debug`.
pub struct OpenCredential {
    /// The credential.
    pub credential: Credential,
    /// What it says; `None` when the root that it was sealed under is lost.
    pub blob: Option<Zeroizing<String>>,
}

impl Service {
    /// Keeps a credential: one's own, or anyone's with the right.
    ///
    /// # Errors
    /// Refused for other users; `NotFound` when there is no such user, or it holds nothing in the project; `Invalid` for
    /// other types, and for a text that is none of the type; `Conflict` for a pair that is there already.
    pub fn create_credential(&self, actor: &Actor, new: NewCredential) -> Result<OpenCredential, Error> {
        expect_may(actor, &new.user, Action::CredentialsManage)?;
        if !KINDS.contains(&new.kind.as_str()) {
            let known = KINDS.join(", ");
            return Err(Error::invalid(format!(
                "Invalid input for field/attribute type: {:?} is not kept here; {known} are.",
                new.kind
            )));
        }
        check_size(&new.blob)?;
        let id = match new.kind == EC2 {
            true => {
                if new.project.is_none() {
                    return Err(Error::invalid(
                        "Invalid input for field/attribute credential: an ec2 pair needs project_id.",
                    ));
                }
                ec2::id_of(&ec2::access_of(&new.blob)?)
            }
            false => new_id(&*self.entropy),
        };
        let fresh = AccessRoot::generate(&*self.entropy);
        let service = self.clone();
        let act = Act::on(Operation::CreateCredential, &id);
        self.recorded(actor, act, move |txn, act| {
            act.say(format!("of type {}, of user {}", new.kind, new.user));
            check_place(txn, &new.user, new.project.as_ref())?;
            if credentials::get(txn, &id)?.is_some() {
                return Err(Error::conflict(format!(
                    "Conflict occurred attempting to store credential - there is one of this access key already: {id}."
                )));
            }
            if credentials::list_of_user(txn, &new.user)?.len() >= CREDENTIALS_PER_USER_MAX {
                return Err(Error::too_large(format!(
                    "the user has {CREDENTIALS_PER_USER_MAX} credentials, and no more are kept: delete one first"
                )));
            }
            let credential = Credential {
                id: id.clone(),
                user: new.user.clone(),
                project: new.project.clone(),
                kind: new.kind.clone(),
                blob: service.sealed_blob(txn, &fresh, &id, &new.blob)?,
            };
            credentials::put(txn, &credential)?;
            Ok(OpenCredential { credential, blob: Some(new.blob.clone()) })
        })
    }

    /// Credentials: everybody's with the right, else one's own.
    ///
    /// # Errors
    /// Refused with an application credential.
    pub fn credentials(&self, actor: &Actor) -> Result<Vec<OpenCredential>, Error> {
        actor.rights.expect_own("a credential")?;
        let rows = self.db.read()?;
        let found = match actor.allows(Action::CredentialsGet, Resource::None) {
            true => credentials::list(&rows)?,
            false => credentials::list_of_user(&rows, &actor.user)?,
        };
        self.opened(&rows, found)
    }

    /// A credential: one's own, or anyone's with the right.
    ///
    /// # Errors
    /// `Forbidden` for others', whether or not they are there; `NotFound` when there is none.
    pub fn credential(&self, actor: &Actor, id: &str) -> Result<OpenCredential, Error> {
        let rows = self.db.read()?;
        let credential = known(&rows, actor, id, Action::CredentialsGet)?;
        let blob = self.access_root(&rows)?.and_then(|root| blob::open(&root, id, &credential.blob));
        Ok(OpenCredential { credential, blob })
    }

    /// Changes a credential.
    ///
    /// # Errors
    /// As [`Service::credential`], and `Invalid` for a text that is none of its type.
    pub fn update_credential(
        &self,
        actor: &Actor,
        id: &str,
        change: CredentialChange,
    ) -> Result<OpenCredential, Error> {
        if let Some(blob) = &change.blob {
            check_size(blob)?;
        }
        let fresh = AccessRoot::generate(&*self.entropy);
        let (service, caller, id) = (self.clone(), actor.clone(), id.to_owned());
        self.recorded(actor, Act::on(Operation::UpdateCredential, &id), move |txn, act| {
            let mut credential = known(txn, &caller, &id, Action::CredentialsManage)?;
            act.say(format!("of type {}, of user {}", credential.kind, credential.user));
            if change.project.is_some() {
                check_place(txn, &credential.user, change.project.as_ref())?;
                credential.project = change.project.clone();
            }
            if let Some(text) = &change.blob {
                if credential.kind == EC2 && ec2::id_of(&ec2::access_of(text)?) != id {
                    return Err(Error::invalid(
                        "Invalid input for field/attribute blob: the access key of a pair cannot change; make another one.",
                    ));
                }
                credential.blob = service.sealed_blob(txn, &fresh, &id, text)?;
            }
            credentials::put(txn, &credential)?;
            let root = service.access_root(txn)?;
            let blob = root.and_then(|root| blob::open(&root, &id, &credential.blob));
            Ok(OpenCredential { credential, blob })
        })
    }

    /// Deletes a credential.
    ///
    /// # Errors
    /// As [`Service::credential`].
    pub fn delete_credential(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        let (caller, id) = (actor.clone(), id.to_owned());
        self.recorded(actor, Act::on(Operation::DeleteCredential, &id), move |txn, act| {
            let credential = known(txn, &caller, &id, Action::CredentialsManage)?;
            act.say(format!("of type {}, of user {}", credential.kind, credential.user));
            credentials::delete(txn, &id)?;
            Ok(())
        })
    }

    fn opened(&self, rows: &impl Rows, found: Vec<Credential>) -> Result<Vec<OpenCredential>, Error> {
        let root = self.access_root(rows)?;
        let open = |credential: Credential| {
            let blob = root.as_ref().and_then(|root| blob::open(root, &credential.id, &credential.blob));
            OpenCredential { credential, blob }
        };
        Ok(found.into_iter().map(open).collect())
    }

    fn sealed_blob(
        &self,
        txn: &WriteTxn,
        fresh: &AccessRoot,
        id: &str,
        text: &str,
    ) -> Result<crate::model::credential::SealedBlob, Error> {
        let root = self.make_access_root(txn, fresh)?;
        let sealed = blob::seal(&root, &*self.entropy, id, text);
        sealed.ok_or_else(|| Error::invalid("what the credential says could not be sealed"))
    }
}

/// Refuses whoever may not have to do with a user's credentials.
fn expect_may(actor: &Actor, user: &UserId, action: Action) -> Result<(), Error> {
    actor.rights.expect_own("a credential")?;
    require_own(actor.user == *user, actor, action, user.as_str())
}

/// The credential, for who may.
fn known(rows: &impl Rows, actor: &Actor, id: &str, action: Action) -> Result<Credential, Error> {
    actor.rights.expect_own("a credential")?;
    let credential = credentials::get(rows, id)?;
    let is_own = credential.as_ref().is_some_and(|credential| credential.user == actor.user);
    require_own(is_own, actor, action, id)?;
    credential.ok_or_else(|| missing("credential", id))
}

/// Whether there is such a user, and it may act in the project.
fn check_place(rows: &impl Rows, user: &UserId, project: Option<&ProjectId>) -> Result<(), Error> {
    catalog::get::<User>(rows, user)?.ok_or_else(|| missing("user", user))?;
    match project {
        Some(project) if standing(rows, user, Some(&Scope::Project(project.clone())))?.is_none() => {
            Err(missing("project", project))
        }
        _ => Ok(()),
    }
}

fn check_size(blob: &str) -> Result<(), Error> {
    if blob.is_empty() || blob.len() > CREDENTIAL_BLOB_BYTES_MAX {
        return Err(Error::invalid(format!(
            "Invalid input for field/attribute blob: it has 1 to {CREDENTIAL_BLOB_BYTES_MAX} bytes, not {}.",
            blob.len()
        )));
    }
    Ok(())
}
