//! What ends a link, or lets it rest: its image, and the rights of whoever made it.

use super::tests::{World, acting, grant, kind, new};
use super::*;
use crate::service::Rules;
use crate::service::identity::{NewApplicationCredential, ProjectChange, UserChange};
use crate::service::testing::{rules, service_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_its_image_and_rests_while_that_is_deactivated() {
    let world = World::of(service_with(Rules { retain_deleted_s: 3600, ..rules() })).await;
    let of_admin = world.service.create_image_link(&world.admin, &world.image, new(600, None)).unwrap();
    let of_ann = world.make(None);
    world.service.deactivate_image(&world.admin, &world.image).unwrap();
    // The administrator itself could read it.
    world.service.download_image(&world.admin, &world.image).unwrap();
    for made in [&of_admin, &of_ann] {
        assert!(world.closed(made).contains("is deactivated"));
    }
    let refused = world.service.create_image_link(&world.admin, &world.image, new(600, None));
    assert_eq!(kind(refused), ErrorKind::Conflict);
    world.service.reactivate_image(&world.admin, &world.image).unwrap();
    world.gives(&of_admin).unwrap();
    world.service.delete_image(&world.ann, &world.image).unwrap();
    world.service.undelete_image(&world.ann, &world.image).unwrap();
    for made in [&of_admin, &of_ann] {
        assert!(
            matches!(world.gives(made), Err(LinkRefusal::Unknown)),
            "a deleted image takes its links along"
        );
    }
    let rows = world.service.db.read().unwrap();
    assert_eq!(crate::catalog::differing_indexes(&rows).unwrap(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_worth_what_its_maker_may_do_now() {
    let world = World::new().await;
    let (service, admin, made) = (&world.service, &world.admin, world.make(None));
    let (user, project) = (world.ann.user.clone(), world.ann.project().unwrap().clone());
    let user_is = |enabled| UserChange { enabled: Some(enabled), ..UserChange::default() };
    service.update_user(admin, &user, user_is(false)).unwrap();
    world.closed(&made);
    service.update_user(admin, &user, user_is(true)).unwrap();
    world.gives(&made).unwrap();
    let project_is = |enabled| ProjectChange { enabled: Some(enabled), ..ProjectChange::default() };
    service.update_project(admin, &project, project_is(false)).unwrap();
    world.closed(&made);
    service.update_project(admin, &project, project_is(true)).unwrap();
    world.gives(&made).unwrap();
    service.revoke_role(admin, grant(service, &user, &project)).unwrap();
    world.closed(&made);
    service.grant_role(admin, grant(service, &user, &project)).unwrap();
    world.gives(&made).unwrap();
    service.delete_user(admin, &user).unwrap();
    world.closed(&made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_the_application_credential_that_it_was_made_with() {
    let world = World::new().await;
    let (user, project) = (world.ann.user.clone(), world.ann.project().unwrap().clone());
    let new_credential =
        NewApplicationCredential { name: "maas".into(), ..NewApplicationCredential::default() };
    let (known, _) = world.service.create_application_credential(&world.ann, &user, new_credential).unwrap();
    let id = known.credential.id;
    let program = acting(&world.service, &user, &project, Some(&id)).unwrap();
    let made = world.service.create_image_link(&program, &world.image, new(600, None)).unwrap();
    assert_eq!(made.link.maker, LinkMaker::User(user.clone(), Some(id.clone())));
    world.gives(&made).unwrap();
    world.service.delete_application_credential(&world.ann, &user, &id).unwrap();
    world.closed(&made);
}
