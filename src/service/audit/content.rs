//! A record's content, out of who asks, where from, and what was done: each part bounded.

use super::Act;
use crate::base::Time;
use crate::catalog::identity;
use crate::db::Rows;
use crate::model::identity::{Domain, User};
use crate::model::trace::{Interface, TraceContent};
use crate::model::{DomainId, ProjectId, UserId};
use crate::service::identity::Names;
use crate::service::{Actor, Error, Origin};

/// Longest name, id or path in a record, in bytes.
const WORD_BYTES_MAX: usize = 256;
/// Longest text that says what else is to be known, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;
/// Longest copy of a request's body in a record of something that was done, in bytes.
pub const REQUEST_BYTES_MAX: usize = 2048;
/// The same in a record of a refusal, of which anybody can make many.
pub(super) const REFUSED_REQUEST_BYTES_MAX: usize = 512;

pub(super) fn content(who: Who, origin: &Origin, act: Act, now: Time) -> TraceContent {
    let word = |text: String| cut(text, WORD_BYTES_MAX);
    let interface = origin.interface.unwrap_or(Interface::None);
    let resource_type = match (act.operation.resource(), interface) {
        // The reference tells images by the interface that they were reached through.
        ("image", Interface::Ims) => "ims",
        (resource, _) => resource,
    };
    let owner = act.owner.map(|owner| owner.0).filter(|owner| *owner != who.project);
    TraceContent {
        time: now,
        recorded_at: now,
        user: word(who.user),
        user_name: word(who.user_name),
        domain: word(who.domain),
        domain_name: word(who.domain_name),
        project: word(who.project),
        owner: word(owner.unwrap_or_default()),
        operation: act.operation.name().to_owned(),
        resource_type: resource_type.to_owned(),
        resource_id: word(act.resource_id),
        resource_name: word(act.resource_name),
        rating: act.rating,
        interface,
        source: origin.source.text(),
        request_id: word(origin.request_id.clone()),
        call: word(origin.call.clone()),
        request: cut(origin.body(), REQUEST_BYTES_MAX),
        code: String::new(),
        message: cut(act.message, MESSAGE_BYTES_MAX),
    }
}

/// Who did it, by names that may be gone later.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    pub(super) user: String,
    pub(super) user_name: String,
    domain: String,
    domain_name: String,
    project: String,
}

impl Who {
    pub(super) fn of(rows: &impl Rows, actor: &Actor, told: Option<&Names>) -> Result<Who, Error> {
        Who::named(rows, &actor.user, &actor.user_domain, actor.project(), told)
    }

    /// `told` is what a user of a cloud's is called, of whom there is no record here.
    pub(super) fn named(
        rows: &impl Rows,
        user: &UserId,
        domain: &DomainId,
        project: Option<&ProjectId>,
        told: Option<&Names>,
    ) -> Result<Who, Error> {
        let (known, domain_name) = match told {
            Some(told) => (Some(told.user.clone()), Some(told.domain.clone())),
            None => (
                identity::get::<User>(rows, user)?.map(|user| user.name),
                identity::get::<Domain>(rows, domain)?.map(|domain| domain.name),
            ),
        };
        Ok(Who {
            // Neither the box itself nor its local administrator has an account.
            user_name: known.unwrap_or_else(|| user.0.clone()),
            user: user.0.clone(),
            domain: domain.0.clone(),
            domain_name: domain_name.unwrap_or_default(),
            project: project.map(|project| project.0.clone()).unwrap_or_default(),
        })
    }
}

/// The text, or its start with a sign that there was more.
pub fn cut(mut text: String, bytes_max: usize) -> String {
    const MORE: &str = "…";
    if text.len() > bytes_max {
        let mut end = bytes_max - MORE.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MORE);
    }
    text
}
