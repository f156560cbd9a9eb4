//! The audit chain: what was done is recorded in the commit that does it, what was refused beside it.
//!
//! [`Service::recorded`] is the way of every use case into the catalog; `tests/tidy` lists the few writes beside it.
//! Invariants: a change and its record are there together or not at all; no secret is in a record; what refusals
//! take on the disk is bounded ([`budget`]). Must not know any protocol's paths and statuses.

mod act;
mod budget;
mod chain;
mod content;
mod queries;
mod retention;
#[cfg(test)]
mod tests;

pub use act::{Act, Refused};
pub(in crate::service) use budget::Budget;
pub use chain::{Flaw, Verified};
pub use content::{REQUEST_BYTES_MAX, cut};
pub use queries::{Page, Query, RECORDS_MAX};
pub use retention::Keep;

use std::sync::Arc;

use super::{Actor, Caller, Error, Origin, Service};
use crate::base::Time;
use crate::catalog::audit;
use crate::db::WriteTxn;
use crate::model::trace::{Operation, Rating, TraceHead};
use content::{REFUSED_REQUEST_BYTES_MAX, Who, content};

impl Service {
    /// Runs `change` and records it, in one transaction: the way of use cases into the catalog. `change` may run more
    /// than once, each time with an act as it was given.
    ///
    /// # Errors
    /// What `change` refused with, or when the catalog fails; nothing is kept then.
    pub(in crate::service) fn recorded<T: Send + 'static>(
        &self,
        actor: &Actor,
        act: Act,
        mut change: impl FnMut(&WriteTxn, &mut Act) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (actor, now) = (actor.clone(), self.clock.now());
        let told = self.names_of(&actor.user);
        self.db.write(move |txn| {
            // Before the change: who deletes itself has a name until then.
            let who = Who::of(txn, &actor, told.as_deref())?;
            let mut act = act.clone();
            let done = change(txn, &mut act)?;
            append(txn, who, &actor.origin, act, now)?;
            Ok(done)
        })
    }

    /// As [`Service::recorded`], of something that ends badly: the change is made in any case, and recorded as long as
    /// there are not too many such records, as anybody can make things end badly.
    ///
    /// # Errors
    /// As [`Service::recorded`].
    pub(in crate::service) fn recorded_failure<T: Send + 'static>(
        &self,
        actor: &Actor,
        act: Act,
        mut change: impl FnMut(&WriteTxn, &mut Act) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match self.refusals.admit(&format!("user {}", actor.user), self.clock.now()) {
            None => {
                actor.origin.set_recorded();
                self.db.write(move |txn| change(txn, &mut act.clone()))
            }
            Some(skipped) => {
                let (act, service) = (act.rated(Rating::Warning), self.clone());
                self.recorded(actor, act, move |txn, act| {
                    if let Some(skipped) = &skipped {
                        append_skipped(txn, skipped, service.clock.now())?;
                    }
                    change(txn, act)
                })
            }
        }
    }

    /// Records an act in a transaction that is under way: for changes that more than one act shares.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn record_in(&self, txn: &WriteTxn, actor: &Actor, act: Act) -> Result<(), Error> {
        let told = self.names_of(&actor.user);
        append(txn, Who::of(txn, actor, told.as_deref())?, &actor.origin, act, self.clock.now())
    }

    /// Records an act that changes nothing in the catalog, or that is about to begin.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn record(&self, actor: &Actor, act: Act) -> Result<(), Error> {
        self.recorded(actor, act, |_, _| Ok(()))
    }

    /// Records an act outside of the catalog before it begins, and once more when it fails: what is not on record
    /// does not begin.
    ///
    /// # Errors
    /// What `work` refused with, or when the catalog fails.
    pub(in crate::service) fn attended<T>(
        &self,
        actor: &Actor,
        act: Act,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.record(actor, act.clone())?;
        work().inspect_err(|error| {
            let failed = act.saying(format!("failed: {}", error.message)).rated(Rating::Warning);
            if let Err(unrecorded) = self.record(actor, failed) {
                tracing::error!(%error, %unrecorded, "what failed could not be recorded");
            }
        })
    }

    /// Records a refusal, as long as there are not too many; says whether it did.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn record_refusal(&self, origin: &Arc<Origin>, refused: Refused) -> Result<bool, Error> {
        self.refuse(origin, origin.caller().cloned(), refused)
    }

    /// As [`Service::record_refusal`], of a part of a request that goes on.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(in crate::service) fn record_refusal_of(
        &self,
        actor: &Actor,
        refused: Refused,
    ) -> Result<bool, Error> {
        let caller = Caller {
            user: actor.user.clone(),
            domain: actor.user_domain.clone(),
            project: actor.project().cloned(),
        };
        self.refuse(&actor.origin, Some(caller), refused)
    }

    fn refuse(&self, origin: &Arc<Origin>, caller: Option<Caller>, refused: Refused) -> Result<bool, Error> {
        let now = self.clock.now();
        let key = match &caller {
            Some(caller) => format!("user {}", caller.user),
            None => format!("address {}", origin.source.text()),
        };
        let Some(skipped) = self.refusals.admit(&key, now) else { return Ok(false) };
        let origin = origin.clone();
        let told = caller.as_ref().and_then(|caller| self.names_of(&caller.user));
        self.db.write(move |txn| {
            if let Some(skipped) = &skipped {
                append_skipped(txn, skipped, now)?;
            }
            let mut who = match &caller {
                Some(Caller { user, domain, project }) => {
                    Who::named(txn, user, domain, project.as_ref(), told.as_deref())?
                }
                None => Who::default(),
            };
            if who.user.is_empty() {
                who.user_name = refused.claimed.clone();
            }
            let act = Act::on(refused.operation.unwrap_or(Operation::OtherOperation), &refused.resource_id)
                .saying(&refused.message)
                .rated(if refused.is_fault { Rating::Incident } else { Rating::Warning });
            let mut content = content(who, &origin, act, now);
            content.code.clone_from(&refused.code);
            content.request = cut(content.request, REFUSED_REQUEST_BYTES_MAX);
            audit::append(txn, content)?;
            Ok::<_, Error>(())
        })?;
        Ok(true)
    }

    /// Records how many refusals were not recorded one by one since the last time.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn record_skipped_refusals(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(skipped) = self.refusals.take_skipped() else { return Ok(()) };
        self.db.write(move |txn| append_skipped(txn, &skipped, now))
    }

    /// Where the chain ends: what an operator keeps elsewhere, to see later that nothing was cut off.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn audit_head(&self) -> Result<TraceHead, Error> {
        Ok(audit::head(&self.db.read()?)?)
    }

    /// Records that the box begins to serve, with what it was set to.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn record_start(&self, version: &str, settings: String) -> Result<(), Error> {
        let origin = Origin::default();
        origin.set_body(settings);
        let actor = Actor { origin: Arc::new(origin), ..Actor::system() };
        self.record(&actor, Act::new(Operation::StartService).saying(format!("version {version}")))
    }

    /// Records that the box ends in good order.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn record_stop(&self, reason: &str) -> Result<(), Error> {
        self.record_skipped_refusals()?;
        self.record(&Actor::system(), Act::new(Operation::StopService).saying(reason))
    }
}

fn append_skipped(txn: &WriteTxn, skipped: &budget::Skipped, now: Time) -> Result<(), Error> {
    let act = Act::new(Operation::SkipRefusals).saying(skipped.to_string()).rated(Rating::Warning);
    let actor = Actor::system();
    append(txn, Who::of(txn, &actor, None)?, &actor.origin, act, now)
}

fn append(txn: &WriteTxn, who: Who, origin: &Arc<Origin>, act: Act, now: Time) -> Result<(), Error> {
    audit::append(txn, content(who, origin, act, now))?;
    let recorded = origin.clone();
    txn.after_commit(move || recorded.set_recorded());
    Ok(())
}
