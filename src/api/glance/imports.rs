//! Staged data, imports, and what is told of them: `PUT …/stage`, `POST …/import`, `GET …/info/import`.
//!
//! Invariant: a body is read whole, and everything that it can be refused for alone is, before anything is looked for.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::call::{Call, json_response, no_content};
use super::data::{declared_bytes, expect_octets};
use super::error::Refusal;
use super::wire::object;
use crate::api::body::frames;
use crate::disk::writing::Form;
use crate::model::ImageId;
use crate::model::job::{DataOrigin, IntakeKind};
use crate::service::Service;
use crate::service::images::{Destination, ImportMethod, NewIntake};
use crate::service::stores::Wanted;

/// Names the format that a disk is to be stored in.
const CONVERT: &str = "tintype_convert";
/// Formats that disks are stored in on request: both have a length that is known, and tables in front.
const STORED: [Form; 2] = [Form::Raw, Form::Qcow2];
/// Names the store that data is to go to.
const STORE: &str = "x-image-meta-store";

/// Takes data in for a later import.
pub(super) async fn stage(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    if !call.state.service.offers_import(ImportMethod::GlanceDirect) {
        return Err(Refusal::no_path());
    }
    expect_octets(call.headers())?;
    let declared = declared_bytes(call.headers())?;
    let body = std::mem::take(&mut call.body);
    call.state.service.stage_image(&call.actor, &id, declared, Box::pin(frames(body))).await?;
    Ok(no_content())
}

/// Has a job give an image its data.
pub(super) async fn import(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = object(call.json().await?)?;
    let origin = origin(&call.state.service, &body)?;
    let header = call.headers().get(STORE).and_then(|name| name.to_str().ok());
    let (wanted, must_all) = wanted_stores(&body, header)?;
    let convert = wanted_form(&body)?;
    let stores = call.state.service.stores().wanted(&wanted);
    // Of an upload that is a bad request, of an import a conflict.
    let stores = stores.map_err(|unknown| Refusal::new(StatusCode::CONFLICT, unknown.message))?;
    let names: Vec<&str> = stores.iter().map(|store| store.name.as_str()).collect();
    let input = json!({"image_id": id.to_string(), "import_req": body, "backend": names}).to_string();
    let places = stores.iter().map(|store| store.place).collect();
    let to = Destination { places, all: wanted == Wanted::All, must_all };
    let new = NewIntake { kind: IntakeKind::ImageImport, origin, input, to, convert };
    call.run(move |service, actor| match new.origin {
        DataOrigin::Own => service.import_to_more_stores(actor, &id, new).map(drop),
        _ => service.import_image_data(actor, &id, new).map(drop),
    })
    .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Tells which ways in there are.
pub(super) async fn methods(mut call: Call) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let names: Vec<&str> = call.state.service.import_methods().map(ImportMethod::as_str).collect();
    let body = json!({"import-methods": {"description": "Import methods available.", "type": "array", "value": names}});
    Ok(json_response(StatusCode::OK, body.to_string().into_bytes()))
}

/// Where an import's body says that the data is.
fn origin(service: &Service, body: &Map<String, Value>) -> Result<DataOrigin, Refusal> {
    let Some(Value::Object(method)) = body.get("method") else {
        return Err(Refusal::bad("method must be an object with a name"));
    };
    let name = method.get("name").and_then(Value::as_str).unwrap_or_default();
    let known = service.import_methods().find(|known| known.as_str() == name);
    let text = |key: &str| method.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match known {
        None => {
            let shown: String = name.chars().take(100).collect();
            let offered: Vec<&str> = service.import_methods().map(ImportMethod::as_str).collect();
            Err(Refusal::bad(format!(
                "import method {shown:?} is none of those offered: {}",
                offered.join(", ")
            )))
        }
        Some(ImportMethod::GlanceDirect) => Ok(DataOrigin::Staged),
        Some(ImportMethod::CopyImage) => Ok(DataOrigin::Own),
        Some(ImportMethod::WebDownload) => match text("uri") {
            Some(uri) => Ok(DataOrigin::Web { url: uri.to_owned() }),
            None => Err(Refusal::bad("web-download takes an uri")),
        },
        Some(ImportMethod::GlanceDownload) => {
            let Some(region) = text("glance_region") else {
                return Err(Refusal::bad("glance-download takes a glance_region"));
            };
            let image = text("glance_image_id").and_then(ImageId::parse);
            let image = image.ok_or_else(|| {
                Refusal::bad(
                    "glance-download takes a glance_image_id, and this image id does not look like a UUID",
                )
            })?;
            Ok(DataOrigin::Region { region: region.to_owned(), image })
        }
    }
}

/// The format that a disk is to be stored in: a key of this service, which the reference has not.
fn wanted_form(body: &Map<String, Value>) -> Result<Option<Form>, Refusal> {
    match body.get(CONVERT) {
        None | Some(Value::Null) => Ok(None),
        Some(name) => {
            let form = Form::parse(name.as_str().unwrap_or_default()).filter(|form| STORED.contains(form));
            form.map(Some).ok_or_else(|| Refusal::bad(format!("{CONVERT} must be raw or qcow2")))
        }
    }
}

/// Which stores an import's body and header name, and whether all of them must be reached.
fn wanted_stores(body: &Map<String, Value>, header: Option<&str>) -> Result<(Wanted, bool), Refusal> {
    let flag = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(Refusal::bad(format!("{key} must be true or false"))),
    };
    let all = flag("all_stores")?.unwrap_or(false);
    // The reference takes false only beside several stores; its own command line always says it.
    let must_all = flag("all_stores_must_succeed")?.unwrap_or(true);
    let not_names = || Refusal::bad("stores must be a list of names");
    let mut named = match body.get("stores") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(names)) => {
            let name = |name: &Value| name.as_str().map(str::to_owned).ok_or_else(not_names);
            names.iter().map(name).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) => return Err(not_names()),
    };
    if all && (!named.is_empty() || header.is_some()) {
        return Err(Refusal::bad("all_stores goes with neither stores nor the header X-Image-Meta-Store"));
    }
    if !named.is_empty() && header.is_some() {
        return Err(Refusal::bad("stores and the header X-Image-Meta-Store exclude each other"));
    }
    named.extend(header.map(str::to_owned));
    let wanted = match (all, named.is_empty()) {
        (true, _) => Wanted::All,
        (false, true) => Wanted::Default,
        (false, false) => Wanted::Named(named),
    };
    Ok((wanted, must_all))
}
