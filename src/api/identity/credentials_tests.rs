//! Credentials that are kept for others, as clients see them. None opens anything here.

use serde_json::{Value, json};

use super::application_credentials_tests::World;
use crate::api::ApiState;
use crate::service::identity::AccessRoot;
use crate::service::testing::{rules, sealed_service, service};

impl World {
    fn pairs(&self) -> String {
        format!("/v3/users/{}/credentials/OS-EC2", self.user)
    }
}

#[tokio::test]
async fn an_ec2_pair_is_made_listed_and_deleted_and_is_a_credential_too() {
    for service in [service().0, sealed_service(rules()).0] {
        let world = World::on(crate::api::router(ApiState { service, public_url: None })).await;
        let all = world.pairs();
        let (status, made) = world.ask("POST", &all, &world.ann, json!({"tenant_id": world.project})).await;
        assert_eq!(status, 201, "{made}");
        let pair = &made["credential"];
        let access = pair["access"].as_str().unwrap();
        assert_eq!((access.len(), pair["secret"].as_str().unwrap().len()), (32, 32));
        assert_eq!((&pair["trust_id"], &pair["tenant_id"]), (&Value::Null, &json!(world.project)));
        let one = format!("{all}/{access}");
        let (_, listed) = world.ask("GET", &all, &world.ann, Value::Null).await;
        assert_eq!(listed["credentials"], json!([pair]));
        assert_eq!(world.ask("GET", &one, &world.admin, Value::Null).await.1["credential"], *pair);
        let (_, credentials) = world.ask("GET", "/v3/credentials?type=ec2", &world.ann, Value::Null).await;
        let credential = &credentials["credentials"][0];
        let blob: Value = serde_json::from_str(credential["blob"].as_str().unwrap()).unwrap();
        assert_eq!(blob, json!({"access": access, "secret": pair["secret"], "trust_id": null}));
        assert_eq!(credential["id"].as_str().unwrap().len(), 64);
        assert_eq!(world.ask("DELETE", &one, &world.ann, Value::Null).await.0, 204);
        for method in ["GET", "DELETE"] {
            assert_eq!(world.ask(method, &one, &world.ann, Value::Null).await.0, 404, "{method}");
        }
        // There is nowhere to sign in with one.
        for path in ["/v3/ec2tokens", "/v3/s3tokens"] {
            let body = json!({"credentials": {"access": access}});
            assert_eq!(world.ask("POST", path, &world.admin, body).await.0, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn credentials_are_kept_changed_and_told_to_their_user_alone() {
    let world = World::new().await;
    let totp = json!({"credential": {"type": "totp", "blob": "SEED", "user_id": world.user}});
    let (status, made) = world.ask("POST", "/v3/credentials", &world.ann, totp).await;
    assert_eq!(status, 201, "{made}");
    let one = format!("/v3/credentials/{}", made["credential"]["id"].as_str().unwrap());
    assert_eq!(made["credential"]["project_id"], Value::Null);
    let change = json!({"credential": {"blob": "OTHER", "project_id": world.project}});
    let (status, changed) = world.ask("PATCH", &one, &world.ann, change).await;
    assert_eq!((status, &changed["credential"]["blob"]), (200, &json!("OTHER")));
    assert_eq!(world.ask("GET", &one, &world.admin, Value::Null).await.1, changed);
    // Somebody else.
    let user = json!({"user": {"name": "eve", "password": "eve-pw"}});
    let eve = world.ask("POST", "/v3/users", &world.admin, user).await.1["user"]["id"].clone();
    let token = super::tests::token_of(&world.router, "eve", "eve-pw", json!("unscoped")).await;
    for method in ["GET", "PATCH", "DELETE"] {
        let body = if method == "PATCH" { json!({"credential": {}}) } else { Value::Null };
        assert_eq!(world.ask(method, &one, &token, body).await.0, 403, "{method}");
    }
    assert_eq!(world.ask("GET", "/v3/credentials", &token, Value::Null).await.1["credentials"], json!([]));
    let foreign = json!({"credential": {"type": "totp", "blob": "x", "user_id": world.user}});
    assert_eq!(world.ask("POST", "/v3/credentials", &token, foreign).await.0, 403);
    assert_eq!(world.ask("GET", &world.pairs(), &token, Value::Null).await.0, 403);
    // Not for a project where the user is nothing.
    let pair = json!({"tenant_id": world.project});
    let own = format!("/v3/users/{}/credentials/OS-EC2", eve.as_str().unwrap());
    assert_eq!(world.ask("POST", &own, &token, pair).await.0, 404);
    assert_eq!(world.ask("DELETE", &one, &world.ann, Value::Null).await.0, 204);
    assert_eq!(world.ask("GET", &one, &world.admin, Value::Null).await.0, 404);
}

#[tokio::test]
async fn bad_credentials_are_refused_and_a_pair_keeps_its_access_key() {
    let world = World::new().await;
    let ec2 = |access: &str| {
        let blob = json!({"access": access, "secret": "s"}).to_string();
        json!({"credential": {"type": "ec2", "blob": blob, "project_id": world.project}})
    };
    for (credential, expected) in [
        (json!({"type": "other", "blob": "x"}), "is not kept here"),
        (json!({"type": "totp"}), "'blob' is a required property"),
        (json!({"type": "totp", "blob": ""}), "blob"),
        (json!({"type": "totp", "blob": "x".repeat(20_000)}), "bytes"),
        (json!({"type": "ec2", "blob": "{}"}), "project_id"),
        (json!({"type": "ec2", "blob": "{}", "project_id": world.project}), "access and secret"),
        (json!({"type": "cert", "blob": "x", "colour": "red"}), "'colour'"),
    ] {
        let (status, told) =
            world.ask("POST", "/v3/credentials", &world.ann, json!({ "credential": credential })).await;
        assert_eq!(status, 400, "{told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    let (_, made) = world.ask("POST", "/v3/credentials", &world.ann, ec2("AK")).await;
    assert_eq!(world.ask("POST", "/v3/credentials", &world.ann, ec2("AK")).await.0, 409);
    let one = format!("/v3/credentials/{}", made["credential"]["id"].as_str().unwrap());
    let other = json!({"credential": {"blob": {"access": "BK", "secret": "s"}}});
    assert_eq!(world.ask("PATCH", &one, &world.ann, other).await.0, 400);
    let same = json!({"credential": {"blob": {"access": "AK", "secret": "t"}}});
    assert_eq!(world.ask("PATCH", &one, &world.ann, same).await.0, 200);
    // With the project they go.
    let project = format!("/v3/projects/{}", world.project);
    assert_eq!(world.ask("DELETE", &project, &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.ask("GET", &one, &world.admin, Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_application_credential_neither_sees_nor_makes_any() {
    let world = World::new().await;
    let (_, made) = world.make(&world.ann, json!({"name": "ci", "unrestricted": true})).await;
    let (_, token, _) = world.enter(json!({"id": made["id"], "secret": made["secret"]})).await;
    let pairs = world.pairs();
    for (method, path) in [
        ("GET", "/v3/credentials"),
        ("POST", "/v3/credentials"),
        ("GET", pairs.as_str()),
        ("POST", pairs.as_str()),
    ] {
        let body = match (method, path) {
            ("GET", _) => Value::Null,
            (_, "/v3/credentials") => json!({"credential": {"type": "totp", "blob": "x"}}),
            _ => json!({"tenant_id": world.project}),
        };
        let (status, told) = world.ask(method, path, &token, body).await;
        assert_eq!(status, 403, "{method} {path} {told}");
    }
}

#[tokio::test]
async fn what_was_sealed_under_a_lost_root_is_not_told() {
    let service = service().0;
    let router = |service| crate::api::router(ApiState { service, public_url: None });
    let world = World::on(router(service.clone())).await;
    let totp = json!({"credential": {"type": "totp", "blob": "SEED"}});
    assert_eq!(world.ask("POST", "/v3/credentials", &world.ann, totp).await.0, 201);
    let lost = service.with_access_root(AccessRoot::generate(&crate::base::OsEntropy));
    let world = World { router: router(lost), ..world };
    let (_, listed) = world.ask("GET", "/v3/credentials", &world.ann, Value::Null).await;
    assert_eq!(listed["credentials"][0]["blob"], Value::Null);
}
