//! The promises of access keys: who may make and see them, what ends them, and what a signature is worth.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;
use crate::model::identity::{Assignment, Role};
use crate::service::ErrorKind;
use crate::service::identity::{NewProject, NewUser, ProjectChange, UserChange};
use crate::service::testing::{rules, sealed_service, service};

struct Fleet {
    admin: Actor,
    ann: Actor,
    project: Project,
}

/// A user `ann` with the role member in a project `fleet`.
fn fleet(service: &Service) -> Fleet {
    let admin = service.local_admin().unwrap();
    let project = NewProject {
        name: "fleet".into(),
        domain: None,
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    let project = service.create_project(&admin, project).unwrap();
    let user = NewUser {
        name: "ann".into(),
        domain: None,
        enabled: true,
        default_project: Some(project.id.clone()),
        password: None,
        extra: Default::default(),
    };
    let user = service.create_user(&admin, user).unwrap();
    give_role(service, &user, &project);
    let scope = Some(Scope::Project(project.id.clone()));
    let roles = ["member", "reader"].map(String::from).into();
    let rights = Default::default();
    let origin = Default::default();
    let ann = Actor { user: user.id, user_domain: user.domain, scope, roles, rights, origin };
    Fleet { admin, ann, project }
}

fn give_role(service: &Service, user: &User, project: &Project) {
    let role = catalog::find::<Role>(&service.db.read().unwrap(), "", "member").unwrap().unwrap().id;
    let assignment = Assignment { user: user.id.clone(), scope: Scope::Project(project.id.clone()), role };
    service.db.write(move |txn| Ok::<_, Error>(catalog::put_assignment(txn, &assignment)?)).unwrap();
}

/// A call that is signed now.
fn signed(service: &Service, access: &AccessId, secret: &AccessSecret, text: &str) -> SignedCall {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = mac.finalize().into_bytes().into();
    let signed_at = service.clock.now();
    SignedCall {
        access: access.clone(),
        text: text.into(),
        signature,
        security_token: None,
        signed_at,
        project: None,
        is_read: true,
    }
}

fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.err().map(|error| error.kind).unwrap()
}

#[test]
fn a_signature_is_worth_what_its_user_holds_in_the_keys_project() {
    for service in [service().0, sealed_service(rules()).0] {
        let Fleet { ann, project, .. } = fleet(&service);
        let (made, secret) = service.create_access_key(&ann, NewAccessKey::default()).unwrap();
        let access = &made.key.access;
        let actor = service.authenticate_signed(&signed(&service, access, &secret, "GET /")).unwrap();
        assert_eq!(actor, ann);
        let mut elsewhere = signed(&service, access, &secret, "GET /a");
        elsewhere.project = Some("other".into());
        assert_eq!(kind(service.authenticate_signed(&elsewhere)), ErrorKind::Unauthenticated);
        elsewhere.project = Some(project.id);
        assert!(service.authenticate_signed(&elsewhere).is_ok());
        let mut forged = signed(&service, access, &secret, "GET /b");
        forged.signature[31] ^= 1;
        assert_eq!(kind(service.authenticate_signed(&forged)), ErrorKind::Unauthenticated);
        let unknown = AccessId("A".repeat(20));
        let nobody = signed(&service, &unknown, &secret, "GET /c");
        assert_eq!(kind(service.authenticate_signed(&nobody)), ErrorKind::Unauthenticated);
    }
}

#[test]
fn a_temporary_key_ends_by_itself_and_with_its_users_rights() {
    for (service, clock) in [service(), sealed_service(rules())] {
        let Fleet { admin, ann, .. } = fleet(&service);
        for life_s in [i64::MIN, 0, 899, 86_401, i64::MAX] {
            assert_eq!(kind(service.create_temporary_key(&ann, life_s)), ErrorKind::Invalid, "{life_s}");
        }
        let unscoped = Actor { scope: None, ..ann.clone() };
        assert_eq!(kind(service.create_temporary_key(&unscoped, 900)), ErrorKind::Invalid);
        assert_eq!(kind(service.create_temporary_key(&admin, 900)), ErrorKind::NotFound);
        let made = service.create_temporary_key(&ann, 900).unwrap();
        let call = |text: &str, token: &str| SignedCall {
            security_token: Some(token.to_owned()),
            ..signed(&service, &made.access, &made.secret, text)
        };
        let token = made.token.expose();
        assert_eq!(service.authenticate_signed(&call("GET /", token)).unwrap(), ann);
        // Without its token the key is unknown, and nothing of the token may be other than it was.
        let bare = signed(&service, &made.access, &made.secret, "GET /bare");
        assert_eq!(kind(service.authenticate_signed(&bare)), ErrorKind::Unauthenticated);
        for at in 0..token.len() {
            let mut other = token.as_bytes().to_vec();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let forged = call(&format!("GET /{at}"), std::str::from_utf8(&other).unwrap());
            assert_eq!(kind(service.authenticate_signed(&forged)), ErrorKind::Unauthenticated, "{at}");
        }
        let another = service.create_temporary_key(&ann, 900).unwrap();
        for wrong in ["", "A", another.token.expose(), &"A".repeat(5000)] {
            assert_eq!(kind(service.authenticate_signed(&call("GET /w", wrong))), ErrorKind::Unauthenticated);
        }
        let off = UserChange { enabled: Some(false), ..UserChange::default() };
        service.update_user(&admin, &ann.user, off).unwrap();
        assert_eq!(kind(service.authenticate_signed(&call("GET /off", token))), ErrorKind::Unauthenticated);
        let on = UserChange { enabled: Some(true), ..UserChange::default() };
        service.update_user(&admin, &ann.user, on).unwrap();
        assert!(service.authenticate_signed(&call("GET /on", token)).is_ok());
        clock.step_seconds(900);
        assert_eq!(kind(service.authenticate_signed(&call("GET /late", token))), ErrorKind::Unauthenticated);
    }
}

#[test]
fn the_day_of_use_is_kept_once_a_day() {
    let (service, clock) = service();
    let Fleet { ann, .. } = fleet(&service);
    let (made, secret) = service.create_access_key(&ann, NewAccessKey::default()).unwrap();
    let access = made.key.access;
    assert_eq!(made.key.last_used_day, None);
    let used = |text: &str| {
        service.authenticate_signed(&signed(&service, &access, &secret, text)).unwrap();
        service.access_key(&ann, &access).unwrap().key.last_used_day.unwrap()
    };
    let today = used("GET /1");
    assert_eq!(used("GET /2"), today);
    clock.step_seconds(86_400);
    assert_eq!(used("GET /3"), today + 1);
}

#[test]
fn only_its_user_and_administrators_see_a_key() {
    let (service, _) = service();
    let Fleet { admin, ann, project } = fleet(&service);
    let (of_ann, _) = service.create_access_key(&ann, NewAccessKey::default()).unwrap();
    let (of_admin, _) = service.create_access_key(&admin, NewAccessKey::default()).unwrap();
    assert_eq!(
        (of_admin.user_name.as_deref(), of_ann.project_name.as_deref()),
        (Some("admin"), Some("fleet"))
    );
    let ids = |keys: Vec<KnownKey>| keys.into_iter().map(|known| known.key.access).collect::<Vec<_>>();
    assert_eq!(ids(service.access_keys(&ann, None).unwrap()), vec![of_ann.key.access.clone()]);
    assert_eq!(service.access_keys(&admin, None).unwrap().len(), 2);
    assert_eq!(ids(service.access_keys(&admin, Some("ann")).unwrap()), vec![of_ann.key.access.clone()]);
    assert_eq!(kind(service.access_keys(&ann, Some("admin"))), ErrorKind::Forbidden);
    assert_eq!(kind(service.access_keys(&ann, Some("nobody"))), ErrorKind::Forbidden);
    let foreign = &of_admin.key.access;
    assert_eq!(kind(service.access_key(&ann, foreign)), ErrorKind::NotFound);
    assert_eq!(kind(service.update_access_key(&ann, foreign, Default::default())), ErrorKind::NotFound);
    assert_eq!(kind(service.delete_access_key(&ann, foreign)), ErrorKind::NotFound);
    let for_another = NewAccessKey { user: Some("admin".into()), ..Default::default() };
    assert_eq!(kind(service.create_access_key(&ann, for_another)), ErrorKind::Forbidden);
    let elsewhere = NewAccessKey { project: Some("admin".into()), ..Default::default() };
    assert_eq!(kind(service.create_access_key(&ann, elsewhere)), ErrorKind::NotFound);
    let roleless = NewAccessKey { project: Some(project.name), ..Default::default() };
    assert_eq!(kind(service.create_access_key(&admin, roleless)), ErrorKind::Invalid);
    let by_admin = NewAccessKey { user: Some("ann".into()), ..Default::default() };
    assert_eq!(service.create_access_key(&admin, by_admin).unwrap().0.key.user, ann.user);
}

#[test]
fn whatever_ends_its_user_or_project_ends_a_key() {
    type End = fn(&Service, &Fleet, &AccessId);
    let ends: [(&str, End); 6] = [
        ("switched off", |service, fleet, access| {
            let off = AccessKeyChange { enabled: Some(false), description: None };
            service.update_access_key(&fleet.ann, access, off).unwrap();
        }),
        ("deleted", |service, fleet, access| service.delete_access_key(&fleet.ann, access).unwrap()),
        ("user disabled and enabled", |service, fleet, _| {
            for enabled in [false, true] {
                let change = UserChange { enabled: Some(enabled), ..UserChange::default() };
                service.update_user(&fleet.admin, &fleet.ann.user, change).unwrap();
            }
        }),
        ("user deleted", |service, fleet, _| service.delete_user(&fleet.admin, &fleet.ann.user).unwrap()),
        ("project disabled and enabled", |service, fleet, _| {
            for enabled in [false, true] {
                let change = ProjectChange { enabled: Some(enabled), ..ProjectChange::default() };
                service.update_project(&fleet.admin, &fleet.project.id, change).unwrap();
            }
        }),
        ("project deleted", |service, fleet, _| {
            service.delete_project(&fleet.admin, &fleet.project.id).unwrap();
        }),
    ];
    for (what, end) in ends {
        let (service, _) = service();
        let fleet = fleet(&service);
        let (made, secret) = service.create_access_key(&fleet.ann, NewAccessKey::default()).unwrap();
        let access = made.key.access;
        assert!(service.authenticate_signed(&signed(&service, &access, &secret, "GET /1")).is_ok());
        end(&service, &fleet, &access);
        let after = service.authenticate_signed(&signed(&service, &access, &secret, "GET /2"));
        assert_eq!(kind(after), ErrorKind::Unauthenticated, "{what}");
    }
}

#[test]
fn a_key_ends_when_it_says() {
    let (service, clock) = service();
    let Fleet { ann, .. } = fleet(&service);
    let end = service.clock.now().plus_seconds(60);
    let new = NewAccessKey { expires_at: Some(end), ..Default::default() };
    let (made, secret) = service.create_access_key(&ann, new.clone()).unwrap();
    let access = made.key.access;
    assert!(service.authenticate_signed(&signed(&service, &access, &secret, "GET /1")).is_ok());
    clock.step_seconds(61);
    let after = service.authenticate_signed(&signed(&service, &access, &secret, "GET /2"));
    assert_eq!(kind(after), ErrorKind::Unauthenticated);
    assert_eq!(kind(service.create_access_key(&ann, new)), ErrorKind::Invalid);
}

#[test]
fn replays_and_skewed_clocks_are_refused() {
    let (service, clock) = service();
    let Fleet { ann, .. } = fleet(&service);
    let (made, secret) = service.create_access_key(&ann, NewAccessKey::default()).unwrap();
    let access = made.key.access;
    let mut write = signed(&service, &access, &secret, "DELETE /1");
    write.is_read = false;
    assert!(service.authenticate_signed(&write).is_ok());
    assert_eq!(kind(service.authenticate_signed(&write)), ErrorKind::Unauthenticated);
    let read = signed(&service, &access, &secret, "GET /1");
    clock.step_seconds(901);
    assert_eq!(kind(service.authenticate_signed(&read)), ErrorKind::Unauthenticated);
    clock.step_seconds(-2 * 902);
    let error = service.authenticate_signed(&read).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    assert!(error.message.contains("ahead of the server's clock"), "{error}");
}

#[test]
fn a_lost_root_is_named_and_takes_no_signature() {
    let (service, _) = service();
    let Fleet { ann, .. } = fleet(&service);
    let (made, secret) = service.create_access_key(&ann, NewAccessKey::default()).unwrap();
    let other = service.clone().with_access_root(AccessRoot::generate(&*service.entropy));
    assert!(other.access_key(&ann, &made.key.access).unwrap().is_secret_lost);
    let call = signed(&service, &made.key.access, &secret, "GET /1");
    assert_eq!(kind(other.authenticate_signed(&call)), ErrorKind::Unauthenticated);
    assert!(service.authenticate_signed(&call).is_ok());
}

#[test]
fn a_user_has_a_bounded_number_of_keys() {
    let (service, _) = service();
    let Fleet { ann, .. } = fleet(&service);
    for _ in 0..ACCESS_KEYS_PER_USER_MAX {
        service.create_access_key(&ann, NewAccessKey::default()).unwrap();
    }
    assert_eq!(kind(service.create_access_key(&ann, NewAccessKey::default())), ErrorKind::TooLarge);
}

#[test]
fn a_key_of_a_user_with_policies_alone_is_worth_what_they_allow() {
    use crate::service::identity::NewGroup;
    use crate::service::rights::{Action, NewAttachment, Resource};
    let (service, _) = service();
    let Fleet { admin, project, .. } = fleet(&service);
    let new = NewUser {
        name: "bob".into(),
        domain: None,
        enabled: true,
        default_project: Some(project.id.clone()),
        password: None,
        extra: Default::default(),
    };
    let bob = service.create_user(&admin, new).unwrap();
    let group = NewGroup { name: "ops".into(), domain: None, description: None, extra: Default::default() };
    let group = service.create_group(&admin, group).unwrap();
    service.add_group_member(&admin, &group.id, &bob.id).unwrap();
    let of_bob = || NewAccessKey { user: Some("bob".into()), ..NewAccessKey::default() };
    assert_eq!(kind(service.create_access_key(&admin, of_bob())), ErrorKind::Invalid);
    let place = || NewAttachment {
        policy: "IMS ReadOnlyAccess".into(),
        group: "ops".into(),
        project: Some("fleet".into()),
    };
    service.attach_policy(&admin, place()).unwrap();
    let (made, secret) = service.create_access_key(&admin, of_bob()).unwrap();
    let sign = |text: &str| service.authenticate_signed(&signed(&service, &made.key.access, &secret, text));
    let actor = sign("GET /1").unwrap();
    assert!(actor.allows(Action::ImagesList, Resource::None));
    assert!(!actor.allows(Action::ImagesCreate, Resource::None) && actor.roles.is_empty());
    service.detach_policy(&admin, place()).unwrap();
    assert_eq!(kind(sign("GET /2")), ErrorKind::Unauthenticated);
}
