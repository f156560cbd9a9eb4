//! Temporary access keys: a key, a secret and a security token that end by themselves.
//!
//! Nothing is kept of them. The token says whose the key is and until when, under a code that follows from the root;
//! the secret follows from the same words. Invariant: a key is worth what its user holds in its project when it is used,
//! so that whoever disables or deletes either ends it; one alone cannot be taken back before its end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::root::{AccessRoot, AccessSecret, new_access_id};
use crate::base::Time;
use crate::catalog::identity as catalog;
use crate::db::codec::{self, Record};
use crate::model::identity::User;
use crate::model::{AccessId, Operation, ProjectId, UserId};
use crate::service::audit::Act;
use crate::service::identity::missing;
use crate::service::{Actor, Error, Service};

/// Seconds that a temporary key may live: the range of the clouds whose SDKs ask for them.
pub const TEMPORARY_LIFE_S: std::ops::RangeInclusive<i64> = 900..=86_400;
/// Bytes of the code at a token's end.
const CODE_BYTES: usize = 32;
/// Longest token that is looked at.
const TOKEN_CHARS_MAX: usize = 4096;

/// A temporary key, told once. Has no `Debug`.
pub struct TemporaryKey {
    /// Its public half.
    pub access: AccessId,
    /// Its secret half.
    pub secret: AccessSecret,
    /// What is sent along with everything that is signed.
    pub token: SecurityToken,
    /// From when on it may not be used any more.
    pub expires_at: Time,
}

/// A security token. Has no `Debug`.
#[derive(Clone)]
pub struct SecurityToken(Zeroizing<String>);

impl SecurityToken {
    /// The text, for whoever the key was made for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    access: String,
    user: String,
    project: String,
    expires_at: i64,
}

impl Record for Claims {
    const VERSION: u8 = 1;
    const NAME: &'static str = "security token";
}

impl Claims {
    pub(super) fn user(&self) -> UserId {
        UserId(self.user.clone())
    }

    pub(super) fn project(&self) -> ProjectId {
        ProjectId(self.project.clone())
    }
}

impl Service {
    /// Makes a temporary key for the caller in the caller's project.
    ///
    /// # Errors
    /// `Invalid` when the life is out of [`TEMPORARY_LIFE_S`], or the caller acts in no project; `NotFound` when the caller
    /// has no account here.
    pub fn create_temporary_key(&self, actor: &Actor, life_s: i64) -> Result<TemporaryKey, Error> {
        self.expect_own_identities("temporary keys")?;
        actor.rights.expect_own("a temporary key")?;
        if !TEMPORARY_LIFE_S.contains(&life_s) {
            let (least, most) = (TEMPORARY_LIFE_S.start(), TEMPORARY_LIFE_S.end());
            return Err(Error::invalid(format!(
                "a temporary key lives {least} to {most} seconds, not {life_s}"
            )));
        }
        let project = actor.project().ok_or_else(|| {
            Error::invalid("a temporary key is for one project: ask with a token that is scoped to it")
        })?;
        let user = catalog::get::<User>(&self.db.read()?, &actor.user)?;
        let user = user.ok_or_else(|| missing("user", &actor.user))?.id;
        let fresh = AccessRoot::generate(&*self.entropy);
        let service = self.clone();
        let root = match self.access_root(&self.db.read()?)? {
            Some(root) => root,
            None => self.db.write(move |txn| service.make_access_root(txn, &fresh))?,
        };
        let access = new_access_id(&*self.entropy);
        let expires_at = self.clock.now().plus_seconds(life_s);
        let act = Act::on(Operation::CreateTemporaryKey, &access);
        self.record(actor, act.saying(format!("until {}", expires_at.rfc3339_seconds())))?;
        let words = codec::encode(&Claims {
            access: access.0.clone(),
            user: user.0,
            project: project.0.clone(),
            expires_at: expires_at.0,
        });
        let secret = root.secret_of_token(&words);
        let token = [&words[..], &root.code_of_token(&words)].concat();
        let token = SecurityToken(Zeroizing::new(URL_SAFE_NO_PAD.encode(token)));
        Ok(TemporaryKey { access, secret, token, expires_at })
    }
}

/// What a token says and the secret it comes with, if it is one of this box for that key and has not ended.
pub(super) fn read(
    root: &AccessRoot,
    access: &AccessId,
    token: &str,
    now: Time,
) -> Option<(Claims, AccessSecret)> {
    if token.len() > TOKEN_CHARS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (words, code) = bytes.split_at_checked(bytes.len().checked_sub(CODE_BYTES)?)?;
    // Compared as the digests they are, which takes as long when they differ.
    if blake3::Hash::from(root.code_of_token(words)) != blake3::Hash::from_slice(code).ok()? {
        return None;
    }
    let claims: Claims = codec::decode(words).ok()?;
    (claims.access == access.as_str() && now < Time(claims.expires_at))
        .then(|| (claims, root.secret_of_token(words)))
}
