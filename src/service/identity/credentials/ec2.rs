//! EC2 pairs: an access key and a secret that are made here, for services elsewhere that take such.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{NewCredential, OpenCredential, expect_may};
use crate::catalog::{credentials, identity as catalog};
use crate::model::credential::EC2;
use crate::model::identity::User;
use crate::model::{ProjectId, UserId};
use crate::service::identity::{missing, new_id};
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

/// An EC2 pair. No `Debug`: it holds a secret.
pub struct Ec2Pair {
    /// Whose it is.
    pub user: UserId,
    /// What it is for.
    pub project: Option<ProjectId>,
    /// The public half.
    pub access: String,
    /// The secret half.
    pub secret: Zeroizing<String>,
}

impl Service {
    /// Makes a pair of a user's for a project.
    ///
    /// # Errors
    /// As [`Service::create_credential`].
    pub fn create_ec2_pair(
        &self,
        actor: &Actor,
        user: &UserId,
        project: ProjectId,
    ) -> Result<Ec2Pair, Error> {
        let (access, secret) = (new_id(&*self.entropy), Zeroizing::new(new_id(&*self.entropy)));
        let blob = json!({"access": access, "secret": secret.as_str(), "trust_id": null});
        let new = NewCredential {
            user: user.clone(),
            project: Some(project.clone()),
            kind: EC2.into(),
            blob: Zeroizing::new(blob.to_string()),
        };
        self.create_credential(actor, new)?;
        Ok(Ec2Pair { user: user.clone(), project: Some(project), access, secret })
    }

    /// A user's pairs: one's own, or anyone's with the right. One whose root is lost is not among them.
    ///
    /// # Errors
    /// Refused for other users; `NotFound` when there is no such user.
    pub fn ec2_pairs(&self, actor: &Actor, user: &UserId) -> Result<Vec<Ec2Pair>, Error> {
        expect_may(actor, user, Action::CredentialsGet)?;
        let rows = self.db.read()?;
        catalog::get::<User>(&rows, user)?.ok_or_else(|| missing("user", user))?;
        let mut found = credentials::list_of_user(&rows, user)?;
        found.retain(|credential| credential.kind == EC2);
        Ok(self.opened(&rows, found)?.iter().filter_map(pair).collect())
    }

    /// A user's pair.
    ///
    /// # Errors
    /// As [`Service::ec2_pairs`], and `NotFound` when the user has no such one.
    pub fn ec2_pair(&self, actor: &Actor, user: &UserId, access: &str) -> Result<Ec2Pair, Error> {
        let pairs = self.ec2_pairs(actor, user)?;
        pairs.into_iter().find(|pair| pair.access == access).ok_or_else(|| missing("credential", access))
    }

    /// Deletes a user's pair.
    ///
    /// # Errors
    /// As [`Service::ec2_pair`].
    pub fn delete_ec2_pair(&self, actor: &Actor, user: &UserId, access: &str) -> Result<(), Error> {
        expect_may(actor, user, Action::CredentialsManage)?;
        let id = id_of(access);
        match credentials::get(&self.db.read()?, &id)? {
            Some(credential) if credential.user == *user && credential.kind == EC2 => {
                self.delete_credential(actor, &id)
            }
            _ => Err(missing("credential", access)),
        }
    }
}

/// What a pair's credential is called.
pub(super) fn id_of(access: &str) -> String {
    hex::encode(Sha256::digest(access.as_bytes()))
}

/// The access key that a pair's text names.
pub(super) fn access_of(blob: &str) -> Result<String, Error> {
    let parts = parts_of(blob).map(|(access, _)| access);
    parts.ok_or_else(|| {
        Error::invalid(
            "Invalid input for field/attribute blob: of an ec2 pair it is a JSON object with the texts access and secret.",
        )
    })
}

fn parts_of(blob: &str) -> Option<(String, Zeroizing<String>)> {
    let parts: Value = serde_json::from_str(blob).ok()?;
    let text = |name: &str| parts.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some((text("access")?, Zeroizing::new(text("secret")?)))
}

fn pair(open: &OpenCredential) -> Option<Ec2Pair> {
    let (access, secret) = parts_of(open.blob.as_deref()?)?;
    let credential = &open.credential;
    Some(Ec2Pair { user: credential.user.clone(), project: credential.project.clone(), access, secret })
}
