//! Images that are made from files in buckets: `POST …/cloudimages/action`, `…/quickimport/action` and
//! `…/dataimages/action`, and `PUT …/{image}/upload`.
//!
//! Other sources (servers, volumes) are refused with the reference's codes: nothing here runs
//! machines. Invariant: a body is read whole, and everything that it can be refused for alone is, before
//! anything is looked for.

use axum::response::Response;
use serde_json::{Map, Value};

use super::call::{Call, optional, optional_text, text};
use super::error::Refusal;
use super::jobs::job_response;
use super::labels::asked_labels;
use super::patch::{check_description, checked_name, memory};
use super::systems::{attributes, property};
use crate::model::job::{ImportRoute, Place};
use crate::model::{ImageId, Visibility};
use crate::service::images::{Change, Field, NewImage, NewImport};

/// Data disks that come with one system disk.
const DATA_DISKS_MAX: usize = 3;
/// Largest `min_disk` of a system disk and of a data disk, in GiB.
const SYSTEM_GIB_MAX: u64 = 1024;
/// See [`SYSTEM_GIB_MAX`].
const DATA_GIB_MAX: u64 = 2048;

/// What an image is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Machine,
    BareMetal,
    Iso,
    DataDisk,
}

impl Kind {
    fn read(body: &Map<String, Value>, quick: bool) -> Result<Kind, Refusal> {
        match optional_text(body, "type")? {
            None | Some("ECS" | "FusionCompute") => Ok(Kind::Machine),
            Some("BMS" | "Ironic") => Ok(Kind::BareMetal),
            Some("IsoImage") if !quick => Ok(Kind::Iso),
            Some("DataImage") if quick => Ok(Kind::DataDisk),
            Some(other) => {
                Err(Refusal::bad("IMG.0024", format!("an image of type {other:?} cannot be made so")))
            }
        }
    }

    fn environment(self) -> &'static str {
        match self {
            Kind::Machine => "FusionCompute",
            Kind::BareMetal => "Ironic",
            Kind::Iso => "IsoImage",
            Kind::DataDisk => "DataImage",
        }
    }

    fn largest_gib(self) -> u64 {
        if self == Kind::DataDisk { DATA_GIB_MAX } else { SYSTEM_GIB_MAX }
    }
}

/// `POST /v2/cloudimages/action`
pub(super) async fn create(mut call: Call) -> Result<Response, Refusal> {
    let body = call.object().await?;
    refuse_other_sources(&body)?;
    let mut imports = Vec::new();
    if body.contains_key("image_url") {
        let is_quick = flag(&body, "is_quick_import")?;
        let route = if is_quick { ImportRoute::Quick } else { ImportRoute::System };
        let kind = Kind::read(&body, false)?;
        let version = optional_text(&body, "os_version")?;
        match kind {
            Kind::Iso if version.is_none() => {
                return Err(Refusal::bad("IMG.0166", "an ISO image needs os_version"));
            }
            _ if is_quick && version.is_none() => {
                return Err(Refusal::bad("IMG.0159", "a quick import needs os_version"));
            }
            _ => imports.push(import(&body, kind, route)?),
        }
    }
    let disks = data_disks(&body)?;
    if imports.is_empty() && disks.is_empty() {
        return Err(Refusal::bad("IMG.0012", "name a file of a bucket as image_url, with name and min_disk"));
    }
    if disks.is_empty()
        && let Some(import) = imports.pop()
    {
        return ask(call, import).await;
    }
    for disk in &disks {
        imports.push(import(disk, Kind::DataDisk, ImportRoute::Data)?);
    }
    // Clients look for a data disk among the parts of the job, be it the only one.
    let job = call.run(move |service, actor| service.import_images(actor, imports)).await?;
    Ok(job_response(&job))
}

/// `POST /v2/cloudimages/quickimport/action`
pub(super) async fn quick(mut call: Call) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let kind = Kind::read(&body, true)?;
    if kind != Kind::DataDisk && optional_text(&body, "os_version")?.is_none() {
        return Err(Refusal::bad("IMG.0159", "a quick import needs os_version"));
    }
    match optional_text(&body, "license_type")? {
        None | Some("platform" | "byol") => {}
        Some(other) => {
            return Err(Refusal::bad("IMG.0001", format!("license_type is platform or byol, not {other:?}")));
        }
    }
    let import = import(&body, kind, ImportRoute::Quick)?;
    ask(call, import).await
}

/// `POST /v1/cloudimages/dataimages/action`
pub(super) async fn data(mut call: Call) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let import = import(&body, Kind::DataDisk, ImportRoute::Data)?;
    ask(call, import).await
}

/// `PUT /v1/cloudimages/{image}/upload`
pub(super) async fn register(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    let body = call.object().await?;
    let from = place(text(&body, "image_url")?)?;
    let job = call.run(move |service, actor| service.import_into_image(actor, &id, &from)).await?;
    Ok(job_response(&job))
}

async fn ask(call: Call, import: NewImport) -> Result<Response, Refusal> {
    let job = call.run(move |service, actor| service.import_image(actor, import)).await?;
    Ok(job_response(&job))
}

fn refuse_other_sources(body: &Map<String, Value>) -> Result<(), Refusal> {
    let instead = "export its disk to a file of a bucket, and name that as image_url";
    if body.contains_key("instance_id") {
        return Err(Refusal::bad("IMG.0005", format!("there are no servers here; {instead}")));
    }
    let disks = body.get("data_images").and_then(Value::as_array).into_iter().flatten();
    let of_volumes = disks.filter_map(Value::as_object).any(|disk| disk.contains_key("volume_id"));
    if body.contains_key("volume_id") || of_volumes {
        return Err(Refusal::bad("IMG.0120", format!("there are no volumes here; {instead}")));
    }
    Ok(())
}

fn data_disks(body: &Map<String, Value>) -> Result<Vec<Map<String, Value>>, Refusal> {
    let disks = match body.get("data_images") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(disks)) => disks,
        Some(_) => return Err(Refusal::bad("IMG.0001", "data_images must be a list of objects")),
    };
    if disks.len() > DATA_DISKS_MAX {
        return Err(Refusal::bad(
            "IMG.0194",
            format!("at most {DATA_DISKS_MAX} data disks come with one request"),
        ));
    }
    let own_name = optional_text(body, "name")?.unwrap_or_default();
    let name = |mut disk: Map<String, Value>, number: usize| {
        // A data disk that is not named is called as its system is.
        disk.entry("name").or_insert_with(|| format!("{own_name}-data-{number}").into());
        disk
    };
    let disks = disks.iter().enumerate().map(|(number, disk)| match disk {
        Value::Object(disk) => Ok(name(disk.clone(), number + 1)),
        _ => Err(Refusal::bad("IMG.0001", "data_images must be a list of objects")),
    });
    disks.collect()
}

/// One image to be made from a file.
fn import(body: &Map<String, Value>, kind: Kind, route: ImportRoute) -> Result<NewImport, Refusal> {
    let name = checked_name(optional_text(body, "name")?.unwrap_or_default().to_owned())?;
    let from = place(text(body, "image_url")?)?;
    let key = optional_text(body, "cmk_id")?.map(str::to_owned);
    if key.is_some() && !matches!(kind.environment(), "FusionCompute" | "DataImage") {
        return Err(Refusal::bad(
            "IMG.0118",
            "bare-metal and ISO images are not sealed with a key; leave cmk_id out",
        ));
    }
    // Nothing in a file is changed, and nobody is told that it was.
    flag(body, "is_config")?;
    let mut changes = vec![
        Change::Set(Field::Name(Some(name))),
        Change::Set(Field::Visibility(Visibility::Private)),
        Change::Set(Field::ContainerFormat(Some("bare".into()))),
        Change::Set(Field::MinDiskGib(min_disk(body, kind)?)),
        property("__data_origin", &format!("file,{from}")),
        property("__root_origin", "file"),
        property("virtual_env_type", kind.environment()),
    ];
    changes.extend(described(body)?);
    let kind_of_system = optional_text(body, "os_type")?.or((kind == Kind::DataDisk).then_some("Linux"));
    changes.extend(attributes(optional_text(body, "os_version")?, kind_of_system)?);
    changes.extend(firmware(body)?);
    Ok(NewImport { image: NewImage { id: None, changes }, from, route, key })
}

/// What a caller says of an image wherever it comes from.
pub(super) fn described(body: &Map<String, Value>) -> Result<Vec<Change>, Refusal> {
    let mut changes = vec![
        Change::Set(Field::MinRamMib(number(body, "min_ram", "IMG.0055")?.unwrap_or(0))),
        Change::Set(Field::Tags(asked_labels(body)?)),
        property("__is_config_init", "false"),
    ];
    if let Some(text) = optional_text(body, "description")? {
        check_description(text)?;
        changes.push(property("__description", text));
    }
    if let Some(max) = number(body, "max_ram", "IMG.0055")? {
        changes.push(property("max_ram", &memory("max_ram", &max.to_string())?.to_string()));
    }
    if let Some(id) = optional_text(body, "enterprise_project_id")? {
        changes.push(property("enterprise_project_id", id));
    }
    Ok(changes)
}

/// How a machine starts, and what processor it has.
fn firmware(body: &Map<String, Value>) -> Result<Vec<Change>, Refusal> {
    let is_arm = match optional_text(body, "architecture")? {
        None | Some("x86") => false,
        Some("arm") => true,
        Some(other) => {
            return Err(Refusal::bad("IMG.0212", format!("architecture is x86 or arm, not {other:?}")));
        }
    };
    let asked = match optional_text(body, "hw_firmware_type")? {
        None => None,
        Some(kind @ ("bios" | "uefi")) => Some(kind),
        Some(other) => {
            return Err(Refusal::bad("IMG.0141", format!("hw_firmware_type is bios or uefi, not {other:?}")));
        }
    };
    // What runs on arm starts by UEFI alone.
    let kind = if is_arm { Some("uefi") } else { asked };
    let arm = is_arm.then(|| property("__support_arm", "true"));
    Ok(arm.into_iter().chain(kind.map(|kind| property("hw_firmware_type", kind))).collect())
}

fn min_disk(body: &Map<String, Value>, kind: Kind) -> Result<u64, Refusal> {
    let most = kind.largest_gib();
    let given = number(body, "min_disk", "IMG.0055")?;
    given.filter(|gib| (1..=most).contains(gib)).ok_or_else(|| {
        Refusal::bad("IMG.0055", format!("min_disk must be a whole number of GiB from 1 to {most}"))
    })
}

/// `bucket:key`, split at the first colon.
pub(super) fn place(text: &str) -> Result<Place, Refusal> {
    if text.contains(char::is_whitespace) {
        return Err(Refusal::bad("IMG.0175", "the name of a bucket and its file has no blanks"));
    }
    let Some((bucket, key)) = text.split_once(':') else {
        return Err(Refusal::bad("IMG.0057", format!("{:?} is not of the form bucket:file", shown(text))));
    };
    if bucket.is_empty() {
        return Err(Refusal::bad("IMG.0068", "the bucket is not named; write bucket:file"));
    }
    if !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
        return Err(Refusal::bad("IMG.0109", format!("{:?} is no name of a bucket", shown(bucket))));
    }
    Ok(Place { bucket: bucket.to_owned(), key: key.to_owned() })
}

/// A whole number, which clients may write as a text.
fn number(body: &Map<String, Value>, name: &str, code: &'static str) -> Result<Option<u64>, Refusal> {
    let wrong = || Refusal::bad(code, format!("{name} must be a whole number"));
    match optional(body, name) {
        None => Ok(None),
        Some(Value::Number(number)) => number.as_u64().map(Some).ok_or_else(wrong),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

pub(super) fn flag(body: &Map<String, Value>, name: &str) -> Result<bool, Refusal> {
    match optional(body, name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
        Some(_) => Err(Refusal::bad("IMG.0001", format!("{name} must be true or false"))),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
