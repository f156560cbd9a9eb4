//! Roles that bring others along, as clients see them.

use serde_json::{Value, json};

use super::application_credentials_tests::World;
use super::tests::{in_project, token_of};

impl World {
    async fn new_role(&self, name: &str) -> String {
        let made = self.ask("POST", "/v3/roles", &self.admin, json!({"role": {"name": name}})).await;
        made.1["role"]["id"].as_str().unwrap().to_owned()
    }

    async fn roles_of_token(&self) -> Vec<String> {
        let token = token_of(&self.router, "ann", "ann-pw", in_project("lab")).await;
        let (_, told) = self.ask("GET", "/v3/auth/tokens", &token, Value::Null).await;
        let roles = told["token"]["roles"].as_array().unwrap();
        roles.iter().map(|role| role["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_role_brings_others_along_in_tokens_rights_and_assignments() {
    let world = World::new().await;
    let (ops, watch) = (world.new_role("ops").await, world.new_role("watch").await);
    let member = world.role("member").await;
    let rule = format!("/v3/roles/{ops}/implies/{watch}");
    assert_eq!(world.ask("HEAD", &rule, &world.admin, Value::Null).await.0, 404);
    let (status, made) = world.ask("PUT", &rule, &world.admin, Value::Null).await;
    assert_eq!(status, 201);
    assert_eq!(made["role_inference"]["prior_role"]["name"], "ops");
    assert_eq!(made["role_inference"]["implies"]["name"], "watch");
    assert_eq!(world.ask("PUT", &rule, &world.admin, Value::Null).await, (201, made.clone()));
    assert_eq!(world.ask("GET", &rule, &world.admin, Value::Null).await, (200, made));
    assert_eq!(world.ask("HEAD", &rule, &world.admin, Value::Null).await.0, 204);
    // Round in a circle does no harm.
    let back = format!("/v3/roles/{watch}/implies/{ops}");
    assert_eq!(world.ask("PUT", &back, &world.admin, Value::Null).await.0, 201);
    let on = format!("/v3/roles/{watch}/implies/{member}");
    assert_eq!(world.ask("PUT", &on, &world.admin, Value::Null).await.0, 201);
    let (_, one) = world.ask("GET", &format!("/v3/roles/{watch}/implies"), &world.admin, Value::Null).await;
    assert_eq!(one["role_inference"]["implies"].as_array().unwrap().len(), 2);
    let (_, all) = world.ask("GET", "/v3/role_inferences", &world.admin, Value::Null).await;
    let priors: Vec<&str> = all["role_inferences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["prior_role"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(priors, ["admin", "manager", "member", "ops", "watch"]);
    world.grant("PUT", "ops").await;
    world.grant("DELETE", "member").await;
    assert_eq!(world.roles_of_token().await, ["member", "ops", "reader", "watch"]);
    let query = format!("/v3/role_assignments?user.id={}&effective&include_names", world.user);
    let (_, held) = world.ask("GET", &query, &world.admin, Value::Null).await;
    assert_eq!(held["role_assignments"].as_array().unwrap().len(), 4);
    // What it is worth counts.
    let ann = world.sign_in().await;
    assert_eq!(world.ask("POST", "/v2/images", &ann, json!({"name": "x"})).await.0, 201);
    assert_eq!(world.ask("DELETE", &on, &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.ask("DELETE", &on, &world.admin, Value::Null).await.0, 404);
    assert_eq!(world.ask("POST", "/v2/images", &ann, json!({"name": "x"})).await.0, 403);
    // A role that is deleted leaves no rule behind.
    assert_eq!(world.ask("DELETE", &format!("/v3/roles/{watch}"), &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.roles_of_token().await, ["ops"]);
    let (_, none) = world.ask("GET", &format!("/v3/roles/{ops}/implies"), &world.admin, Value::Null).await;
    assert_eq!(none["role_inference"]["implies"], json!([]));
}

#[tokio::test]
async fn built_in_rules_stay_and_nothing_implies_admin() {
    let world = World::new().await;
    let (ops, admin) = (world.new_role("ops").await, world.role("admin").await);
    let (member, reader) = (world.role("member").await, world.role("reader").await);
    for (method, prior, implied, expected) in [
        ("PUT", &ops, &admin, 403),
        ("PUT", &ops, &ops, 403),
        ("PUT", &ops, &"nothing".to_owned(), 404),
        ("PUT", &"nothing".to_owned(), &ops, 404),
        ("PUT", &member, &reader, 201),
        ("DELETE", &member, &reader, 403),
        ("DELETE", &ops, &reader, 404),
        ("GET", &member, &reader, 200),
        ("GET", &member, &ops, 404),
    ] {
        let path = format!("/v3/roles/{prior}/implies/{implied}");
        let (status, told) = world.ask(method, &path, &world.admin, Value::Null).await;
        assert_eq!(status, expected, "{method} {path} {told}");
        assert_eq!(world.ask(method, &path, &world.ann, Value::Null).await.0, 403, "{method} {path}");
    }
    // What a member's role brings along is as it was.
    assert_eq!(world.roles_of_token().await, ["member", "reader"]);
}
