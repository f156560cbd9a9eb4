//! Who gets what answer: every route that is about an image, for every kind of caller, owner and visibility, and
//! every other route for every kind of caller. The outcome stands in `src/docs/ACCESS.md`; this test compares.
//!
//! `TINTYPE_WRITE_ACCESS=1 cargo test --lib access_tests` writes the page anew; read the difference before you keep it.

use std::fmt::Write as _;
use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::ApiState;
use crate::catalog::{identity as catalog, images, members};
use crate::model::identity::{Role, Scope};
use crate::model::image::{Member, MemberStatus};
use crate::model::{Image, ImageId, ProjectId, Status, Visibility};
use crate::service::identity::{
    Grant, NewGroup, NewProject, NewUser, ProjectRef, Proof, ScopeWish, SignIn, UserRef,
};
use crate::service::metadefs::{NamespaceFields, NewNamespace};
use crate::service::rights::{NewAttachment, NewPolicy};
use crate::service::testing::{password, service};
use crate::service::{Actor, Error, Service};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/ACCESS.md");

/// A kind of caller: its name, its role in the project, the policies of its group there.
const CALLERS: [(&str, Option<&str>, &[&str]); 14] = [
    ("no rights", None, &["Nothing"]),
    ("reader", Some("reader"), &[]),
    ("member", Some("member"), &[]),
    ("admin", Some("admin"), &[]),
    ("IMS FullAccess", None, &["IMS FullAccess"]),
    ("IMS ReadOnlyAccess", None, &["IMS ReadOnlyAccess"]),
    ("IMS Administrator", None, &["IMS Administrator", "Tenant Administrator"]),
    ("Server Administrator", None, &["Server Administrator", "IMS Administrator", "Tenant Administrator"]),
    ("Tenant Guest", None, &["Tenant Guest"]),
    ("FullAccess, delete denied", None, &["IMS FullAccess", "No deleting"]),
    ("admin, delete denied", Some("admin"), &["No deleting"]),
    ("delete alone", None, &["Deleting"]),
    ("member, purge denied", Some("member"), &["No purging"]),
    ("member, ims denied", Some("member"), &["No images"]),
];

/// Policies that somebody wrote.
const WRITTEN: [(&str, &str); 5] = [
    (
        "Nothing",
        r#"{"Effect":"Allow","Action":["tintype:upkeep:manage"],"Condition":{"Bool":{"g:MFAPresent":["true"]}}}"#,
    ),
    ("No deleting", r#"{"Effect":"Deny","Action":["ims:images:delete"]}"#),
    ("No purging", r#"{"Effect":"Deny","Action":["ims:images:purge"]}"#),
    ("Deleting", r#"{"Effect":"Allow","Action":["ims:images:delete"]}"#),
    ("No images", r#"{"Effect":"Deny","Action":["ims:*:*"]}"#),
];

/// Whose the image is, how it is seen, and whether the caller's project is a member.
const CASES: [(&str, bool, Visibility, bool); 9] = [
    ("own private", true, Visibility::Private, false),
    ("own shared", true, Visibility::Shared, false),
    ("own community", true, Visibility::Community, false),
    ("own public", true, Visibility::Public, false),
    ("private", false, Visibility::Private, false),
    ("shared", false, Visibility::Shared, false),
    ("shared with us", false, Visibility::Shared, true),
    ("community", false, Visibility::Community, false),
    ("public", false, Visibility::Public, false),
];

/// What an image is that is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has data.
    Filled,
    /// It has none yet.
    Empty,
    /// It was deleted and is retained.
    Deleted,
}

/// Routes about one image: method, path, body, and the state that the image is in.
const IMAGE_ROUTES: [(&str, &str, &str, State); 33] = [
    ("GET", "/v2/images/{image}", "", State::Filled),
    ("PATCH", "/v2/images/{image}", r#"[{"op":"replace","path":"/name","value":"x"}]"#, State::Filled),
    (
        "PATCH",
        "/v2/images/{image}",
        r#"[{"op":"replace","path":"/visibility","value":"public"}]"#,
        State::Filled,
    ),
    ("PATCH", "/v2/images/{image}", r#"[{"op":"replace","path":"/owner","value":"x"}]"#, State::Filled),
    ("DELETE", "/v2/images/{image}", "", State::Filled),
    ("GET", "/v2/images/{image}/file", "", State::Filled),
    ("PUT", "/v2/images/{image}/file", "data", State::Empty),
    ("PUT", "/v2/images/{image}/stage", "data", State::Empty),
    ("POST", "/v2/images/{image}/import", r#"{"method":{"name":"glance-direct"}}"#, State::Empty),
    ("GET", "/v2/images/{image}/tasks", "", State::Filled),
    ("GET", "/v2/images/{image}/locations", "", State::Filled),
    ("POST", "/v2/images/{image}/locations", r#"{"url":"http://203.0.113.1/x"}"#, State::Empty),
    ("POST", "/v2/images/{image}/actions/deactivate", "", State::Filled),
    ("POST", "/v2/images/{image}/actions/reactivate", "", State::Filled),
    ("PUT", "/v2/images/{image}/tags/t", "", State::Filled),
    ("DELETE", "/v2/images/{image}/tags/t", "", State::Filled),
    ("GET", "/v2/images/{image}/members", "", State::Filled),
    ("POST", "/v2/images/{image}/members", r#"{"member":"new"}"#, State::Filled),
    ("GET", "/v2/images/{image}/members/{lab}", "", State::Filled),
    ("PUT", "/v2/images/{image}/members/{lab}", r#"{"status":"accepted"}"#, State::Filled),
    ("DELETE", "/v2/images/{image}/members/{den}", "", State::Filled),
    ("GET", "/v2/cloudimages?id={image}", "", State::Filled),
    ("PATCH", "/v2/cloudimages/{image}", r#"[{"op":"replace","path":"/name","value":"x"}]"#, State::Filled),
    ("GET", "/v2/{lab}/images/{image}/tags", "", State::Filled),
    ("POST", "/v2/{lab}/images/{image}/tags", r#"{"tag":{"key":"k","value":"v"}}"#, State::Filled),
    ("DELETE", "/v2/{lab}/images/{image}/tags/t", "", State::Filled),
    ("GET", "/v1/{lab}/cloudimages/{image}/members", "", State::Filled),
    ("GET", "/tintype/v1/images/{image}/file", "", State::Filled),
    ("POST", "/tintype/v1/images/{image}/uploads", "", State::Empty),
    ("DELETE", "/v2/stores/main/{image}", "", State::Filled),
    ("POST", "/tintype/v1/images/{image}/copies", r#"{"stores":["main"]}"#, State::Filled),
    ("POST", "/tintype/v1/deleted-images/{image}/restore", "", State::Deleted),
    ("DELETE", "/tintype/v1/deleted-images/{image}", "", State::Deleted),
];

/// The same twice, which nobody can make.
const REGISTERED_LIMITS: &str = concat!(
    r#"{"registered_limits":["#,
    r#"{"service_id":"20a095160e340146b53179922cff3c45","resource_name":"image_count_total","default_limit":1},"#,
    r#"{"service_id":"20a095160e340146b53179922cff3c45","resource_name":"image_count_total","default_limit":1}]}"#
);
/// Of a project that is not there.
const LIMITS: &str = concat!(
    r#"{"limits":[{"project_id":"x","service_id":"20a095160e340146b53179922cff3c45","#,
    r#""resource_name":"image_count_total","resource_limit":1}]}"#
);

/// All other routes whose answer depends on who asks.
const ROUTES: [(&str, &str, &str); 166] = [
    ("GET", "/v2/images", ""),
    ("POST", "/v2/images", "{}"),
    ("POST", "/v2/images", r#"{"visibility":"public"}"#),
    ("POST", "/v2/images", r#"{"owner":"x"}"#),
    ("GET", "/v2/info/usage", ""),
    ("GET", "/v2/info/import", ""),
    ("GET", "/v2/tasks", ""),
    (
        "POST",
        "/v2/tasks",
        r#"{"type":"import","input":{"import_from":"x","import_from_format":"raw","image_properties":{}}}"#,
    ),
    ("GET", "/v2/tasks/33ad552d-1149-471c-8190-ff6776174a00", ""),
    ("GET", "/v2/metadefs/namespaces", ""),
    ("POST", "/v2/metadefs/namespaces", r#"{"namespace":"{new}"}"#),
    ("GET", "/v2/metadefs/namespaces/ours", ""),
    ("GET", "/v2/metadefs/namespaces/theirs", ""),
    ("GET", "/v2/metadefs/namespaces/everybodys", ""),
    ("PUT", "/v2/metadefs/namespaces/ours", r#"{"namespace":"ours","owner":"{lab}"}"#),
    ("PUT", "/v2/metadefs/namespaces/theirs", r#"{"namespace":"theirs","owner":"{den}"}"#),
    (
        "PUT",
        "/v2/metadefs/namespaces/everybodys",
        r#"{"namespace":"everybodys","owner":"{den}","visibility":"public"}"#,
    ),
    ("DELETE", "/v2/metadefs/namespaces/theirs/objects/x", ""),
    ("DELETE", "/v2/metadefs/namespaces/everybodys/objects/x", ""),
    ("POST", "/v2/metadefs/namespaces/theirs/properties", r#"{"name":"{new}","title":"T","type":"string"}"#),
    ("POST", "/v2/metadefs/namespaces/everybodys/tags/{new}", ""),
    ("DELETE", "/v2/metadefs/namespaces/everybodys/resource_types/x", ""),
    ("DELETE", "/v2/metadefs/namespaces/x", ""),
    ("GET", "/v2/metadefs/resource_types", ""),
    ("POST", "/tintype/v1/metadefs", r#"{"mode":"skip","namespace":{"namespace":"ours"}}"#),
    ("GET", "/v2/info/stores", ""),
    ("GET", "/v2/info/stores/detail", ""),
    ("GET", "/v2/cache", ""),
    ("DELETE", "/v2/cache", ""),
    ("POST", "/v2/cache/clean", ""),
    ("POST", "/v2/cache/prune", ""),
    ("PUT", "/v2/cache/33ad552d-1149-471c-8190-ff6776174a00", ""),
    ("DELETE", "/v2/cache/33ad552d-1149-471c-8190-ff6776174a00", ""),
    ("GET", "/v2/cache/nodes/33ad552d-1149-471c-8190-ff6776174a00", ""),
    ("GET", "/tintype/v1/places", ""),
    ("GET", "/v2/cloudimages", ""),
    ("GET", "/v1/cloudimages/tags", ""),
    ("GET", "/v1/cloudimages/quota", ""),
    ("GET", "/v1/cloudimages/os_version", ""),
    ("GET", "/v2/{lab}/images/tags", ""),
    ("POST", "/v2/{lab}/images/resource_instances/action", r#"{"action":"count"}"#),
    ("GET", "/v3/auth/tokens", ""),
    ("GET", "/v3/auth/projects", ""),
    ("GET", "/v3/users", ""),
    ("POST", "/v3/users", r#"{"user":{"name":"{new}"}}"#),
    ("GET", "/v3/users/x", ""),
    ("GET", "/v3/users/{self}", ""),
    ("PATCH", "/v3/users/x", r#"{"user":{}}"#),
    ("DELETE", "/v3/users/x", ""),
    ("GET", "/v3/users/x/projects", ""),
    ("GET", "/v3/users/x/groups", ""),
    ("GET", "/v3/users/{self}/groups", ""),
    ("GET", "/v3/users/x/application_credentials", ""),
    ("GET", "/v3/users/{self}/application_credentials", ""),
    ("POST", "/v3/users/x/application_credentials", r#"{"application_credential":{"name":"{new}"}}"#),
    ("POST", "/v3/users/{self}/application_credentials", r#"{"application_credential":{"name":"{new}"}}"#),
    ("GET", "/v3/users/x/application_credentials/x", ""),
    ("DELETE", "/v3/users/x/application_credentials/x", ""),
    ("DELETE", "/v3/users/{self}/application_credentials/x", ""),
    ("GET", "/v3/users/{self}/access_rules", ""),
    ("GET", "/v3/users/x/access_rules/x", ""),
    ("DELETE", "/v3/users/x/access_rules/x", ""),
    ("GET", "/v3/users/x/credentials/OS-EC2", ""),
    ("GET", "/v3/users/{self}/credentials/OS-EC2", ""),
    ("POST", "/v3/users/x/credentials/OS-EC2", r#"{"tenant_id":"x"}"#),
    ("DELETE", "/v3/users/x/credentials/OS-EC2/x", ""),
    ("GET", "/v3/credentials", ""),
    ("POST", "/v3/credentials", r#"{"credential":{"type":"totp","blob":"b","user_id":"x"}}"#),
    ("GET", "/v3/credentials/x", ""),
    ("PATCH", "/v3/credentials/x", r#"{"credential":{}}"#),
    ("DELETE", "/v3/credentials/x", ""),
    ("GET", "/v3/roles/x/implies", ""),
    ("GET", "/v3/roles/x/implies/x", ""),
    ("PUT", "/v3/roles/x/implies/x", ""),
    ("DELETE", "/v3/roles/x/implies/x", ""),
    ("GET", "/v3/groups", ""),
    ("POST", "/v3/groups", r#"{"group":{"name":"{new}"}}"#),
    ("GET", "/v3/groups/x", ""),
    ("PATCH", "/v3/groups/x", r#"{"group":{}}"#),
    ("DELETE", "/v3/groups/x", ""),
    ("GET", "/v3/groups/x/users", ""),
    ("PUT", "/v3/groups/x/users/x", ""),
    ("HEAD", "/v3/groups/x/users/x", ""),
    ("DELETE", "/v3/groups/x/users/x", ""),
    ("GET", "/v3/projects", ""),
    ("POST", "/v3/projects", r#"{"project":{"name":"{new}"}}"#),
    ("GET", "/v3/projects/x", ""),
    ("GET", "/v3/projects/{lab}", ""),
    ("PATCH", "/v3/projects/x", r#"{"project":{}}"#),
    ("DELETE", "/v3/projects/x", ""),
    ("GET", "/v3/domains", ""),
    ("POST", "/v3/domains", r#"{"domain":{"name":"{new}"}}"#),
    ("GET", "/v3/domains/x", ""),
    ("GET", "/v3/domains/default", ""),
    ("PATCH", "/v3/domains/x", r#"{"domain":{}}"#),
    ("DELETE", "/v3/domains/x", ""),
    ("GET", "/v3/roles", ""),
    ("POST", "/v3/roles", r#"{"role":{"name":"{new}"}}"#),
    ("GET", "/v3/roles/x", ""),
    ("PATCH", "/v3/roles/x", r#"{"role":{}}"#),
    ("DELETE", "/v3/roles/x", ""),
    ("GET", "/v3/role_inferences", ""),
    ("GET", "/v3/role_assignments", ""),
    ("GET", "/v3/projects/x/users/x/roles", ""),
    ("PUT", "/v3/projects/x/users/x/roles/x", ""),
    ("DELETE", "/v3/system/users/x/roles/x", ""),
    ("GET", "/v3/domains/x/groups/x/roles", ""),
    ("PUT", "/v3/domains/x/groups/x/roles/x", ""),
    ("HEAD", "/v3/projects/x/groups/x/roles/x", ""),
    ("DELETE", "/v3/system/groups/x/roles/x", ""),
    ("GET", "/v3/registered_limits", ""),
    ("POST", "/v3/registered_limits", REGISTERED_LIMITS),
    ("GET", "/v3/registered_limits/x", ""),
    ("PATCH", "/v3/registered_limits/x", r#"{"registered_limit":{}}"#),
    ("DELETE", "/v3/registered_limits/x", ""),
    ("GET", "/v3/limits", ""),
    ("GET", "/v3/limits/model", ""),
    ("POST", "/v3/limits", LIMITS),
    ("GET", "/v3/limits/x", ""),
    ("PATCH", "/v3/limits/x", r#"{"limit":{}}"#),
    ("DELETE", "/v3/limits/x", ""),
    ("GET", "/v3/services", ""),
    ("POST", "/v3/services", r#"{"service":{"type":"{new}"}}"#),
    ("PATCH", "/v3/services/x", r#"{"service":{}}"#),
    ("DELETE", "/v3/services/x", ""),
    ("GET", "/v3/endpoints", ""),
    ("POST", "/v3/endpoints", r#"{"endpoint":{"service_id":"x","interface":"public","url":"http://x"}}"#),
    ("PATCH", "/v3/endpoints/x", r#"{"endpoint":{}}"#),
    ("DELETE", "/v3/endpoints/x", ""),
    ("GET", "/v3/regions", ""),
    ("POST", "/v3/regions", r#"{"region":{"id":"{new}"}}"#),
    ("PATCH", "/v3/regions/x", r#"{"region":{}}"#),
    ("DELETE", "/v3/regions/x", ""),
    ("GET", "/tintype/v1/custom-keys", ""),
    ("POST", "/tintype/v1/custom-keys", r#"{"alias":"k"}"#),
    ("GET", "/tintype/v1/deleted-images", ""),
    ("GET", "/tintype/v1/families", ""),
    ("GET", "/tintype/v1/users/x/lock", ""),
    ("DELETE", "/tintype/v1/users/x/lock", ""),
    ("GET", "/tintype/v1/access-keys", ""),
    ("POST", "/tintype/v1/access-keys", r#"{"user":"admin","project":"admin"}"#),
    ("GET", "/tintype/v1/quotas", ""),
    ("GET", "/tintype/v1/quotas/default", ""),
    ("PATCH", "/tintype/v1/quotas/default", r#"{"image_stage_total":-1}"#),
    ("GET", "/tintype/v1/quotas/projects", ""),
    ("GET", "/tintype/v1/quotas/projects/{lab}", ""),
    ("PATCH", "/tintype/v1/quotas/projects/{lab}", r#"{"image_stage_total":null}"#),
    ("GET", "/tintype/v1/quotas/projects/x", ""),
    ("POST", "/tintype/v1/quotas/recount", ""),
    ("GET", "/tintype/v1/stats", ""),
    ("POST", "/tintype/v1/check", ""),
    ("POST", "/tintype/v1/scrub", ""),
    ("GET", "/tintype/v1/damage", ""),
    ("GET", "/tintype/v1/events", ""),
    ("POST", "/tintype/v1/gc", ""),
    ("GET", "/tintype/v1/jobs", ""),
    ("GET", "/tintype/v1/key", ""),
    ("DELETE", "/tintype/v1/key/domains/2", ""),
    ("GET", "/tintype/v1/policies", ""),
    (
        "POST",
        "/tintype/v1/policies",
        r#"{"name":"{new}","document":{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["*:*:*"]}]}}"#,
    ),
    ("GET", "/tintype/v1/policies/te_admin", ""),
    ("PATCH", "/tintype/v1/policies/x", "{}"),
    ("DELETE", "/tintype/v1/policies/x", ""),
    ("POST", "/tintype/v1/policies/x/attach", r#"{"group":"x","all_projects":true}"#),
    ("POST", "/tintype/v1/policies/x/detach", r#"{"group":"x","all_projects":true}"#),
    ("POST", "/tintype/v1/policy-simulation", r#"{"user":"admin","action":"ims:images:get","resource":"*"}"#),
];

/// Somebody who asks.
struct Caller {
    name: &'static str,
    user: String,
    token: String,
}

struct World {
    service: Service,
    router: Router,
    lab: ProjectId,
    den: ProjectId,
    callers: Vec<Caller>,
    made: std::cell::Cell<u32>,
}

impl World {
    fn new() -> World {
        let service = service().0;
        let router = super::router(ApiState { service: service.clone(), public_url: None });
        let admin = service.local_admin().unwrap();
        let (lab, den) = (project(&service, &admin, "lab"), project(&service, &admin, "den"));
        for (name, statements) in WRITTEN {
            let document = format!(r#"{{"Version":"1.1","Statement":[{statements}]}}"#);
            let document = serde_json::from_str(&document).unwrap();
            let new = NewPolicy { name: name.into(), description: None, document };
            service.create_policy(&admin, new).unwrap();
        }
        let callers =
            CALLERS.map(|(name, role, policies)| caller(&service, &admin, &lab, name, role, policies));
        for (name, owner, public) in
            [("ours", &lab, false), ("theirs", &den, false), ("everybodys", &den, true)]
        {
            let owner = Some(owner.as_str().to_owned());
            let fields = NamespaceFields {
                name: name.into(),
                owner,
                public: Some(public),
                ..NamespaceFields::default()
            };
            service.create_namespace(&admin, NewNamespace { fields, ..NewNamespace::default() }).unwrap();
        }
        World { service, router, lab, den, callers: callers.into(), made: Default::default() }
    }

    /// An image as a case wants it.
    fn image(&self, is_own: bool, visibility: Visibility, is_member: bool, state: State) -> ImageId {
        let at = self.made.replace(self.made.get() + 1);
        let id = ImageId(uuid::Uuid::from_u128(u128::from(at) + 1));
        let now = self.service.now();
        let image = Image {
            id,
            name: Some("i".into()),
            status: if state == State::Empty { Status::Queued } else { Status::Active },
            visibility,
            protected: false,
            hidden: false,
            owner: Some(if is_own { self.lab.clone() } else { self.den.clone() }),
            container_format: Some("bare".into()),
            disk_format: Some("raw".into()),
            min_disk_gib: 0,
            min_ram_mib: 0,
            size_bytes: None,
            virtual_size_bytes: None,
            digests: None,
            content: None,
            tags: ["t".to_owned()].into(),
            properties: Default::default(),
            created_at: now,
            updated_at: now,
            upload: None,
            active_at: None,
            place: Default::default(),
            copies: Vec::new(),
        };
        let mut shared_with = Vec::new();
        if is_own {
            shared_with.push(self.den.clone());
        }
        if is_member {
            shared_with.push(self.lab.clone());
        }
        self.service
            .db()
            .write(move |txn| {
                images::insert(txn, &image)?;
                for project in &shared_with {
                    let member = Member {
                        image: id,
                        project: project.clone(),
                        status: MemberStatus::Pending,
                        created_at: now,
                        updated_at: now,
                    };
                    members::insert(txn, &member)?;
                }
                if state == State::Deleted {
                    images::retain(txn, &id, now)?;
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        id
    }

    async fn ask(&self, caller: &Caller, method: &str, path: &str, body: &str) -> String {
        let media_type = match (method, path) {
            ("PATCH", path) if path.starts_with("/v2/images/") => {
                "application/openstack-images-v2.1-json-patch"
            }
            (_, path) if path.ends_with("/file") || path.ends_with("/stage") => "application/octet-stream",
            _ => "application/json",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "box:9292")
            .header("x-auth-token", &caller.token)
            .header("x-subject-token", &caller.token)
            .header("content-type", media_type);
        if path.ends_with("/uploads") {
            request = request.header("tus-resumable", "1.0.0").header("upload-length", "4");
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        // A listing answers everybody: what is in it is the answer.
        if path.starts_with("/v2/cloudimages?id=") && status == 200 {
            let listed: Value = serde_json::from_slice(&bytes).unwrap();
            return if listed["images"] == json!([]) { "none".into() } else { "200".into() };
        }
        status.to_string()
    }
}

fn project(service: &Service, admin: &Actor, name: &str) -> ProjectId {
    let new = NewProject {
        name: name.into(),
        domain: None,
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    service.create_project(admin, new).unwrap().id
}

fn caller(
    service: &Service,
    admin: &Actor,
    lab: &ProjectId,
    name: &'static str,
    role: Option<&str>,
    policies: &[&str],
) -> Caller {
    let called = format!("who has {name}");
    let new = NewUser {
        name: called.clone(),
        domain: None,
        enabled: true,
        default_project: None,
        password: Some(password("pw")),
        extra: Default::default(),
    };
    let user = service.create_user(admin, new).unwrap().id;
    let new = NewGroup { name: called.clone(), domain: None, description: None, extra: Default::default() };
    let group = service.create_group(admin, new).unwrap();
    service.add_group_member(admin, &group.id, &user).unwrap();
    if let Some(role) = role {
        let role = catalog::find::<Role>(&service.db().read().unwrap(), "", role).unwrap().unwrap().id;
        let grant = Grant { user: user.clone(), scope: Scope::Project(lab.clone()), role };
        service.grant_role(admin, grant).unwrap();
    }
    for policy in policies {
        let new = NewAttachment {
            policy: (*policy).into(),
            group: called.clone(),
            project: Some(lab.as_str().to_owned()),
        };
        service.attach_policy(admin, new).unwrap();
    }
    let proof = Proof::Password(UserRef::Id(user.clone()), password("pw"));
    let scope = ScopeWish::Project(ProjectRef::Id(lab.clone()));
    let token = service.sign_in(SignIn { proof, scope }).unwrap().0.expose().to_owned();
    Caller { name, user: user.0, token }
}

const HEAD: &str = "\
# Who gets what answer

Made by a test (`src/api/access_tests.rs`), which also compares it with what the server does. Callers act in the
project `lab`; other images belong to the project `den`. \"IMS Administrator\" and \"Server Administrator\" have the
roles they depend on beside them. Numbers are HTTP statuses; `x` in a path is something that is not there, so that
404 stands for a caller who was let through. What a caller may not show is not found, as if it were not there. Of the
namespaces of metadata definitions `ours` is private and of `lab`, `theirs` private and of `den`, `everybodys` public and of `den`.
";

async fn page() -> String {
    let world = World::new();
    let mut page = HEAD.to_owned();
    page += "\n## Images\n\nColumns: whose the image is and how it is seen.\n";
    for (method, path, body, state) in IMAGE_ROUTES {
        let _ = writeln!(page, "\n### `{method} {path}`{}\n", shown(body));
        let cases: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
        let _ = writeln!(page, "| caller | {} |", cases.join(" | "));
        let _ = writeln!(page, "|---|{}", "--|".repeat(CASES.len()));
        // Callers with the same answers share a line.
        let mut lines: Vec<(Vec<&str>, String)> = Vec::new();
        for caller in &world.callers {
            let mut cells = Vec::new();
            for (_, is_own, visibility, is_member) in CASES {
                let image = world.image(is_own, visibility, is_member, state);
                let path = path.replace("{image}", &image.to_string());
                let path = path.replace("{lab}", world.lab.as_str()).replace("{den}", world.den.as_str());
                cells.push(world.ask(caller, method, &path, body).await);
            }
            let cells = cells.join(" | ");
            match lines.iter_mut().find(|(_, known)| *known == cells) {
                Some((names, _)) => names.push(caller.name),
                None => lines.push((vec![caller.name], cells)),
            }
        }
        for (names, cells) in lines {
            let _ = writeln!(page, "| {} | {cells} |", names.join("; "));
        }
    }
    page += "\n## Everything else\n\nColumns: callers.\n\n";
    let names: Vec<&str> = world.callers.iter().map(|caller| caller.name).collect();
    let _ = writeln!(page, "| route | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|{}", "--|".repeat(names.len()));
    for (at, (method, path, body)) in ROUTES.into_iter().enumerate() {
        let mut cells = Vec::new();
        for (number, caller) in world.callers.iter().enumerate() {
            let filled = |text: &str| {
                let text = text.replace("{new}", &format!("new-{at}-{number}"));
                text.replace("{lab}", world.lab.as_str()).replace("{den}", world.den.as_str())
            };
            let (path, body) = (filled(path).replace("{self}", &caller.user), filled(body));
            cells.push(world.ask(caller, method, &path, &body).await);
        }
        let _ = writeln!(page, "| `{method} {path}`{} | {} |", shown(body), cells.join(" | "));
    }
    page
}

/// What of a body tells two lines apart.
fn shown(body: &str) -> String {
    let tells = body.contains("visibility") || body.contains("owner");
    if tells { format!(" with `{body}`") } else { String::new() }
}

#[tokio::test]
async fn answers_are_those_that_are_written_down() {
    let page = page().await;
    if std::env::var_os("TINTYPE_WRITE_ACCESS").is_some() {
        std::fs::write(Path::new(PAGE), &page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    for (number, (now, then)) in page.lines().zip(written.lines()).enumerate() {
        assert_eq!(now, then, "line {} of src/docs/ACCESS.md; see the top of this test", number + 1);
    }
    assert_eq!(page.lines().count(), written.lines().count(), "lines of src/docs/ACCESS.md");
}

/// The page is not taken on trust: these lines of it are what the model says, whatever was written down.
#[tokio::test]
async fn nobody_reaches_what_another_project_keeps_to_itself() {
    let world = World::new();
    for caller in world.callers.iter().filter(|caller| !caller.name.starts_with("admin")) {
        for (method, path, body, state) in IMAGE_ROUTES {
            for is_shared in [false, true] {
                let visibility = if is_shared { Visibility::Shared } else { Visibility::Private };
                let image = world.image(false, visibility, false, state);
                let path = path.replace("{image}", &image.to_string());
                let path = path.replace("{lab}", world.lab.as_str()).replace("{den}", world.den.as_str());
                let answer = world.ask(caller, method, &path, body).await;
                // The image management API says 400 with a code of its own for what is not there, and refuses
                // listings to who may not list.
                let is_ims = path.contains("cloudimages") || path.starts_with(&format!("/v2/{}", world.lab));
                let expected: &[&str] = if is_ims { &["400", "none", "403", "404"] } else { &["404"] };
                assert!(expected.contains(&answer.as_str()), "{} {method} {path}: {answer}", caller.name);
            }
        }
    }
}
