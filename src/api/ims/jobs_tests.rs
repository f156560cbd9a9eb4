//! Operations that make jobs, as clients see them: what is refused and with which code, what a job says, and
//! what comes of it.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::signature::tests::{Signer, Sketch};
use crate::disk::fixtures::{self, empty_qcow2};
use crate::disk::probe;
use crate::model::quota::{Limit, Resource};
use crate::service::testing::{self, work_off};

fn boxed() -> (TempDir, Signer) {
    let outer = tempfile::tempdir().unwrap();
    let (service, _) = testing::service_with_buckets(outer.path(), testing::rules());
    (outer, Signer::on(service))
}

fn put(outer: &Path, key: &str, bytes: &[u8]) {
    std::fs::write(outer.join("in").join(key), bytes).unwrap();
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

async fn refused(client: &Signer, method: &str, path: &str, body: &Value, wanted: &str) {
    let (status, answer) = client.ask(method, path, body).await;
    assert_eq!((status, code(&answer)), (400, wanted), "{method} {path} {body}: {answer}");
}

/// The id of the job that a request began.
async fn began(client: &Signer, method: &str, path: &str, body: &Value) -> String {
    let (status, answer) = client.ask(method, path, body).await;
    assert_eq!(status, 200, "{method} {path} {body}: {answer}");
    let id = answer["job_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    id
}

async fn job(client: &Signer, id: &str) -> Value {
    let (status, one) = client.ask("GET", &format!("/v1/{}/jobs/{id}", client.project), &Value::Null).await;
    let (_, other) = client.ask("GET", &format!("/v1/cloudimages/job/{id}"), &Value::Null).await;
    assert_eq!((status, &one["status"], &one["job_id"]), (200, &other["status"], &json!(id)));
    one
}

/// The job as it ended.
async fn done(client: &Signer, id: &str) -> Value {
    work_off(&client.service).await;
    job(client, id).await
}

async fn image(client: &Signer, id: &str) -> Value {
    client.ask("GET", &format!("/v2/cloudimages?id={id}"), &Value::Null).await.1["images"][0].clone()
}

fn with(body: &Value, more: Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const CREATE: &str = "/v2/cloudimages/action";
const QUICK: &str = "/v2/cloudimages/quickimport/action";
const DATA: &str = "/v1/cloudimages/dataimages/action";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_made_from_a_file_and_says_what_the_reference_says() {
    let (outer, client) = boxed();
    put(outer.path(), "web.qcow2", &empty_qcow2(1 << 30));
    let asked = json!({
        "name": "web", "description": "a server", "image_url": "in:web.qcow2", "min_disk": 40,
        "os_version": "centos 7.0 64bit", "architecture": "x86", "hw_firmware_type": "uefi", "min_ram": "512",
        "max_ram": 4096, "image_tags": [{"key": "env", "value": "prod"}], "is_config": true,
        "enterprise_project_id": "e1", "type": "ECS",
    });
    let id = began(&client, "POST", CREATE, &asked).await;
    let waiting = job(&client, &id).await;
    let made = waiting["entities"]["image_id"].as_str().unwrap().to_owned();
    for (key, wanted) in [
        ("status", json!("INIT")),
        ("job_type", json!("imsImportImageJob")),
        ("end_time", json!("")),
        ("error_code", Value::Null),
        ("fail_reason", Value::Null),
    ] {
        assert_eq!(waiting[key], wanted, "{key}");
    }
    assert_eq!(waiting["entities"]["process_percent"], json!(0.0));
    assert_eq!(image(&client, &made).await["status"], "saving");
    let ended = done(&client, &id).await;
    assert_eq!((&ended["status"], &ended["entities"]["process_percent"]), (&json!("SUCCESS"), &json!(1.0)));
    assert_eq!(ended["entities"]["image_name"], "web");
    assert!(ended["end_time"].as_str().unwrap().ends_with('Z'));
    let image = image(&client, &made).await;
    for (key, wanted) in [
        ("status", json!("active")),
        ("visibility", json!("private")),
        ("disk_format", json!("qcow2")),
        ("min_disk", json!(40)),
        ("min_ram", json!(512)),
        ("max_ram", json!("4096")),
        ("virtual_size", json!(1u64 << 30)),
        ("__data_origin", json!("file,in:web.qcow2")),
        ("__root_origin", json!("file")),
        ("__image_source_type", json!("uds")),
        ("__os_version", json!("centos 7.0 64bit")),
        ("__os_type", json!("Linux")),
        ("__os_bit", json!("64")),
        ("__platform", json!("CentOS")),
        ("__description", json!("a server")),
        ("__is_config_init", json!("false")),
        ("hw_firmware_type", json!("uefi")),
        ("virtual_env_type", json!("FusionCompute")),
        ("enterprise_project_id", json!("e1")),
        ("tags", json!(["env=prod"])),
    ] {
        assert_eq!(image[key], wanted, "{key}");
    }
    // Of another project it is not there, an administrator's token or not.
    let other = client.tenant("fleet");
    refused(&other, "GET", &format!("/v1/cloudimages/job/{id}"), &Value::Null, "IMG.0023").await;
    refused(&other, "GET", &format!("/v1/{}/jobs/{id}", client.project), &Value::Null, "IMG.0030").await;
    for none in ["x", "00000000000000000000000000000001"] {
        refused(&client, "GET", &format!("/v1/cloudimages/job/{none}"), &Value::Null, "IMG.0023").await;
    }
    let theirs = began(&other, "POST", CREATE, &asked).await;
    refused(&client, "GET", &format!("/v1/cloudimages/job/{theirs}"), &Value::Null, "IMG.0023").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_create_is_refused_for_has_its_code() {
    let (outer, client) = boxed();
    put(outer.path(), "a.raw", b"data");
    put(outer.path(), "empty", b"");
    let good = json!({"name": "web", "image_url": "in:a.raw", "min_disk": 40});
    for (more, wanted) in [
        (json!({"name": ""}), "IMG.0013"),
        (json!({"name": "x".repeat(129)}), "IMG.0002"),
        (json!({"name": "a/b"}), "IMG.0003"),
        (json!({"description": "x".repeat(1025)}), "IMG.0004"),
        (json!({"description": "a<b"}), "IMG.0054"),
        (json!({"min_disk": 0}), "IMG.0055"),
        (json!({"min_disk": 1025}), "IMG.0055"),
        (json!({"min_disk": null}), "IMG.0055"),
        (json!({"min_ram": -1}), "IMG.0055"),
        (json!({"image_url": "in"}), "IMG.0057"),
        (json!({"image_url": ":a.raw"}), "IMG.0068"),
        (json!({"image_url": "i/n:a.raw"}), "IMG.0109"),
        (json!({"image_url": "in:a b.raw"}), "IMG.0175"),
        (json!({"image_url": "in:none"}), "IMG.0057"),
        (json!({"image_url": "in:empty"}), "IMG.0057"),
        (json!({"image_url": "in:../in/a.raw"}), "IMG.0075"),
        (json!({"image_url": "in:/etc/passwd"}), "IMG.0075"),
        (json!({"image_url": "nowhere:a.raw"}), "IMG.0069"),
        (json!({"image_url": "closed:a.raw"}), "IMG.0069"),
        (json!({"image_url": 1}), "IMG.0001"),
        (json!({"is_config": "perhaps"}), "IMG.0001"),
        (json!({"type": "DataImage"}), "IMG.0024"),
        (json!({"type": "IsoImage"}), "IMG.0166"),
        (json!({"is_quick_import": true}), "IMG.0159"),
        (json!({"os_type": "BSD"}), "IMG.0122"),
        (json!({"os_version": "x".repeat(256)}), "IMG.0056"),
        (json!({"architecture": "mips"}), "IMG.0212"),
        (json!({"hw_firmware_type": "coreboot"}), "IMG.0141"),
        (json!({"cmk_id": "k"}), "IMG.0095"),
        (json!({"tags": ["a.b"], "image_tags": [{"key": "a", "value": "b"}]}), "IMG.0115"),
        (json!({"tags": ["dotless"]}), "IMG.0115"),
        (
            json!({"image_tags": (0..11).map(|n| json!({"key": format!("k{n}")})).collect::<Vec<_>>()}),
            "IMG.0116",
        ),
        (json!({"instance_id": "i"}), "IMG.0005"),
        (json!({"volume_id": "v"}), "IMG.0120"),
        (json!({"data_images": [{"name": "d", "volume_id": "v"}]}), "IMG.0120"),
        (json!({"data_images": "d"}), "IMG.0001"),
        (json!({"data_images": [{}, {}, {}, {}]}), "IMG.0194"),
        (json!({"data_images": [{"image_url": "in:a.raw"}]}), "IMG.0055"),
    ] {
        refused(&client, "POST", CREATE, &with(&good, more), wanted).await;
    }
    refused(&client, "POST", CREATE, &json!({"name": "web"}), "IMG.0012").await;
    refused(&client, "POST", CREATE, &Value::Null, "IMG.0007").await;
    refused(&client, "POST", "/v2.1/cloudimages/action", &json!([]), "IMG.0001").await;
    for (more, wanted) in [
        (json!({}), "IMG.0159"),
        (json!({"os_version": "CentOS 7.0 64bit", "license_type": "mine"}), "IMG.0001"),
        (json!({"os_version": "CentOS 7.0 64bit", "type": "IsoImage"}), "IMG.0024"),
    ] {
        refused(&client, "POST", QUICK, &with(&good, more), wanted).await;
    }
    refused(&client, "POST", DATA, &with(&good, json!({"min_disk": 2049})), "IMG.0055").await;
    let whole = "/v1/cloudimages/wholeimages/action";
    for (more, wanted) in [
        (json!({"name": ""}), "IMG.0013"),
        (json!({}), "IMG.0019"),
        (json!({"instance_id": "i"}), "IMG.0005"),
        (json!({"backup_id": "b", "whole_image_type": "CSBS"}), "IMG.0127"),
        (json!({"backup_id": "b"}), "IMG.0020"),
        (json!({"backup_id": "../in", "whole_image_type": "CBR"}), "IMG.0020"),
        (json!({"backup_id": "b", "min_ram": "much"}), "IMG.0055"),
        (json!({"backup_id": "b", "whole_image_type": "X"}), "IMG.0198"),
    ] {
        refused(&client, "POST", whole, &with(&json!({"name": "all"}), more), wanted).await;
    }
    let (_, listed) = client.ask("GET", "/v2/cloudimages", &Value::Null).await;
    assert_eq!(listed["images"], json!([]), "a refusal leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_says_why_and_its_image_is_killed() {
    let (outer, client) = boxed();
    put(outer.path(), "large.qcow2", &empty_qcow2((40 << 30) + 1));
    put(outer.path(), "wrong.vmdk", &empty_qcow2(1));
    put(outer.path(), "plain.raw", &[1; 1000]);
    for (path, file, more, wanted) in [
        (CREATE, "large.qcow2", json!({}), "IMG.0055"),
        (CREATE, "wrong.vmdk", json!({}), "IMG.0057"),
        (CREATE, "plain.raw", json!({"type": "IsoImage", "os_version": "Other(64 bit)"}), "IMG.0057"),
        (QUICK, "large.qcow2", json!({"os_version": "Other(64 bit)"}), "IMG.0158"),
    ] {
        let asked = with(&json!({"name": "x", "image_url": format!("in:{file}"), "min_disk": 40}), more);
        let id = began(&client, "POST", path, &asked).await;
        let ended = done(&client, &id).await;
        assert_eq!((&ended["status"], &ended["error_code"]), (&json!("FAIL"), &json!(wanted)), "{ended}");
        assert!(!ended["fail_reason"].as_str().unwrap().is_empty());
        let made = ended["entities"]["image_id"].as_str().unwrap();
        assert_eq!(image(&client, made).await["status"], "killed");
        let (_, seen) = client.ask("GET", &format!("/v2/images/{made}"), &Value::Null).await;
        assert_eq!(seen["status"], "killed");
        assert_eq!(client.ask("DELETE", &format!("/v2/images/{made}"), &Value::Null).await.0, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_disks_iso_images_and_quick_imports_are_what_they_are() {
    let (outer, client) = boxed();
    put(outer.path(), "disk.raw", &[7; 5000]);
    put(outer.path(), "other.zvhd2", &[9; 5000]);
    let mut iso = vec![0; 40_000];
    iso[32768..32774].copy_from_slice(b"\x01CD001");
    put(outer.path(), "cd.iso", &iso);
    let file = |name: &str| json!({"name": "x", "image_url": format!("in:{name}"), "min_disk": 1});
    let system = json!({"os_version": "Other(64 bit)"});
    for (path, asked, kind, environment, format) in [
        (DATA, file("disk.raw"), "imsImportDataImageJob", "DataImage", "raw"),
        (
            "/v2.1/cloudimages/dataimages/action",
            file("disk.raw"),
            "imsImportDataImageJob",
            "DataImage",
            "raw",
        ),
        (
            CREATE,
            with(&with(&file("cd.iso"), system.clone()), json!({"type": "IsoImage"})),
            "imsImportImageJob",
            "IsoImage",
            "iso",
        ),
        (QUICK, with(&file("other.zvhd2"), system.clone()), "imsImportImageJob", "FusionCompute", "zvhd2"),
        (
            "/v2.1/cloudimages/quickimport/action",
            with(&file("disk.raw"), json!({"type": "DataImage", "os_type": "Windows"})),
            "imsImportImageJob",
            "DataImage",
            "raw",
        ),
        (
            CREATE,
            with(&file("disk.raw"), json!({"type": "BMS", "architecture": "arm", "os_type": "Other"})),
            "imsImportImageJob",
            "Ironic",
            "raw",
        ),
    ] {
        let id = began(&client, "POST", path, &asked).await;
        let ended = done(&client, &id).await;
        assert_eq!(
            (&ended["status"], &ended["job_type"]),
            (&json!("SUCCESS"), &json!(kind)),
            "{asked} {ended}"
        );
        let image = image(&client, ended["entities"]["image_id"].as_str().unwrap()).await;
        assert_eq!(
            (&image["virtual_env_type"], &image["disk_format"]),
            (&json!(environment), &json!(format))
        );
    }
    let (_, arm) = client.ask("GET", "/v2/cloudimages?architecture=arm", &Value::Null).await;
    assert_eq!(arm["images"][0]["hw_firmware_type"], "uefi");
    // A system with its data disks is one job, whose parts tell of each.
    let disks = json!({"data_images": [{"image_url": "in:disk.raw", "min_disk": 1}]});
    let id = began(&client, "POST", CREATE, &with(&file("disk.raw"), disks)).await;
    let ended = done(&client, &id).await;
    assert_eq!((&ended["status"], &ended["job_type"]), (&json!("SUCCESS"), &json!("imsImportOvaImageJob")));
    let parts = ended["entities"]["sub_jobs_result"].as_array().unwrap();
    assert_eq!((parts.len(), &parts[1]["job_type"]), (2, &json!("imsImportDataImageJob")));
    let sole = json!({"data_images": [{"name": "d", "image_url": "in:disk.raw", "min_disk": 1}]});
    let job = began(&client, "POST", CREATE, &sole).await;
    let alone = done(&client, &job).await;
    let found = &alone["entities"]["sub_jobs_result"][0]["entities"]["image_id"];
    assert!(found.is_string() && *found == alone["entities"]["image_id"], "{alone}");
    let data = parts[1]["entities"]["image_id"].as_str().unwrap();
    assert_eq!(
        (&ended["entities"]["__data_images"], &image(&client, data).await["name"]),
        (&json!(data), &json!("x-data-1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_image_is_filled_exported_and_copied() {
    let (outer, client) = boxed();
    put(outer.path(), "a.qcow2", &empty_qcow2(1 << 20));
    let (status, made) =
        client.ask("POST", "/v2/images", &json!({"name": "r", "__os_version": "CentOS 7.0 64bit"})).await;
    assert_eq!(status, 201, "{made}");
    for (key, wanted) in [
        ("status", json!("queued")),
        ("visibility", json!("private")),
        ("disk_format", json!("zvhd2")),
        ("container_format", json!("bare")),
        ("min_disk", json!(40)),
        ("__os_type", json!("Linux")),
        ("__platform", json!("CentOS")),
        ("__os_bit", json!("64")),
        ("__imagetype", json!("private")),
        ("__isregistered", json!("true")),
        ("__image_source_type", json!("uds")),
        ("__image_size", json!("0")),
        ("__root_origin", json!("file")),
        ("virtual_env_type", json!("FusionCompute")),
    ] {
        assert_eq!(made[key], wanted, "{key}");
    }
    let id = made["id"].as_str().unwrap().to_owned();
    let upload = format!("/v1/cloudimages/{id}/upload");
    refused(&client, "PUT", &upload, &json!({}), "IMG.0001").await;
    refused(&client, "PUT", &upload, &json!({"image_url": "in:none"}), "IMG.0057").await;
    let job = began(&client, "PUT", &upload, &json!({"image_url": "in:a.qcow2"})).await;
    let ended = done(&client, &job).await;
    assert_eq!(
        (&ended["status"], &ended["job_type"]),
        (&json!("SUCCESS"), &json!("imsNativeImportImageJob"))
    );
    assert_eq!(ended["entities"]["image_id"], json!(id));
    assert_eq!(image(&client, &id).await["disk_format"], "qcow2");
    refused(&client, "PUT", &upload, &json!({"image_url": "in:a.qcow2", "again": 1}), "IMG.0046").await;

    let file = format!("/v1/cloudimages/{id}/file");
    for (body, wanted) in [
        (json!({"bucket_url": "out:", "file_format": "qcow2"}), "IMG.0073"),
        (json!({"bucket_url": format!("out:{}", "x".repeat(1025)), "file_format": "qcow2"}), "IMG.0074"),
        (json!({"bucket_url": "out:a?b", "file_format": "qcow2"}), "IMG.0075"),
        (json!({"bucket_url": "out:a b", "file_format": "qcow2"}), "IMG.0175"),
        (json!({"bucket_url": "out:../a", "file_format": "qcow2"}), "IMG.0075"),
        (json!({"bucket_url": "in:a", "file_format": "qcow2"}), "IMG.0069"),
        (json!({"bucket_url": "out:a", "file_format": "zvhd"}), "IMG.0072"),
        (json!({"bucket_url": "out:a", "file_format": "qed"}), "IMG.0072"),
        (json!({"bucket_url": "out:a", "file_format": "qcow2", "is_quick_export": true}), "IMG.0072"),
        (json!({"file_format": "qcow2"}), "IMG.0001"),
    ] {
        refused(&client, "POST", &file, &body, wanted).await;
    }
    let to = json!({"bucket_url": "out:b/a.qcow2", "file_format": "qcow2"});
    let job = began(&client, "POST", &file, &to).await;
    refused(&client, "POST", &file, &json!({"bucket_url": "out:c"}), "IMG.0148").await;
    let ended = done(&client, &job).await;
    assert_eq!(
        (&ended["status"], &ended["job_type"]),
        (&json!("SUCCESS"), &json!("imsNativeExportImageJob"))
    );
    assert!(std::fs::read(outer.path().join("out/b/a.qcow2")).unwrap() == empty_qcow2(1 << 20));
    // Not the same request again, which would be a replay.
    refused(&client, "POST", &file, &json!({"bucket_url": "out:b/a.qcow2"}), "IMG.0070").await;
    let quick = json!({"bucket_url": "out:c", "is_quick_export": true});
    let job = began(&client, "POST", &format!("/v2.1/cloudimages/{id}/file"), &quick).await;
    assert_eq!(done(&client, &job).await["status"], "SUCCESS");

    for (format, kind) in
        [("raw", None), ("vhd", Some(probe::Format::Vhd)), ("vmdk", Some(probe::Format::Vmdk))]
    {
        let to = json!({"bucket_url": format!("out:a.{format}"), "file_format": format});
        let ended = began(&client, "POST", &file, &to).await;
        assert_eq!(done(&client, &ended).await["status"], "SUCCESS", "{format}");
        let written = std::fs::read(outer.path().join(format!("out/a.{format}"))).unwrap();
        let disk = kind.map(|kind| fixtures::read(kind, written.clone()).unwrap()).unwrap_or(written);
        assert!(disk == vec![0; 1 << 20], "{format}");
    }

    let copy = format!("/v1/cloudimages/{id}/copy");
    refused(&client, "POST", &copy, &json!({}), "IMG.0013").await;
    refused(&client, "POST", &copy, &json!({"name": "c", "cmk_id": "k"}), "IMG.0095").await;
    let job = began(&client, "POST", &copy, &json!({"name": "c", "description": "again"})).await;
    let ended = done(&client, &job).await;
    assert_eq!(
        (&ended["status"], &ended["job_type"]),
        (&json!("SUCCESS"), &json!("imsCopyImageInRegionJob"))
    );
    let copied = image(&client, ended["entities"]["image_id"].as_str().unwrap()).await;
    for (key, wanted) in [
        ("name", json!("c")),
        ("__originalimagename", json!(id)),
        ("__data_origin", json!(format!("image,RegionOne,{id}"))),
        ("__description", json!("again")),
        ("__os_version", json!("CentOS 7.0 64bit")),
        ("disk_format", json!("qcow2")),
        ("status", json!("active")),
    ] {
        assert_eq!(copied[key], wanted, "{key}");
    }
    assert_eq!(copied.get("__root_origin"), None);
    let (_, again) = client.ask("POST", &format!("/v2.1/cloudimages/{id}/copy"), &json!({"name": "d"})).await;
    assert!(again["job_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ones_own_and_what_is_public_stays() {
    let (outer, client) = boxed();
    put(outer.path(), "a.raw", &[1; 100]);
    let asked = json!({"name": "g", "image_url": "in:a.raw", "min_disk": 1});
    let job = began(&client, "POST", CREATE, &asked).await;
    let id = done(&client, &job).await["entities"]["image_id"].as_str().unwrap().to_owned();
    let other = client.tenant("fleet");
    let (file, copy) = (format!("/v1/cloudimages/{id}/file"), format!("/v1/cloudimages/{id}/copy"));
    let (to, name) = (json!({"bucket_url": "out:x", "file_format": "raw"}), json!({"name": "c"}));
    let across = format!("/v1/cloudimages/{id}/cross_region_copy");
    let far = json!({"name": "c", "region": "eu-1", "project_name": "p", "agency_name": "a"});
    refused(&other, "POST", &file, &to, "IMG.0027").await;
    refused(&other, "POST", &copy, &name, "IMG.0027").await;
    refused(&other, "POST", &across, &far, "IMG.0027").await;
    for (more, wanted) in [
        (json!({"name": ""}), "IMG.0013"),
        (json!({"region": ""}), "IMG.0147"),
        (json!({"region": "RegionOne"}), "IMG.0142"),
        (json!({"project_name": ""}), "IMG.0104"),
        (json!({"agency_name": ""}), "IMG.0151"),
        (json!({}), "IMG.0147"),
    ] {
        refused(&client, "POST", &across, &with(&far, more), wanted).await;
    }
    let public = json!([{"op": "replace", "path": "/visibility", "value": "public"}]);
    let patch =
        crate::api::signature::tests::Sketch::new("PATCH", &format!("/v2/images/{id}"), public.to_string())
            .typed("application/openstack-images-v2.1-json-patch");
    assert_eq!(client.send(&client.sign(patch)).await.0, 200);
    refused(&client, "POST", &file, &to, "IMG.0077").await;
    // Not the requests of before once more, which would be replays.
    refused(&other, "POST", &copy, &json!({"name": "d"}), "IMG.0083").await;
    refused(&other, "POST", &file, &json!({"bucket_url": "out:y"}), "IMG.0047").await;
}

async fn protect(client: &Signer, id: &str, on: bool) {
    let patch = json!([{"op": "replace", "path": "/protected", "value": on}]);
    let sketch = Sketch::new("PATCH", &format!("/v2/images/{id}"), patch.to_string().into_bytes());
    let sketch = sketch.typed("application/openstack-images-v2.1-json-patch");
    let (status, answer) = client.send(&client.sign(sketch)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_machine_is_a_set_made_from_a_backup_and_goes_together() {
    let (outer, client) = boxed();
    let backup = outer.path().join("machines/web-1");
    std::fs::create_dir_all(&backup).unwrap();
    std::fs::write(backup.join("root.qcow2"), empty_qcow2(3 << 30)).unwrap();
    std::fs::write(backup.join("data.raw"), vec![7; 5000]).unwrap();
    let whole = "/v1/cloudimages/wholeimages/action";
    let asked = json!({"name": "web", "backup_id": "web-1", "whole_image_type": "CBR", "tags": ["a.b"]});
    refused(&client, "POST", whole, &asked, "IMG.0020").await;
    std::fs::write(backup.join("machine.json"), r#"{"system": 1}"#).unwrap();
    let again = |number: u32| with(&asked, json!({"description": format!("try {number}")}));
    refused(&client, "POST", whole, &again(1), "IMG.0032").await;
    std::fs::write(backup.join("machine.json"), r#"{"system": "gone.raw"}"#).unwrap();
    refused(&client, "POST", whole, &again(2), "IMG.0057").await;
    let manifest = json!({
        "system": "root.qcow2", "data": ["data.raw"], "os_version": "CentOS 7.0 64bit", "min_ram_mib": 1024,
    });
    std::fs::write(backup.join("machine.json"), manifest.to_string()).unwrap();
    let id = began(&client, "POST", whole, &again(3)).await;
    refused(&client, "POST", whole, &again(4), "IMG.0134").await;
    let ended = done(&client, &id).await;
    assert_eq!(
        (&ended["status"], &ended["job_type"]),
        (&json!("SUCCESS"), &json!("imsCreateWholeImageByBackupJob"))
    );
    let system = image(&client, ended["entities"]["image_id"].as_str().unwrap()).await;
    for (key, value) in [
        ("name", json!("web")),
        ("status", json!("active")),
        ("__whole_image", json!("true")),
        ("__backup_id", json!("web-1")),
        ("__data_origin", json!("server_backup,web-1")),
        ("__os_version", json!("CentOS 7.0 64bit")),
        ("min_disk", json!(3)),
        ("min_ram", json!(1024)),
        ("disk_format", json!("qcow2")),
        ("tags", json!(["a=b"])),
    ] {
        assert_eq!(system[key], value, "{key}: {system}");
    }
    let (_, set) =
        client.ask("GET", "/v2/cloudimages?__backup_id=web-1&__whole_image=true", &Value::Null).await;
    let set = set["images"].as_array().unwrap();
    let data = set.iter().find(|image| image["name"] == "web-data-1").unwrap();
    assert_eq!(
        (set.len(), &data["virtual_env_type"], &data["min_disk"]),
        (2, &json!("DataImage"), &json!(1))
    );
    // None of a set leaves or is copied, and the set is deleted together, or not at all.
    let (system, data) = (system["id"].as_str().unwrap(), data["id"].as_str().unwrap());
    refused(&client, "POST", &format!("/v1/cloudimages/{data}/copy"), &json!({"name": "x"}), "IMG.0128")
        .await;
    protect(&client, data, true).await;
    let (path, together) = (format!("/v2/images/{system}"), json!({"delete_backup": true}));
    let spaced = Sketch::new("DELETE", &path, format!("{together} "));
    assert_eq!(client.send(&client.sign(spaced)).await.0, 403);
    assert_eq!(image(&client, system).await["status"], "active", "nothing was deleted");
    protect(&client, data, false).await;
    assert_eq!(client.ask("DELETE", &path, &together).await.0, 204);
    let (_, left) = client.ask("GET", "/v2/cloudimages", &Value::Null).await;
    assert_eq!(left["images"], json!([]));
    // The backup is the operator's, and is there to be used again.
    began(&client, "POST", whole, &again(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_quota_refuses_has_its_code_at_once_and_in_the_job() {
    let (outer, client) = boxed();
    put(outer.path(), "a.raw", &[7; 1 << 20]);
    let admin = client.service.local_admin().unwrap();
    let limit = |resource, most| {
        let setting = vec![(resource, Some(Limit::AtMost(most)))];
        client.service.set_default_quotas(&admin, setting).unwrap();
    };
    let asked =
        json!({"name": "web", "image_url": "in:a.raw", "min_disk": 40, "os_version": "CentOS 7.0 64bit"});
    limit(Resource::ImageSizeTotal, 0);
    refused(&client, "POST", CREATE, &with(&asked, json!({"name": "large"})), "IMG.0015").await;
    limit(Resource::ImageSizeTotal, 1);
    limit(Resource::ImageCountTotal, 0);
    refused(&client, "POST", CREATE, &with(&asked, json!({"name": "many"})), "IMG.0015").await;
    limit(Resource::ImageCountTotal, 1);
    let id = began(&client, "POST", CREATE, &asked).await;
    put(outer.path(), "a.raw", &[7; (1 << 20) + 1]);
    let ended = done(&client, &id).await;
    assert_eq!((&ended["status"], &ended["error_code"]), (&json!("FAIL"), &json!("IMG.0015")), "{ended}");
    assert!(ended["fail_reason"].as_str().unwrap().contains("image_size_total"), "{ended}");
}
