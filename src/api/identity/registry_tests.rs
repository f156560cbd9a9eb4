//! Services, endpoints and regions beside the box's own, as clients see them.

use serde_json::{Value, json};

use super::application_credentials_tests::World;
use super::catalog::SERVICES;

impl World {
    async fn register(&self, kind: &str, object: Value) -> (u16, Value) {
        let (status, made) =
            self.ask("POST", &format!("/v3/{kind}s"), &self.admin, json!({ kind: object })).await;
        (status, made.get(kind).cloned().unwrap_or(made))
    }

    /// The services of the catalog that ann's token has, by type, and how many endpoints each has.
    async fn catalog(&self) -> Vec<(String, usize)> {
        let ann = self.sign_in().await;
        let (_, shown) = self.ask("GET", "/v3/auth/catalog", &ann, Value::Null).await;
        let services = shown["catalog"].as_array().unwrap();
        let of = |service: &Value| {
            (service["type"].as_str().unwrap().to_owned(), service["endpoints"].as_array().unwrap().len())
        };
        services.iter().map(of).collect()
    }
}

#[tokio::test]
async fn a_registered_service_is_in_the_catalog_while_it_is_enabled() {
    let world = World::new().await;
    let (status, service) = world
        .register("service", json!({"type": "compute", "name": "nova", "description": "d", "owner": "me"}))
        .await;
    assert_eq!(status, 201, "{service}");
    assert_eq!((&service["enabled"], &service["owner"]), (&json!(true), &json!("me")));
    let service_path = format!("/v3/services/{}", service["id"].as_str().unwrap());
    let url = "http://other:8774/v2/$(project_id)s";
    let (status, endpoint) = world
        .register(
            "endpoint",
            json!({"service_id": service["id"], "interface": "public", "region": "RegionOne", "url": url}),
        )
        .await;
    assert_eq!(status, 201, "{endpoint}");
    assert_eq!((&endpoint["region_id"], &endpoint["url"]), (&json!("RegionOne"), &json!(url)));
    let endpoint_path = format!("/v3/endpoints/{}", endpoint["id"].as_str().unwrap());
    assert_eq!(world.ask("GET", &service_path, &world.admin, Value::Null).await.1["service"], service);
    assert_eq!(world.ask("GET", &endpoint_path, &world.admin, Value::Null).await.1["endpoint"], endpoint);
    for (path, kind, expected) in [
        ("services?type=compute", "services", 1),
        ("services?name=nova", "services", 1),
        ("services?type=other", "services", 0),
        ("services", "services", 3),
        (&*format!("endpoints?service_id={}", service["id"].as_str().unwrap()), "endpoints", 1),
        ("endpoints?interface=public", "endpoints", 3),
        ("endpoints?region_id=RegionOne", "endpoints", 7),
        ("endpoints?region_id=other", "endpoints", 0),
    ] {
        let (_, listed) = world.ask("GET", &format!("/v3/{path}"), &world.admin, Value::Null).await;
        assert_eq!(listed[kind].as_array().unwrap().len(), expected, "{path}");
    }
    let with = |count| [("identity".to_owned(), 3), ("image".to_owned(), 3), ("compute".to_owned(), count)];
    assert_eq!(world.catalog().await, with(1));
    let ann = world.sign_in().await;
    let (_, told) = world.ask("GET", "/v3/auth/tokens", &ann, Value::Null).await;
    let address = format!("http://other:8774/v2/{}", world.project);
    assert_eq!(told["token"]["catalog"][2]["endpoints"][0]["url"], json!(address));
    let change = json!({"endpoint": {"enabled": false, "url": "https://other/"}});
    let (status, changed) = world.ask("PATCH", &endpoint_path, &world.admin, change).await;
    assert_eq!((status, &changed["endpoint"]["url"]), (200, &json!("https://other/")));
    assert_eq!(world.catalog().await, with(0));
    let off = json!({"service": {"enabled": false, "name": null}});
    let (status, changed) = world.ask("PATCH", &service_path, &world.admin, off).await;
    assert_eq!((status, changed["service"].get("name")), (200, None));
    assert_eq!(world.catalog().await.len(), 2);
    // Its endpoints go with it.
    assert_eq!(world.ask("DELETE", &service_path, &world.admin, Value::Null).await.0, 204);
    for path in [&service_path, &endpoint_path] {
        for method in ["GET", "DELETE"] {
            assert_eq!(world.ask(method, path, &world.admin, Value::Null).await.0, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn regions_are_made_nested_and_deleted_when_nothing_is_in_them() {
    let world = World::new().await;
    let (status, east) = world.register("region", json!({"id": "east", "description": "d"})).await;
    assert_eq!((status, &east["description"]), (201, &json!("d")));
    let (status, inner) = world.register("region", json!({"parent_region_id": "east"})).await;
    assert_eq!((status, inner["id"].as_str().unwrap().len()), (201, 32));
    let inner = format!("/v3/regions/{}", inner["id"].as_str().unwrap());
    assert_eq!(world.register("region", json!({"id": "east"})).await.0, 409);
    assert_eq!(world.register("region", json!({"id": "RegionOne"})).await.0, 409);
    assert_eq!(world.register("region", json!({"id": "x", "parent_region_id": "nowhere"})).await.0, 404);
    let round = json!({"region": {"parent_region_id": inner.rsplit('/').next()}});
    assert_eq!(world.ask("PATCH", "/v3/regions/east", &world.admin, round).await.0, 400);
    // Everybody sees them.
    let (_, listed) = world.ask("GET", "/v3/regions?parent_region_id=east", &world.ann, Value::Null).await;
    assert_eq!(listed["regions"].as_array().unwrap().len(), 1);
    assert_eq!(world.ask("GET", "/v3/regions/east", &world.ann, Value::Null).await.0, 200);
    assert_eq!(world.ask("DELETE", "/v3/regions/east", &world.admin, Value::Null).await.0, 403);
    assert_eq!(world.ask("DELETE", &inner, &world.admin, Value::Null).await.0, 204);
    let (_, service) = world.register("service", json!({"type": "t"})).await;
    let endpoint =
        json!({"service_id": service["id"], "interface": "admin", "region_id": "east", "url": "http://h"});
    let (_, endpoint) = world.register("endpoint", endpoint).await;
    assert_eq!(world.ask("DELETE", "/v3/regions/east", &world.admin, Value::Null).await.0, 403);
    let endpoint = format!("/v3/endpoints/{}", endpoint["id"].as_str().unwrap());
    assert_eq!(world.ask("DELETE", &endpoint, &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.ask("DELETE", "/v3/regions/east", &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.ask("GET", "/v3/regions/east", &world.admin, Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_boxs_own_are_shown_and_never_changed() {
    let world = World::new().await;
    for own in &SERVICES {
        let mut paths = vec![format!("services/{}", own.id())];
        paths.extend(own.endpoints("http://box").iter().map(|endpoint| format!("endpoints/{}", endpoint.id)));
        paths.push("regions/RegionOne".into());
        for path in paths {
            let path = format!("/v3/{path}");
            let kind = path.split('/').nth(2).unwrap().trim_end_matches('s');
            assert_eq!(world.ask("GET", &path, &world.admin, Value::Null).await.0, 200, "{path}");
            let (status, told) = world.ask("PATCH", &path, &world.admin, json!({ kind: {} })).await;
            assert_eq!(status, 403, "{path}");
            assert!(told["error"]["message"].as_str().unwrap().contains("this server's own"), "{told}");
            assert_eq!(world.ask("DELETE", &path, &world.admin, Value::Null).await.0, 403, "{path}");
        }
        let more = json!({"service_id": own.id(), "interface": "public", "url": "http://h"});
        assert_eq!(world.register("endpoint", more).await.0, 403);
    }
}

#[tokio::test]
async fn bad_registrations_are_refused_and_members_may_not_register() {
    let world = World::new().await;
    let (_, service) = world.register("service", json!({"type": "t"})).await;
    let id = &service["id"];
    for (kind, object, expected) in [
        ("service", json!({}), 400),
        ("service", json!({"type": ""}), 400),
        ("service", json!({"type": "t", "enabled": "yes"}), 400),
        ("endpoint", json!({"service_id": id, "interface": "other", "url": "http://h"}), 400),
        ("endpoint", json!({"service_id": id, "interface": "public", "url": "javascript:x"}), 400),
        ("endpoint", json!({"service_id": id, "interface": "public", "url": "http://a b"}), 400),
        ("endpoint", json!({"service_id": id, "interface": "public"}), 400),
        ("endpoint", json!({"service_id": "x", "interface": "public", "url": "http://h"}), 404),
        ("endpoint", json!({"service_id": id, "interface": "public", "url": "http://h", "region": "x"}), 404),
        ("region", json!({"id": ""}), 400),
    ] {
        let (status, told) = world.register(kind, object.clone()).await;
        assert_eq!(status, expected, "{kind} {object} {told}");
    }
    for (kind, object) in [
        ("service", json!({"type": "t"})),
        ("endpoint", json!({"service_id": "x", "interface": "public", "url": "http://h"})),
        ("region", json!({"id": "x"})),
    ] {
        let path = format!("/v3/{kind}s");
        assert_eq!(world.ask("POST", &path, &world.ann, json!({ kind: object })).await.0, 403, "{kind}");
        for method in ["PATCH", "DELETE"] {
            let path = format!("{path}/nothing");
            assert_eq!(world.ask(method, &path, &world.ann, json!({ kind: {} })).await.0, 403, "{kind}");
            assert_eq!(world.ask(method, &path, &world.admin, json!({ kind: {} })).await.0, 404, "{kind}");
        }
    }
}
