//! Exports of disks: who may open, see and close them, and what a name is worth when somebody connects.

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::keystone::fake_tests::Fake;
use crate::model::identity::Scope;
use crate::model::{Image, Interface, Status};
use crate::service::custom_keys::{CustomKeyChange, NewCustomKey};
use crate::service::identity::{Cloud, CloudRules, NewGroup};
use crate::service::images::{CUSTOM_KEY_PROPERTY, Change, Existing, Field, NewImage};
use crate::service::rights::{NewAttachment, NewPolicy};
use crate::service::testing::{member, rules, sealed_service, service, user};
use crate::service::{ErrorKind, Origin, Rules, Source};

const NOBODY: Source = Source::Socket;

async fn image(service: &Service, actor: &Actor, name: &str) -> Image {
    let fields = [
        Field::Name(Some(name.into())),
        Field::DiskFormat(Some("raw".into())),
        Field::ContainerFormat(Some("bare".into())),
    ];
    filled(service, actor, fields.into_iter().map(Change::Set).collect()).await
}

async fn filled(service: &Service, actor: &Actor, changes: Vec<Change>) -> Image {
    let image = service.create_image(actor, NewImage { id: None, changes }).unwrap();
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
        let rules = Rules { image_bytes_max: most, ..rules() };
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
    let (actor, grant) = user(&service, "ann");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_image_keeps_nobodys_rights_and_no_key_open() {
    let (service, _) = sealed_service(rules());
    let admin = service.actor_called("admin", "Default", "admin").unwrap();
    let (ann, grant) = user(&service, "ann");
    let new = NewCustomKey { alias: "gold".into(), ..NewCustomKey::default() };
    let key = service.create_custom_key(&ann, new).unwrap().id.to_string();
    let changes = vec![
        Change::Set(Field::DiskFormat(Some("raw".into()))),
        Change::Set(Field::ContainerFormat(Some("bare".into()))),
        Change::SetProperty { name: CUSTOM_KEY_PROPERTY.into(), value: key.clone(), existing: Existing::Any },
    ];
    let image = filled(&service, &ann, changes).await;
    let connection = service.find_disk(&ann, &image.id.to_string(), NOBODY).unwrap();
    let keeps = || service.may_keep(&connection).unwrap();
    let switch = |enabled| {
        let change = CustomKeyChange { enabled: Some(enabled), ..CustomKeyChange::default() };
        service.change_custom_key(&ann, &key, change).unwrap();
    };
    service.delete_image(&ann, &image.id).unwrap();
    assert!(keeps());
    switch(false);
    assert!(!keeps(), "with a disabled key");
    switch(true);
    assert!(keeps());
    service.revoke_role(&admin, grant).unwrap();
    assert!(!keeps(), "without a role");
    assert!(service.actor_now(&connection).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_called_as_the_local_administrator_is_not_it() {
    let (service, _) = served();
    let admin = service.local_admin().unwrap();
    let image = image(&service, &admin, "disk").await;
    let peer = Source::Peer("127.0.0.1".parse().unwrap());
    let origin = Origin::new(Interface::Native, peer, "req-1".into(), "POST /".into());
    let called_so = Actor { origin: Arc::new(origin), ..admin.clone() };
    let (known, name) = service.open_disk_export(&called_so, new(&image)).unwrap();
    assert_eq!(known.export.opener.user.as_ref(), Some(&admin.user));
    assert_eq!(kind(service.find_export(&name, NOBODY)), ErrorKind::NotFound);
    let connection = service.find_disk(&called_so, "disk", peer).unwrap();
    assert!(!service.may_keep(&connection).unwrap());
    assert!(service.actor_now(&connection).unwrap().is_none());
    // Who is it stays it, also where the client comes over the network.
    let (_, name) = service.open_disk_export(&admin, new(&image)).unwrap();
    let by_name = service.find_export(&name, peer).unwrap();
    let by_itself = service.find_disk(&admin, "disk", peer).unwrap();
    for connection in [by_name, by_itself] {
        assert!(service.may_keep(&connection).unwrap());
        assert_eq!(service.actor_now(&connection).unwrap().map(|now| now.user), Some(admin.user.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_cloud_has_the_users_no_export_of_the_boxs_own_opens() {
    let (service, _) = served();
    let admin = service.local_admin().unwrap();
    let (ann, _) = user(&service, "ann");
    let image = image(&service, &admin, "disk").await;
    let (_, hers) = service.open_disk_export(&ann, new(&image)).unwrap();
    let (_, local) = service.open_disk_export(&admin, new(&image)).unwrap();
    let connection = service.find_export(&hers, NOBODY).unwrap();
    assert!(service.may_keep(&connection).unwrap());
    let fake = Fake::start().await;
    let rules = CloudRules { cache_s: 0, service_type: "image".into(), region: String::new() };
    let cloud = Cloud::new(fake.client(), tokio::runtime::Handle::current(), rules);
    let service = service.with_cloud(cloud);
    assert_eq!(kind(service.find_export(&hers, NOBODY)), ErrorKind::NotFound);
    assert!(!service.may_keep(&connection).unwrap());
    assert!(service.find_export(&local, NOBODY).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn to_capture_takes_the_right_to_register_an_image_and_the_one_to_fill_it() {
    for action in ["ims:images:create", "ims:images:upload"] {
        let (service, _) = served();
        let admin = service.local_admin().unwrap();
        let image = image(&service, &admin, "disk").await;
        let (ann, _) = user(&service, "ann");
        let captured = NewExport { is_writable: true, capture: Some("kept".into()), ..new(&image) };
        service.open_disk_export(&ann, captured.clone()).unwrap();
        let group =
            NewGroup { name: "ops".into(), domain: None, description: None, extra: Default::default() };
        let group = service.create_group(&admin, group).unwrap();
        service.add_group_member(&admin, &group.id, &ann.user).unwrap();
        let document =
            format!(r#"{{"Version":"1.1","Statement":[{{"Effect":"Deny","Action":["{action}"]}}]}}"#);
        let document = serde_json::from_str(&document).unwrap();
        let policy = NewPolicy { name: "less".into(), description: None, document };
        service.create_policy(&admin, policy).unwrap();
        let place = NewAttachment { policy: "less".into(), group: "ops".into(), project: None };
        service.attach_policy(&admin, place).unwrap();
        let ann = service.actor_called("ann", "Default", "admin").unwrap();
        let outcome = service.open_disk_export(&ann, captured.clone());
        assert_eq!(kind(outcome), ErrorKind::Forbidden, "{action}");
        service.open_disk_export(&ann, NewExport { capture: None, ..captured }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_closed_by_its_name_too_which_no_refusal_tells() {
    let (service, _) = served();
    let (ours, theirs) = (member("p"), member("q"));
    let image = image(&service, &ours, "disk").await;
    let (_, name) = service.open_disk_export(&ours, new(&image)).unwrap();
    assert_eq!(kind(service.close_export(&theirs, &name)), ErrorKind::NotFound);
    service.close_export(&ours, &name).unwrap();
    assert!(service.open_disk_exports(&ours).unwrap().is_empty());
    let error = service.close_export(&ours, &name).unwrap_err();
    assert!(error.kind == ErrorKind::NotFound && !error.message.contains(&name), "{error}");
}
