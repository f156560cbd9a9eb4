//! Which rules are taken, whom they let through, and what beats them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::model::identity::Scope;
use crate::model::{ImageId, ProjectId, Visibility};
use crate::service::images::{Change, Field, NewImage};
use crate::service::rights::tests::World;
use crate::service::rights::{Rights, Simulation};
use crate::service::{ErrorKind, Service, testing};

fn text(name: &str, text: &str) -> WrittenRule {
    WrittenRule { name: name.into(), line: 1, said: Said::Text(text.into()) }
}

fn overrides(rules: &[(&str, &str)]) -> Result<Overrides, String> {
    let rules = rules.iter().zip(1..);
    let written: Vec<_> =
        rules.map(|((name, said), line)| WrittenRule { line, ..text(name, said) }).collect();
    Overrides::new(&written)
}

fn caller(roles: &[&str], overrides: Overrides) -> Actor {
    Actor {
        user: "ann".into(),
        scope: Some(Scope::Project("lab".into())),
        roles: roles.iter().map(|role| (*role).to_owned()).collect::<BTreeSet<_>>(),
        rights: Rights::default().under(Some(Arc::new(overrides))),
        ..Actor::system()
    }
}

/// Whom an expression lets through: a member of lab, its admin, and a member about an image of another project.
fn holds(said: &str) -> (bool, bool, bool) {
    let id = ImageId(uuid::Uuid::nil());
    let (lab, den) = (ProjectId::from("lab"), ProjectId::from("den"));
    let ask = |roles: &[&str], owner: &ProjectId| {
        let rules = [("delete_image", said), ("boss", "role:admin"), ("get_image", "rule:boss")];
        let actor = caller(roles, overrides(&rules).unwrap());
        actor.allows(Action::ImagesDelete, Resource::Image { id: &id, owner: Some(owner) })
    };
    (ask(&["member"], &lab), ask(&["admin"], &lab), ask(&["member"], &den))
}

#[test]
fn an_expression_lets_those_through_whom_it_says() {
    for (said, wanted) in [
        ("@", (true, true, true)),
        ("", (true, true, true)),
        ("!", (false, false, false)),
        ("role:Admin", (false, true, false)),
        ("rule:boss", (false, true, false)),
        ("not rule:boss", (true, false, true)),
        ("project_id:%(project_id)s", (true, true, false)),
        ("project_id:%(owner)s", (true, true, false)),
        ("project_id:lab", (true, true, true)),
        ("project_id:den", (false, false, false)),
        ("user_id:ann and role:member", (true, false, true)),
        ("role:admin or role:member and project_id:%(project_id)s", (true, true, false)),
        ("(role:admin or role:member) and project_id:%(project_id)s", (true, true, false)),
        ("NOT (role:admin OR project_id:%(project_id)s)", (false, false, true)),
        ("not not role:admin", (false, true, false)),
    ] {
        assert_eq!(holds(said), wanted, "{said}");
    }
}

#[test]
fn lists_of_lists_are_any_of_all() {
    let said =
        Said::Lists(vec![vec!["role:admin".into()], vec!["role:member".into(), "project_id:lab".into()]]);
    assert_eq!(said.to_string(), "role:admin or role:member and project_id:lab");
    let rule = |said| [WrittenRule { name: "add_image".into(), line: 1, said }];
    let may = |roles: &[&str], said| {
        caller(roles, Overrides::new(&rule(said)).unwrap()).allows(Action::ImagesCreate, Resource::None)
    };
    assert!(may(&["admin"], said.clone()) && may(&["member"], said.clone()) && !may(&["reader"], said));
    assert!(may(&[], Said::Lists(Vec::new())));
    let joined = Said::Lists(vec![vec!["role:a or role:b".into()]]);
    assert!(Overrides::new(&rule(joined)).is_ok(), "a role may have any name");
}

#[test]
fn what_is_wrong_is_refused_with_its_line_and_what_is_expected() {
    for (rules, wanted) in [
        (&[("get_images", "@"), ("delete_imag", "@")][..], &["line 2", "did you mean delete_image?"][..]),
        (&[("identity:make_user", "@")], &["line 1", "identity:create_user"]),
        (&[("get_image", "rule:nobody")], &["line 1", "rule:nobody", "not in the file"]),
        (&[("get_image", "rule:a"), ("a", "rule:b"), ("b", "not rule:a")], &["line 1", "refers to itself"]),
        (&[("get_image", "role:a role:b")], &["role:b", "expected \"and\""]),
        (&[("get_image", "(role:a")], &["expected \")\""]),
        (&[("get_image", "role:a)")], &["one too many"]),
        (&[("get_image", "role:a and")], &["ends where a check is expected"]),
        (&[("get_image", "or role:a")], &["\"or\" stands where"]),
        (&[("get_image", "role:")], &["is no check", "role:NAME"]),
        (&[("get_image", "is_admin:True")], &["is_admin cannot be asked about"]),
        (&[("get_image", "'public':%(visibility)s")], &["decided beside the rules"]),
        (&[("get_image", "project_id:%(member_id)s")], &["member_id is not known"]),
        (&[("cache_list", "rule:own"), ("own", "project_id:%(project_id)s")], &["line 1", "not known where"]),
        (&[("identity:get_user", "user_id:%(user_id)s")], &["not known where"]),
    ] {
        let refused = overrides(rules).unwrap_err();
        for part in wanted {
            assert!(refused.contains(part), "{refused:?} lacks {part:?}");
        }
    }
    let deep = "(".repeat(100) + "@" + &")".repeat(100);
    assert!(overrides(&[("get_image", &deep)]).unwrap_err().contains("deep"));
    assert!(Overrides::new(&[text("get_image", "@"), text("get_image", "!")]).unwrap_err().contains("twice"));
}

#[test]
fn every_name_is_found_and_no_action_has_two_rules() {
    let mut seen = BTreeSet::new();
    for name in names::all().collect::<BTreeSet<_>>() {
        match names::find(&name).expect(&name).about {
            About::Actions(actions) => {
                for action in actions {
                    assert!(seen.insert(action), "{name}: {action:?} has another rule");
                }
            }
            About::Point(_) => {}
        }
    }
    assert!(seen.contains(&Action::UsersCreate) && seen.contains(&Action::CacheDrop));
}

#[test]
fn a_rule_takes_the_place_of_roles_and_nothing_else() {
    let actor = caller(&["admin"], overrides(&[("publicize_image", "role:publisher")]).unwrap());
    assert!(!actor.allows(Action::ImagesPublish, Resource::None));
    assert!(actor.allows(Action::ImagesUpdate, Resource::None), "no rule is about it");
    let refused = actor.expect(Action::ImagesPublish, Resource::None).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert!(refused.message.contains("publicize_image") && refused.message.contains("role:publisher"));
    let publisher = caller(&["publisher"], overrides(&[("publicize_image", "role:publisher")]).unwrap());
    assert!(publisher.allows(Action::ImagesPublish, Resource::None));
    // The box's own administrator cannot be locked out.
    assert!(Actor::local_admin("lab".into()).overridden(Action::ImagesPublish, Resource::None).is_none());
}

#[test]
fn a_part_of_an_action_can_be_kept_from_callers() {
    let actor = caller(&["member"], overrides(&[("communitize_image", "role:admin")]).unwrap());
    let refused = actor.obey(Point::Communitize, Resource::None).unwrap_err();
    assert!(refused.message.contains("communitize_image"));
    actor.obey(Point::Deactivate, Resource::None).unwrap();
    caller(&["admin"], overrides(&[("communitize_image", "role:admin")]).unwrap())
        .obey(Point::Communitize, Resource::None)
        .unwrap();
}

/// A service under these rules, and a member of project `lab`.
fn under(rules: &[(&str, &str)]) -> (Service, Actor) {
    let (service, _) = testing::service();
    let service = service.with_overrides(overrides(rules).unwrap());
    let actor = testing::member("lab");
    let rights = Rights::default().under(service.overrides.clone());
    (service, Actor { rights, ..actor })
}

#[test]
fn use_cases_obey_the_rules_and_name_them() {
    let rules = [
        ("publicize_image", "role:member"),
        ("communitize_image", "!"),
        ("deactivate", "!"),
        ("modify_image", "@"),
    ];
    let (service, actor) = under(&rules);
    let image = service.create_image(&actor, NewImage::default()).unwrap();
    let set = |actor: &Actor, visibility| {
        service.update_image(actor, &image.id, vec![Change::Set(Field::Visibility(visibility))])
    };
    let refused = set(&actor, Visibility::Community).unwrap_err();
    assert!(
        refused.kind == ErrorKind::Forbidden && refused.message.contains("communitize_image"),
        "{refused:?}"
    );
    let refused = service.deactivate_image(&actor, &image.id).unwrap_err();
    assert!(refused.message.contains("deactivate (!)"), "{refused:?}");
    // What is widened reaches no other project's images.
    let stranger = Actor { rights: actor.rights.clone(), ..testing::member("den") };
    assert_eq!(set(&stranger, Visibility::Private).unwrap_err().kind, ErrorKind::NotFound);
    set(&actor, Visibility::Public).unwrap();
    assert_eq!(set(&stranger, Visibility::Private).unwrap_err().kind, ErrorKind::Forbidden);
    let (service, nobody) = under(&[("get_images", "role:x"), ("delete_image", "role:x")]);
    let refused = service.delete_image(&nobody, &image.id).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotFound, "what is not there is not found first");
}

#[test]
fn a_simulation_names_the_rule_and_a_policy_that_denies_beats_it() {
    let mut world = World::new();
    let rules = [("publicize_image", "role:member"), ("delete_image", "rule:x"), ("x", "role:x")];
    world.service = world.service.clone().with_overrides(overrides(&rules).unwrap());
    world.give_role("member");
    let ask = |action: &str| {
        let asked = Simulation {
            user: "ann".into(),
            action: action.into(),
            resource: "*".into(),
            project: Some("lab".into()),
            source: None,
        };
        world.service.simulate(&world.admin, &asked).unwrap()
    };
    let told = ask("tintype:images:publish");
    assert_eq!((told.is_allowed, told.rule.as_deref()), (true, Some("publicize_image")));
    let told = ask("ims:images:delete");
    assert!(
        !told.is_allowed && told.reason.contains("delete_image (rule:x) does not let"),
        "{}",
        told.reason
    );
    // What policies allow, a rule takes the place of as well.
    world.attach("ims-full-access", Some("lab"));
    assert!(!ask("ims:images:delete").is_allowed);
    assert_eq!((ask("ims:images:upload").is_allowed, ask("ims:images:upload").rule), (true, None));
    let deny = r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["tintype:images:publish"]}]}"#;
    world.write("No", deny).unwrap();
    world.attach("No", None);
    let told = ask("tintype:images:publish");
    assert!(!told.is_allowed && told.reason.contains("a policy denies it"), "{}", told.reason);
}
