//! `/v3/role_inferences` and `/v3/roles/{role}/implies`

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use crate::model::RoleId;
use crate::model::identity::Role;

fn prior(call: &Call) -> RoleId {
    RoleId::from(call.path("role"))
}

fn implied(call: &Call) -> RoleId {
    RoleId::from(call.path("implied"))
}

fn short(call: &Call, role: &Role) -> Value {
    let links = json!({"self": call.url_of("roles", role.id.as_str())});
    json!({"id": role.id.as_str(), "name": role.name, "links": links})
}

fn print_all(call: &Call, prior: &Role, implied: &[Role]) -> Value {
    let implied: Vec<Value> = implied.iter().map(|role| short(call, role)).collect();
    json!({"prior_role": short(call, prior), "implies": implied})
}

fn print_one(call: &Call, (prior, implied): &(Role, Role)) -> Value {
    let path = format!("{}/implies/{}", prior.id, implied.id);
    json!({
        "role_inference": {"prior_role": short(call, prior), "implies": short(call, implied)},
        "links": {"self": call.url_of("roles", &path)},
    })
}

/// `GET /v3/role_inferences`
pub(super) async fn inferences(call: Call) -> Outcome {
    let inferences = call.act(|service, actor| service.role_inferences(&actor)).await?;
    let inferences: Vec<Value> =
        inferences.iter().map(|(prior, implied)| print_all(&call, prior, implied)).collect();
    Ok(Answer::ok(json!({ "role_inferences": inferences })))
}

/// `GET /v3/roles/{role}/implies`
pub(super) async fn list(call: Call) -> Outcome {
    let id = prior(&call);
    let (prior, implied) = call.act(move |service, actor| service.implied_roles(&actor, &id)).await?;
    let inference = print_all(&call, &prior, &implied);
    Ok(Answer::ok(json!({"role_inference": inference, "links": {"self": call.self_url()}})))
}

/// `GET /v3/roles/{role}/implies/{implied}`
pub(super) async fn show(call: Call) -> Outcome {
    let (prior, implied) = (prior(&call), implied(&call));
    let both = call.act(move |service, actor| service.implied_role(&actor, &prior, &implied)).await?;
    Ok(Answer::ok(print_one(&call, &both)))
}

/// `HEAD /v3/roles/{role}/implies/{implied}`
pub(super) async fn check(call: Call) -> Outcome {
    let (prior, implied) = (prior(&call), implied(&call));
    call.act(move |service, actor| service.implied_role(&actor, &prior, &implied)).await?;
    Ok(Answer::empty())
}

/// `PUT /v3/roles/{role}/implies/{implied}`
pub(super) async fn create(call: Call) -> Outcome {
    let (prior, implied) = (prior(&call), implied(&call));
    let both = call.act(move |service, actor| service.imply_role(&actor, &prior, &implied)).await?;
    Ok(Answer::json(StatusCode::CREATED, print_one(&call, &both)))
}

/// `DELETE /v3/roles/{role}/implies/{implied}`
pub(super) async fn delete(call: Call) -> Outcome {
    let (prior, implied) = (prior(&call), implied(&call));
    call.act(move |service, actor| service.no_longer_imply_role(&actor, &prior, &implied)).await?;
    Ok(Answer::empty())
}
