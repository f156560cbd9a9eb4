//! The image management API as clients see it: status, headers and bodies. Every call is signed.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::signature::tests::{Signer, Sketch};
use crate::model::quota::{Limit, Resource};

async fn get(client: &Signer, path: &str) -> (u16, Value) {
    client.ask("GET", path, &Value::Null).await
}

/// Registers an image; its id.
async fn registered(client: &Signer, body: Value) -> String {
    let (status, image) = client.ask("POST", "/v2/images", &body).await;
    assert_eq!(status, 201, "{image}");
    image["id"].as_str().unwrap().to_owned()
}

/// Registers an image and fills it; its id.
async fn filled(client: &Signer, name: &str, more: Value) -> String {
    let mut body =
        json!({"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "private"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id = registered(client, body).await;
    let put = Sketch::new("PUT", &format!("/v2/images/{id}/file"), "data").typed("application/octet-stream");
    let (status, body) = client.send(&client.sign(put)).await;
    assert_eq!(status, 204, "{body}");
    id
}

fn names(body: &Value) -> Vec<&str> {
    body["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect()
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_image_shows_what_sdks_read() {
    let client = Signer::new();
    let more = json!({"min_disk": 40, "min_ram": 512, "tags": ["k=v"], "__os_version": "CentOS 7.0 64bit",
        "__imagetype": "market", "max_ram": "4096", "__system__encrypted": "1"});
    let id = filled(&client, "web", more).await;
    let (status, body) = get(&client, &format!("/v2/cloudimages?id={id}")).await;
    assert_eq!((status, &body["page_info"], &body["next"]), (200, &json!({}), &Value::Null));
    let image = &body["images"][0];
    for (key, value) in [
        ("id", json!(id)),
        ("owner", json!(client.project)),
        ("status", json!("active")),
        ("visibility", json!("private")),
        ("__imagetype", json!("private")),
        ("__isregistered", json!("true")),
        ("__image_source_type", json!("uds")),
        ("__image_size", json!("4")),
        ("__os_type", json!("Linux")),
        ("__os_version", json!("CentOS 7.0 64bit")),
        ("virtual_env_type", json!("FusionCompute")),
        ("enterprise_project_id", json!("0")),
        ("__system_support_market", json!(false)),
        ("protected", json!(false)),
        ("min_disk", json!(40)),
        ("max_ram", json!("4096")),
        ("tags", json!(["k=v"])),
        ("file", json!(format!("/v2/images/{id}/file"))),
    ] {
        assert_eq!(image[key], value, "{key}");
    }
    // What the service decides stands there once.
    let text = serde_json::to_string(image).unwrap();
    assert_eq!(text.matches("\"__imagetype\"").count(), 1);
    assert_eq!(image["__system__encrypted"], Value::Null, "no key sealed it");
    let (status, body) = get(&client, "/v2/cloudimages?id=00000000-0000-0000-0000-000000000000").await;
    assert_eq!((status, &body["images"]), (200, &json!([])));
}

#[tokio::test]
async fn every_filter_leaves_what_it_names() {
    let client = Signer::new();
    filled(
        &client,
        "linux",
        json!({"__os_type": "Linux", "__os_bit": "64", "__platform": "RedHat",
        "__support_kvm": "true", "tags": ["env=prod", "old"], "min_ram": 512}),
    )
    .await;
    filled(
        &client,
        "windows",
        json!({"__os_type": "Windows", "__support_arm": "true", "__whole_image": "true",
        "protected": true, "enterprise_project_id": "e1", "min_disk": 60, "tags": ["env=test"]}),
    )
    .await;
    let iso = json!({"name": "iso", "disk_format": "iso", "visibility": "private", "container_format": "bare",
        "__support_kvm_gpu_type": "V100"});
    registered(&client, iso).await;
    filled(&client, "gold", json!({"visibility": "public"})).await;
    registered(&client, json!({"name": "empty", "visibility": "private"})).await;
    for (query, wanted) in [
        ("", "empty gold iso linux windows"),
        ("__imagetype=gold", "gold"),
        ("__imagetype=private", "empty iso linux windows"),
        ("__imagetype=shared", ""),
        ("__imagetype=market", ""),
        ("__isregistered=true&__imagetype=gold", "gold"),
        ("__isregistered=false", ""),
        ("__os_type=Linux", "linux"),
        ("__os_type=Other", "empty gold iso"),
        ("__os_bit=64", "linux"),
        ("__platform=red%20hat", "linux"),
        ("__platform=Red+Hat", "linux"),
        ("__support_kvm=true", "linux"),
        ("__support_kvm_gpu_type=V100", "iso"),
        ("virtual_env_type=IsoImage", "iso"),
        ("virtual_env_type=FusionCompute", "empty gold linux windows"),
        ("virtual_env_type=DataImage", ""),
        ("architecture=arm", "windows"),
        ("architecture=x86&__imagetype=private", "empty iso linux"),
        ("__whole_image=true", "windows"),
        ("__whole_image=false&visibility=private", "empty iso linux"),
        ("flavor_id=s6.large&visibility=public", "gold"),
        ("name=linux", "linux"),
        ("name=lin", ""),
        ("status=queued", "empty iso"),
        ("status=killed", ""),
        ("disk_format=iso", "iso"),
        ("container_format=bare&__os_type=Windows", "windows"),
        ("min_ram=512", "linux"),
        ("min_disk=60", "windows"),
        ("protected=true", "windows"),
        ("protected=false&__imagetype=gold", "gold"),
        ("tag=env%3Dprod", "linux"),
        ("tag=env.test", "windows"),
        ("tag=env", "linux windows"),
        ("tag=old", "linux"),
        ("tag=env&tag=old", "linux"),
        ("tag=en", ""),
        ("enterprise_project_id=e1", "windows"),
        ("enterprise_project_id=0&__imagetype=private", "empty iso linux"),
        ("enterprise_project_id=all_granted_eps&name=gold", "gold"),
        ("created_at=gt:2000-01-01T00:00:00Z&name=iso", "iso"),
        ("updated_at=lt:2000-01-01%2000:00:00", ""),
        ("unknown_attribute=x", ""),
        ("__system__cmkid=x", ""),
    ] {
        let (status, body) =
            get(&client, &format!("/v2/cloudimages?{query}&sort_key=name&sort_dir=asc")).await;
        assert_eq!(status, 200, "{query}: {body}");
        assert_eq!(names(&body).join(" "), wanted, "{query}");
    }
    for bad in ["limit=0", "marker=x", "marker=00000000-0000-0000-0000-000000000000&name=x", "sort_key=owner"]
    {
        let (status, body) = get(&client, &format!("/v2/cloudimages?{bad}")).await;
        assert_eq!(status, 400, "{bad}");
        assert!(["IMG.0017", "IMG.0001"].contains(&code(&body)), "{bad}: {body}");
    }
}

#[tokio::test]
async fn pages_end_where_the_images_do() {
    let client = Signer::new();
    for name in ["a", "b", "c", "d"] {
        registered(&client, json!({"name": name, "visibility": "private"})).await;
    }
    let (_, first) = get(&client, "/v2/cloudimages?sort_key=name&sort_dir=asc&limit=2").await;
    assert_eq!(names(&first), ["a", "b"]);
    let next = first["next"].as_str().unwrap();
    let marker = first["page_info"]["next_marker"].as_str().unwrap();
    assert_eq!(next, format!("/v2/cloudimages?sort_key=name&sort_dir=asc&limit=2&marker={marker}"));
    let (_, last) = get(&client, next).await;
    assert_eq!(names(&last), ["c", "d"]);
    assert_eq!((&last["next"], &last["page_info"]), (&Value::Null, &json!({})));
    let (_, newest) = get(&client, "/v2/cloudimages").await;
    assert_eq!(names(&newest), ["d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_patch_changes_ones_own_active_images_alone() {
    let client = Signer::new();
    let other = client.tenant("fleet");
    let id = filled(&client, "web", json!({})).await;
    let path = format!("/v2/cloudimages/{id}");
    let op = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    let rename = op("replace", "/name", json!("db"));
    let (status, image) = client.ask("PATCH", &path, &rename).await;
    assert_eq!((status, &image["name"], &image["__imagetype"]), (200, &json!("db"), &json!("private")));
    // What is not there is added after the code that says so.
    let describe = |word: &str| op(word, "/__description", json!("of db"));
    let (status, body) = client.ask("PATCH", &path, &describe("replace")).await;
    assert_eq!((status, code(&body)), (400, "IMG.0035"));
    let (status, image) = client.ask("PATCH", &path, &describe("add")).await;
    assert_eq!((status, &image["__description"]), (200, &json!("of db")));
    let (_, image) = client.ask("PATCH", &path, &op("add", "/max_ram", json!(4096))).await;
    assert_eq!(image["max_ram"], "4096");
    let (_, image) = client.ask("PATCH", &path, &op("remove", "/max_ram", json!(""))).await;
    assert_eq!(image["max_ram"], Value::Null);
    let exclusive = json!([
        {"op": "add", "path": "/__support_xen", "value": "true"},
        {"op": "add", "path": "/__support_kvm_gpu_type", "value": "V100"},
    ]);
    let queued = registered(&client, json!({"visibility": "private"})).await;
    let gold = filled(&client, "gold", json!({"visibility": "public"})).await;
    let foreign = filled(&other, "theirs", json!({})).await;
    for (who, image, body, wanted) in [
        (&client, &id, exclusive, (400, "IMG.0035")),
        (&client, &id, json!({}), (400, "IMG.0001")),
        (&client, &id, Value::Null, (400, "IMG.0007")),
        (&client, &queued, rename.clone(), (400, "IMG.0046")),
        (&client, &gold, rename.clone(), (400, "IMG.0083")),
        (&client, &foreign, rename.clone(), (400, "IMG.0047")),
        (&other, &gold, rename.clone(), (400, "IMG.0047")),
        (&other, &id, rename.clone(), (400, "IMG.0027")),
        (&client, &"x".to_owned(), rename.clone(), (400, "IMG.0027")),
    ] {
        let (status, answer) = who.ask("PATCH", &format!("/v2/cloudimages/{image}"), &body).await;
        assert_eq!((status, code(&answer)), wanted, "{image} {body}: {answer}");
    }
    let (_, listed) = get(&client, &format!("/v2/cloudimages?id={id}")).await;
    assert_eq!(listed["images"][0]["__support_xen"], Value::Null, "all of a patch or none");
}

#[tokio::test]
async fn tags_are_put_listed_and_taken_off() {
    let client = Signer::new();
    let other = client.tenant("fleet");
    let id = registered(&client, json!({"name": "web", "visibility": "private", "tags": ["bare"]})).await;
    let second = registered(&client, json!({"name": "db", "visibility": "private"})).await;
    let tags = format!("/v2/{}/images/{id}/tags", client.project);
    let tag = |key: &str, value: &str| json!({"tag": {"key": key, "value": value}});
    for (method, path, body, wanted) in [
        ("POST", tags.clone(), tag("env", "prod"), (204, "")),
        ("POST", tags.clone(), tag("env", "test"), (204, "")),
        ("POST", tags.clone(), tag("", "x"), (400, "IMG.0115")),
        ("POST", tags.clone(), tag("a.b", "x"), (400, "IMG.0115")),
        ("POST", tags.clone(), tag("k", &"v".repeat(44)), (400, "IMG.0115")),
        ("PUT", "/v1/cloudimages/tags".into(), json!({"image_id": id, "tag": "tier.a.b"}), (204, "")),
        (
            "PUT",
            "/v1/cloudimages/tags".into(),
            json!({"image_id": second, "image_tag": {"key": "env", "value": "prod"}}),
            (204, ""),
        ),
        ("PUT", "/v1/cloudimages/tags".into(), json!({"image_id": id, "tag": "dotless"}), (400, "IMG.0115")),
        (
            "POST",
            format!("{tags}/action"),
            json!({"action": "create", "tags": [{"key": "a", "value": "1"}, {"key": "b"}]}),
            (204, ""),
        ),
        (
            "POST",
            format!("{tags}/action"),
            json!({"action": "create", "tags": [{"key": "a"}, {"key": "a"}]}),
            (400, "IMG.0115"),
        ),
        (
            "POST",
            format!("{tags}/action"),
            json!({"action": "delete", "tags": [{"key": "a"}, {"key": "none"}]}),
            (204, ""),
        ),
        (
            "POST",
            format!("{tags}/action"),
            json!({"action": "swap", "tags": [{"key": "a"}]}),
            (400, "IMG.0001"),
        ),
        ("DELETE", format!("{tags}/b"), Value::Null, (204, "")),
        ("DELETE", format!("{tags}/b?again"), Value::Null, (404, "IMG.0121")),
        (
            "DELETE",
            format!("/v1/{}/cloudimages/{id}/tags/delete", client.project),
            json!({"tags": [{"key": "bare", "value": ""}]}),
            (204, ""),
        ),
    ] {
        let (status, answer) = client.ask(method, &path, &body).await;
        assert_eq!((status, code(&answer)), wanted, "{method} {path} {body}: {answer}");
    }
    let label = |key: &str, value: &str| json!({"key": key, "value": value});
    assert_eq!(get(&client, &tags).await.1, json!({"tags": [label("env", "test"), label("tier", "a.b")]}));
    let all = format!("/v2/{}/images/tags", client.project);
    let expected = json!({"tags": [
        {"key": "env", "values": ["prod", "test"]}, {"key": "tier", "values": ["a.b"]}]});
    assert_eq!(get(&client, &all).await.1, expected);
    assert_eq!(
        get(&client, "/v1/cloudimages/tags").await.1,
        json!({"tags": ["env=prod", "env=test", "tier=a.b"]})
    );
    let paged = get(&client, "/v1/cloudimages/tags?name=web&limit=1&page=2").await.1;
    assert_eq!(paged, json!({"tags": ["tier=a.b"]}));
    let search = format!("/v2/{}/images/resource_instances/action", client.project);
    let by_tag = json!({"action": "filter", "limit": "10", "offset": "0", "tags": [{"key": "env", "values": ["prod"]}]});
    let (_, found) = client.ask("POST", &search, &by_tag).await;
    assert_eq!((&found["total_count"], &found["resources"][0]["resource_name"]), (&json!(1), &json!("db")));
    let counted = client.ask("POST", &search, &json!({"action": "count", "without_any_tag": false})).await.1;
    assert_eq!(counted, json!({"total_count": 2}));
    // Nobody else sees or touches any of it.
    let theirs = format!("/v2/{}/images/{id}/tags", other.project);
    for (method, body) in [("GET", Value::Null), ("POST", tag("env", "x"))] {
        let (status, answer) = other.ask(method, &theirs, &body).await;
        assert_eq!((status, code(&answer)), (400, "IMG.0027"), "{method}");
    }
    let (status, answer) = other.ask("GET", &tags, &Value::Null).await;
    assert_eq!((status, code(&answer)), (400, "IMG.0030"));
    assert_eq!(get(&other, "/v1/cloudimages/tags").await.1, json!({"tags": []}));
    for n in 0..8 {
        assert_eq!(client.ask("POST", &tags, &tag(&format!("k{n}"), "v")).await.0, 204);
    }
    let (status, answer) = client.ask("POST", &tags, &tag("one-too-many", "v")).await;
    assert_eq!((status, code(&answer)), (400, "IMG.0116"));
    assert_eq!(client.ask("POST", &tags, &tag("k0", "w")).await.0, 204);
}

#[tokio::test]
async fn shares_show_on_both_sides() {
    let owner = Signer::new();
    let member = owner.tenant("fleet");
    let id = filled(&owner, "web", json!({"visibility": "shared"})).await;
    let kinds = |body: &Value| {
        let images = body["images"].as_array().unwrap().iter();
        images.map(|image| image["__imagetype"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let members = format!("/v1/{}/cloudimages/{id}/members", owner.project);
    assert_eq!(kinds(&get(&owner, "/v2/cloudimages").await.1), ["private"]);
    assert_eq!(get(&owner, &members).await.1["members"], json!([]));
    let offer = json!({"member": member.project});
    assert_eq!(owner.ask("POST", &format!("/v2/images/{id}/members"), &offer).await.0, 200);
    assert_eq!(kinds(&get(&owner, "/v2/cloudimages?__imagetype=shared").await.1), ["shared"]);
    assert!(kinds(&get(&owner, "/v2/cloudimages?__imagetype=private").await.1).is_empty());
    assert!(kinds(&get(&member, "/v2/cloudimages").await.1).is_empty(), "pending shares stay out");
    let pending = "/v2/cloudimages?visibility=shared&__imagetype=shared&member_status=pending";
    assert_eq!(names(&get(&member, pending).await.1), ["web"]);
    assert!(names(&get(&owner, pending).await.1).is_empty(), "which is about what others share");
    let answer = json!({"status": "accepted"});
    let path = format!("/v2/images/{id}/members/{}", member.project);
    assert_eq!(member.ask("PUT", &path, &answer).await.0, 200);
    let (_, listed) = get(&member, "/v2/cloudimages?__imagetype=shared").await;
    assert_eq!((names(&listed), kinds(&listed)), (vec!["web"], vec!["shared".to_owned()]));
    let (_, listed) = get(&owner, &members).await;
    assert_eq!(listed["page_info"], json!({"current_count": 1}));
    assert_eq!(
        (&listed["members"][0]["status"], &listed["schema"]),
        (&json!("accepted"), &json!("/v2/schemas/members"))
    );
    let (_, shown) = get(&owner, &format!("{members}/{}", member.project)).await;
    assert_eq!((&shown["image_id"], &shown["member_id"]), (&json!(id), &json!(member.project)));
    let (status, body) = get(&owner, &format!("{members}/nobody")).await;
    assert_eq!((status, code(&body)), (400, "IMG.0027"));
    let rename = json!([{"op": "replace", "path": "/name", "value": "mine"}]);
    let (status, body) = member.ask("PATCH", &format!("/v2/cloudimages/{id}"), &rename).await;
    assert_eq!((status, code(&body)), (400, "IMG.0047"));
}

#[tokio::test]
async fn versions_quota_and_systems_are_told() {
    let client = Signer::new();
    for path in ["/", "/v1", "/v1.1", "/v2.0", "/v2.7"] {
        let request = Request::builder().uri(path).header("host", "box:9292").body(Body::empty()).unwrap();
        let response = client.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 300, "{path} needs no token");
    }
    let (_, one) = get(&client, "/v2.0").await;
    assert_eq!((one["versions"].as_array().unwrap().len(), &one["versions"][0]["id"]), (1, &json!("v2.0")));
    registered(&client, json!({"visibility": "private"})).await;
    registered(&client, json!({"visibility": "public"})).await;
    let (_, quota) = get(&client, "/v1/cloudimages/quota").await;
    let resource = json!({"type": "image", "used": 2, "quota": -1, "min": -1, "max": -1});
    assert_eq!(quota, json!({"quotas": {"resources": [resource]}}));
    let admin = client.service.local_admin().unwrap();
    let set = |most| {
        let limit = (Resource::ImageCountTotal, Some(Limit::AtMost(most)));
        client.service.set_default_quotas(&admin, vec![limit]).unwrap();
    };
    for (most, max) in [(2000, 2000), (2, 1000)] {
        set(most);
        let (_, quota) = get(&client, "/v1/cloudimages/quota").await;
        let resource = json!({"type": "image", "used": 2, "quota": most, "min": 1, "max": max});
        assert_eq!(quota, json!({"quotas": {"resources": [resource]}}));
    }
    let (status, body) = client.ask("POST", "/v2/images", &json!({"name": "third"})).await;
    assert_eq!(status, 413, "it is the Image API's: {body}");
    let (_, all) = get(&client, "/v1/cloudimages/os_version").await;
    let (_, uefi) = get(&client, "/v1/cloudimages/os_version?tag=kvm&tag=uefi").await;
    assert!(all.as_array().unwrap().len() > uefi.as_array().unwrap().len());
    assert!(uefi[0]["version_list"][0]["os_bit"].is_u64());
    assert_eq!(get(&client, "/v1/cloudimages/os_version?tag=bms").await.1, json!([]));
    assert_eq!(get(&client, "/v1/cloudimages/os_version?tag=x").await.0, 400);
    // Nobody knows the project of a client that asks with the name of its region.
    let (_, found) = get(&client, "/v3/projects?name=local-1").await;
    assert_eq!(
        (found["projects"].as_array().unwrap().len(), &found["projects"][0]["id"]),
        (1, &json!(client.project))
    );
    let fleet = client.tenant("fleet");
    let (_, found) = get(&fleet, "/v3/projects?name=local-1").await;
    assert_eq!(found["projects"][0]["id"], json!(fleet.project));
    // Such a client leaves a placeholder in its paths.
    assert_eq!(get(&client, "/v2/%7Bproject_id%7D/images/tags").await.0, 200);
}

#[tokio::test]
async fn what_is_not_built_or_not_allowed_says_so() {
    let client = Signer::new();
    let id = "00000000-0000-0000-0000-000000000000";
    for path in ["/v1/images", "/v1/images/detail", "/v1.1/images"] {
        assert_eq!(client.ask("GET", path, &Value::Null).await.0, 410, "{path}");
    }
    for (method, path) in [
        ("GET", "/v2/cloudimages/action".to_owned()),
        ("POST", "/v2/cloudimages/dataimages/action".to_owned()),
        ("PUT", format!("/v1/cloudimages/{id}/file")),
        ("GET", "/v1/cloudimages/members".to_owned()),
        ("POST", format!("/v1/{}/jobs/1", client.project)),
        ("DELETE", "/v2/cloudimages".to_owned()),
        ("PUT", "/v1/cloudimages/quota".to_owned()),
        ("GET", "/v1/nowhere/at/all".to_owned()),
        ("POST", "/v2.0".to_owned()),
    ] {
        let (status, body) = client.ask(method, &path, &Value::Null).await;
        assert_eq!(
            (status, body["error_code"].as_str()),
            (404, Some("APIGW.0101")),
            "{method} {path}: {body}"
        );
        let stranger = Sketch::new(method, &path, "");
        let status = client.send(&stranger).await.0;
        assert!(status == 401 || path == "/v2.0", "{method} {path}: {status}");
    }
    for (method, path) in [
        ("GET", "/v2/cloudimages".to_owned()),
        ("PATCH", format!("/v2/cloudimages/{id}")),
        ("GET", "/v1/cloudimages/tags".to_owned()),
        ("PUT", "/v1/cloudimages/tags".to_owned()),
        ("GET", "/v1/cloudimages/quota".to_owned()),
        ("GET", "/v1/cloudimages/os_version".to_owned()),
        ("POST", "/v2/cloudimages/action".to_owned()),
        ("POST", "/v2.1/cloudimages/quickimport/action".to_owned()),
        ("POST", "/v1/cloudimages/dataimages/action".to_owned()),
        ("POST", "/v1/cloudimages/wholeimages/action".to_owned()),
        ("PUT", format!("/v1/cloudimages/{id}/upload")),
        ("POST", format!("/v1/cloudimages/{id}/file")),
        ("POST", format!("/v1/cloudimages/{id}/copy")),
        ("POST", format!("/v1/cloudimages/{id}/cross_region_copy")),
        ("POST", "/v1/cloudimages/members".to_owned()),
        ("PUT", "/v1/cloudimages/members".to_owned()),
        ("DELETE", "/v1/cloudimages/members".to_owned()),
        ("GET", "/v1/p/jobs/1".to_owned()),
        ("GET", "/v1/cloudimages/job/1".to_owned()),
        ("GET", format!("/v1/p/cloudimages/{id}/members")),
        ("DELETE", format!("/v1/p/cloudimages/{id}/tags/delete")),
        ("POST", "/v2/p/images/resource_instances/action".to_owned()),
        ("GET", format!("/v2/p/images/{id}/tags")),
    ] {
        let (status, body) = client.send(&Sketch::new(method, &path, "")).await;
        assert_eq!(
            (status, body["error_code"].as_str()),
            (401, Some("APIGW.0301")),
            "{method} {path}: {body}"
        );
    }
    // A body that a delete may have: nothing here is a backup.
    let image = registered(&client, json!({"visibility": "private"})).await;
    let path = format!("/v2/images/{image}");
    assert_eq!(client.ask("DELETE", &path, &json!({"delete_backup": "yes"})).await.0, 400);
    assert_eq!(client.ask("DELETE", &path, &json!({"delete_backup": true})).await.0, 204);
}
