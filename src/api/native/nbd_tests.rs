//! Exports of disks over HTTP: opened, listed and closed; what is told once, and to whom.

use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::super::tests::state;
use super::*;
use crate::api::context::LocalAdmin;
use crate::service::images::{Change, Field, NewImage};

const PATH: &str = "/tintype/v1/nbd/exports";

async fn ask(state: &ApiState, method: &str, path: &str, sent: &Value, admin: bool) -> (u16, Value) {
    let sent = Body::from(sent.to_string());
    let mut request = Request::builder().method(method).uri(path).header("host", "box.example:9292");
    if admin {
        request = request.extension(LocalAdmin);
    }
    let request = request.body(sent).unwrap();
    let response = routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// An image with data.
async fn image(state: &ApiState) -> String {
    let actor = state.service.local_admin().unwrap();
    let fields = [
        Field::Name(Some("disk".into())),
        Field::DiskFormat(Some("raw".into())),
        Field::ContainerFormat(Some("bare".into())),
    ];
    let new = NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() };
    let image = state.service.create_image(&actor, new).unwrap();
    let upload = state.service.begin_upload(&actor, &image.id, None).unwrap();
    let data = futures::stream::iter([Ok(bytes::Bytes::from(vec![7; 10_000]))]);
    upload.receive(data).await.unwrap().id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_opened_listed_and_closed() {
    let state = state();
    let image = image(&state).await;
    let asked = json!({"image": image});
    let (status, refused) = ask(&state, "POST", PATH, &asked, true).await;
    assert_eq!(status, 409, "{refused}");
    state.service.disk_exports().are_served_at("nbd://0.0.0.0:10809".into());
    let (status, opened) = ask(&state, "POST", PATH, &asked, true).await;
    assert_eq!((status, &opened["image"], &opened["writable"]), (201, &json!("disk"), &json!(false)));
    let name = opened["name"].as_str().unwrap();
    assert!(name.len() >= 22, "{name}");
    assert_eq!(opened["uri"], format!("nbd://box.example:10809/{name}"));
    let (_, listed) = ask(&state, "GET", PATH, &Value::Null, true).await;
    assert_eq!(
        (&listed["exports"][0]["id"], listed["exports"].as_array().unwrap().len()),
        (&opened["id"], 1)
    );
    assert!(!listed.to_string().contains(name));
    let path = format!("{PATH}/{}", opened["id"].as_str().unwrap());
    let closed = json!({"id": opened["id"], "connections": 0, "lost_writes": 0, "captures": 0});
    assert_eq!(ask(&state, "DELETE", &path, &Value::Null, true).await, (200, closed));
    assert_eq!(ask(&state, "DELETE", &path, &Value::Null, true).await.0, 404);
    assert_eq!(opened["id"], export_id_of(name));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_closed_by_its_name_too_which_is_told_nobody_again() {
    let state = state();
    let image = image(&state).await;
    state.service.disk_exports().are_served_at("nbd://0.0.0.0:10809".into());
    let (_, opened) = ask(&state, "POST", PATH, &json!({"image": image}), true).await;
    let name = opened["name"].as_str().unwrap();
    let path = format!("{PATH}/{name}");
    let closed = json!({"id": opened["id"], "connections": 0, "lost_writes": 0, "captures": 0});
    assert_eq!(ask(&state, "DELETE", &path, &Value::Null, true).await, (200, closed));
    let (status, refused) = ask(&state, "DELETE", &path, &Value::Null, true).await;
    assert!(status == 404 && !refused.to_string().contains(name), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_bad_bodies_are_turned_away() {
    let state = state();
    state.service.disk_exports().are_served_at("nbd://127.0.0.1:1".into());
    let image = image(&state).await;
    for (method, path) in [("GET", PATH), ("POST", PATH), ("DELETE", "/tintype/v1/nbd/exports/x")] {
        assert_eq!(ask(&state, method, path, &json!({}), false).await.0, 401, "{method} {path}");
    }
    for (sent, expected) in [
        (json!({}), 400),
        (json!({"image": "disk"}), 400),
        (json!({"image": image, "ttl_s": 0}), 400),
        (json!({"image": image, "capture": "x"}), 400),
        (json!({"image": image, "name": "mine"}), 400),
        (json!({"image": "00000000-0000-0000-0000-000000000000"}), 404),
    ] {
        assert_eq!(ask(&state, "POST", PATH, &sent, true).await.0, expected, "{sent}");
    }
}

#[test]
fn names_become_addresses() {
    let socket = "nbd+unix:///?socket=/run/a.sock";
    assert_eq!(uri(socket, "N"), "nbd+unix:///N?socket=/run/a.sock");
    assert_eq!(uri("nbds://h:1", "N"), "nbds://h:1/N");
    for (place, url, expected) in [
        ("nbd://[::]:1", "http://[::1]:9292", "nbd://[::1]:1"),
        ("nbd://0.0.0.0:1", "https://box", "nbd://box:1"),
        ("nbd://10.0.0.1:1", "https://box:2", "nbd://10.0.0.1:1"),
        ("nbd://0.0.0.0:1", "https://box:8443/images", "nbd://box:1"),
        ("nbds://[::]:1", "https://box/images:2/x", "nbds://box:1"),
    ] {
        assert_eq!(reached_by(place, url), expected);
    }
}
