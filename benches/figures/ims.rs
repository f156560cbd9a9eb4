//! The image management API: pages under each filter, and what a signature costs.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tintype::base::{Clock, SystemClock};
use tintype::catalog::identity;
use tintype::db::{Db, Options};
use tintype::model::identity::Project;
use tintype::model::{Image, Status, Visibility};

use super::Outcome;
use super::images::{fill_with, image};
use super::load::{rate, token_header};
use super::measure::{Row, Wanted, median, note, processor_seconds, setting};
use super::server::{self, BINARY, Server};
use super::start::IMAGES;

const CONNECTIONS: usize = 4;
/// One of each filter of the reference, and what clients put together.
const FILTERS: [&str; 41] = [
    "",
    "__imagetype=gold&visibility=public&protected=true",
    "__imagetype=private",
    "__imagetype=shared",
    "visibility=shared&__imagetype=shared&member_status=pending",
    "__isregistered=true",
    "__whole_image=true",
    "__whole_image=false",
    "__system__cmkid=none",
    "__os_bit=64",
    "__os_bit=32",
    "__os_type=Linux",
    "__os_type=Windows",
    "__os_type=Other",
    "__os_version=CentOS%207.3%2064bit",
    "__platform=red%20hat",
    "__platform=Windows",
    "__support_kvm=true",
    "__support_xen_hana=true",
    "__support_kvm_gpu_type=V100",
    "virtual_env_type=FusionCompute",
    "virtual_env_type=Ironic",
    "virtual_env_type=IsoImage",
    "architecture=x86",
    "architecture=arm",
    "flavor_id=s6.large.2",
    "name=image-0000077",
    "status=queued",
    "container_format=bare",
    "disk_format=raw",
    "min_ram=512",
    "min_disk=3",
    "protected=true",
    "tag=env=prod",
    "tag=env",
    "tag=rare",
    "enterprise_project_id=0",
    "enterprise_project_id=e7",
    "created_at=gt:2023-11-15T00:00:00Z",
    "updated_at=lte:2023-11-15T00:00:00Z&sort_key=updated_at",
    "sort_key=name&sort_dir=asc&__os_type=Linux",
];

/// Measures every filter, and signed requests beside others.
pub fn run() -> Outcome {
    let dir = server::new_dir()?;
    fill(dir.path())?;
    let key = make_key(dir.path())?;
    let server = Server::start(dir.path())?;
    let token = token_header(&server.sign_in(dir.path())?);
    filters(&server, &token)?;
    signatures(&server, &token, &key)?;
    server.stop()
}

fn filters(server: &Server, token: &str) -> Outcome {
    let time = Duration::from_secs(setting("BENCH_LISTING_S", 4)?) / 4;
    let mut slowest = (f64::INFINITY, "");
    for filter in FILTERS {
        let path = format!("/v2/cloudimages?limit=25&{filter}");
        let rate = rate(server, CONNECTIONS, time, || (path.clone(), token.to_owned()))?;
        note(format!("{rate:>7.0} pages/s  {filter}"));
        if rate < slowest.0 {
            slowest = (rate, filter);
        }
    }
    note(format!("the slowest: {}", slowest.1));
    let unfiltered =
        rate(server, CONNECTIONS, time, || ("/v2/cloudimages?limit=25".to_owned(), token.to_owned()))?;
    Row {
        name: "pages of 25 from 10,000 images, slowest IMS filter",
        figure: slowest.0,
        unit: "1/s",
        yardstick: ("no filter", unfiltered),
        ratio: slowest.0 / unfiltered,
        wanted: Wanted::AtLeast(1500.0),
    }
    .print();
    Ok(())
}

/// The processor time of the same request, signed and with a token.
fn signatures(server: &Server, token: &str, key: &Key) -> Outcome {
    let path = "/v1/cloudimages/os_version?tag=bms";
    let time = Duration::from_secs(setting("BENCH_LISTING_S", 4)?) / 2;
    let (mut signed, mut plain, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting("BENCH_ROUNDS", 5)? {
        let with_key = cost_us(server, time, || (path.to_owned(), key.sign(path)))?;
        let with_token = cost_us(server, time, || (path.to_owned(), token.to_owned()))?;
        signed.push(with_key);
        plain.push(with_token);
        more.push(with_key - with_token);
    }
    note(format!("a signed request costs {:.1} us more than one with a token", median(more.clone())));
    let (signed, plain) = (median(signed), median(plain));
    Row {
        name: "processor time of a signed request over one with a token",
        figure: median(more),
        unit: "us",
        yardstick: ("a request with a token", plain),
        ratio: signed / plain,
        wanted: Wanted::Below(50.0),
    }
    .print();
    Ok(())
}

fn cost_us(
    server: &Server,
    time: Duration,
    request: impl Fn() -> (String, String) + Sync,
) -> Result<f64, Box<dyn Error>> {
    let before = processor_seconds(server.pid())?;
    let rate = rate(server, CONNECTIONS, time, request)?;
    Ok((processor_seconds(server.pid())? - before) * 1e6 / (rate * time.as_secs_f64()))
}

/// An access key of the administrator.
struct Key {
    access: String,
    secret: String,
}

impl Key {
    /// The headers of a signed `GET` without a body.
    fn sign(&self, path: &str) -> String {
        let date = SystemClock.now().rfc3339_seconds().replace(['-', ':'], "");
        let (route, query) = path.split_once('?').unwrap_or((path, ""));
        let names = "host;x-sdk-date";
        let nothing = hex::encode(Sha256::digest(""));
        let request = format!("GET\n{route}/\n{query}\nhost:bench\nx-sdk-date:{date}\n\n{names}\n{nothing}");
        let text = format!("SDK-HMAC-SHA256\n{date}\n{}", hex::encode(Sha256::digest(request)));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any length is a key");
        mac.update(text.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        format!(
            "X-Sdk-Date: {date}\r\nAuthorization: SDK-HMAC-SHA256 Access={}, SignedHeaders={names}, \
             Signature={signature}\r\n",
            self.access
        )
    }
}

fn make_key(dir: &Path) -> Result<Key, Box<dyn Error>> {
    let made =
        Command::new(BINARY).arg("--data").arg(dir).args(["--json", "access-key", "create"]).output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let part = |name: &str| made[name].as_str().map(str::to_owned).ok_or("no access key was made");
    Ok(Key { access: part("access")?, secret: part("secret")? })
}

/// Makes a data directory with many images of one project.
fn fill(dir: &Path) -> Outcome {
    Server::start(dir)?.stop()?;
    let db = Db::open(&dir.join("catalog.redb"), Options::default())?;
    let project = identity::find::<Project>(&db.read()?, "default", "admin")?.ok_or("no project")?.id;
    fill_with(&db, IMAGES, move |n| Image { owner: Some(project.clone()), ..described(n) })?;
    Ok(db.close()?)
}

/// An image with the attributes of the reference, each of them rare or usual as in a real project.
fn described(n: u64) -> Image {
    let mut image = image(n);
    image.hidden = false;
    image.visibility = match n % 20 {
        0 => Visibility::Public,
        1 => Visibility::Shared,
        _ => Visibility::Private,
    };
    image.protected = n.is_multiple_of(20);
    image.status = if n % 100 == 10 { Status::Queued } else { Status::Active };
    image.disk_format = Some(if n % 200 == 3 { "iso" } else { "qcow2" }.into());
    image.min_ram_mib = if n % 50 == 4 { 512 } else { 0 };
    image.tags.extend([format!("env={}", if n.is_multiple_of(3) { "prod" } else { "test" })]);
    if n % 500 == 9 {
        image.tags.insert("rare".into());
    }
    let (os_type, platform) = match n % 10 {
        0 => ("Windows", "Windows"),
        1 | 2 => ("Linux", "RedHat"),
        _ => ("Linux", "CentOS"),
    };
    let mut set = |name: &str, value: String| image.properties.insert(name.into(), value);
    if n % 25 != 24 {
        set("__os_type", os_type.into());
        set("__platform", platform.into());
        set("__os_bit", if n % 40 == 1 { "32" } else { "64" }.into());
        set("__os_version", format!("CentOS 7.{} 64bit", n % 10));
    }
    if n % 100 == 5 {
        set("virtual_env_type", "Ironic".into());
    }
    if n % 64 == 6 {
        set("__support_arm", "true".into());
        set("__support_kvm_gpu_type", "V100".into());
    }
    if n.is_multiple_of(2) {
        set("__support_kvm", "true".into());
    }
    if n % 16 == 7 {
        set("enterprise_project_id", "e7".into());
    }
    image
}
