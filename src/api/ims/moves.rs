//! Images that leave or are made from others: `POST …/{image}/file`, `…/copy`, `…/cross_region_copy`.

use axum::response::Response;
use serde_json::{Map, Value};

use super::call::{Call, optional, optional_text, text};
use super::error::Refusal;
use super::imports::{flag, place};
use super::jobs::job_response;
use super::patch::{check_description, checked_name};
use super::systems::property;
use crate::api::identity::REGION;
use crate::model::ImageId;
use crate::service::images::{Change, CopyAcross, Field};

/// Formats that a caller may ask for; which of them an image leaves in is the service's to say.
const FORMATS: [&str; 5] = ["qcow2", "vhd", "zvhd", "vmdk", "raw"];
/// Longest key of an object, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// `POST /v1/cloudimages/{image}/file`
pub(super) async fn export(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let to = place(text(&body, "bucket_url")?)?;
    check_key(&to.key)?;
    let is_quick = flag(&body, "is_quick_export")?;
    let format = match optional_text(&body, "file_format")? {
        Some(_) if is_quick => {
            return Err(Refusal::bad(
                "IMG.0072",
                "a quick export writes what is stored: leave file_format out",
            ));
        }
        Some(format) if !FORMATS.contains(&format) => {
            let message = format!("file_format must be one of {}, not {format:?}", FORMATS.join(", "));
            return Err(Refusal::bad("IMG.0072", message));
        }
        format => format.map(str::to_owned),
    };
    let job = call.run(move |service, actor| service.export_image(actor, &id, to, format)).await?;
    Ok(job_response(&job))
}

/// `POST /v1/cloudimages/{image}/copy`
pub(super) async fn copy(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let mut changes = named(&body)?;
    let key = optional_text(&body, "cmk_id")?.map(str::to_owned);
    if let Some(project) = optional_text(&body, "enterprise_project_id")? {
        changes.push(property("enterprise_project_id", project));
    }
    changes.push(property("__data_origin", &format!("image,{REGION},{id}")));
    let job = call.run(move |service, actor| service.copy_image(actor, &id, changes, key.as_deref())).await?;
    Ok(job_response(&job))
}

/// `POST /v1/cloudimages/{image}/cross_region_copy`
pub(super) async fn copy_across(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = call.object().await?;
    named(&body)?;
    // Who may not copy the image here hears of nothing else.
    call.run(move |service, actor| service.expect_copyable(actor, &id)).await?;
    let asked = |name: &str, code, missing: &str| {
        let text = optional_text(&body, name)?.filter(|text| !text.is_empty()).map(str::to_owned);
        text.ok_or_else(|| Refusal::bad(code, missing))
    };
    let region = asked("region", "IMG.0147", "the other region is not named")?;
    if region == REGION {
        return Err(Refusal::bad("IMG.0142", format!("{region} is this region: copy the image within it")));
    }
    let project = asked("project_name", "IMG.0104", "the project in the other region is not named")?;
    let agency = asked("agency_name", "IMG.0151", "the agency is not named")?;
    let name = optional_text(&body, "name")?.unwrap_or_default().to_owned();
    let description = optional_text(&body, "description")?.map(str::to_owned);
    let copy = CopyAcross { region, agency, project, name, description };
    let job = call.run(move |service, actor| service.copy_image_across(actor, &id, copy)).await?;
    Ok(job_response(&job))
}

/// The name and description of the image to be made.
fn named(body: &Map<String, Value>) -> Result<Vec<Change>, Refusal> {
    let name = checked_name(optional_text(body, "name")?.unwrap_or_default().to_owned())?;
    let mut changes = vec![Change::Set(Field::Name(Some(name)))];
    if optional(body, "description").is_some() {
        let description = optional_text(body, "description")?.unwrap_or_default();
        check_description(description)?;
        changes.push(property("__description", description));
    }
    Ok(changes)
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if key.is_empty() {
        return Err(Refusal::bad("IMG.0073", "the file is not named; write bucket:file"));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(Refusal::bad(
            "IMG.0074",
            format!("the file's name is longer than {KEY_BYTES_MAX} bytes"),
        ));
    }
    match key.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c)) {
        true => Err(Refusal::bad("IMG.0075", "a file's name has none of \\ : * ? \" < > |")),
        false => Ok(()),
    }
}
