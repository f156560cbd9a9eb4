//! What callers may do to images, and which states follow.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::base::limits;
use crate::model::identity::Scope;
use crate::model::image::MemberStatus;
use crate::model::{Image, ImageId, ProjectId, Status, Visibility};
use crate::service::identity::NewProject;
use crate::service::testing::{self, rules, sealed_service, service, service_with};
use crate::service::{Actor, DedupScope, ErrorKind, KeyDomains, Rules, Service};
use crate::store::{Reach, Unfinished, Wish};

fn actor(project: &str, roles: &[&str]) -> Actor {
    Actor {
        user: "u".into(),
        user_domain: "default".into(),
        scope: Some(Scope::Project(project.into())),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        origin: Default::default(),
        rights: Default::default(),
    }
}

fn member(project: &str) -> Actor {
    actor(project, &["member", "reader"])
}

fn reader(project: &str) -> Actor {
    actor(project, &["reader"])
}

fn admin() -> Actor {
    actor("adm", &["admin", "member", "reader"])
}

fn with(fields: Vec<Field>) -> NewImage {
    NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() }
}

fn ready(visibility: Visibility) -> NewImage {
    with(vec![
        Field::Visibility(visibility),
        Field::DiskFormat(Some("raw".into())),
        Field::ContainerFormat(Some("bare".into())),
    ])
}

fn image(service: &Service, owner: &Actor, visibility: Visibility) -> Image {
    let maker = if visibility == Visibility::Public { admin() } else { owner.clone() };
    let mut new = ready(visibility);
    new.changes.push(Change::Set(Field::Owner(owner.project().cloned())));
    service.create_image(&maker, new).unwrap()
}

fn kind<T>(outcome: Result<T, crate::service::Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

/// Everything that changes an image, as the kinds of refusal it meets.
fn every_write(service: &Service, actor: &Actor, id: &ImageId) -> Vec<Option<ErrorKind>> {
    vec![
        kind(service.update_image(actor, id, vec![Change::Set(Field::Name(None))])),
        kind(service.add_image_tag(actor, id, "t".into())),
        kind(service.remove_image_tag(actor, id, "t".into())),
        kind(service.begin_upload(actor, id, None)),
        kind(service.deactivate_image(actor, id)),
        kind(service.delete_image(actor, id)),
    ]
}

#[test]
fn what_cannot_be_shown_is_not_found_and_the_rest_is_forbidden() {
    let (service, _) = service();
    let owner = member("own");
    let nobody = Actor { scope: Some(Scope::System), ..admin() };
    for (visibility, other, expected) in [
        (Visibility::Private, member("other"), ErrorKind::NotFound),
        (Visibility::Shared, member("other"), ErrorKind::NotFound),
        (Visibility::Community, member("other"), ErrorKind::Forbidden),
        (Visibility::Public, member("other"), ErrorKind::Forbidden),
        (Visibility::Private, reader("own"), ErrorKind::Forbidden),
        (Visibility::Public, actor("own", &[]), ErrorKind::NotFound),
        (Visibility::Public, nobody, ErrorKind::NotFound),
    ] {
        let image = image(&service, &owner, visibility);
        let shown = kind(service.show_image(&other, &image.id));
        assert_eq!(shown.is_none(), expected == ErrorKind::Forbidden, "{visibility:?} {other:?}");
        let refusals = every_write(&service, &other, &image.id);
        assert!(refusals.iter().all(|kind| *kind == Some(expected)), "{visibility:?} {other:?} {refusals:?}");
    }
}

#[test]
fn a_reader_may_not_register_and_a_member_may_not_publish_or_give_away() {
    let (service, _) = service();
    let refused = Some(ErrorKind::Forbidden);
    assert_eq!(kind(service.create_image(&reader("p"), NewImage::default())), refused);
    let public = with(vec![Field::Visibility(Visibility::Public)]);
    assert_eq!(kind(service.create_image(&member("p"), public.clone())), refused);
    let foreign = with(vec![Field::Owner(Some("q".into()))]);
    assert_eq!(kind(service.create_image(&member("p"), foreign.clone())), refused);
    assert!(service.create_image(&admin(), public).is_ok());
    assert_eq!(service.create_image(&admin(), foreign).unwrap().owner, Some("q".into()));
    let own = with(vec![Field::Owner(Some("p".into()))]);
    let image = service.create_image(&member("p"), own).unwrap();
    let same_owner = vec![Change::Set(Field::Owner(Some("p".into())))];
    assert_eq!(kind(service.update_image(&member("p"), &image.id, same_owner)), refused);
}

#[test]
fn an_id_is_used_once_for_ever() {
    let (service, _) = service();
    let first = service.create_image(&member("p"), NewImage::default()).unwrap();
    let again = NewImage { id: Some(first.id), changes: Vec::new() };
    assert_eq!(kind(service.create_image(&member("q"), again.clone())), Some(ErrorKind::Conflict));
    service.delete_image(&member("p"), &first.id).unwrap();
    assert_eq!(kind(service.create_image(&member("p"), again)), Some(ErrorKind::Conflict));
    assert_eq!(kind(service.show_image(&admin(), &first.id)), Some(ErrorKind::NotFound));
}

#[test]
fn changes_apply_all_or_not_at_all() {
    let (service, _) = service();
    let owner = member("p");
    let image = image(&service, &owner, Visibility::Private);
    let set = |name: &str, existing| Change::SetProperty { name: name.into(), value: "v".into(), existing };
    let changes = vec![set("a", Existing::Any), set("b", Existing::Required)];
    assert_eq!(kind(service.update_image(&owner, &image.id, changes)), Some(ErrorKind::Conflict));
    assert_eq!(service.show_image(&owner, &image.id).unwrap(), image);
    let changes = vec![set("a", Existing::Forbidden), set("a", Existing::Required)];
    assert_eq!(service.update_image(&owner, &image.id, changes).unwrap().properties.len(), 1);
    let changes = vec![Change::RemoveProperty("a".into()), Change::RemoveProperty("a".into())];
    assert_eq!(kind(service.update_image(&owner, &image.id, changes)), Some(ErrorKind::Conflict));
}

#[test]
fn fields_stay_within_their_bounds() {
    let (service, _) = service();
    let long = "é".repeat(limits::NAME_CHARS_MAX + 1);
    let many = (0..=limits::IMAGE_TAGS_MAX).map(|n| n.to_string()).collect();
    for (field, expected) in [
        (Field::Name(Some(long.clone())), ErrorKind::Invalid),
        (Field::Owner(Some(ProjectId(long.clone()))), ErrorKind::Invalid),
        (Field::Tags([long].into()), ErrorKind::Invalid),
        (Field::Tags(many), ErrorKind::TooLarge),
        (Field::DiskFormat(Some("floppy".into())), ErrorKind::Invalid),
        (Field::ContainerFormat(Some("box".into())), ErrorKind::Invalid),
        (Field::MinRamMib(limits::MIN_RESOURCE_MAX + 1), ErrorKind::Invalid),
    ] {
        assert_eq!(
            kind(service.create_image(&admin(), with(vec![field.clone()]))),
            Some(expected),
            "{field:?}"
        );
    }
    let name = |name: String| Change::SetProperty { name, value: String::new(), existing: Existing::Any };
    let reserved = NewImage { id: None, changes: vec![name("os_glance_x".into())] };
    assert_eq!(kind(service.create_image(&admin(), reserved)), Some(ErrorKind::Forbidden));
    let changes = (0..=limits::IMAGE_PROPERTIES_MAX).map(|n| name(format!("p{n}"))).collect();
    let crowded = NewImage { id: None, changes };
    assert_eq!(kind(service.create_image(&admin(), crowded)), Some(ErrorKind::TooLarge));
}

#[test]
fn a_protected_image_is_not_deleted() {
    let (service, _) = service();
    let owner = member("p");
    let image = service.create_image(&owner, with(vec![Field::Protected(true)])).unwrap();
    assert_eq!(kind(service.delete_image(&owner, &image.id)), Some(ErrorKind::Forbidden));
    service.update_image(&owner, &image.id, vec![Change::Set(Field::Protected(false))]).unwrap();
    service.delete_image(&owner, &image.id).unwrap();
}

#[test]
fn a_share_shows_at_once_and_lists_when_accepted() {
    let (service, _) = service();
    let (owner, friend) = (member("own"), member("friend"));
    let image = image(&service, &owner, Visibility::Shared);
    let listed = |actor: &Actor, member_status| {
        let listing = Listing { limit: 9, member_status, ..Listing::default() };
        service.list_images(actor, listing).unwrap().len()
    };
    let accepted = Some(MemberStatus::Accepted);
    assert_eq!(kind(service.show_image(&friend, &image.id)), Some(ErrorKind::NotFound));
    let offered = service.add_image_member(&owner, &image.id, "friend".into()).unwrap();
    assert_eq!(offered.status, MemberStatus::Pending);
    assert!(service.show_image(&friend, &image.id).is_ok());
    assert_eq!((listed(&friend, accepted), listed(&friend, Some(MemberStatus::Pending))), (0, 1));
    service.answer_image_share(&friend, &image.id, &"friend".into(), MemberStatus::Accepted).unwrap();
    assert_eq!(listed(&friend, accepted), 1);
    service.remove_image_member(&owner, &image.id, &"friend".into()).unwrap();
    assert_eq!(kind(service.show_image(&friend, &image.id)), Some(ErrorKind::NotFound));
}

#[test]
fn sharing_is_the_owners_and_answering_the_members() {
    let (service, _) = service();
    let (owner, friend, other) = (member("own"), member("friend"), member("other"));
    let image = image(&service, &owner, Visibility::Shared);
    let id = &image.id;
    for project in ["friend", "other"] {
        service.add_image_member(&owner, id, project.into()).unwrap();
    }
    let answer =
        |actor: &Actor| kind(service.answer_image_share(actor, id, &"friend".into(), MemberStatus::Accepted));
    assert_eq!(answer(&owner), Some(ErrorKind::Forbidden));
    assert_eq!(answer(&other), Some(ErrorKind::NotFound));
    assert_eq!(answer(&reader("friend")), Some(ErrorKind::Forbidden));
    assert_eq!(answer(&friend), None);
    assert_eq!(answer(&admin()), None);
    assert_eq!(kind(service.add_image_member(&owner, id, "friend".into())), Some(ErrorKind::Conflict));
    assert_eq!(kind(service.add_image_member(&friend, id, "x".into())), Some(ErrorKind::Forbidden));
    assert_eq!(kind(service.remove_image_member(&friend, id, &"friend".into())), Some(ErrorKind::Forbidden));
    assert_eq!(kind(service.remove_image_member(&friend, id, &"other".into())), Some(ErrorKind::NotFound));
    assert_eq!(kind(service.show_image_member(&friend, id, &"other".into())), Some(ErrorKind::NotFound));
    assert_eq!(service.list_image_members(&friend, id).unwrap().len(), 1);
    assert_eq!(service.list_image_members(&owner, id).unwrap().len(), 2);
    service.update_image(&owner, id, vec![Change::Set(Field::Visibility(Visibility::Private))]).unwrap();
    assert_eq!(kind(service.list_image_members(&owner, id)), Some(ErrorKind::Forbidden));
    assert_eq!(kind(service.show_image_member(&owner, id, &"friend".into())), Some(ErrorKind::NotFound));
    assert_eq!(kind(service.show_image(&friend, id)), Some(ErrorKind::NotFound));
}

#[test]
fn a_marker_must_be_an_image_the_caller_may_see() {
    let (service, _) = service();
    let hidden = image(&service, &member("own"), Visibility::Private);
    let page = |marker| {
        kind(
            service
                .list_images(&member("p"), Listing { marker: Some(marker), limit: 1, ..Listing::default() }),
        )
    };
    assert_eq!(page(hidden.id), Some(ErrorKind::Forbidden));
    assert_eq!(page(ImageId(uuid::Uuid::nil())), Some(ErrorKind::Invalid));
}

#[tokio::test]
async fn images_list_once_and_upload_whichever_way_the_clock_steps() {
    let (service, clock) = service();
    let owner = member("own");
    let mut made = Vec::new();
    for step in [0, -3600, 7200, -86_400, 0] {
        clock.step_seconds(step);
        made.push(image(&service, &owner, Visibility::Private).id);
        made.push(image(&service, &owner, Visibility::Private).id);
        let changed = [Change::Set(Field::Name(Some("changed".into())))];
        service.update_image(&owner, &made[0], changed.to_vec()).unwrap();
        let upload = service.begin_upload(&owner, &made[made.len() - 1], None).unwrap();
        let body = stream::iter([Ok(Bytes::from_static(b"data"))]);
        assert_eq!(upload.receive(body).await.unwrap().status, Status::Active);
    }
    let (mut listed, mut marker) = (Vec::new(), None);
    loop {
        let page = service.list_images(&owner, Listing { marker, limit: 3, ..Listing::default() }).unwrap();
        let Some(last) = page.last() else { break };
        marker = Some(last.id);
        assert!(page.is_sorted_by(|a, b| a.created_at >= b.created_at));
        listed.extend(page.iter().map(|image| image.id));
    }
    let sorted = |mut ids: Vec<ImageId>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(listed), sorted(made));
}

#[test]
fn only_images_with_data_switch_between_active_and_deactivated() {
    let (service, _) = service();
    let owner = member("p");
    let image = image(&service, &owner, Visibility::Private);
    assert_eq!(kind(service.deactivate_image(&owner, &image.id)), Some(ErrorKind::Forbidden));
    assert_eq!(kind(service.reactivate_image(&owner, &image.id)), Some(ErrorKind::Forbidden));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upload_owns_an_image_until_it_ends() {
    let (service, _) = service();
    let owner = member("p");
    let image = image(&service, &owner, Visibility::Private);
    let upload = service.begin_upload(&owner, &image.id, None).unwrap();
    assert_eq!(service.show_image(&owner, &image.id).unwrap().status, Status::Saving);
    assert_eq!(kind(service.begin_upload(&owner, &image.id, None)), Some(ErrorKind::Conflict));
    let format = vec![Change::Set(Field::DiskFormat(Some("raw".into())))];
    assert_eq!(kind(service.update_image(&owner, &image.id, format)), Some(ErrorKind::Forbidden));
    // The connection goes away: the handler's future, and with it the upload, is dropped.
    drop(upload);
    for _ in 0..500 {
        if service.show_image(&owner, &image.id).unwrap().status == Status::Queued {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the image never came back to queued");
}

#[test]
fn an_upload_needs_both_formats_and_a_size_under_the_cap() {
    let (service, _) = service();
    let owner = member("p");
    let bare = service.create_image(&owner, NewImage::default()).unwrap();
    assert_eq!(kind(service.begin_upload(&owner, &bare.id, None)), Some(ErrorKind::Invalid));
    let image = image(&service, &owner, Visibility::Private);
    assert_eq!(kind(service.begin_upload(&owner, &image.id, Some(u64::MAX))), Some(ErrorKind::TooLarge));
    assert_eq!(service.show_image(&owner, &image.id).unwrap().status, Status::Queued);
}

#[test]
fn a_start_puts_interrupted_uploads_back_to_queued() {
    let (service, _) = service();
    let owner = member("p");
    let mut ids = Vec::new();
    for hidden in [false, true] {
        let mut new = ready(Visibility::Community);
        new.changes.push(Change::Set(Field::Hidden(hidden)));
        let image = service.create_image(&owner, new).unwrap();
        // Outside a runtime a dropped upload changes nothing, as in a crash.
        drop(service.begin_upload(&owner, &image.id, None).unwrap());
        ids.push(image.id);
    }
    assert_eq!(service.recover_uploads().unwrap(), 2);
    for id in ids {
        assert_eq!(service.show_image(&owner, &id).unwrap().status, Status::Queued);
    }
    assert_eq!(service.recover_uploads().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_data_behind_leaves_word() {
    let (service, _) = service();
    let owner = member("p1");
    let empty = image(&service, &owner, Visibility::Private);
    service.delete_image(&owner, &empty.id).unwrap();
    assert_eq!(service.litter().take(), None);

    let broken = image(&service, &owner, Visibility::Private);
    let body = stream::iter([Ok(Bytes::from_static(b"a")), Err(BodyBroken("gone".into()))]);
    let upload = service.begin_upload(&owner, &broken.id, None).unwrap();
    upload.receive(body).await.unwrap_err();
    assert_eq!(service.litter().take(), Some(Reach::Released));
    drop(service.begin_upload(&owner, &broken.id, None).unwrap());
    assert_eq!(service.litter().take(), Some(Reach::Released));

    let whole = image(&service, &owner, Visibility::Private);
    let upload = service.begin_upload(&owner, &whole.id, None).unwrap();
    upload.receive(stream::iter([Ok(Bytes::from_static(b"data"))])).await.unwrap();
    assert_eq!(service.litter().take(), None);
    service.delete_image(&owner, &whole.id).unwrap();
    assert_eq!(service.litter().take(), Some(Reach::Released));
}

/// Chunks the store gains from the same data uploaded by two projects of one domain, and by one
/// that has no domain here.
async fn chunks_gained(scope: DedupScope) -> [u64; 3] {
    let (service, _) = service_with(Rules { dedup_scope: scope, ..rules() });
    let project = |name: &str| {
        let new = NewProject {
            name: name.into(),
            domain: Some("default".into()),
            description: None,
            enabled: true,
            tags: Vec::new(),
            extra: Default::default(),
        };
        member(service.create_project(&admin(), new).unwrap().id.as_str())
    };
    let owners = [project("one"), project("two"), member("elsewhere")];
    let mut data = vec![0; 300_000];
    blake3::Hasher::new().finalize_xof().fill(&mut data);
    let mut gained = [0; 3];
    let mut before = 0;
    for (gained, owner) in gained.iter_mut().zip(&owners) {
        let image = image(&service, owner, Visibility::Private);
        let upload = service.begin_upload(owner, &image.id, None).unwrap();
        let body = stream::iter([Ok(Bytes::from(data.clone()))]);
        assert_eq!(upload.receive(body).await.unwrap().status, Status::Active);
        let chunks = service.usage(&admin()).unwrap().chunks;
        *gained = chunks - before;
        before = chunks;
    }
    gained
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_an_erased_domain_takes_exactly_its_images() {
    let (service, _) = sealed_service(Rules { key_domains: KeyDomains::Project, ..rules() });
    let data: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
    let mut images = Vec::new();
    for project in ["one", "two"] {
        let owner = member(project);
        let image = image(&service, &owner, Visibility::Private);
        let upload = service.begin_upload(&owner, &image.id, None).unwrap();
        upload.receive(stream::iter([Ok(Bytes::from(data.clone()))])).await.unwrap();
        images.push((owner, image.id));
    }
    let read = |(owner, id): &(Actor, ImageId)| {
        let reader = service.download_image(owner, id)?.reader.unwrap();
        let mut bytes = vec![0; data.len()];
        reader.read_at(0, &mut bytes)?;
        assert!(bytes == data);
        Ok::<_, crate::service::Error>(())
    };
    images.iter().for_each(|image| read(image).unwrap());
    let domains = service.key_domains(&admin()).unwrap();
    let counts: Vec<_> = domains.iter().map(|domain| (domain.domain, domain.images)).collect();
    assert_eq!(counts, [(1, 0), (2, 1), (3, 1)]);

    let refused = |domain| service.erase_domain(&admin(), domain).unwrap_err().kind;
    assert_eq!((refused(1), refused(9)), (ErrorKind::Conflict, ErrorKind::NotFound));
    assert_eq!(service.erase_domain(&images[0].0, 2).unwrap_err().kind, ErrorKind::Forbidden);
    service.erase_domain(&admin(), 2).unwrap();
    let error = read(&images[0]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Gone);
    assert!(error.message.contains("domain 2 was revoked"), "{error}");
    read(&images[1]).unwrap();
    let checked = service.check(&admin(), &mut |_| ()).unwrap();
    assert_eq!((checked.revoked, checked.damaged), (vec![images[0].1], Vec::new()));
    assert_eq!(checked.damaged_objects, Vec::<String>::new());

    // Its space comes back as any other's, and its owner's next image has keys again.
    let (owner, id) = &images[0];
    service.delete_image(owner, id).unwrap();
    let freed = service.reclaim(&admin(), Default::default(), None, &mut |_| ()).unwrap().freed;
    assert!(freed.packs > 0);
    let again = image(&service, owner, Visibility::Private);
    let upload = service.begin_upload(owner, &again.id, None).unwrap();
    upload.receive(stream::iter([Ok(Bytes::from(data.clone()))])).await.unwrap();
    read(&(owner.clone(), again.id)).unwrap();
    // Of the erased one nothing is left to be told.
    let left: Vec<_> = service.key_domains(&admin()).unwrap().iter().map(|domain| domain.domain).collect();
    assert_eq!(left, [1, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_key_is_revoked_meanwhile_is_refused_and_can_be_repeated() {
    let (service, _) = sealed_service(Rules { key_domains: KeyDomains::Project, ..rules() });
    let owner = member("one");
    let image = image(&service, &owner, Visibility::Private);
    let upload = service.begin_upload(&owner, &image.id, None).unwrap();
    service.erase_domain(&admin(), 2).unwrap();
    let body = || stream::iter([Ok(Bytes::from_static(b"data"))]);
    assert_eq!(upload.receive(body()).await.unwrap_err().kind, ErrorKind::Gone);
    let upload = service.begin_upload(&owner, &image.id, None).unwrap();
    assert_eq!(upload.receive(body()).await.unwrap().status, Status::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_the_setting_decides_whose_images_share_data() {
    let [all, ..] = chunks_gained(DedupScope::Store).await;
    assert!(all > 0);
    assert_eq!(chunks_gained(DedupScope::Store).await, [all, 0, 0]);
    assert_eq!(chunks_gained(DedupScope::Domain).await, [all, 0, all]);
    assert_eq!(chunks_gained(DedupScope::Project).await, [all, all, all]);
}

/// An image of `owner` with data, asking for this key.
async fn sealed_image(
    service: &Service,
    owner: &Actor,
    key: Option<&str>,
    data: &[u8],
) -> Result<ImageId, crate::service::Error> {
    let image = image(service, owner, Visibility::Private);
    if let Some(key) = key {
        ask_for_key(service, owner, &image.id, key)?;
    }
    let upload = service.begin_upload(owner, &image.id, None)?;
    upload.receive(stream::iter([Ok(Bytes::copy_from_slice(data))])).await?;
    Ok(image.id)
}

fn ask_for_key(
    service: &Service,
    owner: &Actor,
    id: &ImageId,
    key: &str,
) -> Result<Image, crate::service::Error> {
    let (name, value) = (KEY_PROPERTY.to_owned(), key.to_owned());
    service.update_image(owner, id, vec![Change::SetProperty { name, value, existing: Existing::Any }])
}

fn reads(service: &Service, owner: &Actor, id: &ImageId) -> Result<(), ErrorKind> {
    let read = || {
        let reader = service.download_image(owner, id)?.reader.unwrap();
        let mut bytes = vec![0; reader.size_bytes() as usize];
        Ok::<_, crate::service::Error>(reader.read_at(0, &mut bytes)?)
    };
    read().map_err(|error| error.kind)
}

/// What the box says of its domains: number, named key or whether it is an image's, images.
fn told(service: &Service) -> Vec<(u32, String, u64)> {
    let name = |holder: Option<Holder>| match holder {
        None => String::new(),
        Some(Holder::Project { project }) => format!("project {project}"),
        Some(Holder::Named { project, name }) => format!("key {name} of {project}"),
        Some(Holder::Image { asked, .. }) => format!("image, asked {asked}"),
        Some(Holder::Custom { key, .. }) => format!("custom key {}", hex::encode(key)),
    };
    let domains = service.key_domains(&admin()).unwrap();
    domains.into_iter().map(|domain| (domain.domain, name(domain.holder), domain.images)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_p9_a_key_that_images_name_is_theirs_alone_and_takes_exactly_them() {
    let (service, _) = sealed_service(rules());
    let (one, two) = (member("one"), member("two"));
    let data: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
    let chunks = || service.usage(&admin()).unwrap().chunks;
    let plain = sealed_image(&service, &one, None, &data).await.unwrap();
    let of_data = chunks();
    let first = sealed_image(&service, &one, Some("gold"), &data).await.unwrap();
    assert_eq!(chunks(), 2 * of_data);
    let second = sealed_image(&service, &one, Some("gold"), &data).await.unwrap();
    assert_eq!(chunks(), 2 * of_data, "images that name one key share");
    let others = sealed_image(&service, &two, Some("gold"), &data).await.unwrap();
    assert_eq!(chunks(), 3 * of_data, "a name means another key in another project");
    let expected =
        [(1, "", 1), (2, "key gold of one", 2), (3, "key gold of two", 1)].map(|(d, n, i)| (d, n.into(), i));
    assert_eq!(told(&service), expected);

    service.erase_domain(&admin(), 2).unwrap();
    for (owner, id, read) in [
        (&one, plain, Ok(())),
        (&one, first, Err(ErrorKind::Gone)),
        (&one, second, Err(ErrorKind::Gone)),
        (&two, others, Ok(())),
    ] {
        assert_eq!(reads(&service, owner, &id), read);
    }
    // What nobody can read again gives its space back although its images are still there.
    let freed = service.reclaim(&admin(), Default::default(), None, &mut |_| ()).unwrap().freed;
    assert!(freed.packs > 0 && chunks() == 2 * of_data, "{freed:?}");
    let checked = service.check(&admin(), &mut |_| ()).unwrap();
    assert_eq!((checked.revoked.len(), checked.damaged, checked.damaged_objects), (2, vec![], vec![]));
    for id in [first, second] {
        service.delete_image(&one, &id).unwrap();
    }
    service
        .reclaim(&admin(), Wish { compact: true, recompress: true, ..Wish::default() }, None, &mut |_| ())
        .unwrap();
    assert!(!service.store().has_unmarked_packs().unwrap() || chunks() == 2 * of_data);
    // The name can be used again, and means a fresh key.
    let again = sealed_image(&service, &one, Some("gold"), &data).await.unwrap();
    assert_eq!(reads(&service, &one, &again), Ok(()));
    assert_eq!(told(&service)[2], (4, "key gold of one".into(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_key_of_an_images_own_goes_with_it() {
    for (key, domains) in [(Some("own"), KeyDomains::Store), (None, KeyDomains::Image)] {
        let (service, _) = sealed_service(Rules { key_domains: domains, ..rules() });
        let owner = member("one");
        let ids = [
            sealed_image(&service, &owner, key, &[7; 50_000]).await.unwrap(),
            sealed_image(&service, &owner, key, &[7; 50_000]).await.unwrap(),
        ];
        let what = format!("image, asked {}", key.is_some());
        assert_eq!(told(&service), [(1, String::new(), 0), (2, what.clone(), 1), (3, what.clone(), 1)]);
        let reader = service.download_image(&owner, &ids[0]).unwrap().reader.unwrap();
        service.delete_image(&owner, &ids[0]).unwrap();
        service.give_back(Reach::Everything).unwrap();
        assert_eq!(service.store().domains().len(), 3, "somebody still reads it");
        drop(reader);
        while service.give_back(Reach::Everything).unwrap().in_use > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(told(&service), [(1, String::new(), 0), (3, what, 1)]);
        assert_eq!(reads(&service, &owner, &ids[1]), Ok(()));
        // A queued image keeps the key that an upload to it made.
        let queued = image(&service, &owner, Visibility::Private).id;
        if let Some(key) = key {
            ask_for_key(&service, &owner, &queued, key).unwrap();
        }
        drop(service.begin_upload(&owner, &queued, None).unwrap());
        service.give_back(Reach::Everything).unwrap();
        assert_eq!(service.store().domains().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_before_data_arrives_within_bounds_and_only_of_a_sealed_box() {
    let (service, _) = sealed_service(Rules { project_keys_max: 2, ..rules() });
    let owner = member("one");
    let filled = sealed_image(&service, &owner, Some("a"), b"data").await.unwrap();
    assert_eq!(ask_for_key(&service, &owner, &filled, "b").unwrap_err().kind, ErrorKind::Forbidden);
    assert!(ask_for_key(&service, &owner, &filled, "a").is_ok(), "what it has");
    let remove = vec![Change::RemoveProperty(KEY_PROPERTY.to_owned())];
    assert_eq!(service.update_image(&owner, &filled, remove).unwrap_err().kind, ErrorKind::Forbidden);
    let queued = image(&service, &owner, Visibility::Private).id;
    for bad in ["", "a b", "a/b", &"x".repeat(65), "schlüssel"] {
        assert_eq!(
            ask_for_key(&service, &owner, &queued, bad).unwrap_err().kind,
            ErrorKind::Invalid,
            "{bad}"
        );
    }
    sealed_image(&service, &owner, Some("own"), b"data").await.unwrap();
    let error = sealed_image(&service, &owner, Some("b"), b"data").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
    assert!(sealed_image(&service, &owner, Some("a"), b"data").await.is_ok(), "one that is there");
    assert!(sealed_image(&service, &member("two"), Some("b"), b"data").await.is_ok(), "each has its own");

    let (none, _) = sealed_service(Rules { project_keys_max: 0, ..rules() });
    let queued = image(&none, &owner, Visibility::Private).id;
    assert_eq!(ask_for_key(&none, &owner, &queued, "a").unwrap_err().kind, ErrorKind::Forbidden);
    let (plain, _) = testing::service_with(rules());
    let queued = image(&plain, &owner, Visibility::Private).id;
    let error = ask_for_key(&plain, &owner, &queued, "a").unwrap_err();
    assert!(error.kind == ErrorKind::Conflict && error.message.contains("plain"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_domain_is_sealed_anew_as_a_job() {
    let (service, _) = sealed_service(rules());
    let owner = member("one");
    let data: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
    let id = sealed_image(&service, &owner, Some("gold"), &data).await.unwrap();
    let refused = |actor: &Actor, domain| service.rotate_domain(actor, domain, &mut |_| ()).unwrap_err().kind;
    assert_eq!((refused(&owner, 2), refused(&admin(), 9)), (ErrorKind::Forbidden, ErrorKind::NotFound));
    let mut phases = Vec::new();
    let done = service.rotate_domain(&admin(), 2, &mut |step| phases.push(step.phase)).unwrap();
    assert!(done.done.packs > 0 && done.done.manifests == 1 && done.done.unfinished.is_none(), "{done:?}");
    assert!(phases.contains(&"sealing anew"));
    let job = service.job(&admin(), done.job).unwrap();
    assert_eq!((job.kind.as_str(), job.state.as_str()), ("reseal", "succeeded"));
    assert_eq!(job.result["older_keys_dropped"], 1);
    assert_eq!(service.key_domains(&admin()).unwrap()[1].key_versions, [1]);
    assert_eq!(reads(&service, &owner, &id), Ok(()));
    service.erase_domain(&admin(), 2).unwrap();
    assert_eq!(refused(&admin(), 2), ErrorKind::Gone);
    let (plain, _) = testing::service_with(rules());
    assert_eq!(plain.rotate_domain(&admin(), 1, &mut |_| ()).unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_sealing_anew_that_somebody_ended_is_gone_on_with() {
    let (service, _) = sealed_service(rules());
    let owner = member("one");
    let data: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
    let id = sealed_image(&service, &owner, Some("gold"), &data).await.unwrap();
    let ended = service.rotate_domain(&admin(), 2, &mut |_| {
        let running = service.jobs(&admin(), None, 1).unwrap()[0].id;
        service.cancel_job(&admin(), running).unwrap();
    });
    let ended = ended.unwrap();
    assert_eq!(ended.done.unfinished, Some(Unfinished::Ended));
    assert_eq!(service.job(&admin(), ended.job).unwrap().state.as_str(), "cancelled");
    // Both keys are there, and what is new has the new one.
    assert_eq!(service.key_domains(&admin()).unwrap()[1].key_versions, [0, 1]);
    assert_eq!(reads(&service, &owner, &id), Ok(()));
    let more = sealed_image(&service, &owner, Some("gold"), b"more").await.unwrap();
    assert_eq!(service.finish_sealing_anew(&mut || false).unwrap(), 0);
    assert_eq!(service.key_domains(&admin()).unwrap()[1].key_versions, [0, 1]);
    assert_eq!(service.finish_sealing_anew(&mut || true).unwrap(), 1);
    assert_eq!(service.key_domains(&admin()).unwrap()[1].key_versions, [1]);
    assert_eq!(service.finish_sealing_anew(&mut || true).unwrap(), 0);
    assert_eq!((reads(&service, &owner, &id), reads(&service, &owner, &more)), (Ok(()), Ok(())));
}
