//! Whom the box lets in on a Keystone's word, and how often it asks.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_blocking};

use super::*;
use crate::catalog::images;
use crate::keystone::fake_tests::{Fake, Mood, PASSWORD, client, in_project, unscoped};
use crate::model::identity::Scope;
use crate::model::quota::{Limit, Resource as Limited};
use crate::model::trace::Interface;
use crate::model::{AccessRule, GroupId, ProjectId, Status};
use crate::service::audit::Query;
use crate::service::identity::NewAccessKey;
use crate::service::images::{NewImage, NewLink, Recipient};
use crate::service::rights::{Action, NewAttachment, NewPolicy, Resource, Simulation};
use crate::service::testing::{ManualClock, buckets, service};
use crate::service::{Actor, Origin, Service, Source};

struct World {
    fake: Fake,
    service: Service,
    clock: Arc<ManualClock>,
}

async fn world(cache_s: i64) -> World {
    let fake = Fake::start().await;
    let keystone = fake.client();
    let (service, clock) = service();
    World { service: with(service, keystone, cache_s), fake, clock }
}

fn with(service: Service, keystone: Keystone, cache_s: i64) -> Service {
    let rules = CloudRules { cache_s, service_type: "image".into(), region: "north".into() };
    service.with_cloud(Cloud::new(keystone, Handle::current(), rules))
}

async fn ask(service: &Service, token: &str) -> Result<Actor, Error> {
    let (service, token) = (service.clone(), token.to_owned());
    spawn_blocking(move || service.authenticate_token(&token)).await.unwrap()
}

impl World {
    async fn ask(&self, token: &str) -> Result<Actor, ErrorKind> {
        ask(&self.service, token).await.map_err(|error| error.kind)
    }

    async fn caller(&self, said: Value) -> Actor {
        let token = blake3::hash(said.to_string().as_bytes()).to_hex().to_string();
        self.fake.knows(&token, said);
        self.ask(&token).await.unwrap()
    }

    fn end(&self) -> Time {
        self.service.now().plus_seconds(7200)
    }
}

#[tokio::test]
async fn a_caller_is_what_keystone_says() {
    let world = world(300).await;
    let ann = world.caller(in_project("ann", "demo", &["Member", "reader"], world.end())).await;
    assert_eq!((ann.user.as_str(), ann.user_domain.as_str()), ("ann-id", "d1"));
    assert_eq!(ann.scope, Some(Scope::Project("demo-id".into())));
    assert_eq!(ann.roles, ["member", "reader"].map(String::from).into());
    let may = |actor: &Actor| actor.allows(Action::ImagesCreate, Resource::None);
    assert!(may(&ann) && !ann.allows(Action::ImagesAccessAll, Resource::None));
    let reader = world.caller(in_project("rob", "demo", &["reader"], world.end())).await;
    assert!(!may(&reader) && reader.allows(Action::ImagesGet, Resource::None));

    let nowhere = world.caller(unscoped("ann", world.end())).await;
    assert_eq!((nowhere.scope.clone(), may(&nowhere)), (None, false));
    let admin = json!([{"id": "r", "name": "admin"}, {"id": "m", "name": "member"}]);
    let mut said = unscoped("root", world.end());
    said["token"]["system"] = json!({"all": true});
    said["token"]["roles"] = admin.clone();
    let system = world.caller(said).await;
    assert_eq!(system.scope, Some(Scope::System));
    assert!(system.allows(Action::UpkeepManage, Resource::None));
    // Who administers a domain has no part in this server.
    let mut said = unscoped("dora", world.end());
    said["token"]["domain"] = json!({"id": "d1", "name": "Staff"});
    said["token"]["roles"] = admin.clone();
    let of_domain = world.caller(said).await;
    assert_eq!(of_domain.scope, Some(Scope::Domain("d1".into())));
    assert!(!of_domain.allows(Action::UpkeepManage, Resource::None));
    // Where the cloud knows a project of administrators, admin elsewhere is what it implies.
    let mut said = in_project("eve", "other", &["admin", "member"], world.end());
    said["token"]["is_admin_project"] = false.into();
    let eve = world.caller(said.clone()).await;
    assert!(may(&eve) && !eve.allows(Action::UpkeepManage, Resource::None));
    said["token"]["is_admin_project"] = true.into();
    assert!(world.caller(said).await.allows(Action::UpkeepManage, Resource::None));
}

#[tokio::test]
async fn an_application_credential_is_worth_what_its_rules_let_through() {
    let world = world(300).await;
    let mut said = in_project("ann", "demo", &["member"], world.end());
    said["token"]["application_credential"] = json!({"id": "ac", "name": "ci", "restricted": true,
        "access_rules": [
            {"id": "1", "service": "image", "method": "GET", "path": "/v2/images"},
            {"id": "2", "service": "compute", "method": "GET", "path": "/v2.1/servers"}]});
    let ci = world.caller(said.clone()).await;
    let origin = |call: &str| Origin::new(Interface::Image, Source::Box, "r".into(), call.into());
    assert!(ci.rights.admit(&origin("GET /v2/images")).is_ok());
    assert!(ci.rights.admit(&origin("POST /v2/images")).is_err());
    assert!(ci.rights.admit(&origin("GET /v2.1/servers")).is_err());
    said["token"]["application_credential"]["access_rules"] = Value::Null;
    assert!(world.caller(said).await.rights.admit(&origin("POST /v2/images")).is_ok());
}

#[test]
fn rules_name_this_service_as_the_cloud_does() {
    let rule = |service: &str| AccessRule {
        id: String::new(),
        service: service.into(),
        method: "GET".into(),
        path: "/v2/images".into(),
    };
    let lent = keystone::LentBy {
        id: "ac".into(),
        is_unrestricted: false,
        access_rules: ["image", "pictures", "cts"].map(rule).into(),
    };
    let services = |kind| {
        let rules = caller::lent_of(&lent, kind).access_rules;
        rules.into_iter().map(|rule| rule.service).collect::<Vec<_>>()
    };
    assert_eq!(services("image"), ["image", "pictures", "cts"]);
    assert_eq!(services("pictures"), ["", "image", "cts"]);
}

#[tokio::test]
async fn an_answer_is_used_for_a_while_and_a_revocation_seen_after_it() {
    let world = world(300).await;
    world.fake.knows("t", in_project("ann", "demo", &["member"], world.end()));
    for _ in 0..3 {
        world.ask("t").await.unwrap();
    }
    assert_eq!((world.fake.asked(), world.fake.signed_in()), (1, 1));
    world.fake.revokes("t");
    world.clock.step_seconds(299);
    assert!(world.ask("t").await.is_ok());
    world.clock.step_seconds(2);
    assert_eq!(world.ask("t").await.unwrap_err(), ErrorKind::Unauthenticated);
    // Its own end comes first where that is sooner.
    world.fake.knows("short", in_project("ann", "demo", &["member"], world.service.now().plus_seconds(10)));
    world.ask("short").await.unwrap();
    world.clock.step_seconds(11);
    assert_eq!(world.ask("short").await.unwrap_err(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_life_of_no_seconds_asks_each_time() {
    let world = world(0).await;
    world.fake.knows("t", in_project("ann", "demo", &["member"], world.end()));
    world.ask("t").await.unwrap();
    world.ask("t").await.unwrap();
    world.fake.revokes("t");
    assert_eq!(world.ask("t").await.unwrap_err(), ErrorKind::Unauthenticated);
    assert_eq!(world.fake.asked(), 3);
}

#[tokio::test]
async fn a_bad_token_is_kept_in_mind_for_seconds() {
    let world = world(300).await;
    for _ in 0..3 {
        assert_eq!(world.ask("bad").await.unwrap_err(), ErrorKind::Unauthenticated);
    }
    assert_eq!(world.fake.asked(), 1);
    world.fake.knows("bad", in_project("ann", "demo", &["member"], world.end()));
    assert!(world.ask("bad").await.is_err());
    world.clock.step_seconds(REFUSED_S + 1);
    assert!(world.ask("bad").await.is_ok());
}

#[tokio::test]
async fn nobody_new_gets_in_while_keystone_is_away_or_does_not_trust_the_box() {
    let world = world(300).await;
    world.fake.knows("known", in_project("ann", "demo", &["member"], world.end()));
    world.fake.knows("new", in_project("bob", "demo", &["member"], world.end()));
    world.ask("known").await.unwrap();
    for mood in [Mood::Down, Mood::Forbids, Mood::Distrusts, Mood::Rambles, Mood::Misses] {
        world.fake.is(mood);
        world.clock.step_seconds(TROUBLE_S + 1);
        for token in ["new", "bad"] {
            let error = ask(&world.service, token).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{mood:?} {token}");
            assert!(error.message.contains(&world.fake.url) && !error.message.contains("tintype"), "{error}");
        }
        assert!(world.ask("known").await.is_ok(), "what is known holds on");
    }
    // It is left alone for a moment, so that a crowd does not wait one after the other.
    let asked = world.fake.asked();
    world.fake.is(Mood::Well);
    assert_eq!(world.ask("new").await.unwrap_err(), ErrorKind::Unavailable);
    assert_eq!(world.fake.asked(), asked);
    world.clock.step_seconds(TROUBLE_S + 1);
    assert!(world.ask("new").await.is_ok());
    assert_eq!(world.ask("bad").await.unwrap_err(), ErrorKind::Unauthenticated);

    let stranger = with(service().0, client(&world.fake.url, "hunter2"), 300);
    let error = ask(&stranger, "new").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("hunter2") && !format!("{error:?}").contains(PASSWORD));
    assert!(stranger.greet_keystone("").await.is_err());
    let nowhere = with(service().0, client("http://127.0.0.1:1/v3", "x"), 300);
    assert_eq!(ask(&nowhere, "new").await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_flood_of_bad_tokens_is_bounded() {
    let world = world(300).await;
    world.fake.takes(Duration::from_millis(300));
    let mut asking = JoinSet::new();
    for number in 0..WAITING_MAX + 60 {
        let service = world.service.clone();
        asking.spawn(async move { ask(&service, &format!("bad-{number}")).await.unwrap_err().kind });
    }
    let told = asking.join_all().await;
    assert!(told.contains(&ErrorKind::Unavailable) && told.contains(&ErrorKind::Unauthenticated));
    assert!(world.fake.at_once_most() <= QUESTIONS_MAX, "{}", world.fake.at_once_most());
    assert_eq!(world.fake.signed_in(), 1, "the box signs in once for all");
}

#[tokio::test]
async fn many_with_one_token_are_one_question() {
    let world = world(300).await;
    world.fake.takes(Duration::from_millis(200));
    world.fake.knows("t", in_project("ann", "demo", &["member"], world.end()));
    let mut asking = JoinSet::new();
    for _ in 0..30 {
        let service = world.service.clone();
        asking.spawn(async move { ask(&service, "t").await.is_ok() });
    }
    assert!(asking.join_all().await.into_iter().all(|is_ok| is_ok));
    assert_eq!(world.fake.asked(), 1);
}

#[tokio::test]
async fn policies_hold_for_the_groups_that_keystone_names() {
    let world = world(300).await;
    let admin = world.service.local_admin().unwrap();
    let document = r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["ims:images:delete"]}]}"#;
    let document = serde_json::from_str(document).unwrap();
    let new = NewPolicy { name: "No deleting".into(), description: None, document };
    world.service.create_policy(&admin, new).unwrap();
    let attachment = |group: &str, project: Option<&str>| NewAttachment {
        policy: "No deleting".into(),
        group: group.into(),
        project: project.map(str::to_owned),
    };
    world.service.attach_policy(&admin, attachment("g-all", None)).unwrap();
    world.service.attach_policy(&admin, attachment("g-demo", Some("demo-id"))).unwrap();
    let error = world.service.attach_policy(&admin, attachment("a\nb", None)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    let federated = |project: &str, group: &str| {
        let mut said = in_project("ann", project, &["member"], world.end());
        said["token"]["user"]["OS-FEDERATION"] = json!({"groups": [{"id": group}]});
        said
    };
    for (project, group, is_denied) in [
        ("demo", "g-all", true),
        ("other", "g-all", true),
        ("demo", "g-demo", true),
        ("other", "g-demo", false),
        ("demo", "g-none", false),
    ] {
        let token = format!("{project} {group}");
        world.fake.knows(&token, federated(project, group));
        let ann = world.ask(&token).await.unwrap();
        assert_eq!(ann.is_denied(Action::ImagesDelete, Resource::None), is_denied, "{token}");
        assert_eq!(ann.allows(Action::ImagesDelete, Resource::None), !is_denied, "{token}");
    }
    let told = world.service.detach_policy(&admin, attachment("g-all", None)).unwrap();
    assert_eq!(told.attachment.group, GroupId::from("g-all"));
    let ann = world.ask("demo g-all").await.unwrap();
    assert!(ann.allows(Action::ImagesDelete, Resource::None), "a detachment counts at once");
}

#[tokio::test]
async fn what_rests_on_identities_of_the_box_says_so() {
    let world = world(300).await;
    let ann = world.caller(in_project("ann", "demo", &["member"], world.end())).await;
    let admin = world.service.local_admin().unwrap();
    for actor in [&ann, &admin] {
        let made = world.service.create_access_key(actor, NewAccessKey::default());
        let Err(error) = made else { panic!("a key was made") };
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains(&world.fake.url), "{error}");
        assert!(world.service.create_temporary_key(actor, 900).is_err());
    }
    // Nobody tells the rights that a user of the cloud's has left when a link is used.
    let image = crate::model::ImageId(uuid::Uuid::nil());
    let link = |actor| {
        world.service.create_image_link(
            actor,
            &image,
            NewLink { ttl_s: 60, gives: crate::service::images::LinkGives::Stored, net: None },
        )
    };
    assert_eq!(link(&ann).err().unwrap().kind, ErrorKind::Conflict);
    assert_eq!(
        link(&admin).err().unwrap().kind,
        ErrorKind::NotFound,
        "the local administrator's are its own"
    );
    let asked = Simulation {
        user: "admin".into(),
        action: "ims:images:get".into(),
        resource: "*".into(),
        project: None,
        source: None,
    };
    assert_eq!(world.service.simulate(&admin, &asked).unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test]
async fn projects_of_the_cloud_need_no_record() {
    let outer = tempfile::tempdir().unwrap();
    let mut world = world(300).await;
    world.service = world.service.clone().with_buckets(buckets(outer.path()));
    let names = |actor: &Actor| {
        let places = world.service.places(actor).unwrap();
        places.buckets.into_iter().map(|bucket| bucket.name).collect::<Vec<_>>()
    };
    let ann = world.caller(in_project("ann", "else", &["member", "reader"], world.end())).await;
    let bob = world.caller(in_project("bob", "demo", &["member", "reader"], world.end())).await;
    assert!(names(&ann).contains(&"closed".to_owned()) && !names(&bob).contains(&"closed".to_owned()));

    let image = world.service.create_image(&ann, NewImage::default()).unwrap();
    assert_eq!(image.owner, Some(ProjectId::from("else-id")));
    let (mut active, id) = (image.clone(), image.id);
    active.status = Status::Active;
    let made = world.service.db.write(move |txn| Ok::<_, Error>(images::update(txn, &active)?));
    made.unwrap();
    let admin = world.service.local_admin().unwrap();
    let query = Query { operation: Some("createImage".into()), limit: 10, ..Query::default() };
    let page = world.service.audit_traces(&admin, &query).unwrap();
    let content = &page.traces[0].content;
    assert_eq!((&*content.user_name, &*content.domain_name), ("ann", "Staff"));

    let quotas = world.service.project_quotas(&admin, &"else-id".into()).unwrap();
    assert_eq!(quotas.name.as_deref(), Some("else"));
    world.service.set_quotas(&admin, &"never-seen".into(), Vec::new()).unwrap();
    assert_eq!(world.service.project_quotas(&admin, &"never-seen".into()).unwrap().name, None);
    let recipients = [Recipient::Project("never-seen".into()), Recipient::Domain("d1".into())];
    let shared = world.service.share_images(&ann, &[id], &recipients).unwrap();
    assert!(shared[0].outcome.is_ok(), "{shared:?}");
    let refused = shared[1].outcome.as_ref().unwrap_err();
    assert!(refused.message.contains("share with each project"), "{refused}");
}

/// A limit of `count` images, of all projects or of `demo-id`.
fn count_limit(count: i64) -> Value {
    json!([{"project_id": "demo-id", "region_id": null, "resource_name": "image_count_total",
            "default_limit": count, "resource_limit": count}])
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_cloud_are_enforced_kept_and_asked_for_once_a_minute() {
    let world = world(0).await;
    let end = world.end();
    world.fake.knows("t", in_project("ann", "demo", &["member", "reader"], end));
    let create = async || {
        let actor = world.ask("t").await.unwrap();
        let service = world.service.clone();
        let made = spawn_blocking(move || service.create_image(&actor, NewImage::default())).await.unwrap();
        made.map(drop).map_err(|error| error.kind)
    };
    world.fake.limits(count_limit(5), count_limit(1));
    assert_eq!((create().await, create().await), (Ok(()), Err(ErrorKind::TooLarge)));
    assert_eq!(world.fake.asked_limits(), 1, "it is not asked for each request");
    // What it says later counts after a minute.
    world.fake.limits(count_limit(2), json!([]));
    assert_eq!(create().await, Err(ErrorKind::TooLarge));
    world.clock.step_seconds(limits::FRESH_S);
    assert_eq!((create().await, create().await), (Ok(()), Err(ErrorKind::TooLarge)));
    // Where it tells nothing that can be read, the last known hold.
    world.fake.limits(json!({}), json!([]));
    world.clock.step_seconds(limits::FRESH_S);
    assert_eq!(create().await, Err(ErrorKind::TooLarge));
    let admin = world.service.local_admin().unwrap();
    let shown = world.service.own_quotas(&world.ask("t").await.unwrap()).unwrap();
    let count = shown.quotas.iter().find(|quota| quota.resource == Limited::ImageCountTotal).unwrap();
    assert_eq!((count.applied.limit, count.used), (Limit::AtMost(2), 2));
    let settings = vec![(Limited::ImageCountTotal, Some(Limit::AtMost(9)))];
    let refused = world.service.set_default_quotas(&admin, settings.clone()).unwrap_err();
    assert!(refused.kind == ErrorKind::Conflict && refused.message.contains(&world.fake.url), "{refused:?}");
    // Of what Keystone says nothing any more, the box's own hold.
    world.fake.limits(json!([]), json!([]));
    world.clock.step_seconds(limits::FRESH_S);
    assert_eq!(create().await, Ok(()));
    world.service.set_default_quotas(&admin, settings).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_leaves_its_cloud_forgets_the_clouds_limits() {
    let world = world(0).await;
    world.fake.limits(count_limit(0), json!([]));
    world.fake.knows("t", in_project("ann", "demo", &["member"], world.end()));
    world.ask("t").await.unwrap();
    let has_told = |service: &Service| crate::catalog::quotas::has_told(&service.db.read().unwrap()).unwrap();
    world.service.settle_limits().unwrap();
    assert!(has_told(&world.service));
    let alone = Service { cloud: None, ..world.service.clone() };
    alone.settle_limits().unwrap();
    assert!(!has_told(&alone));
}
