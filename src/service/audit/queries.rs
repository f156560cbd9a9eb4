//! Looking records up: for administrators all, for whoever manages a project those of it.
//!
//! Invariants: one answer costs a bounded number of records, whatever is asked for: where more would have to be
//! looked at it says where to go on; what somebody may not see is not told apart from what is not there.

use std::ops::ControlFlow;

use super::super::rights::{Action, Resource};
use super::super::{Actor, Error, ErrorKind, Service};
use crate::base::Time;
use crate::catalog::audit;
use crate::db::{ReadTxn, Rows};
use crate::model::ProjectId;
use crate::model::trace::{Interface, Rating, Trace, TraceContent};

/// Records of one answer at most.
pub const RECORDS_MAX: usize = 1000;
/// Records that are looked at for one answer.
const LOOKED_AT_MAX: usize = 100_000;

/// What is looked for; empty fields look for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Done by the user with this id or name.
    pub user: Option<String>,
    /// Done by somebody in this project, or to something of it.
    pub project: Option<ProjectId>,
    /// With this name.
    pub operation: Option<String>,
    /// Of this service.
    pub service: Option<String>,
    /// Done to this kind of thing.
    pub resource_type: Option<String>,
    /// Done to the thing with this id.
    pub resource_id: Option<String>,
    /// Done to a thing with this name.
    pub resource_name: Option<String>,
    /// That ended so.
    pub rating: Option<Rating>,
    /// That came through this protocol.
    pub interface: Option<Interface>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Recorded at this moment or later.
    pub from: Option<Time>,
    /// Recorded before this moment.
    pub to: Option<Time>,
    /// The record to go on after, from an answer before.
    pub after: Option<u64>,
    /// The oldest first.
    pub oldest_first: bool,
    /// Records of one answer; [`RECORDS_MAX`] at most.
    pub limit: usize,
}

/// Some of what was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order that was asked for.
    pub traces: Vec<Trace>,
    /// Where to go on; `None` when there is no more.
    pub next: Option<u64>,
}

impl Service {
    /// One page of records.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] to all who are neither administrators nor manage the project they act in.
    pub fn audit_traces(&self, actor: &Actor, query: &Query) -> Result<Page, Error> {
        let only = visible(actor)?;
        let read = self.db.read()?;
        let limit = query.limit.clamp(1, RECORDS_MAX);
        let (from, to) = range(&read, query)?;
        let (mut page, mut looked_at, mut last) = (Page::default(), 0, 0);
        audit::visit(&read, (from, to), !query.oldest_first, &mut |trace| {
            looked_at += 1;
            last = trace.seq;
            if concerns(&trace.content, only.as_ref()) && query.matches(&trace.content) {
                page.traces.push(trace);
            }
            match page.traces.len() >= limit || looked_at >= LOOKED_AT_MAX {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let is_end = if query.oldest_first { last >= to } else { last <= from };
        page.next = (looked_at > 0 && !is_end).then_some(last);
        Ok(page)
    }

    /// One record.
    ///
    /// # Errors
    /// As [`Service::audit_traces`]; [`ErrorKind::NotFound`] when there is none, or it is of another project.
    pub fn audit_trace(&self, actor: &Actor, seq: u64) -> Result<Trace, Error> {
        let only = visible(actor)?;
        let trace = audit::get(&self.db.read()?, seq)?;
        let trace = trace.filter(|trace| concerns(&trace.content, only.as_ref()));
        trace.ok_or_else(|| {
            Error::not_found(format!("there is no audit record {seq}, or none for you to see"))
        })
    }

    /// Records that come after those that were forwarded, the oldest first; and the number of the last that was
    /// looked for. For whoever forwards them.
    ///
    /// # Errors
    /// When the catalog fails, or a record is unreadable.
    pub fn unforwarded_traces(&self, count: usize) -> Result<Vec<Trace>, Error> {
        let read = self.db.read()?;
        let after = audit::forwarded(&read)?;
        let mut found = Vec::new();
        audit::visit(&read, (after + 1, u64::MAX), false, &mut |trace| {
            found.push(trace);
            if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// Notes that records up to this one were forwarded.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn set_forwarded_traces(&self, seq: u64) -> Result<(), Error> {
        self.db.write(move |txn| Ok(audit::set_forwarded(txn, seq)?))
    }
}

/// The project whose records alone the caller may see; `None` for all.
fn visible(actor: &Actor) -> Result<Option<ProjectId>, Error> {
    if actor.allows(Action::AuditGetAll, Resource::None) {
        return Ok(None);
    }
    match actor.project() {
        Some(project) if actor.allows(Action::AuditGet, Resource::None) => Ok(Some(project.clone())),
        _ => Err(Error::new(
            ErrorKind::Forbidden,
            "audit records are for administrators, and those of a project for its role manager, or a policy that allows \
             tintype:audit:get",
        )),
    }
}

fn concerns(content: &TraceContent, project: Option<&ProjectId>) -> bool {
    project.is_none_or(|project| content.project == project.as_str() || content.owner == project.as_str())
}

impl Query {
    fn matches(&self, content: &TraceContent) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let service = || crate::model::Operation::parse(&content.operation).map(|o| o.service().name());
        concerns(content, self.project.as_ref())
            && (is(&self.user, &content.user) || is(&self.user, &content.user_name))
            && is(&self.operation, &content.operation)
            && self.service.as_deref().is_none_or(|wanted| service() == Some(wanted))
            && is(&self.resource_type, &content.resource_type)
            && is(&self.resource_id, &content.resource_id)
            && is(&self.resource_name, &content.resource_name)
            && is(&self.request_id, &content.request_id)
            && self.rating.is_none_or(|wanted| wanted == content.rating)
            && self.interface.is_none_or(|wanted| wanted == content.interface)
    }
}

/// The numbers between which what is looked for lies, both included. Records are in the order of their times, so
/// that a few looks find both ends.
fn range(read: &ReadTxn, query: &Query) -> Result<(u64, u64), Error> {
    let (Some(first), last) = (audit::first(read)?, audit::head(read)?) else { return Ok((1, 0)) };
    let (mut from, mut to) = (first.seq, last.seq);
    if let Some(time) = query.from {
        from = earliest(read, (from, to), time)?;
    }
    if let Some(time) = query.to {
        to = earliest(read, (from, to), time)?.saturating_sub(1);
    }
    match (query.after, query.oldest_first) {
        (Some(after), true) => from = from.max(after.saturating_add(1)),
        (Some(after), false) => to = to.min(after.saturating_sub(1)),
        (None, _) => {}
    }
    Ok((from, to))
}

/// The first number of a range whose record is not from before `time`; one past its end when there is none.
fn earliest(rows: &impl Rows, (mut from, to): (u64, u64), time: Time) -> Result<u64, Error> {
    let mut end = to.saturating_add(1);
    while from < end {
        let middle = from + (end - from) / 2;
        let is_before = audit::get(rows, middle)?.is_some_and(|trace| trace.content.recorded_at < time);
        if is_before {
            from = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(from)
}
