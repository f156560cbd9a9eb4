//! `/v3/domains`

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::listing;
use super::members::{Members, print_extra};
use crate::model::DomainId;
use crate::model::identity::Domain;
use crate::service::identity::{DomainChange, NameFilter, NewDomain};

fn id(call: &Call) -> DomainId {
    DomainId::from(call.path("domain"))
}

pub(super) fn print(call: &Call, domain: &Domain) -> Value {
    let mut object = json!({
        "id": domain.id.as_str(),
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "tags": [],
        "options": {},
        "links": {"self": call.url_of("domains", domain.id.as_str())},
    });
    print_extra(&mut object, &domain.extra);
    object
}

/// `GET /v3/domains`
pub(super) async fn list(call: Call) -> Outcome {
    let filter = NameFilter { domain: None, name: call.filter("name") };
    let domains = call.act(move |service, actor| service.list_domains(&actor, &filter)).await?;
    Ok(listing::filtered(&call, "domains", domains.iter().map(|domain| print(&call, domain)).collect()))
}

/// `GET /v3/domains/{domain}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let domain = call.act(move |service, actor| service.get_domain(&actor, &id)).await?;
    Ok(Answer::ok(json!({"domain": print(&call, &domain)})))
}

/// `POST /v3/domains`
pub(super) async fn create(call: Call) -> Outcome {
    let mut domain = Members::of(&call, "domain")?;
    domain.only_empty("options")?;
    let new = NewDomain {
        name: domain.required_text("name")?,
        description: domain.nullable_text("description")?.unwrap_or(Some(String::new())),
        enabled: domain.flag("enabled")?.unwrap_or(true),
        extra: domain.extra(),
    };
    let domain = call.act(move |service, actor| service.create_domain(&actor, new)).await?;
    Ok(Answer::created(json!({"domain": print(&call, &domain)})))
}

/// `PATCH /v3/domains/{domain}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut domain = Members::of(&call, "domain")?;
    domain.only_empty("options")?;
    let change = DomainChange {
        name: domain.text("name")?,
        description: domain.nullable_text("description")?,
        enabled: domain.flag("enabled")?,
        extra: domain.extra(),
    };
    let domain = call.act(move |service, actor| service.update_domain(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"domain": print(&call, &domain)})))
}

/// `DELETE /v3/domains/{domain}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_domain(&actor, &id)).await?;
    Ok(Answer::empty())
}
