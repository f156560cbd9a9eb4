//! What a sealed file promises: the same database on every medium, nothing of it in the clear, and
//! blocks of their own for every write.

use aes::cipher::KeyInit;
use proptest::prelude::*;
use redb::backends::InMemoryBackend;

use super::pages::KEY_BYTES;
use super::*;
use crate::base::OsEntropy;
use crate::db::{CatalogFile, Db, Form, Options, Rows, Table};
use std::sync::Arc;

const ROWS: Table = Table::facts("rows-1");

fn key(seed: u8) -> SealKey {
    SealKey::new(Zeroizing::new([seed; SEAL_KEY_BYTES]))
}

/// A medium that can be looked at while a database is on it.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<InMemoryBackend>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.0.len().unwrap() as usize];
        self.0.read(0, &mut bytes).unwrap();
        bytes
    }
}

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn sealed(medium: &Shared) -> Sealed<Shared> {
    Sealed::open(medium.clone(), &key(1), &OsEntropy).unwrap()
}

fn read(medium: &impl StorageBackend, offset: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0xee; length];
    medium.read(offset, &mut out).unwrap();
    out
}

#[derive(Debug, Clone)]
enum Act {
    Write(u64, Vec<u8>),
    Length(u64),
    Read(u64, usize),
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let length = 5 * PAGE_BYTES as u64;
    let write = (0..length, proptest::collection::vec(any::<u8>(), 0..6000));
    let aligned = (0..20u64, 1..3usize, any::<u8>());
    let act = prop_oneof![
        write.prop_map(|(offset, data)| Act::Write(offset, data)),
        aligned.prop_map(|(at, pages, byte)| Act::Write(at * 1024, vec![byte; pages * PAGE_BYTES])),
        (0..20u64).prop_map(|blocks| Act::Length(blocks * 1024)),
        (0..length, 0..9000usize).prop_map(|(offset, length)| Act::Read(offset, length)),
        Just(Act::Reopen),
    ];
    proptest::collection::vec(act, 1..40)
}

proptest! {
    #[test]
    fn a_sealed_medium_behaves_as_a_plain_one(acts in acts()) {
        let medium = Shared::default();
        let (mut tested, model) = (sealed(&medium), InMemoryBackend::new());
        for act in acts {
            let length = model.len().unwrap();
            match act {
                Act::Write(offset, mut data) => {
                    data.truncate(length.saturating_sub(offset) as usize);
                    if !data.is_empty() {
                        tested.write(offset, &data).unwrap();
                        model.write(offset, &data).unwrap();
                    }
                }
                Act::Length(length) => {
                    tested.set_len(length).unwrap();
                    model.set_len(length).unwrap();
                }
                Act::Read(offset, wanted) => {
                    let wanted = wanted.min(length.saturating_sub(offset) as usize);
                    prop_assert!(wanted == 0 || read(&tested, offset, wanted) == read(&model, offset, wanted));
                }
                Act::Reopen => tested = sealed(&medium),
            }
            prop_assert_eq!(tested.len().unwrap(), model.len().unwrap());
        }
        let whole = model.len().unwrap() as usize;
        prop_assert!(whole == 0 || read(&tested, 0, whole) == read(&model, 0, whole));
    }
}

#[test]
fn reading_past_the_end_is_an_error() {
    let medium = Shared::default();
    let tested = sealed(&medium);
    tested.set_len(4096).unwrap();
    assert!(tested.read(4096, &mut [0; 16]).is_err());
    assert!(tested.read(4090, &mut [0; 16]).is_err());
    assert!(tested.set_len(4097).is_err());
}

#[test]
fn p9_no_two_pages_or_files_of_the_same_bytes_look_alike() {
    let (one, other) = (Shared::default(), Shared::default());
    for medium in [&one, &other] {
        let tested = sealed(medium);
        tested.set_len(2 * PAGE_BYTES as u64).unwrap();
        tested.write(0, &[7; 2 * PAGE_BYTES]).unwrap();
    }
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for medium in [one, other] {
        blocks.extend(medium.bytes()[HEADER_BYTES as usize..].chunks(BLOCK_BYTES).map(<[u8]>::to_vec));
    }
    let all = blocks.len();
    blocks.sort();
    blocks.dedup();
    assert_eq!(blocks.len(), all);
}

#[test]
fn a_write_changes_no_block_it_does_not_cover() {
    let medium = Shared::default();
    let tested = sealed(&medium);
    tested.set_len(2 * PAGE_BYTES as u64).unwrap();
    tested.write(0, &[7; 2 * PAGE_BYTES]).unwrap();
    let before = medium.bytes();
    // One byte of a block, as the database flips it; and a range over two pages.
    for (at, data) in [(9, &[1][..]), (4090, &[2; 20])] {
        tested.write(at, data).unwrap();
        let after = medium.bytes();
        let first = HEADER_BYTES as usize + at as usize / BLOCK_BYTES * BLOCK_BYTES;
        let end = HEADER_BYTES as usize + (at as usize + data.len()).next_multiple_of(BLOCK_BYTES);
        assert_eq!(before[..first], after[..first]);
        assert_eq!(before[end..], after[end..]);
        tested.write(at, &vec![7; data.len()]).unwrap();
        assert_eq!(medium.bytes(), before, "the same bytes seal to the same");
    }
}

#[test]
fn pages_are_sealed_as_the_standard_says() {
    // IEEE 1619, vector 10: the first 64 of 512 bytes.
    let keys: [[u8; KEY_BYTES]; 2] = [
        "2718281828459045235360287471352662497757247093699959574966967627",
        "3141592653589793238462643383279502884197169399375105820974944592",
    ]
    .map(|digits| hex::decode(digits).unwrap().try_into().unwrap());
    let mut blocks: Vec<u8> = (0..64).collect();
    Pages::new(&keys).seal(0xff, 0, &mut blocks);
    let golden = "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b\
                  5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd";
    assert_eq!(hex::encode(blocks), golden);
}

proptest! {
    #[test]
    fn pages_are_sealed_as_by_another_implementation(
        keys in any::<[[u8; KEY_BYTES]; 2]>(), page in any::<u64>(), first in 0..256usize, byte in any::<u8>(),
    ) {
        let cipher = |key: &[u8; KEY_BYTES]| aes::Aes256::new(key.into());
        let reference = xts_mode::Xts128::new(cipher(&keys[0]), cipher(&keys[1]));
        let plain: Vec<u8> = (0..PAGE_BYTES).map(|at| (at as u8).wrapping_mul(byte)).collect();
        let mut expected = plain.clone();
        reference.encrypt_sector(&mut expected, xts_mode::get_tweak_default(page.into()));
        let (pages, from) = (Pages::new(&keys), first * BLOCK_BYTES);
        let mut blocks = plain[from..].to_vec();
        pages.seal(page, from, &mut blocks);
        prop_assert!(blocks == expected[from..]);
        pages.open(page, from, &mut blocks);
        prop_assert!(blocks == plain[from..]);
    }
}

#[test]
fn the_stored_form_is_golden() {
    struct Sevens;
    impl Entropy for Sevens {
        fn fill(&self, out: &mut [u8]) {
            out.fill(7);
        }
    }
    let medium = Shared::default();
    let tested = Sealed::open(medium.clone(), &key(1), &Sevens).unwrap();
    tested.set_len(4096).unwrap();
    tested.write(16, b"sixteen bytes...").unwrap();
    let bytes = medium.bytes();
    let copy = [
        // Magic, version, zeros.
        "74747365616c65640100000000000000",
        // The file's id.
        "07070707070707070707070707070707",
        // The check of the key.
        "4a31817898e4a48523483100d4d4a54dfbb4ab967a8e118acdcb6ce100c75ac9",
        // The hash.
        "301b4c2d64521526491b6820e3d5aed7ba5184a13cf50d2f99e7ee4c67074924",
    ];
    assert_eq!(hex::encode(&bytes[..96]), copy.concat());
    assert_eq!(bytes[2048..2144], bytes[..96]);
    assert!(bytes[96..2048].iter().chain(&bytes[2144..4112]).all(|byte| *byte == 0));
    assert_eq!(hex::encode(&bytes[4112..4128]), "bd939091a92ab3014280d43935550852");
    assert_eq!(bytes.len(), 8192);
}

#[test]
fn another_key_a_newer_layout_and_damage_are_told_apart() {
    let medium = Shared::default();
    sealed(&medium).set_len(4096).unwrap();
    let open = |medium: &Shared, seed| Sealed::open(medium.clone(), &key(seed), &OsEntropy).map(drop);
    assert!(matches!(open(&medium, 2), Err(Error::OtherKey)));
    // Either copy is enough.
    let good = medium.bytes();
    for at in [0, 2048] {
        medium.write(at, &[0; 96]).unwrap();
        open(&medium, 1).unwrap();
        medium.write(0, &good).unwrap();
    }
    for at in [20, 2048 + 20] {
        medium.write(at, &[good[at as usize] ^ 1]).unwrap();
    }
    assert!(matches!(open(&medium, 1), Err(Error::Corrupt(_))));
    let mut newer = good[..64].to_vec();
    newer[8] = 9;
    newer.extend_from_slice(blake3::hash(&newer).as_bytes());
    medium.write(0, &newer).unwrap();
    assert!(matches!(open(&medium, 1), Err(Error::NewerFormat { found: 9, supported: 1 })));
}

#[test]
fn a_header_that_was_cut_off_is_made_again() {
    for length in [0, 100, HEADER_BYTES] {
        let medium = Shared::default();
        medium.set_len(length).unwrap();
        sealed(&medium).set_len(4096).unwrap();
        assert!(is_header(&medium.bytes()));
    }
}

fn rows(path: &std::path::Path) {
    let db = Db::open(path, Options::default()).unwrap();
    for row in 0..50u8 {
        db.write(move |txn| txn.put(&ROWS, &[row], b"a secret to look for")).unwrap();
    }
    db.close().unwrap();
}

fn holds(path: &std::path::Path, secret: &[u8]) -> bool {
    std::fs::read(path).unwrap().windows(secret.len()).any(|part| part == secret)
}

fn open_sealed(path: &std::path::Path, seed: u8) -> Result<Db, Error> {
    CatalogFile::claim(path)?.open_sealed(&[key(seed)], &OsEntropy, Options::default())
}

#[test]
fn p9_a_plain_catalog_is_sealed_when_it_is_opened_with_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    rows(&path);
    assert!(holds(&path, b"a secret to look for"));
    assert_eq!(CatalogFile::claim(&path).unwrap().form().unwrap(), Form::Plain);
    // What a conversion left that was cut off is no obstacle.
    std::fs::write(dir.path().join(".catalog.redb.sealed"), vec![9; 100_000]).unwrap();
    for _ in 0..2 {
        let db = open_sealed(&path, 1).unwrap();
        assert_eq!(db.read().unwrap().count(&ROWS).unwrap(), 50);
        assert!(matches!(CatalogFile::claim(&path), Err(Error::InUse)));
        db.close().unwrap();
        assert!(!holds(&path, b"a secret to look for") && !holds(&path, b"rows-1"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(CatalogFile::claim(&path).unwrap().form().unwrap(), Form::Sealed);
    }
    assert!(matches!(open_sealed(&path, 2).err(), Some(Error::OtherKey)));
    assert!(matches!(Db::open(&path, Options::default()).err(), Some(Error::Sealed)));
    assert_eq!(open_sealed(&path, 1).unwrap().read().unwrap().count(&ROWS).unwrap(), 50);
}

#[test]
fn keys_do_not_print() {
    assert_eq!(format!("{:?}", key(1)), "SealKey(..)");
    assert_eq!(format!("{:?}", sealed(&Shared::default())), "Sealed(..)");
}

/// A medium that does so many steps, then none.
#[derive(Debug)]
struct Failing(Shared, std::sync::atomic::AtomicUsize);

impl Failing {
    fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        let left = self.1.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("simulated: the disk failed"))
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.step().and_then(|()| self.0.set_len(length))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.step().and_then(|()| self.0.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step().and_then(|()| self.0.write(offset, data))
    }
}

/// What a conversion wrote that ended after so many steps; `None` when it came to its end.
fn cut_off_after(steps: usize, path: &std::path::Path, pages: Option<Pages>) -> Option<Vec<u8>> {
    let (file, medium) = (std::fs::File::open(path).unwrap(), Shared::default());
    let failing = Failing(medium.clone(), steps.into());
    let source = Source { original: &file, pages };
    convert::copy_to(failing, &source, &key(2), &OsEntropy).is_err().then(|| medium.bytes())
}

#[test]
fn p2_p9_a_conversion_cut_off_at_any_step_leaves_the_catalog_as_it_was_and_is_done_again() {
    for is_sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (path, fresh) = (dir.path().join("catalog.redb"), dir.path().join(".catalog.redb.sealed"));
        rows(&path);
        if is_sealed {
            open_sealed(&path, 1).unwrap().close().unwrap();
        }
        let original = std::fs::read(&path).unwrap();
        let keys = if is_sealed { vec![key(2), key(1)] } else { vec![key(2)] };
        let mut steps = 0;
        loop {
            let pages = is_sealed.then(|| opened_with(&original[..HEADER_BYTES as usize], &keys).unwrap().1);
            let Some(left) = cut_off_after(steps, &path, pages) else { break };
            assert_eq!(std::fs::read(&path).unwrap(), original, "step {steps}");
            std::fs::write(&fresh, left).unwrap();
            let db = CatalogFile::claim(&path).unwrap();
            let db = db.open_sealed(&keys, &OsEntropy, Options::default()).unwrap();
            assert_eq!(db.read().unwrap().count(&ROWS).unwrap(), 50, "step {steps}");
            db.close().unwrap();
            assert!(!fresh.exists() && !holds(&path, b"a secret to look for"));
            // From now on it is under the newest key alone.
            assert_eq!(open_sealed(&path, 2).unwrap().read().unwrap().count(&ROWS).unwrap(), 50);
            assert!(matches!(open_sealed(&path, 1).err(), Some(Error::OtherKey)));
            std::fs::write(&path, &original).unwrap();
            steps += 1;
        }
        assert!(steps > 3, "{steps} steps");
    }
}

#[test]
fn a_catalog_under_none_of_the_keys_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.redb");
    rows(&path);
    open_sealed(&path, 1).unwrap().close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let opened = CatalogFile::claim(&path).unwrap();
    let refused = opened.open_sealed(&[key(3), key(2)], &OsEntropy, Options::default()).err();
    assert!(matches!(refused, Some(Error::OtherKey)));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
