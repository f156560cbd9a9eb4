//! Pages of a million images beside those of ten thousand, under each filter and in each order, as a member of a
//! project that owns a thousandth of them.

use std::error::Error;
use std::time::Duration;

use tintype::db::{Db, Options};
use tintype::model::{Image, ProjectId};

use super::Outcome;
use super::images::{fill_with, image, project};
use super::load::{rate, token_header};
use super::measure::{Row, Wanted, note, setting};
use super::server::{self, Member, Server};
use super::start::IMAGES;

/// One: how long a page takes is asked, not how many there is room for.
const CONNECTIONS: usize = 1;
/// A public image, of both catalogs.
const KNOWN: u64 = 5000;
/// Whose images are the member's.
const OWN: u64 = 3;
/// In the default order.
const FILTERS: [&str; 25] = [
    "",
    "name=NAME",
    "name=nobody-has-it",
    "name=in:NAME,another",
    "id=in:ID",
    "status=active",
    "status=queued",
    "visibility=public",
    "visibility=community",
    "visibility=shared",
    "visibility=private",
    "owner=OWNER",
    "member_status=pending",
    "os_hidden=true",
    "protected=true",
    "container_format=bare",
    "disk_format=raw",
    "disk_format=in:raw,iso",
    "tag=t10",
    "os_distro=distro-10",
    "build=BUILD",
    "min_ram=512",
    "created_at=lt:2023-11-15T00:00:00Z",
    "updated_at=gt:2023-11-15T00:00:00Z",
    "marker=ID",
];
/// For ranges of sizes nothing is kept in order, here as in Glance: images are looked at one by one.
const UNINDEXED: [&str; 1] = ["size_min=17000000000"];
const ORDERS: [&str; 9] = [
    "sort=name:asc",
    "sort=status:desc",
    "sort=container_format:asc",
    "sort=disk_format:desc",
    "sort=size:asc",
    "sort=id:desc",
    "sort=updated_at:asc",
    "sort=created_at:asc",
    "sort=name:asc,size:desc",
];

/// Measures every page in the small catalog and in the large one.
pub fn run() -> Outcome {
    let many = setting("BENCH_MANY_IMAGES", 1_000_000)?;
    let (small, large) = (Filled::new(IMAGES)?, Filled::new(many)?);
    for (what, pages, wanted) in [
        ("filter", &FILTERS[..], Wanted::RatioAtLeast(0.5)),
        ("range of sizes", &UNINDEXED[..], Wanted::Nothing),
        ("order", &ORDERS[..], Wanted::RatioAtLeast(0.1)),
    ] {
        let mut slowest: Option<(f64, f64, f64)> = None;
        for page in pages {
            let (few_s, many_s) = (small.pages_s(page)?, large.pages_s(page)?);
            let ratio = many_s / few_s;
            note(format!("{few_s:>7.0} and {many_s:>7.0} pages/s, {ratio:.2}  {page}"));
            if slowest.is_none_or(|(slowest, ..)| ratio < slowest) {
                slowest = Some((ratio, few_s, many_s));
            }
        }
        let (ratio, few_s, many_s) = slowest.ok_or("no pages")?;
        let name = format!("pages of 25 from {many} images, worst {what}");
        let yardstick = ("from 10,000", few_s);
        Row { name: &name, figure: many_s, unit: "1/s", yardstick, ratio, wanted }.print();
    }
    small.server.stop()?;
    large.server.stop()
}

/// A server with so many images, and a member of a project.
struct Filled {
    server: Server,
    member: Member,
    _dir: tempfile::TempDir,
}

impl Filled {
    fn new(count: u64) -> Result<Filled, Box<dyn Error>> {
        let dir = server::new_dir()?;
        let server = Server::start(dir.path())?;
        let member = server.new_member(&server.sign_in(dir.path())?, "many")?;
        server.stop()?;
        let db = Db::open(&dir.path().join("catalog.redb"), Options::default())?;
        let own = ProjectId(member.project.clone());
        fill_with(&db, count, move |n| {
            let image = image(n);
            let is_own = image.owner == Some(project(OWN));
            Image { owner: if is_own { Some(own.clone()) } else { image.owner }, ..image }
        })?;
        db.close()?;
        let bytes = std::fs::metadata(dir.path().join("catalog.redb"))?.len();
        let server = Server::start(dir.path())?;
        note(format!("{count} images: {} MiB, ready after {:.0?}", bytes >> 20, server.ready_after));
        server.wait_until_idle()?;
        Ok(Filled { server, member, _dir: dir })
    }

    /// Pages a second.
    fn pages_s(&self, page: &str) -> Result<f64, Box<dyn Error>> {
        let known = image(KNOWN);
        let query = page
            .replace("NAME", known.name.as_deref().unwrap_or_default())
            .replace("ID", &known.id.to_string())
            .replace("OWNER", &self.member.project)
            .replace("BUILD", &KNOWN.to_string());
        let (path, header) = (format!("/v2/images?limit=25&{query}"), token_header(&self.member.token));
        let time = Duration::from_secs(setting("BENCH_LISTING_S", 4)?) / 4;
        rate(&self.server, CONNECTIONS, time, || (path.clone(), header.clone()))
    }
}
