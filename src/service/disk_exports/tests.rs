//! Exports of disks: who may open, see and close them, and what a name is worth when somebody connects.

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::model::identity::Scope;
use crate::model::{Image, Status};
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing::{member, service};
use crate::service::{ErrorKind, Rules, Source};

const NOBODY: Source = Source::Socket;

async fn image(service: &Service, actor: &Actor, name: &str) -> Image {
    let fields = [
        Field::Name(Some(name.into())),
        Field::DiskFormat(Some("raw".into())),
        Field::ContainerFormat(Some("bare".into())),
    ];
    let new = NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() };
    let image = service.create_image(actor, new).unwrap();
    let upload = service.begin_upload(actor, &image.id, None).unwrap();
    upload.receive(stream::iter([Ok(Bytes::from(vec![7; 10_000]))])).await.unwrap()
}

fn new(image: &Image) -> NewExport {
    NewExport { image: image.id, life_s: 60, is_writable: false, capture: None }
}

fn served() -> (Service, std::sync::Arc<crate::service::testing::ManualClock>) {
    let (service, clock) = service();
    service.disk_exports().are_served_at("nbd://127.0.0.1:1".into());
    (service, clock)
}

fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.err().unwrap().kind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_opens_the_disk_until_it_ends_or_is_closed() {
    let (service, clock) = served();
    let admin = service.local_admin().unwrap();
    let image = image(&service, &admin, "disk").await;
    let (known, name) = service.open_disk_export(&admin, new(&image)).unwrap();
    let found = service.find_export(&name, NOBODY).unwrap();
    assert_eq!((found.open.image.id, found.open.disk.size_bytes()), (image.id, 10_000));
    assert_eq!(kind(service.find_export(&known.export.id(), NOBODY)), ErrorKind::NotFound);
    let attached = service.attach(&found, || true).unwrap();
    let others = [service.attach(&found, || false).unwrap(), service.attach(&found, || true).unwrap()];
    others[1].is_being_captured();
    assert_eq!(service.open_disk_exports(&admin).unwrap()[0].connections, 3);
    let cut = service.close_export(&admin, &known.export.id()).unwrap();
    assert_eq!(cut, Cut { connections: 2, lost_writes: 1, captures: 1 });
    assert!(attached.closing().is_cancelled());
    drop(others);
    assert_eq!(kind(service.find_export(&name, NOBODY)), ErrorKind::NotFound);
    // Whoever had found it by then does not get in either.
    assert_eq!(kind(service.attach(&found, || false)), ErrorKind::NotFound);
    drop(attached);
    assert!(
        service.open_disk_exports(&admin).unwrap().is_empty() && service.disk_exports().live().is_empty()
    );

    let (_, name) = service.open_disk_export(&admin, new(&image)).unwrap();
    clock.step_seconds(61);
    assert_eq!(kind(service.find_export(&name, NOBODY)), ErrorKind::NotFound);
    assert!(service.open_disk_exports(&admin).unwrap().is_empty());
    // The next one to be opened clears what has ended.
    service.open_disk_export(&admin, new(&image)).unwrap();
    assert_eq!(disk_exports::list(&service.db.read().unwrap()).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_with_its_image_unless_somebody_is_connected() {
    let (service, clock) = served();
    let admin = service.local_admin().unwrap();
    let (one, other) = (image(&service, &admin, "one").await, image(&service, &admin, "other").await);
    let (_, name) = service.open_disk_export(&admin, new(&one)).unwrap();
    let attached = service.attach(&service.find_export(&name, NOBODY).unwrap(), || true).unwrap();
    service.delete_image(&admin, &one.id).unwrap();
    let kept = || disk_exports::list(&service.db.read().unwrap()).unwrap().len();
    let listed = || service.open_disk_exports(&admin).unwrap();
    service.open_disk_export(&admin, new(&other)).unwrap();
    assert_eq!((listed().len(), listed()[0].connections, listed()[0].image_name.as_ref()), (2, 1, None));
    drop(attached);
    assert_eq!((listed().len(), kept()), (1, 2));
    // Nor does one go that has ended, while somebody is connected.
    let (_, name) = service.open_disk_export(&admin, new(&other)).unwrap();
    assert_eq!(kept(), 2, "the next one to be opened clears what is of no use");
    let attached = service.attach(&service.find_export(&name, NOBODY).unwrap(), || false).unwrap();
    clock.step_seconds(61);
    let still = listed();
    assert_eq!((still.len(), still[0].connections), (1, 1));
    let cut = service.close_export(&admin, &still[0].export.id()).unwrap();
    assert_eq!(cut.connections, 1);
    assert!(attached.closing().is_cancelled());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_more_than_an_image_may_have_is_not_opened_to_be_captured() {
    let (mut service, _) = served();
    let admin = service.local_admin().unwrap();
    let image = image(&service, &admin, "disk").await;
    for (most, is_opened) in [(10_000, true), (9999, false)] {
        let rules = Rules { image_bytes_max: most, ..crate::service::testing::rules() };
        service.rules = Arc::new(rules);
        let captured = NewExport { is_writable: true, capture: Some("kept".into()), ..new(&image) };
        match service.open_disk_export(&admin, captured.clone()) {
            Ok(_) => assert!(is_opened, "{most}"),
            Err(error) => {
                assert!(!is_opened && error.kind == ErrorKind::TooLarge, "{error}");
                assert!(error.message.contains("images.bytes_max"), "{error}");
            }
        }
        // What is thrown away may have any size.
        service.open_disk_export(&admin, NewExport { capture: None, ..captured }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_worth_what_its_opener_may_do_then() {
    let (service, _) = served();
    let admin = service.local_admin().unwrap();
    let project = admin.project().unwrap().clone();
    let named = service.actor_called("admin", "Default", "admin").unwrap();
    assert_eq!(named.scope, Some(Scope::Project(project)));
    let image = image(&service, &named, "disk").await;
    let (known, name) = service.open_disk_export(&named, new(&image)).unwrap();
    assert_eq!(known.export.opener.user.as_ref(), Some(&named.user));
    assert!(service.find_export(&name, NOBODY).is_ok());
    service.delete_image(&admin, &image.id).unwrap();
    assert_eq!(kind(service.find_export(&name, NOBODY)), ErrorKind::NotFound);
    assert_eq!(kind(service.actor_called("nobody", "Default", "admin")), ErrorKind::Unauthenticated);
    // A user who is gone may do nothing.
    let lost = self::image(&service, &member("p"), "lost").await;
    let (_, name) = service.open_disk_export(&member("p"), new(&lost)).unwrap();
    assert_eq!(kind(service.find_export(&name, NOBODY)), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_neither_see_nor_close_nor_open_what_is_not_theirs() {
    let (service, _) = served();
    let (ours, theirs) = (member("p"), member("q"));
    let image = image(&service, &ours, "disk").await;
    assert_eq!(kind(service.open_disk_export(&theirs, new(&image))), ErrorKind::NotFound);
    let (known, _) = service.open_disk_export(&ours, new(&image)).unwrap();
    assert!(service.open_disk_exports(&theirs).unwrap().is_empty());
    assert_eq!(kind(service.close_export(&theirs, &known.export.id())), ErrorKind::NotFound);
    assert_eq!(service.open_disk_exports(&ours).unwrap().len(), 1);
    let admin = service.local_admin().unwrap();
    assert_eq!(service.open_disk_exports(&admin).unwrap().len(), 1);
    service.close_export(&admin, &known.export.id()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_found_by_id_or_by_a_name_that_one_image_has() {
    let (service, _) = served();
    let actor = member("p");
    let one = image(&service, &actor, "disk").await;
    assert_eq!(service.find_disk(&actor, "disk", NOBODY).unwrap().open.image.id, one.id);
    assert_eq!(service.find_disk(&actor, &one.id.to_string(), NOBODY).unwrap().open.image.id, one.id);
    assert_eq!(kind(service.find_disk(&member("q"), "disk", NOBODY)), ErrorKind::NotFound);
    assert_eq!(kind(service.find_disk(&actor, "", NOBODY)), ErrorKind::NotFound);
    let two = image(&service, &actor, "disk").await;
    assert_eq!(two.status, Status::Active);
    assert_eq!(kind(service.find_disk(&actor, "disk", NOBODY)), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_so_many_open_and_no_more() {
    let (service, _) = served();
    let actor = member("p");
    let image = image(&service, &actor, "disk").await;
    for life_s in [0, -1, EXPORT_LIFE_S.end() + 1] {
        let outcome = service.open_disk_export(&actor, NewExport { life_s, ..new(&image) });
        assert_eq!(kind(outcome), ErrorKind::Invalid);
    }
    for _ in 0..PROJECT_EXPORTS_MAX {
        service.open_disk_export(&actor, new(&image)).unwrap();
    }
    assert_eq!(kind(service.open_disk_export(&actor, new(&image))), ErrorKind::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_keeps_a_disk_as_long_as_its_rights_last() {
    use crate::service::identity::UserChange;
    let (service, _) = served();
    let admin = service.actor_called("admin", "Default", "admin").unwrap();
    let (actor, grant) = crate::service::testing::user(&service, "ann");
    let image = image(&service, &admin, "disk").await;
    let connection = service.find_disk(&actor, "disk", NOBODY).unwrap();
    let keeps = || service.may_keep(&connection).unwrap();
    assert!(keeps());
    let enabled = |flag| UserChange { enabled: Some(flag), ..UserChange::default() };
    service.update_user(&admin, &grant.user, enabled(false)).unwrap();
    assert!(!keeps(), "disabled");
    service.update_user(&admin, &grant.user, enabled(true)).unwrap();
    assert!(keeps());
    service.revoke_role(&admin, grant.clone()).unwrap();
    assert!(!keeps(), "without a role");
    service.grant_role(&admin, grant).unwrap();
    service.deactivate_image(&admin, &image.id).unwrap();
    assert!(!keeps(), "deactivated");
    let local = service.find_disk(&service.local_admin().unwrap(), "disk", NOBODY).unwrap();
    assert!(service.may_keep(&local).unwrap());
    service.reactivate_image(&admin, &image.id).unwrap();
    // Nobody's right is lost by that.
    service.delete_image(&admin, &image.id).unwrap();
    assert!(keeps());
}
