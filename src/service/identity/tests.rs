//! The promises of signing in and of what ends tokens.

use super::*;
use crate::model::identity::Scope;
use crate::service::testing::{password, service};
use crate::service::{Actor, Service};

fn admin() -> UserRef {
    UserRef::Name("admin".into(), DomainRef::Name("Default".into()))
}

fn with_password(user: UserRef, text: &str, scope: ScopeWish) -> SignIn {
    SignIn { proof: Proof::Password(user, password(text)), scope }
}

fn in_admin() -> ScopeWish {
    ScopeWish::Project(ProjectRef::Name("admin".into(), DomainRef::Id(DEFAULT_DOMAIN.into())))
}

fn refusal<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.err().map(|e| e.kind).unwrap()
}

fn admin_token(service: &Service) -> TokenText {
    service.sign_in(with_password(admin(), "admin-pw", in_admin())).unwrap().0
}

fn actor(service: &Service) -> Actor {
    service.authenticate_token(admin_token(service).expose()).unwrap()
}

#[test]
fn an_empty_catalog_is_set_up_once() {
    let (service, _) = service();
    assert!(!service.bootstrap(&password("another")).unwrap());
    let actor = actor(&service);
    assert_eq!(actor.roles, ["admin", "manager", "member", "reader"].map(String::from).into());
    assert_eq!(service.local_admin().unwrap().project(), actor.project());
    service.sign_in(with_password(admin(), "admin-pw", ScopeWish::System)).unwrap();
}

#[test]
fn nothing_tells_what_was_wrong_with_a_sign_in() {
    let (service, _) = service();
    let nobody = UserRef::Name("nobody".into(), DomainRef::Name("Default".into()));
    let nowhere = UserRef::Name("admin".into(), DomainRef::Name("Nowhere".into()));
    let other = ScopeWish::Project(ProjectRef::Id("other".into()));
    let refused = [
        with_password(nobody, "admin-pw", ScopeWish::Unscoped),
        with_password(nowhere, "admin-pw", ScopeWish::Unscoped),
        with_password(admin(), "wrong", ScopeWish::Unscoped),
        with_password(admin(), "admin-pw", other),
        with_password(admin(), "admin-pw", ScopeWish::Domain(DomainRef::Id(DEFAULT_DOMAIN.into()))),
    ];
    for request in refused {
        let error = service.sign_in(request).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert_eq!(error.message, unauthenticated().message);
    }
}

#[test]
fn a_token_ends_when_its_time_is_up() {
    let (service, clock) = service();
    let token = admin_token(&service);
    clock.step_seconds(3599);
    service.authenticate_token(token.expose()).unwrap();
    clock.step_seconds(1);
    assert_eq!(refusal(service.authenticate_token(token.expose())), ErrorKind::Unauthenticated);
}

#[test]
fn tokens_hold_and_end_whichever_way_the_clock_steps() {
    let (service, clock) = service();
    let (kept, revoked) = (admin_token(&service), admin_token(&service));
    let actor = actor(&service);
    service.revoke_token(&actor, revoked.expose()).unwrap();
    clock.step_seconds(-86_400);
    assert!(holds(&service, &kept), "a token from the future is still its user's");
    assert!(!holds(&service, &revoked));
    let early = admin_token(&service);
    assert!(holds(&service, &early));
    clock.step_seconds(2 * 86_400);
    assert!(!holds(&service, &kept) && !holds(&service, &early));
    // A sign-in clears away what has ended, so that no later step can revive it.
    assert!(holds(&service, &admin_token(&service)));
    clock.step_seconds(-2 * 86_400);
    assert!(!holds(&service, &kept) && !holds(&service, &early));
    assert!(holds(&service, &admin_token(&service)));
}

#[test]
fn a_token_made_from_a_token_keeps_its_end_and_names_the_first() {
    let (service, clock) = service();
    let (text, first) = service.sign_in(with_password(admin(), "admin-pw", ScopeWish::Unscoped)).unwrap();
    assert!(first.roles.is_empty() && first.place.is_none());
    clock.step_seconds(60);
    let proof = Proof::Token(text.expose().to_owned());
    let (_, second) = service.sign_in(SignIn { proof, scope: in_admin() }).unwrap();
    assert_eq!(second.token.expires_at, first.token.expires_at);
    assert_eq!(second.token.methods, ["token", "password"]);
    assert_eq!(second.token.audit_ids[1], first.token.audit_ids[0]);
    assert_eq!(second.roles.len(), 4);
}

#[test]
fn a_revoked_token_is_worth_nothing() {
    let (service, _) = service();
    let token = admin_token(&service);
    let actor = service.authenticate_token(token.expose()).unwrap();
    assert_eq!(service.validate_token(&actor, token.expose(), false).unwrap().user.name, "admin");
    service.revoke_token(&actor, token.expose()).unwrap();
    assert_eq!(refusal(service.authenticate_token(token.expose())), ErrorKind::Unauthenticated);
    assert_eq!(refusal(service.validate_token(&actor, token.expose(), false)), ErrorKind::NotFound);
    assert_eq!(refusal(service.revoke_token(&actor, token.expose())), ErrorKind::NotFound);
    let proof = Proof::Token(token.expose().to_owned());
    assert_eq!(refusal(service.sign_in(SignIn { proof, scope: in_admin() })), ErrorKind::NotFound);
}

#[test]
fn another_users_token_is_not_shown() {
    let (service, _) = service();
    let token = admin_token(&service);
    let scope = Some(Scope::System);
    let mut stranger = Actor {
        user: "x".into(),
        user_domain: "default".into(),
        scope,
        roles: [].into(),
        rights: Default::default(),
        origin: Default::default(),
    };
    assert_eq!(refusal(service.validate_token(&stranger, token.expose(), false)), ErrorKind::Forbidden);
    assert_eq!(refusal(service.revoke_token(&stranger, token.expose())), ErrorKind::Forbidden);
    stranger.roles.insert("service".into());
    service.validate_token(&stranger, token.expose(), false).unwrap();
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

fn new_project(name: &str) -> NewProject {
    NewProject {
        name: name.into(),
        domain: None,
        description: None,
        enabled: true,
        tags: vec![],
        extra: Default::default(),
    }
}

fn role_id(service: &Service, admin: &Actor, name: &str) -> crate::model::RoleId {
    let filter = NameFilter { domain: None, name: Some(name.into()) };
    service.list_roles(admin, &filter).unwrap().remove(0).id
}

/// A user `ann` with the role `member` on a project `demo`, and her token there.
struct Member {
    grant: Grant,
    project: crate::model::ProjectId,
    token: TokenText,
}

fn member(service: &Service, admin: &Actor) -> Member {
    let user = service.create_user(admin, new_user("ann")).unwrap();
    let project = service.create_project(admin, new_project("demo")).unwrap().id;
    let role = role_id(service, admin, "member");
    let grant = Grant { user: user.id, scope: Scope::Project(project.clone()), role };
    service.grant_role(admin, grant.clone()).unwrap();
    let token = ann_in(service, &grant, &project);
    Member { grant, project, token }
}

fn ann_in(service: &Service, grant: &Grant, project: &crate::model::ProjectId) -> TokenText {
    let wish = ScopeWish::Project(ProjectRef::Id(project.clone()));
    service.sign_in(with_password(UserRef::Id(grant.user.clone()), "pw", wish)).unwrap().0
}

fn holds(service: &Service, token: &TokenText) -> bool {
    service.authenticate_token(token.expose()).is_ok()
}

#[test]
fn a_member_may_do_what_is_their_own_and_no_more() {
    let (service, _) = service();
    let admin = actor(&service);
    let member = member(&service, &admin);
    let ann = service.authenticate_token(member.token.expose()).unwrap();
    assert_eq!(ann.roles, ["member", "reader"].map(String::from).into());
    service.get_user(&ann, &ann.user).unwrap();
    service.get_project(&ann, &member.project).unwrap();
    service.get_domain(&ann, &DEFAULT_DOMAIN.into()).unwrap();
    assert_eq!(service.projects_of_user(&ann, &ann.user).unwrap().len(), 1);
    let none = NameFilter::default();
    let refused = [
        refusal(service.list_users(&ann, &none)),
        refusal(service.list_projects(&ann, &none)),
        refusal(service.list_domains(&ann, &none)),
        refusal(service.list_roles(&ann, &none)),
        refusal(service.list_assignments(&ann, &AssignmentFilter::default())),
        refusal(service.get_user(&ann, &admin.user)),
        refusal(service.get_user(&ann, &"nobody".into())),
        refusal(service.get_project(&ann, &"nowhere".into())),
        refusal(service.get_role(&ann, &member.grant.role)),
        refusal(service.role_inferences(&ann)),
        refusal(service.create_user(&ann, new_user("eve"))),
        refusal(service.create_project(&ann, new_project("mine"))),
        refusal(service.grant_role(&ann, member.grant.clone())),
        refusal(service.reset_password(&ann, &ann.user, &password("x"))),
        refusal(service.delete_user(&ann, &ann.user)),
    ];
    assert!(refused.iter().all(|kind| *kind == ErrorKind::Forbidden), "{refused:?}");
}

#[test]
fn whatever_ends_a_token_ends_it_for_good() {
    let (service, _) = service();
    let admin = actor(&service);
    let Member { grant, project, token } = member(&service, &admin);
    let enabled = |flag| UserChange { enabled: Some(flag), ..UserChange::default() };
    service.update_user(&admin, &grant.user, enabled(false)).unwrap();
    service.update_user(&admin, &grant.user, enabled(true)).unwrap();
    assert!(!holds(&service, &token), "disabled user");

    let token = ann_in(&service, &grant, &project);
    let enabled = |flag| ProjectChange { enabled: Some(flag), ..ProjectChange::default() };
    service.update_project(&admin, &project, enabled(false)).unwrap();
    service.update_project(&admin, &project, enabled(true)).unwrap();
    assert!(!holds(&service, &token), "disabled project");

    let token = ann_in(&service, &grant, &project);
    service.revoke_role(&admin, grant.clone()).unwrap();
    service.grant_role(&admin, grant.clone()).unwrap();
    assert!(!holds(&service, &token), "last role taken away");

    let token = ann_in(&service, &grant, &project);
    service.reset_password(&admin, &grant.user, &password("pw")).unwrap();
    assert!(!holds(&service, &token), "password reset");

    let token = ann_in(&service, &grant, &project);
    service.delete_project(&admin, &project).unwrap();
    assert!(!holds(&service, &token), "project deleted");
}

#[test]
fn a_token_issued_right_after_a_password_change_holds() {
    let (service, _) = service();
    let admin = actor(&service);
    let Member { grant, project, token } = member(&service, &admin);
    assert_eq!(
        refusal(service.change_password(
            &Default::default(),
            &grant.user,
            &password("wrong"),
            &password("pw")
        )),
        ErrorKind::Unauthenticated
    );
    assert!(holds(&service, &token));
    service.change_password(&Default::default(), &grant.user, &password("pw"), &password("pw")).unwrap();
    assert!(!holds(&service, &token));
    assert!(holds(&service, &ann_in(&service, &grant, &project)));
}

#[test]
fn a_default_project_is_used_where_it_is_open() {
    let (service, _) = service();
    let admin = actor(&service);
    let Member { grant, project, .. } = member(&service, &admin);
    let change = UserChange { default_project: Some(Some(project.clone())), ..UserChange::default() };
    service.update_user(&admin, &grant.user, change).unwrap();
    let sign_in = || with_password(UserRef::Id(grant.user.clone()), "pw", ScopeWish::Default);
    let (_, signed_in) = service.sign_in(sign_in()).unwrap();
    assert_eq!(signed_in.token.scope, Some(Scope::Project(project)));
    service.revoke_role(&admin, grant.clone()).unwrap();
    assert_eq!(service.sign_in(sign_in()).unwrap().1.token.scope, None);
}

#[test]
fn built_in_roles_and_live_domains_stay() {
    let (service, _) = service();
    let admin = actor(&service);
    let member = role_id(&service, &admin, "member");
    assert_eq!(refusal(service.delete_role(&admin, &member)), ErrorKind::Forbidden);
    assert_eq!(refusal(service.update_role(&admin, &member, RoleChange::default())), ErrorKind::Forbidden);
    let new = NewDomain { name: "d".into(), description: None, enabled: true, extra: Default::default() };
    let domain = service.create_domain(&admin, new).unwrap();
    assert_eq!(refusal(service.delete_domain(&admin, &domain.id)), ErrorKind::Forbidden);
    let disable = DomainChange { enabled: Some(false), ..DomainChange::default() };
    service.update_domain(&admin, &domain.id, disable).unwrap();
    service.delete_domain(&admin, &domain.id).unwrap();
    assert_eq!(refusal(service.delete_domain(&admin, &DEFAULT_DOMAIN.into())), ErrorKind::Forbidden);
}

#[test]
fn grants_need_every_part_and_show_what_comes_along() {
    let (service, _) = service();
    let admin = actor(&service);
    let Member { grant, .. } = member(&service, &admin);
    for broken in [
        Grant { user: "x".into(), ..grant.clone() },
        Grant { scope: Scope::Project("x".into()), ..grant.clone() },
        Grant { role: "x".into(), ..grant.clone() },
    ] {
        assert_eq!(refusal(service.grant_role(&admin, broken)), ErrorKind::NotFound);
    }
    service.grant_role(&admin, grant.clone()).unwrap();
    service.check_role(&admin, &grant).unwrap();
    let filter = AssignmentFilter { user: Some(grant.user.clone()), ..AssignmentFilter::default() };
    assert_eq!(service.list_assignments(&admin, &filter).unwrap().len(), 1);
    let effective = AssignmentFilter { effective: true, ..filter };
    let held = service.list_assignments(&admin, &effective).unwrap();
    assert_eq!(held.iter().map(|h| h.role.name.as_str()).collect::<Vec<_>>(), ["member", "reader"]);
    assert_eq!(held[1].given.as_ref().unwrap().name, "member");
    service.revoke_role(&admin, grant.clone()).unwrap();
    assert_eq!(refusal(service.revoke_role(&admin, grant)), ErrorKind::NotFound);
}
