//! Jobs from their beginning to their end, in one process and across several.

use std::collections::BTreeMap;

use super::at_work::PERSISTED_EVERY_S;
use super::*;
use crate::service::upkeep::Step;
use crate::service::{Actor, ErrorKind, Hindrance, Reason, Rules, testing};

fn step(phase: &'static str, done: u64) -> Step {
    Step { phase, done, total: Some(10) }
}

fn admin(service: &Service) -> Actor {
    service.local_admin().unwrap()
}

#[test]
fn a_job_is_recorded_from_its_beginning_to_its_end() {
    let (service, _) = testing::service();
    let actor = admin(&service);
    let mut job = service.begin_job(JobKind::Reclaim).unwrap();
    let id = job.id();
    assert_eq!(service.job(&actor, id).unwrap().state, JobState::Queued);
    assert!(job.step(&step("one", 1)).is_continue());
    assert!(job.step(&step("one", 7)).is_continue());
    let seen = service.job(&actor, id).unwrap();
    assert_eq!((seen.state, seen.phase.as_str(), seen.done_bytes), (JobState::Running, "one", 7));
    job.finish(Ok([("packs".to_owned(), 3)].into())).unwrap();
    let seen = service.job(&actor, id).unwrap();
    assert_eq!((seen.state, seen.result["packs"]), (JobState::Succeeded, 3));
    assert!(seen.created_at <= seen.started_at.unwrap() && seen.started_at <= seen.finished_at);
    assert_eq!(service.cancel_job(&actor, id).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(service.cancel_job(&actor, JobId([99; 16])).unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn steps_cost_few_commits() {
    let (service, clock) = testing::service();
    let mut job = service.begin_job(JobKind::Reclaim).unwrap();
    let recorded = |id| jobs::get(&service.db.read().unwrap(), &id).unwrap().unwrap().done_bytes;
    for done in 0..100 {
        let _ = job.step(&step("one", done));
    }
    assert_eq!(recorded(job.id()), 0);
    clock.step_seconds(PERSISTED_EVERY_S);
    let _ = job.step(&step("one", 100));
    assert_eq!(recorded(job.id()), 100);
}

#[test]
fn a_cancelled_job_ends_at_its_next_step_even_while_paused() {
    let (service, _) = testing::service();
    let actor = admin(&service);
    let mut job = service.begin_job(JobKind::Reclaim).unwrap();
    let id = job.id();
    assert!(service.pause_job(&actor, id, true).unwrap().paused);
    let worker = std::thread::spawn(move || {
        let stopped = job.step(&step("one", 1)).is_break();
        job.finish(Ok(BTreeMap::new())).unwrap();
        stopped
    });
    service.cancel_job(&actor, id).unwrap();
    assert!(worker.join().unwrap());
    assert_eq!(service.job(&actor, id).unwrap().state, JobState::Cancelled);
}

#[test]
fn a_paused_job_goes_on_when_it_is_resumed() {
    let (service, _) = testing::service();
    let actor = admin(&service);
    let mut job = service.begin_job(JobKind::Reclaim).unwrap();
    let id = job.id();
    service.pause_job(&actor, id, true).unwrap();
    let worker = std::thread::spawn(move || job.step(&step("one", 1)).is_continue());
    while service.job(&actor, id).unwrap().state != JobState::Running {
        std::thread::yield_now();
    }
    assert!(!worker.is_finished());
    assert!(!service.pause_job(&actor, id, false).unwrap().paused);
    assert!(worker.join().unwrap());
    // Nobody finished it.
    assert_eq!(service.job(&actor, id).unwrap().state, JobState::Failed);
}

#[test]
fn p2_jobs_of_a_process_that_died_are_interrupted_and_old_ones_go() {
    let rules = Rules { jobs: JobRules { kept: 3, kept_s: 1000, ..JobRules::default() }, ..testing::rules() };
    let (service, clock) = testing::service_with(rules);
    let actor = admin(&service);
    let first = service.begin_job(JobKind::Reclaim).unwrap();
    let id = first.id();
    std::mem::forget(first);
    service.running.clear();
    assert_eq!(service.recover_jobs(true).unwrap(), 1);
    assert_eq!(service.recover_jobs(true).unwrap(), 0);
    assert_eq!(service.job(&actor, id).unwrap().state, JobState::Interrupted);
    for _ in 0..3 {
        service.begin_job(JobKind::Reclaim).unwrap().finish(Ok(BTreeMap::new())).unwrap();
    }
    assert_eq!(service.prune_jobs().unwrap(), 1);
    assert!(service.job(&actor, id).is_err());
    assert_eq!(service.jobs(&actor, None, 10).unwrap().len(), 3);
    clock.step_seconds(1001);
    assert_eq!(service.prune_jobs().unwrap(), 2);
    assert_eq!(service.jobs(&actor, None, 10).unwrap().len(), 1, "the newest stays");
}

/// A service of a process that has just started on the same catalog.
fn restarted(service: &Service, takes_up: bool) -> usize {
    service.running.clear();
    service.recover_jobs(takes_up).unwrap()
}

#[test]
fn p2_a_paused_job_waits_on_in_the_next_process() {
    let (service, _) = testing::service();
    let actor = admin(&service);
    let mut job = service.begin_job(JobKind::Reclaim).unwrap();
    let id = job.id();
    assert!(job.step(&step("one", 1)).is_continue());
    service.pause_job(&actor, id, true).unwrap();
    std::mem::forget(job);
    assert_eq!(restarted(&service, true), 0);
    let seen = service.job(&actor, id).unwrap();
    assert_eq!((seen.state, seen.paused), (JobState::Queued, true));
    assert!(service.has_waiting_job(JobKind::Reclaim));
    let mut job = service.take_up_job(JobKind::Reclaim).unwrap();
    assert!(service.take_up_job(JobKind::Reclaim).is_none() && job.id() == id);
    let worker = std::thread::spawn(move || {
        let goes_on = job.step(&step("two", 1)).is_continue();
        job.finish(Ok(BTreeMap::new())).unwrap();
        goes_on
    });
    while service.job(&actor, id).unwrap().state != JobState::Running {
        std::thread::yield_now();
    }
    assert!(!worker.is_finished());
    service.pause_job(&actor, id, false).unwrap();
    assert!(worker.join().unwrap());
    let seen = service.job(&actor, id).unwrap();
    assert_eq!((seen.state, seen.paused), (JobState::Succeeded, false));
}

#[test]
fn a_paused_job_that_nobody_takes_up_can_be_resumed_and_cancelled() {
    let (service, _) = testing::service();
    let actor = admin(&service);
    let paused = || {
        let job = service.begin_job(JobKind::Reclaim).unwrap();
        let id = job.id();
        service.pause_job(&actor, id, true).unwrap();
        std::mem::forget(job);
        id
    };
    let id = paused();
    restarted(&service, true);
    assert!(!service.pause_job(&actor, id, false).unwrap().paused);
    assert!(service.has_waiting_job(JobKind::Reclaim));
    assert_eq!(service.cancel_job(&actor, id).unwrap().state, JobState::Cancelled);
    assert_eq!(service.job(&actor, id).unwrap().state, JobState::Cancelled);
    assert!(!service.has_waiting_job(JobKind::Reclaim));
    // Resumed before the process ended: as any other.
    let id = paused();
    service.pause_job(&actor, id, false).unwrap();
    assert_eq!(restarted(&service, true), 1);
    // And where the box does no such work by itself.
    let other = paused();
    assert_eq!(restarted(&service, false), 1);
    for id in [id, other] {
        assert_eq!(service.job(&actor, id).unwrap().state, JobState::Interrupted);
    }
}

/// Somebody with a role in a project of their own.
fn somebody(service: &Service, project: &str, role: &str) -> Actor {
    let roles = [role, "reader"].map(String::from).into();
    let scope = Some(crate::model::identity::Scope::Project(ProjectId::from(project)));
    Actor { roles, scope, user: UserId::from(project), ..admin(service) }
}

/// Puts a task into the queue that has nothing to be done.
fn queued(service: &Service, actor: &Actor) -> Job {
    let id = service.next_job_id();
    let source = ImageId(uuid::Uuid::nil());
    let task = Task::Copy { source, image: source };
    service.queue_tasks(actor, Order { tasks: vec![(id, task)], group: None }, |_| Ok(())).unwrap()
}

fn claimed(service: &Service) -> JobAtWork {
    service.claim_task().unwrap().unwrap()
}

#[test]
fn members_see_their_projects_jobs_and_administrators_all() {
    let (service, _) = testing::service();
    let (one, two) = (somebody(&service, "one", "member"), somebody(&service, "two", "member"));
    let reader = somebody(&service, "one", "reader");
    let upkeep = service.begin_job(JobKind::Reclaim).unwrap();
    let job = queued(&service, &one);
    let listed = |actor: &Actor| service.jobs(actor, None, 10).unwrap().len();
    assert_eq!((listed(&one), listed(&two), listed(&reader), listed(&admin(&service))), (1, 0, 1, 2));
    let kind = |outcome: Result<Job, Error>| outcome.unwrap_err().kind;
    for id in [job.id, upkeep.id()] {
        assert_eq!(kind(service.job(&two, id)), ErrorKind::NotFound);
        assert_eq!(kind(service.cancel_job(&two, id)), ErrorKind::NotFound);
        assert_eq!(kind(service.retry_job(&two, id)), ErrorKind::NotFound);
        assert_eq!(kind(service.pause_job(&two, id, true)), ErrorKind::NotFound);
        assert_eq!(service.job_parts(&two, id).unwrap_err().kind, ErrorKind::NotFound);
        assert!(service.jobs(&two, Some(id), 10).is_err());
    }
    assert_eq!(kind(service.cancel_job(&reader, job.id)), ErrorKind::Forbidden);
    assert_eq!(kind(service.cancel_job(&one, upkeep.id())), ErrorKind::NotFound);
    let nowhere = Actor { scope: None, roles: ["member".to_owned()].into(), ..admin(&service) };
    assert_eq!(service.jobs(&nowhere, None, 10).unwrap_err().kind, ErrorKind::Forbidden);
    assert_eq!(service.cancel_job(&one, job.id).unwrap().state, JobState::Cancelled);
}

#[test]
fn turns_are_given_in_order_as_far_as_kinds_and_projects_have_room() {
    let rules = JobRules { copies_max: 3, project_running_max: 2, ..JobRules::default() };
    let (service, _) = testing::service_with(Rules { jobs: rules, ..testing::rules() });
    let (one, two) = (somebody(&service, "one", "member"), somebody(&service, "two", "member"));
    let of_one: Vec<JobId> = (0..4).map(|_| queued(&service, &one).id).collect();
    let of_two: Vec<JobId> = (0..2).map(|_| queued(&service, &two).id).collect();
    let first = claimed(&service);
    let second = claimed(&service);
    // The project has no more room, so the next one's turn comes.
    let third = claimed(&service);
    assert_eq!([first.id(), second.id(), third.id()], [of_one[0], of_one[1], of_two[0]]);
    assert!(service.claim_task().unwrap().is_none(), "the kind has no more room");
    drop(third);
    let fourth = claimed(&service);
    assert_eq!(fourth.id(), of_two[1]);
    first.finish(Ok(BTreeMap::new())).unwrap();
    assert_eq!(claimed(&service).id(), of_one[2]);
    drop((second, fourth));
}

#[test]
fn a_task_has_begun_once_its_turn_came_also_when_nothing_of_it_was_left_to_do() {
    let (service, _) = testing::service();
    let one = somebody(&service, "one", "member");
    let id = queued(&service, &one).id;
    // As after a crash between the commit of what it did and that of its end: it ends without a step.
    claimed(&service).finish(Ok(BTreeMap::new())).unwrap();
    let job = service.job(&one, id).unwrap();
    assert_eq!((job.state, job.started_at.is_some()), (JobState::Succeeded, true));
}

#[test]
fn a_project_has_so_many_open_jobs_and_no_more() {
    let rules = JobRules { project_open_max: 2, ..JobRules::default() };
    let (service, _) = testing::service_with(Rules { jobs: rules, ..testing::rules() });
    let (one, two) = (somebody(&service, "one", "member"), somebody(&service, "two", "member"));
    let first = queued(&service, &one);
    queued(&service, &one);
    let order = || Order { tasks: vec![(service.next_job_id(), Task::Group)], group: None };
    let refused = service.queue_tasks(&one, order(), |_| Ok(())).unwrap_err();
    assert_eq!(refused.reason, Some(Reason::Transfer(Hindrance::TooManyJobs)));
    queued(&service, &two);
    service.cancel_job(&one, first.id).unwrap();
    queued(&service, &one);
    // What a refused commit took is free again.
    service.cancel_job(&two, service.jobs(&two, None, 1).unwrap()[0].id).unwrap();
    for _ in 0..3 {
        assert!(service.queue_tasks(&two, order(), |_| Err(Error::invalid("no"))).is_err());
    }
    queued(&service, &two);
}

#[test]
fn a_queued_job_is_ended_at_once_and_begins_again_when_asked() {
    let (service, _) = testing::service();
    let one = somebody(&service, "one", "member");
    let id = service.next_job_id();
    let to = crate::model::job::Place { bucket: "b".into(), key: "k".into() };
    let task = Task::Export { image: ImageId(uuid::Uuid::nil()), to, format: None };
    let order = |id| Order { tasks: vec![(id, task.clone())], group: None };
    service.queue_tasks(&one, order(id), |_| Ok(())).unwrap();
    // One export of an image at a time.
    let refused = service.queue_tasks(&one, order(service.next_job_id()), |_| Ok(())).unwrap_err();
    assert_eq!(refused.reason, Some(Reason::Transfer(Hindrance::ExportUnderWay)));
    assert_eq!(service.retry_job(&one, id).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(service.cancel_job(&one, id).unwrap().state, JobState::Cancelled);
    assert!(service.claim_task().unwrap().is_none());
    assert_eq!(service.cancel_job(&one, id).unwrap_err().kind, ErrorKind::Conflict);
    let again = service.retry_job(&one, id).unwrap();
    assert_eq!((again.state, again.finished_at), (JobState::Queued, None));
    let job = claimed(&service);
    assert_eq!((job.id(), job.job().attempts), (id, 1));
    let fault = Error::new(ErrorKind::Unavailable, "away");
    job.finish(Err(&fault)).unwrap();
    let seen = service.job(&one, id).unwrap();
    assert_eq!((seen.state, seen.error.unwrap().code.as_str()), (JobState::Failed, "unavailable"));
    service.retry_job(&one, id).unwrap();
    claimed(&service).finish(Ok(BTreeMap::new())).unwrap();
    assert_eq!(service.retry_job(&one, id).unwrap_err().kind, ErrorKind::Conflict);
}

#[test]
fn p2_tasks_of_a_process_that_died_wait_again_but_not_for_ever() {
    let (service, _) = testing::service();
    let one = somebody(&service, "one", "member");
    let (first, second) = (queued(&service, &one).id, queued(&service, &one).id);
    for attempt in 1..=5 {
        let mut job = claimed(&service);
        assert_eq!(job.id(), first, "it has not lost its place");
        assert!(job.step(&step("one", 1)).is_continue());
        std::mem::forget(job);
        let interrupted = restarted(&service, true);
        assert_eq!(interrupted, usize::from(attempt == 5), "attempt {attempt}");
    }
    let seen = service.job(&one, first).unwrap();
    assert_eq!((seen.state, seen.error.unwrap().code.as_str()), (JobState::Interrupted, "interrupted"));
    assert_eq!(claimed(&service).id(), second);
}

#[test]
fn a_stop_puts_tasks_back_into_the_queue() {
    let (service, _) = testing::service();
    let one = somebody(&service, "one", "member");
    let id = queued(&service, &one).id;
    queued(&service, &one);
    let mut job = claimed(&service);
    assert!(job.step(&step("one", 1)).is_continue());
    service.put_tasks_down();
    assert!(job.step(&step("one", 2)).is_break());
    job.finish(Err(&Error::invalid("it was cut off"))).unwrap();
    assert!(service.claim_task().unwrap().is_none());
    let seen = service.job(&one, id).unwrap();
    assert_eq!((seen.state, seen.error, seen.attempts), (JobState::Queued, None, 0));
    assert_eq!(restarted(&service, true), 0);
    // One that the end of the runtime drops in the middle of its work, too.
    let mut job = claimed(&service);
    assert!(job.id() == id && job.step(&step("one", 1)).is_continue());
    service.put_tasks_down();
    drop(job);
    assert_eq!(service.job(&one, id).unwrap().state, JobState::Queued);
    assert_eq!(restarted(&service, true), 0);
    assert_eq!(claimed(&service).id(), id);
}

#[test]
fn a_group_ends_with_the_last_of_its_parts_and_as_they_did() {
    let (service, _) = testing::service();
    let one = somebody(&service, "one", "member");
    let group = || {
        let image = ImageId(uuid::Uuid::nil());
        let task = |_| (service.next_job_id(), Task::Copy { source: image, image });
        let order = Order { tasks: (0..2).map(task).collect(), group: Some(service.next_job_id()) };
        service.queue_tasks(&one, order, |_| Ok(())).unwrap()
    };
    let state = |id| service.job(&one, id).unwrap().state;
    let good = group();
    assert_eq!((good.kind, good.state), (JobKind::Group, JobState::Running));
    assert_eq!(service.job_parts(&one, good.id).unwrap().len(), 2);
    claimed(&service).finish(Ok(BTreeMap::new())).unwrap();
    assert_eq!(state(good.id), JobState::Running);
    claimed(&service).finish(Ok(BTreeMap::new())).unwrap();
    assert_eq!(state(good.id), JobState::Succeeded);
    let bad = group();
    claimed(&service).finish(Ok(BTreeMap::new())).unwrap();
    let part = claimed(&service);
    let failed = part.id();
    part.finish(Err(&Error::not_found("gone"))).unwrap();
    let seen = service.job(&one, bad.id).unwrap();
    let error = seen.error.unwrap();
    assert_eq!((seen.state, error.code.as_str()), (JobState::Failed, "not_found"));
    assert!(error.message.starts_with("1 of 2 parts failed"), "{}", error.message);
    // The image that a part was to fill is not there, so that it cannot begin again, and its group neither.
    assert_eq!(service.retry_job(&one, bad.id).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(state(failed), JobState::Failed);
    let ended = group();
    assert_eq!(service.cancel_job(&one, ended.id).unwrap().state, JobState::Cancelled);
    assert!(service.claim_task().unwrap().is_none());
}

#[tokio::test]
async fn whoever_waits_for_a_task_hears_of_the_next_one() {
    let (service, _) = testing::service();
    let one = somebody(&service, "one", "member");
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.task_is_due().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    queued(&service, &one);
    waiting.await.unwrap();
    service.task_is_due().await;
}
