//! Secrets of application credentials, and what one is worth when somebody uses it.
//!
//! Invariant: a wrong secret takes as long as a wrong password, whoever or whatever was named.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::base::Time;
use crate::catalog::application_credentials as credentials;
use crate::db::Rows;
use crate::model::application_credential::SecretHash;
use crate::model::{ApplicationCredential, ApplicationCredentialId};
use crate::service::identity::sign_in::find_user;
use crate::service::identity::standing::Standing;
use crate::service::identity::{Password, UserRef};
use crate::service::rights::Lent;
use crate::service::{Error, Service};

/// Random bytes of a secret that is made here.
const SECRET_BYTES: usize = 64;

/// An application credential as whoever signs in names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialRef {
    /// By id.
    Id(ApplicationCredentialId),
    /// By name, among those of a user.
    Name(String, UserRef),
}

/// The secret of a credential that was just made. Has no `Debug`; wiped when dropped.
pub struct CredentialSecret {
    text: Zeroizing<String>,
    pub(super) hash: SecretHash,
}

impl CredentialSecret {
    /// The text, for whoever made the credential.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl Service {
    /// A secret for a new credential: the one that was chosen, or a random one.
    pub(super) fn new_credential_secret(&self, chosen: Option<&Password>) -> Result<CredentialSecret, Error> {
        if let Some(chosen) = chosen {
            let hash = SecretHash::Chosen(self.passwords.hash(chosen, &*self.entropy)?);
            return Ok(CredentialSecret { text: Zeroizing::new(chosen.expose().to_owned()), hash });
        }
        let mut random = Zeroizing::new([0; SECRET_BYTES]);
        self.entropy.fill(&mut *random);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*random));
        let hash = SecretHash::Random(digest(&text));
        Ok(CredentialSecret { text, hash })
    }

    /// The credential, if the secret is its own.
    pub(in crate::service::identity) fn proven_credential(
        &self,
        named: &CredentialRef,
        secret: &Password,
    ) -> Result<Option<ApplicationCredential>, Error> {
        let found = find(&self.db.read()?, named)?;
        let chosen = match found.as_ref().map(|credential| &credential.secret) {
            // Compared as the digests they are, which takes as long when they differ.
            Some(SecretHash::Random(hash))
                if blake3::Hash::from(*hash) == blake3::Hash::from(digest(secret.expose())) =>
            {
                return Ok(found);
            }
            Some(SecretHash::Chosen(hash)) => Some(hash),
            Some(SecretHash::Random(_)) | None => None,
        };
        let is_right = self.passwords.matches(secret, chosen)?;
        Ok(found.filter(|_| is_right))
    }
}

fn digest(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

fn find(rows: &impl Rows, named: &CredentialRef) -> Result<Option<ApplicationCredential>, Error> {
    match named {
        CredentialRef::Id(id) => Ok(credentials::get(rows, id)?),
        CredentialRef::Name(name, user) => match find_user(rows, user)? {
            Some(user) => Ok(credentials::find(rows, &user.id, name)?),
            None => Ok(None),
        },
    }
}

/// What is left of a user's standing when a program acts with this credential of the user's; `None` when the
/// credential is gone or has ended, or the user no longer holds all that it is worth.
pub(in crate::service::identity) fn lend(
    rows: &impl Rows,
    standing: Standing,
    id: &ApplicationCredentialId,
    now: Time,
) -> Result<Option<(Standing, Lent)>, Error> {
    let credential = credentials::get(rows, id)?.filter(|credential| {
        credential.user == standing.user.id && credential.expires_at.is_none_or(|end| now < end)
    });
    let Some(credential) = credential else { return Ok(None) };
    let mut roles = Vec::with_capacity(credential.roles.len());
    for id in &credential.roles {
        match standing.roles.iter().find(|role| role.id == *id) {
            Some(role) => roles.push(role.clone()),
            None => return Ok(None),
        }
    }
    let roles = crate::catalog::identity::with_implied(rows, roles)?;
    let access_rules = super::access_rules::of_credential(rows, &credential)?;
    // A rule is never deleted while a credential names it: one that is gone must not widen what is left.
    if access_rules.len() != credential.access_rules.len() {
        return Ok(None);
    }
    let lent = Lent {
        credential: credential.id,
        is_unrestricted: credential.is_unrestricted,
        has_policies: credential.has_policies,
        access_rules,
    };
    Ok(Some((Standing { roles, ..standing }, lent)))
}
