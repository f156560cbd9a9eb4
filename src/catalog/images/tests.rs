//! The listing against a model that reads every image, and the catalog's own promises.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::base::Time;
use crate::catalog::{differing_indexes, members, reindex};
use crate::db::{Db, Options};
use crate::model::image::{Member, MemberStatus};
use crate::model::{Digests, ProjectId, SecureHash, Status, Visibility};

fn memory() -> Db {
    Db::open_on(redb::backends::InMemoryBackend::new(), Options::default()).unwrap()
}

/// An image with nothing set, its id made of one byte.
/// Digests of every kind that a setting can have made.
fn digests(n: u8) -> Digests {
    let (md5, secure) = match n {
        0 => (Some([n; 16]), Some(SecureHash::Sha512([n; 64]))),
        1 => (None, Some(SecureHash::Sha256([n; 32]))),
        2 => (Some([n; 16]), Some(SecureHash::Sha256([n; 32]))),
        _ => (None, None),
    };
    Digests { md5, secure, blake3: [n; 32] }
}

pub(super) fn plain_image(id: u8) -> Image {
    Image {
        id: ImageId(uuid::Uuid::from_bytes([id; 16])),
        name: None,
        status: Status::Queued,
        visibility: Visibility::Private,
        protected: false,
        hidden: false,
        owner: None,
        container_format: None,
        disk_format: None,
        min_disk_gib: 0,
        min_ram_mib: 0,
        size_bytes: None,
        virtual_size_bytes: None,
        verdict: None,
        digests: None,
        content: None,
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

fn member(image: &Image, project: &str, status: MemberStatus) -> Member {
    Member { image: image.id, project: project.into(), status, created_at: Time(1), updated_at: Time(1) }
}

fn index_rows(db: &Db) -> Vec<(Vec<u8>, Vec<u8>)> {
    let read = db.read().unwrap();
    let mut all = Vec::new();
    for table in [rows::INDEX, Table::derived("image-members-by-project-1")] {
        let range = (Bound::Unbounded, Bound::Unbounded);
        all.extend(read.rows(&table, range).unwrap().map(Result::unwrap));
    }
    all
}

#[test]
fn an_id_is_used_for_ever() {
    let db = memory();
    let image = plain_image(1);
    let id = image.id;
    db.write(move |txn| insert(txn, &image)).unwrap();
    let deleted = db.write(move |txn| delete(txn, &id)).unwrap();
    assert_eq!(deleted, Some(plain_image(1)));
    assert!(is_used(&db.read().unwrap(), &id).unwrap());
    let again = db.write(|txn| insert(txn, &plain_image(1)));
    assert!(matches!(again, Err(Error::Exists(_))));
    assert_eq!(db.write(move |txn| delete(txn, &id)).unwrap(), None);
}

#[test]
fn a_deleted_image_does_not_come_back_by_an_update() {
    let db = memory();
    db.write(|txn| insert(txn, &plain_image(1))).unwrap();
    db.write(|txn| delete(txn, &plain_image(1).id)).unwrap();
    assert!(matches!(db.write(|txn| update(txn, &plain_image(1))), Err(Error::Missing(_))));
}

#[test]
fn deleting_an_image_leaves_nothing_but_its_id() {
    let db = memory();
    db.write(|txn| {
        insert(txn, &plain_image(1))?;
        members::insert(txn, &member(&plain_image(1), "a", MemberStatus::Accepted))?;
        members::insert(txn, &member(&plain_image(1), "b", MemberStatus::Pending))
    })
    .unwrap();
    assert_eq!(count(&db.read().unwrap()).unwrap(), 1);
    db.write(|txn| delete(txn, &plain_image(1).id)).unwrap();
    assert_eq!(count(&db.read().unwrap()).unwrap(), 0);
    assert_eq!(members::list(&db.read().unwrap(), &plain_image(1).id).unwrap(), []);
    assert_eq!(index_rows(&db), []);
}

#[test]
fn a_project_is_a_member_once() {
    let db = memory();
    let offer = member(&plain_image(1), "a", MemberStatus::Pending);
    let first = offer.clone();
    db.write(move |txn| members::insert(txn, &first)).unwrap();
    let again = offer.clone();
    assert!(matches!(db.write(move |txn| members::insert(txn, &again)), Err(Error::Exists(_))));
    let taken = Member { status: MemberStatus::Accepted, ..offer.clone() };
    let update = taken.clone();
    db.write(move |txn| members::update(txn, &update)).unwrap();
    assert_eq!(members::list(&db.read().unwrap(), &offer.image).unwrap(), [taken]);
    assert_eq!(index_rows(&db).len(), 1);
    let (image, project) = (offer.image, offer.project.clone());
    assert!(db.write(move |txn| members::delete(txn, &image, &project)).unwrap());
    let update = offer.clone();
    assert!(matches!(db.write(move |txn| members::update(txn, &update)), Err(Error::Missing(_))));
}

#[test]
fn images_are_visited_in_id_order() {
    let db = memory();
    db.write(|txn| [3, 1, 2].iter().try_for_each(|id| insert(txn, &plain_image(*id)))).unwrap();
    let mut seen = Vec::new();
    for_each(&db.read().unwrap(), &mut |image| seen.push(image)).unwrap();
    assert_eq!(seen, [plain_image(1), plain_image(2), plain_image(3)]);
}

const PROJECTS: [&str; 3] = ["p", "q", "q\0"];
const NAMES: [&str; 4] = ["", "a", "a\0", "é"];
const MEMBER_STATES: [MemberStatus; 3] =
    [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected];
const SORT_KEYS: [SortKey; 8] = [
    SortKey::Name,
    SortKey::Status,
    SortKey::ContainerFormat,
    SortKey::DiskFormat,
    SortKey::Size,
    SortKey::Id,
    SortKey::CreatedAt,
    SortKey::UpdatedAt,
];
const COMPARISONS: [Comparison; 6] = [
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::GreaterOrEqual,
    Comparison::Greater,
];

fn text(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(of).prop_map(str::to_owned)
}

fn time() -> impl Strategy<Value = Time> {
    (-2i64..3, 0i64..2).prop_map(|(second, half)| Time(second * Time::SECOND + half * 500_000))
}

/// Few values of everything, so that images tie in every way.
fn image() -> impl Strategy<Value = Image> {
    let words = (
        proptest::option::of(text(&NAMES)),
        select(&Status::ALL[..]),
        select(&Visibility::ALL[..]),
        proptest::option::weighted(0.8, text(&PROJECTS)),
        proptest::option::of(text(&["ami", "bare"])),
        proptest::option::of(text(&["raw", "qcow2"])),
    );
    let numbers = (0u64..2, 0u64..2, proptest::option::of(0u64..3), proptest::option::of(0u64..2));
    let marks = (any::<bool>(), proptest::bool::weighted(0.1), proptest::option::of(0u8..4));
    let labels = (subsequence(vec!["s", "t"], 0..=2), proptest::option::of(text(&["v", "w"])));
    (words, numbers, marks, labels, time(), time()).prop_map(
        |(words, numbers, marks, (tags, property), created_at, updated_at)| Image {
            name: words.0,
            status: words.1,
            visibility: words.2,
            owner: words.3.map(ProjectId),
            container_format: words.4,
            disk_format: words.5,
            min_disk_gib: numbers.0,
            min_ram_mib: numbers.1,
            size_bytes: numbers.2,
            virtual_size_bytes: numbers.3,
            protected: marks.0,
            hidden: marks.1,
            digests: marks.2.map(digests),
            tags: tags.into_iter().map(str::to_owned).collect(),
            properties: property.map(|value| ("k".to_owned(), value)).into_iter().collect(),
            created_at,
            updated_at,
            ..plain_image(0)
        },
    )
}

#[derive(Debug, Clone)]
struct World {
    images: Vec<Image>,
    members: Vec<Member>,
    deleted: Vec<ImageId>,
}

/// Images, some changed after they were added, some deleted; and members, some changed.
fn world() -> impl Strategy<Value = (World, Vec<Image>)> {
    let shares =
        proptest::collection::btree_map((0usize..40, text(&PROJECTS)), select(&MEMBER_STATES[..]), 0..40);
    (
        proptest::collection::vec((image(), proptest::option::weighted(0.3, image())), 0..40),
        shares,
        proptest::collection::vec(0usize..40, 0..4),
    )
        .prop_map(|(pairs, shares, deleted)| {
            let count = pairs.len();
            let named = |n: usize, image: Image| Image { id: plain_image((n * 37 % 251) as u8).id, ..image };
            let (first, last): (Vec<_>, Vec<_>) = pairs
                .into_iter()
                .enumerate()
                .map(|(n, (first, second))| (named(n, first.clone()), named(n, second.unwrap_or(first))))
                .unzip();
            let members = shares
                .into_iter()
                .filter(|((n, _), _)| *n < count)
                .map(|((n, project), status)| member(&last[n], &project, status))
                .collect();
            let deleted = deleted.into_iter().filter(|n| *n < count).map(|n| last[n].id).collect();
            (World { images: last, members, deleted }, first)
        })
}

fn fill(world: &World, first: Vec<Image>) -> Db {
    let db = memory();
    let world = world.clone();
    db.write(move |txn| {
        first.iter().try_for_each(|image| insert(txn, image))?;
        for last in &world.members {
            members::insert(txn, &Member { status: MemberStatus::Pending, ..last.clone() })?;
            members::update(txn, last)?;
        }
        world.images.iter().try_for_each(|image| update(txn, image))?;
        world.deleted.iter().try_for_each(|id| delete(txn, id).map(|_| ()))
    })
    .unwrap();
    db
}

fn some<T: Clone + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Vec<T>>> {
    proptest::option::weighted(0.15, proptest::collection::vec(values, 0..3))
}

fn bounds() -> impl Strategy<Value = NumberBounds> {
    let bound = || proptest::option::weighted(0.12, 0u64..3);
    (bound(), bound(), proptest::bool::weighted(0.2))
        .prop_map(|(min, max, exact)| NumberBounds { min, max: if exact { min } else { max } })
}

fn times() -> impl Strategy<Value = Vec<(Comparison, Time)>> {
    proptest::collection::vec((select(&COMPARISONS[..]), time()), 0..3)
        .prop_flat_map(|bounds| select(vec![Vec::new(), Vec::new(), Vec::new(), bounds]))
}

fn filters() -> impl Strategy<Value = Filters> {
    let id = (0usize..40).prop_map(|n| plain_image((n * 37 % 251) as u8).id.to_string());
    let words = (
        some(prop_oneof![9 => id, 1 => Just("none".to_owned())]),
        some(text(&NAMES)),
        some(text(&["queued", "saving", "active", "killed"])),
        some(text(&["ami", "bare", ""])),
        some(text(&["raw", "qcow2", "iso"])),
        proptest::option::weighted(0.4, proptest::option::weighted(0.8, select(&Visibility::ALL[..]))),
        proptest::option::weighted(0.2, text(&PROJECTS)),
    );
    let marks = (proptest::bool::weighted(0.1), proptest::option::weighted(0.1, any::<bool>()));
    let labels = (
        subsequence(vec!["s", "t"], 0..=2),
        proptest::option::weighted(0.1, text(&["v", "w", "x"])),
        proptest::option::weighted(0.05, (0u8..3).prop_map(|n| hex::encode([n; 16]))),
        proptest::option::weighted(
            0.05,
            (0u8..3).prop_map(|n| hex::encode(&[n; 64][..if n == 0 { 64 } else { 32 }])),
        ),
        proptest::option::weighted(0.05, text(&["sha512", "sha256"])),
        any::<bool>(),
    );
    let absent = vec![Absent::Refused, Absent::Admitted, Absent::IfIso, Absent::UnlessIso];
    let property_test =
        (subsequence(vec!["v", "w", "x"], 0..=2), select(absent)).prop_map(|(any_of, absent)| PropertyTest {
            name: "k".into(),
            any_of: any_of.into_iter().map(str::to_owned).collect(),
            absent,
        });
    let tag_test = (subsequence(vec!["s", "t"], 0..=2), proptest::option::of(text(&["", "s", "t", "x"])));
    let tag_test = tag_test.prop_map(|(any_of, prefix)| TagTest {
        any_of: any_of.into_iter().map(str::to_owned).collect(),
        prefix,
    });
    let tests = (
        proptest::option::weighted(0.15, property_test),
        proptest::option::weighted(0.15, tag_test),
        proptest::option::weighted(0.3, select(vec![Standing::Kept, Standing::Shared, Standing::Received])),
    );
    (words, marks, labels, [bounds(), bounds(), bounds(), bounds()], (times(), times()), tests).prop_map(
        |(words, marks, labels, [size, min_ram, min_disk, virtual_size], (created_at, updated_at), tests)| {
            Filters {
                property_tests: tests.0.into_iter().collect(),
                tag_tests: tests.1.into_iter().collect(),
                standing: tests.2,
                ids: words.0,
                names: words.1,
                statuses: words.2,
                container_formats: words.3,
                disk_formats: words.4,
                visibility: words.5,
                owner: words.6,
                hidden: marks.0,
                protected: marks.1,
                tags: if labels.5 { Vec::new() } else { labels.0.into_iter().map(str::to_owned).collect() },
                properties: labels.1.map(|value| ("k".to_owned(), value)).into_iter().collect(),
                checksum: labels.2,
                hash_value: labels.3,
                hash_algo: labels.4,
                size,
                min_ram,
                min_disk,
                virtual_size,
                created_at,
                updated_at,
            }
        },
    )
}

fn viewer() -> impl Strategy<Value = Viewer> {
    prop_oneof![
        1 => proptest::option::of(text(&PROJECTS))
            .prop_map(|project| Viewer::Admin { project: project.map(ProjectId) }),
        3 => (text(&PROJECTS), proptest::option::of(select(&MEMBER_STATES[..])))
            .prop_map(|(project, member_status)| Viewer::Project { project: ProjectId(project), member_status }),
    ]
}

fn sort() -> impl Strategy<Value = Vec<(SortKey, Direction)>> {
    let direction = select(vec![Direction::Ascending, Direction::Descending]);
    proptest::collection::vec((select(&SORT_KEYS[..]), direction), 0..4)
}

/// Written from the words of the Image API, with nothing of the index in it.
mod model {
    use super::*;

    pub fn list(world: &World, query: &ListQuery) -> Vec<Image> {
        let mut sort = query.sort.clone();
        if sort.is_empty() {
            sort.push((SortKey::CreatedAt, Direction::Descending));
        }
        let ties = if sort.len() == 1 { sort[0].1 } else { Direction::Descending };
        sort.extend([(SortKey::CreatedAt, ties), (SortKey::Id, ties)]);
        let mut images: Vec<_> =
            world.images.iter().filter(|image| !world.deleted.contains(&image.id)).cloned().collect();
        images.sort_by(|a, b| compare(&sort, a, b));
        let behind = match query.after {
            None => 0,
            Some(id) => images.iter().position(|image| image.id == id).unwrap() + 1,
        };
        images.drain(..behind);
        images.retain(|image| appears(world, query, image) && passes(&query.filters, image));
        images.truncate(query.limit);
        images
    }

    fn compare(sort: &[(SortKey, Direction)], a: &Image, b: &Image) -> Ordering {
        for (key, direction) in sort {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let ordering = match key {
                SortKey::Name => text(&a.name).cmp(&text(&b.name)),
                SortKey::Status => a.status.as_str().cmp(b.status.as_str()),
                SortKey::ContainerFormat => text(&a.container_format).cmp(&text(&b.container_format)),
                SortKey::DiskFormat => text(&a.disk_format).cmp(&text(&b.disk_format)),
                SortKey::Size => a.size_bytes.unwrap_or(0).cmp(&b.size_bytes.unwrap_or(0)),
                SortKey::Id => a.id.to_string().cmp(&b.id.to_string()),
                SortKey::CreatedAt => a.created_at.cmp(&b.created_at),
                SortKey::UpdatedAt => a.updated_at.cmp(&b.updated_at),
            };
            let ordering = if *direction == Direction::Ascending { ordering } else { ordering.reverse() };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }

    fn appears(world: &World, query: &ListQuery, image: &Image) -> bool {
        let (project, candidate) = match &query.viewer {
            Viewer::Admin { project } => (project.as_ref(), true),
            Viewer::Project { project, member_status } => {
                let has_members = world.members.iter().any(|member| member.image == image.id);
                let share = world.members.iter().any(|member| {
                    member.image == image.id
                        && member.project == *project
                        && member_status.is_none_or(|status| member.status == status)
                });
                let visible = image.owner.is_none()
                    || image.owner.as_ref() == Some(project)
                    || image.visibility == Visibility::Public
                    || image.visibility == Visibility::Community
                    || image.visibility == Visibility::Shared && share;
                let own = image.owner.as_ref() == Some(project);
                let is_shared = image.visibility == Visibility::Shared;
                let received = image.owner.is_some() && !own && is_shared && share;
                let stands = match query.filters.standing {
                    None => visible,
                    Some(Standing::Kept) => {
                        own && image.visibility != Visibility::Public && !(is_shared && has_members)
                    }
                    Some(Standing::Shared) => received || own && is_shared && has_members,
                    Some(Standing::Received) => received,
                };
                (Some(project), stands)
            }
        };
        let own = project.is_some() && image.owner.as_ref() == project;
        candidate
            && match query.filters.visibility {
                None => own || image.visibility != Visibility::Community,
                Some(None) => true,
                Some(Some(visibility)) => image.visibility == visibility,
            }
    }

    fn passes(filters: &Filters, image: &Image) -> bool {
        passes_tests(filters, image) && passes_rest(filters, image)
    }

    fn passes_tests(filters: &Filters, image: &Image) -> bool {
        let is_iso = image.disk_format == Some("iso".to_owned());
        filters.property_tests.iter().all(|test| match image.properties.get(&test.name) {
            Some(value) => test.any_of.iter().any(|wanted| wanted == value),
            None => match test.absent {
                Absent::Refused => false,
                Absent::Admitted => true,
                Absent::IfIso => is_iso,
                Absent::UnlessIso => !is_iso,
            },
        }) && filters.tag_tests.iter().all(|test| {
            image.tags.iter().any(|tag| {
                test.any_of.contains(tag) || test.prefix.as_ref().is_some_and(|p| tag.starts_with(p.as_str()))
            })
        })
    }

    fn passes_rest(filters: &Filters, image: &Image) -> bool {
        let any = |wanted: &Option<Vec<String>>, value: Option<String>| match wanted {
            None => true,
            Some(wanted) => value.is_some_and(|value| wanted.contains(&value)),
        };
        let within = |bounds: NumberBounds, value: Option<u64>| match value {
            Some(value) => value >= bounds.min.unwrap_or(0) && value <= bounds.max.unwrap_or(u64::MAX),
            None => bounds == NumberBounds::default(),
        };
        let timely = |bounds: &[(Comparison, Time)], time: Time| {
            bounds.iter().all(|(comparison, bound)| {
                let ordering = time.0.div_euclid(1_000_000).cmp(&bound.0.div_euclid(1_000_000));
                match comparison {
                    Comparison::Less => ordering.is_lt(),
                    Comparison::LessOrEqual => ordering.is_le(),
                    Comparison::Equal => ordering.is_eq(),
                    Comparison::NotEqual => ordering.is_ne(),
                    Comparison::GreaterOrEqual => ordering.is_ge(),
                    Comparison::Greater => ordering.is_gt(),
                }
            })
        };
        let one = |wanted: &Option<String>| wanted.clone().map(|wanted| vec![wanted]);
        let digests = image.digests.as_ref();
        let secure = digests.and_then(|digests| digests.secure);
        any(&filters.ids, Some(image.id.to_string()))
            && any(&filters.names, image.name.clone())
            && any(&filters.statuses, Some(image.status.as_str().to_owned()))
            && any(&filters.container_formats, image.container_format.clone())
            && any(&filters.disk_formats, image.disk_format.clone())
            && any(&one(&filters.owner), image.owner.as_ref().map(|owner| owner.0.clone()))
            && image.hidden == filters.hidden
            && (filters.protected.is_none() || filters.protected == Some(image.protected))
            && filters.tags.iter().all(|tag| image.tags.contains(tag))
            && filters.properties.iter().all(|(name, value)| image.properties.get(name) == Some(value))
            && any(&one(&filters.checksum), digests.and_then(|d| d.md5).map(hex::encode))
            && any(&one(&filters.hash_value), secure.map(|hash| hex::encode(hash.value())))
            && any(&one(&filters.hash_algo), secure.map(|hash| hash.algorithm().as_str().to_owned()))
            && within(filters.size, image.size_bytes)
            && within(filters.min_ram, Some(image.min_ram_mib))
            && within(filters.min_disk, Some(image.min_disk_gib))
            && within(filters.virtual_size, image.virtual_size_bytes)
            && timely(&filters.created_at, image.created_at)
            && timely(&filters.updated_at, image.updated_at)
    }
}

type Question = (Viewer, Filters, Vec<(SortKey, Direction)>, usize, prop::sample::Index);

/// Asks for the question's page, then for the pages behind it, as a client would.
fn check_pages(world: &World, db: &Db, question: Question) -> Result<(), TestCaseError> {
    let (viewer, filters, sort, limit, start) = question;
    let read = db.read().unwrap();
    let there: Vec<_> = world.images.iter().filter(|image| !world.deleted.contains(&image.id)).collect();
    // Any image may be the marker, not only one that the listing shows.
    let start = start.index(there.len() + 1).checked_sub(1).map(|n| there[n].id);
    let mut query = ListQuery { viewer, filters, sort, after: start, limit };
    loop {
        let expected = model::list(world, &query);
        let page = list(&read, &query).unwrap();
        prop_assert_eq!(&page, &expected, "{:?}", query);
        // The same where even these few images are too many to sort.
        prop_assert_eq!(listing::list_gathering(&read, &query, 1).unwrap(), expected, "{:?}", query);
        match page.last() {
            Some(last) => query.after = Some(last.id),
            None => return Ok(()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_listing_is_what_a_full_scan_would_give(
        (world, first) in world(),
        filtered in proptest::collection::vec(
            (viewer(), filters(), sort(), 0usize..12, any::<prop::sample::Index>()), 40),
        plain in proptest::collection::vec(
            (viewer(), Just(Filters::default()), sort(), 1usize..12, any::<prop::sample::Index>()), 20),
    ) {
        let db = fill(&world, first);
        for question in filtered.into_iter().chain(plain) {
            check_pages(&world, &db, question)?;
        }
    }

    #[test]
    fn an_index_of_an_older_form_is_made_anew((world, first) in world()) {
        let db = fill(&world, first);
        prop_assert!(!renew_index(&db).unwrap());
        // As a release before left it: its rows, none of ours, and perhaps some of a cut-off start.
        let old = db.write(|txn| {
            rows::OLD_INDEXES.iter().try_for_each(|table| txn.put(table, b"old", &[]))?;
            txn.put(&rows::INDEX, b"cut off", &[])
        });
        old.unwrap();
        prop_assert!(renew_index(&db).unwrap());
        prop_assert!(differing_indexes(&db.read().unwrap()).unwrap().is_empty());
        prop_assert!(!renew_index(&db).unwrap());
    }

    #[test]
    fn reindexing_makes_exactly_what_follows((world, first) in world()) {
        let db = fill(&world, first);
        let before = index_rows(&db);
        db.write(|txn| txn.put(&rows::INDEX, b"of no image", b"")).unwrap();
        reindex(&db).unwrap();
        prop_assert_eq!(before, index_rows(&db));
        prop_assert!(differing_indexes(&db.read().unwrap()).unwrap().is_empty());
        db.write(|txn| txn.put(&rows::INDEX, b"of no image", b"")).unwrap();
        prop_assert_eq!(differing_indexes(&db.read().unwrap()).unwrap(), [rows::INDEX.name]);
    }
}
