//! The Identity API as it is described: signing in, and who there is. What it registers is in
//! [`registry`](super::registry), what it prints of people and projects in [`identity_records`](super::identity_records).
//!
//! Paths are those below `/v3`; the document has each below `/identity/v3` too.

use serde_json::{Value, json};

use super::identity_records::short_role;
use super::operation::{Api, Operation, delete, get, head, patch, post, put};
use super::schema::{
    any, closed, either, flag, list, may, must, name, null, nullable, open, reference, text, time, word,
};

/// The protocol.
pub(super) const API: Api = Api {
    tag: "Identity",
    about: "OpenStack Identity API v3, as far as clients of an image service need it.",
    refusal,
    refusals: &[400, 401, 403, 404, 408, 413, 503],
    refusals_of_changes: &[409],
};

fn refusal() -> Value {
    json!({"application/json": {"schema": reference("IdentityRefusal")}})
}

/// A link to the thing itself.
pub(super) fn links() -> Value {
    closed([must("self", text())])
}

/// A collection under its name.
pub(super) fn collection(of: &'static str, item: Value) -> Value {
    let links = closed([must("next", null()), must("self", text()), must("previous", null())]);
    closed([must(of, list(item)), must("links", links)])
}

/// One thing under its name.
pub(super) fn one(of: &'static str, item: Value) -> Value {
    closed([must(of, item)])
}

/// What is sent: one thing under its name, and whatever else.
pub(super) fn sent(of: &'static str, item: Value) -> Value {
    open([must(of, item)])
}

/// The operations below a version's root.
pub(super) fn operations() -> Vec<Operation> {
    let all =
        [tokens(), users(), application_credentials(), groups(), projects_and_domains(), roles(), grants()];
    all.into_iter().flatten().chain(super::registry::operations()).collect()
}

/// The operations that stand at one path only.
pub(super) fn beside() -> Vec<Operation> {
    let versions = || one("versions", closed([must("values", list(reference("IdentityVersion")))]));
    let shown = || one("version", reference("IdentityVersion"));
    let wish = sent("auth", open([must("identity", open([must("methods", list(word(&["token"])))]))]));
    let made = closed([
        must("access", text()),
        must("secret", text()),
        must("securitytoken", text()),
        must("expires_at", time()),
    ]);
    let mut all = vec![
        post("/v3.0/OS-CREDENTIAL/securitytokens", "Make a temporary access key out of a token")
            .takes(wish)
            .gives(201, one("credential", made)),
    ];
    for path in ["/identity", "/identity/"] {
        all.push(get(path, "List the versions of the Identity API").public().gives(300, versions()));
    }
    for path in ["/v3", "/v3/", "/identity/v3", "/identity/v3/"] {
        all.push(get(path, "Show version 3 of the Identity API").public().gives(200, shown()));
    }
    all
}

fn tokens() -> Vec<Operation> {
    let token = || one("token", reference("Token"));
    let self_link = || must("links", links());
    vec![
        post("/auth/tokens", "Sign in: make a token")
            .public()
            .query("nocatalog", text())
            .takes(reference("SignIn"))
            .refuses(&[401, 403, 429])
            .gives(201, token()),
        get("/auth/tokens", "Look at a token")
            .needed_header("X-Subject-Token", text())
            .header("OpenStack-Identity-Access-Rules", text())
            .query("nocatalog", text())
            .gives(200, token()),
        delete("/auth/tokens", "Revoke a token").needed_header("X-Subject-Token", text()).gives_nothing(204),
        get("/auth/catalog", "Show the catalog of services")
            .gives(200, closed([must("catalog", reference("Catalog")), self_link()])),
        get("/auth/projects", "List the projects that the caller can act in")
            .gives(200, collection("projects", reference("Project"))),
        get("/auth/domains", "List the domains that the caller can act in")
            .gives(200, collection("domains", reference("Domain"))),
        get("/auth/system", "Tell whether the caller can act on the whole system")
            .gives(200, closed([must("system", list(closed([must("all", flag())]))), self_link()])),
    ]
}

fn users() -> Vec<Operation> {
    let user = || one("user", reference("User"));
    let change = |named| {
        let members = [
            may("domain_id", nullable(text())),
            may("enabled", nullable(flag())),
            may("default_project_id", nullable(text())),
            may("password", nullable(text())),
        ];
        sent("user", open([named].into_iter().chain(members)))
    };
    let passwords = open([must("original_password", text()), must("password", text())]);
    vec![
        get("/users", "List the users")
            .queries(&["name", "domain_id", "enabled"])
            .gives(200, collection("users", reference("User"))),
        post("/users", "Make a user").takes(change(must("name", name()))).gives(201, user()),
        get("/users/{user}", "Show a user").gives(200, user()),
        patch("/users/{user}", "Change a user").takes(change(may("name", name()))).gives(200, user()),
        delete("/users/{user}", "Delete a user").gives_nothing(204),
        post("/users/{user}/password", "Change one's own password")
            .public()
            .takes(sent("user", passwords))
            .refuses(&[401, 403, 429])
            .gives_nothing(204),
        get("/users/{user}/projects", "List the projects of a user")
            .queries(&["name", "enabled"])
            .gives(200, collection("projects", reference("Project"))),
        get("/users/{user}/groups", "List the groups of a user")
            .queries(&["name"])
            .gives(200, collection("groups", reference("Group"))),
    ]
}

fn application_credentials() -> Vec<Operation> {
    let credential = || one("application_credential", reference("ApplicationCredential"));
    let rule = either([
        open([must("id", text())]),
        closed([must("service", text()), must("method", text()), must("path", text())]),
    ]);
    let new = open([
        must("name", name()),
        may("description", nullable(text())),
        may("secret", nullable(text())),
        may("expires_at", nullable(time())),
        may("roles", list(either([open([must("id", text())]), open([must("name", text())])]))),
        may("unrestricted", flag()),
        may("access_rules", list(rule)),
    ]);
    let (credentials, rules) = ("/users/{user}/application_credentials", "/users/{user}/access_rules");
    let at = |collection: &str, name: &str| format!("{collection}/{{{name}}}");
    vec![
        get(credentials, "List a user's application credentials")
            .queries(&["name"])
            .gives(200, collection("application_credentials", reference("ApplicationCredential"))),
        post(credentials, "Make an application credential")
            .takes(sent("application_credential", new))
            .gives(201, credential()),
        get(&at(credentials, "credential"), "Show an application credential").gives(200, credential()),
        delete(&at(credentials, "credential"), "Delete an application credential").gives_nothing(204),
        get(rules, "List a user's access rules")
            .gives(200, collection("access_rules", reference("AccessRule"))),
        get(&at(rules, "rule"), "Show an access rule")
            .gives(200, one("access_rule", reference("AccessRule"))),
        delete(&at(rules, "rule"), "Delete an access rule").gives_nothing(204),
    ]
}

fn groups() -> Vec<Operation> {
    let group = || one("group", reference("Group"));
    let change = |named| {
        let members = [may("domain_id", nullable(text())), may("description", nullable(text()))];
        sent("group", open([named].into_iter().chain(members)))
    };
    vec![
        get("/groups", "List the groups")
            .queries(&["name", "domain_id"])
            .gives(200, collection("groups", reference("Group"))),
        post("/groups", "Make a group").takes(change(must("name", name()))).gives(201, group()),
        get("/groups/{group}", "Show a group").gives(200, group()),
        patch("/groups/{group}", "Change a group").takes(change(may("name", name()))).gives(200, group()),
        delete("/groups/{group}", "Delete a group").gives_nothing(204),
        get("/groups/{group}/users", "List the users of a group")
            .queries(&["name", "enabled"])
            .gives(200, collection("users", reference("User"))),
        put("/groups/{group}/users/{user}", "Put a user into a group").gives_nothing(204),
        head("/groups/{group}/users/{user}", "Tell whether a user is in a group").gives_nothing(204),
        get("/groups/{group}/users/{user}", "Tell whether a user is in a group").gives_nothing(204),
        delete("/groups/{group}/users/{user}", "Take a user out of a group").gives_nothing(204),
    ]
}

fn projects_and_domains() -> Vec<Operation> {
    let (project, domain) = (|| one("project", reference("Project")), || one("domain", reference("Domain")));
    let common = || [may("description", nullable(text())), may("enabled", nullable(flag()))];
    let new_project = |named| {
        let members = [
            may("domain_id", nullable(text())),
            may("parent_id", nullable(text())),
            may("tags", list(text())),
        ];
        sent("project", open([named].into_iter().chain(common()).chain(members)))
    };
    let new_domain = |named| sent("domain", open([named].into_iter().chain(common())));
    vec![
        get("/projects", "List the projects")
            .queries(&["name", "domain_id", "enabled"])
            .gives(200, collection("projects", reference("Project"))),
        post("/projects", "Make a project").takes(new_project(must("name", name()))).gives(201, project()),
        get("/projects/{project}", "Show a project").gives(200, project()),
        patch("/projects/{project}", "Change a project")
            .takes(new_project(may("name", name())))
            .gives(200, project()),
        delete("/projects/{project}", "Delete a project").gives_nothing(204),
        get("/domains", "List the domains")
            .queries(&["name", "enabled"])
            .gives(200, collection("domains", reference("Domain"))),
        post("/domains", "Make a domain").takes(new_domain(must("name", name()))).gives(201, domain()),
        get("/domains/{domain}", "Show a domain").gives(200, domain()),
        patch("/domains/{domain}", "Change a domain")
            .takes(new_domain(may("name", name())))
            .gives(200, domain()),
        delete("/domains/{domain}", "Delete a domain").gives_nothing(204),
    ]
}

fn roles() -> Vec<Operation> {
    let role = || one("role", reference("Role"));
    let change = |named| sent("role", open([named, may("description", nullable(text()))]));
    let both = || {
        let pair = closed([must("prior_role", short_role()), must("implies", short_role())]);
        closed([must("role_inference", pair), must("links", links())])
    };
    let implied = "/roles/{role}/implies/{implied}";
    vec![
        get("/roles", "List the roles").queries(&["name"]).gives(200, collection("roles", reference("Role"))),
        post("/roles", "Make a role").takes(change(must("name", name()))).gives(201, role()),
        get("/roles/{role}", "Show a role").gives(200, role()),
        patch("/roles/{role}", "Change a role").takes(change(may("name", name()))).gives(200, role()),
        delete("/roles/{role}", "Delete a role").gives_nothing(204),
        get("/roles/{role}/implies", "List the roles that a role implies")
            .gives(200, closed([must("role_inference", reference("RoleInference")), must("links", links())])),
        put(implied, "Let a role imply another").gives(201, both()),
        get(implied, "Show that a role implies another").gives(200, both()),
        head(implied, "Tell whether a role implies another").gives_nothing(204),
        delete(implied, "Let a role no longer imply another").gives_nothing(204),
        get("/role_inferences", "List all roles that imply others")
            .gives(200, one("role_inferences", list(reference("RoleInference")))),
    ]
}

fn grants() -> Vec<Operation> {
    let assignment =
        open([must("links", open([must("assignment", text())])), must("scope", any()), must("role", any())]);
    let mut all = vec![
        get("/role_assignments", "List who has which role where")
            .queries(&[
                "user.id",
                "group.id",
                "role.id",
                "scope.project.id",
                "scope.domain.id",
                "scope.system",
            ])
            .queries(&["effective", "include_names"])
            .gives(200, collection("role_assignments", assignment)),
    ];
    for scope in ["/projects/{project}", "/domains/{domain}", "/system"] {
        for holder in ["users/{user}", "groups/{group}"] {
            let (held, one) = (format!("{scope}/{holder}/roles"), format!("{scope}/{holder}/roles/{{role}}"));
            all.extend([
                get(&held, "List the roles that somebody has somewhere")
                    .gives(200, collection("roles", reference("Role"))),
                put(&one, "Grant a role").gives_nothing(204),
                head(&one, "Tell whether somebody has a role").gives_nothing(204),
                delete(&one, "Withdraw a role").gives_nothing(204),
            ]);
        }
    }
    all
}
