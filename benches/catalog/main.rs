//! How long the pages of image listings take, and how fast images are added.
//!
//! `cargo bench --bench catalog [-- COUNT] [sealed]` fills a catalog file, plain or sealed, with COUNT
//! images (10,000) of a thousand projects, commits some small changes one by one, and prints the
//! median time of a page of 25 per filter and per order, each also as a ratio to the default page,
//! first with what it needs in memory, and at last with next to nothing there. It also changes images with and
//! without an audit record. It measures and judges nothing.

mod audit;
mod images;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use images::{PROJECTS, fill, image, project};
use tintype::base::OsEntropy;
use tintype::catalog::images::{
    Comparison, Direction, Filters, ListQuery, NumberBounds, SortKey, Viewer, list,
};
use tintype::db::{CatalogFile, Db, Options, SEAL_KEY_BYTES, SealKey, Table};
use tintype::model::Visibility;
use tintype::model::image::MemberStatus;

const PAGE_ROWS: usize = 25;
/// Times each page is read; the median counts.
const ROUNDS: usize = 101;
/// Small changes committed one by one; the median counts.
const COMMITS: u64 = 501;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    // Cargo adds `--bench` of its own.
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let sealed = arguments.iter().position(|word| word == "sealed").map(|at| arguments.remove(at)).is_some();
    let count: u64 = arguments.first().map_or(Ok(10_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("catalog.redb");
    let db = open(&path, sealed, 256 << 20)?;

    let start = Instant::now();
    fill(&db, count)?;
    let took = start.elapsed();
    let mib = std::fs::metadata(&path)?.len() >> 20;
    println!(
        "{count} images added in {took:.1?}: {:.0} images/s, {mib} MiB",
        count as f64 / took.as_secs_f64()
    );

    println!("a small commit: {:.1} us", commit(&db)?.as_secs_f64() * 1e6);
    audit::measure(&dir.path().join("audited.redb"))?;

    let default = median(&db, &page())?;
    for (name, query) in queries(count) {
        let time = median(&db, &query)?;
        let rows = list(&db.read()?, &query)?.len();
        let ratio = time.as_secs_f64() / default.as_secs_f64();
        println!("{name:<40} {:>9.1} us  {ratio:>6.2} x  {rows:>2} rows", time.as_secs_f64() * 1e6);
    }
    db.close()?;
    let time = median(&open(&path, sealed, 1 << 16)?, &page())?;
    println!("default, nothing in memory: {:.1} us", time.as_secs_f64() * 1e6);
    Ok(())
}

fn open(path: &Path, sealed: bool, cache_bytes: usize) -> Result<Db, tintype::db::Error> {
    let options = Options { cache_bytes, ..Options::default() };
    let key = SealKey::new([7; SEAL_KEY_BYTES].into());
    let file = CatalogFile::claim(path)?;
    if sealed { file.open_sealed(&[key], &OsEntropy, options) } else { file.open_plain(options) }
}

/// The median time of a commit of one small record, made durable.
fn commit(db: &Db) -> Result<Duration, Box<dyn Error>> {
    const NOTES: Table = Table::derived("notes-1");
    let mut times = Vec::with_capacity(COMMITS as usize);
    for number in 0..COMMITS {
        let start = Instant::now();
        db.write(move |txn| txn.put(&NOTES, &number.to_be_bytes(), &[0; 200]))?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// The default page of a project that owns some images.
fn page() -> ListQuery {
    ListQuery {
        viewer: Viewer::Project { project: project(3), member_status: Some(MemberStatus::Accepted) },
        filters: Filters::default(),
        sort: Vec::new(),
        after: None,
        limit: PAGE_ROWS,
    }
}

fn queries(count: u64) -> Vec<(String, ListQuery)> {
    let middle = count / 2;
    let one = |text: String| Some(vec![text]);
    let filters = |filters| ListQuery { filters, ..page() };
    let admin = || ListQuery { viewer: Viewer::Admin { project: None }, ..page() };
    let member = Viewer::Project { project: project(PROJECTS), member_status: Some(MemberStatus::Accepted) };
    // A multiple of ten: public, so that every viewer may list it.
    let public = image(middle - middle % 10);
    let named = |name: &str, query| (name.to_owned(), query);
    let mut queries = vec![
        named("default", page()),
        named("default, from the middle", ListQuery { after: Some(public.id), ..page() }),
        named("default, administrator", admin()),
        named("default, one share in 1000 images", ListQuery { viewer: member, ..page() }),
        named("id", filters(Filters { ids: one(public.id.to_string()), ..Filters::default() })),
        named("name", filters(Filters { names: public.name.clone().map(|n| vec![n]), ..Filters::default() })),
        named("name nobody has", filters(Filters { names: one("x".into()), ..Filters::default() })),
        named("status=active", filters(Filters { statuses: one("active".into()), ..Filters::default() })),
        named("status=queued", filters(Filters { statuses: one("queued".into()), ..Filters::default() })),
        named("disk_format=raw", filters(Filters { disk_formats: one("raw".into()), ..Filters::default() })),
        named("tag", filters(Filters { tags: vec!["t10".into()], ..Filters::default() })),
        named(
            "property",
            filters(Filters {
                properties: [("os_distro".to_owned(), "distro-10".to_owned())].into(),
                ..Filters::default()
            }),
        ),
        named("size", filters(Filters { size: exactly(public.size_bytes), ..Filters::default() })),
        named("owner=own", filters(Filters { owner: Some(project(3).0), ..Filters::default() })),
        named(
            "visibility=community",
            filters(Filters { visibility: Some(Some(Visibility::Community)), ..Filters::default() }),
        ),
        named("hidden", filters(Filters { hidden: true, ..Filters::default() })),
        named(
            "created_at before the middle",
            filters(Filters {
                created_at: vec![(Comparison::Less, public.created_at)],
                ..Filters::default()
            }),
        ),
        named(
            "tag, by name",
            ListQuery {
                sort: vec![(SortKey::Name, Direction::Ascending)],
                ..filters(Filters { tags: vec!["t10".into()], ..Filters::default() })
            },
        ),
    ];
    for key in [
        SortKey::Name,
        SortKey::Status,
        SortKey::ContainerFormat,
        SortKey::DiskFormat,
        SortKey::Size,
        SortKey::Id,
        SortKey::CreatedAt,
        SortKey::UpdatedAt,
    ] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let query = ListQuery { sort: vec![(key, direction)], ..page() };
            queries.push((format!("by {key:?} {direction:?}"), query));
        }
    }
    let mixed = vec![(SortKey::Name, Direction::Ascending), (SortKey::Size, Direction::Descending)];
    queries.push(named("by Name Ascending, Size Descending", ListQuery { sort: mixed, ..page() }));
    queries
}

fn exactly(number: Option<u64>) -> NumberBounds {
    NumberBounds { min: number, max: number }
}

/// The time of one page, with the snapshot it is read from.
fn median(db: &Db, query: &ListQuery) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        std::hint::black_box(list(&db.read()?, query)?);
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[ROUNDS / 2])
}
