//! Limits as the Identity API keeps them: what stands on what, and who may.

use super::*;
use crate::model::identity::Scope;
use crate::model::quota::Resource as Limited;
use crate::service::audit::Query;
use crate::service::identity::NewProject;
use crate::service::testing::service;
use crate::service::{ErrorKind, Service};

fn new(resource: Limited, regional: bool, limit: i64) -> NewLimit {
    let limit = Limit::of_number(limit).unwrap();
    NewLimit { of: LimitOf { resource, regional }, limit, description: None }
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

fn project(service: &Service, admin: &Actor, name: &str) -> ProjectId {
    let new = NewProject {
        name: name.into(),
        domain: None,
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    service.create_project(admin, new).unwrap().id
}

#[test]
fn limits_of_projects_stand_on_registered_ones() {
    let (service, _) = service();
    let admin = service.local_admin().unwrap();
    let lab = project(&service, &admin, "lab");
    let count = || new(Limited::ImageCountTotal, false, 7);
    let lone = service.create_project_limits(&admin, vec![(lab.clone(), count())]);
    let refused = lone.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert_eq!(refused.message, "Unable to create a limit that has no corresponding registered limit.");
    let both = vec![count(), new(Limited::ImageSizeTotal, true, 9)];
    let registered = service.create_registered_limits(&admin, both.clone()).unwrap();
    assert_eq!(registered.len(), 2);
    let twice = service.create_registered_limits(&admin, both).unwrap_err();
    assert_eq!(twice.kind, ErrorKind::Conflict);
    assert!(twice.message.contains("Duplicate entry."), "{}", twice.message);
    // Of the list all or none.
    let half = vec![(lab.clone(), count()), ("nobody".into(), count())];
    assert_eq!(kind(service.create_project_limits(&admin, half)), Some(ErrorKind::Invalid));
    assert_eq!(service.project_limits(&admin).unwrap(), []);
    let own = service.create_project_limits(&admin, vec![(lab.clone(), count())]).unwrap().remove(0);
    assert_eq!(
        kind(service.create_project_limits(&admin, vec![(lab.clone(), count())])),
        Some(ErrorKind::Conflict)
    );
    let used = &registered[0].id;
    let change = LimitChange { limit: Some(Limit::AtMost(1)), ..LimitChange::default() };
    for refused in [
        kind(service.update_registered_limit(&admin, used, change.clone())),
        kind(service.delete_registered_limit(&admin, used)),
    ] {
        assert_eq!(refused, Some(ErrorKind::Forbidden));
    }
    let changed = service.update_project_limit(&admin, &own.id(), change.clone()).unwrap();
    assert_eq!((changed.limit, changed.id()), (Limit::AtMost(1), own.id()));
    assert_eq!(service.project_limit(&admin, &own.id()).unwrap(), changed);
    service.delete_project_limit(&admin, &own.id()).unwrap();
    assert_eq!(kind(service.project_limit(&admin, &own.id())), Some(ErrorKind::NotFound));
    assert_eq!(service.update_registered_limit(&admin, used, change).unwrap().limit, Limit::AtMost(1));
    let clash = LimitChange {
        resource: Some(Limited::ImageSizeTotal),
        regional: Some(true),
        ..LimitChange::default()
    };
    assert_eq!(kind(service.update_registered_limit(&admin, used, clash)), Some(ErrorKind::Conflict));
    service.delete_registered_limit(&admin, used).unwrap();
    assert_eq!(kind(service.registered_limit(&admin, used)), Some(ErrorKind::NotFound));
    for none in [
        kind(service.delete_registered_limit(&admin, "none")),
        kind(service.update_registered_limit(&admin, "none", LimitChange::default())),
        kind(service.delete_project_limit(&admin, "none")),
        kind(service.update_project_limit(&admin, "none", LimitChange::default())),
    ] {
        assert_eq!(none, Some(ErrorKind::NotFound));
    }
    let long = LimitChange { description: Some(Some("x".repeat(1025))), ..LimitChange::default() };
    assert_eq!(
        kind(service.update_registered_limit(&admin, &registered[1].id, long)),
        Some(ErrorKind::Invalid)
    );
}

#[test]
fn a_member_sees_the_limits_of_its_own_project_and_of_all() {
    let (service, _) = service();
    let admin = service.local_admin().unwrap();
    let (lab, other) = (project(&service, &admin, "lab"), project(&service, &admin, "other"));
    service.create_registered_limits(&admin, vec![new(Limited::ImageCountTotal, false, -1)]).unwrap();
    let limits = [&lab, &other].map(|id| (id.clone(), new(Limited::ImageCountTotal, false, 7)));
    let limits = service.create_project_limits(&admin, limits.into()).unwrap();
    let member = Actor {
        scope: Some(Scope::Project(lab.clone())),
        roles: ["member", "reader"].map(String::from).into(),
        ..Actor::system()
    };
    assert_eq!(service.registered_limits(&member).unwrap().len(), 1);
    assert_eq!(service.project_limits(&member).unwrap(), limits[..1]);
    assert_eq!(service.project_limits(&admin).unwrap().len(), 2);
    assert_eq!(service.project_limit(&member, &limits[0].id()).unwrap(), limits[0]);
    let change = LimitChange::default;
    for refused in [
        kind(service.project_limit(&member, &limits[1].id())),
        kind(service.project_limit(&member, "none")),
        kind(service.create_registered_limits(&member, Vec::new())),
        kind(service.update_registered_limit(&member, "x", change())),
        kind(service.delete_registered_limit(&member, "x")),
        kind(service.create_project_limits(&member, Vec::new())),
        kind(service.update_project_limit(&member, "x", change())),
        kind(service.delete_project_limit(&member, "x")),
        kind(service.project_limits(&Actor::system())),
    ] {
        assert_eq!(refused, Some(ErrorKind::Forbidden));
    }
}

#[test]
fn each_change_is_on_record_with_its_numbers() {
    let (service, _) = service();
    let admin = service.local_admin().unwrap();
    let lab = project(&service, &admin, "lab");
    let both = vec![new(Limited::ImageCountTotal, false, 3), new(Limited::ImageSizeTotal, false, -1)];
    let registered = service.create_registered_limits(&admin, both).unwrap();
    let own = service
        .create_project_limits(&admin, vec![(lab.clone(), new(Limited::ImageCountTotal, false, 7))])
        .unwrap();
    service.delete_project_limit(&admin, &own[0].id()).unwrap();
    let page = service.audit_traces(&admin, &Query { limit: 100, ..Query::default() }).unwrap();
    let said: Vec<(String, String, String)> = page
        .traces
        .iter()
        .map(|trace| {
            let content = &trace.content;
            (content.operation.clone(), content.resource_id.clone(), content.message.clone())
        })
        .collect();
    for (operation, id, message) in [
        ("createRegisteredLimit", &registered[0].id, "at most 3".to_owned()),
        ("createRegisteredLimit", &registered[1].id, "unlimited".to_owned()),
        ("createLimit", &own[0].id(), format!("project {lab}: at most 7")),
        ("deleteLimit", &own[0].id(), format!("project {lab}: at most 7")),
    ] {
        let wanted = (operation.to_owned(), id.clone(), message);
        assert!(said.contains(&wanted), "{wanted:?} in {said:?}");
    }
}
