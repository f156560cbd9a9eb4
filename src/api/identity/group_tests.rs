//! Groups, what they are given, and what their members' tokens are worth, as clients see it.

use serde_json::{Value, json};

use super::tests::{admin, ann, body, created, in_project, listed, router, send, sign_in, status, token_of};

#[tokio::test]
async fn a_group_is_made_changed_filled_and_deleted() {
    let router = router();
    let admin = admin(&router).await;
    let (user, _) = ann(&router, &admin).await;
    let new = json!({"group": {"name": "ops", "colour": "red"}});
    let group = created(&router, &admin, "/v3/groups", new.clone()).await;
    assert_eq!((&group["domain_id"], &group["description"]), (&json!("default"), &json!("")));
    assert_eq!(send(&router, "POST", "/v3/groups", &admin, new).await.status().as_u16(), 409);
    let path = format!("/v3/groups/{}", group["id"].as_str().unwrap());
    assert_eq!(group["links"]["self"], format!("http://box:9292{path}"));
    let change = json!({"group": {"description": "operators"}});
    let changed = body(send(&router, "PATCH", &path, &admin, change).await).await;
    assert_eq!(
        (&changed["group"]["description"], &changed["group"]["colour"]),
        (&json!("operators"), &json!("red"))
    );
    assert_eq!(listed(&router, &admin, "/v3/groups?name=ops&domain_id=default").await.len(), 1);
    let member = format!("{path}/users/{user}");
    for (method, expected) in [("HEAD", 404), ("PUT", 204), ("PUT", 204), ("HEAD", 204), ("GET", 204)] {
        assert_eq!(status(&router, method, &member, &admin).await, expected, "{method}");
    }
    assert_eq!(listed(&router, &admin, &format!("{path}/users")).await[0]["name"], "ann");
    let own = token_of(&router, "ann", "pw", in_project("demo")).await;
    assert_eq!(listed(&router, &own, &format!("/v3/users/{user}/groups")).await[0]["name"], "ops");
    assert_eq!(status(&router, "PUT", &format!("{path}/users/nobody"), &admin).await, 404);
    for expected in [204, 404] {
        assert_eq!(status(&router, "DELETE", &member, &admin).await, expected);
    }
    for expected in [204, 404] {
        assert_eq!(status(&router, "DELETE", &path, &admin).await, expected);
    }
}

#[tokio::test]
async fn roles_of_groups_are_given_listed_and_count_in_tokens() {
    let router = router();
    let admin = admin(&router).await;
    let (user, _) = ann(&router, &admin).await;
    let group = created(&router, &admin, "/v3/groups", json!({"group": {"name": "ops"}})).await["id"].clone();
    let group = group.as_str().unwrap();
    let den =
        created(&router, &admin, "/v3/projects", json!({"project": {"name": "den"}})).await["id"].clone();
    let den = den.as_str().unwrap();
    let role = listed(&router, &admin, "/v3/roles?name=member").await[0]["id"].clone();
    let role = role.as_str().unwrap();
    status(&router, "PUT", &format!("/v3/groups/{group}/users/{user}"), &admin).await;
    for scope in [format!("projects/{den}"), "domains/default".to_owned(), "system".to_owned()] {
        let grant = format!("/v3/{scope}/groups/{group}/roles/{role}");
        for (method, expected) in [("HEAD", 404), ("DELETE", 404), ("PUT", 204), ("PUT", 204), ("HEAD", 204)]
        {
            assert_eq!(status(&router, method, &grant, &admin).await, expected, "{method} {grant}");
        }
        let given = listed(&router, &admin, &format!("/v3/{scope}/groups/{group}/roles")).await;
        assert_eq!(given[0]["name"], "member", "{scope}");
    }
    let asked = sign_in("ann", "pw", in_project("den"));
    let token = body(send(&router, "POST", "/v3/auth/tokens", "", asked).await).await;
    let roles: Vec<_> =
        token["token"]["roles"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(roles, ["member", "reader"]);
    // The group stands for itself, and for its members where that is asked.
    let plain =
        listed(&router, &admin, &format!("/v3/role_assignments?group.id={group}&include_names")).await;
    assert_eq!(plain.len(), 3);
    assert!(plain.iter().all(|held| held["group"]["name"] == "ops" && held.get("user").is_none()));
    let direct = listed(&router, &admin, &format!("/v3/role_assignments?user.id={user}")).await;
    assert_eq!(direct.len(), 1);
    let path = format!("/v3/role_assignments?user.id={user}&scope.project.id={den}&effective");
    let held = listed(&router, &admin, &path).await;
    assert_eq!(held.len(), 2);
    assert_eq!(held[0]["user"], json!({"id": user}));
    let links = &held[0]["links"];
    assert!(links["assignment"].as_str().unwrap().contains(&format!("/groups/{group}/roles/")), "{links}");
    assert!(links["membership"].as_str().unwrap().ends_with(&format!("/groups/{group}/users/{user}")));
    let both = format!("/v3/role_assignments?group.id={group}&effective");
    assert_eq!(status(&router, "GET", &both, &admin).await, 400);
    status(&router, "DELETE", &format!("/v3/projects/{den}/groups/{group}/roles/{role}"), &admin).await;
    let asked = sign_in("ann", "pw", in_project("den"));
    assert_eq!(send(&router, "POST", "/v3/auth/tokens", "", asked).await.status().as_u16(), 401);
}

#[tokio::test]
async fn a_policy_alone_opens_a_project_and_shows_as_a_role() {
    let router = router();
    let admin = admin(&router).await;
    let (user, _) = ann(&router, &admin).await;
    created(&router, &admin, "/v3/projects", json!({"project": {"name": "den"}})).await;
    let group = created(&router, &admin, "/v3/groups", json!({"group": {"name": "ops"}})).await["id"].clone();
    let member = format!("/v3/groups/{}/users/{user}", group.as_str().unwrap());
    status(&router, "PUT", &member, &admin).await;
    let place = json!({"group": "ops", "project": "den"});
    let path = "/tintype/v1/policies/IMS%20ReadOnlyAccess";
    let attached = body(send(&router, "POST", &format!("{path}/attach"), &admin, place.clone()).await).await;
    assert_eq!((&attached["policy"], &attached["project"]), (&json!("IMS ReadOnlyAccess"), &json!("den")));
    let asked = sign_in("ann", "pw", in_project("den"));
    let response = send(&router, "POST", "/v3/auth/tokens", "", asked).await;
    let token = response.headers()["x-subject-token"].to_str().unwrap().to_owned();
    assert_eq!(body(response).await["token"]["roles"][0]["name"], "reader");
    assert_eq!(status(&router, "GET", "/v2/images", &token).await, 200);
    assert_eq!(send(&router, "POST", "/v2/images", &token, json!({})).await.status().as_u16(), 403);
    let open = listed(&router, &token, "/v3/auth/projects").await;
    let mut names: Vec<_> = open.iter().map(|project| project["name"].as_str().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["demo", "den"]);
    send(&router, "POST", &format!("{path}/detach"), &admin, place).await;
    assert_eq!(send(&router, "GET", "/v2/images", &token, Value::Null).await.status().as_u16(), 401);
}
