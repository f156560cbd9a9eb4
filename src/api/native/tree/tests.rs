//! Trees of images as clients of HTTP see them.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AsHeaderName, CONTENT_LENGTH};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::api::context::LocalAdmin;
use crate::disk::inside::fixtures::{Content, ext, iso};
use crate::service::testing;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: impl AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(router, "GET", path, headers, Vec::new()).await
}

/// A router whose caller is the administrator, and the path of an image of this data.
async fn image(format: &str, data: Vec<u8>) -> (Router, String) {
    image_of(json!({"name": "disk", "disk_format": format, "container_format": "bare"}), data).await
}

async fn image_of(record: Value, data: Vec<u8>) -> (Router, String) {
    let state = ApiState { service: testing::service().0, public_url: None };
    let router = crate::api::router(state).layer(axum::Extension(LocalAdmin));
    let created = ask(&router, "POST", "/v2/images", &[], record.to_string().into_bytes()).await.json();
    let id = created["id"].as_str().unwrap();
    let octets = [("content-type", "application/octet-stream")];
    let stored = ask(&router, "PUT", &format!("/v2/images/{id}/file"), &octets, data).await;
    assert_eq!(stored.status, 204);
    (router, format!("/tintype/v1/images/{id}"))
}

fn disc() -> Vec<u8> {
    let release: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
    let files = [
        ("/dists/stable/Release", Content::File(&release)),
        ("/dists/<b>&\"x", Content::File(b"")),
        ("/pool/a b.deb", Content::File(b"package")),
    ];
    iso(&files, true)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_with_their_length_their_tag_and_ranges_of_them() {
    let (router, image) = image("iso", disc()).await;
    let path = format!("{image}/tree/dists/stable/Release");
    let whole = get(&router, &path, &[]).await;
    assert_eq!((whole.status, whole.header(CONTENT_LENGTH), whole.body.len()), (200, "600000", 600_000));
    assert!(whole.body.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
    assert_eq!(whole.header(X_CONTENT_TYPE_OPTIONS), "nosniff");
    let part = get(&router, &path, &[("range", "bytes=262140-262150")]).await;
    assert_eq!((part.status, part.header(CONTENT_RANGE)), (206, "bytes 262140-262150/600000"));
    assert_eq!(part.body, whole.body[262_140..=262_150]);
    assert_eq!(get(&router, &path, &[("range", "bytes=600000-")]).await.status, 416);
    let known = get(&router, &path, &[("if-none-match", whole.header(ETAG))]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let other = get(&router, &format!("{image}/tree/pool/a%20b.deb"), &[]).await;
    assert_eq!((other.body.as_slice(), other.header(ETAG) == whole.header(ETAG)), (&b"package"[..], false));
    let head = ask(&router, "HEAD", &path, &[], Vec::new()).await;
    assert_eq!((head.status, head.header(CONTENT_LENGTH), head.body.len()), (200, "600000", 0));
    let empty = get(&router, &format!("{image}/tree/dists/%3Cb%3E&%22x"), &[]).await;
    assert_eq!((empty.status, empty.header(CONTENT_LENGTH), empty.body.len()), (200, "0", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_disk_of_the_same_machine_has_files_with_other_tags() {
    let disks = ["first", "other"].map(|text| ext(&[("/who", Content::File(text.as_bytes()))]));
    let machine = crate::disk::ova::machine_fixture(&[("a.img", &disks[0]), ("b.img", &disks[1])]);
    let record =
        json!({"name": "disk", "disk_format": "raw", "container_format": "ova", "tintype_disk": "1"});
    let (router, image) = image_of(record, machine).await;
    let path = format!("{image}/tree/who");
    let first = get(&router, &path, &[]).await;
    assert_eq!((first.status, first.body.as_slice()), (200, &b"first"[..]));
    let change = json!([{"op": "replace", "path": "/tintype_disk", "value": "2"}]).to_string().into_bytes();
    let patch = [("content-type", "application/openstack-images-v2.1-json-patch")];
    let record = image.replace("/tintype/v1", "/v2");
    assert_eq!(ask(&router, "PATCH", &record, &patch, change).await.status, 200);
    let other = get(&router, &path, &[("if-none-match", first.header(ETAG))]).await;
    assert_eq!((other.status, other.body.as_slice()), (200, &b"other"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_refused_with_its_reason_and_head_reads_nothing() {
    let data = crate::disk::fixtures::pattern(600_000, 1);
    let (router, whole) = image("raw", ext(&[("/data", Content::File(&data))])).await;
    let mut vmdk = get(&router, &format!("{whole}/file?format=vmdk"), &[]).await.body;
    // In the file: tables and the other files take far less.
    let at = vmdk.len() / 2;
    vmdk[at..at + 8].fill(0xff);
    let (router, image) = image("vmdk", vmdk).await;
    let path = format!("{image}/tree/data");
    let head = ask(&router, "HEAD", &path, &[], Vec::new()).await;
    assert_eq!((head.status, head.header(CONTENT_LENGTH)), (200, "600000"));
    let (mut statuses, mut said) = (Vec::new(), String::new());
    for at in (0..600_000).step_by(50_000) {
        let part = get(&router, &path, &[("range", &format!("bytes={at}-{}", at + 49_999))]).await;
        if part.status != 206 {
            said = part.json()["error"]["message"].as_str().unwrap().to_owned();
        }
        statuses.push(part.status);
    }
    assert!(statuses.contains(&206) && statuses.contains(&415), "{statuses:?}");
    assert!(said.contains("(bad-data)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_json_or_a_page_in_which_names_are_text() {
    let (router, image) = image("iso", disc()).await;
    for path in ["/tree", "/tree/"] {
        let listing = get(&router, &format!("{image}{path}"), &[]).await.json();
        let names: Vec<&str> = listing["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (names, &listing["path"], &listing["partition"]),
            (vec!["dists", "pool"], &json!("/"), &json!(0))
        );
    }
    let page = get(&router, &format!("{image}/tree/dists/"), &[("accept", "text/html,*/*")]).await;
    assert_eq!(page.header(CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(page.header(CONTENT_SECURITY_POLICY), "default-src 'none'; sandbox");
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains(&format!("<a href=\"{image}/tree/\">../</a>")), "{page}");
    assert!(page.contains(&format!("<a href=\"{image}/tree/dists/stable/\">stable/</a>")), "{page}");
    let odd = format!("<a href=\"{image}/tree/dists/%3Cb%3E%26%22x\">&lt;b&gt;&amp;&quot;x</a>");
    assert!(page.contains(&odd), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let (router, image) = image("iso", disc()).await;
    for path in ["/tree/nothing", "/tree/pool/a%20b.deb/below", "/tree/?partition=7"] {
        assert_eq!(get(&router, &format!("{image}{path}"), &[]).await.status, 404, "{path}");
    }
    for query in ["partition=x", "partition=-1", "other=1"] {
        assert_eq!(get(&router, &format!("{image}/tree?{query}"), &[]).await.status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_itself_is_told_of_as_what_is_not_in_order() {
    let files = [("/loop", Content::Link("loop")), ("/file", Content::File(b"x"))];
    let (router, image) = image("raw", ext(&files)).await;
    let answer = get(&router, &format!("{image}/tree/loop/x"), &[]).await;
    let message = "loop/x cannot be read from the image: it is more than is looked through: too many links lead to each other";
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (415, &json!(message)));
    assert_eq!(get(&router, &format!("{image}/tree/file"), &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_is_told_and_its_properties_are_set() {
    let files = [
        ("/etc/os-release", Content::File(b"ID=debian\nVERSION_ID=12\n")),
        ("/etc/machine-id", Content::File(b"0123\n")),
    ];
    let (router, image) = image("raw", ext(&files)).await;
    let path = format!("{image}/inspection");
    let told = get(&router, &path, &[]).await.json();
    assert_eq!((&told["os"]["id"], &told["root_partition"]), (&json!("debian"), &json!(0)));
    assert_eq!(told["proposed"], json!({"os_distro": "debian", "os_version": "12"}));
    let codes: Vec<&str> =
        told["findings"].as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["no-cloud-init", "machine-id-left"]);
    let set = ask(&router, "POST", &path, &[], b"{\"overwrite\": false}".to_vec()).await.json();
    assert_eq!(
        (&set["set"], &set["kept"]),
        (&json!({"os_distro": "debian", "os_version": "12"}), &json!({}))
    );
    let again = ask(&router, "POST", &path, &[], Vec::new()).await.json();
    assert_eq!(again["set"], json!({}));
    assert_eq!(ask(&router, "POST", &path, &[], b"{\"x\": 1}".to_vec()).await.status, 400);
}
