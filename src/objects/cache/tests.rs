//! What a cache must never do: be wrong, be in the way, or be larger than allowed.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::objects::Memory;

struct World {
    memory: Memory,
    cached: Cached,
    folder: TempDir,
}

fn world(bytes: u64) -> World {
    let (memory, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let cached = Cached::open(Arc::new(memory.clone()), folder.path(), bytes, 0).unwrap();
    World { memory, cached, folder }
}

impl World {
    /// As after a restart.
    fn again(self, bytes: u64) -> World {
        let cached = Cached::open(Arc::new(self.memory.clone()), self.folder.path(), bytes, 0).unwrap();
        World { cached, ..self }
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn seen(&self) -> (u64, u64) {
        let traffic = self.cached.blocks.traffic();
        (traffic.hits, traffic.misses)
    }
}

const BLOCK: usize = BLOCK_BYTES;

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

fn read(objects: &dyn Objects, from: usize, to: usize) -> Vec<u8> {
    let mut out = vec![0; to - from];
    objects.read(&key("a"), from as u64, &mut out).unwrap();
    out
}

#[test]
fn p1_any_range_is_what_the_medium_has_cold_and_warm() {
    let whole = bytes(3 * BLOCK + 77);
    let ranges = [
        (0, 1),
        (BLOCK - 1, BLOCK + 1),
        (5, 3 * BLOCK + 77),
        (2 * BLOCK, 3 * BLOCK),
        (3 * BLOCK + 76, 3 * BLOCK + 77),
        (BLOCK / 2, 2 * BLOCK + 9),
    ];
    for first in ranges {
        let world = world(1 << 30);
        world.cached.put(&key("a"), &whole).unwrap();
        for (from, to) in [first].into_iter().chain(ranges) {
            assert!(read(&world.cached, from, to) == whole[from..to], "{first:?}, then {from} to {to}");
        }
    }
}

#[test]
fn what_was_read_is_not_fetched_again_even_after_a_restart() {
    let world = world(1 << 30);
    world.cached.put(&key("a"), &bytes(2 * BLOCK)).unwrap();
    read(&world.cached, 10, 2 * BLOCK);
    world.memory.delete(&key("a")).unwrap();
    assert!(read(&world.cached, 0, 2 * BLOCK) == bytes(2 * BLOCK));
    let world = world.again(1 << 30);
    assert!(read(&world.cached, 0, 2 * BLOCK) == bytes(2 * BLOCK));
    assert_eq!(world.seen(), (2, 0));
}

#[test]
fn changed_and_missing_files_are_misses() {
    let world = world(1 << 30);
    world.cached.put(&key("a"), &bytes(4 * BLOCK)).unwrap();
    read(&world.cached, 0, 4 * BLOCK);
    let files = world.files();
    fs::remove_file(&files[0]).unwrap();
    fs::write(&files[1], b"short").unwrap();
    let mut changed = fs::read(&files[2]).unwrap();
    changed[1000] ^= 4;
    fs::write(&files[2], changed).unwrap();
    let (one, other) = (fs::read(&files[3]).unwrap(), &files[0]);
    // A block in the place of another.
    fs::write(other, one).unwrap();
    assert!(read(&world.cached, 0, 4 * BLOCK) == bytes(4 * BLOCK));
    assert!(read(&world.cached, 0, 4 * BLOCK) == bytes(4 * BLOCK));
    assert_eq!(world.files().len(), 4);
}

#[test]
fn p5_it_stays_within_its_bound_and_keeps_what_is_used() {
    let room = 3 * (BLOCK as u64 + 16);
    let world = world(room);
    world.cached.put(&key("a"), &bytes(10 * BLOCK)).unwrap();
    for number in 0..10 {
        read(&world.cached, number * BLOCK, number * BLOCK + 1);
        read(&world.cached, 0, 1);
        assert!(world.cached.blocks.traffic().held_bytes <= room && world.files().len() <= 3);
    }
    world.memory.delete(&key("a")).unwrap();
    read(&world.cached, 0, 1);
    let smaller = world.again(room / 3);
    assert_eq!(smaller.files().len(), 1);
}

#[test]
fn a_deleted_object_is_gone_at_once() {
    let world = world(1 << 30);
    world.cached.put(&key("a"), &bytes(BLOCK)).unwrap();
    read(&world.cached, 0, BLOCK);
    world.cached.delete(&key("a")).unwrap();
    assert_eq!(world.files().len(), 0);
    assert_eq!(world.cached.read(&key("a"), 0, &mut [0]), Err(Error::NotFound(key("a"))));
    world.cached.put(&key("a"), b"other").unwrap();
    assert_eq!(world.cached.get(&key("a")).unwrap(), b"other");
}

#[test]
fn what_takes_an_objects_place_is_read_at_once() {
    let world = world(1 << 30);
    world.cached.put(&key("a"), &vec![7; BLOCK]).unwrap();
    read(&world.cached, 0, BLOCK);
    let mut writer = world.cached.replace(&key("a")).unwrap();
    writer.write(&bytes(BLOCK)).unwrap();
    // What is read before the commit is kept, and goes too.
    assert!(read(&world.cached, 0, BLOCK) == vec![7; BLOCK]);
    writer.commit().unwrap();
    assert!(read(&world.cached, 0, BLOCK) == bytes(BLOCK));
}

#[test]
fn what_was_fetched_before_a_delete_is_not_kept_after_it() {
    let world = world(1 << 30);
    let generation = world.cached.blocks.generation();
    world.cached.blocks.forget(&key("a"));
    world.cached.blocks.keep(&key("a"), 0, b"old", generation);
    assert_eq!((world.files().len(), world.cached.blocks.get(&key("a"), 0)), (0, None));
}

#[test]
fn a_distrusted_object_is_fetched_again() {
    let world = world(1 << 30);
    world.cached.blocks.keep(&key("a"), 0, b"wrong", 0);
    world.memory.put(&key("a"), b"right").unwrap();
    assert_eq!(world.cached.get(&key("a")).unwrap(), b"wrong");
    let mut stored = [0; 5];
    world.cached.read_stored(&key("a"), 0, &mut stored).unwrap();
    assert_eq!(&stored, b"right");
    assert!(world.cached.distrust(&key("a")));
    assert_eq!(world.cached.get(&key("a")).unwrap(), b"right");
}

#[test]
fn a_disk_without_room_or_folder_only_ends_the_keeping() {
    let (memory, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    memory.put(&key("a"), &bytes(BLOCK)).unwrap();
    let full = Cached::open(Arc::new(memory.clone()), folder.path(), 1 << 30, u64::MAX).unwrap();
    assert!(read(&full, 0, BLOCK) == bytes(BLOCK));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let gone = Cached::open(Arc::new(memory), folder.path(), 1 << 30, 0).unwrap();
    drop(folder);
    assert!(read(&gone, 0, BLOCK) == bytes(BLOCK));
    assert!(read(&gone, 0, BLOCK) == bytes(BLOCK));
}

#[test]
fn what_a_kill_left_half_written_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("new-7"), b"half").unwrap();
    Cached::open(Arc::new(Memory::new()), folder.path(), 1 << 30, 0).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn whoever_knows_what_belongs_together_sees_what_is_missing_of_it() {
    let world = world(1 << 30);
    let whole = bytes(20 * BLOCK + 7);
    world.cached.put(&key("a"), &whole).unwrap();
    let near = world.cached.near().unwrap();
    let at = |block: usize| (block * BLOCK) as u64;
    // No more at once than one request should bring, and no byte that nobody asked for.
    assert_eq!(near.first_missing(&key("a"), 5..at(20)), Some(5..at(16)));
    read(&world.cached, 0, BLOCK);
    read(&world.cached, 3 * BLOCK, 5 * BLOCK);
    assert_eq!(near.first_missing(&key("a"), 5..at(20) + 7), Some(at(1)..at(3)));
    assert_eq!(near.first_missing(&key("a"), at(4)..at(6) + 1), Some(at(5)..at(6) + 1));
    assert!(near.holds(&key("a"), 9..at(1)) && near.holds(&key("a"), at(3) + 1..at(5)));
    assert!(!near.holds(&key("b"), 0..1) && near.holds(&key("b"), 7..7));
    near.forget(&key("a"));
    assert_eq!((near.holds(&key("a"), 0..1), world.files().len()), (false, 0));
    read(&world.cached, 0, 2 * BLOCK);
    assert_eq!((near.prune(), near.clear()), ((0, 0), (2, 2 * (BLOCK as u64 + 16))));
    assert_eq!(world.files().len(), 0);
}
