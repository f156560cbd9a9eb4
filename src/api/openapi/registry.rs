//! What the Identity API registers, as it is described: services, endpoints, regions, credentials and limits.

use serde_json::Value;

use super::identity::{collection, links, one, sent};
use super::operation::{Operation, delete, get, patch, post};
use super::schema::{
    closed, either, flag, list, may, must, name, null, nullable, open, reference, text, word,
};
use crate::model::quota::{Limit, Resource};

/// The schemas that operations refer to.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Service", service()),
        ("Endpoint", endpoint()),
        ("Region", region()),
        ("Credential", credential()),
        ("Ec2Pair", pair()),
        ("RegisteredLimit", limit([must("default_limit", amount())])),
        (
            "ProjectLimit",
            limit([must("resource_limit", amount()), must("project_id", text()), must("domain_id", null())]),
        ),
    ]
}

/// The operations below a version's root.
pub(super) fn operations() -> Vec<Operation> {
    let all = [services(), endpoints(), regions(), credentials(), limits()];
    all.into_iter().flatten().collect()
}

fn service() -> Value {
    open([
        must("id", text()),
        must("type", text()),
        must("enabled", flag()),
        must("links", links()),
        may("name", nullable(text())),
        may("description", nullable(text())),
    ])
}

fn endpoint() -> Value {
    open([
        must("id", text()),
        must("interface", word(&["public", "internal", "admin"])),
        must("region_id", nullable(text())),
        must("region", nullable(text())),
        must("service_id", text()),
        must("url", text()),
        must("enabled", flag()),
        must("links", links()),
    ])
}

fn region() -> Value {
    open([
        must("id", text()),
        must("description", text()),
        must("parent_region_id", nullable(text())),
        must("links", links()),
    ])
}

fn credential() -> Value {
    closed([
        must("id", text()),
        must("type", text()),
        must("user_id", text()),
        must("project_id", nullable(text())),
        must("blob", nullable(text())),
        must("links", links()),
    ])
}

fn pair() -> Value {
    closed([
        must("user_id", text()),
        must("tenant_id", nullable(text())),
        must("access", text()),
        must("secret", text()),
        must("trust_id", null()),
        must("links", links()),
    ])
}

fn amount() -> Value {
    super::schema::between(-1, i64::from(Limit::MAX))
}

fn resource() -> Value {
    word(&Resource::ALL.map(Resource::as_str))
}

fn limit(own: impl IntoIterator<Item = super::schema::Member>) -> Value {
    let common = [
        must("id", text()),
        must("service_id", nullable(text())),
        must("region_id", nullable(text())),
        must("resource_name", resource()),
        must("description", nullable(text())),
        must("links", links()),
    ];
    closed(common.into_iter().chain(own))
}

fn services() -> Vec<Operation> {
    let service = || one("service", reference("Service"));
    let change = |kind| {
        let members = [
            may("name", nullable(text())),
            may("description", nullable(text())),
            may("enabled", nullable(flag())),
        ];
        sent("service", open([kind].into_iter().chain(members)))
    };
    vec![
        get("/services", "List the services of the catalog")
            .queries(&["name", "type"])
            .gives(200, collection("services", reference("Service"))),
        post("/services", "Register a service").takes(change(must("type", name()))).gives(201, service()),
        get("/services/{service}", "Show a service").gives(200, service()),
        patch("/services/{service}", "Change a service")
            .takes(change(may("type", name())))
            .gives(200, service()),
        delete("/services/{service}", "Delete a service").gives_nothing(204),
    ]
}

fn endpoints() -> Vec<Operation> {
    let endpoint = || one("endpoint", reference("Endpoint"));
    let interface = || word(&["public", "internal", "admin"]);
    let more = || [may("region_id", nullable(text())), may("enabled", nullable(flag()))];
    let new = [must("service_id", text()), must("interface", interface()), must("url", text())];
    let change = [may("service_id", text()), may("interface", interface()), may("url", text())];
    vec![
        get("/endpoints", "List the endpoints of the catalog")
            .queries(&["interface", "service_id", "region_id"])
            .gives(200, collection("endpoints", reference("Endpoint"))),
        post("/endpoints", "Register an endpoint")
            .takes(sent("endpoint", open(new.into_iter().chain(more()))))
            .gives(201, endpoint()),
        get("/endpoints/{endpoint}", "Show an endpoint").gives(200, endpoint()),
        patch("/endpoints/{endpoint}", "Change an endpoint")
            .takes(sent("endpoint", open(change.into_iter().chain(more()))))
            .gives(200, endpoint()),
        delete("/endpoints/{endpoint}", "Delete an endpoint").gives_nothing(204),
    ]
}

fn regions() -> Vec<Operation> {
    let region = || one("region", reference("Region"));
    let members = || [may("description", nullable(text())), may("parent_region_id", nullable(text()))];
    let new = sent("region", open([may("id", nullable(text()))].into_iter().chain(members())));
    vec![
        get("/regions", "List the regions")
            .queries(&["parent_region_id"])
            .gives(200, collection("regions", reference("Region"))),
        post("/regions", "Register a region").takes(new).gives(201, region()),
        get("/regions/{region}", "Show a region").gives(200, region()),
        patch("/regions/{region}", "Change a region")
            .takes(sent("region", open(members())))
            .gives(200, region()),
        delete("/regions/{region}", "Delete a region").gives_nothing(204),
    ]
}

fn credentials() -> Vec<Operation> {
    let credential = || one("credential", reference("Credential"));
    let pair = || one("credential", reference("Ec2Pair"));
    let blob = || either([text(), open([])]);
    let new = closed([
        must("type", text()),
        must("blob", blob()),
        may("user_id", nullable(text())),
        may("project_id", nullable(text())),
    ]);
    let change = closed([may("blob", blob()), may("project_id", nullable(text()))]);
    let pairs = "/users/{user}/credentials/OS-EC2";
    vec![
        get("/credentials", "List the credentials")
            .queries(&["user_id", "type"])
            .gives(200, collection("credentials", reference("Credential"))),
        post("/credentials", "Keep a credential").takes(sent("credential", new)).gives(201, credential()),
        get("/credentials/{credential}", "Show a credential").gives(200, credential()),
        patch("/credentials/{credential}", "Change a credential")
            .takes(sent("credential", change))
            .gives(200, credential()),
        delete("/credentials/{credential}", "Delete a credential").gives_nothing(204),
        get(pairs, "List a user's EC2 pairs").gives(200, collection("credentials", reference("Ec2Pair"))),
        post(pairs, "Make an EC2 pair").takes(open([must("tenant_id", text())])).gives(201, pair()),
        get("/users/{user}/credentials/OS-EC2/{access}", "Show an EC2 pair").gives(200, pair()),
        delete("/users/{user}/credentials/OS-EC2/{access}", "Delete an EC2 pair").gives_nothing(204),
    ]
}

fn limits() -> Vec<Operation> {
    let (registered, limit) = (
        || one("registered_limit", reference("RegisteredLimit")),
        || one("limit", reference("ProjectLimit")),
    );
    let named = || {
        [
            must("service_id", text()),
            must("resource_name", resource()),
            may("region_id", nullable(text())),
            may("description", nullable(text())),
        ]
    };
    let new_registered = closed(named().into_iter().chain([must("default_limit", amount())]));
    let new = closed(named().into_iter().chain([
        must("project_id", text()),
        must("resource_limit", amount()),
        may("domain_id", null()),
    ]));
    let change_registered = closed([
        may("service_id", text()),
        may("resource_name", resource()),
        may("region_id", nullable(text())),
        may("default_limit", amount()),
        may("description", nullable(text())),
    ]);
    let change = closed([may("resource_limit", amount()), may("description", nullable(text()))]);
    let model = closed([must("name", text()), must("description", text())]);
    let filled = |item: Value| {
        let mut list = list(item);
        list["minItems"] = 1.into();
        list
    };
    vec![
        get("/registered_limits", "List the limits of every project")
            .queries(&["service_id", "region_id", "resource_name"])
            .gives(200, collection("registered_limits", reference("RegisteredLimit"))),
        post("/registered_limits", "Register limits of every project")
            .takes(sent("registered_limits", filled(new_registered)))
            .gives(201, one("registered_limits", list(reference("RegisteredLimit")))),
        get("/registered_limits/{limit}", "Show a limit of every project").gives(200, registered()),
        patch("/registered_limits/{limit}", "Change a limit of every project")
            .takes(sent("registered_limit", change_registered))
            .gives(200, registered()),
        delete("/registered_limits/{limit}", "Delete a limit of every project").gives_nothing(204),
        get("/limits", "List the limits of single projects")
            .queries(&["service_id", "region_id", "resource_name", "project_id"])
            .gives(200, collection("limits", reference("ProjectLimit"))),
        post("/limits", "Set limits of single projects")
            .takes(sent("limits", filled(new)))
            .gives(201, one("limits", list(reference("ProjectLimit")))),
        get("/limits/model", "Show how limits are enforced").gives(200, one("model", model)),
        get("/limits/{limit}", "Show a limit of a project").gives(200, limit()),
        patch("/limits/{limit}", "Change a limit of a project")
            .takes(sent("limit", change))
            .gives(200, limit()),
        delete("/limits/{limit}", "Delete a limit of a project").gives_nothing(204),
    ]
}
