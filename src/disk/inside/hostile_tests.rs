//! Disks that lie: whatever is changed in one, looking at all of it ends, within its allowance and without a panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::fixtures::{Content, bootable_iso, ext, fat, fat32, iso};
use super::partitions;
use super::{Allowance, Effort, NodeKind, Part, Tree, disc_starts, mount, recognise};
use crate::disk::Source;

/// What a look at a made disk may take: a hundred times what the unchanged one takes.
const SMALL: Allowance = Allowance { reads: 20_000, bytes: 16 << 20, steps: 100_000 };

/// A disk that counts what is read of it.
struct Counted {
    bytes: Vec<u8>,
    read: AtomicU64,
}

impl Source for Counted {
    fn size_bytes(&self) -> u64 {
        self.bytes.size_bytes()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.bytes.read_exact_at(at, out)
    }
}

/// Looks at everything, and tells how many files were read whole.
fn look(image: Vec<u8>) -> usize {
    let disk = Arc::new(Counted { bytes: image, read: AtomicU64::new(0) });
    let effort = Arc::new(Effort::new(SMALL));
    let whole = Part::whole(disk.clone(), effort);
    let mut read = 0;
    let mut parts = vec![whole.clone()];
    if let Ok(Some(table)) = partitions::table(&whole) {
        let stretches = table.partitions.iter();
        parts.extend(stretches.filter_map(|found| whole.stretch(found.start_bytes, found.size_bytes)));
    }
    for part in parts {
        let _ = disc_starts(&part);
        let Ok(Some(found)) = recognise(&part) else { continue };
        if let Ok(Some(tree)) = mount(&part, found.kind) {
            let _ = tree.usage();
            walk(&tree, "", 0, &mut read);
        }
    }
    assert!(disk.read.load(Ordering::Relaxed) <= SMALL.bytes);
    read
}

fn walk(tree: &Tree, path: &str, depth: usize, read: &mut usize) {
    let listing = match tree.list(&format!("{path}/"), 200) {
        Ok(Some(listing)) if depth < 6 => listing,
        _ => return,
    };
    for entry in listing.entries {
        let path = format!("{path}/{}", entry.name);
        match entry.node.kind {
            NodeKind::Directory => walk(tree, &path, depth + 1, read),
            NodeKind::Link => drop(tree.target(&entry.node)),
            _ => {}
        }
        if let Ok(Some(_)) = tree.read(&path, 64 << 10) {
            *read += 1;
        }
    }
}

const FILES: [(&str, Content<'_>); 6] = [
    ("/etc/os-release", Content::File(b"ID=debian\n")),
    ("/etc/fstab", Content::File(&[b'#'; 3000])),
    ("/usr/bin/sh", Content::File(&[7; 9000])),
    ("/usr/lib/x/y/z", Content::File(b"z")),
    ("/bin", Content::Link("usr/bin")),
    ("/loop", Content::Link("./loop")),
];

/// How many images there are.
const IMAGES: usize = 8;

/// Every format that is read, alone and in partitions of both tables.
fn images() -> Vec<Vec<u8>> {
    let files: Vec<_> =
        FILES.into_iter().filter(|(_, content)| matches!(content, Content::File(_))).collect();
    let linux = uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
    let mut gpt = partitions::gpt_image(&[(linux, 40, 359, "root")]);
    let root = ext(&FILES);
    gpt[40 * 512..40 * 512 + root.len()].copy_from_slice(&root);
    let mut mbr = vec![0; 512 + root.len()];
    mbr[446 + 4] = 0x83;
    mbr[446 + 8] = 1;
    mbr[446 + 12..446 + 16].copy_from_slice(&((root.len() / 512) as u32).to_le_bytes());
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    mbr[512..].copy_from_slice(&root);
    let disc = bootable_iso(&FILES, &[0, 0xef]);
    vec![root, fat(&files), fat32(&files), iso(&FILES, true), iso(&files, false), disc, gpt, mbr]
}

#[test]
fn unchanged_disks_are_read_whole() {
    // The link to itself is none, and the one to a directory is no file.
    let read: Vec<usize> = images().into_iter().map(look).collect();
    assert_eq!(read, [4; IMAGES]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Bytes changed anywhere, most often where structures are.
    #[test]
    fn b5_no_changed_bytes_make_a_look_panic_or_go_on(
        which in 0..IMAGES,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..40),
    ) {
        let mut image = images().swap_remove(which);
        let structures = image.len().min(48 << 10);
        for (index, byte, anywhere) in changes {
            let at = index.index(if anywhere { image.len() } else { structures });
            image[at] = byte;
        }
        look(image);
    }

    /// Numbers replaced by absurd ones.
    #[test]
    fn b5_no_absurd_numbers_make_a_look_panic_or_go_on(
        which in 0..IMAGES,
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        number in prop::sample::select(vec![0_u32, 1, 0x7fff_ffff, 0xffff_fffe, u32::MAX, 0x8000_0000, 0xffff]),
    ) {
        let mut image = images().swap_remove(which);
        for place in places {
            let at = place.index(image.len() / 4 - 1) * 4;
            image[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        look(image);
    }

    /// Cut off anywhere.
    #[test]
    fn b5_no_short_disk_makes_a_look_panic(which in 0..IMAGES, length in any::<prop::sample::Index>()) {
        let mut image = images().swap_remove(which);
        let length = length.index(image.len());
        image.truncate(length);
        look(image);
    }
}
