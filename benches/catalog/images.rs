//! A catalog of many images, as different from each other as those of a thousand projects are.

use std::error::Error;

use tintype::base::Time;
use tintype::catalog::{images, members};
use tintype::db::Db;
use tintype::model::image::{Member, MemberStatus};
use tintype::model::{Image, ImageId, ProjectId, Status, StorePlace, Visibility};

/// Owners of images; the project of this number owns none and is a member of some.
pub const PROJECTS: u64 = 1000;
/// Images added by one commit.
const BATCH: u64 = 1000;

/// Adds the images from 0 up to `count`.
pub fn fill(db: &Db, count: u64) -> Result<(), Box<dyn Error>> {
    fill_with(db, count, image)
}

/// As [`fill`], with images that `image` makes from their numbers.
pub fn fill_with(
    db: &Db,
    count: u64,
    image: impl Fn(u64) -> Image + Clone + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    for batch in (0..count).step_by(BATCH as usize) {
        let image = image.clone();
        db.write(move |txn| {
            (batch..count.min(batch + BATCH)).try_for_each(|n| {
                let image = image(n);
                images::insert(txn, &image)?;
                // The measured project holds one accepted share in a thousand images.
                if n % 1000 == 2 {
                    members::insert(txn, &share(&image))?;
                }
                Ok::<_, tintype::catalog::Error>(())
            })
        })?;
    }
    Ok(())
}

/// The image of a number.
pub fn image(n: u64) -> Image {
    let created_at = Time((1_700_000_000 + n as i64) * Time::SECOND);
    Image {
        id: id(n),
        name: Some(format!("image-{:07}", scatter(n) % 1_000_000)),
        status: if n % 100 == 10 { Status::Queued } else { Status::Active },
        visibility: match n % 10 {
            0 => Visibility::Public,
            1 => Visibility::Community,
            2..6 => Visibility::Shared,
            _ => Visibility::Private,
        },
        protected: false,
        hidden: n % 50 == 20,
        owner: Some(project(scatter(n) % PROJECTS)),
        container_format: Some("bare".into()),
        disk_format: Some(if n.is_multiple_of(3) { "raw" } else { "qcow2" }.into()),
        min_disk_gib: n % 8,
        min_ram_mib: 512,
        size_bytes: Some(scatter(n) % (1 << 34)),
        virtual_size_bytes: None,
        verdict: None,
        digests: None,
        content: None,
        tags: [format!("t{}", n % 500)].into(),
        properties: [
            ("os_distro".to_owned(), format!("distro-{}", n % 20)),
            ("build".to_owned(), n.to_string()),
        ]
        .into(),
        created_at,
        updated_at: created_at.plus_seconds((scatter(n) % 1000) as i64),
        upload: None,
        active_at: None,
        place: StorePlace::HOME,
        copies: Vec::new(),
    }
}

fn share(image: &Image) -> Member {
    Member {
        image: image.id,
        project: project(PROJECTS),
        status: MemberStatus::Accepted,
        created_at: image.created_at,
        updated_at: image.created_at,
    }
}

/// The project of a number.
pub fn project(n: u64) -> ProjectId {
    ProjectId(format!("{n:032x}"))
}

fn id(n: u64) -> ImageId {
    ImageId(uuid::Uuid::from_u64_pair(scatter(n), scatter(!n)))
}

/// Spreads a counter over all of `u64` (the finaliser of splitmix64).
fn scatter(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
