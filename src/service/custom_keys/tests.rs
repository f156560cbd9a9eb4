//! Who may use a custom key, and what becomes of what it sealed.

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::model::identity::Scope;
use crate::model::{ImageId, Status, Visibility};
use crate::service::identity::NewProject;
use crate::service::images::{CUSTOM_KEY_PROPERTY, Change, Existing, Field, KEY_PROPERTY, NewImage};
use crate::service::testing::{ManualClock, rules, sealed_service};
use crate::service::{Reason, Rules};

const DAY_S: i64 = 86_400;

struct Box {
    service: Service,
    clock: std::sync::Arc<ManualClock>,
    admin: Actor,
    one: Actor,
    two: Actor,
}

/// A sealed box with two projects.
fn sealed_box() -> Box {
    let (service, clock) = sealed_service(Rules { project_keys_max: 3, ..rules() });
    let admin = service.local_admin().unwrap();
    let member = |name: &str| {
        let new = NewProject {
            name: name.into(),
            domain: None,
            description: None,
            enabled: true,
            tags: Vec::new(),
            extra: Default::default(),
        };
        let project = service.create_project(&admin, new).unwrap().id;
        Actor {
            user: name.into(),
            scope: Some(Scope::Project(project)),
            roles: ["member", "reader"].map(String::from).into(),
            ..admin.clone()
        }
    };
    let (one, two) = (member("one"), member("two"));
    Box { service, clock, admin, one, two }
}

impl Box {
    fn key(&self, actor: &Actor, alias: &str) -> CustomKey {
        let new = NewCustomKey { alias: alias.into(), ..NewCustomKey::default() };
        self.service.create_custom_key(actor, new).unwrap()
    }

    fn register(&self, owner: &Actor, property: &str, value: &str) -> Result<ImageId, Error> {
        let changes = vec![
            Change::Set(Field::Visibility(Visibility::Shared)),
            Change::Set(Field::DiskFormat(Some("raw".into()))),
            Change::Set(Field::ContainerFormat(Some("bare".into()))),
            Change::SetProperty { name: property.into(), value: value.into(), existing: Existing::Any },
        ];
        Ok(self.service.create_image(owner, NewImage { id: None, changes })?.id)
    }

    async fn fill(&self, owner: &Actor, id: &ImageId) -> Result<(), Error> {
        let upload = self.service.begin_upload(owner, id, None)?;
        upload.receive(stream::iter([Ok(Bytes::from_static(&[7; 70_000]))])).await?;
        Ok(())
    }

    async fn sealed_image(&self, owner: &Actor, key: &CustomKey) -> ImageId {
        let id = self.register(owner, CUSTOM_KEY_PROPERTY, &key.id.to_string()).unwrap();
        self.fill(owner, &id).await.unwrap();
        id
    }

    fn read(&self, actor: &Actor, id: &ImageId) -> Result<Vec<u8>, Error> {
        let reader = self.service.download_image(actor, id)?.reader.unwrap();
        let mut bytes = vec![0; reader.size_bytes() as usize];
        reader.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    fn reason(&self, actor: &Actor, id: &ImageId) -> Option<Reason> {
        self.read(actor, id).err().and_then(|error| error.reason)
    }

    fn switch(&self, key: &CustomKey, enabled: bool) {
        let change = CustomKeyChange { enabled: Some(enabled), ..CustomKeyChange::default() };
        self.service.change_custom_key(&self.one, &key.id.to_string(), change).unwrap();
    }
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_neither_seals_nor_opens_for_anyone() {
    let b = sealed_box();
    let key = b.key(&b.one, "gold");
    let id = b.sealed_image(&b.one, &key).await;
    let begun = b.register(&b.one, CUSTOM_KEY_PROPERTY, &key.id.to_string()).unwrap();
    assert_eq!(b.read(&b.one, &id).unwrap(), [7; 70_000]);
    b.switch(&key, false);
    for actor in [&b.one, &b.admin] {
        assert_eq!(b.reason(actor, &id), Some(Reason::KeyDisabled));
    }
    assert_eq!(b.fill(&b.one, &begun).await.unwrap_err().reason, Some(Reason::KeyDisabled));
    let register = b.register(&b.one, CUSTOM_KEY_PROPERTY, &key.id.to_string());
    assert_eq!(register.unwrap_err().reason, Some(Reason::KeyDisabled));
    b.switch(&key, true);
    assert_eq!(b.read(&b.one, &id).unwrap(), [7; 70_000]);
    // The refused upload puts the image back behind the caller's back.
    while b.service.show_image(&b.one, &begun).unwrap().status != Status::Queued {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    b.fill(&b.one, &begun).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_key_that_is_due_takes_what_it_sealed_and_nothing_else() {
    let b = sealed_box();
    let (gold, silver) = (b.key(&b.one, "gold"), b.key(&b.one, "silver"));
    let (first, other) = (b.sealed_image(&b.one, &gold).await, b.sealed_image(&b.one, &silver).await);
    let named = gold.id.to_string();
    b.service.schedule_key_deletion(&b.one, &named, 7).unwrap();
    assert_eq!(b.reason(&b.one, &first), Some(Reason::KeyDisabled));
    assert_eq!(b.service.delete_due_keys().unwrap(), 0);
    assert_eq!(b.service.keep_custom_key(&b.one, &named).unwrap().state, KeyState::Disabled);
    b.switch(&gold, true);
    assert_eq!(b.read(&b.one, &first).unwrap(), [7; 70_000]);

    b.service.schedule_key_deletion(&b.one, &named, 8).unwrap();
    b.clock.step_seconds(8 * DAY_S);
    assert_eq!(b.service.delete_due_keys().unwrap(), 1);
    assert_eq!(b.service.delete_due_keys().unwrap(), 0);
    assert_eq!(b.reason(&b.one, &first), Some(Reason::KeyDeleted));
    assert_eq!(b.read(&b.one, &other).unwrap(), [7; 70_000]);
    assert_eq!(kind(b.service.keep_custom_key(&b.one, &named)), Some(ErrorKind::Conflict));
    assert_eq!(kind(b.service.schedule_key_deletion(&b.one, &named, 7)), Some(ErrorKind::Conflict));
    // Its alias is free, and means another key.
    assert_ne!(b.key(&b.one, "gold").id, gold.id);
    assert_eq!(b.service.custom_keys(&b.one, false).unwrap().len(), 2);
    assert_eq!(b.service.custom_keys(&b.one, true).unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_cut_off_is_finished() {
    let b = sealed_box();
    let key = b.key(&b.one, "gold");
    b.sealed_image(&b.one, &key).await;
    // What a crash between the commit and the ring leaves.
    let gone = CustomKey { state: KeyState::Deleted(b.service.now()), ..key };
    b.service.db.write(move |txn| Ok::<_, Error>(custom_keys::put(txn, &gone)?)).unwrap();
    assert_eq!(b.service.store().domains().len(), 2);
    assert_eq!(b.service.delete_due_keys().unwrap(), 1);
    assert_eq!(b.service.store().domains().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_sealed_is_shared_only_where_the_key_is_granted() {
    let b = sealed_box();
    let key = b.key(&b.one, "gold");
    let id = b.sealed_image(&b.one, &key).await;
    let two = b.two.project().unwrap().clone();
    let share = || b.service.add_image_member(&b.one, &id, two.clone());
    assert_eq!(share().unwrap_err().reason, Some(Reason::Encrypted));
    let named = key.id.to_string();
    assert_eq!(kind(b.service.custom_key(&b.two, &named)), Some(ErrorKind::NotFound));
    b.service.grant_custom_key(&b.one, &named, two.clone(), true).unwrap();
    share().unwrap();
    assert_eq!(b.read(&b.two, &id).unwrap(), [7; 70_000]);
    assert_eq!(b.service.custom_key(&b.two, &named).unwrap().id, key.id);
    // It reads, and seals nothing of its own: the key is another's to delete.
    let refused = b.register(&b.two, CUSTOM_KEY_PROPERTY, &named).unwrap_err();
    assert_eq!(refused.reason, Some(Reason::KeyNotGranted));
    for refused in [
        kind(b.service.schedule_key_deletion(&b.two, &named, 7)),
        kind(b.service.change_custom_key(&b.two, &named, CustomKeyChange::default())),
        kind(b.service.grant_custom_key(&b.two, &named, two.clone(), false)),
        kind(b.service.rotate_custom_key(&b.two, &named, &mut |_| ())),
    ] {
        assert_eq!(refused, Some(ErrorKind::Forbidden));
    }
    b.service.grant_custom_key(&b.one, &named, two.clone(), false).unwrap();
    assert_eq!(b.reason(&b.two, &id), Some(Reason::KeyNotGranted));
    // A default key serves its own project alone.
    let default = b.service.key_for_new_data(&b.one, DEFAULT_ALIAS).unwrap();
    assert_eq!(b.service.key_for_new_data(&b.one, DEFAULT_ALIAS).unwrap().id, default.id);
    let granted = b.service.grant_custom_key(&b.one, &default.id.to_string(), two, true);
    assert_eq!(kind(granted), Some(ErrorKind::Invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_other_material_seals_everything_anew() {
    let b = sealed_box();
    let key = b.key(&b.one, "gold");
    let named = key.id.to_string();
    assert_eq!(b.service.rotate_custom_key(&b.one, &named, &mut |_| ()).unwrap(), None);
    let id = b.sealed_image(&b.one, &key).await;
    let done = b.service.rotate_custom_key(&b.one, &named, &mut |_| ()).unwrap().unwrap().done;
    assert!(done.packs > 0 && done.unfinished.is_none(), "{done:?}");
    assert_eq!(b.read(&b.one, &id).unwrap(), [7; 70_000]);
    b.switch(&key, false);
    let rotated = b.service.rotate_custom_key(&b.one, &named, &mut |_| ());
    assert_eq!(kind(rotated), Some(ErrorKind::Conflict));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_asks_for_one_key_its_project_may_use_and_before_data_arrives() {
    let b = sealed_box();
    let key = b.key(&b.one, "gold");
    let named = key.id.to_string();
    for (actor, value) in [(&b.one, "gold"), (&b.one, ""), (&b.two, named.as_str()), (&b.one, DEFAULT_ALIAS)]
    {
        let refused = b.register(actor, CUSTOM_KEY_PROPERTY, value).unwrap_err();
        assert_eq!(refused.reason, Some(Reason::NoKey), "{value}");
    }
    let ask = |id: &ImageId, name: &str, value: &str| {
        let change = Change::SetProperty { name: name.into(), value: value.into(), existing: Existing::Any };
        kind(b.service.update_image(&b.one, id, vec![change]))
    };
    let id = b.register(&b.one, CUSTOM_KEY_PROPERTY, &named).unwrap();
    assert_eq!(ask(&id, KEY_PROPERTY, "own"), Some(ErrorKind::Conflict));
    b.fill(&b.one, &id).await.unwrap();
    let other = b.key(&b.one, "silver");
    assert_eq!(ask(&id, CUSTOM_KEY_PROPERTY, &other.id.to_string()), Some(ErrorKind::Forbidden));
    let remove = vec![Change::RemoveProperty(CUSTOM_KEY_PROPERTY.into())];
    assert_eq!(kind(b.service.update_image(&b.one, &id, remove)), Some(ErrorKind::Forbidden));
    // An administrator gives the image away: the key stays with its project.
    let queued = b.register(&b.one, CUSTOM_KEY_PROPERTY, &named).unwrap();
    let give = vec![Change::Set(Field::Owner(b.two.project().cloned()))];
    b.service.update_image(&b.admin, &queued, give).unwrap();
    assert_eq!(b.fill(&b.two, &queued).await.unwrap_err().reason, Some(Reason::KeyNotGranted));
}

#[test]
fn keys_are_made_within_bounds_by_those_who_may() {
    let b = sealed_box();
    let reader = Actor { roles: ["reader".to_owned()].into(), ..b.one.clone() };
    let new = |alias: &str| NewCustomKey { alias: alias.into(), ..NewCustomKey::default() };
    assert_eq!(kind(b.service.create_custom_key(&reader, new("a"))), Some(ErrorKind::Forbidden));
    let of_two = NewCustomKey { project: Some(b.two.project().unwrap().to_string()), ..new("a") };
    assert_eq!(kind(b.service.create_custom_key(&b.one, of_two.clone())), Some(ErrorKind::Forbidden));
    assert_eq!(b.service.create_custom_key(&b.admin, of_two).unwrap().project, *b.two.project().unwrap());
    let nowhere = NewCustomKey { project: Some("nowhere".into()), ..new("a") };
    assert_eq!(kind(b.service.create_custom_key(&b.admin, nowhere)), Some(ErrorKind::NotFound));
    b.key(&b.one, "a");
    assert_eq!(kind(b.service.create_custom_key(&b.one, new("a"))), Some(ErrorKind::Conflict));
    b.key(&b.one, "b");
    b.key(&b.one, "c");
    assert_eq!(kind(b.service.create_custom_key(&b.one, new("d"))), Some(ErrorKind::TooLarge));
    assert_eq!(b.service.custom_keys(&reader, false).unwrap().len(), 3);
    assert_eq!(b.service.custom_keys(&b.admin, false).unwrap().len(), 4);
    let unscoped = Actor { scope: None, ..b.one.clone() };
    assert_eq!(kind(b.service.custom_keys(&unscoped, false)), Some(ErrorKind::Forbidden));
}
