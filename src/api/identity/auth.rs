//! `/v3/auth`: making, looking at and revoking tokens, and what a token opens.

use axum::http::{HeaderName, StatusCode};
use serde_json::{Map, Value, json};

use super::application_credentials::bare_rule;
use super::call::{Answer, Call, Outcome, SUBJECT_TOKEN};
use super::catalog::{Reader, catalog};
use super::error::Refusal;
use super::{domains, listing, projects, sign_in};
use crate::base::Time;
use crate::model::identity::{Domain, Role};
use crate::service::identity::{LentBy, Place, SignedIn};

/// Says that who validates a token heeds its access rules.
const ACCESS_RULES: HeaderName = HeaderName::from_static("openstack-identity-access-rules");

/// `POST /v3/auth/tokens`
pub(super) async fn issue(call: Call) -> Outcome {
    let request = sign_in::read(&call.json()?)?;
    let origin = call.origin();
    let (text, signed_in) =
        call.state.blocking(move |service| service.sign_in_from(&origin, request)).await?;
    let body = token_body(&call, &signed_in).await?;
    Ok(Answer::created(body).header(SUBJECT_TOKEN, text.expose()))
}

/// `GET /v3/auth/tokens`
pub(super) async fn show(call: Call) -> Outcome {
    let subject = subject(&call)?;
    let looked_at = subject.clone();
    let knows_rules = call.header(&ACCESS_RULES).is_some();
    let looked = call.act(move |service, actor| service.validate_token(&actor, &looked_at, knows_rules));
    let signed_in = looked.await?;
    Ok(Answer::ok(token_body(&call, &signed_in).await?).header(SUBJECT_TOKEN, &subject))
}

/// `DELETE /v3/auth/tokens`
pub(super) async fn revoke(call: Call) -> Outcome {
    let subject = subject(&call)?;
    call.act(move |service, actor| service.revoke_token(&actor, &subject)).await?;
    Ok(Answer::empty())
}

/// `GET /v3/auth/catalog`
pub(super) async fn show_catalog(call: Call) -> Outcome {
    let actor = call.act(|_, actor| Ok(actor)).await?;
    if actor.scope.is_none() {
        let message = "You are not authorized to perform the requested action.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    let reader = Reader { user: actor.user.clone(), project: actor.project().cloned() };
    let catalog = catalog(&call, &reader).await?;
    Ok(Answer::ok(json!({"catalog": catalog, "links": {"self": call.self_url()}})))
}

/// `GET /v3/auth/projects`
pub(super) async fn open_projects(call: Call) -> Outcome {
    let open = call.act(|service, actor| service.open_scopes(&actor)).await?;
    let projects = open.projects.iter().map(|project| projects::print(&call, project)).collect();
    Ok(listing::whole(&call, "projects", projects))
}

/// `GET /v3/auth/domains`
pub(super) async fn open_domains(call: Call) -> Outcome {
    let open = call.act(|service, actor| service.open_scopes(&actor)).await?;
    let domains = open.domains.iter().map(|domain| domains::print(&call, domain)).collect();
    Ok(listing::whole(&call, "domains", domains))
}

/// `GET /v3/auth/system`
pub(super) async fn open_system(call: Call) -> Outcome {
    let open = call.act(|service, actor| service.open_scopes(&actor)).await?;
    let system = if open.system { json!([{"all": true}]) } else { json!([]) };
    Ok(Answer::ok(json!({"system": system, "links": {"self": call.self_url()}})))
}

fn subject(call: &Call) -> Result<String, Refusal> {
    let subject = call.header(&SUBJECT_TOKEN).map(str::to_owned);
    subject.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "No token in the request"))
}

async fn token_body(call: &Call, signed_in: &SignedIn) -> Result<Value, Refusal> {
    let SignedIn { token, user, user_domain, place, roles, lent, password_ends } = signed_in;
    let mut body = Map::new();
    body.insert("methods".into(), json!(token.methods));
    body.insert(
        "user".into(),
        json!({
            "domain": named_domain(user_domain),
            "id": user.id.as_str(),
            "name": user.name,
            "password_expires_at": password_ends.map(Time::rfc3339_micros),
        }),
    );
    body.insert("audit_ids".into(), json!(token.audit_ids));
    body.insert("expires_at".into(), json!(token.expires_at.rfc3339_micros()));
    body.insert("issued_at".into(), json!(token.issued_at.rfc3339_micros()));
    if let Some(lent) = lent {
        body.insert("application_credential".into(), print_lent(lent));
    }
    match place {
        Some(Place::Project(project, domain)) => {
            let domain = named_domain(domain);
            let project = json!({"domain": domain, "id": project.id.as_str(), "name": project.name});
            body.insert("project".into(), project);
            body.insert("is_domain".into(), json!(false));
        }
        Some(Place::Domain(domain)) => {
            body.insert("domain".into(), named_domain(domain));
        }
        Some(Place::System) => {
            body.insert("system".into(), json!({"all": true}));
        }
        None => return Ok(json!({ "token": body })),
    }
    body.insert("roles".into(), roles.iter().map(named_role).collect());
    if !call.flag("nocatalog") {
        let project = match place {
            Some(Place::Project(project, _)) => Some(project.id.clone()),
            _ => None,
        };
        let reader = Reader { user: user.id.clone(), project };
        body.insert("catalog".into(), catalog(call, &reader).await?);
    }
    Ok(json!({ "token": body }))
}

fn print_lent(lent: &LentBy) -> Value {
    let restricted = !lent.is_unrestricted;
    let mut object = json!({"id": lent.id.as_str(), "name": lent.name, "restricted": restricted});
    if !lent.access_rules.is_empty() {
        object["access_rules"] = lent.access_rules.iter().map(bare_rule).collect();
    }
    object
}

pub(super) fn named_domain(domain: &Domain) -> Value {
    json!({"id": domain.id.as_str(), "name": domain.name})
}

pub(super) fn named_role(role: &Role) -> Value {
    json!({"id": role.id.as_str(), "name": role.name})
}
