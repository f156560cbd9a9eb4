//! Who waits, and whose turn it is: by kind and by project, first come, first served within each.
//!
//! Invariants: of no kind, and of no project, more are at work than the rules have room for; a project
//! whose turn has come is not held up by another that has many waiting.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::JobRules;
use super::running::OpenPlace;
use crate::model::job::{Job, JobId, JobKind};
use crate::model::{ImageId, ProjectId};

/// A kind of task of one project.
type Line = (JobKind, Option<ProjectId>);

/// The lines, and how many are at work.
#[derive(Default)]
pub(super) struct Lines {
    /// Tasks that wait, by number.
    waiting: HashMap<Line, BTreeMap<u64, (JobId, OpenPlace)>>,
    /// In which line each is, and under which number.
    places: HashMap<JobId, (Line, u64)>,
    kinds: HashMap<JobKind, usize>,
    projects: HashMap<Option<ProjectId>, usize>,
    /// Tasks that have not ended, waiting or not, and those about to be recorded.
    open: HashMap<Option<ProjectId>, usize>,
    /// Images of which a task must be the only one.
    exclusive: HashSet<ImageId>,
}

impl Lines {
    /// Open tasks of a project.
    pub(super) fn open_of(&self, project: Option<&ProjectId>) -> usize {
        self.open.get(&project.cloned()).copied().unwrap_or(0)
    }

    /// One more; `false` when it would not be the only one of its image.
    pub(super) fn open(&mut self, project: Option<&ProjectId>, exclusive: Option<ImageId>) -> bool {
        if exclusive.is_some_and(|image| !self.exclusive.insert(image)) {
            return false;
        }
        *self.open.entry(project.cloned()).or_default() += 1;
        true
    }

    /// One less.
    pub(super) fn close(&mut self, project: Option<&ProjectId>, exclusive: Option<ImageId>) {
        less(&mut self.open, &project.cloned());
        if let Some(image) = exclusive {
            self.exclusive.remove(&image);
        }
    }

    /// Adds a task to the end of its line.
    pub(super) fn wait(&mut self, job: &Job, place: OpenPlace) {
        let line: Line = (job.kind, job.project.clone());
        self.places.insert(job.id, (line.clone(), job.number));
        self.waiting.entry(line).or_default().insert(job.number, (job.id, place));
    }

    /// The task that has waited longest of those that have room.
    pub(super) fn next(&self, rules: &JobRules) -> Option<JobId> {
        let heads = self.waiting.iter().filter(|(line, _)| self.has_room(rules, line));
        let heads = heads.filter_map(|(_, tasks)| tasks.first_key_value());
        heads.min_by_key(|(number, _)| **number).map(|(_, (id, _))| *id)
    }

    fn has_room(&self, rules: &JobRules, (kind, project): &Line) -> bool {
        let of_kind = self.kinds.get(kind).copied().unwrap_or(0);
        let of_project = self.projects.get(project).copied().unwrap_or(0);
        of_kind < rules.most(*kind) && of_project < rules.project_running_max
    }

    /// Takes a task that waits to work, if it has room.
    pub(super) fn begin(&mut self, rules: &JobRules, id: &JobId) -> Option<(JobKind, OpenPlace)> {
        let (line, _) = self.places.get(id)?;
        if !self.has_room(rules, line) {
            return None;
        }
        let (kind, project) = line.clone();
        let place = self.withdraw(id)?;
        *self.kinds.entry(kind).or_default() += 1;
        *self.projects.entry(project).or_default() += 1;
        Some((kind, place))
    }

    /// A task that was at work has ended.
    pub(super) fn end(&mut self, kind: JobKind, project: Option<&ProjectId>) {
        less(&mut self.kinds, &kind);
        less(&mut self.projects, &project.cloned());
    }

    /// Takes a task out of its line.
    pub(super) fn withdraw(&mut self, id: &JobId) -> Option<OpenPlace> {
        let (line, number) = self.places.remove(id)?;
        let tasks = self.waiting.get_mut(&line)?;
        let (_, place) = tasks.remove(&number)?;
        if tasks.is_empty() {
            self.waiting.remove(&line);
        }
        Some(place)
    }
}

/// Counts one less, and forgets what is counted none.
fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
