//! A disk that is looked into: its partitions, and the trees of files on them.
//!
//! Promise that is looked at: no more is read of a disk than its allowance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tintype::disk::Source;
use tintype::disk::inside::{Allowance, Effort, NodeKind, Part, Tree, mount, partitions, recognise};

/// Small, so that its end is met.
const SMALL: Allowance = Allowance { reads: 4000, bytes: 8 << 20, steps: 20_000 };
const DEPTH_MAX: usize = 5;
const ENTRIES_MAX: usize = 50;

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

/// Looks at everything on it.
pub fn inside(data: &[u8]) {
    let disk = Arc::new(Counted { bytes: data.to_vec(), read: AtomicU64::new(0) });
    let whole = Part::whole(disk.clone(), Arc::new(Effort::new(SMALL)));
    let mut parts = vec![whole.clone()];
    if let Ok(Some(table)) = partitions::table(&whole) {
        for found in &table.partitions {
            let part = whole.stretch(found.start_bytes, found.size_bytes);
            parts.push(part.expect("a partition that is told of lies on the disk"));
        }
    }
    for part in parts {
        let Ok(Some(found)) = recognise(&part) else { continue };
        if let Ok(Some(tree)) = mount(&part, found.kind) {
            let _ = tree.usage();
            walk(&tree, "", 0);
        }
    }
    assert!(disk.read.load(Ordering::Relaxed) <= SMALL.bytes, "a look ends with its allowance");
}

fn walk(tree: &Tree, path: &str, depth: usize) {
    let Ok(Some(listing)) = tree.list(&format!("{path}/"), ENTRIES_MAX) else { return };
    assert!(listing.entries.len() <= ENTRIES_MAX);
    for entry in listing.entries {
        let path = format!("{path}/{}", entry.name);
        match entry.node.kind {
            NodeKind::Directory if depth < DEPTH_MAX => walk(tree, &path, depth + 1),
            NodeKind::Link => drop(tree.target(&entry.node)),
            _ => {}
        }
        let _ = tree.read(&path, 16 << 10);
    }
}
