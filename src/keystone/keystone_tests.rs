//! What the client makes of Keystone's answers, good and bad.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fake_tests::{Fake, Mood, client, in_project, unscoped};
use super::*;
use crate::model::quota::{Limit, Resource};

const NOW: Time = Time(1_700_000_000_000_000);

fn end() -> Time {
    NOW.plus_seconds(3600)
}

/// Later than anything here.
fn far() -> Time {
    Time::parse("2099-01-01T00:00:00Z").unwrap()
}

async fn seen(said: Value) -> Result<Option<Seen>, Error> {
    let fake = Fake::start().await;
    fake.knows("t", said);
    fake.client().validate("t", NOW).await
}

#[tokio::test]
async fn a_token_is_read_whole() {
    let mut said = in_project("ann", "demo", &["member", "reader"], end());
    said["token"]["user"]["OS-FEDERATION"] = json!({"groups": [{"id": "g1"}, {"id": "g2"}]});
    said["token"]["application_credential"] = json!({"id": "ac", "name": "ci", "restricted": true,
        "access_rules": [{"id": "r", "service": "image", "method": "GET", "path": "/v2/images"}]});
    let found = seen(said).await.unwrap().unwrap();
    assert_eq!((found.user.as_str(), found.user_name.as_str()), ("ann-id", "ann"));
    assert_eq!((found.user_domain.id.as_str(), found.user_domain.name.as_str()), ("d1", "Staff"));
    let domain = Domain { id: "default".into(), name: "Default".into() };
    assert_eq!(
        found.place,
        Some(Place::Project { id: "demo-id".into(), name: "demo".into(), domain: domain.clone() })
    );
    assert_eq!(found.roles, ["member", "reader"]);
    assert_eq!(found.groups, ["g1".into(), "g2".into()]);
    assert_eq!((found.expires_at, found.is_admin_project), (end(), true));
    let lent = found.lent.unwrap();
    assert!(!lent.is_unrestricted);
    assert_eq!((lent.id.as_str(), lent.access_rules[0].path.as_str()), ("ac", "/v2/images"));

    let bare = seen(unscoped("ann", end())).await.unwrap().unwrap();
    assert_eq!((bare.place, bare.roles.len(), bare.lent), (None, 0, None));
    let mut said = unscoped("ann", end());
    said["token"]["domain"] = json!({"id": "default", "name": "Default"});
    assert_eq!(seen(said).await.unwrap().unwrap().place, Some(Place::Domain(domain)));
    let mut said = unscoped("ann", end());
    said["token"]["system"] = json!({"all": true});
    said["token"]["is_admin_project"] = false.into();
    let found = seen(said).await.unwrap().unwrap();
    assert_eq!((found.place, found.is_admin_project), (Some(Place::System), false));
}

#[tokio::test]
async fn an_answer_that_lacks_what_counts_is_none_at_all() {
    let whole = in_project("ann", "demo", &["member"], end());
    let changes: [fn(&mut Value); 8] = [
        |said| said["token"]["user"]["id"] = "".into(),
        |said| said["token"]["user"]["id"] = "x".repeat(256).into(),
        |said| said["token"]["user"]["name"] = "a\nb".into(),
        |said| said["token"]["project"]["domain"] = Value::Null,
        |said| said["token"]["expires_at"] = "soon".into(),
        |said| said["token"]["system"] = json!({"all": true}),
        |said| said["token"]["roles"] = json!("admin"),
        |said| said["token"]["application_credential"] = json!({"id": "a", "access_rules": []}),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut said = whole.clone();
        change(&mut said);
        let told = seen(said).await;
        assert!(matches!(told, Err(Error::Unreachable(_))), "{number}: {told:?}");
    }
    assert!(seen(whole).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_token_is_nobodys() {
    let fake = Fake::start().await;
    let keystone = fake.client();
    for odd in ["", "a\nb", &"x".repeat(8193)] {
        assert_eq!(keystone.validate(odd, NOW).await, Ok(None));
    }
    assert_eq!((fake.asked(), fake.signed_in()), (0, 0), "there is nothing to ask");
    assert_eq!(keystone.validate("unknown", NOW).await, Ok(None));
    fake.knows("old", unscoped("ann", NOW));
    assert_eq!(keystone.validate("old", NOW).await, Ok(None), "it ends now");
    assert!(keystone.validate("old", NOW.plus_seconds(-1)).await.unwrap().is_some());
}

#[tokio::test]
async fn the_boxs_own_token_is_renewed_in_time() {
    let fake = Fake::start().await;
    let keystone = fake.client();
    fake.knows("t", unscoped("ann", far()));
    fake.own_end(end());
    let at = async |s: i64| keystone.validate("t", NOW.plus_seconds(s)).await.unwrap().is_some();
    assert!(at(0).await && at(3600 - RENEWAL_S - 1).await);
    assert_eq!(fake.signed_in(), 1);
    fake.own_end(end().plus_seconds(3600));
    assert!(at(3600 - RENEWAL_S).await && at(3601).await);
    assert_eq!(fake.signed_in(), 2);
    // A life shorter than that is used by half.
    let short = Fake::start().await;
    short.knows("t", unscoped("ann", far()));
    short.own_end(NOW.plus_seconds(60));
    let keystone = short.client();
    for s in [0, 29, 30] {
        assert!(keystone.validate("t", NOW.plus_seconds(s)).await.unwrap().is_some());
    }
    assert_eq!(short.signed_in(), 2);
}

#[tokio::test]
async fn an_own_token_that_was_revoked_is_replaced_once() {
    let fake = Fake::start().await;
    let keystone = fake.client();
    fake.knows("t", unscoped("ann", end()));
    assert!(keystone.validate("t", NOW).await.unwrap().is_some());
    fake.revokes_own();
    assert!(keystone.validate("t", NOW).await.unwrap().is_some());
    assert_eq!((fake.signed_in(), fake.asked()), (2, 3));
    fake.is(Mood::Distrusts);
    assert!(matches!(keystone.validate("t", NOW).await, Err(Error::Account(_))));
    assert_eq!((fake.signed_in(), fake.asked()), (3, 5));
}

#[tokio::test]
async fn a_fault_is_never_taken_for_a_token_or_for_none() {
    let fake = Fake::start().await;
    let keystone = fake.client();
    fake.knows("t", unscoped("ann", end()));
    for mood in [Mood::Rambles, Mood::Misses, Mood::Redirects, Mood::Floods, Mood::Down] {
        fake.is(mood);
        for token in ["t", "unknown"] {
            let told = keystone.validate(token, NOW).await;
            assert!(matches!(told, Err(Error::Unreachable(_))), "{mood:?}: {told:?}");
        }
    }
    fake.is(Mood::Forbids);
    let Err(Error::Account(said)) = keystone.validate("t", NOW).await else { panic!("it may not look") };
    assert!(said.contains("role service"), "{said}");
    fake.is(Mood::Well);
    assert!(keystone.validate("t", NOW).await.unwrap().is_some());

    let stranger = client(&fake.url, "hunter2");
    let told = stranger.validate("t", NOW).await.unwrap_err();
    assert!(matches!(told, Error::Account(_)));
    assert!(!format!("{told} {told:?} {stranger:?}").contains("hunter2"));
    let nowhere = client("http://127.0.0.1:1", "x");
    assert_eq!(nowhere.url(), "http://127.0.0.1:1/v3");
    assert!(matches!(nowhere.validate("t", NOW).await, Err(Error::Unreachable(_))));
    assert!(matches!(nowhere.sign_in(NOW).await, Err(Error::Unreachable(_))));
}

#[tokio::test]
async fn signing_in_tells_where_services_are() {
    let fake = Fake::start().await;
    let found = fake.client().sign_in(NOW).await.unwrap();
    let found: Vec<_> = found.iter().map(|e| (&*e.service_type, &*e.region, &*e.url)).collect();
    assert_eq!(found, [("image", "north", "http://images"), ("image", "south", "http://other")]);
}

/// A registered limit, or one of a project.
pub(crate) fn limit(resource: &str, region: Option<&str>, number: i64) -> Value {
    json!({"id": "x", "service_id": "glance", "project_id": "p", "region_id": region, "resource_name": resource,
           "default_limit": number, "resource_limit": number, "description": null, "links": {"self": "x"}})
}

#[tokio::test]
async fn limits_are_those_of_the_service_the_region_and_the_project() {
    let fake = Fake::start().await;
    let keystone = fake.client();
    let ask = async |kind, region| keystone.limits(kind, region, &"p".into(), NOW).await;
    let set = |resource, number| [(resource, Limit::of_number(number).unwrap())].into();
    fake.limits(
        json!([
            limit("image_size_total", None, 5),
            limit("image_size_total", Some("north"), 7),
            limit("image_size_total", Some("south"), 9),
            limit("volumes", None, 1),
        ]),
        json!([limit("image_size_total", None, -1), {"project_id": "other", "region_id": null,
               "resource_name": "image_count_total", "resource_limit": 1}]),
    );
    let size = Resource::ImageSizeTotal;
    let told = ask("image", "north").await.unwrap().unwrap();
    assert_eq!(told, ToldLimits { registered: set(size, 7), own: set(size, -1) });
    assert_eq!(ask("image", "").await.unwrap().unwrap().registered, set(size, 5));
    assert_eq!(ask("image", "east").await.unwrap().unwrap().registered, set(size, 5));
    assert_eq!(ask("images", "north").await, Ok(None), "the catalog has no such service");
    fake.has_no_system();
    assert_eq!(
        fake.client().limits("image", "", &"p".into(), NOW).await.unwrap().unwrap().own,
        BTreeMap::new()
    );
}

#[tokio::test]
async fn limits_that_cannot_be_read_are_none_at_all() {
    let fake = Fake::start().await;
    let keystone = fake.client();
    let ask = async || keystone.limits("image", "", &"p".into(), NOW).await;
    for wrong in [json!([limit("image_size_total", None, -2)]), json!([{"resource_name": 7}]), json!({})] {
        fake.limits(wrong.clone(), json!([]));
        assert!(matches!(ask().await, Err(Error::Unreachable(_))), "{wrong}");
    }
    fake.limits(json!([limit("image_size_total", None, 1)]), json!([]));
    // A token that was revoked is replaced with the next question.
    assert!(ask().await.is_ok());
    fake.revokes_own();
    assert!(matches!(ask().await, Err(Error::Account(_))));
    assert!(ask().await.is_ok());
    fake.is(Mood::Down);
    assert!(matches!(ask().await, Err(Error::Unreachable(_))));
}
