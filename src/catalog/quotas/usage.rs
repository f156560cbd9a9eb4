//! What each project uses, and all of them together: one row each, which change in the commits that change images.
//!
//! Invariant: a row says what a count of all images, retained images and reservations would say. Images without an
//! owner are counted together, and no limit holds for them.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::limits::Registered;
use super::{Error, reservations};
use crate::catalog::images;
use crate::catalog::index;
use crate::catalog::records::quota::UsageRecord;
use crate::db::codec;
use crate::db::{self, Db, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::quota::{OverLimit, Resource, Usage};
use crate::model::{Image, ProjectId};

/// Owner, or nothing for all of them together.
pub const USAGE: Table = Table::derived("project-usage-1");

/// The key of the row of all owners together.
const TOTAL: &[u8] = &[2];

/// Rows written in one transaction when all are made anew.
const BATCH_ROWS: usize = 4096;

fn key(owner: Option<&ProjectId>) -> Key {
    match owner {
        None => Key::new().byte(0),
        Some(owner) => Key::new().byte(1).text(owner.as_str()),
    }
}

fn owner(key: &[u8]) -> Result<Option<ProjectId>, Error> {
    let mut reader = KeyReader::new(key);
    let owner = match reader.byte() {
        Some(0) => Some(None),
        Some(1) => reader.text().map(|owner| Some(ProjectId(owner))),
        _ => None,
    };
    Ok(owner.ok_or_else(|| db::Error::Corrupt("a key of what a project uses".into()))?)
}

/// What a project uses, or all images without an owner. One row is read.
///
/// # Errors
/// When the database fails.
pub fn usage_of(rows: &impl Rows, owner: Option<&ProjectId>) -> Result<Usage, Error> {
    Ok(rows.record::<UsageRecord>(&USAGE, key(owner).bytes())?.map(Usage::from).unwrap_or_default())
}

/// What all of them use together. One row is read.
///
/// # Errors
/// When the database fails.
pub fn usage_of_all(rows: &impl Rows) -> Result<Usage, Error> {
    Ok(rows.record::<UsageRecord>(&USAGE, TOTAL)?.map(Usage::from).unwrap_or_default())
}

/// Visits what each project uses, in the order of their ids; first what is of images without an owner.
///
/// # Errors
/// When the database fails, or a row is unreadable; then the visits stop there.
pub fn each_usage(rows: &impl Rows, visit: &mut dyn FnMut(Option<ProjectId>, Usage)) -> Result<(), Error> {
    let mut outcome = Ok(());
    rows.scan(&USAGE, (Bound::Unbounded, Bound::Excluded(TOTAL)), false, &mut |row, value| {
        let read = owner(row).and_then(|owner| Ok((owner, codec::decode::<UsageRecord>(value)?)));
        match read {
            Ok((owner, usage)) => {
                visit(owner, usage.into());
                ControlFlow::Continue(())
            }
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    outcome
}

/// What an owner has of something before a change, or after it.
type Share<'a> = Option<(Option<&'a ProjectId>, Usage)>;

/// Makes the rows follow a change of an image, and refuses it when it raises a use above its limit.
///
/// # Errors
/// [`Error::OverLimit`]; or when the database fails.
pub(super) fn follow(txn: &WriteTxn, before: Share<'_>, after: Share<'_>) -> Result<(), Error> {
    match (before, after) {
        (Some((from, less)), Some((to, more))) if from == to => change(txn, from, less, more),
        (before, after) => {
            if let Some((from, less)) = before {
                change(txn, from, less, Usage::default())?;
            }
            after.map_or(Ok(()), |(to, more)| change(txn, to, Usage::default(), more))
        }
    }
}

fn change(txn: &WriteTxn, owner: Option<&ProjectId>, less: Usage, more: Usage) -> Result<(), Error> {
    if less == more {
        return Ok(());
    }
    let before = usage_of(txn, owner)?;
    let mut after = before.less(less);
    after += more;
    if let Some(project) = owner {
        expect_within(txn, project, &before, &after)?;
    }
    put(txn, key(owner).bytes(), after)?;
    let mut all = usage_of_all(txn)?.less(less);
    all += more;
    put(txn, TOTAL, all)
}

/// Sets a row; one that says nothing is none.
fn put(txn: &WriteTxn, key: &[u8], usage: Usage) -> Result<(), Error> {
    if usage == Usage::default() {
        txn.remove(&USAGE, key)?;
        return Ok(());
    }
    Ok(txn.put_record(&USAGE, key, &UsageRecord::from(usage))?)
}

/// Refuses a use above its limit, where it was lower before.
fn expect_within(txn: &WriteTxn, project: &ProjectId, before: &Usage, after: &Usage) -> Result<(), Error> {
    let risen = |resource: &Resource| after.amount(*resource) > before.amount(*resource);
    let risen: Vec<Resource> = Resource::ALL.into_iter().filter(risen).collect();
    if risen.is_empty() {
        return Ok(());
    }
    let registered = Registered::read(txn)?;
    for resource in risen {
        let (used, wanted) = (before.amount(resource), after.amount(resource));
        let most = registered.applied(txn, project, resource)?.limit.amount(resource);
        if let Some(most) = most.filter(|most| wanted > *most) {
            let project = project.clone();
            let deleted_bytes = match resource {
                Resource::ImageSizeTotal => before.deleted_image_bytes,
                _ => 0,
            };
            let over = OverLimit { project, resource, most, used, more: wanted - used, deleted_bytes };
            return Err(Error::OverLimit(Box::new(over)));
        }
    }
    Ok(())
}

/// What an image takes of its owner's quotas, with what is reserved for it.
fn of_image(rows: &impl Rows, image: &Image) -> Result<Usage, Error> {
    let reserved = match image.status.is_filling() {
        true => reservations::reserved(rows, &image.id)?,
        false => 0,
    };
    Ok(Usage::of_image(image, reserved))
}

/// Counts everything. Takes memory for each project, not for each image.
fn count(rows: &impl Rows) -> Result<BTreeMap<Vec<u8>, Usage>, Error> {
    let mut all: BTreeMap<Vec<u8>, Usage> = BTreeMap::new();
    let mut add = |owner: Option<&ProjectId>, usage: Usage| {
        *all.entry(key(owner).into_bytes()).or_default() += usage;
        *all.entry(TOTAL.to_vec()).or_default() += usage;
    };
    let mut failed = None;
    images::for_each(rows, &mut |image| match of_image(rows, &image) {
        Ok(usage) => add(image.owner.as_ref(), usage),
        Err(error) => failed = Some(error),
    })?;
    images::for_each_retained(rows, &mut |retained| {
        add(retained.image.owner.as_ref(), Usage::of_retained(&retained.image));
    })?;
    failed.map_or(Ok(all), Err)
}

/// Whether the rows are those that a count makes, as of one snapshot.
pub(in crate::catalog) fn is_whole(rows: &impl Rows) -> Result<bool, Error> {
    let counted = count(rows)?;
    let (mut found, mut failed) = (BTreeMap::new(), None);
    rows.scan(&USAGE, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        match codec::decode::<UsageRecord>(value) {
            Ok(usage) => drop(found.insert(key.to_vec(), Usage::from(usage))),
            Err(error) => failed = Some(error),
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(counted == found), |error| Err(error.into()))
}

/// Counts everything anew, in one transaction; says whether anything was counted wrong before. Others wait meanwhile: a
/// second for some ten thousand images.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn recount(txn: &WriteTxn) -> Result<bool, Error> {
    if is_whole(txn)? {
        return Ok(false);
    }
    let mut old = Vec::new();
    txn.scan(&USAGE, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, _| {
        old.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    old.iter().try_for_each(|key| txn.remove(&USAGE, key).map(drop))?;
    for (key, usage) in count(txn)? {
        txn.put_record(&USAGE, &key, &UsageRecord::from(usage))?;
    }
    Ok(true)
}

/// Counts everything where an earlier release counted nothing, or changed images without counting; says whether it had
/// to. For a catalog that nobody else writes to.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn renew(db: &Db) -> Result<bool, Error> {
    let read = db.read()?;
    let all = usage_of_all(&read)?;
    let (images, deleted) = (all.images + all.killed, all.deleted_images);
    if (images, deleted) == (images::count(&read)?, images::count_retained(&read)?) {
        return Ok(false);
    }
    drop(read);
    recount_lost(db)?;
    Ok(true)
}

/// Makes all rows anew, some at a time. For a catalog that nobody else writes to.
pub(in crate::catalog) fn recount_lost(db: &Db) -> Result<(), Error> {
    index::clear(db, &USAGE)?;
    let counted: Vec<(Vec<u8>, Usage)> = count(&db.read()?)?.into_iter().collect();
    for batch in counted.chunks(BATCH_ROWS) {
        let batch = batch.to_vec();
        db.write(move |txn| {
            let put =
                |(key, usage): &(Vec<u8>, Usage)| txn.put_record(&USAGE, key, &UsageRecord::from(*usage));
            Ok::<_, Error>(batch.iter().try_for_each(put)?)
        })?;
    }
    Ok(())
}

/// Notes an image that is new, or comes back from among those that are retained.
///
/// # Errors
/// [`Error::OverLimit`] when its project may not have so much more; or when the database fails.
pub(in crate::catalog) fn enter(
    txn: &WriteTxn,
    image: &Image,
    retained: Option<&Image>,
) -> Result<(), Error> {
    let before = retained.map(|image| (image.owner.as_ref(), Usage::of_retained(image)));
    follow(txn, before, Some((image.owner.as_ref(), of_image(txn, image)?)))
}

/// Notes that an image's record changed. What was reserved goes when no data is on its way to it any more.
///
/// # Errors
/// As [`enter`].
pub(in crate::catalog) fn replace(txn: &WriteTxn, old: &Image, new: &Image) -> Result<(), Error> {
    let (before, after) = (of_image(txn, old)?, of_image(txn, new)?);
    follow(txn, Some((old.owner.as_ref(), before)), Some((new.owner.as_ref(), after)))?;
    match old.status.is_filling() && !new.status.is_filling() {
        true => reservations::forget(txn, &old.id),
        false => Ok(()),
    }
}

/// Notes that an image is deleted, and what remains of it in the use of its owner.
///
/// # Errors
/// When the database fails.
pub(in crate::catalog) fn leave(txn: &WriteTxn, old: &Image, remains: Usage) -> Result<(), Error> {
    let owner = old.owner.as_ref();
    follow(txn, Some((owner, of_image(txn, old)?)), Some((owner, remains)))?;
    reservations::forget(txn, &old.id)
}

/// Notes that a retained image is gone.
///
/// # Errors
/// When the database fails.
pub(in crate::catalog) fn purge(txn: &WriteTxn, retained: &Image) -> Result<(), Error> {
    follow(txn, Some((retained.owner.as_ref(), Usage::of_retained(retained))), None)
}
