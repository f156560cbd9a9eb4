//! `/v3/credentials` and `/v3/users/{user}/credentials/OS-EC2`

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::call::{Answer, Call, Outcome};
use super::error::Refusal;
use super::listing;
use super::members::Members;
use crate::model::{ProjectId, UserId};
use crate::service::identity::{CredentialChange, Ec2Pair, NewCredential, OpenCredential};

fn id(call: &Call) -> String {
    call.path("credential").to_owned()
}

fn print(call: &Call, open: &OpenCredential) -> Value {
    let credential = &open.credential;
    json!({
        "id": credential.id,
        "type": credential.kind,
        "user_id": credential.user.as_str(),
        "project_id": credential.project.as_ref().map(ProjectId::as_str),
        "blob": open.blob.as_deref(),
        "links": {"self": call.url_of("credentials", &credential.id)},
    })
}

/// `POST /v3/credentials`
pub(super) async fn create(call: Call) -> Outcome {
    let mut members = Members::of(&call, "credential")?;
    let project = members.text("project_id")?.map(ProjectId);
    let (kind, blob) = (members.required_text("type")?, blob(&mut members)?);
    let user = members.text("user_id")?.map(UserId);
    members.expect_no_more()?;
    let blob = blob.ok_or_else(|| {
        Refusal::invalid("Invalid input for field/attribute credential: 'blob' is a required property")
    })?;
    let made = call.act(move |service, actor| {
        let user = user.unwrap_or_else(|| actor.user.clone());
        service.create_credential(&actor, NewCredential { user, project, kind, blob })
    });
    let made = made.await?;
    Ok(Answer::created(json!({"credential": print(&call, &made)})))
}

/// A text; an object counts as the text of it, as clients send it so.
fn blob(members: &mut Members) -> Result<Option<Zeroizing<String>>, Refusal> {
    Ok(members.text_or_object("blob")?.map(Zeroizing::new))
}

/// `GET /v3/credentials`
pub(super) async fn list(call: Call) -> Outcome {
    let found = call.act(|service, actor| service.credentials(&actor)).await?;
    Ok(listing::filtered(&call, "credentials", found.iter().map(|open| print(&call, open)).collect()))
}

/// `GET /v3/credentials/{credential}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let open = call.act(move |service, actor| service.credential(&actor, &id)).await?;
    Ok(Answer::ok(json!({"credential": print(&call, &open)})))
}

/// `PATCH /v3/credentials/{credential}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut members = Members::of(&call, "credential")?;
    let change =
        CredentialChange { project: members.text("project_id")?.map(ProjectId), blob: blob(&mut members)? };
    members.expect_no_more()?;
    let open = call.act(move |service, actor| service.update_credential(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"credential": print(&call, &open)})))
}

/// `DELETE /v3/credentials/{credential}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_credential(&actor, &id)).await?;
    Ok(Answer::empty())
}

fn user(call: &Call) -> UserId {
    UserId::from(call.path("user"))
}

fn print_pair(call: &Call, pair: &Ec2Pair) -> Value {
    let path = format!("{}/credentials/OS-EC2/{}", pair.user, pair.access);
    json!({
        "user_id": pair.user.as_str(),
        "tenant_id": pair.project.as_ref().map(ProjectId::as_str),
        "access": pair.access,
        "secret": pair.secret.as_str(),
        "trust_id": null,
        "links": {"self": call.url_of("users", &path)},
    })
}

/// `POST /v3/users/{user}/credentials/OS-EC2`
pub(super) async fn create_pair(call: Call) -> Outcome {
    let project = match call.json()?.get("tenant_id") {
        Some(Value::String(project)) => ProjectId(project.clone()),
        _ => return Err(Refusal::invalid("Invalid input for field/attribute tenant_id: it must be a text.")),
    };
    let user = user(&call);
    let pair = call.act(move |service, actor| service.create_ec2_pair(&actor, &user, project)).await?;
    Ok(Answer::created(json!({"credential": print_pair(&call, &pair)})))
}

/// `GET /v3/users/{user}/credentials/OS-EC2`
pub(super) async fn list_pairs(call: Call) -> Outcome {
    let user = user(&call);
    let pairs = call.act(move |service, actor| service.ec2_pairs(&actor, &user)).await?;
    Ok(listing::whole(&call, "credentials", pairs.iter().map(|pair| print_pair(&call, pair)).collect()))
}

/// `GET /v3/users/{user}/credentials/OS-EC2/{access}`
pub(super) async fn show_pair(call: Call) -> Outcome {
    let (user, access) = (user(&call), call.path("access").to_owned());
    let pair = call.act(move |service, actor| service.ec2_pair(&actor, &user, &access)).await?;
    Ok(Answer::ok(json!({"credential": print_pair(&call, &pair)})))
}

/// `DELETE /v3/users/{user}/credentials/OS-EC2/{access}`
pub(super) async fn delete_pair(call: Call) -> Outcome {
    let (user, access) = (user(&call), call.path("access").to_owned());
    call.act(move |service, actor| service.delete_ec2_pair(&actor, &user, &access)).await?;
    Ok(Answer::empty())
}
