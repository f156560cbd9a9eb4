//! Who signed a request: the access key's user, in the key's project, with the roles and policies held there now.
//!
//! Invariant: nothing tells which of key, secret and rights was wrong; a signature counts once and only near its date.

use super::replays::{Refused, SKEW_MAX_S};
use super::root::AccessRoot;
use super::temporary;
use crate::base::Time;
use crate::catalog::access_keys;
use crate::db::Rows;
use crate::model::identity::Scope;
use crate::model::{AccessId, AccessKey, ProjectId, UserId};
use crate::service::{Actor, Error, ErrorKind, Reason, Service};

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// A signed request as far as it matters who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCall {
    /// The public half of the key.
    pub access: AccessId,
    /// What was signed, which covers all of the request that counts.
    pub text: String,
    /// HMAC-SHA-256 of it.
    pub signature: [u8; 32],
    /// What a temporary key came with.
    pub security_token: Option<String>,
    /// The request's date.
    pub signed_at: Time,
    /// The project the caller says it acts in.
    pub project: Option<ProjectId>,
    /// Whether the request only reads.
    pub is_read: bool,
}

impl Service {
    /// The caller behind a signature.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for anything wrong with date, key, signature or the user's rights, and
    /// when the request was taken before; [`ErrorKind::Unavailable`] when there were too many lately.
    pub fn authenticate_signed(&self, call: &SignedCall) -> Result<Actor, Error> {
        if let Some(url) = self.keystone_url() {
            return Err(refusal(format!(
                "access keys sign nothing here: sign in to the cloud's Keystone at {url}, and send its token"
            )));
        }
        let now = self.clock.now();
        check_date(call.signed_at, now)?;
        let rows = self.db.read()?;
        let Some(root) = self.access_root(&rows)? else { return Err(wrong()) };
        let signer = match &call.security_token {
            Some(token) => temporary_signer(&root, call, token, now),
            None => signer(&rows, &root, call, now)?,
        };
        let Signer { user, project, key } = signer.ok_or_else(wrong)?;
        if let Some(other) = call.project.as_ref().filter(|other| **other != project) {
            return Err(refusal(format!(
                "the access key is for project {project}, not for {other}: use a key for that project"
            )));
        }
        let scope = Scope::Project(project);
        let worth = self.worth(&rows, &user, Some(&scope))?.ok_or_else(wrong)?;
        drop(rows);
        self.replays.take(&call.signature, call.signed_at, now, call.is_read).map_err(not_taken)?;
        if let Some(key) = &key {
            self.note_use(key, now);
        }
        Ok(worth.actor(Some(scope)))
    }

    /// Keeps the day on which a key was used last, once a day.
    fn note_use(&self, key: &AccessKey, now: Time) {
        let day = now.seconds().div_euclid(DAY_S);
        if key.last_used_day.is_some_and(|last| last >= day) {
            return;
        }
        let access = key.access.clone();
        let noted = self.db.write(move |txn| {
            let Some(mut key) = access_keys::get(txn, &access)? else { return Ok(()) };
            key.last_used_day = key.last_used_day.max(Some(day));
            Ok::<_, Error>(access_keys::put(txn, &key)?)
        });
        if let Err(error) = noted {
            // The request itself may well be one that needs no room on the disk.
            tracing::warn!(%error, access = %key.access, "the day of an access key's use was not noted");
        }
    }
}

/// Whose signature it is.
struct Signer {
    user: UserId,
    project: ProjectId,
    /// The key's record; none is kept of temporary ones.
    key: Option<AccessKey>,
}

/// The owner of the key that signed, if it is usable and did.
fn signer(
    rows: &impl Rows,
    root: &AccessRoot,
    call: &SignedCall,
    now: Time,
) -> Result<Option<Signer>, Error> {
    let is_signed = root.secret_of(&call.access).signed(&call.text, &call.signature);
    let key = access_keys::get(rows, &call.access)?;
    if let Some(key) = key.as_ref().filter(|key| key.root != root.name()) {
        tracing::debug!(access = %key.access, "an access key was made under a root that is lost; make another key");
    }
    let key = key.filter(|key| is_signed && is_usable(key, now));
    Ok(key.map(|key| Signer { user: key.user.clone(), project: key.project.clone(), key: Some(key) }))
}

/// The same of a temporary key.
fn temporary_signer(root: &AccessRoot, call: &SignedCall, token: &str, now: Time) -> Option<Signer> {
    let (claims, secret) = temporary::read(root, &call.access, token, now)?;
    let is_signed = secret.signed(&call.text, &call.signature);
    is_signed.then(|| Signer { user: claims.user(), project: claims.project(), key: None })
}

/// Whether the key may be used at `now`.
pub(super) fn is_usable(key: &AccessKey, now: Time) -> bool {
    key.enabled && key.expires_at.is_none_or(|end| now < end)
}

fn check_date(signed_at: Time, now: Time) -> Result<(), Error> {
    let skew_s = signed_at.seconds() - now.seconds();
    if skew_s.abs() > SKEW_MAX_S {
        return Err(refusal(format!(
            "the request's date is {} seconds {} the server's clock, which says {}; at most {SKEW_MAX_S} are taken: \
             set the client's clock",
            skew_s.abs(),
            if skew_s < 0 { "behind" } else { "ahead of" },
            now.rfc3339_seconds()
        )));
    }
    Ok(())
}

fn not_taken(refused: Refused) -> Error {
    match refused {
        Refused::Replayed => refusal("this signed request was taken before; sign it again"),
        Refused::BeforeStart => refusal(
            "the request is dated before the server's start, so that it may have been taken before: sign it again, or \
             set the client's clock",
        ),
        Refused::TooMany => Error::new(
            ErrorKind::Unavailable,
            "more signed requests came in the last minutes than the server keeps in mind; try again later, or use a token",
        )
        .because(Reason::TooManyRequests),
    }
}

fn wrong() -> Error {
    refusal("the access key or its signature is wrong, or its user may not act in its project")
}

fn refusal(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthenticated, message)
}
