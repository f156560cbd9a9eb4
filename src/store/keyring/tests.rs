//! What the ring promises: it survives all but its last copy, and says what is wrong with it.

use super::*;
use crate::objects::{Memory, ObjectInfo, ObjectWriter};
use crate::store::seal::nonces_of;

const STORE: [u8; 16] = [5; 16];

/// The same bytes at every run.
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

fn entropy() -> Counting {
    Counting(0.into())
}

fn master(seed: u8) -> MasterKey {
    MasterKey::parse(&[seed; 32]).unwrap()
}

fn stored() -> (Memory, Keyring) {
    let (objects, entropy) = (Memory::new(), entropy());
    let ring = Keyring::create(&entropy, STORE);
    ring.save(&objects, &master(1), &entropy).unwrap();
    (objects, ring)
}

fn copy(version: u32, letter: char) -> ObjectKey {
    ObjectKey::new(format!("keyring/{version:08x}-{letter}")).unwrap()
}

fn damage(objects: &dyn Objects, key: &ObjectKey, at: usize) {
    let mut bytes = objects.get(key).unwrap();
    bytes[at] ^= 1;
    objects.delete(key).unwrap();
    objects.put(key, &bytes).unwrap();
}

fn name(ring: &Keyring) -> [u8; 32] {
    ring.domain(STORE_DOMAIN).unwrap().name(&[1; 32])
}

#[test]
fn a_saved_ring_gives_the_same_keys() {
    let (objects, ring) = stored();
    let loaded = Keyring::load(&objects, &master(1), STORE).unwrap();
    let bytes = |ring: &Keyring| ring.domain(STORE_DOMAIN).unwrap().to_bytes();
    assert_eq!(bytes(&loaded), bytes(&ring));
    assert!(loaded.domain(2).is_none());
}

#[test]
fn three_copies_survive_the_loss_of_any_two() {
    for kept in COPIES {
        let (objects, ring) = stored();
        let mut lost = COPIES.into_iter().filter(|&letter| letter != kept).map(|letter| copy(1, letter));
        objects.delete(&lost.next().unwrap()).unwrap();
        damage(&objects, &lost.next().unwrap(), 30);
        assert_eq!(name(&Keyring::load(&objects, &master(1), STORE).unwrap()), name(&ring));
    }
}

#[test]
fn a_ring_that_is_saved_again_meets_no_nonce_twice() {
    let (master, entropy) = (MasterKey::generate(&crate::base::OsEntropy), crate::base::OsEntropy);
    let ring = Keyring::create(&entropy, STORE);
    let (objects, mut ids) = (Memory::new(), Vec::new());
    for _ in 0..20 {
        ring.save(&objects, &master, &entropy).unwrap();
        for letter in COPIES {
            let bytes = objects.get(&copy(1, letter)).unwrap();
            let record: RingRecord = codec::decode(&bytes[..bytes.len() - HASH_BYTES]).unwrap();
            ids.push(record.id);
        }
        Keyring::sweep_unused(&objects).unwrap();
    }
    // The copies are the same bytes: sealed once, stored three times.
    ids.dedup();
    assert_eq!(ids.len(), 20);
    for id in ids {
        let key = wrapping_key(&master, &STORE, 1, &id);
        assert_eq!(nonces_of(&key), [nonce(STORE_DOMAIN.into())]);
    }
}

#[test]
fn wrong_missing_and_damaged_are_told_apart() {
    let (objects, _) = stored();
    let load = |seed, store| Keyring::load(&objects, &master(seed), store).unwrap_err();
    assert_eq!(load(2, STORE), KeyError::Wrong { version: 1 });
    assert!(load(1, [6; 16]).to_string().contains("another store"));
    let length = objects.get(&copy(1, 'a')).unwrap().len();
    for at in 0..length {
        let (objects, _) = stored();
        COPIES.iter().for_each(|&letter| damage(&objects, &copy(1, letter), at));
        for seed in [1, 2] {
            let error = Keyring::load(&objects, &master(seed), STORE).unwrap_err();
            assert!(matches!(error, KeyError::Damaged(_)), "byte {at}: {error}");
        }
    }
    let error = Keyring::load(&Memory::new(), &master(1), STORE).unwrap_err();
    assert!(matches!(error, KeyError::Missing(_)), "{error}");
}

#[test]
fn a_copy_of_another_version_under_this_name_is_damage() {
    let (objects, _) = stored();
    let bytes = objects.get(&copy(1, 'a')).unwrap();
    objects.put(&copy(2, 'a'), &bytes).unwrap();
    COPIES.iter().for_each(|&letter| objects.delete(&copy(1, letter)).unwrap());
    let error = Keyring::load(&objects, &master(1), STORE).unwrap_err();
    assert!(error.to_string().contains("holds version 1 instead"), "{error}");
}

#[test]
fn the_newest_version_with_a_whole_copy_counts() {
    let (objects, old) = stored();
    let entropy = Counting(100.into());
    let new = Keyring { version: 2, ..Keyring::create(&entropy, STORE) };
    new.save(&objects, &master(1), &entropy).unwrap();
    objects.put(&ObjectKey::new("keyring/00000003-x").unwrap(), b"foreign").unwrap();
    let loaded = || name(&Keyring::load(&objects, &master(1), STORE).unwrap());
    assert_eq!(loaded(), name(&new));
    COPIES.iter().for_each(|&letter| damage(&objects, &copy(2, letter), 0));
    assert_eq!(loaded(), name(&old));
}

#[test]
fn a_saved_version_is_never_overwritten() {
    let (objects, ring) = stored();
    let before = objects.get(&copy(1, 'a')).unwrap();
    let error = ring.save(&objects, &master(2), &entropy()).unwrap_err();
    assert_eq!(error, objects::Error::Exists(copy(1, 'a')));
    assert_eq!(objects.get(&copy(1, 'a')).unwrap(), before);
}

#[test]
fn a_wrapped_key_under_another_check_value_does_not_open() {
    let (objects, _) = stored();
    let bytes = objects.get(&copy(1, 'a')).unwrap();
    let mut record: RingRecord = codec::decode(&bytes[..bytes.len() - HASH_BYTES]).unwrap();
    record.domains[0].check[0] ^= 1;
    assert!(matches!(record.unwrap_domains(&master(1)), Err(Fault::Damaged(_))));
}

/// A medium that lists and does not read.
#[derive(Debug)]
struct Unreadable(Memory);

impl Objects for Unreadable {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.0.create(key)
    }
    fn read(&self, _: &ObjectKey, _: u64, _: &mut [u8]) -> Result<(), objects::Error> {
        Err(objects::Error::Unavailable("unplugged".into()))
    }
    fn size(&self, key: &ObjectKey) -> Result<u64, objects::Error> {
        self.0.size(key)
    }
    fn delete(&self, key: &ObjectKey) -> Result<(), objects::Error> {
        self.0.delete(key)
    }
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), objects::Error> {
        self.0.list(prefix, visit)
    }
    fn sweep_unfinished(&self) -> Result<u64, objects::Error> {
        self.0.sweep_unfinished()
    }
}

#[test]
fn a_medium_that_fails_is_not_taken_for_damage() {
    let objects = Unreadable(stored().0);
    let error = Keyring::load(&objects, &master(1), STORE).unwrap_err();
    assert_eq!(error, KeyError::Objects(objects::Error::Unavailable("unplugged".into())));
}

#[test]
fn the_stored_form_is_golden() {
    let (objects, _) = stored();
    let golden = [
        // The record version.
        "01",
        // The store id.
        "05050505050505050505050505050505",
        // The ring version.
        "01000000",
        // The random id.
        "404142434445464748494a4b4c4d4e4f",
        // The master check.
        "e2753ec4b23e8fe153e46bbafce9eebcf2042933998ae2a357295b0b9be22c66",
        // The one domain.
        "0100000000000000",
        // The its id.
        "01000000",
        // The length of the wrapped keys.
        "5000000000000000",
        // The wrapped keys.
        "62bba39bdf76a42f5b530ec5d546c80ad31769f5b01d507fd3b01d4bc7d2bebc",
        "d4a3ced84004b17a550df19c56c6da0e9f42490f20a103e0c2e020bccddca509",
        "8e2f283eaaa9a775c8d309afdd4b627c",
        // The domain check.
        "74b8239c47fc5523e792c87ff72c5e2ba48ff8fb060a7780796b7061fddfabdf",
        // The hash.
        "c697c317fd1bcbedb66f7bd297c0ac03142276a17ac7146f6753995cb24cbcb5",
    ];
    assert_eq!(hex::encode(objects.get(&copy(1, 'a')).unwrap()), golden.concat());
}
