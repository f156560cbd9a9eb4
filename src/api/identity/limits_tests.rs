//! Unified limits as clients see them: bodies, filters, statuses.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api::identity::tests::{admin, body, in_project, router, send, token_of};

async fn ask(router: &axum::Router, method: &str, path: &str, token: &str, sent: Value) -> (u16, Value) {
    let response = send(router, method, path, token, sent).await;
    (response.status().as_u16(), body(response).await)
}

async fn image_service(router: &axum::Router, token: &str) -> String {
    let (_, found) = ask(router, "GET", "/v3/services?type=image", token, Value::Null).await;
    found["services"][0]["id"].as_str().unwrap().to_owned()
}

/// A user with the role member in a project; the project's id and the user's token.
async fn member(router: &axum::Router, admin: &str) -> (String, String) {
    let (_, made) = ask(router, "POST", "/v3/projects", admin, json!({"project": {"name": "lab"}})).await;
    let project = made["project"]["id"].as_str().unwrap().to_owned();
    let user = json!({"user": {"name": "ann", "password": "ann-pw"}});
    let (_, made) = ask(router, "POST", "/v3/users", admin, user).await;
    let user = made["user"]["id"].as_str().unwrap().to_owned();
    let (_, found) = ask(router, "GET", "/v3/roles?name=member", admin, Value::Null).await;
    let role = found["roles"][0]["id"].as_str().unwrap();
    let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
    assert_eq!(send(router, "PUT", &path, admin, Value::Null).await.status(), StatusCode::NO_CONTENT);
    (project, token_of(router, "ann", "ann-pw", in_project("lab")).await)
}

#[tokio::test]
async fn limits_are_made_listed_changed_and_deleted() {
    let router = router();
    let admin = admin(&router).await;
    let (project, ann) = member(&router, &admin).await;
    let service = image_service(&router, &admin).await;
    let (status, model) = ask(&router, "GET", "/v3/limits/model", &ann, Value::Null).await;
    assert_eq!((status, &model["model"]["name"]), (200, &json!("flat")));

    let registered = |name: &str, region: Value, limit: Value| {
        json!({"registered_limits": [{"service_id": service, "region_id": region, "resource_name": name,
            "default_limit": limit}]})
    };
    let regional = registered("image_size_total", json!("RegionOne"), json!(1000));
    let (status, made) = ask(&router, "POST", "/v3/registered_limits", &admin, regional.clone()).await;
    assert_eq!(status, 201, "{made}");
    let made = &made["registered_limits"][0];
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(
        *made,
        json!({"id": id, "service_id": service, "region_id": "RegionOne", "resource_name": "image_size_total",
            "default_limit": 1000, "description": null,
            "links": {"self": format!("http://box:9292/v3/registered_limits/{id}")}})
    );
    let (status, error) = ask(&router, "POST", "/v3/registered_limits", &admin, regional).await;
    assert_eq!(status, 409);
    assert!(error["error"]["message"].as_str().unwrap().contains("Duplicate entry."));
    let plain = registered("image_size_total", Value::Null, json!(-1));
    assert_eq!(ask(&router, "POST", "/v3/registered_limits", &admin, plain).await.0, 201);

    let limit = |region: Value, project: &str, limit: Value| {
        json!({"limits": [{"project_id": project, "service_id": service, "region_id": region,
            "resource_name": "image_size_total", "resource_limit": limit, "description": "theirs"}]})
    };
    let own = limit(json!("RegionOne"), &project, json!(500));
    let (status, made) = ask(&router, "POST", "/v3/limits", &admin, own.clone()).await;
    assert_eq!(status, 201, "{made}");
    let made = made["limits"][0].clone();
    let own_id = made["id"].as_str().unwrap().to_owned();
    assert_eq!((&made["domain_id"], &made["description"]), (&Value::Null, &json!("theirs")));
    assert_eq!(ask(&router, "POST", "/v3/limits", &admin, own).await.0, 409);

    // What a Glance with oslo.limit asks, and what its member may ask.
    for token in [&admin, &ann] {
        for (path, count) in [
            (format!("/v3/limits?service_id={service}&region_id=RegionOne&project_id={project}"), 1),
            (format!("/v3/limits?resource_name=image_size_total&project_id={project}"), 1),
            ("/v3/limits?resource_name=image_count_total".to_owned(), 0),
            ("/v3/limits?project_id=other".to_owned(), 0),
        ] {
            let (status, found) = ask(&router, "GET", &path, token, Value::Null).await;
            assert_eq!((status, found["limits"].as_array().unwrap().len()), (200, count), "{path}");
        }
        let path = format!("/v3/registered_limits?service_id={service}&region_id=RegionOne");
        let (_, found) = ask(&router, "GET", &path, token, Value::Null).await;
        assert_eq!(found["registered_limits"][0]["id"], json!(id), "{found}");
        assert_eq!(found["registered_limits"].as_array().unwrap().len(), 1);
        let (_, shown) = ask(&router, "GET", &format!("/v3/limits/{own_id}"), token, Value::Null).await;
        assert_eq!(shown, json!({ "limit": made }));
        let (_, shown) =
            ask(&router, "GET", &format!("/v3/registered_limits/{id}"), token, Value::Null).await;
        assert_eq!(shown["registered_limit"]["default_limit"], 1000);
    }
    let patch = json!({"registered_limit": {"default_limit": 2}});
    let path = format!("/v3/registered_limits/{id}");
    assert_eq!(ask(&router, "PATCH", &path, &admin, patch.clone()).await.0, 403);
    assert_eq!(ask(&router, "DELETE", &path, &admin, Value::Null).await.0, 403);
    let own_path = format!("/v3/limits/{own_id}");
    let change = json!({"limit": {"resource_limit": 7, "description": null}});
    let (status, changed) = ask(&router, "PATCH", &own_path, &admin, change).await;
    assert_eq!((status, &changed["limit"]["resource_limit"]), (200, &json!(7)));
    assert_eq!(changed["limit"]["description"], Value::Null);
    let (_, usage) = ask(&router, "GET", "/v2/info/usage", &ann, Value::Null).await;
    assert_eq!(usage["usage"]["image_size_total"], json!({"limit": 7, "usage": 0}));
    assert_eq!(usage["usage"]["image_count_uploading"], json!({"limit": -1, "usage": 0}));
    assert_eq!(usage["usage"].as_object().unwrap().len(), 4);
    assert_eq!(ask(&router, "DELETE", &own_path, &admin, Value::Null).await, (204, Value::Null));
    assert_eq!(ask(&router, "GET", &own_path, &admin, Value::Null).await.0, 404);
    let (status, changed) = ask(&router, "PATCH", &path, &admin, patch).await;
    assert_eq!((status, &changed["registered_limit"]["default_limit"]), (200, &json!(2)));
    let move_it = json!({"registered_limit": {"resource_name": "image_count_total", "region_id": null}});
    let (status, changed) = ask(&router, "PATCH", &path, &admin, move_it).await;
    assert_eq!((status, &changed["registered_limit"]["region_id"]), (200, &Value::Null));
    assert_eq!(changed["registered_limit"]["resource_name"], "image_count_total");
    assert_eq!(ask(&router, "DELETE", &path, &admin, Value::Null).await.0, 204);
}

#[tokio::test]
async fn what_no_limit_can_be_is_refused() {
    let router = router();
    let admin = admin(&router).await;
    let (project, ann) = member(&router, &admin).await;
    let service = image_service(&router, &admin).await;
    let (_, found) = ask(&router, "GET", "/v3/services?type=identity", &admin, Value::Null).await;
    let identity = found["services"][0]["id"].clone();
    let good = json!({"service_id": service, "resource_name": "image_count_total", "default_limit": 1});
    for (member, value) in [
        ("default_limit", json!(-2)),
        ("default_limit", json!(1.5)),
        ("default_limit", json!("5")),
        ("default_limit", json!(true)),
        ("default_limit", json!(null)),
        ("default_limit", json!(1u64 << 31)),
        ("default_limit", json!(u64::MAX)),
        ("resource_name", json!("volumes")),
        ("resource_name", json!(null)),
        ("resource_name", json!(7)),
        ("service_id", json!("none")),
        ("service_id", identity),
        ("region_id", json!("RegionTwo")),
        ("region_id", json!({})),
        ("description", json!("x".repeat(1025))),
        ("default_limits", json!(5)),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let (status, error) =
            ask(&router, "POST", "/v3/registered_limits", &admin, json!({"registered_limits": [bad]})).await;
        assert_eq!(status, 400, "{bad}: {error}");
        assert!(error["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    for bad in [
        json!({"registered_limits": []}),
        json!({"registered_limits": good}),
        json!({"registered_limits": [7]}),
        json!({"registered_limit": [good]}),
        json!([]),
    ] {
        assert_eq!(ask(&router, "POST", "/v3/registered_limits", &admin, bad.clone()).await.0, 400, "{bad}");
    }
    let limit = json!({"project_id": project, "service_id": service, "resource_name": "image_count_total",
        "resource_limit": 1});
    let (status, error) = ask(&router, "POST", "/v3/limits", &admin, json!({"limits": [limit]})).await;
    assert_eq!(status, 403);
    let said = "Unable to create a limit that has no corresponding registered limit.";
    assert_eq!(error["error"]["message"], said);
    let (status, _) =
        ask(&router, "POST", "/v3/registered_limits", &admin, json!({"registered_limits": [good]})).await;
    assert_eq!(status, 201);
    for (member, value) in [
        ("resource_limit", json!(-2)),
        ("resource_limit", json!("1")),
        ("project_id", json!("nobody")),
        ("project_id", json!(null)),
        ("domain_id", json!("default")),
    ] {
        let mut bad = limit.clone();
        bad[member] = value;
        let (status, error) = ask(&router, "POST", "/v3/limits", &admin, json!({"limits": [bad]})).await;
        assert_eq!(status, 400, "{bad}: {error}");
    }
    let (_, made) = ask(&router, "POST", "/v3/limits", &admin, json!({"limits": [limit]})).await;
    let path = format!("/v3/limits/{}", made["limits"][0]["id"].as_str().unwrap());
    for bad in [json!({"resource_limit": -2}), json!({"resource_limit": null}), json!({"project_id": "x"})] {
        assert_eq!(ask(&router, "PATCH", &path, &admin, json!({ "limit": bad })).await.0, 400, "{bad}");
    }
    // A member reads; what is of a project goes with it.
    for (method, path) in [
        ("POST", "/v3/registered_limits"),
        ("PATCH", "/v3/registered_limits/x"),
        ("DELETE", "/v3/registered_limits/x"),
        ("POST", "/v3/limits"),
        ("PATCH", path.as_str()),
        ("DELETE", path.as_str()),
    ] {
        let sent =
            json!({"registered_limits": [good], "registered_limit": {}, "limits": [limit], "limit": {}});
        assert_eq!(ask(&router, method, path, &ann, sent).await.0, 403, "{method} {path}");
    }
    let gone = format!("/v3/projects/{project}");
    assert_eq!(ask(&router, "DELETE", &gone, &admin, Value::Null).await.0, 204);
    assert_eq!(ask(&router, "GET", &path, &admin, Value::Null).await.0, 404);
    for path in ["/v3/limits", "/v3/registered_limits", "/v3/limits/model"] {
        assert_eq!(ask(&router, "GET", path, "", Value::Null).await.0, 401, "{path}");
    }
}
