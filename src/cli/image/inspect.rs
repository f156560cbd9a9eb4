//! `tintype image inspect`: what lies inside an image, as a page for people or as JSON.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::{Output, human_bytes};

/// Arguments of `tintype image inspect`.
#[derive(Args)]
pub struct Inspect {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
    /// Set os_distro, os_version, architecture and hw_firmware_type of the image as they are found, where they are not set
    #[arg(long)]
    set: bool,
    /// With --set: also those that are set already
    #[arg(long, requires = "set")]
    overwrite: bool,
}

const VOLUMES: [(&str, &str); 9] = [
    ("#", "number"),
    ("Start", "start"),
    ("Size", "size"),
    ("Type", "type"),
    ("File system", "file_system"),
    ("Label", "label"),
    ("UUID", "uuid"),
    ("Used", "used"),
    ("Free", "free"),
];
const KERNELS: [(&str, &str); 4] =
    [("Kernel", "version"), ("File", "path"), ("Initramfs", "initramfs"), ("Virtual hardware", "drivers")];
const MOUNTS: [(&str, &str); 3] = [("Device", "device"), ("Mounted at", "at"), ("Type", "type")];
const FINDINGS: [(&str, &str); 3] = [("Severity", "severity"), ("Code", "code"), ("Finding", "sentence")];

impl Inspect {
    /// Prints the report; sets properties first where that is asked for.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let path = format!("/images/{}/inspection", super::id(&image)?);
        if self.set {
            let asked = json!({"overwrite": self.overwrite});
            let answer = client.call_json(Method::POST, Api::Native, &path, &asked).await?.json().await?;
            return output.done(&set_sentence(&answer), &answer);
        }
        let report = client.get(Api::Native, &path).await?;
        if output.json { output.record(&report) } else { page(output, &report) }
    }
}

fn set_sentence(answer: &Value) -> String {
    let pairs = |member: &str| -> Vec<String> {
        let pairs = answer[member].as_object().into_iter().flatten();
        pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect()
    };
    let (set, kept) = (pairs("set"), pairs("kept"));
    let mut sentence = match set.as_slice() {
        [] => "Nothing was set".to_owned(),
        set => format!("Set {}", set.join(", ")),
    };
    if !kept.is_empty() {
        sentence.push_str(&format!("; left as it is, where this was found: {}", kept.join(", ")));
    }
    sentence
}

fn page(output: Output, report: &Value) -> Result<(), Failure> {
    output.record(&summary(report))?;
    output.section("Partitions", &objects(&report["partitions"], volume), &VOLUMES)?;
    output.section("Kernels", &objects(&report["kernels"], kernel), &KERNELS)?;
    output.section("Mounts", &objects(&report["mounts"], Value::clone), &MOUNTS)?;
    output.section("Findings", &objects(&report["findings"], Value::clone), &FINDINGS)
}

fn objects(list: &Value, row: impl Fn(&Value) -> Value) -> Vec<Value> {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn summary(report: &Value) -> Value {
    let (os, boot) = (&report["os"], &report["boot"]);
    let starts = match (boot["uefi"].as_bool(), boot["bios"].as_bool()) {
        (Some(true), Some(true)) => "UEFI or BIOS",
        (Some(true), _) => "UEFI",
        (_, Some(true)) => "BIOS",
        _ => "no loader found",
    };
    let cloud_init = match report["cloud_init"]["datasources"].as_array() {
        None => Value::from("not installed"),
        Some(sources) if sources.is_empty() => "installed".into(),
        Some(_) => report["cloud_init"]["datasources"].clone(),
    };
    let proposed = report["proposed"].as_object().into_iter().flatten();
    let proposed: Vec<String> =
        proposed.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "image": report["id"],
        "name": report["name"],
        "disk": format!(
            "{} as {}, {}",
            human_bytes(report["size_bytes"].as_u64().unwrap_or_default()),
            report["container"].as_str().unwrap_or("raw"),
            report["partition_table"].as_str().unwrap_or("no partition table"),
        ),
        "system": os["name"].as_str().or(os["id"].as_str()).unwrap_or("not known"),
        "architecture": os["architecture"],
        "starts by": starts,
        "cloud-init": cloud_init,
        "logs": report["log_bytes"].as_u64().map(human_bytes),
        "proposed": proposed,
    })
}

fn volume(volume: &Value) -> Value {
    let bytes = |member: &str| volume[member].as_u64().map(human_bytes);
    json!({
        "number": volume["number"],
        "start": bytes("start_bytes"),
        "size": bytes("size_bytes"),
        "type": volume["type"],
        "file_system": volume["file_system"],
        "label": volume["label"],
        "uuid": volume["uuid"],
        "used": bytes("used_bytes"),
        "free": bytes("free_bytes"),
    })
}

fn kernel(kernel: &Value) -> Value {
    let drivers = kernel["drivers"].as_object().into_iter().flatten();
    let drivers: Vec<String> =
        drivers.map(|(name, state)| format!("{name}: {}", state.as_str().unwrap_or_default())).collect();
    json!({
        "version": kernel["version"],
        "path": kernel["path"],
        "initramfs": kernel["initramfs"],
        "drivers": drivers,
    })
}
