//! The promises of links: what they give, to whom and for how long, and who makes and sees them.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::base::OsEntropy;
use crate::model::identity::{Project, Role, Scope, User};
use crate::model::{Interface, ProjectId, UserId};
use crate::service::identity::{Grant, NewProject};
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing::{ManualClock, new_user, rules, sealed_service, service, service_with};
use crate::service::{Origin, Rules, Source};

pub(super) struct World {
    pub(super) service: Service,
    clock: Arc<ManualClock>,
    pub(super) admin: Actor,
    pub(super) ann: Actor,
    pub(super) image: ImageId,
}

/// A member of a project of its own.
fn member(service: &Service, name: &str) -> Actor {
    let admin = service.local_admin().unwrap();
    let project = NewProject {
        name: name.into(),
        domain: None,
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    let project: Project = service.create_project(&admin, project).unwrap();
    let user: User = service.create_user(&admin, new_user(name)).unwrap();
    service.grant_role(&admin, grant(service, &user.id, &project.id)).unwrap();
    acting(service, &user.id, &project.id, None).unwrap()
}

pub(super) fn grant(service: &Service, user: &UserId, project: &ProjectId) -> Grant {
    let rows = service.db.read().unwrap();
    let role = crate::catalog::identity::find::<Role>(&rows, "", "member").unwrap().unwrap().id;
    Grant { user: user.clone(), scope: Scope::Project(project.clone()), role }
}

pub(super) fn acting(
    service: &Service,
    user: &UserId,
    project: &ProjectId,
    credential: Option<&crate::model::ApplicationCredentialId>,
) -> Option<Actor> {
    service.acting_for(&service.db.read().unwrap(), user, project, credential).unwrap()
}

impl World {
    pub(super) async fn new() -> World {
        World::of(service()).await
    }

    pub(super) async fn of((service, clock): (Service, Arc<ManualClock>)) -> World {
        let (admin, ann) = (service.local_admin().unwrap(), member(&service, "ann"));
        let image = image(&service, &ann, Some(b"some data".to_vec())).await;
        World { service, clock, admin, ann, image }
    }

    pub(super) fn make(&self, net: Option<&str>) -> MadeLink {
        self.service.create_image_link(&self.ann, &self.image, new(600, net)).unwrap()
    }

    /// Whether a link gives the image to somebody at this address.
    fn gives_at(&self, made: &MadeLink, address: &str) -> Result<(), LinkRefusal> {
        let source = Source::Peer(address.parse().unwrap());
        let origin = Arc::new(Origin::new(Interface::Native, source, "req-1".into(), "GET /".into()));
        let (actor, link) = self.service.use_image_link(&made.link.id, &made.signature, &origin)?;
        self.service.download_image(&actor, &link.image)?;
        Ok(())
    }

    pub(super) fn gives(&self, made: &MadeLink) -> Result<(), LinkRefusal> {
        self.gives_at(made, "192.0.2.7")
    }

    /// Why a link does not give the image, as records have it.
    pub(super) fn closed(&self, made: &MadeLink) -> String {
        match self.gives(made) {
            Err(LinkRefusal::Closed(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

async fn image(service: &Service, owner: &Actor, data: Option<Vec<u8>>) -> ImageId {
    let fields = [Field::DiskFormat(Some("raw".into())), Field::ContainerFormat(Some("bare".into()))];
    let new = NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() };
    let id = service.create_image(owner, new).unwrap().id;
    if let Some(data) = data {
        let upload = service.begin_upload(owner, &id, None).unwrap();
        upload.receive(stream::iter([Ok(Bytes::from(data))])).await.unwrap();
    }
    id
}

pub(super) fn new(ttl_s: i64, net: Option<&str>) -> NewLink {
    NewLink { ttl_s, gives: LinkGives::Stored, net: net.map(|net| net.parse().unwrap()) }
}

pub(super) fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.err().map(|error| error.kind).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_its_image_until_its_end_and_is_gone_after_it() {
    for made_of in [service(), sealed_service(rules())] {
        let world = World::of(made_of).await;
        let (short, long) = (world.make(None), world.make(None));
        world.gives(&short).unwrap();
        // A right signature of another link, and one that is none.
        let crossed = MadeLink { signature: long.signature.clone(), ..world.make(None) };
        assert!(matches!(world.gives(&crossed), Err(LinkRefusal::Unknown)));
        let stranger = ImageLink { id: LinkId([7; 16]), ..short.link.clone() };
        let stranger = MadeLink { link: stranger, signature: short.signature.clone(), image: long.image };
        assert!(matches!(world.gives(&stranger), Err(LinkRefusal::Unknown)));
        world.clock.step_seconds(600);
        assert_eq!(world.closed(&short), "it has expired");
        assert_eq!(world.service.image_links(&world.ann, &world.image).unwrap(), []);
        assert_eq!(world.service.purge_ended_links().unwrap(), 3);
        assert_eq!(world.service.purge_ended_links().unwrap(), 0);
        assert!(matches!(world.gives(&short), Err(LinkRefusal::Unknown)));
        let rows = world.service.db.read().unwrap();
        assert_eq!(crate::catalog::differing_indexes(&rows).unwrap(), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_link_can_be_changed_in_its_record() {
    let world = World::new().await;
    let made = world.make(Some("192.0.2.0/24"));
    let (other, bob) = (image(&world.service, &world.ann, Some(vec![1])).await, UserId("bob".into()));
    let link = &made.link;
    let changed = [
        ImageLink { image: other, ..link.clone() },
        ImageLink { expires_at: link.expires_at.plus_seconds(1), ..link.clone() },
        ImageLink { format: Some("qcow2".into()), ..link.clone() },
        ImageLink { net: None, ..link.clone() },
        ImageLink { net: Some("192.0.0.0/16".parse().unwrap()), ..link.clone() },
        ImageLink { maker: LinkMaker::LocalAdmin, ..link.clone() },
        ImageLink { maker: LinkMaker::User(bob, None), ..link.clone() },
        ImageLink { project: "p".into(), ..link.clone() },
    ];
    for changed in changed {
        let put = changed.clone();
        world.service.db.write(move |txn| Ok::<_, Error>(image_links::put(txn, &put)?)).unwrap();
        assert!(matches!(world.gives(&made), Err(LinkRefusal::Unknown)), "{changed:?}");
    }
    let put = link.clone();
    world.service.db.write(move |txn| Ok::<_, Error>(image_links::put(txn, &put)?)).unwrap();
    world.gives(&made).unwrap();
    // A catalog that was carried to another box has no root that signed it.
    let elsewhere = world.service.clone().with_access_root(AccessRoot::generate(&OsEntropy));
    let world = World { service: elsewhere, ..world };
    assert!(matches!(world.gives(&made), Err(LinkRefusal::Unknown)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_a_network_is_for_nobody_else() {
    let world = World::new().await;
    for (net, inside, outside) in [
        ("10.1.2.3/8", &["10.0.0.1", "::ffff:10.9.9.9"][..], &["11.0.0.1", "2001:db8::1"][..]),
        ("2001:db8::/32", &["2001:db8::7"], &["2001:db9::7", "10.0.0.1"]),
        ("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.8"]),
    ] {
        let made = world.make(Some(net));
        for address in inside {
            world.gives_at(&made, address).unwrap();
        }
        for address in outside {
            let refused = world.gives_at(&made, address);
            assert!(matches!(refused, Err(LinkRefusal::Closed(_))), "{net} {address}: {refused:?}");
        }
        let local = Arc::new(Origin::new(Interface::Native, Source::Socket, "req-1".into(), "GET /".into()));
        let refused = world.service.use_image_link(&made.link.id, &made.signature, &local);
        assert!(matches!(refused, Err(LinkRefusal::Closed(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_shown_and_revoked_by_their_project_and_the_images() {
    let world = World::new().await;
    let (service, bob, eve) = (&world.service, member(&world.service, "bob"), member(&world.service, "eve"));
    let public = Change::Set(Field::Visibility(crate::model::Visibility::Public));
    service.update_image(&world.admin, &world.image, vec![public]).unwrap();
    let of_ann = world.make(None);
    let of_bob = service.create_image_link(&bob, &world.image, new(600, None)).unwrap();
    let listed = |actor: &Actor| service.image_links(actor, &world.image).unwrap();
    assert_eq!(listed(&world.ann), [of_ann.link.clone(), of_bob.link.clone()]);
    assert_eq!(listed(&world.admin).len(), 2);
    assert_eq!((listed(&bob), listed(&eve)), (vec![of_bob.link.clone()], vec![]));
    let revoke =
        |actor: &Actor, made: &MadeLink| service.delete_image_link(actor, &world.image, &made.link.id);
    assert_eq!(kind(revoke(&bob, &of_ann)), ErrorKind::NotFound);
    assert_eq!(kind(revoke(&eve, &of_bob)), ErrorKind::NotFound);
    revoke(&bob, &of_bob).unwrap();
    assert!(matches!(world.gives(&of_bob), Err(LinkRefusal::Unknown)));
    revoke(&world.admin, &of_ann).unwrap();
    assert!(matches!(world.gives(&of_ann), Err(LinkRefusal::Unknown)));
    assert_eq!(kind(revoke(&world.admin, &of_ann)), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_asked_of_a_link_is_bounded() {
    let links = LinkRules { ttl_max_s: 3600, per_image_max: 2 };
    let world = World::of(service_with(Rules { links, ..rules() })).await;
    let make = |actor: &Actor, image: &ImageId, new: NewLink| {
        world.service.create_image_link(actor, image, new).map(drop)
    };
    for ttl_s in [i64::MIN, -1, 0, 59, 3601, i64::MAX] {
        assert_eq!(kind(make(&world.ann, &world.image, new(ttl_s, None))), ErrorKind::Invalid, "{ttl_s}");
    }
    let empty = image(&world.service, &world.ann, None).await;
    assert_eq!(kind(make(&world.ann, &empty, new(60, None))), ErrorKind::Conflict);
    let bob = member(&world.service, "bob");
    assert_eq!(kind(make(&bob, &world.image, new(60, None))), ErrorKind::NotFound);
    make(&world.ann, &world.image, new(60, None)).unwrap();
    make(&world.ann, &world.image, new(3600, None)).unwrap();
    assert_eq!(kind(make(&world.ann, &world.image, new(60, None))), ErrorKind::TooLarge);
    // One project's are not counted against another's, nor those that are over.
    make(&world.admin, &world.image, new(60, None)).unwrap();
    world.clock.step_seconds(61);
    make(&world.ann, &world.image, new(60, None)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_without_a_root_makes_no_links_and_says_so() {
    let world = World::new().await;
    let without = Service { access_root: None, ..world.service.clone() };
    let refused = without.create_image_link(&world.ann, &world.image, new(60, None)).err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.message.contains("without a root"), "{}", refused.message);
}
