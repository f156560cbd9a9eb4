//! Jobs in their table and in the lists that follow from it.

use super::*;
use crate::catalog;
use crate::db::Options;
use crate::model::job::{JobKind, JobState};

fn db() -> Db {
    let options =
        Options { journal: catalog::fact_tables(), derived: catalog::derived_tables(), ..Options::default() };
    Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap()
}

fn add(db: &Db, project: Option<&str>, parent: Option<JobId>) -> Job {
    let project = project.map(ProjectId::from);
    db.write(move |txn| {
        let number = next_number(txn)?;
        let job = Job {
            project: project.clone(),
            parent,
            ..Job::new(number, JobId([number as u8; 16]), JobKind::Import, Time(number as i64))
        };
        put(txn, &job)?;
        Ok::<_, Error>(job)
    })
    .unwrap()
}

fn end(db: &Db, job: &Job) {
    let job = Job { state: JobState::Succeeded, ..job.clone() };
    db.write(move |txn| put(txn, &job)).unwrap();
}

fn prune_all(db: &Db, kept: u64, since: i64) -> usize {
    db.write(move |txn| prune(txn, kept, Time(since), 100)).unwrap()
}

fn ids(jobs: Vec<Job>) -> Vec<u64> {
    jobs.into_iter().map(|job| job.number).collect()
}

#[test]
fn jobs_are_found_by_id_project_parent_and_whether_they_ended() {
    let db = db();
    let parent = add(&db, Some("a"), None);
    let part = add(&db, Some("a"), Some(parent.id));
    add(&db, Some("ab"), None);
    add(&db, None, None);
    end(&db, &part);
    let read = db.read().unwrap();
    assert_eq!(get(&read, &part.id).unwrap().map(|job| job.state), Some(JobState::Succeeded));
    assert_eq!(get(&read, &JobId([99; 16])).unwrap(), None);
    assert!(is_open(&read, &parent.id).unwrap() && !is_open(&read, &part.id).unwrap());
    assert!(!is_open(&read, &JobId([99; 16])).unwrap());
    assert_eq!(ids(newest(&read, None, 10).unwrap()), [4, 3, 2, 1]);
    assert_eq!(ids(newest(&read, Some(4), 2).unwrap()), [3, 2]);
    assert_eq!(ids(newest_of(&read, &"a".into(), None, 10).unwrap()), [2, 1]);
    assert_eq!(ids(newest_of(&read, &"a".into(), Some(2), 10).unwrap()), [1]);
    assert_eq!(ids(open(&read).unwrap()), [1, 3, 4]);
    assert_eq!(ids(parts(&read, &parent.id).unwrap()), [2]);
    assert!(INDEX.is_whole(&read).unwrap());
    drop(read);
    // One that begins again is open again.
    let again = Job { state: JobState::Queued, ..part };
    db.write(move |txn| put(txn, &again)).unwrap();
    assert_eq!(ids(open(&db.read().unwrap()).unwrap()), [1, 2, 3, 4]);
    assert!(INDEX.is_whole(&db.read().unwrap()).unwrap());
}

#[test]
fn old_ended_jobs_go_by_count_and_by_age_and_the_newest_never() {
    let db = db();
    let jobs: Vec<Job> = (0..6).map(|_| add(&db, Some("a"), None)).collect();
    jobs[1..].iter().for_each(|job| end(&db, job));
    assert_eq!(prune_all(&db, 10, 0), 0);
    assert_eq!(prune_all(&db, 4, 0), 1);
    assert_eq!(ids(newest(&db.read().unwrap(), None, 10).unwrap()), [6, 5, 4, 3, 1]);
    assert_eq!(prune_all(&db, 10, 5), 2);
    assert_eq!(prune_all(&db, 0, 100), 1);
    assert_eq!(ids(newest(&db.read().unwrap(), None, 10).unwrap()), [6, 1]);
    assert_eq!(db.write(next_number).unwrap(), 7);
    assert!(INDEX.is_whole(&db.read().unwrap()).unwrap());
}

#[test]
fn a_catalog_without_the_index_gets_it_once() {
    let db = db();
    assert!(!renew_index(&db).unwrap());
    let job = add(&db, None, None);
    super::super::index::clear(&db, &LISTS).unwrap();
    assert!(renew_index(&db).unwrap() && !renew_index(&db).unwrap());
    assert_eq!(get(&db.read().unwrap(), &job.id).unwrap(), Some(job));
}
