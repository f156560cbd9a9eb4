//! What policies promise: who may do what with which of them, what beats what, and what is refused when it is written.

use super::*;
use crate::catalog::identity as catalog;
use crate::model::identity::{Group, Project, Role, Scope, User};
use crate::model::policy::Policy;
use crate::service::identity::{
    DomainRef, GroupGrant, NewAccessKey, NewDomain, NewGroup, NewProject, NewUser, ProjectRef, Proof,
    ScopeWish, SignIn, SignedIn, UserRef,
};
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing::{password, service};
use crate::service::{Actor, Error, ErrorKind, Service};

/// A box with a project, a group, and a user `ann` in the group.
pub(super) struct World {
    pub(super) service: Service,
    pub(super) admin: Actor,
    pub(super) project: Project,
    pub(super) group: Group,
    pub(super) user: User,
}

impl World {
    pub(super) fn new() -> World {
        let service = service().0;
        let admin = service.local_admin().unwrap();
        let project = project(&service, "lab");
        let group = service.create_group(&admin, new_group("ops")).unwrap();
        let user = service.create_user(&admin, new_user("ann")).unwrap();
        service.add_group_member(&admin, &group.id, &user.id).unwrap();
        World { service, admin, project, group, user }
    }

    pub(super) fn write(&self, name: &str, document: &str) -> Result<KnownPolicy, Error> {
        let document = serde_json::from_str(document).unwrap();
        let new = NewPolicy { name: name.into(), description: None, document };
        self.service.create_policy(&self.admin, new)
    }

    fn place(&self, policy: &str, project: Option<&str>) -> NewAttachment {
        NewAttachment { policy: policy.into(), group: "ops".into(), project: project.map(str::to_owned) }
    }

    pub(super) fn attach(&self, policy: &str, project: Option<&str>) {
        self.service.attach_policy(&self.admin, self.place(policy, project)).unwrap();
    }

    pub(super) fn detach(&self, policy: &str, project: Option<&str>) {
        self.service.detach_policy(&self.admin, self.place(policy, project)).unwrap();
    }

    pub(super) fn give_role(&self, role: &str) {
        let rows = self.service.db.read().unwrap();
        let role = catalog::find::<Role>(&rows, "", role).unwrap().unwrap().id;
        let scope = Scope::Project(self.project.id.clone());
        let grant = crate::service::identity::Grant { user: self.user.id.clone(), scope, role };
        self.service.grant_role(&self.admin, grant).unwrap();
    }

    fn sign_in(&self, scope: ScopeWish) -> Result<(String, SignedIn), Error> {
        let user = UserRef::Id(self.user.id.clone());
        let proof = Proof::Password(user, password("pw"));
        let (text, signed_in) = self.service.sign_in(SignIn { proof, scope })?;
        Ok((text.expose().to_owned(), signed_in))
    }

    fn in_lab(&self) -> ScopeWish {
        ScopeWish::Project(ProjectRef::Id(self.project.id.clone()))
    }

    /// Ann, as she may act in the project; nobody when she may not.
    pub(super) fn ann(&self) -> Option<Actor> {
        let (token, _) = self.sign_in(self.in_lab()).ok()?;
        Some(self.service.authenticate_token(&token).unwrap())
    }

    fn shown_roles(&self) -> Vec<String> {
        self.sign_in(self.in_lab()).unwrap().1.roles.into_iter().map(|role| role.name).collect()
    }

    fn allows(&self, action: Action) -> bool {
        self.ann().is_some_and(|ann| ann.allows(action, Resource::None))
    }
}

fn project(service: &Service, name: &str) -> Project {
    let new = NewProject {
        name: name.into(),
        domain: None,
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    service.create_project(&service.local_admin().unwrap(), new).unwrap()
}

fn new_group(name: &str) -> NewGroup {
    NewGroup { name: name.into(), domain: None, description: None, extra: Default::default() }
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        domain: None,
        enabled: true,
        default_project: None,
        password: Some(password("pw")),
        extra: Default::default(),
    }
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

pub(super) fn document(effect: &str, action: &str) -> String {
    format!(r#"{{"Version":"1.1","Statement":[{{"Effect":"{effect}","Action":["{action}"]}}]}}"#)
}

fn role_document(action: &str, depends: &str) -> String {
    format!(
        r#"{{"Version":"1.0","Statement":[{{"Effect":"Allow","Action":["{action}"]}}],
            "Depends":[{{"catalog":"IMS","display_name":"{depends}"}}]}}"#
    )
}

/// What is common: creating, deleting, querying and updating images, as the reference's table has it.
#[test]
fn common_operations_are_what_the_table_says() {
    let creates = [
        Action::ImagesCreate,
        Action::ServerImagesCreate,
        Action::DataImagesCreate,
        Action::WholeImagesCreate,
        Action::ImagesUpload,
    ];
    let queries = [Action::ImagesList, Action::ImagesGet, Action::QuotasGet];
    for (policies, may_query, may_write) in [
        (&["IMS FullAccess"][..], true, true),
        (&["IMS ReadOnlyAccess"], true, false),
        (&["IMS Administrator", "Tenant Administrator"], true, true),
        (&["Server Administrator", "IMS Administrator", "Tenant Administrator"], true, true),
        (&["Tenant Guest"], true, false),
        (&["Tenant Administrator"], true, true),
        (&["IMS Administrator"], false, false),
        (&["Server Administrator", "IMS Administrator"], false, false),
    ] {
        let world = World::new();
        policies.iter().for_each(|policy| world.attach(policy, Some("lab")));
        for action in queries {
            assert_eq!(world.allows(action), may_query, "{policies:?} {action:?}");
        }
        for action in creates.into_iter().chain([Action::ImagesDelete, Action::ImagesUpdate]) {
            assert_eq!(world.allows(action), may_write, "{policies:?} {action:?}");
        }
        for action in
            [Action::UsersCreate, Action::StoreCheck, Action::ImagesAccessAll, Action::PoliciesAttach]
        {
            assert!(!world.allows(action), "{policies:?} {action:?}");
        }
    }
}

#[test]
fn the_document_of_server_administrator_does_not_share_or_copy() {
    // What it needs allows more; so its own document is looked at.
    let server = built_in_policies().iter().find(|policy| policy.name == "Server Administrator").unwrap();
    let allowed = server.document.actions(Effect::Allow);
    for action in [Action::ImagesShare, Action::ImagesCopy, Action::ImagesExport] {
        assert!(!allowed.has(action), "{action:?}");
    }
}

#[test]
fn a_denial_beats_every_policy_and_every_role_but_the_local_administrators() {
    let world = World::new();
    world.attach("IMS FullAccess", Some("lab"));
    world.write("no deleting", &document("Deny", "ims:images:delete")).unwrap();
    world.attach("no deleting", Some("lab"));
    assert!(!world.allows(Action::ImagesDelete) && world.allows(Action::ImagesUpdate));
    world.give_role("admin");
    let ann = world.ann().unwrap();
    assert!(!ann.allows(Action::ImagesDelete, Resource::None));
    assert!(ann.allows(Action::UsersCreate, Resource::None));
    let image = world.service.create_image(&ann, NewImage::default()).unwrap();
    assert_eq!(kind(world.service.delete_image(&ann, &image.id)), Some(ErrorKind::Forbidden));
    world.service.delete_image(&world.admin, &image.id).unwrap();
}

#[test]
fn a_document_that_contradicts_itself_denies() {
    let world = World::new();
    world.attach("IMS ReadOnlyAccess", Some("lab"));
    let both = r#"{"Version":"1.1","Statement":[
        {"Effect":"Allow","Action":["ims:images:update","ims:images:get"]},
        {"Effect":"Deny","Action":["ims:images:update"]}]}"#;
    world.write("both", both).unwrap();
    world.attach("both", Some("lab"));
    assert!(!world.allows(Action::ImagesUpdate) && world.allows(Action::ImagesGet));
}

#[test]
fn what_is_denied_everywhere_is_denied_outside_of_projects_and_in_other_domains_too() {
    let world = World::new();
    world.give_role("admin");
    world.write("no users", &document("Deny", "identity:users:*")).unwrap();
    world.attach("no users", None);
    world.attach("IMS FullAccess", None);
    let (token, _) = world.sign_in(ScopeWish::Unscoped).unwrap();
    let unscoped = world.service.authenticate_token(&token).unwrap();
    assert!(!unscoped.allows(Action::ImagesList, Resource::None));
    assert!(!world.allows(Action::UsersCreate) && world.allows(Action::GroupsCreate));
    // Another domain's project: what is allowed ends at the border, what is denied does not.
    let new = NewDomain { name: "far".into(), description: None, enabled: true, extra: Default::default() };
    let far = world.service.create_domain(&world.admin, new).unwrap();
    let new = NewProject {
        name: "away".into(),
        domain: Some(far.id),
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    let away = world.service.create_project(&world.admin, new).unwrap();
    let wish = || ScopeWish::Project(ProjectRef::Id(away.id.clone()));
    assert_eq!(kind(world.sign_in(wish())), Some(ErrorKind::Unauthenticated));
    let rows = world.service.db.read().unwrap();
    let role = catalog::find::<Role>(&rows, "", "admin").unwrap().unwrap().id;
    let grant = GroupGrant { group: world.group.id.clone(), scope: Scope::Project(away.id.clone()), role };
    world.service.grant_role_to_group(&world.admin, grant).unwrap();
    let (token, _) = world.sign_in(wish()).unwrap();
    let ann = world.service.authenticate_token(&token).unwrap();
    assert!(!ann.allows(Action::UsersList, Resource::None) && ann.allows(Action::GroupsList, Resource::None));
}

#[test]
fn a_role_that_does_not_work_still_denies() {
    let world = World::new();
    let text = r#"{"Version":"1.0","Statement":[{"Effect":"Allow","Action":["ims:images:create"]},
        {"Effect":"Deny","Action":["ims:images:delete"]}],
        "Depends":[{"catalog":"IMS","display_name":"ims administrator"}]}"#;
    world.write("half", text).unwrap();
    world.attach("half", Some("lab"));
    assert!(world.ann().is_none());
    world.give_role("member");
    assert!(!world.allows(Action::ImagesDelete));
    // Dependencies count wherever they hold in the project, and only when they work themselves.
    world.attach("IMS Administrator", None);
    world.attach("Tenant Administrator", Some("lab"));
    assert!(world.allows(Action::ImagesCreate) && !world.allows(Action::ImagesDelete));
}

#[test]
fn a_policy_opens_a_project_and_shows_the_role_it_amounts_to() {
    let world = World::new();
    assert_eq!(kind(world.sign_in(world.in_lab())), Some(ErrorKind::Unauthenticated));
    world.attach("IMS ReadOnlyAccess", Some("lab"));
    assert_eq!(world.shown_roles(), ["reader"]);
    let ann = world.ann().unwrap();
    assert!(ann.roles.is_empty());
    let open = world.service.open_scopes(&ann).unwrap().projects;
    assert_eq!(open.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["lab"]);
    assert_eq!(kind(world.service.create_image(&ann, NewImage::default())), Some(ErrorKind::Forbidden));
    world.attach("IMS FullAccess", Some("lab"));
    assert_eq!(world.shown_roles(), ["member", "reader"]);
    // The token she had already is worth the same at once.
    let image = world.service.create_image(&world.ann().unwrap(), NewImage::default()).unwrap();
    assert_eq!(image.owner, Some(world.project.id.clone()));
    // Making it public is no right of image management's.
    let public = vec![Change::Set(Field::Visibility(crate::model::Visibility::Public))];
    let ann = world.ann().unwrap();
    assert_eq!(kind(world.service.update_image(&ann, &image.id, public)), Some(ErrorKind::Forbidden));
}

#[test]
fn policies_for_all_projects_open_those_of_the_groups_domain() {
    let world = World::new();
    project(&world.service, "other");
    world.attach("IMS ReadOnlyAccess", None);
    let ann = world.ann().unwrap();
    let mut open: Vec<String> =
        world.service.open_scopes(&ann).unwrap().projects.into_iter().map(|project| project.name).collect();
    open.sort();
    assert_eq!(open, ["admin", "lab", "other"]);
    let other = UserRef::Name("ann".into(), DomainRef::Id("default".into()));
    let scope = ScopeWish::Project(ProjectRef::Name("other".into(), DomainRef::Id("default".into())));
    world.service.sign_in(SignIn { proof: Proof::Password(other, password("pw")), scope }).unwrap();
}

#[test]
fn a_policy_that_only_denies_opens_nothing() {
    let world = World::new();
    world.write("nothing", &document("Deny", "*:*:*")).unwrap();
    world.attach("nothing", None);
    assert_eq!(kind(world.sign_in(world.in_lab())), Some(ErrorKind::Unauthenticated));
    let (token, signed_in) = world.sign_in(ScopeWish::Default).unwrap();
    assert!(signed_in.place.is_none());
    let ann = world.service.authenticate_token(&token).unwrap();
    assert!(world.service.open_scopes(&ann).unwrap().projects.is_empty());
}

#[test]
fn what_is_taken_away_ends_tokens_and_keys_at_once() {
    type Take = fn(&World);
    let takes: [Take; 5] = [
        |world| world.detach("IMS FullAccess", Some("lab")),
        |world| {
            world.service.remove_group_member(&world.admin, &world.group.id, &world.user.id).unwrap();
        },
        |world| world.service.delete_group(&world.admin, &world.group.id).unwrap(),
        |world| world.service.delete_project(&world.admin, &world.project.id).unwrap(),
        |world| world.service.delete_user(&world.admin, &world.user.id).unwrap(),
    ];
    for take in takes {
        let world = World::new();
        world.attach("IMS FullAccess", Some("lab"));
        let (token, _) = world.sign_in(world.in_lab()).unwrap();
        let new =
            NewAccessKey { user: Some("ann".into()), project: Some("lab".into()), ..NewAccessKey::default() };
        world.service.create_access_key(&world.admin, new).unwrap();
        take(&world);
        assert_eq!(kind(world.service.authenticate_token(&token)), Some(ErrorKind::Unauthenticated));
        let rows = world.service.db.read().unwrap();
        let scope = Scope::Project(world.project.id.clone());
        assert!(world.service.worth(&rows, &world.user.id, Some(&scope)).unwrap().is_none());
        assert!(crate::catalog::differing_indexes(&rows).unwrap().is_empty());
        // What was taken does not come back with the right.
        if catalog::get::<Group>(&rows, &world.group.id).unwrap().is_some()
            && catalog::get::<User>(&rows, &world.user.id).unwrap().is_some()
            && catalog::get::<Project>(&rows, &world.project.id).unwrap().is_some()
        {
            world.service.add_group_member(&world.admin, &world.group.id, &world.user.id).unwrap();
            world.attach("IMS FullAccess", Some("lab"));
            assert_eq!(kind(world.service.authenticate_token(&token)), Some(ErrorKind::Unauthenticated));
        }
    }
}

#[test]
fn a_changed_document_counts_with_the_next_request() {
    let world = World::new();
    world.write("mine", &document("Allow", "ims:images:*")).unwrap();
    world.attach("mine", Some("lab"));
    let (token, _) = world.sign_in(world.in_lab()).unwrap();
    let may_delete = || {
        let ann = world.service.authenticate_token(&token).unwrap();
        ann.allows(Action::ImagesDelete, Resource::None)
    };
    assert!(may_delete());
    let document = Some(serde_json::from_str(&document("Allow", "ims:images:get")).unwrap());
    let change = PolicyChange { document, ..PolicyChange::default() };
    world.service.update_policy(&world.admin, "mine", change).unwrap();
    assert!(!may_delete());
}

#[test]
fn rulebooks_are_made_once_for_each_revision_of_rights() {
    let world = World::new();
    world.attach("IMS FullAccess", Some("lab"));
    let asked = Asked {
        at: world.service.now(),
        user: world.user.id.clone(),
        user_name: "ann".into(),
        domain_name: "Default".into(),
        project_name: Some("lab".into()),
        source: None,
    };
    let book_for = |asked: &Asked| {
        let rows = world.service.db.read().unwrap();
        world.service.rights.book(&rows, Groups::Recorded, Some(&world.project.id), asked).unwrap()
    };
    let book = || book_for(&Asked { at: world.service.now(), ..asked.clone() });
    let first = book();
    // Nor is it used for whoever has another name by now.
    let renamed = Asked { user_name: "anna".into(), ..asked.clone() };
    assert!(!std::sync::Arc::ptr_eq(&first, &book_for(&renamed)));
    let first = book();
    assert!(std::sync::Arc::ptr_eq(&first, &book()));
    world.write("other", &document("Deny", "ims:images:delete")).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &book()));
    // Whoever is in no group has nothing to be made.
    assert!(book_for(&Asked { user: "nobody".into(), ..asked.clone() }).is_empty());
}

#[test]
fn a_policy_that_cannot_be_read_lets_nobody_through() {
    let world = World::new();
    world.attach("IMS FullAccess", Some("lab"));
    let policy = world.write("odd", &document("Deny", "ims:images:delete")).unwrap();
    world.attach("odd", Some("lab"));
    let (token, _) = world.sign_in(world.in_lab()).unwrap();
    let id = policy.id.clone();
    let spoil = move |txn: &crate::db::WriteTxn| {
        let mut policy = catalog::get::<Policy>(txn, &id)?.unwrap();
        policy.document = r#"{"Version":"9"}"#.into();
        policy.revision += 1;
        Ok::<_, Error>(catalog::update_policy(txn, &policy)?)
    };
    world.service.db.write(spoil).unwrap();
    assert_eq!(kind(world.service.authenticate_token(&token)), Some(ErrorKind::Internal));
    // It is shown as what it is. The local administrator is in no group, and puts it right.
    let shown = world.service.policy(&world.admin, "odd").unwrap();
    assert!(shown.document.unwrap_err().contains("missing field"));
    world.detach("odd", Some("lab"));
    assert!(world.service.authenticate_token(&token).is_ok());
}

#[test]
fn resources_and_conditions_narrow_what_a_statement_covers() {
    let world = World::new();
    world.give_role("reader");
    let first = world.service.create_image(&member(&world), NewImage::default()).unwrap().id;
    let second = world.service.create_image(&member(&world), NewImage::default()).unwrap().id;
    let text = format!(
        r#"{{"Version":"1.1","Statement":[{{"Effect":"Allow","Action":["ims:images:delete"],
            "Resource":["ims:*:*:image:{first}"],"Condition":{{"StringEquals":{{"g:UserName":["ann"]}}}}}}]}}"#
    );
    world.write("one", &text).unwrap();
    world.attach("one", Some("lab"));
    let ann = world.ann().unwrap();
    assert_eq!(kind(world.service.delete_image(&ann, &second)), Some(ErrorKind::Forbidden));
    world.service.delete_image(&ann, &first).unwrap();
    assert!(!ann.allows(Action::ImagesDelete, Resource::None));
}

#[test]
fn a_network_narrows_a_denial_to_requests_from_there() {
    let world = World::new();
    world.give_role("member");
    let text = r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["ims:images:delete"],
        "Condition":{"NotIpAddress":{"g:SourceIp":["10.1.0.0/16"]}}}]}"#;
    world.write("office", text).unwrap();
    world.attach("office", Some("lab"));
    let ann = world.ann().unwrap();
    let may_delete = |source: Option<&str>| {
        let rights = ann.rights.asked_from(source.map(|text| text.parse().unwrap()));
        Actor { rights, ..ann.clone() }.allows(Action::ImagesDelete, Resource::None)
    };
    assert!(may_delete(Some("10.1.9.9")) && may_delete(Some("::ffff:10.1.9.9")));
    assert!(!may_delete(Some("10.2.0.1")) && !may_delete(Some("2001:db8::1")) && !may_delete(None));
}

fn member(world: &World) -> Actor {
    Actor {
        user: "m".into(),
        user_domain: "default".into(),
        scope: Some(Scope::Project(world.project.id.clone())),
        roles: ["member", "reader"].map(String::from).into(),
        rights: Rights::default(),
        origin: Default::default(),
    }
}

#[test]
fn bad_documents_are_refused_with_the_place_and_the_reason() {
    let many = |n: usize, one: &str| vec![one; n].join(",");
    let statement = r#"{"Effect":"Allow","Action":["ims:images:get"]}"#;
    let one = |inside: &str| format!(r#"{{"Version":"1.1","Statement":[{inside}]}}"#);
    let with = |rest: &str| one(&format!(r#"{{"Effect":"Allow","Action":["ims:images:get"],{rest}}}"#));
    let cases = [
        ("[]", "cannot be read"),
        ("{", "cannot be read"),
        (r#"{"Version":"1.1"}"#, "missing field `Statement`"),
        (&one(""), "Statement: it is empty"),
        (&one(statement).replace("1.1", "5.0"), "Version: \"5.0\" is neither"),
        (&one(r#"{"Effect":"Deny","Action":[]}"#), "Statement[0].Action: it is empty"),
        (
            &one(r#"{"Effect":"Deny","Action":["ims:images"]}"#),
            "Statement[0].Action[0]: \"ims:images\" is no action",
        ),
        (&one(r#"{"Effect":"Deny","Action":["*"]}"#), "is no action"),
        (&one(r#"{"Effect":"Deny","Action":["ims::get"]}"#), "no part of an action's name"),
        (&one(r#"{"Effect":"Deny","Action":["ims:images:de lete"]}"#), "no part of an action's name"),
        (&one(r#"{"Effect":"Deny","Action":["ims:image:delete"]}"#), "did you mean ims:images:delete?"),
        (&one(r#"{"Effect":"Deny","Action":["IMS:Images:explode*"]}"#), "names no action"),
        (&one(r#"{"Effect":"Deny","Action":[""]}"#), "it is empty"),
        (&with(r#""Resource":[]"#), "Statement[0].Resource: it is empty"),
        (&with(r#""Resource":["*"]"#), "Statement[0].Resource[0]: \"*\" is no resource"),
        (&with(r#""Resource":["ims:::image:x"]"#), "has an empty part"),
        (&with(r#""Condition":{}"#), "Statement[0].Condition: it is empty"),
        (&with(r#""Condition":{"StringEquals":{}}"#), "Condition.StringEquals: it is empty"),
        (&with(r#""Condition":{"StringEquals":{"g:UserName":[]}}"#), "StringEquals.g:UserName: it is empty"),
        (&with(r#""Condition":{"StringEquals":{"g:Colour":["red"]}}"#), "g:Colour is no key"),
        (&with(r#""Condition":{"Near":{"g:UserName":["x"]}}"#), "Near is no operator"),
        (&with(r#""Sid":"x""#), "unknown field `Sid`"),
        (&with(r#""NotAction":["x"]"#), "unknown field `NotAction`"),
        (&one(&many(65, statement)), "Statement: it has 65 entries, at most 64"),
        (&with(&format!(r#""Resource":[{}]"#, many(129, "\"a:b:c:d:e\""))), "at most 128"),
        (&with(&format!(r#""Resource":["a:b:c:d:{}"]"#, "e".repeat(300))), "characters, at most 255"),
        (
            &one(&many(60, &format!(r#"{{"Effect":"Deny","Action":[{}]}}"#, many(20, "\"ims:images:get\"")))),
            "bytes, at most",
        ),
        (
            &one(statement).replacen('{', r#"{"Depends":[{"catalog":"x","display_name":"y"}],"#, 1),
            "only roles depend",
        ),
        (
            r#"{"Version":"1.0","Statement":[{"Effect":"Allow","Action":["::Get"]}],"Depends":[]}"#,
            "Depends: it is empty",
        ),
    ];
    for (text, expected) in cases {
        let refusal = Document::parse(text).unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Invalid);
        assert!(refusal.message.contains(expected), "{text}: {}", refusal.message);
    }
    assert!(Document::parse(&one(statement).replace("1.1", &"1".repeat(1 << 20))).is_err());
}

#[test]
fn names_dependencies_and_circles_are_looked_at_when_a_policy_is_written() {
    let world = World::new();
    let refused = |name: &str, text: &str| kind(world.write(name, text));
    assert_eq!(refused("x", &role_document("ims:*:*", "nobody")), Some(ErrorKind::Invalid));
    assert_eq!(refused("x", &role_document("ims:*:*", "X")), Some(ErrorKind::Invalid));
    assert_eq!(refused("ims fullaccess", &document("Allow", "ims:*:*")), Some(ErrorKind::Conflict));
    assert_eq!(refused("admin", &document("Allow", "ims:*:*")), Some(ErrorKind::Conflict));
    assert_eq!(refused(" x", &document("Allow", "ims:*:*")), Some(ErrorKind::Invalid));
    world.write("one", &document("Allow", "ims:*:*")).unwrap();
    assert_eq!(refused("One", &document("Allow", "ims:*:*")), Some(ErrorKind::Conflict));
    world.write("two", &role_document("ims:*:*", "one")).unwrap();
    // The circle is closed from the other end.
    let circle = Some(serde_json::from_str(&role_document("ims:*:*", "two")).unwrap());
    let change = PolicyChange { document: circle, ..PolicyChange::default() };
    let closed = world.service.update_policy(&world.admin, "one", change);
    assert_eq!(kind(closed), Some(ErrorKind::Invalid));
    // What others depend on keeps its name and stays.
    let renamed = PolicyChange { name: Some("three".into()), ..PolicyChange::default() };
    assert_eq!(kind(world.service.update_policy(&world.admin, "one", renamed)), Some(ErrorKind::Conflict));
    assert_eq!(kind(world.service.delete_policy(&world.admin, "one")), Some(ErrorKind::Conflict));
    world.service.delete_policy(&world.admin, "two").unwrap();
    world.attach("one", Some("lab"));
    assert_eq!(kind(world.service.delete_policy(&world.admin, "one")), Some(ErrorKind::Conflict));
    world.detach("one", Some("lab"));
    world.service.delete_policy(&world.admin, "one").unwrap();
    assert_eq!(kind(world.service.policy(&world.admin, "one")), Some(ErrorKind::NotFound));
}

#[test]
fn built_in_policies_stay_and_roles_are_not_attached() {
    let world = World::new();
    let gone = world.service.delete_policy(&world.admin, "IMS FullAccess");
    assert_eq!(kind(gone), Some(ErrorKind::Forbidden));
    let changed = world.service.update_policy(&world.admin, "te_admin", PolicyChange::default());
    assert_eq!(kind(changed), Some(ErrorKind::Forbidden));
    for (policy, group, project, expected) in [
        ("admin", "ops", Some("lab"), ErrorKind::Invalid),
        ("nothing", "ops", Some("lab"), ErrorKind::NotFound),
        ("readonly", "nobody", Some("lab"), ErrorKind::NotFound),
        ("readonly", "ops", Some("nowhere"), ErrorKind::NotFound),
    ] {
        let new =
            NewAttachment { policy: policy.into(), group: group.into(), project: project.map(str::to_owned) };
        assert_eq!(kind(world.service.attach_policy(&world.admin, new)), Some(expected), "{policy} {group}");
    }
    let absent = world.service.detach_policy(&world.admin, world.place("readonly", None));
    assert_eq!(kind(absent), Some(ErrorKind::NotFound));
}

#[test]
fn policies_are_the_business_of_who_has_the_right() {
    let world = World::new();
    world.give_role("member");
    let ann = world.ann().unwrap();
    let forbidden = Some(ErrorKind::Forbidden);
    let new = NewPolicy {
        name: "x".into(),
        description: None,
        document: serde_json::from_str(&document("Allow", "*:*:*")).unwrap(),
    };
    assert_eq!(kind(world.service.create_policy(&ann, new)), forbidden);
    assert_eq!(kind(world.service.list_policies(&ann)), forbidden);
    assert_eq!(kind(world.service.policy(&ann, "te_admin")), forbidden);
    assert_eq!(kind(world.service.attach_policy(&ann, world.place("te_admin", None))), forbidden);
    assert_eq!(kind(world.service.detach_policy(&ann, world.place("te_admin", None))), forbidden);
    assert_eq!(kind(world.service.policy_attachments(&ann, "te_admin")), forbidden);
    assert_eq!(kind(world.service.delete_policy(&ann, "te_admin")), forbidden);
    let of_admin = Simulation {
        user: "admin".into(),
        action: "ims:images:get".into(),
        resource: "*".into(),
        project: None,
        source: None,
    };
    assert_eq!(kind(world.service.simulate(&ann, &of_admin)), forbidden);
    let own = Simulation { user: "ann".into(), ..of_admin };
    assert!(world.service.simulate(&ann, &own).unwrap().is_allowed);
    // Nor does it tell which other projects there are.
    for other in ["admin", "nowhere"] {
        let elsewhere = Simulation { project: Some(other.into()), ..own.clone() };
        let told = world.service.simulate(&ann, &elsewhere).unwrap();
        assert!(!told.is_allowed && told.reason.contains("cannot act"), "{other}");
        assert_eq!(told.project.as_str(), other);
    }
}

#[test]
fn a_simulation_names_the_statements_that_decide() {
    let world = World::new();
    let ask = |action: &str| {
        let asked = Simulation {
            user: "ann".into(),
            action: action.into(),
            resource: "*".into(),
            project: Some("lab".into()),
            source: None,
        };
        world.service.simulate(&world.admin, &asked)
    };
    let nobody = ask("ims:images:delete").unwrap();
    assert!(!nobody.is_allowed && nobody.reason.contains("cannot act in this project"));
    world.give_role("member");
    world.attach("IMS Administrator", Some("lab"));
    world.write("no deleting", &document("Deny", "ims:*:delete")).unwrap();
    world.attach("no deleting", None);
    let explained = ask("IMS:images:DELETE").unwrap();
    assert!(!explained.is_allowed);
    let seen: Vec<_> = explained
        .matches
        .iter()
        .map(|found| {
            (found.policy_name.as_str(), found.effect, found.idle_because.is_none(), found.group.is_some())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("IMS Administrator", Effect::Allow, false, true),
            ("no deleting", Effect::Deny, true, true),
            ("member", Effect::Allow, true, false),
        ]
    );
    assert!(explained.matches[0].idle_because.as_deref().unwrap().contains("tenant administrator"));
    let allowed = ask("ims:images:update").unwrap();
    assert!(allowed.is_allowed && allowed.reason.contains("the role member"), "{}", allowed.reason);
    let typo = ask("ims:image:update").unwrap_err();
    assert!(typo.message.contains("did you mean ims:images:update?"), "{}", typo.message);
}

#[test]
fn loose_actions_of_roles_are_read_as_the_reference_writes_them() {
    let guest = r#"{"Version":"1.0","Statement":[{"Effect":"Allow","Action":["::Get","::List"]},
        {"Effect":"Deny","Action":["identity:*"]}]}"#;
    let document = Document::parse(guest).unwrap();
    let (allows, denies) = (document.actions(Effect::Allow), document.actions(Effect::Deny));
    assert!(
        allows.has(Action::ImagesGet) && allows.has(Action::UsersList) && !allows.has(Action::ImagesCreate)
    );
    assert!(denies.has(Action::UsersList) && !denies.has(Action::ImagesList));
    // Actions of services that are not here are kept, and mean nothing.
    let foreign = Document::parse(&super::tests::document("Allow", "ecs:cloudServers:get")).unwrap();
    assert!(foreign.actions(Effect::Allow).is_empty());
    let capitals = Document::parse(&super::tests::document("Allow", "IMS:*:DELETE")).unwrap();
    assert!(capitals.actions(Effect::Allow).has(Action::ImagesDelete));
}

#[test]
fn the_manual_lists_every_action() {
    let manual = include_str!("../../docs/RIGHTS.md");
    for action in Action::ALL {
        assert!(manual.contains(&format!("`{}`", action.name())), "{}", action.name());
    }
    for policy in built_in_policies() {
        assert!(manual.contains(&format!("| {} |", policy.name)), "{}", policy.name);
    }
}
