//! Metadata definitions as clients see them: status, headers and bodies, and every way to be refused.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::super::tests::{get, router, send};

const NAMESPACES: &str = "/v2/metadefs/namespaces";

/// A namespace with one of everything; its path.
async fn full(router: &Router) -> String {
    let property = json!({"title": "Depth", "type": "integer", "minimum": 0});
    let object = json!({
        "name": "o:1", "description": "d", "required": ["depth"], "properties": {"depth": property},
    });
    let body = json!({
        "namespace": "OS::Demo::Thing", "display_name": "Demo", "visibility": "public",
        "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
        "properties": {"depth": property}, "objects": [object], "tags": [{"name": "old"}, {"name": "new"}],
    });
    let answer = send(router, "POST", NAMESPACES, body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header(CONTENT_TYPE), "application/json");
    answer.header(LOCATION).to_owned()
}

/// The status of each request without a body.
async fn statuses(router: &Router, method: &str, paths: &[String]) -> Vec<u16> {
    let mut all = Vec::new();
    for path in paths {
        all.push(send(router, method, path, Value::Null).await.status);
    }
    all
}

#[tokio::test]
async fn a_namespace_is_made_with_all_that_is_in_it_and_goes_with_it() {
    let router = router();
    let path = full(&router).await;
    assert_eq!(path, "/v2/metadefs/namespaces/OS::Demo::Thing");
    let shown = get(&router, &path).await.json().await;
    assert_eq!(shown["self"], path);
    assert_eq!(shown["schema"], "/v2/schemas/metadefs/namespace");
    assert_eq!((&shown["visibility"], &shown["protected"]), (&json!("public"), &json!(false)));
    assert_eq!(shown.get("description"), None, "what is not set is left out");
    assert_eq!(shown["properties"], json!({"depth": {"title": "Depth", "type": "integer", "minimum": 0}}));
    assert_eq!(shown["objects"][0]["self"], format!("{path}/objects/o:1"));
    assert_eq!(shown["tags"], json!([{"name": "new"}, {"name": "old"}]));
    let association = &shown["resource_type_associations"][0];
    assert_eq!((&association["name"], &association["prefix"]), (&json!("OS::Glance::Image"), &json!("hw_")));
    assert!(association["created_at"].is_string());
    assert!(shown["owner"].is_string() && shown["created_at"] == shown["updated_at"]);

    let below = ["", "/objects", "/objects/o:1", "/properties", "/properties/depth", "/tags", "/tags/old"];
    let paths = below.map(|below| format!("{path}{below}"));
    assert_eq!(statuses(&router, "GET", &paths).await, [200; 7]);
    assert_eq!(send(&router, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(statuses(&router, "GET", &paths).await, [404; 7]);
}

#[tokio::test]
async fn for_a_type_of_resources_properties_have_its_prefix() {
    let router = router();
    let path = full(&router).await;
    let shown = get(&router, &format!("{path}?resource_type=OS::Glance::Image")).await.json().await;
    assert_eq!(shown["properties"]["hw_depth"]["title"], "Depth");
    assert_eq!(shown["objects"][0]["required"], json!(["hw_depth"]));
    assert!(shown["objects"][0]["properties"]["hw_depth"].is_object());
    let other = get(&router, &format!("{path}?resource_type=Other")).await.json().await;
    assert!(other["properties"]["depth"].is_object());

    let property = |name: &str, of: &str| format!("{path}/properties/{name}?resource_type={of}");
    let found = get(&router, &property("hw_depth", "OS::Glance::Image")).await.json().await;
    assert_eq!(found["name"], "depth");
    for (name, of) in [("depth", "OS::Glance::Image"), ("hw_x", "OS::Glance::Image"), ("hw_depth", "Other")] {
        assert_eq!(get(&router, &property(name, of)).await.status, 404, "{name} {of}");
    }
}

#[tokio::test]
async fn a_put_replaces_what_a_namespace_says_of_itself_and_can_rename_it() {
    let router = router();
    let path = full(&router).await;
    send(&router, "POST", NAMESPACES, json!({"namespace": "taken"})).await;
    // As clients send it: with what they were shown of what is in it.
    let shown = get(&router, &path).await.json().await;
    let mut body = json!({"namespace": "N", "protected": true, "owner": null});
    for key in ["objects", "properties", "tags", "resource_type_associations"] {
        body[key] = shown[key].clone();
    }
    let answer = send(&router, "PUT", &path, body).await;
    assert_eq!(answer.status, 200);
    let after = answer.json().await;
    assert_eq!((&after["visibility"], after.get("display_name")), (&json!("private"), None));
    assert_eq!(after["self"], "/v2/metadefs/namespaces/N");
    let now = get(&router, "/v2/metadefs/namespaces/N").await.json().await;
    assert_eq!(now["objects"][0]["name"], "o:1");
    assert_eq!(get(&router, &path).await.status, 404);

    let path = "/v2/metadefs/namespaces/N";
    for (body, status) in [
        (json!({"namespace": "taken"}), 409),
        (json!({"display_name": "D"}), 400),
        (json!({"namespace": "N", "colour": "red"}), 400),
        (json!({"namespace": "N", "visibility": "shared"}), 400),
        (json!({"namespace": "N", "protected": "yes"}), 400),
        (json!({"namespace": "N", "self": path}), 403),
        (json!({"namespace": "N", "created_at": "2026-01-01T00:00:00Z"}), 403),
        (json!([]), 400),
    ] {
        assert_eq!(send(&router, "PUT", path, body.clone()).await.status, status, "{body}");
    }
    assert_eq!(
        send(&router, "PUT", "/v2/metadefs/namespaces/none", json!({"namespace": "x"})).await.status,
        404
    );
    assert_eq!(send(&router, "DELETE", path, Value::Null).await.status, 403, "it is protected");
}

#[tokio::test]
async fn what_a_create_is_refused_for() {
    let router = router();
    full(&router).await;
    let definition = json!({"title": "T", "type": "string"});
    for (body, status) in [
        (json!({}), 400),
        (json!([]), 400),
        (json!("x"), 400),
        (json!({"namespace": null}), 400),
        (json!({"namespace": 1}), 400),
        (json!({"namespace": ""}), 400),
        (json!({"namespace": "n".repeat(81)}), 400),
        (json!({"namespace": "a/b"}), 400),
        (json!({"namespace": "N", "colour": "red"}), 400),
        (json!({"namespace": "N", "visibility": "community"}), 400),
        (json!({"namespace": "N", "display_name": "d".repeat(81)}), 400),
        (json!({"namespace": "N", "description": "d".repeat(501)}), 400),
        (json!({"namespace": "N", "schema": "s"}), 403),
        (json!({"namespace": "N", "updated_at": "t"}), 403),
        (json!({"namespace": "OS::Demo::Thing"}), 409),
        (json!({"namespace": "N", "properties": []}), 400),
        (json!({"namespace": "N", "properties": {"p": {"type": "string"}}}), 400),
        (json!({"namespace": "N", "properties": {"p": {"title": "T", "type": "text"}}}), 400),
        (json!({"namespace": "N", "properties": {"p": {"title": "T", "type": "string", "name": "q"}}}), 400),
        (json!({"namespace": "N", "objects": {}}), 400),
        (json!({"namespace": "N", "objects": [{"description": "d"}]}), 400),
        (json!({"namespace": "N", "objects": [{"name": "o", "required": [1]}]}), 400),
        (json!({"namespace": "N", "objects": [{"name": "o", "self": "s"}]}), 403),
        (json!({"namespace": "N", "objects": [{"name": "o"}, {"name": "o"}]}), 409),
        (json!({"namespace": "N", "tags": ["t"]}), 400),
        (json!({"namespace": "N", "tags": [{"name": "t"}, {"name": "T"}]}), 409),
        (json!({"namespace": "N", "resource_type_associations": [{}]}), 400),
        (json!({"namespace": "N", "resource_type_associations": [{"name": "T", "color": 1}]}), 400),
        (
            json!({"namespace": "N", "properties": {"p": {"title": "T".repeat(600_000), "type": "string"}}}),
            413,
        ),
    ] {
        let answer = send(&router, "POST", NAMESPACES, body.clone()).await;
        let shown: String = body.to_string().chars().take(100).collect();
        assert_eq!(answer.status, status, "{shown}");
        assert!(!answer.bytes().await.is_empty(), "{shown}: no explanation");
    }
    let body = json!({"namespace": "N", "owner": null, "properties": {"p": definition}});
    assert_eq!(send(&router, "POST", NAMESPACES, body).await.status, 201);
}

#[tokio::test]
async fn properties_are_a_map_and_each_is_shown_with_its_name() {
    let router = router();
    let path = format!("{}/properties", full(&router).await);
    let body = json!({"name": "OS::Glance::Image", "title": "P2", "type": "boolean", "default": null});
    let answer = send(&router, "POST", &path, body.clone()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header(LOCATION), format!("{path}/OS::Glance::Image"));
    let expected = json!({"name": "OS::Glance::Image", "title": "P2", "type": "boolean"});
    assert_eq!(answer.json().await, expected);
    let listed = get(&router, &path).await.json().await;
    assert_eq!(listed["properties"]["OS::Glance::Image"], json!({"title": "P2", "type": "boolean"}));
    let one = format!("{path}/OS%3A%3AGlance%3A%3AImage");
    assert_eq!(get(&router, &one).await.json().await, expected);
    for (method, path, body, status) in [
        ("POST", &path, body.clone(), 409),
        ("POST", &path, json!({"title": "T", "type": "string"}), 400),
        ("POST", &path, json!({"name": "n", "type": "string"}), 400),
        ("POST", &path, json!({"name": "n", "title": "T", "type": "string", "colour": 1}), 400),
        ("POST", &path, json!({"name": "n".repeat(81), "title": "T", "type": "string"}), 400),
        ("POST", &path, json!({"name": "n", "title": "T", "type": "string", "self": "s"}), 403),
        ("PUT", &one, json!({"title": "T", "type": "string"}), 400),
        ("PUT", &one, json!({"name": "depth", "title": "T", "type": "string"}), 409),
        ("PUT", &one, json!({"name": "renamed", "title": "T", "type": "string"}), 200),
        ("PUT", &one, json!({"name": "renamed", "title": "T", "type": "string"}), 404),
    ] {
        assert_eq!(send(&router, method, path, body.clone()).await.status, status, "{method} {body}");
    }
    let renamed = format!("{path}/renamed");
    assert_eq!(statuses(&router, "DELETE", &[renamed.clone(), renamed, path.clone()]).await, [204, 404, 204]);
    assert_eq!(get(&router, &path).await.json().await, json!({"properties": {}}));
}

#[tokio::test]
async fn objects_are_listed_shown_and_renamed() {
    let router = router();
    let path = format!("{}/objects", full(&router).await);
    let answer = send(&router, "POST", &path, json!({"name": "alone"})).await;
    assert_eq!((answer.status, answer.header(LOCATION)), (201, format!("{path}/alone").as_str()));
    let made = answer.json().await;
    assert_eq!((&made["required"], &made["properties"]), (&json!([]), &json!({})));
    let listed = get(&router, &path).await.json().await;
    assert_eq!((listed["objects"].as_array().unwrap().len(), &listed["objects"][1]), (2, &made));
    assert_eq!(listed["schema"], "v2/schemas/metadefs/objects");
    let one = format!("{path}/alone");
    for (method, path, body, status) in [
        ("POST", &path, json!({"name": "alone"}), 409),
        ("POST", &path, json!({}), 400),
        ("POST", &path, json!({"name": "n", "colour": 1}), 400),
        ("POST", &path, json!({"name": "n", "properties": {"p": {}}}), 400),
        ("POST", &path, json!({"name": "n", "created_at": "t"}), 403),
        ("PUT", &one, json!({"description": "d"}), 400),
        ("PUT", &one, json!({"name": "o:1"}), 409),
        ("PUT", &one, json!({"name": "renamed", "description": "d"}), 200),
        ("PUT", &one, json!({"name": "renamed"}), 404),
    ] {
        assert_eq!(send(&router, method, path, body.clone()).await.status, status, "{method} {body}");
    }
    let renamed = format!("{path}/renamed");
    let shown = get(&router, &renamed).await.json().await;
    assert_eq!((&shown["description"], &shown["created_at"]), (&json!("d"), &made["created_at"]));
    assert_eq!(statuses(&router, "DELETE", &[renamed.clone(), renamed, path.clone()]).await, [204, 404, 204]);
    assert_eq!(get(&router, &path).await.json().await["objects"], json!([]));
}

#[tokio::test]
async fn tags_come_one_by_one_or_all_at_once() {
    let router = router();
    let path = format!("{}/tags", full(&router).await);
    let one = format!("{path}/a%20b");
    let answer = send(&router, "POST", &one, Value::Null).await;
    assert_eq!((answer.status, answer.header(LOCATION)), (201, format!("{path}/a%20b").as_str()));
    let made = answer.json().await;
    assert!(made["name"] == "a b" && made["created_at"].is_string() && made["updated_at"].is_string());
    assert_eq!(get(&router, &format!("{path}/A%20B")).await.json().await, made, "case does not matter");
    let names = json!([{"name": "a b"}, {"name": "new"}, {"name": "old"}]);
    let listed = get(&router, &path).await.json().await;
    assert_eq!(listed, json!({"tags": names, "first": path, "schema": "/v2/schemas/metadefs/tags"}));
    for (method, path, body, status) in [
        ("POST", &one, Value::Null, 409),
        ("POST", &format!("{path}/NEW"), Value::Null, 409),
        ("POST", &format!("{path}/x"), json!({}), 400),
        ("POST", &format!("{path}/{}", "n".repeat(81)), Value::Null, 400),
        ("POST", &path, json!({}), 400),
        ("POST", &path, json!({"tags": "x"}), 400),
        ("POST", &path, json!({"tags": [{"name": "x"}, {"name": "X"}]}), 409),
        ("PUT", &one, json!({}), 400),
        ("PUT", &one, json!({"name": "New"}), 409),
        ("PUT", &one, json!({"name": "c", "self": "s"}), 403),
        ("PUT", &one, json!({"name": "c"}), 200),
        ("PUT", &one, json!({"name": "c"}), 404),
    ] {
        assert_eq!(send(&router, method, path, body.clone()).await.status, status, "{method} {path} {body}");
    }
    let all = send(&router, "POST", &path, json!({"tags": [{"name": "x"}, {"name": "y"}]})).await;
    assert_eq!((all.status, all.json().await["tags"].clone()), (201, json!([{"name": "x"}, {"name": "y"}])));
    for (word, status) in [("True", 201), ("true", 409)] {
        let request = Request::builder().method("POST").uri(&path).header("x-openstack-append", word);
        let request = request.body(Body::from(json!({"tags": [{"name": "z"}]}).to_string())).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status().as_u16(), status, "{word}");
    }
    let page = get(&router, &format!("{path}?limit=2&sort_key=name&sort_dir=asc")).await.json().await;
    assert_eq!(page["tags"], json!([{"name": "x"}, {"name": "y"}]));
    let rest = get(&router, page["next"].as_str().unwrap()).await.json().await;
    assert_eq!((&rest["tags"], rest.get("next")), (&json!([{"name": "z"}]), None));
    for (query, status) in
        [("marker=none", 404), ("sort_key=colour", 400), ("limit=x", 400), ("sort_dir=up", 400)]
    {
        assert_eq!(get(&router, &format!("{path}?{query}")).await.status, status, "{query}");
    }
    let x = format!("{path}/x");
    assert_eq!(statuses(&router, "DELETE", &[x.clone(), x, path.clone()]).await, [204, 404, 204]);
    assert_eq!(get(&router, &path).await.json().await["tags"], json!([]));
}

#[tokio::test]
async fn types_of_resources_are_there_from_the_start_and_namespaces_apply_to_them() {
    let router = router();
    let known = get(&router, "/v2/metadefs/resource_types").await.json().await;
    let names: Vec<&str> =
        known["resource_types"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"OS::Nova::Server") && names.len() == 6, "{names:?}");
    let path = format!("{}/resource_types", full(&router).await);
    let body = json!({"name": "OS::Nova::Server", "prefix": "hw:", "properties_target": "image"});
    let answer = send(&router, "POST", &path, body.clone()).await;
    assert_eq!(answer.status, 201);
    let made = answer.json().await;
    assert_eq!((&made["prefix"], &made["properties_target"]), (&json!("hw:"), &json!("image")));
    for (body, status) in [
        (body, 409),
        (json!({}), 400),
        (json!({"name": "T", "color": "red"}), 400),
        (json!({"name": "T", "updated_at": "t"}), 403),
        (json!({"name": "Own::Type"}), 201),
    ] {
        assert_eq!(send(&router, "POST", &path, body.clone()).await.status, status, "{body}");
    }
    let listed = get(&router, &path).await.json().await;
    let listed = listed["resource_type_associations"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[1]), (3, &made));
    let known = get(&router, "/v2/metadefs/resource_types").await.json().await;
    let own = known["resource_types"].as_array().unwrap().iter().find(|one| one["name"] == "Own::Type");
    assert!(own.unwrap()["created_at"].is_string());
    let one = format!("{path}/Own::Type");
    assert_eq!(statuses(&router, "DELETE", &[one.clone(), one]).await, [204, 404]);
}

#[tokio::test]
async fn namespaces_are_listed_page_by_page() {
    let router = router();
    full(&router).await;
    for (name, visibility) in [("A", "private"), ("B", "public")] {
        let body = json!({"namespace": name, "visibility": visibility});
        assert_eq!(send(&router, "POST", NAMESPACES, body).await.status, 201);
    }
    let names = |listed: &Value| -> Vec<String> {
        let all = listed["namespaces"].as_array().unwrap().iter();
        all.map(|one| one["namespace"].as_str().unwrap().to_owned()).collect()
    };
    let listed = get(&router, NAMESPACES).await.json().await;
    assert_eq!(names(&listed), ["B", "A", "OS::Demo::Thing"]);
    assert_eq!((&listed["first"], listed.get("next")), (&json!(NAMESPACES), None));
    assert_eq!(listed["schema"], "/v2/schemas/metadefs/namespaces");
    let demo = &listed["namespaces"][2];
    assert_eq!(demo["resource_type_associations"][0]["name"], "OS::Glance::Image");
    assert!(["objects", "properties", "tags"].iter().all(|key| demo.get(key).is_none()));
    let page = get(&router, &format!("{NAMESPACES}?limit=2&sort_key=namespace&sort_dir=desc")).await;
    let page = page.json().await;
    assert_eq!(names(&page), ["OS::Demo::Thing", "B"]);
    let rest = get(&router, page["next"].as_str().unwrap()).await.json().await;
    assert_eq!((names(&rest), rest.get("next")), (vec!["A".to_owned()], None));
    for (query, expected) in [
        ("visibility=private", &["A"][..]),
        ("resource_types=OS::Glance::Image,Other", &["OS::Demo::Thing"]),
        ("resource_types=Other", &[]),
        ("limit=0", &[]),
    ] {
        assert_eq!(
            names(&get(&router, &format!("{NAMESPACES}?{query}")).await.json().await),
            expected,
            "{query}"
        );
    }
    for (query, status) in [
        ("visibility=shared", 400),
        ("sort_key=colour", 400),
        ("sort_dir=up", 400),
        ("limit=-1", 400),
        ("marker=none", 404),
        ("visibility=%ff", 400),
    ] {
        assert_eq!(get(&router, &format!("{NAMESPACES}?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn methods_bodies_and_paths_are_refused_as_everywhere() {
    let router = router();
    let path = full(&router).await;
    for (method, below, allow) in [
        ("HEAD", "", "GET, PUT, DELETE"),
        ("PATCH", "", "GET, PUT, DELETE"),
        ("PUT", "/objects", "GET, POST, DELETE"),
        ("POST", "/objects/o:1", "GET, PUT, DELETE"),
        ("PATCH", "/tags/old", "GET, POST, PUT, DELETE"),
        ("DELETE", "/resource_types", "GET, POST"),
        ("GET", "/resource_types/OS::Glance::Image", "DELETE"),
    ] {
        let answer = send(&router, method, &format!("{path}{below}"), Value::Null).await;
        assert_eq!((answer.status, answer.header(ALLOW)), (405, allow), "{method} {below}");
    }
    for (method, below) in [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/objects"),
        ("DELETE", "/objects/o:1"),
        ("DELETE", "/properties"),
        ("GET", "/properties/depth"),
        ("GET", "/tags"),
        ("DELETE", "/tags/old"),
        ("DELETE", "/resource_types/OS::Glance::Image"),
    ] {
        assert_eq!(send(&router, method, &format!("{path}{below}"), json!({})).await.status, 400, "{below}");
    }
    for path in [
        "/v2/metadefs".to_owned(),
        format!("{NAMESPACES}/"),
        format!("{path}/colours"),
        format!("{path}/objects/"),
        format!("{path}/objects/a%2Fb"),
        format!("{path}/objects/o:1/more"),
        "/v2/schemas/metadefs/nothing".to_owned(),
        "/v2/schemas/metadefs".to_owned(),
    ] {
        assert_eq!(get(&router, &path).await.status, 404, "{path}");
    }
}

/// Keys of what is shown that its schema does not know.
fn unknown<'a>(schema: &Value, shown: &'a Value) -> Vec<&'a str> {
    let keys = shown.as_object().unwrap().keys().map(String::as_str);
    keys.filter(|key| schema["properties"].get(key).is_none()).collect()
}

#[tokio::test]
async fn every_key_that_is_shown_is_in_its_schema() {
    let router = router();
    let path = full(&router).await;
    let body = json!({"name": "T", "prefix": "p", "properties_target": "t"});
    send(&router, "POST", &format!("{path}/resource_types"), body).await;
    for (name, of) in [
        ("namespace", path.clone()),
        ("object", format!("{path}/objects/o:1")),
        ("property", format!("{path}/properties/depth")),
        ("tag", format!("{path}/tags/old")),
        ("namespaces", NAMESPACES.into()),
        ("tags", format!("{path}/tags")),
        ("objects", format!("{path}/objects")),
        ("properties", format!("{path}/properties")),
        ("resource_types", format!("{path}/resource_types")),
    ] {
        let schema = get(&router, &format!("/v2/schemas/metadefs/{name}")).await.json().await;
        let shown = get(&router, &of).await.json().await;
        assert_eq!(unknown(&schema, &shown), [""; 0], "{name}");
    }
    let schema = get(&router, "/v2/schemas/metadefs/namespace").await.json().await;
    let shown = get(&router, &path).await.json().await;
    for nested in ["objects", "tags", "resource_type_associations"] {
        assert_eq!(unknown(&schema["properties"][nested]["items"], &shown[nested][0]), [""; 0], "{nested}");
    }
}

#[tokio::test]
async fn a_namespace_that_was_shown_can_be_loaded_again_by_its_modes() {
    let router = router();
    full(&router).await;
    let load = async |mode: &str, namespace: Value| {
        let body = json!({"mode": mode, "namespace": namespace});
        let answer = send(&router, "POST", "/tintype/v1/metadefs", body).await;
        (answer.status, answer.json().await)
    };
    let demo = json!({"namespace": "OS::Demo::Thing", "tags": [{"name": "more"}]});
    for (mode, outcome) in [("skip", "skipped"), ("merge", "merged"), ("overwrite", "overwritten")] {
        let told = json!({"namespace": "OS::Demo::Thing", "outcome": outcome});
        assert_eq!(load(mode, demo.clone()).await, (200, told));
    }
    assert_eq!(load("create", demo.clone()).await.0, 409);
    assert_eq!(load("create", json!({"namespace": "N"})).await.1["outcome"], "created");
    assert_eq!(load("create", json!({"namespace": "N", "self": "s"})).await.0, 403);
    assert_eq!(load("often", demo).await.0, 400);
    assert_eq!(load("create", json!({})).await.0, 400);
}
