//! Records of the Identity API as they are described: tokens, and who there is.

use serde_json::Value;

use super::identity::{links, sent};
use super::schema::{
    closed, either, flag, list, may, must, null, nullable, open, reference, text, time, word,
};

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let error =
        open([must("code", super::schema::integer()), must("message", text()), must("title", text())]);
    vec![
        ("IdentityRefusal", closed([must("error", error)])),
        ("IdentityVersion", version()),
        ("Token", token()),
        ("Catalog", catalog()),
        ("SignIn", sign_in()),
        ("User", user()),
        ("Group", group()),
        ("Project", project()),
        ("Domain", domain()),
        ("Role", role()),
        ("RoleInference", inference()),
        ("ApplicationCredential", application_credential()),
        ("AccessRule", access_rule()),
    ]
}

fn version() -> Value {
    let media = closed([must("base", text()), must("type", text())]);
    closed([
        must("id", text()),
        must("status", text()),
        must("updated", time()),
        must("links", list(closed([must("rel", text()), must("href", text())]))),
        must("media-types", list(media)),
    ])
}

fn named() -> Value {
    closed([must("id", text()), must("name", text())])
}

fn token() -> Value {
    let user = closed([
        must("domain", named()),
        must("id", text()),
        must("name", text()),
        must("password_expires_at", nullable(time())),
    ]);
    let project = closed([must("domain", named()), must("id", text()), must("name", text())]);
    closed([
        must("methods", list(text())),
        must("user", user),
        must("audit_ids", list(text())),
        must("expires_at", time()),
        must("issued_at", time()),
        may(
            "application_credential",
            open([must("id", text()), must("name", text()), must("restricted", flag())]),
        ),
        may("project", project),
        may("is_domain", flag()),
        may("domain", named()),
        may("system", closed([must("all", flag())])),
        may("roles", list(named())),
        may("catalog", reference("Catalog")),
    ])
}

fn catalog() -> Value {
    let endpoint = closed([
        must("id", text()),
        must("interface", text()),
        must("region_id", nullable(text())),
        must("region", nullable(text())),
        must("url", text()),
    ]);
    list(closed([
        must("id", text()),
        must("type", text()),
        must("name", text()),
        must("endpoints", list(endpoint)),
    ]))
}

fn sign_in() -> Value {
    let domain = || open([may("id", text()), may("name", text())]);
    let user = || open([may("id", text()), may("name", text()), may("domain", domain())]);
    let with_password =
        open([may("id", text()), may("name", text()), may("domain", domain()), must("password", text())]);
    let credential =
        open([may("id", text()), may("name", text()), may("user", user()), must("secret", text())]);
    let identity = open([
        must("methods", list(word(&["password", "token", "application_credential"]))),
        may("password", open([must("user", with_password)])),
        may("token", open([must("id", text())])),
        may("application_credential", credential),
    ]);
    let project = open([may("id", text()), may("name", text()), may("domain", domain())]);
    let scope = either([
        open([may("project", project), may("domain", domain()), may("system", open([may("all", flag())]))]),
        word(&["unscoped"]),
    ]);
    sent("auth", open([must("identity", identity), may("scope", scope)]))
}

fn user() -> Value {
    open([
        must("id", text()),
        must("name", text()),
        must("domain_id", text()),
        must("enabled", flag()),
        must("password_expires_at", nullable(time())),
        must("options", open([])),
        must("links", links()),
        may("default_project_id", text()),
    ])
}

fn group() -> Value {
    open([
        must("id", text()),
        must("name", text()),
        must("domain_id", text()),
        must("description", nullable(text())),
        must("links", links()),
    ])
}

fn project() -> Value {
    open([
        must("id", text()),
        must("name", text()),
        must("domain_id", text()),
        must("description", nullable(text())),
        must("enabled", flag()),
        must("parent_id", text()),
        must("is_domain", flag()),
        must("tags", list(text())),
        must("options", open([])),
        must("links", links()),
    ])
}

fn domain() -> Value {
    open([
        must("id", text()),
        must("name", text()),
        must("description", nullable(text())),
        must("enabled", flag()),
        must("tags", list(text())),
        must("options", open([])),
        must("links", links()),
    ])
}

fn role() -> Value {
    open([
        must("id", text()),
        must("name", text()),
        must("domain_id", nullable(text())),
        must("description", nullable(text())),
        must("options", open([])),
        must("links", links()),
    ])
}

/// A role within another thing.
pub(super) fn short_role() -> Value {
    closed([must("id", text()), must("name", text()), must("links", links())])
}

fn inference() -> Value {
    closed([must("prior_role", short_role()), must("implies", list(short_role()))])
}

fn access_rule() -> Value {
    closed([
        must("id", text()),
        must("service", text()),
        must("method", text()),
        must("path", text()),
        may("links", links()),
    ])
}

fn application_credential() -> Value {
    closed([
        must("id", text()),
        must("name", text()),
        must("description", nullable(text())),
        must("user_id", text()),
        must("project_id", text()),
        must("system", null()),
        must("expires_at", nullable(time())),
        must("unrestricted", flag()),
        must("roles", list(reference("Role"))),
        must("links", links()),
        may("access_rules", list(reference("AccessRule"))),
        may("secret", text()),
    ])
}
