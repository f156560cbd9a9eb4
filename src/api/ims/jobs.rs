//! Jobs: what a request answers that began one, and `GET /v1/{project}/jobs/{job}`, `GET
//! /v1/cloudimages/job/{job}`.
//!
//! Words and codes of the reference are decided here; the rest is the service's. Invariant: a job of another
//! project is not there, for an administrator too.

use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, json_response};
use super::error::{Refusal, code_of};
use crate::base::Time;
use crate::model::job::{Failure, ImportRoute, Job, JobId, JobKind, JobState, Task};
use crate::service::{Actor, Error, Service};

/// What a caller hears of a job that is not there.
const NO_JOB: &str = "IMG.0023";

/// The answer to a request that began a job.
pub(super) fn job_response(job: &Job) -> Response {
    json_response(json!({"job_id": job.id.to_string()}).to_string().into_bytes())
}

/// Both forms of the path.
pub(super) async fn show(call: Call, job: String) -> Result<Response, Refusal> {
    let none = || Refusal::bad(NO_JOB, "there is no such job");
    let id = JobId::parse(&job).ok_or_else(none)?;
    let found = call.run(move |service, actor| look(service, actor, id)).await?;
    Ok(json_response(found.ok_or_else(none)?.to_string().into_bytes()))
}

fn look(service: &Service, actor: &Actor, id: JobId) -> Result<Option<Value>, Error> {
    let job = match service.job(actor, id) {
        Ok(job) if job.project.as_ref() == actor.project() => job,
        Ok(_) => return Ok(None),
        Err(error) if error.kind == crate::service::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let parts = service.job_parts(actor, id)?;
    let mut body = body(service, &job)?;
    if !parts.is_empty() {
        let bodies = parts.iter().map(|part| body_of_part(service, part)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<String> = parts.iter().map(|part| part.id.to_string()).collect();
        let data = parts.iter().find(|part| is_data(part)).and_then(|part| part.images.first());
        body["entities"]["subJobId"] = json!(ids.first());
        body["entities"]["sub_jobs_list"] = json!(ids);
        body["entities"]["sub_jobs_result"] = Value::from(bodies);
        body["entities"]["__data_images"] = json!(data.map(ToString::to_string));
        body["entities"]["process_percent"] = json!(percent_of(&parts));
    }
    Ok(Some(body))
}

fn body_of_part(service: &Service, job: &Job) -> Result<Value, Error> {
    body(service, job)
}

fn is_data(job: &Job) -> bool {
    matches!(job.task, Some(Task::Import { route: ImportRoute::Data, .. }))
}

fn body(service: &Service, job: &Job) -> Result<Value, Error> {
    let (image, name) = match &job.task {
        // The one that is made.
        Some(Task::CopyAcross { remote, name, .. }) => (Some(remote), Some(name.clone())),
        _ => {
            let image = job.images.first();
            (image, image.map(|image| service.job_image_name(image)).transpose()?.flatten())
        }
    };
    let failure = failure(job);
    let code = failure.as_ref().map(|failure| code_of(&failure.code));
    let reason = failure.as_ref().map(|failure| failure.message.as_str());
    let members: Vec<Value> = job
        .members
        .iter()
        .map(|member| {
            let status = if member.succeeded { "success" } else { "failed" };
            json!({"image_id": member.image.to_string(), "project_id": member.project.as_str(), "status": status})
        })
        .collect();
    let mut entities = json!({
        "image_id": image.map(ToString::to_string),
        "image_name": name,
        "process_percent": percent(job),
        "current_task": job.phase,
    });
    if !members.is_empty() {
        entities["results"] = Value::from(members);
    }
    if let Some(failure) = &failure {
        entities["error_code"] = json!(code);
        entities["error"] = json!(failure.message);
    }
    Ok(json!({
        "status": status(job.state),
        "job_id": job.id.to_string(),
        "job_type": kind(job),
        "begin_time": time(job.started_at.unwrap_or(job.created_at)),
        "end_time": job.finished_at.map(time).unwrap_or_default(),
        "error_code": code,
        "fail_reason": reason,
        "entities": entities,
    }))
}

/// Why it failed; what was ended by somebody failed too, as clients have it.
fn failure(job: &Job) -> Option<Failure> {
    let told = |message: &str| Failure { code: "interrupted".into(), message: message.into() };
    match job.state {
        JobState::Failed => job.error.clone(),
        JobState::Cancelled => Some(told("somebody ended the job")),
        JobState::Interrupted => {
            Some(job.error.clone().unwrap_or_else(|| told("the server ended before the job did")))
        }
        JobState::Queued | JobState::Running | JobState::Succeeded => None,
    }
}

fn status(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "INIT",
        JobState::Running => "RUNNING",
        JobState::Succeeded => "SUCCESS",
        JobState::Failed | JobState::Cancelled | JobState::Interrupted => "FAIL",
    }
}

fn kind(job: &Job) -> &'static str {
    match &job.task {
        Some(Task::Import { route: ImportRoute::System | ImportRoute::Quick, .. }) => "imsImportImageJob",
        Some(Task::Import { route: ImportRoute::Data, .. }) => "imsImportDataImageJob",
        Some(Task::Import { route: ImportRoute::Register, .. } | Task::Intake(_)) => {
            "imsNativeImportImageJob"
        }
        Some(Task::Machine { .. }) => "imsCreateWholeImageByBackupJob",
        Some(Task::Export { .. }) => "imsNativeExportImageJob",
        Some(Task::Copy { .. }) => "imsCopyImageInRegionJob",
        Some(Task::CopyAcross { .. }) => "imsCopyImageCrossRegionJob",
        Some(Task::CopyToPlaces { .. }) => "tintypeCopyImageToStoresJob",
        Some(Task::Cache { .. }) => "tintypeCacheImageJob",
        Some(Task::Group) => "imsImportOvaImageJob",
        None => match job.kind {
            JobKind::AddMembers => "imsAddImageMembersJob",
            JobKind::UpdateMembers => "imsUpdateImageMembersJob",
            JobKind::DeleteMembers => "imsDelImageMembersJob",
            other => other.as_str(),
        },
    }
}

fn percent(job: &Job) -> f64 {
    match (job.state, job.total_bytes) {
        (JobState::Succeeded, _) => 1.0,
        (_, Some(total)) if total > 0 => {
            // Two digits, as the reference has it.
            (job.done_bytes.min(total) as f64 / total as f64 * 100.0).floor() / 100.0
        }
        _ => 0.0,
    }
}

fn percent_of(parts: &[Job]) -> f64 {
    (parts.iter().map(percent).sum::<f64>() / parts.len().max(1) as f64 * 100.0).floor() / 100.0
}

/// With thousandths of a second.
fn time(time: Time) -> String {
    let text = time.rfc3339_seconds();
    let millis = time.0.rem_euclid(Time::SECOND) / (Time::SECOND / 1000);
    format!("{}.{millis:03}Z", text.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_hundredths() {
        let mut job = Job::new(1, JobId([1; 16]), JobKind::Import, Time(0));
        assert_eq!(percent(&job), 0.0);
        (job.done_bytes, job.total_bytes) = (2, Some(3));
        assert_eq!(percent(&job), 0.66);
        job.state = JobState::Succeeded;
        assert_eq!(percent(&job), 1.0);
        assert_eq!(percent_of(&[job.clone(), Job { state: JobState::Running, ..job }]), 0.83);
        assert_eq!(time(Time(1_700_000_000_123_456)), "2023-11-14T22:13:20.123Z");
    }
}
