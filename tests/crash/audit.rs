//! Judges the audit chain of a box: it is whole, and what it tells is what the catalog holds: each change is there
//! with its record, or neither is.

use std::collections::{BTreeMap, BTreeSet};

use tintype::catalog::{images, members};
use tintype::model::trace::{Rating, Trace};
use tintype::model::{Image, ImageId, Status};
use tintype::service::audit::{Query, RECORDS_MAX};

use crate::machine::{Machine, actor};

/// What the chain tells of an image.
#[derive(Debug, Default)]
struct Told {
    made: usize,
    deleted: usize,
    filled: usize,
    members: BTreeSet<String>,
}

impl Machine {
    /// Compares the catalog with what its audit chain tells.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn judge_audit(&self) -> Result<(), String> {
        let verified = self.service().verify_audit(&actor(), None).map_err(|e| format!("{e:?}"))?;
        if verified.flaws_total > 0 {
            return Err(format!("the audit chain has flaws: {:?}", verified.flaws));
        }
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        for trace in self.traces()? {
            let content = &trace.content;
            let image = told.entry(content.resource_id.clone()).or_default();
            let member = content.message.strip_prefix("member ").map(str::to_owned);
            match (content.operation.as_str(), content.rating) {
                ("createImage" | "copyImage", Rating::Normal) => image.made += 1,
                ("deleteImage", Rating::Normal) => image.deleted += 1,
                ("updateImage", Rating::Normal) if content.message.starts_with("uploaded ") => {
                    image.filled += 1;
                }
                ("addMember", Rating::Normal) => image.members.extend(member),
                ("deleteMember", Rating::Normal) => {
                    if let Some(member) = &member {
                        image.members.remove(member);
                    }
                }
                _ => {}
            }
        }
        self.compare_with(&told)
    }

    fn compare_with(&self, told: &BTreeMap<String, Told>) -> Result<(), String> {
        let read = self.db().read().map_err(|e| format!("{e:?}"))?;
        let mut found: BTreeMap<String, Image> = BTreeMap::new();
        let mut put = |image: Image| drop(found.insert(image.id.to_string(), image));
        images::for_each(&read, &mut put).map_err(|e| format!("{e:?}"))?;
        for (id, image) in &found {
            let Some(told) = told.get(id) else { return Err(format!("no record tells of image {id}")) };
            let filled = usize::from(image.status == Status::Active);
            if (told.made, told.deleted) != (1, 0) || told.filled != filled {
                return Err(format!("image {id} is {:?}, and records tell {told:?}", image.status));
            }
            let shared = members::list(&read, &image.id).map_err(|e| format!("{e:?}"))?;
            let shared: BTreeSet<String> = shared.into_iter().map(|member| member.project.0).collect();
            if shared != told.members {
                return Err(format!("image {id} is shared with {shared:?}, and records tell {told:?}"));
            }
        }
        for (id, told) in told {
            let is_gone = told.made > 0 && !found.contains_key(id);
            if is_gone && ImageId::parse(id).is_some() && told.deleted != 1 {
                return Err(format!("image {id} is gone, and records tell {told:?}"));
            }
        }
        Ok(())
    }

    /// All records, the oldest first.
    fn traces(&self) -> Result<Vec<Trace>, String> {
        let mut query = Query { limit: RECORDS_MAX, oldest_first: true, ..Query::default() };
        let mut traces = Vec::new();
        loop {
            let page = self.service().audit_traces(&actor(), &query).map_err(|e| format!("{e:?}"))?;
            traces.extend(page.traces);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(traces),
            }
        }
    }
}
