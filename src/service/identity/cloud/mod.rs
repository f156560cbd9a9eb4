//! Tokens of a cloud's Keystone, in the place of the box's own: what it said is kept for a while.
//!
//! Invariant: nobody is let through whose token Keystone did not call valid within the time that answers are kept.
//! Tokens are kept by their BLAKE3 hash alone. However many tokens come, good or bad, memory is bounded, and so is the
//! number of questions that Keystone is asked at once. Must not know what roles allow.

mod caller;
mod known;
mod limits;

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::unauthenticated;
use crate::base::{Clock, Time};
use crate::keystone::{self, Keystone, Seen};
use crate::model::ProjectId;
use crate::service::{Error, ErrorKind};
use known::Known;
pub(in crate::service) use known::Names;

/// Memory for what was said of tokens, in bytes.
const ANSWERS_BYTES_MAX: u64 = 16 << 20;
/// Expected number of tokens in it.
const ANSWERS: usize = 8192;
/// Tokens that are no good, and kept in mind for a while.
const REFUSED_MAX: usize = 16_384;
/// How long a token is taken for no good, in seconds.
const REFUSED_S: i64 = 5;
/// Questions that Keystone is asked at once.
const QUESTIONS_MAX: usize = 16;
/// Requests that wait for an answer of Keystone's, each on a thread.
const WAITING_MAX: usize = 64;
/// How long Keystone is left alone after it failed, in seconds: whoever waits then is not kept waiting again.
const TROUBLE_S: i64 = 1;

/// What a token is called here.
type Name = [u8; 32];

/// How answers are used.
#[derive(Debug, Clone)]
pub struct CloudRules {
    /// How long an answer about a token is good for, in seconds, if the token itself is; 0 asks each time.
    pub cache_s: i64,
    /// The type by which the cloud calls this service, in its catalog and in access rules.
    pub service_type: String,
    /// The region whose limits hold here; empty for any.
    pub region: String,
}

/// A cloud that says who asks.
pub struct Cloud {
    keystone: Keystone,
    /// Of the runtime that talks with Keystone.
    handle: Handle,
    rules: CloudRules,
    answers: Cache<Name, Kept, Bytes>,
    refused: Cache<Name, Time>,
    questions: Semaphore,
    places: Semaphore,
    trouble: Mutex<Trouble>,
    known: Known,
    /// Until when a project's limits are not asked for again.
    limits_asked: Cache<ProjectId, Time>,
}

/// An answer, and until when it is used.
#[derive(Clone)]
struct Kept {
    seen: Arc<Seen>,
    until: Time,
}

/// Whether Keystone failed lately.
#[derive(Default)]
struct Trouble {
    last: Option<(keystone::Error, Time)>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Name, Kept> for Bytes {
    fn weight(&self, _: &Name, kept: &Kept) -> u64 {
        let seen = &*kept.seen;
        let roles: usize = seen.roles.iter().map(|role| role.len() + 32).sum();
        let rules = seen.lent.iter().flat_map(|lent| &lent.access_rules);
        let rules: usize = rules.map(|rule| rule.path.len() + 256).sum();
        (1024 + roles + rules + seen.groups.len() * 64) as u64
    }
}

impl Cloud {
    /// Takes a cloud. Nothing is asked of it yet. `handle` is of a runtime that outlives the service, and that is
    /// not blocked while tokens are looked at.
    pub fn new(keystone: Keystone, handle: Handle, rules: CloudRules) -> Cloud {
        Cloud {
            keystone,
            handle,
            rules,
            answers: Cache::with_weighter(ANSWERS, ANSWERS_BYTES_MAX, Bytes),
            refused: Cache::new(REFUSED_MAX),
            questions: Semaphore::new(QUESTIONS_MAX),
            places: Semaphore::new(WAITING_MAX),
            trouble: Mutex::default(),
            known: Known::default(),
            limits_asked: Cache::new(limits::PROJECTS_MAX),
        }
    }

    /// Whose a token is. Blocks for as long as Keystone takes, if it has to be asked.
    fn seen(&self, token: &str, clock: &dyn Clock) -> Result<Arc<Seen>, Error> {
        let name = super::tokens::token_hash(token);
        match self.remembered(&name, clock.now()) {
            Some(known) => known,
            None => self.handle.block_on(self.learn(&name, token, clock)),
        }
    }

    /// What is known of a token without asking.
    fn remembered(&self, name: &Name, now: Time) -> Option<Result<Arc<Seen>, Error>> {
        if let Some(kept) = self.answers.get(name) {
            if now < kept.until {
                return Some(Ok(kept.seen));
            }
            self.answers.remove(name);
        }
        self.refused.get(name).is_some_and(|until| now < until).then(|| Err(unauthenticated()))
    }

    async fn learn(&self, name: &Name, token: &str, clock: &dyn Clock) -> Result<Arc<Seen>, Error> {
        let _place = self.places.try_acquire().map_err(|_| {
            let message = "more sign-ins wait for the cloud's Keystone than this server lets wait; try again";
            Error::new(ErrorKind::Unavailable, message)
        })?;
        // One question for all that wait with the same token.
        let turn = match self.answers.get_value_or_guard_async(name).await {
            Ok(kept) => return Ok(kept.seen),
            Err(turn) => turn,
        };
        if let Some(known) = self.remembered_refusal(name, clock.now()) {
            return Err(known);
        }
        let _question = self.questions.acquire().await.map_err(|_| unauthenticated())?;
        // Not before: it may have failed while this one waited for its turn.
        let now = clock.now();
        if let Some(error) = self.trouble_at(now) {
            return Err(self.failed(&error));
        }
        let told = self.keystone.validate(token, now).await;
        self.note(told.as_ref().err(), clock.now());
        match told {
            Ok(Some(seen)) => {
                self.known.keep(&seen);
                let until = seen.expires_at.min(now.plus_seconds(self.rules.cache_s));
                let seen = Arc::new(seen);
                // Where somebody let go of the place meanwhile, the next one asks again.
                let _ = turn.insert(Kept { seen: seen.clone(), until });
                Ok(seen)
            }
            Ok(None) => {
                self.refused.insert(*name, now.plus_seconds(REFUSED_S));
                Err(unauthenticated())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn remembered_refusal(&self, name: &Name, now: Time) -> Option<Error> {
        self.refused.get(name).filter(|until| now < *until).map(|_| unauthenticated())
    }

    /// What Keystone failed with, as long as it is left alone.
    fn trouble_at(&self, now: Time) -> Option<keystone::Error> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.last.as_ref().filter(|(_, until)| now < *until).map(|(error, _)| error.clone())
    }

    /// Notes how Keystone fared; the log has a line when that changes, and not one for each request.
    fn note(&self, error: Option<&keystone::Error>, now: Time) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let url = self.keystone.url();
        match (error, &trouble.last) {
            (None, Some(_)) => tracing::info!(url, "the cloud's Keystone answers again"),
            (Some(error), last) if last.as_ref().is_none_or(|(known, _)| known != error) => match error {
                keystone::Error::Unreachable(_) => {
                    tracing::warn!(url, %error, "the cloud's Keystone does not answer: who needs it gets 503");
                }
                keystone::Error::Account(_) => tracing::error!(
                    url,
                    %error,
                    "the cloud's Keystone does not accept this server: check user, password_file, project and roles \
                     (identity.keystone)"
                ),
            },
            _ => {}
        }
        trouble.last = error.map(|error| (error.clone(), now.plus_seconds(TROUBLE_S)));
    }

    /// What whoever asked with a token is told: nothing of the box's own account.
    fn failed(&self, error: &keystone::Error) -> Error {
        let url = self.keystone.url();
        Error::new(
            ErrorKind::Unavailable,
            match error {
                keystone::Error::Unreachable(_) => format!(
                    "the cloud's Keystone at {url} cannot be reached now, so that no token can be checked: try again later"
                ),
                keystone::Error::Account(_) => format!(
                    "the cloud's Keystone at {url} does not let this server check tokens; its operator has to see to \
                     that, the server's log says more"
                ),
            },
        )
    }
}

#[cfg(test)]
mod cloud_tests;
