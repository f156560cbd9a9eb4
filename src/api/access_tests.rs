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

mod endpoints;
mod routes;

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
use endpoints::{Admitted, endpoints, is_let_through};
use routes::{IMAGE_ROUTES, ROUTES, State};

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
        // One to be deleted for each caller.
        let spare: Vec<String> = (0..CALLERS.len()).map(|number| format!("spare-{number}")).collect();
        let spare = spare.iter().map(|name| (name.as_str(), &den, true));
        let named = [("ours", &lab, false), ("theirs", &den, false), ("everybodys", &den, true)];
        for (name, owner, public) in named.into_iter().chain(spare) {
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
            verdict: None,
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
            ("PUT", path) if path.ends_with("/file") || path.ends_with("/stage") => {
                "application/octet-stream"
            }
            ("PATCH", path) if path.contains("/uploads/") => "application/offset+octet-stream",
            _ => "application/json",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "box:9292")
            .header("x-auth-token", &caller.token)
            .header("x-subject-token", &caller.token)
            .header("content-type", media_type);
        if path.contains("/uploads") {
            request = request.header("tus-resumable", "1.0.0").header("upload-length", "4");
            request = request.header("upload-offset", "0").header("x-http-method-override", "DELETE");
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
namespaces of metadata definitions `ours` is private and of `lab`, `theirs` private and of `den`, `everybodys` and the spare ones public and of `den`.
";

async fn page() -> String {
    let world = World::new();
    let mut page = HEAD.to_owned();
    let (mut admitted, mut seers) = (Admitted::new(), Vec::new());
    page += "\n## Images\n\nColumns: whose the image is and how it is seen.\n";
    for (method, path, body, state) in IMAGE_ROUTES {
        let _ = writeln!(page, "\n### `{method} {path}`{}\n", shown(body));
        let cases: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
        let _ = writeln!(page, "| caller | {} |", cases.join(" | "));
        let _ = writeln!(page, "|---|{}", "--|".repeat(CASES.len()));
        let mut let_through = Vec::new();
        // Callers with the same answers share a line.
        let mut lines: Vec<(Vec<&str>, String)> = Vec::new();
        for caller in &world.callers {
            let mut cells = Vec::new();
            for (_, is_own, visibility, is_member) in CASES {
                let image = world.image(is_own, visibility, is_member, state);
                let path = path.replace("{image}", &image.to_string());
                let path = path.replace("{lab}", world.lab.as_str()).replace("{den}", world.den.as_str());
                let body = body.replace("{image}", &image.to_string());
                cells.push(world.ask(caller, method, &path, &body).await);
            }
            // The first route shows the image.
            if (method, path) == ("GET", "/v2/images/{image}") && cells[0] == "200" {
                seers.push(caller.name);
            }
            // Members belong to images that are shared.
            let shared = [1, 6].into_iter().any(|at| cells[at].starts_with('2'));
            if shared || is_let_through(&cells[0], seers.contains(&caller.name)) {
                let_through.push(caller.name);
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
        admitted.push((method, path.to_owned(), let_through));
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
                let text = text.replace("{number}", &number.to_string());
                text.replace("{lab}", world.lab.as_str()).replace("{den}", world.den.as_str())
            };
            let (path, body) = (filled(path).replace("{self}", &caller.user), filled(body));
            cells.push(world.ask(caller, method, &path, &body).await);
        }
        let _ = writeln!(page, "| `{method} {path}`{} | {} |", shown(body), cells.join(" | "));
        // Below a namespace, who sees that one is known by now: the first line of it shows it.
        // Spare ones are seen by whoever sees those of everybody.
        let named = path.replace("spare-{number}", "everybodys");
        let namespace =
            ["ours", "theirs", "everybodys"].into_iter().find(|name| named.contains(&format!("/{name}")));
        let shown = namespace.map(|name| format!("/v2/metadefs/namespaces/{name}"));
        let seers = admitted.iter().find(|(of, asked, _)| *of == "GET" && Some(asked) == shown.as_ref());
        let seers: Option<Vec<&str>> = seers.map(|(.., names)| names.clone());
        let sees = |name: &str| match (&shown, &seers) {
            (None, _) => true,
            (Some(_), seers) => seers.as_ref().is_some_and(|seers| seers.contains(&name)),
        };
        let names = world.callers.iter().zip(&cells);
        let names = names.filter(|(caller, answer)| is_let_through(answer, sees(caller.name)));
        let names = names.map(|(caller, _)| caller.name).collect();
        admitted.push((method, path.to_owned(), names));
    }
    page + &endpoints(&world, &admitted).await
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
                let body = body.replace("{image}", &image.to_string());
                let answer = world.ask(caller, method, &path, &body).await;
                // The image management API says 400 with a code of its own for what is not there, and refuses
                // listings to who may not list.
                let is_ims = path.contains("cloudimages") || path.starts_with(&format!("/v2/{}", world.lab));
                let expected: &[&str] = if is_ims { &["400", "none", "403", "404"] } else { &["404"] };
                assert!(expected.contains(&answer.as_str()), "{} {method} {path}: {answer}", caller.name);
            }
        }
    }
}
