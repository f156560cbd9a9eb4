//! Whom an image is shared with.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::{Call, image_id, json_response, optional, text};
use super::error::Refusal;
use super::jobs::job_response;
use super::wire;
use crate::base::limits::IMS_PAGE_ROWS_DEFAULT;
use crate::model::image::MemberStatus;
use crate::model::job::JobKind;
use crate::model::{DomainId, ImageId, ProjectId};
use crate::service::Reason;
use crate::service::images::{Recipient, Shares};

/// `GET /v1/{project}/cloudimages/{image}/members`
pub(super) async fn list(call: Call, id: ImageId) -> Result<Response, Refusal> {
    let (mut limit, mut marker) = (IMS_PAGE_ROWS_DEFAULT, None);
    for (name, value) in call.query()? {
        match name.as_str() {
            "limit" => match value.parse() {
                Ok(number) if number > 0 => limit = number,
                _ => return Err(Refusal::bad("IMG.0017", format!("limit must be above 0, not {value:?}"))),
            },
            "marker" => marker = Some(ProjectId(value)),
            _ => {}
        }
    }
    let shares = call
        .run(move |service, actor| match service.image_shares(actor, &id) {
            // Nobody can be a member of it, so nobody is.
            Err(error) if error.reason == Some(Reason::NotShared) => Ok(Shares::default()),
            outcome => outcome,
        })
        .await?;
    let projects = shares.projects.iter().map(|member| (member.project.as_str(), wire::member(member)));
    let domains = shares.domains.iter().map(|share| (share.domain.as_str(), wire::domain_member(share)));
    let mut members: Vec<(&str, Value)> = projects.chain(domains).collect();
    members.sort_by_key(|(id, _)| *id);
    let mut rest =
        members.into_iter().filter(|(id, _)| marker.as_ref().is_none_or(|marker| *id > marker.as_str()));
    let page: Vec<(&str, Value)> = rest.by_ref().take(limit).collect();
    let mut page_info = json!({"current_count": page.len()});
    if let (Some((last, _)), Some(_)) = (page.last(), rest.next()) {
        page_info["next_marker"] = (*last).into();
    }
    let members: Vec<Value> = page.into_iter().map(|(_, member)| member).collect();
    let body = json!({"members": members, "page_info": page_info, "schema": "/v2/schemas/members"});
    Ok(json_response(body.to_string().into_bytes()))
}

/// `POST /v1/cloudimages/members`
pub(super) async fn share(call: Call) -> Result<Response, Refusal> {
    change_many(call, JobKind::AddMembers).await
}

/// `PUT /v1/cloudimages/members`
pub(super) async fn answer(call: Call) -> Result<Response, Refusal> {
    change_many(call, JobKind::UpdateMembers).await
}

/// `DELETE /v1/cloudimages/members`
pub(super) async fn unshare(call: Call) -> Result<Response, Refusal> {
    change_many(call, JobKind::DeleteMembers).await
}

/// Many images and many recipients, each pair with an outcome of its own, told by the job that is answered.
async fn change_many(mut call: Call, kind: JobKind) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let images = ids(&body, "images")?.iter().map(|id| image_id(id)).collect::<Result<Vec<_>, _>>()?;
    if !ids(&body, "organizations")?.is_empty() {
        let message = "there is no service of organizations here: share with projects or domains";
        return Err(Refusal::bad("IMG.0105", message));
    }
    let projects = ids(&body, "projects")?.into_iter().map(|id| Recipient::Project(ProjectId(id)));
    let domains = ids(&body, "domains")?.into_iter().map(|id| Recipient::Domain(DomainId(id)));
    let with: Vec<Recipient> = projects.chain(domains).collect();
    let answer = match kind {
        JobKind::UpdateMembers => Some(read_answer(&body)?),
        _ => None,
    };
    let job = call
        .run(move |service, actor| {
            let shared = match (kind, &answer) {
                (_, Some((project, status))) => service.answer_shares(actor, &images, project, *status)?,
                (JobKind::DeleteMembers, None) => service.unshare_images(actor, &images, &with)?,
                (_, None) => service.share_images(actor, &images, &with)?,
            };
            service.tell_shared(actor, kind, &shared)
        })
        .await?;
    Ok(job_response(&job))
}

/// Who answers what was offered, and how.
fn read_answer(body: &Map<String, Value>) -> Result<(ProjectId, MemberStatus), Refusal> {
    let status = match text(body, "status")? {
        "accepted" => MemberStatus::Accepted,
        "rejected" => MemberStatus::Rejected,
        other => {
            let message = format!("status is accepted or rejected, not {other:?}");
            return Err(Refusal::bad("IMG.0001", message));
        }
    };
    Ok((ProjectId(text(body, "project_id")?.to_owned()), status))
}

/// A list of ids in a body; none where it is left out.
fn ids(body: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    let wrong = || Refusal::bad("IMG.0001", format!("{name} must be a list of ids"));
    match optional(body, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(ids)) => {
            ids.iter().map(|id| id.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// `GET /v1/{project}/cloudimages/{image}/members/{member}`
pub(super) async fn show(call: Call, id: ImageId, member: ProjectId) -> Result<Response, Refusal> {
    let member = call.run(move |service, actor| service.show_image_member(actor, &id, &member)).await?;
    Ok(json_response(wire::member(&member).to_string().into_bytes()))
}
