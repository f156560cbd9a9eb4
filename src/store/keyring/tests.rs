//! What the ring promises: it survives all but its last copy, and says what is wrong with it.

use std::collections::HashSet;

use super::copies::COPIES;
use super::record::{Fault, RingRecord, wrapping_key};
use super::*;
use crate::base::OsEntropy;
use crate::objects::{Flaky, Memory, ObjectInfo, ObjectKey, ObjectWriter, Objects};
use crate::store::seal::{nonce, nonces_of};

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

fn stored() -> (Memory, Keys) {
    let objects = Memory::new();
    let keys = Keys::create(&objects, &master(1), &entropy(), STORE).unwrap();
    (objects, keys)
}

fn open(objects: &dyn Objects, seed: u8) -> Result<Keys, KeyError> {
    let mut keys = Keys::open(objects, &master(seed), STORE)?;
    keys.settle(objects);
    Ok(keys)
}

/// The copies there are: version and letter.
fn there(objects: &dyn Objects) -> Vec<String> {
    let mut names = Vec::new();
    objects
        .list("keyring/", &mut |info| names.push(info.key.as_str()["keyring/".len()..].to_owned()))
        .unwrap();
    names.sort();
    names
}

fn three(version: u32) -> Vec<String> {
    COPIES.map(|letter| format!("{version:08x}-{letter}")).into()
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

fn name(keys: &Keys) -> [u8; 32] {
    key(keys, STORE_DOMAIN).unwrap().name(&[1; 32])
}

fn key(keys: &Keys, domain: u32) -> Result<Arc<DomainKey>, KeyError> {
    keys.newest(domain).map(|newest| newest.key)
}

#[test]
fn a_saved_ring_gives_the_same_keys() {
    let (objects, keys) = stored();
    let opened = open(&objects, 1).unwrap();
    let bytes = |keys: &Keys| key(keys, STORE_DOMAIN).unwrap().to_bytes(&[]);
    assert_eq!(bytes(&opened), bytes(&keys));
    assert_eq!(key(&opened, 2).unwrap_err(), KeyError::Unknown(2));
    assert_eq!(opened.status(&objects).unwrap().at_open, AtOpen::Settled);
}

#[test]
fn three_copies_survive_the_loss_of_any_two_and_are_three_again() {
    for kept in COPIES {
        let (objects, ring) = stored();
        let mut lost = COPIES.into_iter().filter(|&letter| letter != kept).map(|letter| copy(1, letter));
        objects.delete(&lost.next().unwrap()).unwrap();
        damage(&objects, &lost.next().unwrap(), 30);
        assert_eq!(name(&open(&objects, 1).unwrap()), name(&ring));
        let status = ring.status(&objects).unwrap();
        assert_eq!((status.copies, status.others), (3, Vec::new()));
    }
}

#[test]
fn wrong_missing_and_damaged_are_told_apart() {
    let (objects, _) = stored();
    let load = |seed, store| Keys::open(&objects, &master(seed), store).err().unwrap();
    assert_eq!(load(2, STORE), KeyError::Wrong { version: 1 });
    assert!(load(1, [6; 16]).to_string().contains("another store"));
    let length = objects.get(&copy(1, 'a')).unwrap().len();
    for at in 0..length {
        let (objects, _) = stored();
        COPIES.iter().for_each(|&letter| damage(&objects, &copy(1, letter), at));
        for seed in [1, 2] {
            let error = open(&objects, seed).err().unwrap();
            assert!(matches!(error, KeyError::Damaged(_)), "byte {at}: {error}");
        }
    }
    let error = open(&Memory::new(), 1).err().unwrap();
    assert!(matches!(error, KeyError::Missing(_)), "{error}");
}

#[test]
fn a_copy_of_another_version_under_this_name_is_damage() {
    let (objects, _) = stored();
    let bytes = objects.get(&copy(1, 'a')).unwrap();
    objects.put(&copy(2, 'a'), &bytes).unwrap();
    COPIES.iter().for_each(|&letter| objects.delete(&copy(1, letter)).unwrap());
    let error = open(&objects, 1).err().unwrap();
    assert!(error.to_string().contains("holds version 1 instead"), "{error}");
}

#[test]
fn a_rotation_changes_the_master_key_and_no_other() {
    let (objects, keys) = stored();
    let before = name(&keys);
    assert_eq!(keys.rotate(&objects, master(2), &OsEntropy).unwrap(), 2);
    assert_eq!(there(&objects), three(2));
    assert_eq!(open(&objects, 1).err().unwrap(), KeyError::Wrong { version: 2 });
    assert_eq!(name(&open(&objects, 2).unwrap()), before);
    assert_eq!(name(&keys), before);
    assert_eq!(keys.rotate(&objects, master(2), &OsEntropy).unwrap_err(), KeyError::Same);
    assert_eq!(keys.rotate(&objects, master(1), &OsEntropy).unwrap(), 3);
    assert_eq!(name(&open(&objects, 1).unwrap()), before);
}

/// A rotation from key 1 to 2 of which the medium refuses every step from `at` on, or does the first
/// and fails; whether it was told to have worked.
fn broken_rotation(at: usize, takes_effect: bool) -> (Flaky, Keys, Result<u32, KeyError>) {
    let objects = Flaky::default();
    let keys = Keys::create(&objects, &master(1), &OsEntropy, STORE).unwrap();
    objects.fail_after(Some(at), takes_effect);
    let outcome = keys.rotate(&objects, master(2), &OsEntropy);
    objects.fail_after(None, false);
    (objects, keys, outcome)
}

#[test]
fn p9_a_rotation_cut_off_anywhere_leaves_the_old_key_or_the_new_one() {
    let (mut undone, mut finished) = (0, 0);
    for at in 0..40 {
        for (takes_effect, tried) in [(false, [1, 2]), (false, [2, 1]), (true, [1, 2]), (true, [2, 1])] {
            let (objects, keys, outcome) = broken_rotation(at, takes_effect);
            let before = name(&keys);
            let opened = tried.map(|seed| open(&objects, seed));
            let [first, second] = &opened;
            let (good, bad) = if first.is_ok() { (first, second) } else { (second, first) };
            let good = good.as_ref().unwrap_or_else(|error| panic!("step {at}: {error}, {outcome:?}"));
            // The first that opens settles it: the other is refused from then on.
            assert!(matches!(bad, Err(KeyError::Wrong { .. })), "step {at}, {outcome:?}");
            assert_eq!(name(good), before);
            let status = good.status(&objects).unwrap();
            assert_eq!((status.copies, status.others), (3, Vec::new()), "step {at}");
            undone += u32::from(status.at_open == AtOpen::Undone);
            finished += u32::from(status.at_open == AtOpen::Finished);
            if outcome.is_ok() {
                assert!(open(&objects, 2).is_ok());
            }
        }
    }
    assert!(undone > 0 && finished > 0, "{undone} undone, {finished} finished");
}

#[test]
fn a_process_whose_rotation_failed_goes_on_and_tries_again() {
    for at in 0..40 {
        let (objects, keys, _) = broken_rotation(at, at % 2 == 0);
        let before = name(&keys);
        keys.rotate(&objects, master(3), &OsEntropy).unwrap_or_else(|error| panic!("step {at}: {error}"));
        assert_eq!(name(&open(&objects, 3).unwrap()), before);
        for seed in [1, 2] {
            assert!(matches!(open(&objects, seed), Err(KeyError::Wrong { .. })), "step {at}, key {seed}");
        }
    }
}

const OWNER: [u8; 16] = [7; 16];

#[test]
fn an_owner_has_one_domain_until_it_is_erased_and_then_another() {
    let (objects, keys) = stored();
    let domain = |keys: &Keys, owner| keys.domain_for(&objects, owner, b"note", &OsEntropy).unwrap();
    assert_eq!((domain(&keys, OWNER), domain(&keys, OWNER), domain(&keys, [8; 16])), (2, 2, 3));
    assert_eq!(domain(&keys, [0; 16]), STORE_DOMAIN);
    assert_eq!(there(&objects), three(3));
    let opened = open(&objects, 1).unwrap();
    assert_eq!(domain(&opened, OWNER), 2);
    assert_eq!(key(&opened, 2).unwrap().name(&[1; 32]), key(&keys, 2).unwrap().name(&[1; 32]));
    assert_ne!(key(&opened, 2).unwrap().name(&[1; 32]), key(&opened, 3).unwrap().name(&[1; 32]));

    keys.erase(&objects, 2, &OsEntropy).unwrap();
    for keys in [&keys, &open(&objects, 1).unwrap()] {
        assert_eq!(key(keys, 2).unwrap_err(), KeyError::Revoked(2));
        assert!(key(keys, 3).is_ok() && key(keys, STORE_DOMAIN).is_ok());
    }
    keys.erase(&objects, 2, &OsEntropy).unwrap();
    assert_eq!(keys.erase(&objects, STORE_DOMAIN, &OsEntropy).unwrap_err(), KeyError::StoreDomain);
    assert_eq!(keys.erase(&objects, 9, &OsEntropy).unwrap_err(), KeyError::Unknown(9));
    assert_eq!(domain(&keys, OWNER), 4, "its number is not given out again");
    let status: Vec<_> = keys.status(&objects).unwrap().domains;
    let seen: Vec<_> = status.iter().map(|domain| (domain.domain, domain.owner, &domain.note[..])).collect();
    let expected = [(1, None, &b""[..]), (3, Some([8; 16]), b"note"), (4, Some(OWNER), b"note")];
    assert_eq!(seen, expected);
}

#[test]
fn p9_an_erased_key_is_in_no_ring_and_an_erasure_cut_off_is_repeated() {
    for (at, takes_effect) in (0..30).flat_map(|at| [(at, false), (at, true)]) {
        let objects = Flaky::default();
        let keys = Keys::create(&objects, &master(1), &OsEntropy, STORE).unwrap();
        keys.domain_for(&objects, OWNER, b"note", &OsEntropy).unwrap();
        objects.fail_after(Some(at), takes_effect);
        let outcome = keys.erase(&objects, 2, &OsEntropy);
        objects.fail_after(None, false);
        // Another process finds the key or the revocation, and other keys in any case.
        let opened = open(&objects, 1).unwrap_or_else(|error| panic!("step {at}: {error}"));
        assert!(key(&opened, STORE_DOMAIN).is_ok());
        assert!(outcome.is_err() || key(&opened, 2).is_err(), "step {at}");
        opened.erase(&objects, 2, &OsEntropy).unwrap();
        assert!(opened.status(&objects).unwrap().others.is_empty(), "step {at}");
        assert_eq!(key(&open(&objects, 1).unwrap(), 2).unwrap_err(), KeyError::Revoked(2));
    }
}

#[test]
fn a_domain_whose_making_failed_is_made_again() {
    for (at, takes_effect) in (0..30).flat_map(|at| [(at, false), (at, true)]) {
        let objects = Flaky::default();
        let keys = Keys::create(&objects, &master(1), &OsEntropy, STORE).unwrap();
        objects.fail_after(Some(at), takes_effect);
        let told = keys.domain_for(&objects, OWNER, b"note", &OsEntropy);
        objects.fail_after(None, false);
        let domain = keys.domain_for(&objects, OWNER, b"note", &OsEntropy).unwrap();
        assert!(told.is_err() || told == Ok(domain), "step {at}");
        let opened = open(&objects, 1).unwrap();
        let name = |keys: &Keys| key(keys, domain).unwrap().name(&[1; 32]);
        assert_eq!(name(&opened), name(&keys), "step {at}");
    }
}

#[test]
fn rings_of_earlier_versions_of_the_record_open() {
    for golden in [FIRST_RECORD.concat(), SECOND_RECORD.concat()] {
        let objects = Memory::new();
        objects.put(&copy(1, 'a'), &hex::decode(golden).unwrap()).unwrap();
        expect_first_ring(&objects);
    }
}

fn expect_first_ring(objects: &Memory) {
    let keys = open(objects, 1).unwrap();
    assert_eq!(name(&keys), name(&stored().1));
    assert_eq!(keys.domain_for(objects, [0; 16], &[], &OsEntropy).unwrap(), STORE_DOMAIN);
    assert_eq!(keys.domain_for(objects, OWNER, b"note", &OsEntropy).unwrap(), 2);
    assert_eq!(name(&open(objects, 1).unwrap()), name(&keys));
}

#[test]
fn an_old_ring_put_back_beside_newer_ones_undoes_nothing() {
    let (objects, keys) = stored();
    let old = keys.backup();
    keys.rotate(&objects, master(2), &OsEntropy).unwrap();
    keys.rotate(&objects, master(3), &OsEntropy).unwrap();
    objects.put(&copy(1, 'a'), &old).unwrap();
    assert_eq!(open(&objects, 1).err().unwrap(), KeyError::Wrong { version: 3 });
    assert_eq!(name(&open(&objects, 3).unwrap()), name(&keys));
    assert_eq!(there(&objects), three(3));
}

#[test]
fn a_lost_ring_is_restored_from_a_backup_of_it() {
    let (objects, keys) = stored();
    let backup = keys.backup();
    let put_back = |objects: &dyn Objects, seed| restore(objects, &backup, STORE, Some(&master(seed)));
    assert_eq!(put_back(&objects, 1).unwrap_err(), KeyError::NotLost(1));
    COPIES.iter().for_each(|&letter| damage(&objects, &copy(1, letter), 3));
    assert!(matches!(open(&objects, 1), Err(KeyError::Damaged(_))));
    assert_eq!(put_back(&objects, 2).unwrap_err(), KeyError::Wrong { version: 1 });
    assert_eq!(put_back(&objects, 1).unwrap(), 1);
    assert_eq!(name(&open(&objects, 1).unwrap()), name(&keys));
    COPIES.iter().for_each(|&letter| objects.delete(&copy(1, letter)).unwrap());
    assert!(matches!(open(&objects, 1), Err(KeyError::Missing(_))));
    assert_eq!(restore(&objects, &backup, STORE, None).unwrap(), 1);
    assert_eq!(there(&objects), three(1));
    let refused = |bytes: &[u8], store| restore(&Memory::new(), bytes, store, None).unwrap_err().to_string();
    assert!(refused(&backup, [6; 16]).contains("another store"));
    assert!(refused(&backup[1..], STORE).contains("hash does not match"));
}

#[test]
fn a_ring_that_is_changed_again_and_again_meets_no_nonce_twice() {
    let mut ids: Vec<(MasterKey, u32, [u8; 16])> = Vec::new();
    for at in 0..40 {
        let objects = Flaky::default();
        let mut key = MasterKey::generate(&OsEntropy);
        let keys = Keys::create(&objects, &key, &OsEntropy, STORE).unwrap();
        for round in 0..4 {
            objects.fail_after((round % 2 == 1).then_some(at), at % 3 == 0);
            let new = MasterKey::generate(&OsEntropy);
            if !matches!(keys.rotate(&objects, new.clone(), &OsEntropy), Err(KeyError::Objects(_))) {
                key = new;
            }
            objects.fail_after(None, false);
            for (version, copies) in super::copies::versions(&objects).unwrap() {
                for copy in copies {
                    let record = RingRecord::read(&objects.get(&copy).unwrap()).unwrap();
                    ids.push((key.clone(), version, record.id));
                }
            }
        }
    }
    let mut sealed = HashSet::new();
    for (key, version, id) in &ids {
        let nonces = nonces_of(&wrapping_key(key, &STORE, *version, id));
        let distinct: HashSet<_> = nonces.iter().collect();
        assert_eq!(distinct.len(), nonces.len());
        // Rings a failed rotation left are under keys we let go of.
        if !nonces.is_empty() {
            assert_eq!(nonces, [nonce(STORE_DOMAIN.into())]);
            sealed.insert(*id);
        }
    }
    assert!(sealed.len() > 80, "{} rings were looked at", sealed.len());
}

#[test]
fn a_wrapped_key_under_another_check_value_does_not_open() {
    let (objects, _) = stored();
    let bytes = objects.get(&copy(1, 'a')).unwrap();
    let mut record = RingRecord::read(&bytes).unwrap();
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
    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.0.replace(key)
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
    let error = open(&objects, 1).err().unwrap();
    assert_eq!(error, KeyError::Objects(objects::Error::Unavailable("unplugged".into())));
}

#[test]
fn a_ring_on_a_medium_that_fails_is_not_taken_for_lost() {
    let (objects, keys) = stored();
    let older = keys.backup();
    keys.rotate(&objects, master(2), &OsEntropy).unwrap();
    let refused = restore(&Unreadable(objects.clone()), &older, STORE, None).unwrap_err();
    assert_eq!(refused, KeyError::Objects(objects::Error::Unavailable("unplugged".into())));
    assert_eq!(there(&objects), three(2), "nothing was written");
}

/// The copies of [`stored`] as the first version of the record has them.
const FIRST_RECORD: [&str; 13] = [
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

/// The same as the second version of the record has it.
const SECOND_RECORD: [&str; 14] = [
    // The record version.
    "02",
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
    // Its id.
    "01000000",
    // The length of the wrapped keys and owner.
    "6000000000000000",
    // The wrapped keys and owner.
    "62bba39bdf76a42f5b530ec5d546c80ad31769f5b01d507fd3b01d4bc7d2bebc",
    "d4a3ced84004b17a550df19c56c6da0e9f42490f20a103e0c2e020bccddca509",
    "2076588b07e8296fe37aafcbb0e6b1c6ca467b1b12cdfb901616588d2d1c8b22",
    // The domain check.
    "c358ca32e36034c8fa8250e2c46f8b2a2d4fab2d1f752de801b8f7c944499c35",
    // No domain revoked.
    "0000000000000000",
    // The hash.
    "f57bb4c08c56a8655e77d2019a81efe72d4c38083e4ba0727158de6c00e92f0d",
];

#[test]
fn the_stored_form_is_golden() {
    let (objects, _) = stored();
    let golden = [
        // The record version.
        "03",
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
        // Its id.
        "01000000",
        // The length of what is wrapped.
        "6800000000000000",
        // What is wrapped: its form is golden by itself.
        "62bba39bdf76a42f5b530ec5d546c80ad31769f5b01d507fd3b01d4bc7d2bebc",
        "d4a3ced84004b17a550df19c56c6da0e9f42490f20a103e0c2e020bccddca509",
        "2076588b07e8296fe37aafcbb0e6b1c6c8d93aecdc1e48e2be84c40512a6e3af7a6abd23d3cc6547",
        // The domain check.
        "8ddea2823c663bc598556b9733cac3b358d12e1f3a10f4f6652bffd75e281abc",
        // The next domain.
        "02000000",
        // The hash.
        "1fa62d9009e728efb3b308e2ad2374770362ac231cdd8fd4ccc4a74876ee7f7a",
    ];
    assert_eq!(hex::encode(objects.get(&copy(1, 'a')).unwrap()), golden.concat());
}

#[test]
fn a_domain_has_another_key_and_older_ones_until_they_are_dropped() {
    let (objects, keys) = stored();
    keys.domain_for(&objects, OWNER, b"note", &OsEntropy).unwrap();
    let (version, first) = (|| keys.newest(2).map(|newest| newest.version), keys.key(2, 0).unwrap());
    assert_eq!(keys.add_key(&objects, 2, &OsEntropy), Ok(1));
    assert_eq!((keys.add_key(&objects, 2, &OsEntropy), version()), (Ok(1), Ok(1)));
    for keys in [&keys, &open(&objects, 1).unwrap()] {
        assert_eq!(keys.key(2, 0).unwrap().to_bytes(&[]), first.to_bytes(&[]));
        let second = keys.key(2, 1).unwrap();
        assert_ne!(second.sealing(), first.sealing());
        assert_eq!(second.name(&[1; 32]), first.name(&[1; 32]), "chunks keep their names");
        assert_eq!(keys.domains()[1].key_versions, [0, 1]);
        assert_eq!(keys.domains()[1].note, b"note");
    }
    keys.drop_older_keys(&objects, 2, &OsEntropy).unwrap();
    for keys in [&keys, &open(&objects, 1).unwrap()] {
        let gone = KeyError::UnknownVersion { domain: 2, version: 0 };
        assert_eq!(keys.key(2, 0).unwrap_err(), gone);
        assert_eq!((keys.domains()[1].key_versions.clone(), keys.key(2, 1).is_ok()), (vec![1], true));
        assert_eq!(keys.key(2, 2).unwrap_err(), KeyError::UnknownVersion { domain: 2, version: 2 });
    }
    assert_eq!(there(&objects).len(), 3);
    assert_eq!(keys.add_key(&objects, 9, &OsEntropy), Err(KeyError::Unknown(9)));
    keys.erase(&objects, 2, &OsEntropy).unwrap();
    assert_eq!(keys.add_key(&objects, 2, &OsEntropy), Err(KeyError::Revoked(2)));
    assert_eq!(keys.drop_older_keys(&objects, 2, &OsEntropy), Err(KeyError::Revoked(2)));
    assert_eq!(keys.key(2, 1).unwrap_err(), KeyError::Revoked(2));
}

#[test]
fn p9_dropping_older_keys_cut_off_anywhere_keeps_the_newest_and_is_repeated() {
    for (at, takes_effect) in (0..30).flat_map(|at| [(at, false), (at, true)]) {
        let objects = Flaky::default();
        let keys = Keys::create(&objects, &master(1), &OsEntropy, STORE).unwrap();
        keys.add_key(&objects, STORE_DOMAIN, &OsEntropy).unwrap();
        let newest = keys.key(STORE_DOMAIN, 1).unwrap();
        objects.fail_after(Some(at), takes_effect);
        let outcome = keys.drop_older_keys(&objects, STORE_DOMAIN, &OsEntropy);
        objects.fail_after(None, false);
        let opened = open(&objects, 1).unwrap_or_else(|error| panic!("step {at}: {error}"));
        assert_eq!(opened.key(STORE_DOMAIN, 1).unwrap().to_bytes(&[]), newest.to_bytes(&[]), "step {at}");
        assert!(outcome.is_err() || opened.key(STORE_DOMAIN, 0).is_err(), "step {at}");
        opened.drop_older_keys(&objects, STORE_DOMAIN, &OsEntropy).unwrap();
        assert!(open(&objects, 1).unwrap().key(STORE_DOMAIN, 0).is_err(), "step {at}");
        assert_eq!(there(&objects).len(), 3, "step {at}");
    }
}
