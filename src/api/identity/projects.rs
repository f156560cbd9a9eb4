//! `/v3/projects`

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::error::Refusal;
use super::listing;
use super::members::{Members, print_extra};
use crate::model::identity::Project;
use crate::model::{DomainId, ProjectId, UserId};
use crate::service::identity::{NameFilter, NewProject, ProjectChange};

fn id(call: &Call) -> ProjectId {
    ProjectId::from(call.path("project"))
}

pub(super) fn print(call: &Call, project: &Project) -> Value {
    let mut object = json!({
        "id": project.id.as_str(),
        "name": project.name,
        "domain_id": project.domain.as_str(),
        "description": project.description,
        "enabled": project.enabled,
        "parent_id": project.domain.as_str(),
        "is_domain": false,
        "tags": project.tags,
        "options": {},
        "links": {"self": call.url_of("projects", project.id.as_str())},
    });
    print_extra(&mut object, &project.extra);
    object
}

/// `GET /v3/projects`
pub(super) async fn list(call: Call) -> Outcome {
    if call.is_signed() && call.filter("name").is_some() {
        return of_key(call).await;
    }
    let filter = NameFilter { domain: call.filter("domain_id").map(DomainId), name: call.filter("name") };
    let projects = call.act(move |service, actor| service.list_projects(&actor, &filter)).await?;
    let projects = projects.iter().map(|project| print(&call, project)).collect();
    Ok(listing::filtered(&call, "projects", projects))
}

/// What a client that signs asks with the name of its region, to learn its project: regions have one
/// project each for it, and a key has one here.
async fn of_key(call: Call) -> Outcome {
    let project = call.act(|service, actor| service.own_project(&actor)).await?;
    Ok(listing::whole(&call, "projects", vec![print(&call, &project)]))
}

/// `GET /v3/users/{user}/projects`
pub(super) async fn of_user(call: Call) -> Outcome {
    let user = UserId::from(call.path("user"));
    let projects = call.act(move |service, actor| service.projects_of_user(&actor, &user)).await?;
    let projects = projects.iter().map(|project| print(&call, project)).collect();
    Ok(listing::filtered(&call, "projects", projects))
}

/// `GET /v3/projects/{project}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let project = call.act(move |service, actor| service.get_project(&actor, &id)).await?;
    Ok(Answer::ok(json!({"project": print(&call, &project)})))
}

/// `POST /v3/projects`
pub(super) async fn create(call: Call) -> Outcome {
    let mut project = Members::of(&call, "project")?;
    project.only_empty("options")?;
    project.only_empty("is_domain")?;
    let name = project.required_text("name")?;
    let domain = project.text("domain_id")?;
    let parent = project.text("parent_id")?;
    let domain = flat_domain(domain, parent)?;
    let new = NewProject {
        name,
        domain,
        description: project.nullable_text("description")?.unwrap_or(Some(String::new())),
        enabled: project.flag("enabled")?.unwrap_or(true),
        tags: project.texts("tags")?.unwrap_or_default(),
        extra: project.extra(),
    };
    let project = call.act(move |service, actor| service.create_project(&actor, new)).await?;
    Ok(Answer::created(json!({"project": print(&call, &project)})))
}

/// Projects do not nest: a parent is the domain itself.
fn flat_domain(domain: Option<String>, parent: Option<String>) -> Result<Option<DomainId>, Refusal> {
    match (domain, parent) {
        (Some(domain), Some(parent)) if domain != parent => Err(Refusal::invalid(format!(
            "parent_id {parent} is not the project's domain; projects do not nest here"
        ))),
        (domain, parent) => Ok(domain.or(parent).map(DomainId)),
    }
}

/// `PATCH /v3/projects/{project}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut project = Members::of(&call, "project")?;
    project.only_empty("options")?;
    project.only_empty("is_domain")?;
    let domain = project.text("domain_id")?;
    let parent = project.text("parent_id")?;
    let change = ProjectChange {
        name: project.text("name")?,
        domain: flat_domain(domain, parent)?,
        description: project.nullable_text("description")?,
        enabled: project.flag("enabled")?,
        tags: project.texts("tags")?,
        extra: project.extra(),
    };
    let project = call.act(move |service, actor| service.update_project(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"project": print(&call, &project)})))
}

/// `DELETE /v3/projects/{project}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_project(&actor, &id)).await?;
    Ok(Answer::empty())
}
