//! Usage against a count of everything, limits against a model of what they let through.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::Time;
use crate::catalog::records::quota::UsageRecord;
use crate::catalog::{differing_indexes, images, reindex};
use crate::db::{Db, Key, Options, WriteTxn};
use crate::model::quota::{Limit, LimitOf, OverLimit, ProjectLimit, RegisteredLimit, Resource, Usage};
use crate::model::{ContentId, Image, ImageId, ProjectId, Status, Visibility};

const MIB: u64 = 1 << 20;

fn memory() -> Db {
    Db::open_on(redb::backends::InMemoryBackend::new(), Options::default()).unwrap()
}

fn image(id: u8, owner: Option<&str>, status: Status) -> Image {
    let has_data = matches!(status, Status::Active | Status::Deactivated);
    Image {
        id: ImageId(uuid::Uuid::from_bytes([id; 16])),
        name: None,
        status,
        visibility: Visibility::Private,
        protected: false,
        hidden: false,
        owner: owner.map(ProjectId::from),
        container_format: None,
        disk_format: None,
        min_disk_gib: 0,
        min_ram_mib: 0,
        size_bytes: has_data.then(|| u64::from(id) * MIB),
        virtual_size_bytes: None,
        verdict: None,
        digests: None,
        content: has_data.then_some(ContentId([id; 16])),
        tags: Default::default(),
        properties: Default::default(),
        created_at: Time(0),
        updated_at: Time(0),
        upload: None,
        active_at: None,
        place: Default::default(),
        copies: Vec::new(),
    }
}

fn of(resource: Resource) -> LimitOf {
    LimitOf { resource, regional: false }
}

fn registered(of: LimitOf, limit: Limit) -> RegisteredLimit {
    let id = format!("{}-{}", of.resource.as_str(), of.regional);
    RegisteredLimit { id, of, limit, description: None }
}

fn own(project: &str, of: LimitOf, limit: Limit) -> ProjectLimit {
    ProjectLimit { project: project.into(), of, limit, description: None }
}

fn write<T: Send + 'static>(
    db: &Db,
    mut change: impl FnMut(&WriteTxn) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    db.write(move |txn| change(txn))
}

fn over<T: std::fmt::Debug>(outcome: Result<T, Error>) -> OverLimit {
    match outcome {
        Err(Error::OverLimit(over)) => *over,
        other => panic!("{other:?}"),
    }
}

fn used(db: &Db, project: &str) -> Usage {
    usage_of(&db.read().unwrap(), Some(&project.into())).unwrap()
}

#[test]
fn a_limit_names_what_it_refuses_and_nothing_is_kept_then() {
    let db = memory();
    let count = of(Resource::ImageCountTotal);
    write(&db, move |txn| put_registered(txn, &registered(count, Limit::AtMost(1)))).unwrap();
    write(&db, |txn| images::insert(txn, &image(1, Some("p"), Status::Queued))).unwrap();
    let refused = over(write(&db, |txn| images::insert(txn, &image(2, Some("p"), Status::Queued))));
    let (resource, project) = (Resource::ImageCountTotal, ProjectId::from("p"));
    assert_eq!(refused, OverLimit { project, resource, most: 1, used: 1, more: 1, deleted_bytes: 0 });
    let said = refused.to_string();
    assert!(said.contains("image_count_total: the limit is 1, 1 are used, and 1 more"), "{said}");
    assert_eq!(images::get(&db.read().unwrap(), &image(2, None, Status::Queued).id).unwrap(), None);
    // Another project, and what is nobody's, are no part of it; an own limit goes before that of all.
    write(&db, |txn| images::insert(txn, &image(3, Some("q"), Status::Queued))).unwrap();
    for id in [4, 5] {
        write(&db, move |txn| images::insert(txn, &image(id, None, Status::Queued))).unwrap();
    }
    write(&db, move |txn| put_limit(txn, &own("p", count, Limit::AtMost(2)))).unwrap();
    write(&db, |txn| images::insert(txn, &image(2, Some("p"), Status::Queued))).unwrap();
    // An image does not move to where there is no room for it.
    let given = image(2, Some("q"), Status::Queued);
    assert_eq!(over(write(&db, move |txn| images::update(txn, &given))).project, "q".into());
    // A lower limit refuses nothing that takes no more, or less.
    write(&db, move |txn| put_limit(txn, &own("p", count, Limit::AtMost(0)))).unwrap();
    let renamed = Image { name: Some("n".into()), ..image(1, Some("p"), Status::Queued) };
    write(&db, move |txn| images::update(txn, &renamed)).unwrap();
    let killed = image(1, Some("p"), Status::Killed);
    write(&db, move |txn| images::update(txn, &killed)).unwrap();
    assert_eq!((used(&db, "p").images, used(&db, "p").killed), (1, 1));
    write(&db, |txn| images::delete(txn, &image(2, None, Status::Queued).id)).unwrap();
    assert_eq!(used(&db, "p").images, 0);
    assert!(is_whole(&db.read().unwrap()).unwrap());
}

#[test]
fn a_deleted_image_keeps_its_space_and_nothing_else_until_it_is_purged() {
    let db = memory();
    let active = image(4, Some("p"), Status::Active);
    let id = active.id;
    write(&db, move |txn| images::insert(txn, &active)).unwrap();
    for resource in Resource::ALL {
        write(&db, move |txn| put_registered(txn, &registered(of(resource), Limit::AtMost(0)))).unwrap();
    }
    // Above its limit, it may be deleted all the same.
    write(&db, move |txn| images::retain(txn, &id, Time(1))).unwrap();
    let after = used(&db, "p");
    assert_eq!((after.images, after.deleted_images, after.amount(Resource::ImageSizeTotal)), (0, 1, 4 * MIB));
    let back = move |txn: &WriteTxn| images::restore(txn, &image(4, Some("p"), Status::Active));
    assert_eq!(over(write(&db, back)).resource, Resource::ImageCountTotal);
    let count = of(Resource::ImageCountTotal);
    write(&db, move |txn| put_registered(txn, &registered(count, Limit::AtMost(1)))).unwrap();
    write(&db, back).unwrap();
    assert_eq!((used(&db, "p").images, used(&db, "p").deleted_images), (1, 0));
    write(&db, move |txn| images::retain(txn, &id, Time(1))).unwrap();
    assert!(write(&db, move |txn| images::purge(txn, &id)).unwrap());
    assert!(!write(&db, move |txn| images::purge(txn, &id)).unwrap());
    assert_eq!(used(&db, "p"), Usage::default());
    assert!(is_whole(&db.read().unwrap()).unwrap());
}

#[test]
fn what_is_reserved_is_as_much_as_there_is_room_for_and_ends_with_the_upload() {
    let db = memory();
    let saving = |id| image(id, Some("p"), Status::Saving);
    for id in [1, 2] {
        write(&db, move |txn| images::insert(txn, &saving(id))).unwrap();
    }
    let size = of(Resource::ImageSizeTotal);
    write(&db, move |txn| put_registered(txn, &registered(size, Limit::AtMost(10)))).unwrap();
    let wish = move |id, least, most| {
        move |txn: &WriteTxn| reserve(txn, &saving(id), Wish { least: least * MIB, most: most * MIB })
    };
    assert_eq!(write(&db, wish(1, 0, 7)).unwrap(), 7 * MIB);
    assert_eq!(write(&db, wish(2, 0, 7)).unwrap(), 3 * MIB);
    assert_eq!(write(&db, wish(2, 3, 9)).unwrap(), 3 * MIB);
    let refused = over(write(&db, wish(2, 4, 9)));
    assert_eq!((refused.used, refused.more, refused.most), (10 * MIB, MIB, 10 * MIB));
    assert_eq!(write(&db, wish(1, 2, 2)).unwrap(), 2 * MIB);
    assert_eq!(write(&db, wish(2, 4, 9)).unwrap(), 8 * MIB);
    let queued = image(1, Some("p"), Status::Queued);
    write(&db, move |txn| images::update(txn, &queued)).unwrap();
    let refused = write(&db, move |txn| reserve(txn, &image(1, Some("p"), Status::Queued), Wish::exactly(1)));
    assert!(matches!(refused, Err(Error::Missing(_))));
    // It becomes what was reserved for it, and less, though nothing else would fit.
    write(&db, move |txn| put_registered(txn, &registered(size, Limit::AtMost(1)))).unwrap();
    let active = image(2, Some("p"), Status::Active);
    write(&db, move |txn| images::update(txn, &active)).unwrap();
    let read = db.read().unwrap();
    assert_eq!([1, 2].map(|id| reserved(&read, &saving(id).id).unwrap()), [0, 0]);
    let after = used(&db, "p");
    assert_eq!((after.image_bytes, after.reserved_bytes, after.uploading), (2 * MIB, 0, 0));
    assert!(is_whole(&read).unwrap());
}

#[test]
fn a_limit_of_the_region_goes_before_one_without_and_each_needs_a_registered_one() {
    let db = memory();
    let resource = Resource::ImageCountTotal;
    let (plain, regional) = (of(resource), LimitOf { resource, regional: true });
    let lone = write(&db, move |txn| put_limit(txn, &own("p", plain, Limit::AtMost(1))));
    assert!(matches!(lone, Err(Error::Missing(_))));
    let applied = |db: &Db| {
        let read = db.read().unwrap();
        Registered::read(&read).unwrap().applied(&read, &"p".into(), resource).unwrap()
    };
    assert_eq!(applied(&db), Applied::default());
    write(&db, move |txn| put_registered(txn, &registered(plain, Limit::AtMost(5)))).unwrap();
    write(&db, move |txn| insert_limit(txn, &own("p", plain, Limit::Unlimited))).unwrap();
    let found = applied(&db);
    assert_eq!((found.limit, found.own), (Limit::Unlimited, Some(Limit::Unlimited)));
    assert_eq!(found.registered, Limit::AtMost(5));
    let twice = write(&db, move |txn| insert_limit(txn, &own("p", plain, Limit::AtMost(2))));
    assert!(matches!(twice, Err(Error::Exists(_))));
    let again = RegisteredLimit { id: "other".into(), ..registered(plain, Limit::AtMost(9)) };
    assert!(matches!(write(&db, move |txn| put_registered(txn, &again)), Err(Error::Exists(_))));
    write(&db, move |txn| put_registered(txn, &registered(regional, Limit::AtMost(3)))).unwrap();
    assert_eq!((applied(&db).limit, applied(&db).own), (Limit::AtMost(3), None));
    let read = db.read().unwrap();
    assert!(has_limits(&read, plain).unwrap() && !has_limits(&read, regional).unwrap());
    assert_eq!(limits_of(&read, &"p".into()).unwrap(), limits(&read).unwrap());
    write(&db, |txn| delete_of_project(txn, &"p".into())).unwrap();
    assert_eq!(limits(&db.read().unwrap()).unwrap(), []);
}

#[test]
fn what_is_counted_wrong_is_found_and_counted_anew() {
    let db = memory();
    for (id, status) in [(1, Status::Active), (2, Status::Saving), (3, Status::Killed)] {
        write(&db, move |txn| images::insert(txn, &image(id, Some("p"), status))).unwrap();
    }
    write(&db, |txn| reserve(txn, &image(2, Some("p"), Status::Saving), Wish::exactly(5))).unwrap();
    let right = used(&db, "p");
    let (own, all) = (Key::new().byte(1).text("p").into_bytes(), vec![2]);
    let spoil = |db: &Db, key: &[u8], usage: Option<Usage>| {
        let key = key.to_vec();
        write(db, move |txn| match usage {
            Some(usage) => Ok(txn.put_record(&USAGE, &key, &UsageRecord::from(usage))?),
            None => Ok(txn.remove(&USAGE, &key).map(|_| ())?),
        })
        .unwrap();
        assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), [USAGE.name]);
    };
    assert_eq!(usage_of_all(&db.read().unwrap()).unwrap(), right);
    let off_by_one = Usage { image_bytes: right.image_bytes + 1, ..right };
    for key in [&own, &all] {
        spoil(&db, key, Some(off_by_one));
        assert!(!renew(&db).unwrap(), "as many images as there are were counted");
        assert!(write(&db, recount).unwrap());
        assert!(!write(&db, recount).unwrap());
        assert_eq!(used(&db, "p"), right);
    }
    // A release that counts nothing leaves nothing, or the count of another time.
    spoil(&db, &all, None);
    spoil(&db, &own, None);
    assert!(renew(&db).unwrap() && !renew(&db).unwrap());
    assert_eq!(used(&db, "p"), right);
    spoil(&db, &all, Some(Usage { images: 7, ..right }));
    assert!(renew(&db).unwrap());
    spoil(&db, &own, Some(off_by_one));
    reindex(&db).unwrap();
    assert_eq!(used(&db, "p"), right);
    assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), [""; 0]);
}

/// One thing that happens to an image.
#[derive(Debug, Clone)]
enum Act {
    Put(u8, Option<&'static str>, Status),
    Reserve(u8, u64, u64),
    Delete(u8),
    Retain(u8),
    Restore(u8),
    Purge(u8),
}

fn acts() -> impl Strategy<Value = Act> {
    let id = || 1u8..6;
    prop_oneof![
        4 => (id(), select(vec![None, Some("p"), Some("q")]), select(Status::ALL.to_vec()))
            .prop_map(|(id, owner, status)| Act::Put(id, owner, status)),
        3 => (id(), 0u64..6, 0u64..6).prop_map(|(id, least, more)| Act::Reserve(id, least, least + more)),
        1 => id().prop_map(Act::Delete),
        2 => id().prop_map(Act::Retain),
        2 => id().prop_map(Act::Restore),
        1 => id().prop_map(Act::Purge),
    ]
}

fn perform(txn: &WriteTxn, act: &Act) -> Result<(), Error> {
    let id_of = |id: u8| image(id, None, Status::Queued).id;
    match *act {
        Act::Put(id, owner, status) => {
            let new = image(id, owner, status);
            match images::get(txn, &new.id)? {
                Some(_) => images::update(txn, &new),
                None => images::insert(txn, &new),
            }
        }
        Act::Reserve(id, least, most) => match images::get(txn, &id_of(id))? {
            Some(found) => reserve(txn, &found, Wish { least: least * MIB, most: most * MIB }).map(drop),
            None => Ok(()),
        },
        Act::Delete(id) => images::delete(txn, &id_of(id)).map(drop),
        Act::Retain(id) => images::retain(txn, &id_of(id), Time(1)).map(drop),
        Act::Restore(id) => match images::retained(txn, &id_of(id))? {
            Some(retained) => images::restore(txn, &retained.image),
            None => Ok(()),
        },
        Act::Purge(id) => images::purge(txn, &id_of(id)).map(drop),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_usage_is_what_a_count_says_and_within_its_limits(
        most in proptest::array::uniform4(0u32..8),
        acts in proptest::collection::vec(acts(), 1..60),
    ) {
        let db = memory();
        for (resource, most) in Resource::ALL.into_iter().zip(most) {
            write(&db, move |txn| put_registered(txn, &registered(of(resource), Limit::AtMost(most)))).unwrap();
        }
        for act in acts {
            let wanted = act.clone();
            match write(&db, move |txn| perform(txn, &wanted)) {
                Ok(()) | Err(Error::OverLimit(_) | Error::Exists(_) | Error::Missing(_)) => {}
                Err(error) => panic!("{act:?}: {error}"),
            }
            let read = db.read().unwrap();
            prop_assert!(is_whole(&read).unwrap(), "{act:?}");
            for project in ["p", "q"] {
                let used = used(&db, project);
                for (resource, most) in Resource::ALL.into_iter().zip(most) {
                    let most = Limit::AtMost(most).amount(resource).unwrap();
                    prop_assert!(used.amount(resource) <= most, "{act:?}: {used:?}");
                }
            }
        }
    }
}
