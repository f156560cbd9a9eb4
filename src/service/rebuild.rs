//! Rebuilding a lost catalog from its store alone: every layer's facts, then what follows from them.
//!
//! Invariant: the catalog is as it was at one moment, which the outcome names. An image that was
//! deleted before it does not come back, one whose data cannot be read stays and is named, and every
//! token has ended.

use std::collections::HashMap;

use super::upkeep::Damage;
use crate::catalog::{self, identity, images};
use crate::db::{self, Db, ReadTxn};
use crate::model::identity::User;
use crate::model::{ContentId, ImageId};
use crate::store::{self, Replayed, Store, Tell};

/// Uploads that are named at most. There are as many as end in one interval of the log, unless parts
/// of the log are missing.
const UPLOADS_MAX: usize = 1000;

/// Why a catalog was not rebuilt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store does not tell enough, or its medium or the new catalog's failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What the store told makes no catalog, or its medium failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        Error::Catalog(error.into())
    }
}

/// A rebuilt catalog, and what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// How far the store told.
    pub replayed: Replayed,
    /// Images.
    pub images: u64,
    /// Users.
    pub users: u64,
    /// Packs.
    pub packs: u64,
    /// Images whose data cannot be read.
    pub damaged: Vec<Damage>,
    /// Streams whose key was revoked: they are what they were, unreadable for good.
    pub revoked: u64,
    /// Packs that are missing or damaged, each with the reason.
    pub damaged_packs: Vec<String>,
    /// Uploads whose data is stored and of whose end nothing is told: they may have been
    /// acknowledged after the moment that was reached.
    pub unfinished_uploads: Vec<Upload>,
    /// How many more there are than are named.
    pub unnamed_uploads: u64,
}

/// An upload of whose end nothing is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// To which image.
    pub image: ImageId,
    /// Its name.
    pub name: Option<String>,
}

/// Fills the empty catalog `db` with what `store` tells, which was opened for that
/// ([`Store::open_lost`]). When it fails, another try needs another empty catalog.
///
/// # Errors
/// When the store does not tell enough to begin with, or a medium fails.
pub fn rebuild(db: &Db, store: &Store, tell: &mut Tell<'_>) -> Result<Rebuilt, Error> {
    let stored = store.rebuild(tell)?;
    tell("making indexes", 0);
    catalog::reindex(db)?;
    tell("looking for uploads that nothing tells of", 0);
    let read = db.read()?;
    let reasons: HashMap<ContentId, String> = stored.damaged_contents.into_iter().collect();
    let (unfinished_uploads, unnamed_uploads) = unfinished_uploads(&read, store)?;
    Ok(Rebuilt {
        images: images::count(&read)?,
        users: identity::count::<User>(&read)?,
        packs: stored.packs,
        damaged: damaged(&read, &reasons)?,
        revoked: stored.revoked_contents,
        damaged_packs: stored.damaged_packs,
        unfinished_uploads,
        unnamed_uploads,
        replayed: stored.replayed,
    })
}

/// The images whose data cannot be read, by the streams that cannot.
fn damaged(read: &ReadTxn, reasons: &HashMap<ContentId, String>) -> Result<Vec<Damage>, Error> {
    let mut damaged = Vec::new();
    images::for_each_stored(read, &mut |image| {
        let reason = image.contents().find_map(|content| reasons.get(&content));
        if let Some(reason) = reason {
            damaged.push(Damage { image: image.id, name: image.name, reason: reason.clone() });
        }
    })?;
    Ok(damaged)
}

/// Images without data that a stream was stored for, and how many more there are. One that was deleted
/// or has other data is none.
fn unfinished_uploads(read: &ReadTxn, store: &Store) -> Result<(Vec<Upload>, u64), Error> {
    let mut uploads: HashMap<ImageId, Upload> = HashMap::new();
    let mut unnamed = 0;
    let mut failed = None;
    store.each_unpublished(&mut |record| {
        // A record that this layer did not write is no upload.
        let Ok(image) = images::decode(record) else { return };
        match may_be_filled(read, &image.id) {
            Ok(true) if uploads.len() < UPLOADS_MAX => {
                uploads.insert(image.id, Upload { image: image.id, name: image.name });
            }
            Ok(may_be) => unnamed += u64::from(may_be),
            Err(error) => failed = Some(error),
        }
    })?;
    let mut uploads: Vec<Upload> = uploads.into_values().collect();
    uploads.sort_unstable_by_key(|upload| upload.image);
    failed.map_or(Ok((uploads, unnamed)), Err)
}

fn may_be_filled(read: &ReadTxn, id: &ImageId) -> Result<bool, Error> {
    match images::get(read, id)? {
        Some(image) => Ok(image.content.is_none()),
        None => Ok(!images::is_used(read, id)?),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::quota::{Limit, Resource};
    use std::ops::Bound;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::stream;

    use super::*;
    use crate::base::{OsEntropy, SystemClock};
    use crate::catalog::{access_keys, metadefs};
    use crate::db::Table;
    use crate::model::{ProjectId, Visibility};
    use crate::objects::{Memory, Objects};
    use crate::service::identity::{DomainRef, Proof, ScopeWish, SignIn, UserRef};
    use crate::service::images::{BodyBroken, Change, Field, NewImage};
    use crate::service::metadefs::{NamespaceFields, NewNamespace};
    use crate::service::testing::{catalog, password, rules, service_on};
    use crate::service::{Actor, Service, fact_tables};

    fn admin() -> Actor {
        Actor::local_admin(ProjectId::from("project"))
    }

    fn create(service: &Service, name: &str) -> ImageId {
        let fields = [
            Field::Name(Some(name.into())),
            Field::Visibility(Visibility::Shared),
            Field::DiskFormat(Some("raw".into())),
            Field::ContainerFormat(Some("bare".into())),
        ];
        let new = NewImage { id: None, changes: fields.map(Change::Set).into() };
        service.create_image(&admin(), new).unwrap().id
    }

    async fn upload(service: &Service, name: &str, data: &[u8]) -> ImageId {
        let id = create(service, name);
        let upload = service.begin_upload(&admin(), &id, None).unwrap();
        let body = Ok::<_, BodyBroken>(Bytes::copy_from_slice(data));
        upload.receive(stream::iter([body])).await.unwrap();
        id
    }

    fn rows(db: &Db, table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        db.read().unwrap().rows(table, all).unwrap().map(Result::unwrap).collect()
    }

    fn rebuilt(objects: &Memory) -> (Db, Rebuilt) {
        let db = catalog();
        let (medium, clock) = (Arc::new(objects.clone()), Arc::new(SystemClock));
        let options = store::Options::default();
        let store = Store::open_lost(db.clone(), medium, None, options, clock, Arc::new(OsEntropy)).unwrap();
        let rebuilt = rebuild(&db, &store, &mut |_, _| ()).unwrap();
        (db, rebuilt)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn p8_every_fact_and_index_comes_back_and_every_token_ends() {
        let objects = Memory::new();
        let (service, _) = service_on(objects.clone(), rules());
        let kept = upload(&service, "kept", b"data that stays").await;
        let gone = create(&service, "gone");
        service.add_image_member(&admin(), &kept, "friend".into()).unwrap();
        service.delete_image(&admin(), &gone).unwrap();
        let local = service.local_admin().unwrap();
        let limits = vec![(Resource::ImageCountTotal, Some(Limit::AtMost(9)))];
        service.set_default_quotas(&local, limits.clone()).unwrap();
        service.set_quotas(&local, local.project().unwrap(), limits).unwrap();
        let defined = NewNamespace {
            fields: NamespaceFields { name: "N".into(), ..NamespaceFields::default() },
            tags: vec!["t".into()],
            ..NewNamespace::default()
        };
        let defined = service.create_namespace(&local, defined).unwrap();
        // On its way when the catalog is lost: it has something reserved.
        let late = create(&service, "late");
        std::mem::forget(service.begin_upload(&admin(), &late, Some(77)).unwrap());
        let user = UserRef::Name("admin".into(), DomainRef::Name("Default".into()));
        let proof = Proof::Password(user, password("admin-pw"));
        service.sign_in(SignIn { proof, scope: ScopeWish::Unscoped }).unwrap();
        let key = service.create_access_key(&service.local_admin().unwrap(), Default::default()).unwrap().0;
        // What secrets follow from would lie in a plain store's log.
        assert!(access_keys::root(&service.db().read().unwrap()).unwrap().is_none());
        service.store().ship().unwrap();

        let (db, rebuilt) = rebuilt(&objects);
        assert_eq!((rebuilt.images, rebuilt.users, rebuilt.packs), (2, 1, 1));
        assert_eq!(access_keys::get(&db.read().unwrap(), &key.key.access).unwrap(), Some(key.key));
        assert_eq!(metadefs::definitions(&db.read().unwrap(), "N").unwrap(), defined.definitions);
        assert_eq!(metadefs::list(&db.read().unwrap()).unwrap(), [defined.namespace]);
        assert_eq!((rebuilt.damaged, rebuilt.unfinished_uploads), (Vec::new(), Vec::new()));
        for table in [fact_tables(), crate::catalog::derived_tables()].concat() {
            let before = rows(service.db(), &table);
            let expected = if table.name.starts_with("tokens") { Vec::new() } else { before };
            assert_eq!(rows(&db, &table), expected, "{}", table.name);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_upload_that_nothing_tells_of_is_named_unless_its_image_is_done_with() {
        let objects = Memory::new();
        let (service, _) = service_on(objects.clone(), rules());
        let told = upload(&service, "told", b"told of").await;
        let gone = upload(&service, "gone", b"deleted").await;
        service.delete_image(&admin(), &gone).unwrap();
        service.store().ship().unwrap();
        let late = upload(&service, "late", b"not told of").await;
        let (db, rebuilt) = rebuilt(&objects);
        assert_eq!(rebuilt.unfinished_uploads, [Upload { image: late, name: Some("late".into()) }]);
        let read = db.read().unwrap();
        assert!(images::get(&read, &told).unwrap().is_some_and(|image| image.content.is_some()));
        for missing in [&gone, &late] {
            assert_eq!(images::get(&read, missing).unwrap(), None);
        }
        assert!(images::is_used(&read, &gone).unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_image_for_which_space_is_withheld_is_named_with_what_to_do() {
        let objects = Memory::new();
        let (service, _) = service_on(objects.clone(), rules());
        let hurt = upload(&service, "hurt", &[7; 50_000]).await;
        service.store().ship().unwrap();
        let mut manifest = None;
        objects.list("manifest/", &mut |info| manifest = Some(info.key)).unwrap();
        let manifest = manifest.unwrap();
        objects.delete(&manifest).unwrap();
        let (db, rebuilt) = rebuilt(&objects);
        assert_eq!((rebuilt.damaged.len(), rebuilt.revoked), (1, 0));

        let (medium, clock) = (Arc::new(objects.clone()), Arc::new(SystemClock));
        let options = store::Options::default();
        let store =
            Store::open(db.clone(), medium, None, options, clock.clone(), Arc::new(OsEntropy)).unwrap();
        let service = Service::new(db, store, clock, Arc::new(OsEntropy), rules());
        let collected = service.reclaim(&admin(), Default::default(), None, &mut |_| ()).unwrap();
        assert_eq!(collected.freed.withheld, 1);
        let [told] = &collected.unreadable[..] else { panic!("{collected:?}") };
        for said in [&hurt.to_string(), "hurt", manifest.as_str(), "put the object back, or delete the image"]
        {
            assert!(told.contains(said), "no {said:?} in {told}");
        }
        service.delete_image(&admin(), &hurt).unwrap();
        let collected = service.reclaim(&admin(), Default::default(), None, &mut |_| ()).unwrap();
        assert_eq!((collected.freed.packs, collected.freed.withheld, collected.unreadable.len()), (1, 0, 0));
    }
}
