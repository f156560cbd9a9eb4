//! The codes of the reference that no other test of this folder produces, each by the request that it is for.

use std::cell::Cell;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::signature::tests::{Signer, Sketch};
use crate::model::ProjectId;
use crate::model::identity::Scope;
use crate::service::custom_keys::{CustomKeyChange, NewCustomKey};
use crate::service::identity::{Grant, NameFilter};
use crate::service::jobs::JobRules;
use crate::service::testing::{self, work_off};
use crate::service::{Rules, Service};

const CREATE: &str = "/v2/cloudimages/action";
const MEMBERS: &str = "/v1/cloudimages/members";

/// A sealed box with buckets.
struct Desk {
    outer: TempDir,
    owner: Signer,
    /// Makes every body another one: a request is taken once.
    number: Cell<u32>,
}

impl Desk {
    fn new(rules: Rules) -> Desk {
        let outer = tempfile::tempdir().unwrap();
        let (service, _) = testing::sealed_service(rules);
        let owner = Signer::on(service.with_buckets(testing::buckets(outer.path())));
        let mut iso = vec![0; 40_000];
        iso[32768..32774].copy_from_slice(b"\x01CD001");
        std::fs::write(outer.path().join("in/cd.iso"), iso).unwrap();
        std::fs::write(outer.path().join("in/a.raw"), vec![7; 5000]).unwrap();
        Desk { outer, owner, number: Cell::new(0) }
    }

    fn service(&self) -> &Service {
        &self.owner.service
    }

    async fn ask(&self, client: &Signer, method: &str, path: &str, mut body: Value) -> (u16, Value) {
        self.number.set(self.number.get() + 1);
        body["unread"] = json!(self.number.get());
        client.ask(method, path, &body).await
    }

    /// The code of a refusal at once.
    async fn code(&self, client: &Signer, method: &str, path: &str, body: Value) -> String {
        let (_, answer) = self.ask(client, method, path, body).await;
        answer["error"]["code"].as_str().map_or_else(|| answer.to_string(), str::to_owned)
    }

    /// The image of a job, or the code that it failed with.
    async fn job(&self, client: &Signer, method: &str, path: &str, body: Value) -> Result<String, String> {
        let (status, began) = self.ask(client, method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {began}");
        work_off(self.service()).await;
        let path = format!("/v1/{}/jobs/{}", client.project, began["job_id"].as_str().unwrap());
        let (_, job) = client.ask("GET", &path, &Value::Null).await;
        match job["error_code"].as_str() {
            Some(code) => Err(code.to_owned()),
            None => Ok(job["entities"]["image_id"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// An active image of the owner, with more in the request that makes it.
    async fn image(&self, more: Value) -> String {
        let mut body = json!({"name": "i", "image_url": "in:a.raw", "min_disk": 1});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.job(&self.owner, "POST", CREATE, body).await.unwrap()
    }

    /// Changes the image as the Image API lets its owner.
    async fn patch(&self, image: &str, name: &str, value: &str) {
        let op = if matches!(name, "visibility") { "replace" } else { "add" };
        let patch = json!([{"op": op, "path": format!("/{name}"), "value": value}]).to_string();
        let sketch = Sketch::new("PATCH", &format!("/v2/images/{image}"), patch);
        let sketch = sketch.typed("application/openstack-images-v2.1-json-patch");
        let (status, answer) = self.owner.send(&self.owner.sign(sketch)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// What came of sharing one image with one project: nothing, or the code.
    async fn share(&self, method: &str, image: &str, project: &str) -> Result<String, String> {
        let body = json!({"images": [image], "projects": [project]});
        self.job(&self.owner, method, MEMBERS, body).await
    }

    async fn answer(&self, client: &Signer, image: &str, status: &str) -> Result<String, String> {
        let body = json!({"images": [image], "project_id": client.project, "status": status});
        self.job(client, "PUT", MEMBERS, body).await
    }

    fn key(&self, alias: &str) -> String {
        let admin = self.service().local_admin().unwrap();
        let project = Some(self.owner.project.clone());
        let new = NewCustomKey { project, alias: alias.into(), description: None };
        self.service().create_custom_key(&admin, new).unwrap().id.to_string()
    }
}

fn refused(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_sharing_has_its_code() {
    let desk = Desk::new(testing::rules());
    let friend = desk.owner.tenant("friend");
    let image = desk.image(json!({})).await;
    let mine = desk.owner.project.clone();
    let nobody = json!({"images": [image]});
    assert_eq!(desk.code(&desk.owner, "POST", MEMBERS, nobody).await, "IMG.0041");
    let other = json!({"images": [image], "project_id": friend.project, "status": "accepted"});
    assert_eq!(desk.code(&desk.owner, "PUT", MEMBERS, other).await, "IMG.0067");
    assert_eq!(desk.share("POST", &image, "nobody").await, refused("IMG.0067"));
    assert_eq!(desk.share("POST", &image, &mine).await, refused("IMG.0076"));
    assert_eq!(desk.share("DELETE", &image, &friend.project).await, refused("IMG.0113"));
    assert_eq!(desk.answer(&desk.owner, &image, "accepted").await, refused("IMG.0114"));
    for (name, value, code) in [("__productcode", "x", "IMG.0107"), ("__whole_image", "true", "IMG.0135")] {
        let marked = desk.image(json!({})).await;
        desk.patch(&marked, name, value).await;
        assert_eq!(desk.share("POST", &marked, &friend.project).await, refused(code), "{name}");
    }
    let public = desk.image(json!({})).await;
    desk.patch(&public, "visibility", "public").await;
    assert_eq!(desk.share("POST", &public, &friend.project).await, refused("IMG.0089"));

    // One that is offered is copied once it was accepted.
    let copy = format!("/v1/cloudimages/{image}/copy");
    assert!(desk.share("POST", &image, &friend.project).await.is_ok());
    assert_eq!(desk.share("POST", &image, &friend.project).await, refused("IMG.0112"));
    assert_eq!(desk.code(&friend, "POST", &copy, json!({"name": "c"})).await, "IMG.0196");
    assert!(desk.answer(&friend, &image, "accepted").await.is_ok());
    assert!(desk.job(&friend, "POST", &copy, json!({"name": "c"})).await.is_ok());

    // An image of a whole machine has ten members.
    let whole = desk.image(json!({})).await;
    desk.patch(&whole, "__whole_image", "true").await;
    desk.patch(&whole, "__backup_id", "b").await;
    for number in 0..10 {
        let project = desk.owner.tenant(&format!("member{number}")).project;
        assert!(desk.share("POST", &whole, &project).await.is_ok(), "{number}");
    }
    assert_eq!(desk.share("POST", &whole, &friend.project).await, refused("IMG.0088"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_custom_keys_has_its_code() {
    let desk = Desk::new(testing::rules());
    let friend = desk.owner.tenant("friend");
    let (key, other) = (desk.key("one"), desk.key("two"));
    let sealed = desk.image(json!({"cmk_id": key})).await;
    let copy = format!("/v1/cloudimages/{sealed}/copy");
    assert_eq!(desk.code(&desk.owner, "POST", &copy, json!({"name": "c", "cmk_id": key})).await, "IMG.0096");
    let iso = json!({"name": "cd", "image_url": "in:cd.iso", "min_disk": 1, "type": "IsoImage",
        "os_version": "Other(64 bit)", "cmk_id": key});
    assert_eq!(desk.code(&desk.owner, "POST", CREATE, iso).await, "IMG.0118");
    let theirs = json!({"name": "i", "image_url": "in:a.raw", "min_disk": 1, "cmk_id": key});
    assert_eq!(desk.code(&friend, "POST", CREATE, theirs.clone()).await, "IMG.0095", "it is not told of");
    let across = json!({"name": "c", "region": "east", "project_name": "p", "agency_name": "a"});
    let path = format!("/v1/cloudimages/{sealed}/cross_region_copy");
    assert_eq!(desk.code(&desk.owner, "POST", &path, across).await, "IMG.0143");

    assert_eq!(desk.share("POST", &sealed, &friend.project).await, refused("IMG.0098"));
    let admin = desk.service().local_admin().unwrap();
    let to = ProjectId(friend.project.clone());
    desk.service().grant_custom_key(&admin, &key, to, true).unwrap();
    assert_eq!(desk.code(&friend, "POST", CREATE, theirs).await, "IMG.0099", "a grant reads alone");
    assert!(desk.share("POST", &sealed, &friend.project).await.is_ok());
    assert!(desk.answer(&friend, &sealed, "accepted").await.is_ok());
    assert_eq!(desk.code(&friend, "POST", &copy, json!({"name": "c"})).await, "IMG.0197");

    let off = CustomKeyChange { enabled: Some(false), ..CustomKeyChange::default() };
    desk.service().change_custom_key(&admin, &other, off).unwrap();
    let disabled = json!({"name": "i", "image_url": "in:a.raw", "min_disk": 1, "cmk_id": other});
    assert_eq!(desk.code(&desk.owner, "POST", CREATE, disabled).await, "IMG.0097");
    let (_, listed) = desk.owner.ask("GET", &format!("/v2/cloudimages?id={sealed}"), &Value::Null).await;
    assert_eq!(listed["images"][0]["__system__encrypted"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_roles_have_their_codes() {
    let jobs = JobRules { project_open_max: 1, ..JobRules::default() };
    let desk = Desk::new(Rules { image_bytes_max: 50_000, jobs, ..testing::rules() });
    std::fs::write(desk.outer.path().join("in/big.raw"), vec![7; 60_000]).unwrap();
    let from = |file: &str| json!({"name": "i", "image_url": format!("in:{file}"), "min_disk": 1});
    assert_eq!(desk.code(&desk.owner, "POST", CREATE, from("big.raw")).await, "IMG.0059");
    assert_eq!(desk.ask(&desk.owner, "POST", CREATE, from("a.raw")).await.0, 200);
    assert_eq!(desk.code(&desk.owner, "POST", CREATE, from("a.raw")).await, "IMG.0060");
    work_off(desk.service()).await;

    let iso = json!({"type": "IsoImage", "image_url": "in:cd.iso", "os_version": "Other(64 bit)"});
    let iso = desk.image(iso).await;
    let export = format!("/v1/cloudimages/{iso}/file");
    let to = json!({"bucket_url": "out:cd.iso", "file_format": "raw"});
    assert_eq!(desk.code(&desk.owner, "POST", &export, to).await, "IMG.0167");
    let copy = format!("/v1/cloudimages/{iso}/copy");
    assert_eq!(desk.code(&desk.owner, "POST", &copy, json!({"name": "c"})).await, "IMG.0167");

    // A member that becomes a reader may look and no more.
    let reader = desk.owner.tenant("reader");
    let admin = desk.service().local_admin().unwrap();
    let role = |name: &str| {
        let filter = NameFilter { domain: None, name: Some(name.into()) };
        desk.service().list_roles(&admin, &filter).unwrap().remove(0).id
    };
    let filter = NameFilter { domain: None, name: Some("reader".into()) };
    let user = desk.service().list_users(&admin, &filter).unwrap().remove(0).id;
    let scope = Scope::Project(ProjectId(reader.project.clone()));
    let grant = |name: &str| Grant { user: user.clone(), scope: scope.clone(), role: role(name) };
    desk.service().grant_role(&admin, grant("reader")).unwrap();
    desk.service().revoke_role(&admin, grant("member")).unwrap();
    assert_eq!(desk.code(&reader, "POST", CREATE, from("a.raw")).await, "IMG.0026");
}
