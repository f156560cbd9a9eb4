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
    assert_eq!(service.validate_token(&actor, token.expose()).unwrap().user.name, "admin");
    service.revoke_token(&actor, token.expose()).unwrap();
    assert_eq!(refusal(service.authenticate_token(token.expose())), ErrorKind::Unauthenticated);
    assert_eq!(refusal(service.validate_token(&actor, token.expose())), ErrorKind::NotFound);
    assert_eq!(refusal(service.revoke_token(&actor, token.expose())), ErrorKind::NotFound);
    let proof = Proof::Token(token.expose().to_owned());
    assert_eq!(refusal(service.sign_in(SignIn { proof, scope: in_admin() })), ErrorKind::NotFound);
}

#[test]
fn another_users_token_is_not_shown() {
    let (service, _) = service();
    let token = admin_token(&service);
    let scope = Some(Scope::System);
    let mut stranger = Actor { user: "x".into(), user_domain: "default".into(), scope, roles: [].into() };
    assert_eq!(refusal(service.validate_token(&stranger, token.expose())), ErrorKind::Forbidden);
    assert_eq!(refusal(service.revoke_token(&stranger, token.expose())), ErrorKind::Forbidden);
    stranger.roles.insert("service".into());
    service.validate_token(&stranger, token.expose()).unwrap();
}
