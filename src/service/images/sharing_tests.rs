//! Sharing with projects and domains: every rule, every refusal by its reason, and what members see.

use super::*;
use crate::catalog::images::Filters;
use crate::model::identity::Scope;
use crate::service::identity::{NewDomain, NewProject};
use crate::service::images::{Change, Field, Listing, NewImage};
use crate::service::testing;

struct World {
    service: Service,
    admin: Actor,
    owner: Actor,
    mine: ProjectId,
    friend: ProjectId,
    domain: DomainId,
    image: ImageId,
}

fn acting(project: &ProjectId, roles: &[&str]) -> Actor {
    Actor {
        user: "u".into(),
        scope: Some(Scope::Project(project.clone())),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Actor::system()
    }
}

fn member(project: &ProjectId) -> Actor {
    acting(project, &["member", "reader"])
}

fn project(service: &Service, admin: &Actor, name: &str, domain: Option<&DomainId>) -> ProjectId {
    let new = NewProject {
        name: name.into(),
        domain: domain.cloned(),
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    service.create_project(admin, new).unwrap().id
}

impl World {
    fn new() -> World {
        let (service, _) = testing::service();
        let admin = service.local_admin().unwrap();
        let new =
            NewDomain { name: "abroad".into(), description: None, enabled: true, extra: Default::default() };
        let domain = service.create_domain(&admin, new).unwrap().id;
        let mine = project(&service, &admin, "mine", None);
        let friend = project(&service, &admin, "friend", Some(&domain));
        let owner = member(&mine);
        let image = active(&service, &owner, &[]);
        World { service, admin, owner, mine, friend, domain, image }
    }

    fn share(&self, image: &ImageId, with: &Recipient) -> Result<(), Error> {
        let mut shared =
            self.service.share_images(&self.owner, &[*image], std::slice::from_ref(with)).unwrap();
        shared.remove(0).outcome
    }

    fn refusal(&self, image: &ImageId, with: &Recipient) -> Option<Reason> {
        self.share(image, with).unwrap_err().reason
    }

    fn with_friend(&self) -> Recipient {
        Recipient::Project(self.friend.clone())
    }

    fn with_domain(&self) -> Recipient {
        Recipient::Domain(self.domain.clone())
    }

    /// The images that a project lists, with shares in this state.
    fn listed(&self, project: &ProjectId, status: MemberStatus) -> Vec<ImageId> {
        let listing = Listing {
            filters: Filters { visibility: Some(Some(Visibility::Shared)), ..Filters::default() },
            member_status: Some(status),
            limit: 10,
            ..Listing::default()
        };
        let listed = self.service.list_project_images(&member(project), listing).unwrap();
        listed.into_iter().map(|(image, _)| image.id).collect()
    }
}

/// An image that was made active behind the product's back, with these properties.
fn active(service: &Service, owner: &Actor, properties: &[(&str, &str)]) -> ImageId {
    let changes = vec![Change::Set(Field::Visibility(Visibility::Private))];
    let mut image = service.create_image(owner, NewImage { id: None, changes }).unwrap();
    image.status = Status::Active;
    image.properties.extend(properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let id = image.id;
    service.db.write(move |txn| Ok::<_, Error>(images::update(txn, &image)?)).unwrap();
    id
}

#[test]
fn a_share_with_a_project_is_offered_taken_declined_and_taken_back() {
    let w = World::new();
    w.share(&w.image, &w.with_friend()).unwrap();
    assert_eq!(w.listed(&w.friend, MemberStatus::Accepted), []);
    assert_eq!(w.listed(&w.friend, MemberStatus::Pending), [w.image]);
    let friend = member(&w.friend);
    for status in [MemberStatus::Accepted, MemberStatus::Rejected, MemberStatus::Accepted] {
        let answered = w.service.answer_shares(&friend, &[w.image], &w.friend, status).unwrap();
        assert!(answered[0].outcome.is_ok());
        assert_eq!(w.listed(&w.friend, status), [w.image]);
    }
    w.service.unshare_images(&w.owner, &[w.image], &[w.with_friend()]).unwrap()[0].outcome.as_ref().unwrap();
    assert_eq!(w.listed(&w.friend, MemberStatus::Accepted), []);
    let gone = w.service.unshare_images(&w.owner, &[w.image], &[w.with_friend()]).unwrap();
    assert_eq!(gone[0].outcome.as_ref().unwrap_err().reason, Some(Reason::NoMember));
    // Each is on record with its outcome.
    let query = crate::service::audit::Query { limit: 20, ..Default::default() };
    let told: Vec<_> = w.service.audit_traces(&w.admin, &query).unwrap().traces;
    let of = |name: &str| told.iter().filter(|trace| trace.content.operation == name).count();
    assert_eq!((of("addMember"), of("updateMember"), of("deleteMember")), (1, 3, 2));
}

#[test]
fn a_share_with_a_domain_holds_for_all_its_projects_and_each_answers_for_itself() {
    let w = World::new();
    w.share(&w.image, &w.with_domain()).unwrap();
    let later = project(&w.service, &w.admin, "later", Some(&w.domain));
    for project in [&w.friend, &later] {
        assert_eq!(w.listed(project, MemberStatus::Pending), [w.image]);
        w.service.show_image(&member(project), &w.image).unwrap();
    }
    let accepted = MemberStatus::Accepted;
    w.service.answer_shares(&member(&later), &[w.image], &later, accepted).unwrap()[0]
        .outcome
        .as_ref()
        .unwrap();
    assert_eq!(w.listed(&later, accepted), [w.image]);
    assert_eq!(w.listed(&w.friend, accepted), []);
    // The Image API's own way answers such a share too.
    w.service.answer_image_share(&member(&w.friend), &w.image, &w.friend, accepted).unwrap();
    assert_eq!(w.listed(&w.friend, accepted), [w.image]);
    let elsewhere = project(&w.service, &w.admin, "elsewhere", None);
    assert_eq!(w.service.show_image(&member(&elsewhere), &w.image).unwrap_err().kind, ErrorKind::NotFound);
    let shares = w.service.image_shares(&w.owner, &w.image).unwrap();
    assert_eq!((shares.projects.len(), shares.domains[0].domain.clone()), (0, w.domain.clone()));
    assert_eq!(w.service.image_shares(&member(&later), &w.image).unwrap().domains, []);
    // It must be taken back before the image can go.
    assert_eq!(w.service.delete_image(&w.owner, &w.image).unwrap_err().kind, ErrorKind::Conflict);
    w.service.unshare_images(&w.owner, &[w.image], &[w.with_domain()]).unwrap()[0].outcome.as_ref().unwrap();
    assert_eq!(w.service.show_image(&member(&later), &w.image).unwrap_err().kind, ErrorKind::NotFound);
    // Offered again, nobody has taken it yet.
    w.share(&w.image, &w.with_domain()).unwrap();
    assert_eq!(w.listed(&later, accepted), []);
    w.service.unshare_images(&w.owner, &[w.image], &[w.with_domain()]).unwrap();
    w.service.delete_image(&w.owner, &w.image).unwrap();
    assert_eq!(crate::catalog::differing_indexes(&w.service.db.read().unwrap()).unwrap(), [""; 0]);
}

#[test]
fn a_projects_own_share_counts_before_that_of_its_domain() {
    let w = World::new();
    w.share(&w.image, &w.with_domain()).unwrap();
    w.share(&w.image, &w.with_friend()).unwrap();
    let friend = member(&w.friend);
    w.service.answer_shares(&friend, &[w.image], &w.friend, MemberStatus::Rejected).unwrap();
    assert_eq!(w.listed(&w.friend, MemberStatus::Rejected), [w.image]);
    assert_eq!(w.listed(&w.friend, MemberStatus::Pending), []);
    w.service.unshare_images(&w.owner, &[w.image], &[w.with_friend()]).unwrap();
    assert_eq!(w.listed(&w.friend, MemberStatus::Pending), [w.image], "the domain's share is left");
}

#[test]
fn p2_every_rule_refuses_with_its_own_reason() {
    let w = World::new();
    let friend = w.with_friend();
    let with = |text: &str| Recipient::Project(text.into());
    assert_eq!(w.refusal(&w.image, &Recipient::Project(w.mine.clone())), Some(Reason::ShareWithSelf));
    assert_eq!(w.refusal(&w.image, &with("")), Some(Reason::NoRecipient));
    assert_eq!(w.refusal(&w.image, &with("nobody")), Some(Reason::UnknownProject));
    assert_eq!(w.refusal(&w.image, &Recipient::Domain("nobody".into())), Some(Reason::UnknownProject));
    let queued = w.service.create_image(&w.owner, NewImage::default()).unwrap().id;
    assert_eq!(w.refusal(&queued, &friend), Some(Reason::NotActive));
    for (property, value, reason) in [
        ("__system__cmkid", "key", Reason::Encrypted),
        ("__productcode", "x", Reason::MarketImage),
        ("__whole_image", "true", Reason::WholeImage),
    ] {
        let image = active(&w.service, &w.owner, &[(property, value)]);
        assert_eq!(w.refusal(&image, &friend), Some(reason), "{property}");
    }
    w.share(&w.image, &friend).unwrap();
    assert_eq!(w.refusal(&w.image, &friend), Some(Reason::MemberExists));
    // Whoever it is shared with does not share it on, an administrator no more than others.
    for stranger in [member(&w.friend), acting(&w.friend, &["admin", "member", "reader"])] {
        let third = project(&w.service, &w.admin, &format!("third-{}", stranger.roles.len()), None);
        let shared = w.service.share_images(&stranger, &[w.image], &[Recipient::Project(third)]).unwrap();
        assert_eq!(shared[0].outcome.as_ref().unwrap_err().reason, Some(Reason::NotOwner));
    }
    let reader = acting(&w.mine, &["reader"]);
    let shared = w.service.share_images(&reader, &[w.image], &[w.with_domain()]).unwrap();
    assert_eq!(shared[0].outcome.as_ref().unwrap_err().reason, Some(Reason::Role));
    let answer = |actor: &Actor, project: &ProjectId| {
        w.service.answer_shares(actor, &[w.image], project, MemberStatus::Accepted)
    };
    assert_eq!(answer(&w.owner, &w.friend).unwrap_err().reason, Some(Reason::OtherProject));
    let stranger = project(&w.service, &w.admin, "stranger", None);
    let answered = answer(&member(&stranger), &stranger).unwrap();
    assert_eq!(answered[0].outcome.as_ref().unwrap_err().kind, ErrorKind::NotFound, "it may not even know");
    let public = active(&w.service, &w.owner, &[]);
    let change = vec![Change::Set(Field::Visibility(Visibility::Public))];
    w.service.update_image(&w.admin, &public, change).unwrap();
    assert_eq!(w.refusal(&public, &friend), Some(Reason::PublicShare));
}

#[test]
fn p2_one_pair_that_is_refused_stops_no_other_and_requests_are_bounded() {
    let w = World::new();
    let other = active(&w.service, &w.owner, &[("__system__cmkid", "key")]);
    let with = [w.with_friend(), w.with_domain()];
    let shared = w.service.share_images(&w.owner, &[w.image, other], &with).unwrap();
    let outcomes: Vec<_> = shared.iter().map(|shared| shared.outcome.is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, false]);
    assert!(w.service.share_images(&w.owner, &[], &with).is_err());
    assert!(w.service.share_images(&w.owner, &[w.image], &[]).is_err());
    let many = vec![w.image; SHARED_PAIRS_MAX];
    assert!(w.service.share_images(&w.owner, &many, &with).is_err());
}

#[test]
fn p2_an_image_has_as_many_members_as_it_may_and_no_more() {
    let w = World::new();
    let whole = active(&w.service, &w.owner, &[("__whole_image", "true"), ("__backup_id", "b")]);
    for (image, most) in [(w.image, IMAGE_MEMBERS_MAX), (whole, WHOLE_IMAGE_MEMBERS_MAX)] {
        let now = w.service.now();
        let full = move |txn: &WriteTxn| {
            for number in 1..most {
                let project = ProjectId(format!("p{number}"));
                let status = MemberStatus::Pending;
                let member = Member { image, project, status, created_at: now, updated_at: now };
                members::insert(txn, &member)?;
            }
            Ok::<_, Error>(())
        };
        w.service.db.write(full).unwrap();
        w.share(&image, &w.with_domain()).unwrap();
        assert_eq!(w.refusal(&image, &w.with_friend()), Some(Reason::TooManyMembers));
    }
}

#[test]
fn who_may_copy_is_the_owner_and_a_member_that_took_the_offer() {
    let w = World::new();
    w.share(&w.image, &w.with_friend()).unwrap();
    let may = |actor: &Actor, image: &ImageId| {
        let read = w.service.db.read().unwrap();
        let image = images::get(&read, image).unwrap().unwrap();
        expect_may_copy(&read, actor, &image).map_err(|error| error.reason)
    };
    let friend = member(&w.friend);
    assert_eq!(may(&w.owner, &w.image), Ok(()));
    assert_eq!(may(&friend, &w.image), Err(Some(Reason::NotAccepted)));
    w.service.answer_shares(&friend, &[w.image], &w.friend, MemberStatus::Accepted).unwrap();
    assert_eq!(may(&friend, &w.image), Ok(()));
    let mut sealed = images::get(&w.service.db.read().unwrap(), &w.image).unwrap().unwrap();
    sealed.properties.insert("__system__cmkid".into(), "key".into());
    w.service.db.write(move |txn| Ok::<_, Error>(images::update(txn, &sealed)?)).unwrap();
    assert_eq!(may(&friend, &w.image), Err(Some(Reason::SharedAndEncrypted)));
    assert_eq!(may(&w.owner, &w.image), Ok(()));
    let change = vec![Change::Set(Field::Visibility(Visibility::Public))];
    w.service.update_image(&w.admin, &w.image, change).unwrap();
    assert_eq!(may(&friend, &w.image), Err(Some(Reason::IsPublic)));
}
