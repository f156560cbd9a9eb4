//! Keeps rulebooks, so that policies are read once for each change of rights and not with each request.
//!
//! Invariant: a rulebook is used only at the revision of rights and with the names it was made for, so that a
//! change counts with the next request. A policy that cannot be read lets nobody through who has it: what it would deny is not
//! known. Memory is bounded by the statements that are kept.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::action::Actions;
use super::condition::Asked;
use super::document::Document;
use super::rulebook::{Holding, Rulebook};
use super::{built_in, rulebook};
use crate::base::Time;
use crate::catalog::identity as catalog;
use crate::db::ReadTxn;
use crate::model::policy::{Attachment, Policy, Reach};
use crate::model::{GroupId, PolicyId, ProjectId, UserId};
use crate::service::{Error, ErrorKind};

/// Statements that are kept in all rulebooks together; each takes some hundred bytes.
const RULES_MAX: u64 = 1 << 18;
/// Bytes of documents that are kept read.
const DOCUMENT_BYTES_MAX: u64 = 32 << 20;
/// Expected number of either.
const ENTRIES: usize = 1024;

/// Who, and in which project.
type Place = (UserId, Option<ProjectId>);

/// The groups whose policies hold for a user.
#[derive(Debug, Clone, Copy)]
pub(in crate::service) enum Groups<'a> {
    /// Those that the catalog has the user in.
    Recorded,
    /// Those that somebody else said, who alone knows of which domain they are: policies for all projects of a group's
    /// domain hold in every project that lets the user in.
    Told(&'a [GroupId]),
}

/// A rulebook, and what it was made for: a revision of rights, the user's groups, and who asks, at no time.
#[derive(Clone)]
struct Kept {
    made_for: (u64, Vec<GroupId>, Asked),
    book: Arc<Rulebook>,
}

/// Rulebooks and the documents in them.
pub(in crate::service) struct Library {
    books: Cache<Place, Kept, Rules>,
    documents: Cache<(PolicyId, u64), Arc<Document>, Bytes>,
}

#[derive(Clone)]
struct Rules;

impl Weighter<Place, Kept> for Rules {
    fn weight(&self, _: &Place, kept: &Kept) -> u64 {
        kept.book.rules() as u64 + kept.book.len() as u64 + 1
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(PolicyId, u64), Arc<Document>> for Bytes {
    fn weight(&self, _: &(PolicyId, u64), document: &Arc<Document>) -> u64 {
        document.text().len() as u64 + 256
    }
}

impl Default for Library {
    fn default() -> Library {
        Library {
            books: Cache::with_weighter(ENTRIES, RULES_MAX, Rules),
            documents: Cache::with_weighter(ENTRIES, DOCUMENT_BYTES_MAX, Bytes),
        }
    }
}

impl Groups<'_> {
    fn of(self, rows: &ReadTxn, user: &UserId) -> Result<Vec<GroupId>, Error> {
        match self {
            Groups::Recorded => Ok(catalog::groups_of(rows, user)?),
            Groups::Told(groups) => Ok(groups.to_vec()),
        }
    }
}

impl Library {
    /// The actions that policies may allow a user in a project.
    ///
    /// # Errors
    /// As [`Library::book`].
    pub(in crate::service) fn allowed(
        &self,
        rows: &ReadTxn,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<Actions, Error> {
        let groups = Groups::Recorded;
        Ok(rulebook::allowed_by(&self.holdings(rows, groups, &groups.of(rows, user)?, Some(project))?))
    }

    /// The policies that hold for who asks so, in a project or outside of any.
    ///
    /// # Errors
    /// When the database fails, or a policy that the user has cannot be read.
    pub(in crate::service) fn book(
        &self,
        rows: &ReadTxn,
        groups: Groups<'_>,
        project: Option<&ProjectId>,
        asked: &Asked,
    ) -> Result<Arc<Rulebook>, Error> {
        let user = &asked.user;
        let ids = groups.of(rows, user)?;
        if ids.is_empty() {
            return Ok(Arc::default());
        }
        let place = (user.clone(), project.cloned());
        let timeless = Asked { at: Time(0), source: None, ..asked.clone() };
        let made_for = (catalog::rights_revision(rows)?, ids, timeless);
        if let Some(kept) = self.books.get(&place)
            && kept.made_for == made_for
        {
            return Ok(kept.book);
        }
        let book = Arc::new(Rulebook::new(self.holdings(rows, groups, &made_for.1, project)?, asked));
        self.books.insert(place, Kept { made_for, book: book.clone() });
        Ok(book)
    }

    fn holdings(
        &self,
        rows: &ReadTxn,
        groups: Groups<'_>,
        ids: &[GroupId],
        project: Option<&ProjectId>,
    ) -> Result<Vec<Holding>, Error> {
        let mut holdings = Vec::new();
        for group in ids {
            if let Some(project) = project {
                let reach = Reach::Project(project.clone());
                for attachment in catalog::attached_to(rows, group, Some(&reach))? {
                    holdings.push(self.holding(rows, attachment, true)?);
                }
            }
            let everywhere = catalog::attached_to(rows, group, Some(&Reach::All))?;
            if everywhere.is_empty() {
                continue;
            }
            let is_in_reach = match (project, groups) {
                (None, _) => false,
                (Some(_), Groups::Told(_)) => true,
                (Some(project), Groups::Recorded) => catalog::shares_domain(rows, group, project)?,
            };
            for attachment in everywhere {
                holdings.push(self.holding(rows, attachment, is_in_reach)?);
            }
        }
        Ok(holdings)
    }

    fn holding(&self, rows: &ReadTxn, attachment: Attachment, is_in_reach: bool) -> Result<Holding, Error> {
        let Attachment { group, reach, policy } = attachment;
        let (name, document) = match built_in::policy(policy.as_str()) {
            Some(built_in) => (built_in.name.to_owned(), built_in.document.clone()),
            None => self.written(rows, &policy)?,
        };
        Ok(Holding { policy, name, group, reach, document, is_in_reach })
    }

    fn written(&self, rows: &ReadTxn, id: &PolicyId) -> Result<(String, Arc<Document>), Error> {
        let policy = catalog::get::<Policy>(rows, id)?.ok_or_else(|| unreadable(id, "it is not there"))?;
        let key = (id.clone(), policy.revision);
        if let Some(document) = self.documents.get(&key) {
            return Ok((policy.name, document));
        }
        let document = Document::parse(&policy.document).map_err(|error| unreadable(id, &error.message))?;
        let document = Arc::new(document);
        self.documents.insert(key, document.clone());
        Ok((policy.name, document))
    }
}

fn unreadable(policy: &PolicyId, why: &str) -> Error {
    Error {
        kind: ErrorKind::Internal,
        message:
            "one of your policies cannot be read, so that nothing is allowed; the server's log says which"
                .into(),
        internal: Some(format!("policy {policy} cannot be read: {why}; write it again, or detach it")),
        reason: None,
    }
}
