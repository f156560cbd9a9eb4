//! No key meets a nonce twice: a random run of everything that seals, over failures and restarts,
//! judged by the record that tests keep of every seal.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db;
use crate::objects::{Flaky, ObjectKey};
use crate::store::seal::{DomainKey, SealContext, nonces_of};

/// Acts of a run; `TINTYPE_LONG=1` makes it a long one.
fn acts() -> usize {
    if std::env::var("TINTYPE_LONG").as_deref() == Ok("1") { 20_000 } else { 400 }
}

struct Run {
    medium: Flaky,
    db: Db,
    master: MasterKey,
    store: Store,
    /// What everything random here follows from.
    dice: blake3::OutputReader,
    published: Vec<ContentId>,
    /// Every key of a domain that ever was in the ring.
    keys: BTreeMap<(u32, u32), Arc<DomainKey>>,
}

impl Run {
    fn open(medium: &Flaky, db: &Db, master: &MasterKey) -> Result<Store, Error> {
        let options = Options { pack_bytes: 64 << 10, snapshot_log_bytes: 32 << 10, ..Options::default() };
        let objects = Arc::new(medium.clone());
        Store::open(db.clone(), objects, Some(master), options, Arc::new(SystemClock), Arc::new(OsEntropy))
    }

    fn below(&mut self, end: u32) -> u32 {
        let mut drawn = [0; 4];
        self.dice.fill(&mut drawn);
        u32::from_le_bytes(drawn) % end
    }

    /// One stream: published, left lying, or broken off half way.
    async fn upload(&mut self) -> Result<(), Error> {
        let mut data = vec![0; 1 + self.below(200_000) as usize];
        // Few seeds, so that streams share data.
        let (seed, end) = (self.below(12) as u8, self.below(3));
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut data);
        let scope = match self.below(3) {
            0 => Scope::STORE,
            owner => self.store.sealed_for(Scope::of("owner", &owner.to_string()), &[], Scope::STORE)?,
        };
        let mut ingest = self.store.ingest(scope)?;
        ingest.write(Bytes::from(data)).await?;
        if end == 0 {
            return Ok(());
        }
        let receipt = ingest.finish(b"a record".to_vec()).await?;
        if end == 1 {
            let (store, content) = (self.store.clone(), receipt.content());
            self.db.write(move |txn| store.publish(txn, &receipt))?;
            self.published.push(content);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), Error> {
        if self.published.is_empty() {
            return Ok(());
        }
        let at = self.below(self.published.len() as u32) as usize;
        let (store, content) = (self.store.clone(), self.published.swap_remove(at));
        self.db.write(move |txn| store.release(txn, &content))
    }

    fn rotate(&mut self) -> Result<(), Error> {
        let new = MasterKey::generate(&OsEntropy);
        match self.store.rotate_master(new.clone()) {
            Ok(_) | Err(Error::Key(KeyError::OlderRemains { .. })) => self.master = new,
            // The old one is in force, and undoes what there is of the new one.
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives a domain another key, or goes on with sealing it anew.
    fn reseal(&mut self) -> Result<(), Error> {
        let domain = 1 + self.below(3);
        self.store.rotate_domain(domain)?;
        self.note_keys();
        self.store.reseal(domain, &mut |_| std::ops::ControlFlow::Continue(())).map(drop)
    }

    fn note_keys(&mut self) {
        let keys = self.store.keys().unwrap();
        for status in keys.domains() {
            for version in status.key_versions {
                let at = (status.domain, version);
                self.keys.entry(at).or_insert_with(|| keys.key(at.0, at.1).unwrap());
            }
        }
    }

    /// Another process on the same media: streams that were given up end with the one before.
    fn restart(&mut self) -> Result<(), Error> {
        while Arc::strong_count(&self.store.inner) > 1 {
            std::thread::yield_now();
        }
        self.store = Run::open(&self.medium, &self.db, &self.master)?;
        Ok(())
    }

    async fn act(&mut self) {
        let (left, takes_effect, fails) = (self.below(12) as usize, self.below(2) == 0, self.below(3) == 0);
        self.medium.fail_after(fails.then_some(left), takes_effect);
        // What fails is tried again by a later act, as a client, a task or a restart would.
        let _ = match self.below(13) {
            10 => self.rotate(),
            11 | 12 => self.reseal(),
            0..6 => self.upload().await,
            6 => self.release(),
            7 => self.store.reclaim(Reach::Everything).map(drop),
            8 => self.store.ship(),
            _ => self.restart(),
        };
        self.note_keys();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_meets_a_nonce_twice_over_failures_and_restarts() {
    let (medium, master) = (Flaky::default(), MasterKey::generate(&OsEntropy));
    let options = db::Options { journal: FACTS.to_vec(), ..db::Options::default() };
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
    let store = Run::open(&medium, &db, &master).unwrap();
    let dice = blake3::Hasher::new().update(b"nonces").finalize_xof();
    let mut run = Run { medium, db, master, store, dice, published: Vec::new(), keys: BTreeMap::new() };
    for _ in 0..acts() {
        run.act().await;
    }
    run.medium.fail_after(None, false);
    let damage = run.store.verify().unwrap();
    assert!(damage.is_empty(), "{damage:?}");

    let ring = run.store.ring_status().unwrap();
    let domains = ring.domains;
    assert!(domains.len() == 3 && ring.version > 3, "domains were made and the master key rotated");
    assert!(run.keys.len() > 8, "domains were sealed anew: {:?}", run.keys.keys());
    let (mut objects, mut kinds) = (HashSet::new(), HashSet::new());
    for name in run.medium.begun() {
        let Some((kind, id)) = sealed_object(&name) else { continue };
        assert!(objects.insert(id), "{name} was begun twice");
        let nonces: Vec<_> = run
            .keys
            .values()
            .map(|key| nonces_of(&key.object(&context(kind, id))))
            .filter(|nonces| !nonces.is_empty())
            .collect();
        assert!(nonces.len() < 2, "{name} was sealed with two keys");
        let nonces = nonces.concat();
        let distinct: HashSet<_> = nonces.iter().collect();
        assert_eq!(distinct.len(), nonces.len(), "{name} met a nonce twice");
        if !nonces.is_empty() {
            kinds.insert(kind);
        }
    }
    assert_eq!(kinds.len(), 4, "packs, manifests, log and snapshots were sealed");
    assert!(objects.len() > acts() / 2);
}

/// What the key of an object at home follows from.
fn context(kind: u8, object: [u8; 16]) -> SealContext {
    SealContext { kind, object, number: 0, generation: 0, domain: 0, format: 0, has_short_id: false }
}

/// Kind and id of an object whose parts are sealed, by its name.
fn sealed_object(name: &ObjectKey) -> Option<(u8, [u8; 16])> {
    let (folder, name) = name.as_str().split_once('/')?;
    let kind =
        [Kind::Pack, Kind::Manifest, Kind::Log, Kind::Snapshot].into_iter().find(|k| k.prefix() == folder)?;
    let id = hex::decode(&name[name.len() - 32..]).unwrap().try_into().unwrap();
    Some((kind as u8, id))
}
