//! An image's data in other formats, as an HTTP client sees it.

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::api::context::LocalAdmin;
use crate::disk::{fixtures, probe};
use crate::service::images::ExportRules;
use crate::service::{Rules, testing};

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Data, zeros, data that does not end on a cluster.
fn guest() -> Vec<u8> {
    let noise = (0..150_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8);
    let mut disk: Vec<u8> = noise.collect();
    disk.resize(3 << 20, 0);
    disk.extend(b"all work and no play makes Jack a dull boy".repeat(5000));
    disk.resize(disk.len().next_multiple_of(512), 0);
    disk
}

/// A router whose caller is the administrator, and the path of the file of an image with this data.
async fn image(format: &str, data: &[u8]) -> (Router, String) {
    image_under(testing::rules(), format, data).await
}

async fn image_under(rules: Rules, format: &str, data: &[u8]) -> (Router, String) {
    let state = ApiState { service: testing::service_with(rules).0, public_url: None };
    let router = crate::api::router(state).layer(axum::Extension(LocalAdmin));
    let record = format!(r#"{{"name": "disk", "disk_format": "{format}", "container_format": "bare"}}"#);
    let created = ask(&router, "POST", "/v2/images", &[], record.as_bytes()).await;
    let created: Value = serde_json::from_slice(&created.body).unwrap();
    let id = created["id"].as_str().unwrap();
    let octets = [("content-type", "application/octet-stream")];
    let put = ask(&router, "PUT", &format!("/v2/images/{id}/file"), &octets, data).await;
    assert_eq!(put.status, 204);
    (router, format!("/tintype/v1/images/{id}/file"))
}

/// What our readers make of a file.
fn read(form: Form, file: Vec<u8>) -> Vec<u8> {
    let format = match form.disk_format() {
        "raw" => return file,
        "qcow2" => probe::Format::Qcow2,
        "vmdk" => probe::Format::Vmdk,
        "vhd" => probe::Format::Vhd,
        "vhdx" => probe::Format::Vhdx,
        _ => probe::Format::Vdi,
    };
    fixtures::read(format, file).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_leaves_in_every_format_with_its_length_and_a_name() {
    let disk = guest();
    let (router, path) = image("raw", &disk).await;
    for form in Form::ALL {
        let asked = format!("{path}?format={}", form.as_str());
        let head = ask(&router, "HEAD", &asked, &[], b"").await;
        let whole = ask(&router, "GET", &asked, &[], b"").await;
        assert_eq!((head.status, whole.status, head.body.len()), (200, 200, 0), "{}", form.as_str());
        let named = format!("filename=\"disk.{}\"", form.disk_format());
        assert!(whole.header(CONTENT_DISPOSITION).contains(&named), "{}", whole.header(CONTENT_DISPOSITION));
        assert_eq!(head.header(ETAG), whole.header(ETAG));
        assert_eq!(head.header(ACCEPT_RANGES), if form == Form::Vmdk { "none" } else { "bytes" });
        if !form.is_compressed() {
            assert_eq!(head.header(CONTENT_LENGTH), whole.body.len().to_string(), "{}", form.as_str());
        }
        assert!(read(form, whole.body) == disk, "{}", form.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_a_format_is_that_part_of_the_whole() {
    let (router, path) = image("raw", &guest()).await;
    for form in Form::ALL.into_iter().filter(|form| *form != Form::Vmdk) {
        let asked = format!("{path}?format={}", form.as_str());
        let whole = ask(&router, "GET", &asked, &[], b"").await;
        let (tag, size) = (whole.header(ETAG), whole.body.len());
        for (start, end) in [(0, 1), (500, 70_000), (65_535, 65_537), (size - 700, size)] {
            let range = format!("bytes={start}-{}", end - 1);
            let part = ask(&router, "GET", &asked, &[("range", &range), ("if-range", tag)], b"").await;
            assert_eq!(part.status, 206, "{} {range}", form.as_str());
            assert_eq!(part.header(CONTENT_RANGE), format!("bytes {start}-{}/{size}", end - 1));
            assert!(part.body == whole.body[start..end], "{} {range}", form.as_str());
        }
        let other =
            ask(&router, "GET", &asked, &[("range", "bytes=5-"), ("if-range", "\"other\"")], b"").await;
        assert_eq!((other.status, other.body.len()), (200, size));
        let outside = format!("bytes={size}-");
        assert_eq!(ask(&router, "GET", &asked, &[("range", &outside)], b"").await.status, 416);
        assert_eq!(ask(&router, "GET", &asked, &[("if-none-match", tag)], b"").await.status, 304);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_not_packed_for_who_gets_nothing_of_it() {
    // One unit: room to know the disk by, and none for what packing it tells.
    let exports = ExportRules { layout_bytes: 1024, ..ExportRules::default() };
    let (router, path) = image_under(Rules { exports, ..testing::rules() }, "raw", &guest()).await;
    let asked = format!("{path}?format=qcow2-compressed");
    let head = ask(&router, "HEAD", &asked, &[], b"").await;
    let tag = head.header(ETAG);
    assert_eq!((head.status, ask(&router, "GET", &asked, &[], b"").await.status), (200, 503));
    for (header, tag, status) in [("if-none-match", tag, 304), ("if-match", "\"other\"", 412)] {
        assert_eq!(ask(&router, "GET", &asked, &[(header, tag)], b"").await.status, status, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vmdk_goes_out_as_it_is_packed_and_has_no_ranges() {
    let (router, path) = image("raw", &guest()).await;
    let asked = format!("{path}?format=vmdk");
    let one = ask(&router, "GET", &asked, &[], b"").await;
    let part = ask(&router, "GET", &asked, &[("range", "bytes=9-")], b"").await;
    assert_eq!((one.status, one.header(CONTENT_LENGTH), one.header(ACCEPT_RANGES)), (200, "", "none"));
    assert_eq!(part.status, 200);
    assert!(one.body == part.body, "each time the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_format_came_in_makes_no_difference_to_the_disk() {
    let disk = guest();
    let (router, path) = image("raw", &disk).await;
    for form in [Form::Qcow2, Form::Qcow2Compressed, Form::Vmdk, Form::Vhd, Form::Vhdx, Form::Vdi] {
        let file = ask(&router, "GET", &format!("{path}?format={}", form.as_str()), &[], b"").await.body;
        let (router, path) = image(form.disk_format(), &file).await;
        let raw = ask(&router, "GET", &format!("{path}?format=raw"), &[], b"").await;
        assert_eq!((raw.status, raw.body.len()), (200, disk.len()), "{}", form.as_str());
        assert!(raw.body == disk, "{}", form.as_str());
        let stored = ask(&router, "GET", &path, &[], b"").await;
        assert!(stored.body == file, "without a format: the bytes that came");
        assert_ne!(stored.header(ETAG), raw.header(ETAG));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_there_is_not_is_refused_with_those_there_are() {
    let (router, path) = image("raw", &[1; 512]).await;
    let refused = ask(&router, "GET", &format!("{path}?format=zvhd2"), &[], b"").await;
    let said = String::from_utf8(refused.body).unwrap();
    assert_eq!(refused.status, 400);
    assert!(said.contains("zvhd2") && Form::ALL.iter().all(|form| said.contains(form.as_str())), "{said}");
    assert_eq!(ask(&router, "GET", &format!("{path}?format=raw&format=vdi"), &[], b"").await.status, 400);
    let missing = "/tintype/v1/images/00000000-0000-4000-8000-000000000000/file?format=raw";
    assert_eq!(ask(&router, "GET", missing, &[], b"").await.status, 404);
}

/// An image that is a stream of grains, one of which is damaged: its tables are in order. The file's path, and the bytes of the
/// disk that cannot be had.
async fn damaged(grain: usize) -> (Router, String, std::ops::Range<usize>) {
    const GRAIN_BYTES: usize = 64 << 10;
    let disk = fixtures::pattern(16 * GRAIN_BYTES, 1);
    let (router, path) = image("raw", &disk).await;
    let mut file = ask(&router, "GET", &format!("{path}?format=vmdk"), &[], b"").await.body;
    // All grains are about as long; before them is what the header says, and the tables behind them take little.
    let first = u64::from_le_bytes(file[64..72].try_into().unwrap()) as usize * 512;
    let at = first + (file.len() - first - 4096) * (2 * grain + 1) / 32;
    file[at..at + 8].fill(0xff);
    let (router, path) = image("vmdk", &file).await;
    (router, path, grain * GRAIN_BYTES..(grain + 1) * GRAIN_BYTES)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_refused_with_its_reason_before_the_answer_begins() {
    let (router, path, _) = damaged(0).await;
    for form in ["raw", "vdi", "qcow2"] {
        let asked = format!("{path}?format={form}");
        let head = ask(&router, "HEAD", &asked, &[], b"").await;
        assert_eq!(head.status, 200, "nothing is read for it");
        let refused =
            ask(&router, "GET", &asked, &[("range", &format!("bytes={}-", 1 << 30))], b"").await.status;
        assert_eq!(refused, 416);
        let known = ask(&router, "GET", &asked, &[("if-none-match", head.header(ETAG))], b"").await;
        assert_eq!(known.status, 304);
    }
    let whole = ask(&router, "GET", &format!("{path}?format=raw"), &[], b"").await;
    assert_eq!(whole.status, 415);
    let said = String::from_utf8(whole.body).unwrap();
    assert!(said.contains("vmdk compressed data") && said.contains("(bad-data)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_where_a_transfer_broke_off_hears_why() {
    let (router, path, bad) = damaged(15).await;
    let asked = format!("{path}?format=raw");
    let request = Request::builder().uri(&asked).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let (mut body, mut arrived) = (response.into_body(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        arrived += frame.into_data().unwrap().len();
    }
    assert!(arrived > 0 && arrived <= bad.start, "{arrived}");
    let before = format!("bytes=0-{}", bad.start - 1);
    assert_eq!(ask(&router, "GET", &asked, &[("range", &before)], b"").await.status, 206);
    let rest = format!("bytes={}-", bad.start);
    let refused = ask(&router, "GET", &asked, &[("range", &rest)], b"").await;
    assert_eq!(refused.status, 415);
    let said = String::from_utf8(refused.body).unwrap();
    assert!(said.contains("(bad-data)"), "{said}");
}
